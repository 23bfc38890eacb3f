"""What a comparison found, in sentences."""

import math
from collections.abc import Sequence

from adaptive_jax.lab.analysis.differences import Difference
from adaptive_jax.lab.analysis.names import names
from adaptive_jax.lab.analysis.overall import Overall
from adaptive_jax.lab.analysis.rows import Row

_SHOWN = 6  # of a list in a sentence


def of_workload(rows: Sequence[Row], differences: Sequence[Difference]) -> str:
    """Which optimizers are best on a workload, which others they beat, and which diverged.

    Args:
      rows: the best first.
      differences: all pairs.
    """
    if not rows:
        return "No optimizer has final runs yet."
    name = names([row.optimizer for row in rows])
    sentences = [_ranking(rows, differences, name), _missing(rows, name), _diverged(rows, name)]
    text = " ".join(filter(None, sentences))
    return f"{text} The table has the others." if " others" in text else text


def over_workloads(overall: Overall | None, workloads: int) -> str:
    """Which optimizer is best over all workloads, and how surely it beats the others."""
    if overall is None:
        return f"No optimizer has final runs on all {workloads} workloads yet."
    name = names([standing.optimizer for standing in overall.standings])
    best, *others = overall.standings
    text = (
        f"Over {workloads} workloads {name[best.optimizer]} has the highest interquartile mean "
        f"score, {_with_ends(best.score, 3, '95% interval ')}."
    )
    if others:
        chances = [
            f"{_with_ends(best.improvement[other.optimizer], 2)} over {name[other.optimizer]}"
            for other in others
        ]
        text += f" Its probability of improvement is {_listing(chances)}."
    return text


def _ranking(rows, differences, name):
    first = rows[0]
    if len(rows) == 1:
        text = f"{name[first.optimizer]} alone has final runs"
        return f"{text}: test {first.metric} {_result(first)}."
    if all(math.isnan(difference.p) for difference in differences):
        extreme = "highest" if first.metric == "accuracy" else "lowest"
        text = f"{name[first.optimizer]} has the {extreme} test {first.metric}, {_result(first)}"
        if max(row.runs for row in rows) == 1:
            return f"{text}, but one run each tells nothing about what another seed would change."
        return f"{text}, but no two optimizers share two seeds, by which they could be compared."
    wins = {(d.better, d.worse): d for d in differences if d.distinguishable}
    # The first, unless it is beaten on the seeds that it shares with another.
    losses = [worse for _, worse in wins]
    best = min(rows, key=lambda row: losses.count(row.optimizer))
    others = [row for row in rows if row is not best]
    beaten = [row.optimizer for row in others if (best.optimizer, row.optimizer) in wins]
    level = [row for row in others if row.optimizer not in beaten]
    # Where some runs diverged, the spread hides any difference: that is no draw.
    erratic = [row.optimizer for row in level if row.diverged and not best.diverged]
    tied = [row.optimizer for row in level if row.optimizer not in erratic]
    clauses = _clauses(best, tied, beaten, wins, name)
    seeds = [difference.seeds for difference in differences]
    clauses[0] += f" at n = {' to '.join(map(str, sorted({min(seeds), max(seeds)})))}"
    if erratic:
        clauses.append(f"with diverged runs, {_named(erratic, name)} cannot be ranked")
    return "; ".join(clauses) + "."


def _clauses(best, tied, beaten, wins, name):
    """Who is level with the best, whom all of these beat, and whom the best alone does."""
    label, metric = best.optimizer, best.metric

    def by(losers):
        return f"by {_margins([wins[label, loser] for loser in losers], metric)}"

    if not (tied or beaten):
        return [f"{name[label]} has the best test {metric} in the mean"]
    if not tied:
        return [f"{name[label]} beats {_named(beaten, name)} {by(beaten)}"]
    if any(a in tied and b in tied for a, b in wins):  # so not all of them are alike
        clauses = [f"{_named(tied, name)} are not distinguishable from {name[label]}, the best,"]
    else:
        clauses = [f"{_named([label, *tied], name)} are not distinguishable"]
    by_all = [loser for loser in beaten if all((each, loser) in wins for each in tied)]
    by_best = [loser for loser in beaten if loser not in by_all]
    if by_all:
        who = "both" if len(tied) == 1 else f"all {1 + len(tied)}"
        clauses.append(f"{who} beat {_named(by_all, name)}, {name[label]} {by(by_all)}")
    if by_best:
        alone = " alone" if by_all else ""
        clauses.append(f"{name[label]}{alone} beats {_named(by_best, name)} {by(by_best)}")
    return clauses


def _missing(rows, name):
    most = max(row.runs for row in rows)
    fewer = [f"{name[row.optimizer]} has {row.runs} of {most}" for row in rows if row.runs < most]
    return f"Seeds are missing: {_listing(fewer)}." if fewer else ""


def _diverged(rows, name):
    some = [row for row in rows if row.diverged]
    counts = [f"{name[row.optimizer]} in {row.diverged} of {row.runs} runs" for row in some]
    return f"Diverged: {_listing(counts)}." if counts else ""


def _margins(differences, metric):
    """How much better, in points or in loss; of many the smallest and the largest."""
    scale, unit = (100, "points") if metric == "accuracy" else (1, "in loss")
    margins = [(scale * d.mean, scale * (d.high - d.mean)) for d in differences]
    if len(margins) <= _SHOWN:
        return f"{_listing([_measured(*margin) for margin in margins])} {unit}"
    return f"{_measured(*min(margins))} to {_measured(*max(margins))} {unit}"


def _measured(value, half):
    """With as many decimals as the half width of the interval has meaning.

    >>> _measured(0.8123, 0.3456), _measured(0.8123, 0.1456), _measured(31.4, 4.2)
    ('0.8 ± 0.3', '0.81 ± 0.15', '31 ± 4')
    """
    if not half > 0:
        return f"{value:.3g} ± {half:.3g}"
    leading = f"{half:.0e}"  # rounded first, so that 0.096 counts as 0.1
    decimals = max(0, leading.startswith("1") - int(leading.partition("e")[2]))
    return f"{value:.{decimals}f} ± {half:.{decimals}f}"


def _result(row):
    scale, unit = (100, " %") if row.metric == "accuracy" else (1, "")
    if math.isnan(row.low):
        return f"{scale * row.mean:#.4g}{unit}"
    return f"{_measured(scale * row.mean, scale * (row.high - row.mean))}{unit} at n = {row.runs}"


def _with_ends(interval, decimals, kind=""):
    estimate, low, high = (f"{value:.{decimals}f}" for value in interval)
    return estimate if math.isnan(interval.low) else f"{estimate} ({kind}{low} to {high})"


def _named(labels, name):
    return _listing([name[label] for label in labels])


def _listing(items):
    """As one says it, the last of many only counted.

    >>> _listing(["a"]), _listing(["a", "b", "c"]), _listing(["a"] * 9)
    ('a', 'a, b and c', 'a, a, a, a, a and 4 others')
    """
    if len(items) > _SHOWN:
        items = [*items[: _SHOWN - 1], f"{len(items) - _SHOWN + 1} others"]
    return " and ".join(filter(None, [", ".join(items[:-1]), items[-1]]))
