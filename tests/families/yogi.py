"""Yogi."""

import math

import numpy as np

import adaptive_jax as aj
from tests.family import (
    LR,
    RATE,
    Case,
    Port,
    before,
    descend,
    formula,
    inverse_time,
    ramp,
    ratio,
    value_at,
)


def yogi(
    params,
    grads,
    lr=1e-2,
    b1=0.9,
    b2=0.999,
    eps=0.0,
    eps_root=0.0,
    eps_hat=1e-3,
    v0=1e-6,
    **common,
):
    """Algorithm 2 of the paper, with its authors' bias corrections, and epsilon in three places."""

    def step(t, p, g, buffers):
        m = buffers["m"] = b1 * buffers.get("m", 0.0) + (1 - b1) * g
        v = buffers.get("v", np.full_like(g, v0))
        v = buffers["v"] = np.where(v > g**2, v - (1 - b2) * g**2, v + (1 - b2) * g**2)
        rate = value_at(lr, t) * math.sqrt(1 - b2**t) / (1 - b1**t)
        below = np.sqrt(v + (1 - b2**t) * eps_root) + eps_hat + math.sqrt(1 - b2**t) * eps
        return p - rate * ratio(m, below)

    return descend(params, grads, step, **common)


CASES = [
    Case(
        "yogi",
        aj.yogi,
        {"learning_rate": 0.1, "b1": 0.9, "b2": 0.99, "eps_hat": 1e-3},
        LR,
        scale_free=True,
    ),
    Case(
        "yogi_no_eps",
        aj.yogi,
        {"learning_rate": 0.1, "b2": 0.9, "eps_hat": 0.0, "initial_accumulator": 0.0},
        LR,
        scale_free=True,
        numbers_only=True,
    ),
]


FORMULAS = [
    formula("yogi", lambda: aj.yogi(), yogi),
    formula(
        "yogi no eps",
        lambda: aj.yogi(RATE, eps_hat=0.0),
        yogi,
        lr=RATE,
        eps_hat=0.0,
    ),
    formula(
        "yogi that starts large",
        lambda: aj.yogi(inverse_time(RATE, 0.1), 0.8, 0.9, initial_accumulator=4.0),
        yogi,
        lr=inverse_time(RATE, 0.1),
        b1=0.8,
        b2=0.9,
        v0=4.0,
    ),
    formula(
        "yogi three eps",
        lambda: aj.yogi(ramp(0.0, 0.02), 0.0, 0.95, 1e-3, 1e-2, 1e-4, 0.0),
        yogi,
        lr=ramp(0.0, 0.02),
        b1=0.0,
        b2=0.95,
        eps=1e-3,
        eps_root=1e-2,
        eps_hat=1e-4,
        v0=0.0,
    ),
    formula(
        "yogi coupled decay",
        before(lambda: aj.add_decayed_weights(0.1), lambda: aj.yogi(RATE)),
        yogi,
        lr=RATE,
        l2=0.1,
    ),
]


PORTS = {
    "Yogi": Port(
        "yogi",
        {"eps": 1e-3, "eps_hat": 0.0},
        differs="it starts the first moment at 1e-6 too, so that a zero gradient makes a step",
    )
}
