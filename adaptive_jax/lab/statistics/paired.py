"""Paired statistics of two optimizers that ran with the same seeds.

Both share each seed's initial parameters and order of examples. So these statistics use the
differences seed by seed, in which the effect of a seed on both cancels.
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from adaptive_jax.lab.statistics.interval import Interval, mean_and_error


def paired_t_interval(
    a: ArrayLike,
    b: ArrayLike,
    resolution: float = 0.0,
    common_error: float = 0.0,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Interval:
    """Returns Student's t interval of the mean of `a - b`.

    Args:
      a, b: `(..., n)`, the same seeds in the same order. One seed has no interval.
      resolution: as in `t_interval`, of `a` and of `b`: a standard deviation of the differences
        below √(resolution²/6), the effect of rounding alone, is raised to that. So three equal
        differences of one example do not give an interval of width 0. Default: 0.0.
      common_error: standard deviation of an error that all seeds share and that therefore does not
        show in their spread, such as `tuning_shortfall`. Its square is added to the squared
        standard error s²/n. Taken as known, it raises the degrees of freedom to
        (n - 1) (s²/n + common_error²)² / (s²/n)² (Satterthwaite 1946, doi 10.2307/3002019).
        Default: 0.0.
      bounds: as in `t_interval`.

    Raises:
      ValueError: there is no seed, or shapes do not match.

    >>> [round(float(x), 3) for x in paired_t_interval([0.95, 0.97, 0.96], [0.91, 0.94, 0.92])]
    [0.037, 0.022, 0.051]
    """
    mean, error, freedom = _mean_difference(a, b, resolution, common_error)
    half = error * stats.t.ppf(0.975, freedom)
    return Interval(mean, *np.clip([mean - half, mean + half], *bounds))


def paired_t_test(
    a: ArrayLike,
    b: ArrayLike,
    resolution: float = 0.0,
    common_error: float = 0.0,
) -> np.ndarray:
    """Returns the two-sided p value of Student's t test that the mean of `a - b` is 0.

    It is below 0.05 if `paired_t_interval` excludes 0. It is 1 if all differences are 0. It is NaN
    for one seed, for a value that is not finite, and for equal differences at `resolution` and
    `common_error` 0: where nothing varies there is nothing to test.

    Args:
      a, b, resolution, common_error: as in `paired_t_interval`.

    Raises:
      ValueError: there is no seed, or shapes do not match.

    >>> round(float(paired_t_test([0.95, 0.97, 0.96], [0.91, 0.94, 0.92])), 4)
    0.0082
    """
    mean, error, freedom = _mean_difference(a, b, resolution, common_error)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * stats.t.sf(np.abs(mean) / error, freedom)
    return np.where(error == 0, np.where(mean == 0, 1.0, np.nan), p)


def equivalence_test(
    a: ArrayLike,
    b: ArrayLike,
    margin: float,
    resolution: float = 0.0,
    common_error: float = 0.0,
) -> np.ndarray:
    """Returns the p value of two one-sided t tests that the mean of `a - b` is within ± `margin`.

    Unlike other tests, it is small if the two are alike (Schuirmann 1987, doi 10.1007/BF01068419):
    below 0.05 if the 90% interval of the mean is within ± `margin`.

    Args:
      a, b, resolution, common_error: as in `paired_t_interval`.
      margin: the smallest difference of interest, not negative.

    Raises:
      ValueError: there is no seed, or shapes do not match.

    >>> round(float(equivalence_test([0.95, 0.97, 0.96], [0.95, 0.96, 0.97], margin=0.05)), 3)
    0.007
    """
    mean, error, freedom = _mean_difference(a, b, resolution, common_error)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = stats.t.sf((margin - np.abs(mean)) / error, freedom)
    return np.where(error == 0, np.abs(mean) > margin, p)


def wilcoxon_test(a: ArrayLike, b: ArrayLike) -> float:
    """Returns the two-sided p value of Wilcoxon's signed-rank test of `a - b` about 0.

    The test is exact, also with ties: the rank sum is compared with those of all 2ⁿ assignments of
    signs. It assumes only symmetry, but the p value of n seeds is at least 2/2ⁿ. That is 0.0625 for
    5 seeds, so nothing is significant below 6 seeds.

    Args:
      a, b: `(n,)`, the same seeds in the same order. Differences of 0 are left out; if all are
        0, the p value is 1. NaN gives NaN.

    Raises:
      ValueError: shapes do not match.

    >>> wilcoxon_test([5, 6, 7, 8, 9], [1, 1, 1, 1, 1])
    0.0625
    """
    differences = np.subtract(a, b)
    differences = differences[differences != 0]
    if np.isnan(differences).any():
        return math.nan
    ranks = np.rint(2 * stats.rankdata(np.abs(differences))).astype(int)  # whole with ties
    chance = np.ones(1)  # of each sum of the ranks so far
    for rank in ranks:
        chance = (np.pad(chance, (0, rank)) + np.pad(chance, (rank, 0))) / 2
    distance = np.abs(2 * np.arange(chance.size) - ranks.sum())
    found = abs(2 * ranks[differences > 0].sum() - ranks.sum())
    return float(min(1.0, chance[distance >= found].sum()))


def paired_bootstrap_interval(
    a: ArrayLike, b: ArrayLike, resamples: int = 2000, seed: int = 0
) -> Interval:
    """Returns the studentized bootstrap interval of the mean of `a - b` (Efron & Tibshirani 1993).

    Each resample's deviation from the mean is divided by its own standard error, and the quantiles
    of these ratios replace Student's (chapter 12). That makes it usable for few runs: of 10000
    intervals of 95% each, these percentages contained the true mean.

        differences      normal        exponential     log-normal
        seeds            5    10        5    10        5    10
        studentized     94.8  95.0     92.6  94.2     89.7  91.2
        t interval      94.7  94.9     87.7  90.0     82.7  84.6
        percentile      83.5  89.9     77.5  86.2     72.5  81.0

    Percentile intervals are too short by √((n-1)/n) and lack Student's tails. The price is length:
    for 5 seeds of normal differences the median length is 1.29 times that of the t interval.

    Args:
      a, b: `(..., n)`, the same seeds in the same order. Below four seeds, where a tenth of the
        resamples or more repeat one seed, the ends are NaN. Ties can make an end infinite; for
        metrics of finite resolution prefer `paired_t_interval`.
      resamples, seed: of the bootstrap; the same seed gives the same interval. Defaults: 2000, 0.

    Raises:
      ValueError: there is no seed, or shapes do not match.

    >>> a, b = [0.95, 0.97, 0.96, 0.95, 0.98], [0.91, 0.94, 0.92, 0.93, 0.93]
    >>> [round(float(x), 3) for x in paired_bootstrap_interval(a, b)]
    [0.036, 0.019, 0.047]
    """
    differences = np.subtract(a, b, dtype=float)
    mean, error, freedom = mean_and_error(differences, 0.0)
    if freedom < 3:
        return Interval(mean, mean * np.nan, mean * np.nan)
    count = freedom + 1
    drawn = np.random.default_rng(seed).integers(count, size=(resamples, count))
    means, errors, _ = mean_and_error(differences[..., drawn], 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = (means - mean[..., None]) / errors
    ratios = np.where(np.isnan(ratios), 0.0, ratios)  # all differences are equal
    # An order statistic: infinite ratios cannot be interpolated.
    low, high = np.quantile(ratios, [0.025, 0.975], axis=-1, method="inverted_cdf")
    return Interval(mean, mean - high * error, mean - low * error)


def _mean_difference(a, b, resolution, common_error):
    """Returns mean, standard error and degrees of freedom of `a - b`, NaN for one seed."""
    differences = np.subtract(a, b)
    # One rounding with the variance of two.
    mean, error, freedom = mean_and_error(differences, math.sqrt(2) * resolution)
    total = np.sqrt(error**2 + common_error**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(total > 0, error / total, 1.0)
        freedom = np.where(freedom > 0, freedom / share**4, np.nan)
    return mean, total, freedom
