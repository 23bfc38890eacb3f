"""Tables of a comparison over several workloads: `python scripts/which_optimizer.py FOLDER`.

They are those of `notebooks/docs/which_optimizer.md`, which says how the folder was made.
"""

import argparse

from adaptive_jax.comparison import Comparison
from adaptive_jax.comparison.names import names

SHOWN = {"accuracy": (100, ".2f"), "loss": (1, ".4f")}


def tuned(analysis, name):
    """Test metrics after tuning; bold where no other optimizer is distinguishably better."""
    yield ["optimizer", "better than Adam", *(each.workload for each in analysis.workloads)]
    standings = {each.optimizer: each for each in analysis.overall.standings}
    for label, standing in standings.items():
        chance = standing.improvement.get("adam")
        versus = f"{chance.estimate:.2f} ({chance.low:.2f} to {chance.high:.2f})" if chance else ""
        cells = []
        for each in analysis.workloads:
            row = next(row for row in each.rows if row.optimizer == label)
            factor, form = SHOWN[each.metric]
            cell = f"{factor * row.mean:{form}} ± {factor * (row.high - row.low) / 2:{form}}"
            beaten = {pair.worse for pair in each.differences if pair.distinguishable}
            cells.append(cell if label in beaten else f"**{cell}**")
        yield [f"`{name[label]}`", versus, *cells]


def untuned(analysis, name):
    """Validation metrics of one run at the default learning rate, and of the one tuned best."""
    yield ["optimizer", *(each.workload for each in analysis.workloads)]
    for standing in analysis.overall.standings:
        cells = []
        for each in analysis.workloads:
            row = next(row for row in each.rows if row.optimizer == standing.optimizer)
            factor, form = SHOWN[each.metric]
            cells.append(
                f"{factor * row.default_score:{form}} / {factor * row.tuned_score:{form}}, "
                f"{row.learning_rate:.2g}"
            )
        yield [f"`{name[standing.optimizer]}`", *cells]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="of `adaptive-jax compare`, with at least two workloads")
    analysis = Comparison.load(parser.parse_args().folder).analysis
    if analysis.overall is None:
        parser.error("the folder has no optimizer with final runs on several workloads")
    name = names([standing.optimizer for standing in analysis.overall.standings])
    for table in (tuned, untuned):
        head, *rows = table(analysis, name)
        for cells in (head, ["---"] * len(head), *rows):
            print("|", " | ".join(cells), "|")
        print()


if __name__ == "__main__":
    main()
