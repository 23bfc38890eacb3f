"""Tables of a comparison over several workloads: `python scripts/which_optimizer.py FOLDER`.

They are those of `notebooks/docs/which_optimizer.md`, which says how the folder was made.
"""

import argparse

from adaptive_jax.lab import Comparison
from adaptive_jax.lab.analysis.labels import display_labels
from adaptive_jax.lab.report.tables import Column, markdown_table

FORMATS = {"accuracy": (100, ".1f"), "loss": (1, ".3f")}


def column(title, text):
    """A column of texts."""
    return Column(title, text, text)


def tuned(each):
    """Test metrics after tuning; bold where no other optimizer is distinguishably better."""
    rows = {row.optimizer: row for row in each.summaries}
    beaten = {pair.worse for pair in each.differences if pair.distinguishable}
    factor, form = FORMATS[each.metric]

    def text(standing):
        row = rows[standing.optimizer]
        cell = f"{factor * row.mean:{form}} ± {factor * (row.high - row.low) / 2:{form}}"
        return cell if row.optimizer in beaten else f"**{cell}**"

    return column(each.workload, text)


def untuned(each):
    """Validation metrics at the default learning rate and after tuning, and the tuned rate."""
    rows = {row.optimizer: row for row in each.summaries}
    factor, form = FORMATS[each.metric]

    def text(standing):
        row = rows[standing.optimizer]
        before, after = (factor * x for x in (row.default_score, row.tuned_score))
        return f"{before:{form}} → {after:{form}} at {row.learning_rate:.2g}"

    return column(each.workload, text)


def versus_adam(standing):
    """The probability that a run does better than one of Adam."""
    chance = standing.improvement.get("adam")
    return f"{chance.estimate:.2f} ({chance.low:.2f} to {chance.high:.2f})" if chance else ""


def tables(analysis):
    """Both, as Markdown."""
    standings = analysis.overall.standings
    shown = display_labels(standing.optimizer for standing in standings)
    optimizer = column("optimizer", lambda standing: f"`{shown[standing.optimizer]}`")
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
