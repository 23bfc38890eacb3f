"""Corrections for multiple tests."""

import numpy as np
from numpy.typing import ArrayLike


def holm(p: ArrayLike) -> np.ndarray:
    """Returns Holm's adjusted p values (Holm 1979, Scandinavian Journal of Statistics 6, 65-70).

    The i-th smallest of m is multiplied by m + 1 - i, raised to the largest before it, and capped
    at 1. With a threshold of 0.05 the probability of any false difference is at most 5%, whatever
    the dependence between the tests.

    Args:
      p: `(..., m)`. NaN, for a test that could not be made, stays NaN and does not count.

    >>> holm([0.01, 0.04, 0.03])
    array([0.03, 0.06, 0.06])
    """
    p = np.asarray(p, float)
    order = np.argsort(p, -1)  # NaN last
    ascending = np.take_along_axis(p, order, -1)
    tests = np.sum(~np.isnan(p), -1, keepdims=True)
    raised = np.maximum.accumulate((tests - np.arange(p.shape[-1])) * ascending, -1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(raised, 1.0), -1)
    return adjusted
