"""Tables of a comparison over several workloads: `python scripts/which_optimizer.py FOLDER`.

`notebooks/docs/which_optimizer.md` shows them, and says how to make the folder.
"""

import argparse

from adaptive_jax.lab import Comparison
from adaptive_jax.lab.analysis.labels import display_labels
from adaptive_jax.lab.report.tables import Column, MarkdownText, markdown_table

FORMATS = {"accuracy": (100, ".1f"), "loss": (1, ".3f")}


def column(title, text):
    """A column of texts."""
    return Column(title, text, text)


def tuned(workload):
    """Test metrics after tuning; bold where no other optimizer is significantly better."""
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
    """Validation metrics at the default learning rate and after tuning, and the tuned rate."""
    summaries = {summary.optimizer: summary for summary in workload.summaries}
    factor, form = FORMATS[workload.metric]

    def text(standing):
        summary = summaries[standing.optimizer]
        before, after = (factor * x for x in (summary.default_score, summary.tuned_score))
        return f"{before:{form}} → {after:{form}} at {summary.learning_rate:.2g}"

    return column(workload.workload, text)


def versus_adam(standing):
    """The probability that a run does better than one of Adam."""
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
    parser.add_argument("folder", help="of `adaptive-jax compare` with several workloads")
    analysis = Comparison.load(parser.parse_args().folder).analysis
    if analysis.overall is None:
        parser.error("the folder has no optimizer with final runs on several workloads")
    print("\n\n".join(tables(analysis)))


if __name__ == "__main__":
    main()
