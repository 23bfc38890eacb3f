"""Adan, and the proximal decay that it brings along."""

import numpy as np

import adaptive_jax as aj
from tests.families.adam import adam
from tests.families.sgd import sgd
from tests.family import (
    LR,
    RATE,
    W_DECAYS,
    Case,
    Port,
    descend,
    formula,
    inverse_time,
    only_w,
    ramp,
    ratio,
    value_at,
)


def adan(
    params,
    grads,
    lr=1e-3,
    beta1=0.02,
    beta2=0.08,
    beta3=0.01,
    eps=1e-8,
    weight_decay=0.0,
    prox=True,
    **common,
):
    """Algorithm 1 with its betas, which weigh what is new, and the authors' corrections."""

    def step(t, theta, g, buffers):
        m, v, n = (buffers.get(name, 0.0) for name in "mvn")
        change = g - buffers.get("g", g)
        m = (1 - beta1) * m + beta1 * g
        v = (1 - beta2) * v + beta2 * change
        n = (1 - beta3) * n + beta3 * (g + (1 - beta2) * change) ** 2
        buffers.update(m=m, v=v, n=n, g=g)
        m_hat = m / (1 - (1 - beta1) ** t)
        v_hat = v / (1 - (1 - beta2) ** t)
        n_hat = n / (1 - (1 - beta3) ** t)
        eta, decay = value_at(lr, t), value_at(weight_decay, t)
        moved = eta * ratio(m_hat + (1 - beta2) * v_hat, np.sqrt(n_hat) + eps)
        if prox:
            return (theta - moved) / (1 + decay * eta)
        return (1 - decay * eta) * theta - moved

    return descend(params, grads, step, **common)


def sgd_proximal(params, grads, lr, weight_decay):
    def step(t, p, g, buffers):
        rate = value_at(lr, t)
        return (p - rate * g) / (1 + rate * value_at(weight_decay, t))

    return descend(params, grads, step)


ADAN = {"b1": 0.98, "b2": 0.92, "b3": 0.99, "eps": 1e-8}


CASES = [
    Case(
        "adan",
        aj.adan,
        {"learning_rate": 0.1, "weight_decay": 0.1, **ADAN},
        ("learning_rate", "weight_decay"),
        needs_params=True,
        decays=True,
        scale_free=True,
    ),
    Case(
        "adan_no_decay_no_eps",
        aj.adan,
        {"learning_rate": 0.1, "b1": 0.9, "b2": 0.8, "b3": 0.9, "eps": 0.0},
        LR,
        {"weight_decay": None},
        scale_free=True,
    ),
    Case(
        "add_proximal_decay",
        aj.add_proximal_decay,
        {"weight_decay": 0.1, "learning_rate": 0.1},
        ("weight_decay", "learning_rate"),
        needs_params=True,
        decays=True,
    ),
]


FORMULAS = [
    formula("adan", lambda: aj.adan(), adan, weight_decay=0.02),
    formula(
        "adan eps 0",
        lambda: aj.adan(RATE, 0.9, 0.7, 0.95, 0.0, 0.0),
        adan,
        lr=RATE,
        beta1=0.1,
        beta2=0.3,
        beta3=0.05,
        eps=0.0,
    ),
    formula(
        "adan scheduled",
        lambda: aj.adan(ramp(0.0, 0.02), 0.5, 0.9, 0.6, 1e-3, inverse_time(0.5, 0.1)),
        adan,
        lr=ramp(0.0, 0.02),
        beta1=0.5,
        beta2=0.1,
        beta3=0.4,
        eps=1e-3,
        weight_decay=inverse_time(0.5, 0.1),
    ),
    formula(
        "adan masked",
        lambda: aj.adan(RATE, weight_decay=0.3, mask=W_DECAYS),
        only_w(adan, weight_decay=0.3),
        by_array=True,
        lr=RATE,
    ),
    formula(
        "adan no_prox",
        lambda: aj.chain(
            aj.scale_by_adan(),
            aj.add_decayed_weights(0.3),
            aj.scale_by_learning_rate(inverse_time(RATE, 0.1)),
        ),
        adan,
        lr=inverse_time(RATE, 0.1),
        weight_decay=0.3,
        prox=False,
    ),
    formula(
        "adan b2 0 is adam",
        lambda: aj.adan(RATE, 0.9, 0.0, 0.99, weight_decay=None),
        adam,
        lr=RATE,
        b2=0.99,
    ),
    formula(
        "proximal decay of sgd",
        lambda: aj.chain(aj.sgd(ramp(0.1, 0.3)), aj.add_proximal_decay(2.0, ramp(0.1, 0.3))),
        sgd_proximal,
        lr=ramp(0.1, 0.3),
        weight_decay=2.0,
    ),
    formula(
        "proximal decay 0 is none",
        lambda: aj.chain(aj.sgd(RATE), aj.add_proximal_decay(0.0, RATE)),
        sgd,
        lr=RATE,
    ),
]


PORTS = {"Adan": Port("adan", {"weight_decay": None})}
