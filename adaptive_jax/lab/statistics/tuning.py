"""How far tuning may have stopped below the best hyperparameters."""

import math

import numpy as np
from numpy.typing import ArrayLike

from adaptive_jax.lab.statistics.budget import expected_best


def tuning_shortfall(
    positions: ArrayLike,
    scores: ArrayLike,
    chosen: float,
    noise: float = 0.0,
    draws: int = 400,
    seed: int = 0,
) -> float:
    """Returns the root mean square shortfall of the setting that tuning chose on a curve.

    Let μ(x) be the expected score at x, the logarithm of the learning rate. Tuning saw
    yᵢ = μ(xᵢ) + noise at the points xᵢ and chose one of them, x̂. Final runs measure μ(x̂). Their
    mean is below what the optimizer reaches at its best rate by the shortfall

        r = maxₓ μ(x) - μ(x̂) ≥ 0.

    There are two causes. The grid may miss the best rate: near it μ(x) = c - κ (x - x*)² / 2, and
    with spacing h the nearest point has r ≤ κ h² / 8. And noise may hide which point is best.
    Neither shrinks with the number of final seeds. The difference of two optimizers is off by
    r_b - r_a, whose mean square is at most E r_a² + E r_b².

    E r² is found from the data. Given y (with a flat prior), μ(xᵢ) is normal about yᵢ with the
    standard deviation `noise`; each draw gives a curve. Between neighbors it is a quadratic through
    both. Its curvature κ is the smaller of those of the two parabolas through a further neighbor
    on the left or right (as in ENO interpolation, Harten et al. 1987), because one of them often
    reaches down a cliff on which runs diverge. On a parabola both are exact. Nothing is assumed
    beyond the first and last point.

    Args:
      positions: `(k,)`, the logarithms of the rates that were tried, in any order, no two equal.
      scores: `(k,)`, their mean scores, higher is better, finite.
      chosen: the position of the setting that was chosen, one of `positions`.
      noise: standard deviation of a score about μ. Default: 0.0.
      draws, seed: number and seed of the random curves. Defaults: 400 and 0.

    Raises:
      ValueError: `chosen` is not one of the positions.

    >>> round(tuning_shortfall([-2, -1, 0, 1], [0.55, 0.80, 0.85, 0.70], chosen=0), 5)
    0.00625
    """
    order = np.argsort(positions)
    x, y = np.asarray(positions, float)[order], np.asarray(scores, float)[order]
    (at,) = np.nonzero(x == chosen)
    if len(at) == 0:
        raise ValueError(f"chosen must be one of the positions {x.tolist()}, got {chosen}")
    if noise > 0:
        y = y + noise * np.random.default_rng(seed).normal(size=(draws, len(x)))
    shortfall = _highest(x, y) - y[..., at[0]]
    return float(np.sqrt(np.mean(shortfall**2)))


def _highest(x, y):
    """Returns the maximum of the interpolated curves through `y`, `(..., k)`."""
    highest = y.max(-1)
    if len(x) < 3:
        return highest
    width = np.diff(x)
    slope = np.diff(y, axis=-1) / width
    curvature = -2 * np.diff(slope, axis=-1) / (x[2:] - x[:-2])
    pad = np.full_like(y[..., :1], np.inf)
    curvature = np.minimum(
        np.concatenate([pad, curvature], -1), np.concatenate([curvature, pad], -1)
    )
    # From the left end: y + slope t + curvature t (width - t) / 2, convex ones peak at an end.
    with np.errstate(divide="ignore", invalid="ignore"):
        peak = np.where(curvature > 0, width / 2 + slope / curvature, 0.0)
    peak = np.clip(peak, 0, width)
    bump = np.maximum(curvature, 0) * peak * (width - peak) / 2
    return np.maximum(highest, np.max(y[..., :-1] + slope * peak + bump, -1))


def search_shortfall(scores: ArrayLike, dimensions: int) -> float:
    """Returns the root mean square shortfall of a random search of several hyperparameters.

    Near the best setting the score falls quadratically, so the shortfall of the best of k random
    settings in d dimensions is proportional to k^(-2/d). What a search of m settings loses against
    one of k then tells the shortfall of k:

        E r_k = (E best of k - E best of m) / ((k / m)^(2/d) - 1),

    with m = ⌈k/2⌉ and the estimates of `expected_best`. The share of settings above the best of k
    is nearly exponentially distributed, and for two dimensions so is the shortfall. Hence its root
    mean square is taken as √2 times its mean. Noise of the scores counts as shortfall.

    Args:
      scores: `(k,)`, the mean scores of the settings, higher is better, finite.
      dimensions: number of hyperparameters that were searched.

    >>> round(search_shortfall([0.70, 0.90, 0.92, 0.80], dimensions=2), 4)
    0.0377
    """
    count = np.size(scores)
    if count < 2:
        return 0.0
    part = (count + 1) // 2
    best = expected_best(scores)
    mean = (best[-1] - best[part - 1]) / ((count / part) ** (2 / dimensions) - 1)
    return math.sqrt(2) * float(mean)
