"""The expected result of a tuning budget."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from adaptive_jax.lab.statistics.interval import Interval


def best_so_far(scores: ArrayLike, resamples: int = 2000, seed: int = 0) -> Interval:
    """Returns the expected best score of k of the n tuning trials, for every k up to n.

    This is the mean of the best over all subsets of k trials. With the scores in ascending order,

        E[best of k] = Σᵢ C(i-1, k-1) / C(n, k) · x₍ᵢ₎ .

    Dodge et al. 2019 (arXiv 1909.03004) draw with replacement, which is biased downwards; this is
    the unbiased estimate of Tang et al. 2020 (arXiv 2004.13705). As they warn, the band is not
    reliable for k near n, where it cannot exceed the best trial.

    Args:
      scores: `(n,)`, validation scores, higher is better: negate losses.
      resamples, seed: of the bootstrap over trials that gives the band. Defaults: 2000 and 0.

    Returns:
      Arrays of shape `(n,)`. For a single trial the band is NaN.

    Raises:
      ValueError: there is no score, or one is not finite.

    >>> best_so_far([0.7, 0.9, 0.8]).estimate.round(4)
    array([0.8   , 0.8667, 0.9   ])
    """
    scores = np.asarray(scores, float)
    if scores.size == 0 or not np.isfinite(scores).all():
        raise ValueError(
            f"scores must be one or more finite numbers, got {scores.tolist()}; give a diverged "
            "trial an untrained model's score"
        )
    rank, picked = np.arange(scores.size), np.arange(1, scores.size + 1)[:, None]
    weights = special.comb(rank, picked - 1) / special.comb(scores.size, picked)

    def expected(trials, axis=-1):
        return np.einsum("kn,...n->k...", weights, np.sort(trials, axis))

    estimate = expected(scores)
    if scores.size == 1:
        return Interval(estimate, estimate * np.nan, estimate * np.nan)
    band = stats.bootstrap(
        [scores],
        expected,
        n_resamples=resamples,
        vectorized=True,
        method="percentile",
        rng=seed,
    ).confidence_interval
    return Interval(estimate, band.low, band.high)
