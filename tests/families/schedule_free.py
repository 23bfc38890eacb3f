"""Schedule-Free SGD, AdamW and the wrapper that makes them."""

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


def schedule_free(params, grads, lr, direction, b1=0.9, power=2.0, r=0.0, weight_decay=0.0, **c):
    """Section 2 of the paper with x, y and z, and the weights of the authors' code."""
    rates = [value_at(lr, t) for t in range(1, len(grads) + 1)]
    weights = [t**r * max(rates[:t]) ** power for t in range(1, len(grads) + 1)]

    def step(t, y, g, buffers):
        z, x = buffers.get("z", y), buffers.get("x", y)
        u = direction(t, g, buffers) + value_at(weight_decay, t) * y
        c = weights[t - 1] / sum(weights[:t]) if sum(weights[:t]) else 0.0
        z = z - rates[t - 1] * u
        x = (1 - c) * x + c * z
        buffers["z"], buffers["x"] = z, x
        return (1 - b1) * z + b1 * x

    return descend(params, grads, step, **c)


def schedule_free_sgd(params, grads, lr=1.0, momentum=0.0, **hyper):
    def direction(t, g, buffers):
        buffers["m"] = momentum * buffers.get("m", 0.0) + g
        return buffers["m"]

    return schedule_free(params, grads, lr, direction, **hyper)


def schedule_free_adamw(params, grads, lr=0.0025, b2=0.999, eps=1e-8, **hyper):
    def direction(t, g, buffers):
        v = buffers["v"] = b2 * buffers.get("v", 0.0) + (1 - b2) * g**2
        return ratio(g, np.sqrt(v / (1 - b2**t)) + eps)

    return schedule_free(params, grads, lr, direction, **hyper)


def warmed_up(lr, steps):
    return lambda count: lr * min(1.0, (count + 1) / steps)


def wrapped(learning_rate, b1, weight_lr_power, r):
    return aj.schedule_free(
        aj.sgd(learning_rate, 0.5), learning_rate, b1, weight_lr_power=weight_lr_power, r=r
    )


AVERAGE = {"b1": 0.9, "weight_lr_power": 2.0, "r": 0.0}

CASES = [
    Case(
        "schedule_free_sgd",
        aj.schedule_free_sgd,
        {"learning_rate": 0.1, **AVERAGE},
        LR,
        needs_params=True,
    ),
    Case(
        "schedule_free_adamw",
        aj.schedule_free_adamw,
        {"learning_rate": 0.1, "b2": 0.99, "eps": 1e-8, "weight_decay": 0.1, **AVERAGE},
        ("learning_rate", "weight_decay"),
        {"warmup_steps": 2},
        needs_params=True,
        decays=True,
        scale_free=True,
    ),
    Case(
        "schedule_free_momentum",
        wrapped,
        {"learning_rate": 0.1, "b1": 1.0, "weight_lr_power": 0.0, "r": 1.0},
        LR,
        needs_params=True,
    ),
]


FORMULAS = [
    formula("schedule-free sgd", lambda: aj.schedule_free_sgd(0.1), schedule_free_sgd, lr=0.1),
    formula(
        "schedule-free sgd warmed up",
        lambda: aj.schedule_free_sgd(
            0.2, 0.7, ramp(0.5, 0.0), warmup_steps=20, weight_lr_power=1.5, r=0.5
        ),
        schedule_free_sgd,
        lr=warmed_up(0.2, 20),
        b1=0.7,
        weight_decay=ramp(0.5, 0.0),
        power=1.5,
        r=0.5,
    ),
    formula(
        "schedule-free sgd from a rate of 0",
        lambda: aj.schedule_free_sgd(ramp(0.0, 0.2)),
        schedule_free_sgd,
        lr=ramp(0.0, 0.2),
    ),
    formula("schedule-free adamw", lambda: aj.schedule_free_adamw(), schedule_free_adamw),
    formula(
        "schedule-free adamw scheduled",
        lambda: aj.schedule_free_adamw(
            inverse_time(RATE, 0.1), 0.95, 0.9, 1e-4, 0.3, W_DECAYS, r=2.0
        ),
        only_w(schedule_free_adamw, weight_decay=0.3),
        by_array=True,
        lr=inverse_time(RATE, 0.1),
        b1=0.95,
        b2=0.9,
        eps=1e-4,
        r=2.0,
    ),
    formula(
        "schedule-free adamw of keras",
        lambda: aj.schedule_free_adamw(RATE, warmup_steps=5, weight_lr_power=0.0),
        schedule_free_adamw,
        lr=warmed_up(RATE, 5),
        power=0.0,
    ),
    formula(
        "schedule-free around momentum",
        lambda: aj.schedule_free(aj.sgd(0.1, 0.5), 0.1, b1=0.8),
        schedule_free_sgd,
        lr=0.1,
        momentum=0.5,
        b1=0.8,
    ),
    formula(
        "schedule-free b1 1 is the average of sgd",
        lambda: aj.schedule_free(aj.sgd(0.1), 0.1, b1=1.0),
        lambda params, grads: average(sgd(params, grads, lr=0.1)),
    ),
    formula(
        "rms with bias correction is adam b1 0",
        lambda: aj.chain(
            aj.scale_by_rms(0.99, 1e-3, 1e-4, bias_correction=True),
            aj.scale_by_learning_rate(RATE),
        ),
        adam,
        lr=RATE,
        b1=0.0,
        b2=0.99,
        eps=1e-3,
        eps_root=1e-4,
    ),
]


def average(path):
    return [
        {name: np.mean([p[name] for p in path[:t]], axis=0) for name in path[0]}
        for t in range(1, len(path) + 1)
    ]


PORTS = {
    "ScheduleFreeSGD": Port("schedule_free_sgd"),
    "ScheduleFreeAdamW": Port("schedule_free_adamw"),
}
