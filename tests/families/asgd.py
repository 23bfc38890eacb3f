"""Averaged SGD: the path of the parameters. Their mean is tested in tests/test_averaging.py."""

import numpy as np

import adaptive_jax as aj
from tests.families.sgd import sgd
from tests.family import LR, Case, descend, formula, inverse_time, value_at


def asgd(params, grads, lr=0.01, lambd=1e-4, alpha=0.75, **common):
    def step(t, p, g, buffers):
        eta = value_at(lr, t) / (1 + lambd * value_at(lr, t) * (t - 1)) ** alpha
        return (1 - lambd * eta) * p - eta * g

    return descend(params, grads, step, **common)


def mean_after(path, start):
    """After every update the mean of the parameters after the updates since number `start`."""
    return [
        {name: np.mean([p[name] for p in path[min(start, t) : t + 1]], axis=0) for name in path[0]}
        for t in range(len(path))
    ]


ASGD = {"learning_rate": 0.1, "lambd": 0.01, "alpha": 0.75, "t0": 2.0}


CASES = [
    Case("asgd", aj.asgd, ASGD, LR, needs_params=True, decays=True),
    Case("polyak_average", aj.polyak_average, {"start": 1.0}, needs_params=True),
]


FORMULAS = [
    formula("asgd", lambda: aj.asgd(), asgd),
    formula(
        "asgd decays fast",
        lambda: aj.asgd(0.1, 0.5, 0.6, 3.0),
        asgd,
        lr=0.1,
        lambd=0.5,
        alpha=0.6,
    ),
    formula(
        "asgd scheduled",
        lambda: aj.asgd(inverse_time(0.1, 0.1), 0.1),
        asgd,
        lr=inverse_time(0.1, 0.1),
        lambd=0.1,
    ),
    formula("asgd lambd 0 is sgd", lambda: aj.asgd(0.1, lambd=0.0), sgd, lr=0.1),
]
