"""QHAdam."""

import numpy as np

import adaptive_jax as aj
from tests.families.adam import adam
from tests.family import (
    LR,
    RATE,
    Case,
    Port,
    before,
    descend,
    formula,
    inverse_time,
    ramp,
    ratio,
    value_at,
)


def qhadam(
    params,
    grads,
    lr=1e-3,
    b1=0.995,
    b2=0.999,
    nu1=0.7,
    nu2=1.0,
    eps=1e-8,
    eps_root=0.0,
    **common,
):
    """The paper's update, with its moments as what they are: weighted means of all gradients."""

    def step(t, p, g, buffers):
        history = buffers.setdefault("g", [])
        history.append(g)
        old = np.arange(t)[::-1].reshape(-1, *[1] * g.ndim)  # how many updates ago
        mean = np.sum(b1**old * np.stack(history), 0) * (1 - b1) / (1 - b1**t)
        square = np.sum(b2**old * np.stack(history) ** 2, 0) * (1 - b2) / (1 - b2**t)
        above = (1 - nu1) * g + nu1 * mean
        below = np.sqrt((1 - nu2) * g**2 + nu2 * square + eps_root) + eps
        return p - value_at(lr, t) * ratio(above, below)

    return descend(params, grads, step, **common)


CASES = [
    Case(
        "qhadam",
        aj.qhadam,
        {"learning_rate": 0.1, "b1": 0.9, "b2": 0.99, "nu1": 0.7, "nu2": 1.0, "eps": 1e-8},
        LR,
        scale_free=True,
    ),
    Case(
        "qhadam_no_eps",
        aj.qhadam,
        {"learning_rate": 0.1, "nu1": 0.5, "nu2": 0.8, "eps": 0.0},
        LR,
        scale_free=True,
        numbers_only=True,
    ),
]


FORMULAS = [
    formula("qhadam", lambda: aj.qhadam(), qhadam),
    formula(
        "qhadam both mixed, eps 0",
        lambda: aj.qhadam(RATE, 0.9, 0.99, 0.4, 0.6, 0.0),
        qhadam,
        lr=RATE,
        b1=0.9,
        b2=0.99,
        nu1=0.4,
        nu2=0.6,
        eps=0.0,
    ),
    formula(
        "qhadam scheduled",
        lambda: aj.qhadam(ramp(0.0, 0.02), 0.5, 0.8, 0.9, 0.9, 1e-3, 1e-2),
        qhadam,
        lr=ramp(0.0, 0.02),
        b1=0.5,
        b2=0.8,
        nu1=0.9,
        nu2=0.9,
        eps=1e-3,
        eps_root=1e-2,
    ),
    formula(
        "qhadam coupled decay",
        before(lambda: aj.add_decayed_weights(0.1), lambda: aj.qhadam(inverse_time(RATE, 0.1))),
        qhadam,
        lr=inverse_time(RATE, 0.1),
        l2=0.1,
    ),
    formula(
        "qhadam nu 1 is adam",
        lambda: aj.qhadam(RATE, 0.9, 0.99, 1.0, 1.0),
        adam,
        lr=RATE,
        b1=0.9,
        b2=0.99,
    ),
    formula(
        "qhadam nu1 0 is adam b1 0",
        lambda: aj.qhadam(RATE, nu1=0.0),
        adam,
        lr=RATE,
        b1=0.0,
    ),
]


PORTS = {
    "QHAdam": Port(
        "qhadam",
        {"b1": 0.9, "nu1": 1.0},
        differs="it keeps the weights of both means in float32",
    )
}
