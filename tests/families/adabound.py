"""AdaBound, and any Preconditioner within bounds."""

import math

import numpy as np

import adaptive_jax as aj
from tests.families.adam import adam
from tests.families.sgd import sgd
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
    value_at,
)


def adabound(
    params,
    grads,
    lr=1e-3,
    final_lr=0.1,
    gamma=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    base_lr=None,
    amsbound=False,
    weight_decay=0.0,
    lower=None,
    upper=None,
    **common,
):
    """AdaBound, AMSBound, and AdaBoundW with `weight_decay` (not times the rate).

    `lower` and `upper` are bounds of one's own, functions of the number of updates made.
    """

    def step(t, p, g, buffers):
        rate = value_at(lr, t)
        now = rate / (lr if base_lr is None else base_lr)
        m = buffers["m"] = b1 * buffers.get("m", 0.0) + (1 - b1) * g
        v = buffers["v"] = b2 * buffers.get("v", 0.0) + (1 - b2) * g**2
        if amsbound:
            v = buffers["largest"] = np.maximum(buffers.get("largest", 0.0), v)
        if lower is None:
            low = now * final_lr * (1 - 1 / (gamma * t + 1))
            high = now * final_lr * (1 + 1 / (gamma * t))
        else:
            low, high = now * value_at(lower, t), now * value_at(upper, t)
        below = np.sqrt(v) + eps
        corrected = rate * math.sqrt(1 - b2**t) / (1 - b1**t)
        with np.errstate(divide="ignore"):
            eta = np.minimum(np.maximum(corrected / below, low), high)
        eta = np.where((m == 0) & ~np.isfinite(eta), 0.0, eta)
        return p - eta * m - value_at(weight_decay, t) * p

    return descend(params, grads, step, **common)


def bounded_rmsprop(params, grads, lr, lower, upper, base_lr, decay=0.9, eps=1e-8, **common):
    """RMSprop whose rate for every coordinate is kept between bounds, as in AdaBound."""

    def step(t, p, g, buffers):
        rate = value_at(lr, t)
        buffers["v"] = decay * buffers.get("v", 0.0) + (1 - decay) * g**2
        eta = base_lr / (np.sqrt(buffers["v"]) + eps)
        eta = np.minimum(np.maximum(eta, value_at(lower, t)), value_at(upper, t))
        return p - rate / base_lr * eta * g

    return descend(params, grads, step, **common)


def convergent_bounds(final_lr, m):
    """Savarese's bounds: 1 / lower(t) and 1 / upper(t) lie c / (t final_lr) about 1 / final_lr."""
    c = (m * final_lr - 1) / 2

    def lower(count):
        return 1 / ((1 + c / (count + 1)) / final_lr)

    def upper(count):
        inverse = (1 - c / (count + 1)) / final_lr
        return 1 / inverse if inverse > 0 else math.inf

    return lower, upper


BOUND = {"b1": 0.9, "b2": 0.99, "eps": 1e-8, "final_lr": 0.1, "gamma": 1e-2, "base_lr": 0.01}


def adam_within(base_lr, lower, upper):
    return aj.chain(aj.scale_by_adam(), aj.bound_lr(base_lr=base_lr, lower=lower, upper=upper))


def bounded_convergent(final_lr, m):
    lower, upper = aj.convergent_bounds(final_lr, m)
    return aj.chain(
        aj.scale_by_amsgrad(eps=0.0), aj.bound_lr(base_lr=0.01, lower=lower, upper=upper)
    )


CASES = [
    Case("adabound", aj.adabound, {"learning_rate": 0.01, **BOUND}, LR),
    Case(
        "adaboundw",
        aj.adaboundw,
        {"learning_rate": 0.01, "weight_decay": 0.01, **BOUND},
        ("learning_rate", "weight_decay"),
        needs_params=True,
        decays=True,
    ),
    Case("amsbound", aj.amsbound, {"learning_rate": 0.01, **BOUND}, LR),
    Case(
        "bound_lr",
        adam_within,
        {"base_lr": 0.01, "lower": 0.001, "upper": 0.1},
        ("lower", "upper"),
    ),
    Case("bound_lr_convergent", bounded_convergent, {"final_lr": 0.1, "m": 200.0}),
]


OWN_BOUNDS = {"lower": ramp(0.01, 0.08), "upper": ramp(0.5, 0.1)}
SAVARESE = {"final_lr": 0.1, "m": 210.0}  # no upper bound in the first 10 updates
REFERENCE_SAVARESE = dict(zip(("lower", "upper"), convergent_bounds(**SAVARESE), strict=True))


