"""Adamax."""

import numpy as np

import adaptive_jax as aj
from tests.families.sgd import sign_sgd
from tests.family import LR, RATE, Case, descend, formula, inverse_time, ramp, ratio, value_at


def adamax(params, grads, lr=2e-3, b1=0.9, b2=0.999, eps=0.0, eps_grad=0.0, **common):
    """Algorithm 2 of the Adam paper, and the two places where libraries add epsilon."""

    def step(t, p, g, buffers):
        m = buffers["m"] = b1 * buffers.get("m", 0.0) + (1 - b1) * g
        u = buffers["u"] = np.maximum(b2 * buffers.get("u", 0.0), np.abs(g) + eps_grad)
        return p - value_at(lr, t) / (1 - b1**t) * ratio(m, u + eps)

    return descend(params, grads, step, **common)


CASES = [
    Case("adamax", aj.adamax, {"learning_rate": 0.1, "b1": 0.9, "b2": 0.99}, LR, scale_free=True),
    Case(
        "adamax_both_eps",
        aj.adamax,
        {"learning_rate": 0.1, "b2": 0.9, "eps": 1e-7, "eps_grad": 1e-8},
        LR,
        scale_free=True,
        numbers_only=True,
    ),
]


FORMULAS = [
    formula("adamax", lambda: aj.adamax(), adamax),
    formula(
        "adamax eps outside",
        lambda: aj.adamax(RATE, 0.8, 0.9, 1e-2),
        adamax,
        lr=RATE,
        b1=0.8,
        b2=0.9,
        eps=1e-2,
    ),
    formula(
        "adamax eps in both places",
        lambda: aj.adamax(ramp(0.0, 0.02), 0.5, 0.7, 1e-3, 1e-2),
        adamax,
        lr=ramp(0.0, 0.02),
        b1=0.5,
        b2=0.7,
        eps=1e-3,
        eps_grad=1e-2,
    ),
    formula(
        "adamax b1 0",
        lambda: aj.adamax(inverse_time(RATE, 0.1), 0.0),
        adamax,
        lr=inverse_time(RATE, 0.1),
        b1=0.0,
    ),
    formula("adamax b1 b2 0 is sign", lambda: aj.adamax(RATE, 0.0, 0.0), sign_sgd, lr=RATE),
    formula("adamax b2 1", lambda: aj.adamax(RATE, b2=1.0), adamax, lr=RATE, b2=1.0),
]
