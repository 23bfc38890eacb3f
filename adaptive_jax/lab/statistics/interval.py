"""95% confidence intervals of one sample: of a mean, and of a proportion."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


class Interval(NamedTuple):
    """An estimate and the ends of its 95% interval, NaN if there is no interval.

    Attributes:
      estimate, low, high: float64 arrays of one shape, or Python numbers.
    """

    estimate: np.ndarray | float
    low: np.ndarray | float
    high: np.ndarray | float


def t_interval(
    values: ArrayLike,
    resolution: float = 0.0,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Interval:
    """Returns Student's t interval of the mean.

    A metric with a finite resolution can have equal values for different runs. Rounding to steps of
    `resolution` has variance resolution²/12, so a standard deviation below resolution/√12 is
    raised to that.

    Args:
      values: `(..., n)`, one for each run. The ends are NaN for a single run, and if a value is not
        finite.
      resolution: the step of the metric, such as 1/325 for an accuracy on 325 examples. Default:
        0.0.
      bounds: the lowest and highest possible mean, such as (0, 1) for an accuracy. The interval is
        cut there, which takes nothing away that could be true. Default: infinite.

    Raises:
      ValueError: there is no run on the last axis.

    >>> [round(float(x), 3) for x in t_interval([0.90, 0.92, 0.91, 0.94, 0.93])]
    [0.92, 0.9, 0.94]
    """
    mean, error, freedom = mean_and_error(values, resolution)
    half = error * (stats.t.ppf(0.975, freedom) if freedom else math.nan)
    return Interval(mean, *np.clip([mean - half, mean + half], *bounds))


def mean_and_error(values: ArrayLike, resolution: float) -> tuple[np.ndarray, np.ndarray, int]:
    """Returns mean, standard error (NaN for one value) and degrees of freedom on the last axis."""
    values = np.asarray(values, float)
    count = values.shape[-1]
    if count == 0:
        raise ValueError("values must have at least one run on the last axis, got none")
    with np.errstate(invalid="ignore"):  # inf - inf, which is NaN, as it should be
        mean = values.mean(-1)
        squares = np.sum((values - mean[..., None]) ** 2, -1)
    deviation = np.sqrt(squares / (count - 1)) if count > 1 else np.full_like(mean, np.nan)
    deviation = np.maximum(deviation, resolution / math.sqrt(12))
    return mean, deviation / math.sqrt(count), count - 1


def wilson_interval(successes: int, trials: int) -> Interval:
    """Returns Wilson's score interval of a proportion (Wilson 1927, doi 10.2307/2276774).

    Unlike the normal approximation it has a positive width at 0 of n, the usual count of diverged
    runs.

    Args:
      successes, trials: counts, `0 <= successes <= trials`. No trials give NaN.

    Raises:
      ValueError: there are more successes than trials.

    >>> [round(float(x), 3) for x in wilson_interval(0, 5)]
    [0.0, 0.0, 0.434]
    """
    if trials == 0:
        return Interval(math.nan, math.nan, math.nan)
    low, high = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    return Interval(successes / trials, float(low), float(high))