def bounded(preconditioner, learning_rate, **bounds):
    return aj.chain(preconditioner, aj.bound_lr(**bounds), aj.scale_by_learning_rate(learning_rate))


def convergent():
    return dict(zip(("lower", "upper"), aj.convergent_bounds(**SAVARESE), strict=True))


FORMULAS = [
    formula("adabound", lambda: aj.adabound(), adabound),
    formula(
        "adabound eps 0",
        lambda: aj.adabound(RATE, 0.05, 0.02, eps=0.0),
        adabound,
        lr=RATE,
        final_lr=0.05,
        gamma=0.02,
        eps=0.0,
    ),
    formula(
        "adabound b1 0",
        lambda: aj.adabound(0.1, 0.2, 0.1, 0.0, 0.9, 1e-3),
        adabound,
        lr=0.1,
        final_lr=0.2,
        gamma=0.1,
        b1=0.0,
        b2=0.9,
        eps=1e-3,
    ),
    formula(
        "adabound scheduled",
        lambda: aj.adabound(ramp(0.0, 0.02), 0.1, 0.05, base_lr=0.02),
        adabound,
        lr=ramp(0.0, 0.02),
        gamma=0.05,
        base_lr=0.02,
    ),
    formula(
        "adaboundw",
        lambda: aj.adaboundw(RATE, 0.1, 0.05),
        adabound,
        lr=RATE,
        gamma=0.05,
        weight_decay=5e-4,
    ),
    formula(
        "adaboundw scheduled",
        lambda: aj.adaboundw(
            inverse_time(RATE, 0.1), gamma=0.01, base_lr=RATE, weight_decay=ramp(0.1, 0.0)
        ),
        adabound,
        lr=inverse_time(RATE, 0.1),
        gamma=0.01,
        base_lr=RATE,
        weight_decay=ramp(0.1, 0.0),
    ),
    formula(
        "adaboundw masked",
        lambda: aj.adaboundw(RATE, weight_decay=0.01, mask=W_DECAYS),
        only_w(adabound, weight_decay=0.01),
        by_array=True,
        lr=RATE,
    ),
    formula("amsbound", lambda: aj.amsbound(), adabound, amsbound=True),
    formula(
        "amsbound scheduled",
        lambda: aj.amsbound(inverse_time(0.1, 0.1), 0.3, 0.1, 0.5, 0.7, 0.0, base_lr=0.1),
        adabound,
        lr=inverse_time(0.1, 0.1),
        final_lr=0.3,
        gamma=0.1,
        b1=0.5,
        b2=0.7,
        eps=0.0,
        base_lr=0.1,
        amsbound=True,
    ),
    formula(
        "own bounds",
        lambda: bounded(
            aj.scale_by_adam(eps=0.0, eps_hat=1e-8),
            inverse_time(RATE, 0.05),
            base_lr=RATE,
            **OWN_BOUNDS,
        ),
        adabound,
        lr=inverse_time(RATE, 0.05),
        base_lr=RATE,
        **OWN_BOUNDS,
    ),
    formula(
        "convergent bounds",
        lambda: bounded(aj.scale_by_adam(eps=0.0, eps_hat=1e-8), 0.2, base_lr=0.2, **convergent()),
        adabound,
        lr=0.2,
        **REFERENCE_SAVARESE,
    ),
    formula(
        "convergent bounds on rmsprop",
        lambda: bounded(aj.scale_by_rms(), ramp(0.1, 0.01), base_lr=0.1, **convergent()),
        bounded_rmsprop,
        lr=ramp(0.1, 0.01),
        base_lr=0.1,
        **REFERENCE_SAVARESE,
    ),
    formula(
        "bounds without limits are adam",
        lambda: bounded(aj.scale_by_adam(), RATE, base_lr=RATE, lower=0.0, upper=float("inf")),
        adam,
        lr=RATE,
    ),
    formula(
        "equal bounds are sgd with ema",
        lambda: bounded(aj.scale_by_adam(b1=0.8), RATE, base_lr=RATE, lower=0.3, upper=0.3),
        sgd,
        lr=0.3,
        momentum=0.8,
        ema=True,
    ),
    formula(
        "smallest M is sgd",
        lambda: bounded(
            aj.scale_by_adam(b1=0.0),
            RATE,
            base_lr=RATE,
            **dict(zip(("lower", "upper"), aj.convergent_bounds(0.1, 10.0), strict=True)),
        ),
        sgd,
        lr=0.1,
    ),
]
