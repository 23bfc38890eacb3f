"""AdaBelief."""

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


def adabelief(params, grads, lr=1e-3, b1=0.9, b2=0.999, eps=1e-16, eps_inside=1e-16, **common):
    """Algorithm 2 of the paper, with the two places of epsilon apart."""

    def step(t, p, g, buffers):
        m = buffers["m"] = b1 * buffers.get("m", 0.0) + (1 - b1) * g
        s = b2 * buffers.get("s", 0.0) + (1 - b2) * (g - m) ** 2 + eps_inside
        buffers["s"] = s
        m_hat, s_hat = m / (1 - b1**t), s / (1 - b2**t)
        return p - value_at(lr, t) * ratio(m_hat, np.sqrt(s_hat) + eps)

    return descend(params, grads, step, **common)


CASES = [
    Case(
        "adabelief",
        aj.adabelief,
        {"learning_rate": 0.1, "b1": 0.9, "b2": 0.99, "eps": 1e-12, "eps_root": 1e-12},
        LR,
        scale_free=True,
    ),
    Case(
        "adabelief_no_eps",
        aj.adabelief,
        {"learning_rate": 0.1, "b2": 0.99, "eps": 0.0, "eps_root": 0.0},
        LR,
        scale_free=True,
        numbers_only=True,
    ),
]


FORMULAS = [
    formula("adabelief", lambda: aj.adabelief(), adabelief),
    formula(
        "adabelief eps 0",
        lambda: aj.adabelief(RATE, eps=0.0, eps_root=0.0),
        adabelief,
        lr=RATE,
        eps=0.0,
        eps_inside=0.0,
    ),
    formula(
        "adabelief large eps in both places",
        lambda: aj.adabelief(ramp(0.0, 0.02), 0.5, 0.9, 1e-3, 1e-2),
        adabelief,
        lr=ramp(0.0, 0.02),
        b1=0.5,
        b2=0.9,
        eps=1e-3,
        eps_inside=1e-2,
    ),
    formula(
        "adabelief eps inside accumulates",
        lambda: aj.adabelief(RATE, 0.0, 0.99, 0.0, 1e-1),
        adabelief,
        lr=RATE,
        b1=0.0,
        b2=0.99,
        eps=0.0,
        eps_inside=1e-1,
    ),
    formula(
        "adabelief coupled decay",
        before(lambda: aj.add_decayed_weights(0.1), lambda: aj.adabelief(inverse_time(RATE, 0.1))),
        adabelief,
        lr=inverse_time(RATE, 0.1),
        l2=0.1,
    ),
]


PORTS = {"AdaBelief": Port("adabelief")}
