"""LaProp."""

import numpy as np

import adaptive_jax as aj
from tests.families.adam import adam
from tests.families.sgd import sign_sgd
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


def laprop(params, grads, lr=4e-4, mu=0.9, nu=0.999, eps=1e-15, **common):
    """The paper's Algorithm 1, with c_n and c_m as sums of the weights given so far."""

    def step(t, theta, g, buffers):
        n = buffers["n"] = nu * buffers.get("n", 0.0) + (1 - nu) * g**2
        c_n = buffers["c_n"] = nu * buffers.get("c_n", 0.0) + (1 - nu)
        m = buffers["m"] = mu * buffers.get("m", 0.0) + (1 - mu) * ratio(g, np.sqrt(n / c_n) + eps)
        c_m = buffers["c_m"] = mu * buffers.get("c_m", 0.0) + (1 - mu)
        return theta - value_at(lr, t) * m / c_m

    return descend(params, grads, step, **common)


LAPROP = {"b1": 0.9, "b2": 0.99, "eps": 1e-15}


CASES = [
    Case("laprop", aj.laprop, {"learning_rate": 0.1, **LAPROP}, LR, scale_free=True),
    Case(
        "laprop_no_eps",
        aj.laprop,
        {"learning_rate": 0.1, "b1": 0.5, "eps": 0.0},
        LR,
        scale_free=True,
        numbers_only=True,
    ),
]


FORMULAS = [
    formula("laprop", lambda: aj.laprop(), laprop),
    formula("laprop eps 0", lambda: aj.laprop(RATE, eps=0.0), laprop, lr=RATE, eps=0.0),
    formula(
        "laprop scheduled",
        lambda: aj.laprop(ramp(0.0, 0.02), 0.5, 0.9, 1e-2),
        laprop,
        lr=ramp(0.0, 0.02),
        mu=0.5,
        nu=0.9,
        eps=1e-2,
    ),
    formula(
        "laprop coupled decay",
        before(lambda: aj.add_decayed_weights(0.1), lambda: aj.laprop(inverse_time(RATE, 0.1))),
        laprop,
        lr=inverse_time(RATE, 0.1),
        l2=0.1,
    ),
    formula(
        "laprop b1 0 is adam b1 0",
        lambda: aj.laprop(RATE, 0.0, 0.99, 1e-8),
        adam,
        lr=RATE,
        b1=0.0,
        b2=0.99,
    ),
    formula(
        "laprop b1 b2 eps 0 is sign",
        lambda: aj.laprop(RATE, 0.0, 0.0, 0.0),
        sign_sgd,
        lr=RATE,
    ),
]


PORTS = {"LaProp": Port("laprop", differs="adds 1e-15 under the uncorrected root")}
