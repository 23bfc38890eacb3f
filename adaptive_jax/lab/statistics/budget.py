"""The result of a tuning budget."""

import functools
import math
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

from adaptive_jax.lab.statistics.interval import Interval


def expected_best(scores: ArrayLike) -> np.ndarray:
    """Returns the expected best score of k of the n tuning trials, for every k up to n.

    This is the mean of the best over all subsets of k trials. With the scores in ascending order,

        E[best of k] = Σᵢ C(i-1, k-1) / C(n, k) · x₍ᵢ₎ .

    Dodge et al. 2019 (arXiv 1909.03004) draw with replacement, which is biased downwards; this is
    the unbiased estimate of Tang et al. 2020 (arXiv 2004.13705).

    Args:
      scores: `(n,)`, validation scores, higher is better: negate losses.

    >>> expected_best([0.7, 0.9, 0.8]).round(4)
    array([0.8   , 0.8667, 0.9   ])
    """
    scores = np.sort(_finite(scores))
    rank, picked = np.arange(scores.size), np.arange(1, scores.size + 1)[:, None]
    return special.comb(rank, picked - 1) / special.comb(scores.size, picked) @ scores


def best_so_far(
    scores: ArrayLike, lowest: float = -math.inf, highest: float = math.inf
) -> Interval:
    """Returns the median best score of k trials of a random search, for every k up to n.

    If F is the distribution of the scores of single trials, the best of k has the distribution Fᵏ
    and the median F⁻¹(0.5^(1/k)). The band is that of Lourie, Cho & He 2023 (arXiv 2311.09480):
    `distribution_band`, the exact 95% band of F, put into the formula. It is simultaneous. It holds
    the whole true curve in at least 95% of cases; of 3000 simulated searches of 5 to 27 trials it
    did in 99%, since the curve uses the upper half of F alone.

    The band needs independent trials. Those of a grid are not, for which it means nothing. A
    quasi-random search covers the ranges more evenly, which makes the band too wide.

    Args:
      scores: `(n,)`, validation scores of the trials, higher is better: negate losses.
      lowest, highest: bounds of any score, such as 0 and 1 for an accuracy. Where the trials do not
        bound the curve, these do. For large k they are all that is known above the best trial.
        Defaults: infinite.

    Returns:
      Arrays of shape `(n,)`.

    Raises:
      ValueError: there is no score, or one is not finite.

    >>> median, low, high = best_so_far([0.7, 0.9, 0.8, 0.6, 0.85, 0.75, 0.5], 0, 1)
    >>> median.tolist()
    [0.75, 0.8, 0.85, 0.85, 0.9, 0.9, 0.9]
    >>> low.tolist()
    [0.0, 0.6, 0.6, 0.7, 0.7, 0.75, 0.75]
    """
    ascending = np.sort(_finite(scores))
    count = ascending.size
    quantiles = 0.5 ** (1 / np.arange(1, count + 1))
    low, high = distribution_band(count)

    def inverse(heights, values):
        """Returns where a step function that jumps to `heights` at `values` reaches quantiles."""
        return values[np.minimum(np.searchsorted(heights, quantiles - 1e-12), len(values) - 1)]

    middle = inverse(np.arange(1, count + 1) / count, ascending)
    # F is at most `high[i]` below score i, so it can reach that only at score i - 1 or later.
    worst = inverse(np.append(high, 1.0), np.concatenate([[lowest], ascending]))
    best = inverse(np.append(low, 1.0), np.append(ascending, highest))
    return Interval(middle, worst, best)


@functools.lru_cache(maxsize=64)
def distribution_band(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the simultaneous 95% band of a distribution function, from order statistics.

    At the i-th smallest of n independent values, F is distributed as the i-th smallest of n uniform
    numbers, Beta(i, n + 1 - i). All of them are between their own quantiles (1 - γ)/2 and
    (1 + γ)/2 with a probability that `_between` computes exactly. The band has the γ for which
    that is 95% (the equal-tailed band of Lourie, Cho & He 2023, arXiv 2311.09480). For continuous
    values it is exact, for ties conservative.

    Args:
      count: number of values, at least 1.

    Returns:
      Arrays `low` and `high` of shape `(count,)`: F is at least `low[i]` at the value of rank i and
      above it, and at most `high[i]` below that value.

    >>> [ends.round(3).tolist() for ends in distribution_band(2)]
    [[0.007, 0.115], [0.885, 0.993]]
    """
    rank = np.arange(1, count + 1)
    beta = stats.beta(rank, count + 1 - rank)

    def ends(coverage):
        return beta.ppf((1 - coverage) / 2), beta.ppf((1 + coverage) / 2)

    if count == 1:
        return ends(0.95)
    # In 1 - γ on a log scale, since γ is close to 1.
    tail = cast(Any, optimize.brentq)(
        lambda exponent: _between(*ends(1 - 10**exponent)) - 0.95, math.log10(0.05), -5
    )
    return ends(1 - 10**tail)


def _between(low, high):
    """Returns the probability that each sorted uniform number i is between low[i] and high[i].

    The number of uniform numbers below t is a Markov chain in t with binomial steps. At `low[i]` it
    is at most i (of numbers counted from 0), at `high[i]` more than i.
    """
    count = len(low)
    bounds = sorted(
        [*((t, 1, i) for i, t in enumerate(low)), *((t, 0, i) for i, t in enumerate(high))]
    )
    numbers = np.arange(count + 1)
    chance, now = (numbers == 0).astype(float), 0.0
    for time, is_low, i in bounds:
        step = numbers - numbers[:, None]  # from row to column
        moves = stats.binom.pmf(step, (count - numbers)[:, None], (time - now) / (1 - now))
        chance = chance @ moves
        chance[numbers > i if is_low else numbers <= i] = 0.0
        now = time
    return chance.sum()


def _finite(scores: ArrayLike) -> np.ndarray:
    scores = np.asarray(scores, float)
    if scores.size == 0 or not np.isfinite(scores).all():
        raise ValueError(
            f"scores must be one or more finite numbers, got {scores.tolist()}; give a diverged "
            "trial an untrained model's score"
        )
    return scores
