"""Adam, AdamW and AMSGrad."""

import math

import numpy as np

import adaptive_jax as aj
from tests.families.sgd import sign_sgd
from tests.family import (
    LR,
    RATE,
    W_DECAYS,
    Case,
    descend,
    formula,
    inverse_time,
    only_w,
    ramp,
    ratio,
    value_at,
)


def adam(
    params,
    grads,
    lr=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    eps_root=0.0,
    nesterov=False,
    amsgrad=False,
    weight_decay=0.0,
    corrected=True,
    **common,
):
    """Adam, AMSGrad, and with `weight_decay` (times the rate) AdamW."""

    def short_of(decay, t):
        return 1 - decay**t if corrected else 1.0

    def step(t, p, g, buffers):
        m = buffers["m"] = b1 * buffers.get("m", 0.0) + (1 - b1) * g
        v = buffers["v"] = b2 * buffers.get("v", 0.0) + (1 - b2) * g**2
        if amsgrad:
            v = buffers["largest"] = np.maximum(buffers.get("largest", 0.0), v)
        mean = m / short_of(b1, t)
        if nesterov:
            mean = b1 * m / short_of(b1, t + 1) + (1 - b1) * g / short_of(b1, t)
        u = ratio(mean, np.sqrt(v / short_of(b2, t) + eps_root) + eps)
        return p - value_at(lr, t) * (u + value_at(weight_decay, t) * p)

    return descend(params, grads, step, **common)


def adam_with_eps_hat(params, grads, lr=1e-3, b1=0.9, b2=0.999, eps_hat=1e-7, **common):
    """The form at the end of section 2 of the Adam paper, whose rate has both corrections."""

    def step(t, p, g, buffers):
        m = buffers["m"] = b1 * buffers.get("m", 0.0) + (1 - b1) * g
        v = buffers["v"] = b2 * buffers.get("v", 0.0) + (1 - b2) * g**2
        rate = value_at(lr, t) * math.sqrt(1 - b2**t) / (1 - b1**t)
        return p - rate * ratio(m, np.sqrt(v) + eps_hat)

    return descend(params, grads, step, **common)


def amsgrad(params, grads, **hyper):
    return adam(params, grads, amsgrad=True, **hyper)


ADAM = {"b1": 0.9, "b2": 0.99, "eps": 1e-8}


CASES = [
    Case("adam", aj.adam, {"learning_rate": 0.1, **ADAM}, LR, scale_free=True),
    Case(
        "adam_no_eps",
        aj.adam,
        {"learning_rate": 0.1, "b2": 0.99, "eps": 0.0},
        LR,
        scale_free=True,
        numbers_only=True,
    ),
    Case(
        "adam_nesterov",
        aj.adam,
        {"learning_rate": 0.1, "b1": 0.9, "b2": 0.99, "eps": 0.0, "eps_hat": 1e-7},
        LR,
        {"nesterov": True},
        scale_free=True,
    ),
    Case(
        "adamw",
        aj.adamw,
        {"learning_rate": 0.1, "weight_decay": 0.1, "eps_root": 1e-12},
        ("learning_rate", "weight_decay"),
        needs_params=True,
        decays=True,
        scale_free=True,
    ),
    Case("amsgrad", aj.amsgrad, {"learning_rate": 0.1, **ADAM}, LR, scale_free=True),
]


FORMULAS = [
    formula("adam", lambda: aj.adam(), adam),
    formula("adam eps 0", lambda: aj.adam(RATE, eps=0.0), adam, lr=RATE, eps=0.0),
    formula(
        "adam b1 0",
        lambda: aj.adam(RATE, b1=0.0, eps=1e-3),
        adam,
        lr=RATE,
        b1=0.0,
        eps=1e-3,
    ),
    formula(
        "adam eps and eps_root",
        lambda: aj.adam(ramp(0.0, 0.02), 0.5, 0.9, 1e-3, 1e-2),
        adam,
        lr=ramp(0.0, 0.02),
        b1=0.5,
        b2=0.9,
        eps=1e-3,
        eps_root=1e-2,
    ),
    formula(
        "adam eps_hat",
        lambda: aj.adam(RATE, 0.8, 0.99, eps=0.0, eps_hat=1e-3),
        adam_with_eps_hat,
        lr=RATE,
        b1=0.8,
        b2=0.99,
        eps_hat=1e-3,
    ),
    formula(
        "adam nesterov",
        lambda: aj.adam(RATE, nesterov=True),
        adam,
        lr=RATE,
        nesterov=True,
    ),
    formula(
        "adam nesterov scheduled",
        lambda: aj.adam(inverse_time(RATE, 0.1), 0.6, 0.95, 1e-4, 1e-5, nesterov=True),
        adam,
        lr=inverse_time(RATE, 0.1),
        b1=0.6,
        b2=0.95,
        eps=1e-4,
        eps_root=1e-5,
        nesterov=True,
    ),
    formula(
        "adam nesterov b1 0 is adam b1 0",
        lambda: aj.adam(RATE, b1=0.0, nesterov=True),
        adam,
        lr=RATE,
        b1=0.0,
    ),
    formula(
        "adam b1 b2 eps 0 is sign",
        lambda: aj.adam(RATE, 0.0, 0.0, 0.0),
        sign_sgd,
        lr=RATE,
    ),
    formula(
        "adam b1 0 b2 0.9999",
        lambda: aj.adam(RATE, 0.0, 0.9999),
        adam,
        lr=RATE,
        b1=0.0,
        b2=0.9999,
    ),
    formula(
        "adam nesterov uncorrected",
        lambda: aj.chain(
            aj.scale_by_adam(0.8, 0.9, 1e-3, 1e-4, 0.0, nesterov=True, bias_correction=False),
            aj.scale_by_learning_rate(RATE),
        ),
        adam,
        lr=RATE,
        b1=0.8,
        b2=0.9,
        eps=1e-3,
        eps_root=1e-4,
        nesterov=True,
        corrected=False,
    ),
    formula("adamw", lambda: aj.adamw(), adam, weight_decay=0.01),
    formula(
        "adamw scheduled",
        lambda: aj.adamw(ramp(0.0, 0.02), eps=1e-4, weight_decay=inverse_time(0.5, 0.1)),
        adam,
        lr=ramp(0.0, 0.02),
        eps=1e-4,
        weight_decay=inverse_time(0.5, 0.1),
    ),
    formula(
        "adamw masked",
        lambda: aj.adamw(RATE, weight_decay=0.3, mask=W_DECAYS),
        only_w(adam, weight_decay=0.3),
        by_array=True,
        lr=RATE,
    ),
    formula("amsgrad", lambda: aj.amsgrad(), amsgrad),
    formula(
        "amsgrad short memory",
        lambda: aj.amsgrad(inverse_time(RATE, 0.1), 0.5, 0.6, 0.0, 1e-6),
        amsgrad,
        lr=inverse_time(RATE, 0.1),
        b1=0.5,
        b2=0.6,
        eps=0.0,
        eps_root=1e-6,
    ),
]
