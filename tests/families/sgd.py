"""Gradient descent, momentum, sign descent."""

import numpy as np

import adaptive_jax as aj
from tests.family import LR, RATE, Case, descend, formula, inverse_time, ramp, value_at


def sgd(params, grads, lr, momentum=0.0, nesterov=False, dampening=0.0, ema=False, **common):
    def step(t, p, g, buffers):
        decay = value_at(momentum, t)
        weight = 1 - decay if ema else 1.0
        if t == 1:
            buffers["m"] = weight * g
        elif ema:
            buffers["m"] = decay * buffers["m"] + weight * g
        else:
            buffers["m"] = decay * buffers["m"] + (1 - dampening) * g
        direction = decay * buffers["m"] + weight * g if nesterov else buffers["m"]
        return p - value_at(lr, t) * direction

    return descend(params, grads, step, **common)


def sign_sgd(params, grads, lr, **common):
    def step(t, p, g, buffers):
        return p - value_at(lr, t) * np.sign(g)

    return descend(params, grads, step, **common)


CASES = [
    Case("sgd", aj.sgd, {"learning_rate": 0.1}, LR),
    Case(
        "sgd_momentum",
        aj.sgd,
        {"learning_rate": 0.1, "momentum": 0.9, "dampening": 0.1},
        ("learning_rate", "momentum"),
    ),
    Case(
        "sgd_nesterov",
        aj.sgd,
        {"learning_rate": 0.1, "momentum": 0.9},
        ("learning_rate", "momentum"),
        {"nesterov": True},
    ),
    Case("sign_sgd", aj.sign_sgd, {"learning_rate": 0.1}, LR, scale_free=True, tames_infinity=True),
    Case("momentum", aj.momentum, {"decay": 0.9, "dampening": 0.1}, ("decay",)),
    Case("momentum_ema", aj.momentum, {"decay": 0.9}, ("decay",), {"ema": True, "nesterov": True}),
]


FORMULAS = [
    formula("sgd", lambda: aj.sgd(0.1), sgd, lr=0.1),
    formula(
        "sgd scheduled",
        lambda: aj.sgd(inverse_time(0.2, 0.1), ramp(0.5, 0.95)),
        sgd,
        lr=inverse_time(0.2, 0.1),
        momentum=ramp(0.5, 0.95),
    ),
    formula(
        "sgd nesterov scheduled",
        lambda: aj.sgd(ramp(0.0, 0.1), ramp(0.95, 0.5), nesterov=True),
        sgd,
        lr=ramp(0.0, 0.1),
        momentum=ramp(0.95, 0.5),
        nesterov=True,
    ),
    formula(
        "sgd dampened",
        lambda: aj.sgd(0.1, 0.8, dampening=0.3),
        sgd,
        lr=0.1,
        momentum=0.8,
        dampening=0.3,
    ),
    formula(
        "sgd dampened nesterov",
        lambda: aj.sgd(0.1, 0.8, True, 0.3),
        sgd,
        lr=0.1,
        momentum=0.8,
        dampening=0.3,
        nesterov=True,
    ),
    formula(
        "momentum 0 is sgd",
        lambda: aj.chain(aj.momentum(0.0), aj.scale_by_learning_rate(0.1)),
        sgd,
        lr=0.1,
    ),
    formula(
        "momentum 1 is a sum",
        lambda: aj.chain(aj.momentum(1.0), aj.scale_by_learning_rate(0.01)),
        sgd,
        lr=0.01,
        momentum=1.0,
    ),
    formula(
        "ema",
        lambda: aj.chain(aj.momentum(0.9, ema=True), aj.scale_by_learning_rate(0.3)),
        sgd,
        lr=0.3,
        momentum=0.9,
        ema=True,
    ),
    formula(
        "ema nesterov scheduled",
        lambda: aj.chain(
            aj.momentum(ramp(0.2, 0.9), nesterov=True, ema=True), aj.scale_by_learning_rate(0.3)
        ),
        sgd,
        lr=0.3,
        momentum=ramp(0.2, 0.9),
        nesterov=True,
        ema=True,
    ),
    formula("sign", lambda: aj.sign_sgd(RATE), sign_sgd, lr=RATE),
    formula(
        "sign scheduled",
        lambda: aj.sign_sgd(inverse_time(0.1, 0.5)),
        sign_sgd,
        lr=inverse_time(0.1, 0.5),
    ),
    formula(
        "sgd dampening beyond 1",
        lambda: aj.sgd(0.1, 0.9, dampening=1.5),
        sgd,
        lr=0.1,
        momentum=0.9,
        dampening=1.5,
    ),
]
