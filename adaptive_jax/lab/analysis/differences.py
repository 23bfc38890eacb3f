"""The differences of every pair of optimizers on one workload, and their significance."""

import dataclasses
import itertools

import numpy as np

from adaptive_jax.lab import statistics
from adaptive_jax.lab.analysis.scores import score
from adaptive_jax.lab.analysis.summaries import final_runs, resolution
from adaptive_jax.lab.training.records import RunRecord


@dataclasses.dataclass(frozen=True)
class Difference:
    """Two optimizers' final runs, compared seed by seed.

    Attributes:
      better, worse: their labels.
      mean, low, high: how much better, in units of the metric and never negative in the mean, with
        its 95% t interval; the ends are NaN for a single seed.
      p: of the paired t test, adjusted by Holm's method for all pairs of the workload; NaN for a
        single seed.
      bootstrap_low, bootstrap_high: ends of the studentized bootstrap's 95% interval of the mean,
        which assumes less about the distribution; NaN for fewer than four seeds.
      wilcoxon_p: of Wilcoxon's signed-rank test, adjusted likewise. It is below 0.05 for no pair
        of five seeds.
      improvement: probability that a run of the better one beats a run of the worse one.
      seeds: number of seeds that both have.
    """

    better: str
    worse: str
    mean: float
    low: float
    high: float
    p: float
    bootstrap_low: float
    bootstrap_high: float
    wilcoxon_p: float
    improvement: float
    seeds: int

    @property
    def distinguishable(self) -> bool:
        """True if the adjusted p value is below 0.05."""
        return self.p < 0.05


def differences(records: list[RunRecord], order: list[str]) -> tuple[Difference, ...]:
    """Returns the differences of all pairs of optimizers that share seeds.

    Args:
      records: of one workload.
      order: the optimizers' labels, the best first. Pairs come in this order, and of two that tie
        on their common seeds the first is called better.
    """
    scores = {
        label: {run.seed: score(run) for run in runs} for label, runs in final_runs(records).items()
    }
    step = resolution(records[0])
    pairs = [
        _difference((a, scores[a]), (b, scores[b]), step)
        for a, b in itertools.combinations(order, 2)
        if scores[a].keys() & scores[b].keys()
    ]
    tests = zip(*[(pair.p, pair.wilcoxon_p) for pair in pairs], strict=True)
    adjusted = [statistics.holm(p) for p in tests] or [[], []]
    return tuple(
        dataclasses.replace(pair, p=float(p), wilcoxon_p=float(wilcoxon))
        for pair, p, wilcoxon in zip(pairs, *adjusted, strict=True)
    )


def _difference(first, second, step) -> Difference:
    """Compares two (label, {seed: score}); the p values are of this pair alone."""
    seeds = sorted(first[1].keys() & second[1].keys())

    def common(optimizer):
        return np.array([optimizer[1][seed] for seed in seeds])

    better, worse = first, second
    if np.mean(common(first) - common(second)) < 0:
        better, worse = second, first
    a, b = common(better), common(worse)
    mean, low, high = statistics.paired_t_interval(a, b, step)
    bootstrap = statistics.paired_bootstrap_interval(a, b)
    return Difference(
        better=better[0],
        worse=worse[0],
        mean=float(mean),
        low=float(low),
        high=float(high),
        p=float(statistics.paired_t_test(a, b, step)),
        bootstrap_low=float(bootstrap.low),
        bootstrap_high=float(bootstrap.high),
        wilcoxon_p=statistics.wilcoxon_test(a, b),
        improvement=float(statistics.probability_of_improvement(a, b)),
        seeds=len(seeds),
    )
