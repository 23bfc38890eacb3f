"""NovoGrad."""

import numpy as np

import adaptive_jax as aj
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
    ratio,
    value_at,
)


def novograd(params, grads, lr=0.01, b1=0.95, b2=0.98, eps=1e-8, d=0.0, **common):
    """Algorithm 1 of the paper, for a layer."""

    def step(t, w, g, buffers):
        if t == 1:
            v = np.linalg.norm(g) ** 2
            m = ratio(g, np.sqrt(v) + eps) + value_at(d, t) * w
        else:
            v = b2 * buffers["v"] + (1 - b2) * np.linalg.norm(g) ** 2
            m = value_at(b1, t) * buffers["m"]
            m = m + (ratio(g, np.sqrt(v) + eps) + value_at(d, t) * w)
        buffers["v"], buffers["m"] = v, m
        return w - value_at(lr, t) * m

    return descend(params, grads, step, **common)


NOVOGRAD = {"b1": 0.95, "b2": 0.98, "eps": 1e-8}


CASES = [
    Case(
        "novograd",
        aj.novograd,
        {"learning_rate": 0.1, "weight_decay": 0.0, **NOVOGRAD},
        ("learning_rate", "b1", "weight_decay"),
        needs_params=True,
    ),
]


FORMULAS = [
    formula("novograd", lambda: aj.novograd(), novograd, by_array=True),
    formula(
        "novograd scheduled",
        lambda: aj.novograd(ramp(0.0, 0.02), ramp(0.95, 0.8), 0.25, 1e-3, inverse_time(0.5, 0.1)),
        novograd,
        by_array=True,
        lr=ramp(0.0, 0.02),
        b1=ramp(0.95, 0.8),
        b2=0.25,
        eps=1e-3,
        d=inverse_time(0.5, 0.1),
    ),
    formula(
        "novograd masked",
        lambda: aj.novograd(RATE, weight_decay=0.3, mask=W_DECAYS),
        only_w(novograd, d=0.3),
        by_array=True,
        lr=RATE,
    ),
    formula(
        "novograd b1 b2 eps 0 normalizes",
        lambda: aj.chain(
            aj.scale_by_trust_ratio(min_norm=0.2, max_norm=0.2),
            aj.scale_by_learning_rate(RATE),
        ),
        novograd,
        by_array=True,
        lr=0.2 * RATE,
        b1=0.0,
        b2=0.0,
        eps=0.0,
    ),
    formula("novograd b2 1", lambda: aj.novograd(b2=1.0), novograd, by_array=True, b2=1.0),
]


PORTS = {"NovoGrad": Port("novograd")}
