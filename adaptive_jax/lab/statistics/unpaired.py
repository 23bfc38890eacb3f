"""Exact tests of two independent samples."""

from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


class CountTest(NamedTuple):
    """The result of `count_test`.

    Attributes:
      p: the two-sided p value.
      least: the smallest p value that any table with the same margins has. A test that cannot
        be significant need not count in a correction for many tests (Tarone 1990,
        doi 10.2307/2531456).
    """

    p: float
    least: float


def count_test(a: int, runs_a: int, b: int, runs_b: int) -> CountTest:
    """Returns Fisher's exact test that two samples fail at the same rate.

    It does not use the pairing of seeds. If failures of a seed come together, it is conservative.
    Nothing is significant below 4 runs each.

    Args:
      a, runs_a: how many runs of the first sample failed, of how many.
      b, runs_b: likewise of the second.

    >>> round(count_test(5, 5, 0, 5).p, 4)
    0.0079
    """
    failures = a + b
    extremes = {max(0, failures - runs_b), min(failures, runs_a)}
    found, *ends = (
        float(
            cast(Any, stats.fisher_exact)(
                [[k, runs_a - k], [failures - k, runs_b - failures + k]]
            ).pvalue
        )
        for k in (a, *extremes)
    )
    return CountTest(found, min(ends))


def rank_sum_test(a: ArrayLike, b: ArrayLike) -> float:
    """Returns the two-sided p value of the exact rank-sum test, also with ties.

    With infinity for a run that never reached its goal, and equal follow-up of all others, this is
    Gehan's test of censored times (1965, doi 10.1093/biomet/52.1-2.203). The distribution of the
    rank sum is that over all ways to divide the values into two samples.

    Args:
      a, b: `(n,)` and `(m,)`. Infinities are tied with each other. NaN gives NaN, as does
        an empty sample.

    >>> round(rank_sum_test([3, 4, 4, 5], [6, 7, np.inf, np.inf]), 4)
    0.0286
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    if not a.size or not b.size or np.isnan(a).any() or np.isnan(b).any():
        return float("nan")
    ranks = np.rint(2 * stats.rankdata(np.concatenate([a, b]))).astype(int)  # whole with ties
    # ways[n, s]: subsets of n values with rank sum s.
    ways = np.zeros((a.size + 1, ranks.sum() + 1))
    ways[0, 0] = 1
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, :-rank].copy()
    share = ways[-1] / ways[-1].sum()
    middle = a.size * ranks.mean()
    distance = np.abs(np.arange(share.size) - middle)
    return float(min(1.0, share[distance >= abs(ranks[: a.size].sum() - middle) - 1e-9].sum()))
