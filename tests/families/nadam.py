"""NAdam and NAdamW."""

import math

import numpy as np

import adaptive_jax as aj
from tests.families.adam import adam
from tests.family import (
    LR,
    RATE,
    W_DECAYS,
    Case,
    before,
    descend,
    formula,
    inverse_time,
    only_w,
    ramp,
    ratio,
    value_at,
)


def nadam(
    params,
    grads,
    lr=2e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    eps_root=0.0,
    eps_hat=0.0,
    psi=4e-3,
    weight_decay=0.0,
    **common,
):
    """As Dozat's algorithm with momenta mu(1), mu(2), …, but a mean gradient that decays by b1."""

    def mu(i):
        return b1 * (1 - 0.5 * 0.96 ** (i * psi))

    def step(t, p, g, buffers):
        m = buffers["m"] = b1 * buffers.get("m", 0.0) + (1 - b1) * g
        n = buffers["n"] = b2 * buffers.get("n", 0.0) + (1 - b2) * g**2
        product = math.prod(mu(i) for i in range(1, t + 1))
        g_hat = g / (1 - product)
        m_hat = m / (1 - product * mu(t + 1))
        n_hat = n / (1 - b2**t)
        m_bar = (1 - mu(t)) * g_hat + mu(t + 1) * m_hat
        u = ratio(m_bar, np.sqrt(n_hat + eps_root) + eps + eps_hat / math.sqrt(1 - b2**t))
        return p - value_at(lr, t) * (u + value_at(weight_decay, t) * p)

    return descend(params, grads, step, **common)


NADAM = {"b1": 0.9, "b2": 0.99, "eps": 1e-8, "momentum_decay": 4e-3}


CASES = [
    Case("nadam", aj.nadam, {"learning_rate": 0.1, **NADAM}, LR, scale_free=True),
    Case(
        "nadam_keras_no_eps",
        aj.nadam,
        {"learning_rate": 0.1, "b1": 0.8, "eps": 0.0, "momentum_decay": 1.0},
        LR,
        scale_free=True,
        numbers_only=True,
    ),
    Case(
        "nadam_constant_momentum",
        aj.nadam,
        {"learning_rate": 0.1, "b1": 0.9, "b2": 0.99},
        LR,
        {"momentum_decay": None},
        scale_free=True,
    ),
    Case(
        "nadamw",
        aj.nadamw,
        {"learning_rate": 0.1, "weight_decay": 0.1, "eps_root": 1e-12, **NADAM},
        ("learning_rate", "weight_decay"),
        needs_params=True,
        decays=True,
        scale_free=True,
    ),
]


FORMULAS = [
    formula("nadam", lambda: aj.nadam(), nadam),
    formula(
        "nadam keras",
        lambda: aj.nadam(RATE, 0.8, eps=1e-7, momentum_decay=1.0),
        nadam,
        lr=RATE,
        b1=0.8,
        eps=1e-7,
        psi=1.0,
    ),
    formula("nadam eps 0", lambda: aj.nadam(RATE, eps=0.0), nadam, lr=RATE, eps=0.0),
    formula(
        "nadam three eps",
        lambda: aj.nadam(ramp(0.0, 0.02), 0.5, 0.9, 1e-3, 1e-2, 1e-4, 0.3),
        nadam,
        lr=ramp(0.0, 0.02),
        b1=0.5,
        b2=0.9,
        eps=1e-3,
        eps_root=1e-2,
        eps_hat=1e-4,
        psi=0.3,
    ),
    formula(
        "nadam long memory",
        lambda: aj.nadam(RATE, b1=0.999, momentum_decay=20.0),
        nadam,
        lr=RATE,
        b1=0.999,
        psi=20.0,
    ),
    formula(
        "nadam coupled decay",
        before(lambda: aj.add_decayed_weights(0.1), lambda: aj.nadam(inverse_time(RATE, 0.1))),
        nadam,
        lr=inverse_time(RATE, 0.1),
        l2=0.1,
    ),
    formula(
        "nadam with a constant momentum is adam nesterov",
        lambda: aj.nadam(RATE, momentum_decay=None),
        adam,
        lr=RATE,
        nesterov=True,
    ),
    formula(
        "nadam b1 0 is adam b1 0",
        lambda: aj.nadam(RATE, b1=0.0),
        adam,
        lr=RATE,
        b1=0.0,
    ),
    formula("nadamw", lambda: aj.nadamw(), nadam, weight_decay=0.01),
    formula(
        "nadamw scheduled",
        lambda: aj.nadamw(ramp(0.0, 0.02), momentum_decay=0.1, weight_decay=inverse_time(0.5, 0.1)),
        nadam,
        lr=ramp(0.0, 0.02),
        psi=0.1,
        weight_decay=inverse_time(0.5, 0.1),
    ),
    formula(
        "nadamw constant momentum masked",
        lambda: aj.nadamw(RATE, momentum_decay=None, weight_decay=0.3, mask=W_DECAYS),
        only_w(adam, weight_decay=0.3),
        by_array=True,
        lr=RATE,
        nesterov=True,
    ),
]
