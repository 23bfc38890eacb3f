"""SWATS."""

import math

import numpy as np

import adaptive_jax as aj
from tests.families.adam import adam_with_eps_hat
from tests.family import LR, RATE, Case, Port, formula, inverse_time, ramp, ratio, value_at


def swats(params, grads, lr=1e-3, b1=0.9, b2=0.999, eps=1e-9, tolerance=1e-6, switches=None):
    """Algorithm 1 of the paper, for the vector of all parameters, with the rate outside gamma.

    `switches` are the numbers of updates after which it must, or must not (None), switch.
    """
    w = flat(params)
    m, a, mean, sgd_rate, k_switched = np.zeros_like(w), np.zeros_like(w), 0.0, None, None
    path = []
    for k, g in enumerate(map(flat, grads), start=1):
        alpha = value_at(lr, k)
        if sgd_rate is not None:
            m = b1 * m + g
            w = w - (1 - b1) * alpha * sgd_rate * m
        else:
            m = b1 * m + (1 - b1) * g
            a = b2 * a + (1 - b2) * g**2
            p = -math.sqrt(1 - b2**k) / (1 - b1**k) * ratio(m, np.sqrt(a) + eps)
            w = w + alpha * p
            if p @ g != 0:
                gamma = (p @ p) / -(p @ g)
                mean = b2 * mean + (1 - b2) * gamma
                near = abs(mean / (1 - b2**k) - gamma) < tolerance
                if k > 1 and near and mean > 0:
                    sgd_rate, m, k_switched = mean / (1 - b2**k), np.zeros_like(w), k
        path.append(unflat(w, params))
    assert k_switched == switches
    return path


def flat(arrays):
    return np.concatenate([np.ravel(np.asarray(arrays[name], np.float64)) for name in arrays])


def unflat(vector, like):
    ends = np.cumsum([np.size(array) for array in like.values()])[:-1]
    parts = np.split(vector, ends)
    return {
        name: part.reshape(np.shape(like[name])) for name, part in zip(like, parts, strict=True)
    }


SWATS = {"learning_rate": 0.1, "b1": 0.9, "b2": 0.99, "eps": 1e-9}


CASES = [
    Case("swats", aj.swats, {**SWATS, "tolerance": 0.0}, LR, scale_free=True, joint=True),
    Case("swats_switched", aj.swats, {**SWATS, "tolerance": 1e3}, LR, joint=True),
]


FORMULAS = [
    formula("swats", lambda: aj.swats(), swats),
    formula(
        "swats switches",
        lambda: aj.swats(RATE, 0.9, 0.9, 1e-3, 0.01),
        swats,
        lr=RATE,
        b2=0.9,
        eps=1e-3,
        tolerance=0.01,
        switches=29,
    ),
    formula(
        "swats scheduled, with several arrays",
        lambda: aj.swats(inverse_time(RATE, 0.1), 0.8, 0.99, 1e-4, 0.01),
        swats,
        by_array=True,
        lr=inverse_time(RATE, 0.1),
        b1=0.8,
        b2=0.99,
        eps=1e-4,
        tolerance=0.01,
        switches=4,
    ),
    formula(
        "swats switches once, scheduled",
        lambda: aj.swats(ramp(0.0, 0.1), 0.5, 0.95, 1e-3, 0.0025),
        swats,
        lr=ramp(0.0, 0.1),
        b1=0.5,
        b2=0.95,
        eps=1e-3,
        tolerance=0.0025,
        switches=22,
    ),
    formula(
        "swats without tolerance is adam",
        lambda: aj.swats(RATE, eps=1e-3, tolerance=0.0),
        adam_with_eps_hat,
        lr=RATE,
        eps_hat=1e-3,
    ),
]


PORTS = {
    "SWATS": Port(
        "swats",
        differs="eps 1e-6 and 1e-15 under the root; an estimate of SGD's rate for each array, of "
        "which the last to settle, by a relative tolerance, is every array's rate",
    )
}
