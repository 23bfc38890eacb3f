"""Every pair of optimizers on one workload: can they be told apart?"""

import dataclasses
import itertools

import numpy as np

from adaptive_jax import statistics
from adaptive_jax.comparison.rows import final_runs, resolution
from adaptive_jax.comparison.scores import score
from adaptive_jax.training.records import RunRecord


@dataclasses.dataclass(frozen=True)
class Difference:
    """Two optimizers' final runs, compared seed by seed.

    Attributes:
      better, worse: their labels.
      mean, low, high: how much better, in units of the metric and never negative in the mean, with
        its 95% t interval; the ends are NaN for a single seed.
      p: of the paired t test, adjusted by Holm's method for all pairs of the workload; NaN for a
        single seed.
      improvement: probability that a run of the better one beats a run of the worse one.
      seeds: how many both have run.
    """

    better: str
    worse: str
    mean: float
    low: float
    high: float
    p: float
    improvement: float
    seeds: int

    @property
    def distinguishable(self) -> bool:
        """Whether the adjusted p value is below 0.05."""
        return self.p < 0.05


def differences(records: list[RunRecord], order: list[str]) -> tuple[Difference, ...]:
    """All pairs of optimizers that have seeds in common.

    Args:
      records: of one workload.
      order: the optimizers' labels, the best first. Pairs come in this order; a pair that is equal
        on its common seeds, too.
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
    adjusted = statistics.holm([pair.p for pair in pairs])
    return tuple(
        dataclasses.replace(pair, p=float(p)) for pair, p in zip(pairs, adjusted, strict=True)
    )


def _difference(first, second, step) -> Difference:
    """Of two (label, {seed: score}), with the p value of this pair alone."""
    seeds = sorted(first[1].keys() & second[1].keys())

    def common(optimizer):
        return np.array([optimizer[1][seed] for seed in seeds])

    better, worse = first, second
    if np.mean(common(first) - common(second)) < 0:
        better, worse = second, first
    a, b = common(better), common(worse)
    mean, low, high = statistics.paired_t_interval(a, b, step)
    return Difference(
        better=better[0],
        worse=worse[0],
        mean=float(mean),
        low=float(low),
        high=float(high),
        p=float(statistics.paired_t_test(a, b, step)),
        improvement=float(statistics.probability_of_improvement(a, b)),
        seeds=len(seeds),
    )
