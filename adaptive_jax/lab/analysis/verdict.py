"""The verdict of a comparison, in sentences."""

import math
from collections.abc import Sequence

from adaptive_jax.lab.analysis.differences import Difference
from adaptive_jax.lab.analysis.labels import display_labels
from adaptive_jax.lab.analysis.overall import Overall
from adaptive_jax.lab.analysis.summaries import Summary

_SHOWN = 6  # of a list in a sentence


def of_workload(summaries: Sequence[Summary], differences: Sequence[Difference]) -> str:
    """Says which optimizers are best on a workload, which they beat, and which diverged.

    Args:
      summaries: of the optimizers with final runs, the best first.
      differences: of all pairs of them.
    """
    if not summaries:
        return "No optimizer has final runs yet."
    labels = display_labels([summary.optimizer for summary in summaries])
    sentences = [
        _ranking(summaries, differences, labels),
        _missing(summaries, labels),
        _diverged(summaries, labels),
    ]
    text = " ".join(filter(None, sentences))
    return f"{text} The table has the others." if " others" in text else text


def over_workloads(overall: Overall | None, workloads: int) -> str:
    """Says which optimizer is best over all workloads, and how probably it beats the others."""
    if overall is None:
        return f"No optimizer has final runs on all {workloads} workloads yet."
    labels = display_labels([standing.optimizer for standing in overall.standings])
    best, *others = overall.standings
    text = (
        f"Over {workloads} workloads {labels[best.optimizer]} has the highest interquartile mean "
        f"score, {_with_ends(best.score, 3, '95% interval ')}."
    )
    if others:
        chances = [
            f"{_with_ends(best.improvement[other.optimizer], 2)} over {labels[other.optimizer]}"
            for other in others
        ]
        text += f" Its probability of improvement is {_listing(chances)}."
    return text


def _ranking(summaries, differences, labels):
    first = summaries[0]
    if len(summaries) == 1:
        text = f"{labels[first.optimizer]} alone has final runs"
        return f"{text}: test {first.metric} {_result(first)}."
    if all(math.isnan(difference.p) for difference in differences):
        extreme = "highest" if first.metric == "accuracy" else "lowest"
        text = f"{labels[first.optimizer]} has the {extreme} test {first.metric}, {_result(first)}"
        if max(summary.runs for summary in summaries) == 1:
            return f"{text}, but one run each does not show what another seed would change."
        return f"{text}, but no two optimizers share two seeds, so they cannot be compared."
    wins = {(d.better, d.worse): d for d in differences if d.distinguishable}
    # The first, unless another beats it on the seeds that both have.
    losses = [worse for _, worse in wins]
    best = min(summaries, key=lambda summary: losses.count(summary.optimizer))
    others = [summary for summary in summaries if summary is not best]
    beaten = [
        summary.optimizer for summary in others if (best.optimizer, summary.optimizer) in wins
    ]
    level = [summary for summary in others if summary.optimizer not in beaten]
    # Diverged runs make the intervals so wide that no difference is significant: not a tie.
    erratic = [summary.optimizer for summary in level if summary.diverged and not best.diverged]
    tied = [summary.optimizer for summary in level if summary.optimizer not in erratic]
    clauses = _clauses(best, tied, beaten, wins, labels)
    seeds = [difference.seeds for difference in differences]
    clauses[0] += f" at n = {' to '.join(map(str, sorted({min(seeds), max(seeds)})))}"
    if erratic:
        clauses.append(f"with diverged runs, {_named(erratic, labels)} cannot be ranked")
    return "; ".join(clauses) + "."


