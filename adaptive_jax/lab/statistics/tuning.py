"""Estimates of how far tuning stopped below the best hyperparameters."""

import itertools
import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

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

    There are two causes. The points may miss the best rate: near it μ(x) = c - κ (x - x*)² / 2, and
    the nearest point of a grid with spacing h has r ≤ κ h² / 8. And noise may hide which is best.
    Neither shrinks with the number of final seeds. The difference of two optimizers is off by
    r_b - r_a, whose mean square is at most E r_a² + E r_b². (It cannot be corrected, since the sign
    is unknown.)

    E r² is the mean over random curves μ that the data allow, with a flat prior:

    - A parabola is fitted by least squares to the points nearest to x̂: to as many as its residuals
      allow (χ² at 5%, given `noise`). If these are at least 4, curves are drawn from the normal
      distribution of its coefficients, within the range of these points.
    - Otherwise, as for a coarse grid, each μ(xᵢ) is drawn from N(yᵢ, noise²). Between neighbors the
      curve is a quadratic through both. Its curvature is the smaller of those of the two parabolas
      through a further neighbor, left or right (as in ENO interpolation, Harten et al. 1987,
      doi 10.1016/0021-9991(87)90031-3), because one of them often reaches down a cliff.

    Nothing is assumed beyond the first and last point.

    Args:
      positions: `(k,)`, the logarithms of the rates that were tried, in any order, no two equal.
      scores: `(k,)`, their mean scores, higher is better, finite.
      chosen: the logarithm of the rate that was chosen, usually one of `positions`.
      noise: standard deviation of a score about μ. Default: 0.0.
      draws, seed: number and seed of the random curves. Defaults: 400 and 0.

    >>> round(tuning_shortfall([-2, -1, 0, 1], [0.55, 0.80, 0.85, 0.70], chosen=0), 5)
    0.00625
    """
    order = np.argsort(positions)
    x, y = np.asarray(positions, float)[order], np.asarray(scores, float)[order]
    normal = np.random.default_rng(seed).normal
    chosen = float(np.clip(chosen, x[0], x[-1]))
    near = _parabola(x, y, chosen, noise) if noise > 0 else None
    if near is not None:
        ends, coefficients, root = near
        at = np.append(np.linspace(*ends, 65), chosen)
        drawn = coefficients + noise * normal(size=(draws, 3)) @ root
        curves = drawn @ np.vander(at - chosen, 3).T
    else:
        at = np.concatenate([np.linspace(*pair, 33) for pair in itertools.pairwise(x)] + [[chosen]])
        drawn = y + noise * normal(size=(draws if noise > 0 else 1, len(x)))
        curves = _interpolated(x, drawn, at)
    return float(np.sqrt(np.mean((curves.max(-1) - curves[:, -1]) ** 2)))


def _parabola(x, y, chosen, noise):
    """Fits a parabola about `chosen` to the nearest points, to as many as it describes.

    Returns the range of the points, the coefficients, and a root of their covariance at a noise of
    1; None if it describes fewer than 4.
    """
    order = np.argsort(np.abs(x - chosen))
    for count in range(len(x), 3, -1):
        part = order[:count]
        design = np.vander(x[part] - chosen, 3)
        coefficients = np.linalg.lstsq(design, y[part])[0]
        squares = np.sum((y[part] - design @ coefficients) ** 2) / noise**2
        if stats.chi2.sf(squares, count - 3) > 0.05:
            # With design = Q R, the covariance is R⁻¹ R⁻ᵀ.
            root = np.linalg.inv(np.linalg.qr(design)[1]).T
            return (x[part].min(), x[part].max()), coefficients, root
    return None


def _interpolated(x, y, at):
    """Returns the curves through `y`, `(..., k)`, at some points within the range of `x`."""
    if len(x) == 1:
        return np.repeat(y, len(at), -1)
    width = np.diff(x)
    slope = np.diff(y, axis=-1) / width
    curvature = np.zeros_like(slope)
    if len(x) > 2:
        inner = -2 * np.diff(slope, axis=-1) / (x[2:] - x[:-2])
        left = np.concatenate([inner[..., :1], inner], -1)
        right = np.concatenate([inner, inner[..., -1:]], -1)
        curvature = np.maximum(np.minimum(left, right), 0)
    i = np.clip(np.searchsorted(x, at, "right") - 1, 0, len(x) - 2)
    step = at - x[i]
    return y[..., i] + slope[..., i] * step + curvature[..., i] * step * (width[i] - step) / 2


def search_shortfall(scores: ArrayLike, dimensions: int) -> float:
    """Returns the root mean square shortfall of a random search of several hyperparameters.

    Near the best setting the score falls quadratically, so the shortfall of the best of k random
    settings in d dimensions is proportional to k^(-2/d). What a search of m settings loses against
    one of k then tells the shortfall of k:

        E r_k = (E best of k - E best of m) / ((k / m)^(2/d) - 1),

    with m = ⌈k/2⌉ and the estimates of `expected_best`. The share of settings above the best of k
    is nearly exponentially distributed, and for two dimensions so is the shortfall. Hence its root
    mean square is taken as √2 times its mean. Noise of the scores counts as shortfall. If the
    search was refined around the best setting, the trials are not exchangeable, and this is a rough
    guide.

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
