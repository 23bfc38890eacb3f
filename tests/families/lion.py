"""Lion, and the sign of other means."""

import numpy as np

import adaptive_jax as aj
from tests.families.sgd import sign_sgd
from tests.family import (
    RATE,
    W_DECAYS,
    Case,
    Port,
    descend,
    formula,
    inverse_time,
    only_w,
    ramp,
    value_at,
)


def lion(params, grads, lr=1e-4, b1=0.9, b2=0.99, weight_decay=0.0, **common):
    def step(t, p, g, buffers):
        memory = buffers.get("memory", np.zeros_like(g))
        c = b1 * memory + (1 - b1) * g
        buffers["memory"] = b2 * memory + (1 - b2) * g
        return p - value_at(lr, t) * (np.sign(c) + value_at(weight_decay, t) * p)

    return descend(params, grads, step, **common)


def signum(params, grads, lr, decay=0.9, **common):
    """The sign of the moving mean; "Signum" in section 3 of the paper on signSGD."""

    def step(t, p, g, buffers):
        buffers["m"] = decay * buffers.get("m", 0.0) + (1 - decay) * g
        return p - value_at(lr, t) * np.sign(buffers["m"])

    return descend(params, grads, step, **common)


def our_signum(lr=1e-3, momentum=0.9):
    return aj.chain(
        aj.momentum(momentum, ema=True), aj.scale_by_sign(), aj.scale_by_learning_rate(lr)
    )


CASES = [
    Case(
        "lion",
        aj.lion,
        {"learning_rate": 0.1, "b1": 0.9, "b2": 0.99, "weight_decay": 0.1},
        ("learning_rate", "weight_decay"),
        needs_params=True,
        decays=True,
        scale_free=True,
    ),
]


FORMULAS = [
    formula("lion", lambda: aj.lion(), lion),
    formula(
        "lion scheduled",
        lambda: aj.lion(ramp(0.0, 0.02), 0.8, 0.95, inverse_time(0.5, 0.1)),
        lion,
        lr=ramp(0.0, 0.02),
        b1=0.8,
        b2=0.95,
        weight_decay=inverse_time(0.5, 0.1),
    ),
    formula(
        "lion masked",
        lambda: aj.lion(RATE, weight_decay=0.3, mask=W_DECAYS),
        only_w(lion, weight_decay=0.3),
        by_array=True,
        lr=RATE,
    ),
    formula(
        "lion b1 above b2",
        lambda: aj.lion(RATE, 0.99, 0.3),
        lion,
        lr=RATE,
        b1=0.99,
        b2=0.3,
    ),
    formula("lion b2 tiny", lambda: aj.lion(RATE, 0.9, 1e-7), lion, lr=RATE, b2=1e-7),
    formula("lion b2 0", lambda: aj.lion(RATE, b2=0.0), lion, lr=RATE, b2=0.0),
    formula("lion b1 1", lambda: aj.lion(RATE, b1=1.0), lion, lr=RATE, b1=1.0),
    formula("lion b2 1 is sign", lambda: aj.lion(RATE, b2=1.0), sign_sgd, lr=RATE),
    formula("lion b1 0 is sign", lambda: aj.lion(RATE, b1=0.0), sign_sgd, lr=RATE),
    formula("lion b1 as b2 is signum", lambda: aj.lion(RATE, 0.9, 0.9), signum, lr=RATE),
    formula(
        "signum", lambda: our_signum(inverse_time(0.1, 0.5)), signum, lr=inverse_time(0.1, 0.5)
    ),
]


PORTS = {"Lion": Port("lion"), "SignSGD": Port("sign_sgd", chain=our_signum)}
