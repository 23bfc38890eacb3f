"""Statistics over several workloads: scores, probabilities, performance profiles.

Intervals come from the stratified bootstrap of Agarwal et al. 2021 (arXiv 2108.13264): runs are
resampled within each optimizer and workload. They cover the effect of other seeds, not of other
workloads. On 2 to 6 workloads with 5 to 10 normal runs each, 91 to 94% of such 95% intervals
contained the true value. A workload with a single run or an infinite score makes their ends NaN.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from adaptive_jax.lab.statistics.interval import Interval


def interquartile_mean(
    scores: Sequence[ArrayLike], resamples: int = 2000, seed: int = 0
) -> Interval:
    """Returns the mean of the middle half of all runs on all workloads (arXiv 2108.13264).

    A quarter of the runs, rounded down, is left out at each end, so that neither a workload that
    every optimizer fails on nor one that all solve dominates.

    Args:
      scores: the scores of the runs on each workload, on a common scale. NaN gives NaN.
      resamples, seed: number of resamples and seed of the bootstrap. Defaults: 2000 and 0.

    >>> interval = interquartile_mean([[0.1, 0.2, 0.3, 0.2], [0.8, 0.9, 0.7, 0.8]])
    >>> [round(float(x), 3) for x in interval]
    [0.5, 0.45, 0.55]
    """

    def middle(*runs, axis=-1):
        return stats.trim_mean(np.concatenate(runs, axis), 0.25, axis)

    return _stratified(middle, scores, resamples, seed)


def probability_of_improvement(a: ArrayLike, b: ArrayLike) -> np.ndarray:
    """Returns P(A > B) + P(A = B)/2 over all pairs of runs (arXiv 2108.13264).

    This is the Mann-Whitney statistic divided by its largest value. It does not use the pairing of
    seeds, because the question is which of two optimizers to try on a new seed.

    Args:
      a, b: `(..., n)` and `(..., m)`, higher is better. NaN gives NaN.

    >>> probability_of_improvement([3, 2], [1, 2])
    np.float64(0.875)
    """
    a, b = np.asarray(a, float)[..., :, None], np.asarray(b, float)[..., None, :]
    wins = (a > b) + (a == b) / 2
    return np.mean(np.where(np.isnan(a) | np.isnan(b), np.nan, wins), (-2, -1))


def mean_improvement(
    a: Sequence[ArrayLike], b: Sequence[ArrayLike], resamples: int = 2000, seed: int = 0
) -> Interval:
    """Returns `probability_of_improvement`, averaged over workloads.

    Args:
      a, b: the scores of the runs on each workload, higher is better. Scales may differ between
        workloads. NaN gives NaN.
      resamples, seed: number of resamples and seed of the bootstrap. Defaults: 2000 and 0.

    Raises:
      ValueError: `a` and `b` have different numbers of workloads.

    >>> mean_improvement([[3, 4], [5, 6]], [[1, 2], [5, 6]]).estimate
    0.75
    """
    if len(a) != len(b):
        raise ValueError(f"a and b must have the same workloads, got {len(a)} and {len(b)}")

    def improvement(*runs, axis=-1):
        pairs = zip(runs[: len(a)], runs[len(a) :], strict=True)
        return np.mean([probability_of_improvement(*pair) for pair in pairs], 0)

    return _stratified(improvement, [*a, *b], resamples, seed)


class Profiles(NamedTuple):
    """Performance profiles, as step functions: row i of `fractions` is that of optimizer i.

    Attributes:
      taus: `(t,)`, ascending from 1; beyond the last one nothing changes.
      fractions: `(optimizers, t)`, the values in [0, 1] from each tau on.
    """

    taus: np.ndarray
    fractions: np.ndarray


def performance_profiles(costs: ArrayLike) -> Profiles:
    """Returns Dolan & Moré's performance profiles (2002, doi 10.1007/s101070100263).

    For each optimizer and tau this is the fraction of workloads on which it needed at most tau
    times the cost of the best optimizer there: at 1 how often it was the best, at the right how
    often it reached the target at all.

    Args:
      costs: `(optimizers, workloads)`, steps or seconds to the target, inf for a missed target.
        A workload on which all missed it counts for none.

    Raises:
      ValueError: there are fewer than four workloads, or a cost is NaN or not positive.

    >>> performance_profiles([[10, 40, 30, 9], [20, 20, np.inf, 9]])
    Profiles(taus=array([1., 2.]), fractions=array([[0.75, 1.  ],
           [0.5 , 0.75]]))
    """
    costs = np.asarray(costs, float)
    workloads = costs.shape[1]
    if workloads < 4:
        raise ValueError(
            "performance profiles need at least 4 workloads, since each moves a curve by its whole "
            f"share; got {workloads}: compare the costs themselves"
        )
    if not (costs > 0).all():
        raise ValueError(f"costs must be positive, inf for a missed target; got {costs.min()}")
    best = costs.min(0)
    ratios = np.divide(costs, best, out=np.full_like(costs, np.inf), where=np.isfinite(best))
    taus = np.unique([1.0, *ratios[np.isfinite(ratios)]])
    return Profiles(taus, np.mean(ratios[:, None, :] <= taus[:, None], -1))


def _stratified(statistic: Callable, runs: Sequence[ArrayLike], resamples: int, seed: int):
    runs = [np.asarray(scores, float) for scores in runs]
    estimate = float(statistic(*runs))
    if min(map(len, runs)) < 2 or not all(np.isfinite(scores).all() for scores in runs):
        return Interval(estimate, np.nan, np.nan)
    low, high = stats.bootstrap(
        runs,
        statistic,
        n_resamples=resamples,
        vectorized=True,
        method="percentile",
        rng=seed,
    ).confidence_interval
    return Interval(estimate, float(low), float(high))
