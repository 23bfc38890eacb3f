"""Adagrad, Adadelta and RMSprop."""

import numpy as np

import adaptive_jax as aj
from tests.families.sgd import sgd, sign_sgd
from tests.family import LR, RATE, Case, descend, formula, inverse_time, ramp, ratio, value_at


def adagrad(params, grads, lr, start=0.0, eps=1e-10, eps_root=0.0, **common):
    def step(t, p, g, buffers):
        buffers["sum"] = buffers.get("sum", start) + g**2
        return p - value_at(lr, t) * ratio(g, np.sqrt(buffers["sum"] + eps_root) + eps)

    return descend(params, grads, step, **common)


def adadelta(params, grads, lr=1.0, rho=0.95, eps=1e-6, **common):
    def step(t, p, g, buffers):
        mean_g2 = rho * buffers.get("g2", 0.0) + (1 - rho) * g**2
        change = -np.sqrt(buffers.get("d2", 0.0) + eps) / np.sqrt(mean_g2 + eps) * g
        buffers["d2"] = rho * buffers.get("d2", 0.0) + (1 - rho) * change**2
        buffers["g2"] = mean_g2
        return p + value_at(lr, t) * change

    return descend(params, grads, step, **common)


def rmsprop(
    params,
    grads,
    lr,
    decay=0.9,
    eps=1e-8,
    eps_root=0.0,
    centered=False,
    momentum=0.0,
    nesterov=False,
    lr_inside=False,
    start=0.0,
    **common,
):
    def step(t, p, g, buffers):
        rate, keep = value_at(lr, t), value_at(momentum, t)
        buffers["v"] = decay * buffers.get("v", start) + (1 - decay) * g**2
        buffers["m"] = decay * buffers.get("m", 0.0) + (1 - decay) * g
        spread = buffers["v"] - buffers["m"] ** 2 if centered else buffers["v"]
        u = ratio(g, np.sqrt(spread + eps_root) + eps)
        u = rate * u if lr_inside else u
        buffers["trace"] = keep * buffers.get("trace", 0.0) + u
        direction = keep * buffers["trace"] + u if nesterov else buffers["trace"]
        return p - (direction if lr_inside else rate * direction)

    return descend(params, grads, step, **common)


CASES = [
    Case("adagrad", aj.adagrad, {"learning_rate": 0.1, "eps": 1e-10}, LR, scale_free=True),
    Case(
        "adagrad_keras",
        aj.adagrad,
        {"learning_rate": 0.1, "initial_accumulator": 0.1, "eps": 0.0, "eps_root": 1e-7},
        LR,
        scale_free=True,
        numbers_only=True,
    ),
    Case(
        "adadelta",
        aj.adadelta,
        {"learning_rate": 1.0, "rho": 0.95, "eps": 1e-6},
        LR,
        scale_free=True,
    ),
    Case(
        "rmsprop",
        aj.rmsprop,
        {"learning_rate": 0.1, "decay": 0.9, "eps": 1e-8},
        LR,
        scale_free=True,
    ),
    Case(
        "rmsprop_centered_momentum",
        aj.rmsprop,
        {"learning_rate": 0.1, "decay": 0.9, "eps": 0.0, "eps_root": 1e-7, "momentum": 0.9},
        ("learning_rate", "momentum"),
        {"centered": True, "nesterov": True},
        scale_free=True,
        rounds_between=True,
    ),
]


FORMULAS = [
    formula("adagrad", lambda: aj.adagrad(), adagrad, lr=0.01),
    formula("adagrad eps 0", lambda: aj.adagrad(0.1, eps=0.0), adagrad, lr=0.1, eps=0.0),
    formula(
        "adagrad eps outside and inside",
        lambda: aj.adagrad(inverse_time(0.1, 0.02), 0.3, 1e-2, 1e-3),
        adagrad,
        lr=inverse_time(0.1, 0.02),
        start=0.3,
        eps=1e-2,
        eps_root=1e-3,
    ),
    formula("adadelta", lambda: aj.adadelta(), adadelta),
    formula(
        "adadelta scheduled",
        lambda: aj.adadelta(ramp(2.0, 0.5), 0.8, 1e-3),
        adadelta,
        lr=ramp(2.0, 0.5),
        rho=0.8,
        eps=1e-3,
    ),
    formula(
        "adadelta rho 0",
        lambda: aj.adadelta(0.5, 0.0, 1e-4),
        adadelta,
        lr=0.5,
        rho=0.0,
        eps=1e-4,
    ),
    formula("rmsprop", lambda: aj.rmsprop(), rmsprop, lr=1e-3),
    formula(
        "rmsprop eps 0",
        lambda: aj.rmsprop(RATE, 0.95, eps=0.0),
        rmsprop,
        lr=RATE,
        decay=0.95,
        eps=0.0,
    ),
    formula(
        "rmsprop eps inside",
        lambda: aj.rmsprop(RATE, 0.8, 0.0, 1e-3),
        rmsprop,
        lr=RATE,
        decay=0.8,
        eps=0.0,
        eps_root=1e-3,
    ),
    formula(
        "rmsprop centered",
        lambda: aj.rmsprop(RATE, 0.95, 1e-3, centered=True),
        rmsprop,
        lr=RATE,
        decay=0.95,
        eps=1e-3,
        centered=True,
    ),
    formula(
        "rmsprop centered nesterov scheduled",
        lambda: aj.rmsprop(inverse_time(RATE, 0.1), 0.9, 0.0, 1e-2, True, ramp(0.3, 0.9), True),
        rmsprop,
        lr=inverse_time(RATE, 0.1),
        eps=0.0,
        eps_root=1e-2,
        centered=True,
        momentum=ramp(0.3, 0.9),
        nesterov=True,
    ),
    formula(
        "rmsprop momentum, rate inside",
        lambda: aj.chain(
            aj.scale_by_rms(0.9, 0.0, 1e-4, initial_accumulator=0.1),
            aj.scale_by_learning_rate(inverse_time(RATE, 0.1)),
            aj.momentum(0.7),
        ),
        rmsprop,
        lr=inverse_time(RATE, 0.1),
        eps=0.0,
        eps_root=1e-4,
        start=0.1,
        momentum=0.7,
        lr_inside=True,
    ),
    formula(
        "rmsprop decay 0 is sign",
        lambda: aj.rmsprop(RATE, decay=0.0, eps=0.0),
        sign_sgd,
        lr=RATE,
    ),
    formula("adadelta rho 1 is sgd", lambda: aj.adadelta(0.1, rho=1.0), sgd, lr=0.1),
    formula("rmsprop decay 1 is sgd", lambda: aj.rmsprop(0.1, 1.0, eps=2.0), sgd, lr=0.05),
]
