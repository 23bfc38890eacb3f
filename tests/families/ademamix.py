"""AdEMAMix and its warm-up."""

import math

import numpy as np

import adaptive_jax as aj
from tests.families.adam import adam
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


def ademamix(
    params,
    grads,
    lr=1e-3,
    beta1=0.9,
    beta2=0.999,
    beta3=0.9999,
    alpha=5.0,
    eps=1e-8,
    weight_decay=0.0,
    **common,
):
    def step(t, theta, g, buffers):
        m1, m2, nu = (buffers.get(name, 0.0) for name in ("m1", "m2", "nu"))
        slow = value_at(beta3, t)
        m1 = beta1 * m1 + (1 - beta1) * g
        m2 = slow * m2 + (1 - slow) * g
        nu = beta2 * nu + (1 - beta2) * g**2
        buffers.update(m1=m1, m2=m2, nu=nu)
        mixed = m1 / (1 - beta1**t) + value_at(alpha, t) * m2
        u = ratio(mixed, np.sqrt(nu / (1 - beta2**t)) + eps)
        return theta - value_at(lr, t) * (u + value_at(weight_decay, t) * theta)

    return descend(params, grads, step, **common)


def warmup(alpha, beta3, beta_start, horizon):
    """The authors' form: half-lives, interpolated; schedules of the updates already made."""

    def half_life(beta):
        return math.log(0.5) / math.log(beta) - 1

    def beta3_at(count):
        x = min((count + 1) / horizon, 1.0)
        return 0.5 ** (1 / ((1 - x) * half_life(beta_start) + x * half_life(beta3) + 1))

    return {"alpha": lambda count: alpha * min((count + 1) / horizon, 1.0), "beta3": beta3_at}


def warmed_up(learning_rate, warmup_steps, alpha, b3, b1):
    alpha, b3 = aj.ademamix_warmup(warmup_steps, alpha, b3, b1)
    return aj.ademamix(learning_rate, b1, b3=b3, alpha=alpha)


ADEMAMIX = {"b1": 0.9, "b2": 0.99, "b3": 0.995, "alpha": 5.0, "eps": 1e-8}


CASES = [
    Case(
        "ademamix",
        aj.ademamix,
        {"learning_rate": 0.1, **ADEMAMIX},
        ("learning_rate", "b3", "alpha"),
        scale_free=True,
    ),
    Case(
        "ademamix_decay_no_eps",
        aj.ademamix,
        {"learning_rate": 0.1, "eps": 0.0, "weight_decay": 0.1},
        ("learning_rate", "weight_decay"),
        needs_params=True,
        decays=True,
        scale_free=True,
        numbers_only=True,
    ),
    Case(
        "ademamix_warmed_up",
        warmed_up,
        {"learning_rate": 0.1, "alpha": 5.0, "b3": 0.99, "b1": 0.9},
        LR,
        {"warmup_steps": 4},
    ),
]


FORMULAS = [
    formula("ademamix", lambda: aj.ademamix(), ademamix),
    formula(
        "ademamix eps 0",
        lambda: aj.ademamix(RATE, 0.8, 0.9, 0.95, 3.0, 0.0),
        ademamix,
        lr=RATE,
        beta1=0.8,
        beta2=0.9,
        beta3=0.95,
        alpha=3.0,
        eps=0.0,
    ),
    formula(
        "ademamix scheduled",
        lambda: aj.ademamix(
            inverse_time(RATE, 0.1),
            b3=ramp(0.5, 0.9),
            alpha=ramp(1.0, 8.0),
            eps=1e-3,
            weight_decay=ramp(0.3, 0.0),
        ),
        ademamix,
        lr=inverse_time(RATE, 0.1),
        beta3=ramp(0.5, 0.9),
        alpha=ramp(1.0, 8.0),
        eps=1e-3,
        weight_decay=ramp(0.3, 0.0),
    ),
    formula(
        "ademamix warmed up",
        lambda: warmed_up(RATE, 40, 8.0, 0.999, 0.8),
        ademamix,
        lr=RATE,
        beta1=0.8,
        **warmup(8.0, 0.999, 0.8, 40),
    ),
    formula(
        "ademamix masked",
        lambda: aj.ademamix(RATE, weight_decay=0.3, mask=W_DECAYS),
        only_w(ademamix, weight_decay=0.3),
        by_array=True,
        lr=RATE,
    ),
    formula(
        "ademamix alpha 0 is adamw",
        lambda: aj.ademamix(RATE, alpha=0.0, weight_decay=0.2),
        adam,
        lr=RATE,
        weight_decay=0.2,
    ),
    formula(
        "ademamix b1 b3 0 is adam b1 0",
        lambda: aj.ademamix(RATE, 0.0, b3=0.0, alpha=1.0),
        adam,
        lr=2 * RATE,
        b1=0.0,
        eps=1e-8,
    ),
    formula("ademamix b3 1 is adam", lambda: aj.ademamix(RATE, b3=1.0), adam, lr=RATE),
]


PORTS = {"AdEMAMix": Port("ademamix")}