def _clauses(best, tied, beaten, wins, labels):
    """Says which optimizers tie with the best, which of the others they all beat, and the rest."""
    label, metric = best.optimizer, best.metric

    def by(losers):
        return f"by {_margins([wins[label, loser] for loser in losers], metric)}"

    if not (tied or beaten):
        return [f"{labels[label]} has the best test {metric} in the mean"]
    if not tied:
        return [f"{labels[label]} beats {_named(beaten, labels)} {by(beaten)}"]
    if any(a in tied and b in tied for a, b in wins):  # so they do not all tie with each other
        clauses = [
            f"{_named(tied, labels)} are not distinguishable from {labels[label]}, the best,"
        ]
    else:
        clauses = [f"{_named([label, *tied], labels)} are not distinguishable"]
    by_all = [loser for loser in beaten if all((winner, loser) in wins for winner in tied)]
    by_best = [loser for loser in beaten if loser not in by_all]
    if by_all:
        who = "both" if len(tied) == 1 else f"all {1 + len(tied)}"
        clauses.append(f"{who} beat {_named(by_all, labels)}, {labels[label]} {by(by_all)}")
    if by_best:
        alone = " alone" if by_all else ""
        clauses.append(f"{labels[label]}{alone} beats {_named(by_best, labels)} {by(by_best)}")
    return clauses


def _missing(summaries, labels):
    most = max(summary.runs for summary in summaries)
    fewer = [
        f"{labels[summary.optimizer]} has {summary.runs} of {most}"
        for summary in summaries
        if summary.runs < most
    ]
    return f"Seeds are missing: {_listing(fewer)}." if fewer else ""


def _diverged(summaries, labels):
    some = [summary for summary in summaries if summary.diverged]
    counts = [
        f"{labels[summary.optimizer]} in {summary.diverged} of {summary.runs} runs"
        for summary in some
    ]
    return f"Diverged: {_listing(counts)}." if counts else ""


def _margins(differences, metric):
    """Lists margins in points or in loss, or of many the smallest and the largest."""
    scale, unit = (100, "points") if metric == "accuracy" else (1, "in loss")
    margins = [(scale * d.mean, scale * (d.high - d.mean)) for d in differences]
    if len(margins) <= _SHOWN:
        return f"{_listing([_measured(*margin) for margin in margins])} {unit}"
    return f"{_measured(*min(margins))} to {_measured(*max(margins))} {unit}"


def _measured(value, half):
    """Formats a value with as many decimals as the half width of its interval justifies.

    >>> _measured(0.8123, 0.3456), _measured(0.8123, 0.1456), _measured(31.4, 4.2)
    ('0.8 ± 0.3', '0.81 ± 0.15', '31 ± 4')
    """
    if not half > 0:
        return f"{value:.3g} ± {half:.3g}"
    leading = f"{half:.0e}"  # rounded first, so that 0.096 counts as 0.1
    decimals = max(0, leading.startswith("1") - int(leading.partition("e")[2]))
    return f"{value:.{decimals}f} ± {half:.{decimals}f}"


def _result(summary):
    scale, unit = (100, " %") if summary.metric == "accuracy" else (1, "")
    if math.isnan(summary.low):
        return f"{scale * summary.mean:#.4g}{unit}"
    measured = _measured(scale * summary.mean, scale * (summary.high - summary.mean))
    return f"{measured}{unit} at n = {summary.runs}"


def _with_ends(interval, decimals, kind=""):
    estimate, low, high = (f"{value:.{decimals}f}" for value in interval)
    return estimate if math.isnan(interval.low) else f"{estimate} ({kind}{low} to {high})"


def _named(optimizers, labels):
    return _listing([labels[optimizer] for optimizer in optimizers])


def _listing(items):
    """Joins items with commas and "and"; of many it counts the last.

    >>> _listing(["a"]), _listing(["a", "b", "c"]), _listing(["a"] * 9)
    ('a', 'a, b and c', 'a, a, a, a, a and 4 others')
    """
    if len(items) > _SHOWN:
        items = [*items[: _SHOWN - 1], f"{len(items) - _SHOWN + 1} others"]
    return " and ".join(filter(None, [", ".join(items[:-1]), items[-1]]))
