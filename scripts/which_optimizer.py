"""Prints tables of a comparison over several workloads: `python scripts/which_optimizer.py FOLDER`.

`notebooks/docs/which_optimizer.md` shows the tables and the command that creates the folder.
"""

import argparse

from adaptive_jax.lab import Comparison
from adaptive_jax.lab.analysis.labels import display_labels
from adaptive_jax.lab.report.tables import Column, MarkdownText, markdown_table

FORMATS = {"accuracy": (100, ".1f"), "loss": (1, ".3f")}


def column(title, text):
    """Returns a column of texts."""
    return Column(title, text, text)


def tuned(workload):
    """Formats test metrics after tuning, in bold if no other optimizer is significantly better."""
    summaries = {summary.optimizer: summary for summary in workload.summaries}
    beaten = {pair.worse for pair in workload.differences if pair.distinguishable}
    factor, form = FORMATS[workload.metric]

    def text(standing):
        summary = summaries[standing.optimizer]
        half = factor * (summary.high - summary.low) / 2
        cell = f"{factor * summary.mean:{form}} ± {half:{form}}"
        return cell if summary.optimizer in beaten else MarkdownText(f"**{cell}**")

    return column(workload.workload, text)


def untuned(workload):
    """Formats validation metrics at the default rate and after tuning, with the tuned rate."""
    summaries = {summary.optimizer: summary for summary in workload.summaries}
    factor, form = FORMATS[workload.metric]

    def text(standing):
        summary = summaries[standing.optimizer]
        before, after = (factor * x for x in (summary.default_score, summary.tuned_score))
        return f"{before:{form}} → {after:{form}} at {summary.learning_rate:.2g}"

    return column(workload.workload, text)


def versus_adam(standing):
    """Formats the probability that a run is better than a run of Adam."""
    chance = standing.improvement.get("adam")
    return f"{chance.estimate:.2f} ({chance.low:.2f} to {chance.high:.2f})" if chance else ""


def tables(analysis):
    """Yields both tables as Markdown."""
    standings = analysis.overall.standings
    labels = display_labels(standing.optimizer for standing in standings)
    optimizer = column("optimizer", lambda s: MarkdownText(f"`{labels[s.optimizer]}`"))
    better = column("better than Adam", versus_adam)
    yield markdown_table([optimizer, *map(tuned, analysis.workloads), better], standings)
    yield markdown_table([optimizer, *map(untuned, analysis.workloads)], standings)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="folder of `adaptive-jax compare` with several workloads")
    analysis = Comparison.load(parser.parse_args().folder).analysis
    if analysis.overall is None:
        parser.error("the folder has no optimizer with final runs on several workloads")
    print("\n\n".join(tables(analysis)))


if __name__ == "__main__":
    main()
