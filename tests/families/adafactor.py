"""Adafactor, whole and in its stages."""

import math

import numpy as np
import optax

import adaptive_jax as aj
from tests.families.adagrad import adagrad
from tests.families.sgd import sign_sgd
from tests.families.sm3 import folded, of_folded
from tests.family import (
    LR,
    RATE,
    W_DECAYS,
    Case,
    as_float,
    descend,
    formula,
    inverse_time,
    only_w,
    ramp,
    value_at,
)


def adafactor(
    params,
    grads,
    rho=1e-2,
    c=0.8,
    eps1=1e-30,
    eps2=1e-3,
    d=1.0,
    momentum=0.0,
    weight_decay=0.0,
    **common,
):
    """The paper's Algorithms 4 and 5, in its sums over rows and columns."""

    def rms(x):
        return np.sqrt(np.mean(x**2))

    def step(t, x, g, buffers):
        beta2 = 1 - t**-c
        square = g**2 + eps1
        if x.ndim < 2:
            v = buffers["v"] = beta2 * buffers.get("v", 0.0) + (1 - beta2) * square
        else:
            row = beta2 * buffers.get("row", 0.0) + (1 - beta2) * square.sum(-1)
            column = beta2 * buffers.get("column", 0.0) + (1 - beta2) * square.sum(-2)
            buffers.update(row=row, column=column)
            total = row.sum(-1)[..., None, None]
            v = row[..., :, None] * column[..., None, :] / total
        u = g / np.sqrt(v)
        u = u / max(1.0, rms(u) / d) * max(eps2, rms(x))
        keep = value_at(momentum, t)
        buffers["m"] = keep * buffers.get("m", 0.0) + (1 - keep) * u
        rate = min(value_at(rho, t), 1 / math.sqrt(t))
        return x - rate * (buffers["m"] + value_at(weight_decay, t) * x)

    return descend(params, grads, step, **common)


def adafactor_of_torch(params, grads, lr=1e-2, eps1=1e-3, eps2=1e-3, d=1.0, weight_decay=0.0):
    """Means for sums, and eps1 as the least that roots are taken for."""

    def step(t, p, g, buffers):
        take = t**-0.8
        alpha = max(eps2, np.linalg.norm(p) / math.sqrt(p.size)) * min(lr, 1 / math.sqrt(t))
        p = p * (1 - lr * weight_decay)
        if g.ndim > 1:
            rows, columns = buffers.get("v", (0.0, 0.0))
            rows = rows + take * ((g * g).mean(-1, keepdims=True) - rows)
            columns = columns + take * ((g * g).mean(-2, keepdims=True) - columns)
            buffers["v"] = rows, columns
            v = rows @ columns / np.maximum(rows.mean(-2, keepdims=True), eps1)
        else:
            old = buffers.get("v", 0.0)
            v = buffers["v"] = old + take * (g * g - old)
        u = g / np.sqrt(np.maximum(v, eps1**2))
        return p - alpha / max(1.0, np.linalg.norm(u) / (d * math.sqrt(u.size))) * u

    return descend(params, grads, step)


def in_the_form_of_torch(lr=1e-2, eps1=1e-3, eps2=1e-3, d=1.0, weight_decay=0.0):
    return aj.chain(
        aj.scale_by_factored_rms(eps=0.0, min_rms=eps1),
        aj.clip_by_block_rms(d),
        aj.scale_by_param_rms(eps2),
        aj.scale_by_learning_rate(aj.relative_step(lr), flip_sign=False),
        aj.add_decayed_weights(lr * weight_decay),
        optax.scale(-1.0),
    )


def factored_rms(decay_exponent, rate):
    return aj.chain(
        aj.scale_by_factored_rms(decay_exponent, eps=0.0), aj.scale_by_learning_rate(rate)
    )


def inverse_root(count):
    return RATE * (as_float(count) + 1) ** -0.5


ADAFACTOR = {
    "learning_rate": 0.1,
    "decay_exponent": 0.8,
    "eps": 1e-30,
    "max_rms": 1.0,
    "min_param_rms": 1e-3,
}


CASES = [
    Case("adafactor", aj.adafactor, ADAFACTOR, LR, needs_params=True, scale_free=True),
    Case(
        "adafactor_momentum_decay",
        aj.adafactor,
        {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.1},
        ("learning_rate", "momentum", "weight_decay"),
        needs_params=True,
        decays=True,
        scale_free=True,
        rounds_between=True,
    ),
    Case("scale_by_factored_rms", aj.scale_by_factored_rms, {"decay_exponent": 0.8, "eps": 1e-30}),
    Case(
        "scale_by_factored_rms_torch",
        aj.scale_by_factored_rms,
        {"decay_exponent": 0.8, "eps": 0.0, "min_rms": 1e-7},
        numbers_only=True,
    ),
    Case("scale_by_param_rms", aj.scale_by_param_rms, {"min_rms": 1e-3}, needs_params=True),
]


FORMULAS = [
    formula("adafactor", lambda: aj.adafactor(), adafactor, by_array=True),
    formula(
        "adafactor other numbers",
        lambda: aj.adafactor(0.3, 0.5, 1e-2, 0.7, 0.5),
        adafactor,
        by_array=True,
        rho=0.3,
        c=0.5,
        eps1=1e-2,
        d=0.7,
        eps2=0.5,
    ),
    formula(
        "adafactor momentum, decay, scheduled",
        lambda: aj.adafactor(
            ramp(0.05, 0.3), momentum=inverse_time(0.9, 0.05), weight_decay=inverse_time(0.5, 0.1)
        ),
        adafactor,
        by_array=True,
        rho=ramp(0.05, 0.3),
        momentum=inverse_time(0.9, 0.05),
        weight_decay=inverse_time(0.5, 0.1),
    ),
    formula(
        "adafactor masked",
        lambda: aj.adafactor(0.1, weight_decay=0.3, mask=W_DECAYS),
        only_w(adafactor, weight_decay=0.3),
        by_array=True,
        rho=0.1,
    ),
    formula(
        "adafactor of three axes",
        lambda: folded(aj.adafactor()),
        of_folded(adafactor),
        by_array=True,
    ),
    formula(
        "adafactor in the form of torch",
        lambda: in_the_form_of_torch(0.1, 0.3, 0.5, 1.2, 0.1),
        adafactor_of_torch,
        by_array=True,
        lr=0.1,
        eps1=0.3,
        eps2=0.5,
        d=1.2,
        weight_decay=0.1,
    ),
    formula(
        "factored rms of one axis without memory is sign",
        lambda: factored_rms(0.0, RATE),
        sign_sgd,
        lr=RATE,
    ),
    formula(
        "factored rms of one axis with full memory is adagrad",
        lambda: factored_rms(1.0, inverse_root),
        adagrad,
        lr=RATE,
        eps=0.0,
    ),
]
