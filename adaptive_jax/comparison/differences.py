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
    pairs, p_values = [], []
    for better, worse in itertools.combinations(order, 2):
        seeds = sorted(scores[better].keys() & scores[worse].keys())
        if not seeds:
            continue
        a, b = (np.array([scores[label][seed] for seed in seeds]) for label in (better, worse))
        if np.mean(a) < np.mean(b):  # by the order only on seeds that the other one lacks
            better, worse, a, b = worse, better, b, a
        p_values.append(statistics.paired_t_test(a, b, step))
        interval = map(float, statistics.paired_t_interval(a, b, step))
        improvement = float(statistics.probability_of_improvement(a, b))
        pairs.append((better, worse, *interval, improvement, len(seeds)))
    return tuple(
        Difference(*names_and_interval, float(p), improvement, seeds)
        for (*names_and_interval, improvement, seeds), p in zip(
            pairs, statistics.holm(p_values), strict=True
        )
    )
