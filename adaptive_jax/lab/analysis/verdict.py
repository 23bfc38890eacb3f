"""The verdict of a comparison, in sentences."""

import math
from collections.abc import Sequence

from adaptive_jax.lab.analysis.differences import LEVEL, Difference
from adaptive_jax.lab.analysis.labels import display_labels
from adaptive_jax.lab.analysis.overall import Overall
from adaptive_jax.lab.analysis.summaries import Summary

_SHOWN = 6  # of a list in a sentence


def of_workload(summaries: Sequence[Summary], differences: Sequence[Difference]) -> str:
    """Says which optimizers are best on a workload, whom they beat, and which diverged.

    Args:
      summaries: of the optimizers with final runs, the best first.
      differences: of all pairs of them.
    """
    if not summaries:
        return "No optimizer has final runs yet."
    labels = display_labels([summary.optimizer for summary in summaries])
    sentences = [
        *_ranking(summaries, differences, labels),
        _missing(summaries, labels),
        _diverged(summaries, differences, labels),
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
    """Returns the sentences on who beats whom."""
    first = summaries[0]
    if len(summaries) == 1:
        if math.isnan(first.mean):
            return [f"{labels[first.optimizer]} alone has final runs."]
        text = f"{labels[first.optimizer]} alone has final runs"
        return [f"{text}: test {first.metric} {_result(first)}."]
    if all(difference.units < 2 for difference in differences):
        return [_untested(summaries, differences, labels)]
    wins = {(d.better, d.worse): d for d in differences if d.distinguishable}
    # The first, unless another beats it on the seeds that both have.
    losses = [worse for _, worse in wins]
    best = min(summaries, key=lambda summary: losses.count(summary.optimizer))
    others = [summary for summary in summaries if summary is not best]
    beaten = [
        summary.optimizer for summary in others if (best.optimizer, summary.optimizer) in wins
    ]
    level = [summary for summary in others if summary.optimizer not in beaten]
    # What diverged has a worse mean, and few runs that show its typical one: not a tie.
    erratic = [summary for summary in level if summary.diverged and not best.diverged]
    tied = [summary.optimizer for summary in level if summary not in erratic]
    sentences = _sentences(best, tied, beaten, wins, labels, differences)
    sentences[0] += f" ({_units(differences)})"
    if erratic:
        names = [summary.optimizer for summary in erratic]
        verb = "is" if len(names) == 1 else "are"
        sentences.append(f"{_named(names, labels)} {verb} not ranked, because of diverged runs")
    if any(not d.varies for d in differences):
        sentences.append("Runs that do not vary with the seed are compared without a test")
    return [f"{sentence}." for sentence in sentences]


def _untested(summaries, differences, labels):
    """Says who is ahead where no pair has two common seeds with finished runs of both."""
    first = summaries[0]
    extreme = "highest" if first.metric == "accuracy" else "lowest"
    text = f"{labels[first.optimizer]} has the {extreme} test {first.metric}, {_result(first)}"
    if max(summary.runs for summary in summaries) == 1:
        return f"{text}, but one run each does not show what another seed would change."
    if differences and any(summary.diverged for summary in summaries):
        return f"{text}, but no two optimizers have two seeds with which neither diverged."
    return f"{text}, but no two optimizers share two seeds, so they cannot be compared."


def _sentences(best, tied, beaten, wins, labels, differences):
    """Says which optimizers tie with the best, which of the others they all beat, and the rest."""
    label, metric = best.optimizer, best.metric

    def by(loser):
        return f"{labels[loser]} by {_margin(wins[label, loser], metric)}"

    if not (tied or beaten):
        return [f"{labels[label]} has the best test {metric} in the mean"]
    if not tied:
        if len(beaten) <= _SHOWN:
            return [f"{labels[label]} beats {_listing([by(loser) for loser in beaten])}"]
        margins = sorted((wins[label, loser] for loser in beaten), key=lambda d: d.mean)
        ends = f"{_margin(margins[0], metric)} to {_margin(margins[-1], metric)}"
        return [f"{labels[label]} beats {_named(beaten, labels)} by {ends}"]
    sentences = [_tie(label, tied, wins, labels, differences, metric)]
    by_all = [loser for loser in beaten if all((winner, loser) in wins for winner in tied)]
    by_best = [loser for loser in beaten if loser not in by_all]
    if by_all:
        who = "Both" if len(tied) == 1 else f"All {1 + len(tied)}"
        largest = max(
            (d for (a, b), d in wins.items() if a in (label, *tied) and b in by_all),
            key=lambda d: d.mean,
        )
        over = f" over {labels[largest.worse]}" if len(by_all) > 1 else ""
        sentences.append(
            f"{who} beat {_named(by_all, labels)}; the largest margin is "
            f"{labels[largest.better]}'s{over}, {_margin(largest, metric)}"
        )
    if by_best:
        alone = " alone" if by_all else ""
        if len(by_best) <= _SHOWN:
            whom = _listing([by(loser) for loser in by_best])
        else:
            whom = _named(by_best, labels)
        sentences.append(f"{labels[label]}{alone} beats {whom}")
    return sentences


def _tie(label, tied, wins, labels, differences, metric):
    if any(a in tied and b in tied for a, b in wins):  # so they do not all tie with each other
        return f"{_named(tied, labels)} are statistically tied with {labels[label]}, the best"
    group = {label, *tied}
    pairs = [d for d in differences if {d.better, d.worse} <= group]
    names = _named([label, *tied], labels)
    if all(d.equal for d in pairs):
        scale, unit = _scale(metric)
        return f"{names} are equal within {scale * pairs[0].min_effect:.2g} {unit}"
    return f"{names} are statistically tied"


def _units(differences):
    counts = sorted({d.units for d in differences if d.units > 1})
    ends = " to ".join(map(str, dict.fromkeys((counts[0], counts[-1]))))
    return f"n = {ends}{' studies' if any(d.studies > 1 for d in differences) else ''}"


def _missing(summaries, labels):
    most = max(summary.runs for summary in summaries)
    fewer = [
        f"{labels[summary.optimizer]} has {summary.runs} of {most}"
        for summary in summaries
        if summary.runs < most
    ]
    return f"Seeds are missing: {_listing(fewer)}." if fewer else ""


def _diverged(summaries, differences, labels):
    """Says which optimizers diverged, how often, and whether that is more than another."""
    some = [summary for summary in summaries if summary.diverged]
    if not some:
        return ""
    counts = [
        f"{labels[summary.optimizer]} in {summary.diverged} of {summary.runs} runs "
        f"({100 * summary.diverged_low:.0f} to {100 * summary.diverged_high:.0f} %)"
        for summary in some
    ]
    text = f"Diverged: {_listing(counts)}; margins leave these runs out."
    share = {summary.optimizer: summary.diverged / summary.runs for summary in summaries}
    more = [
        sorted((d.better, d.worse), key=lambda optimizer: -share[optimizer])
        for d in differences
        if d.divergence_p < LEVEL
    ]
    often = [
        f"{labels[often]} more often than {_named([b for a, b in more if a == often], labels)}"
        for often in dict.fromkeys(a for a, _ in more)
    ]
    return f"{text} Significantly, {_listing(often)}." if often else text


def _scale(metric):
    return (100, "points") if metric == "accuracy" else (1, "in loss")


def _margin(difference, metric):
    """Says by how much, with half the width of the interval."""
    scale, unit = _scale(metric)
    if math.isnan(difference.low):
        return f"{scale * difference.mean:.3g} {unit}"
    half = (difference.high - difference.low) / 2
    return f"{_measured(scale * difference.mean, scale * half)} {unit}"


def _measured(value, half):
    """Formats a value with as many decimals as the half width of its interval justifies.

    >>> _measured(0.8123, 0.3456), _measured(0.8123, 0.1456), _measured(31.4, 4.2)
    ('0.8 ± 0.3', '0.81 ± 0.15', '31 ± 4')
    """
    if not half > 0:
        return f"{value:.3g} ± {half:.3g}"
    decimals = _decimals(half)
    return f"{value:.{decimals}f} ± {half:.{decimals}f}"


def _decimals(half):
    leading = f"{half:.0e}"  # rounded first, so that 0.096 counts as 0.1
    return max(0, leading.startswith("1") - int(leading.partition("e")[2]))


def _result(summary):
    scale, unit = (100, " %") if summary.metric == "accuracy" else (1, "")
    mean, low, high = (scale * end for end in (summary.mean, summary.low, summary.high))
    if math.isnan(low):
        return f"{mean:#.4g}{unit}"
    if math.isclose(mean - low, high - mean, rel_tol=1e-6):
        text = _measured(mean, high - mean)
    else:  # cut at a bound
        decimals = _decimals((high - low) / 2)
        text = f"{mean:.{decimals}f} ({low:.{decimals}f} to {high:.{decimals}f})"
    n = summary.studies if summary.studies > 1 else summary.runs - summary.diverged
    return f"{text}{unit} (n = {n})"


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
