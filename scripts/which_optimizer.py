"""Tables of a comparison over several workloads: `python scripts/which_optimizer.py FOLDER`.

They are those of `notebooks/docs/which_optimizer.md`, which says how the folder was made.
"""

import argparse

from adaptive_jax.comparison import Comparison
from adaptive_jax.comparison.names import names

FORMATS = {"accuracy": (100, ".1f"), "loss": (1, ".3f")}


def tuned(analysis, row_of):
    """Test metrics after tuning; bold where no other optimizer is distinguishably better."""
    yield ["optimizer", *(each.workload for each in analysis.workloads), "better than Adam"]
    for standing in analysis.overall.standings:
        cells = []
        for each in analysis.workloads:
            row = row_of[each.workload, standing.optimizer]
            factor, form = FORMATS[each.metric]
            cell = f"{factor * row.mean:{form}} ± {factor * (row.high - row.low) / 2:{form}}"
            beaten = {pair.worse for pair in each.differences if pair.distinguishable}
            cells.append(cell if row.optimizer in beaten else f"**{cell}**")
        chance = standing.improvement.get("adam")
        cells.append(
            f"{chance.estimate:.2f} ({chance.low:.2f} to {chance.high:.2f})" if chance else ""
        )
        yield [standing.optimizer, *cells]


def untuned(analysis, row_of):
    """Validation metrics at the default learning rate and after tuning, and the tuned rate."""
    yield ["optimizer", *(each.workload for each in analysis.workloads)]
    for standing in analysis.overall.standings:
        cells = [standing.optimizer]
        for each in analysis.workloads:
            row = row_of[each.workload, standing.optimizer]
            factor, form = FORMATS[each.metric]
            before, after = (factor * x for x in (row.default_score, row.tuned_score))
            cells.append(f"{before:{form}} → {after:{form}} at {row.learning_rate:.2g}")
        yield cells


def tables(analysis):
    """Both, as Markdown."""
    name = names([standing.optimizer for standing in analysis.overall.standings])
    row_of = {
        (each.workload, row.optimizer): row for each in analysis.workloads for row in each.rows
    }
    for table in (tuned, untuned):
        head, *rows = table(analysis, row_of)
        lines = [head, ["---"] * len(head)]
        lines += [[f"`{name[label]}`", *cells] for label, *cells in rows]
        yield "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="of `adaptive-jax compare` with several workloads")
    analysis = Comparison.load(parser.parse_args().folder).analysis
    if analysis.overall is None:
        parser.error("the folder has no optimizer with final runs on several workloads")
    print("\n\n".join(tables(analysis)))


if __name__ == "__main__":
    main()
