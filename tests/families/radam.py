"""RAdam."""

import math
from fractions import Fraction

import numpy as np

import adaptive_jax as aj
from tests.family import LR, RATE, Case, before, descend, formula, inverse_time, ramp, value_at


def radam(
    params,
    grads,
    lr=1e-3,
    b1=0.9,
    b2=0.999,
    eps=0.0,
    eps_root=0.0,
    eps_hat=1e-8,
    threshold=5.0,
    **common,
):
    """Algorithm 2 of the paper, with epsilon in three places and a threshold of one's own."""
    beta2 = Fraction(b2)  # exact, since rho is a difference of numbers near 2 / (1 - b2)
    rho_inf = 2 / (1 - beta2) - 1

    def step(t, p, g, buffers):
        v = buffers["v"] = b2 * buffers.get("v", 0.0) + (1 - b2) * g**2
        m = buffers["m"] = b1 * buffers.get("m", 0.0) + (1 - b1) * g
        m_hat = m / (1 - b1**t)
        rho = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
        if rho <= threshold:
            return p - value_at(lr, t) * m_hat
        below = np.sqrt(v + (1 - b2**t) * eps_root) + eps_hat + math.sqrt(1 - b2**t) * eps
        length = np.divide(math.sqrt(1 - b2**t), below, out=np.zeros_like(v), where=below != 0)
        r = math.sqrt(((rho - 4) * (rho - 2) * rho_inf) / ((rho_inf - 4) * (rho_inf - 2) * rho))
        return p - value_at(lr, t) * r * m_hat * length

    return descend(params, grads, step, **common)


def corrected_momentum(params, grads, lr, b1, **common):
    def step(t, p, g, buffers):
        m = buffers["m"] = b1 * buffers.get("m", 0.0) + (1 - b1) * g
        return p - value_at(lr, t) * m / (1 - b1**t)

    return descend(params, grads, step, **common)


CASES = [
    Case(
        "radam",
        aj.radam,
        {"learning_rate": 0.1, "b1": 0.9, "b2": 0.99, "eps_hat": 1e-8, "threshold": 4.0},
        LR,
    ),
    Case(
        "radam_no_eps",
        aj.radam,
        {"learning_rate": 0.1, "b2": 0.95, "eps_hat": 0.0},
        LR,
        numbers_only=True,
    ),
    Case("radam_never_adapts", aj.radam, {"learning_rate": 0.1, "b2": 0.5}, LR, numbers_only=True),
]


FORMULAS = [
    formula("radam", lambda: aj.radam(), radam),
    formula("radam eps 0", lambda: aj.radam(RATE, eps_hat=0.0), radam, lr=RATE, eps_hat=0.0),
    formula(
        "radam the paper's threshold",
        lambda: aj.radam(inverse_time(RATE, 0.1), threshold=4.0),
        radam,
        lr=inverse_time(RATE, 0.1),
        threshold=4.0,
    ),
    formula(
        "radam three eps, short memory",
        lambda: aj.radam(ramp(0.0, 0.02), 0.5, 0.8, 1e-3, 1e-2, 1e-4),
        radam,
        lr=ramp(0.0, 0.02),
        b1=0.5,
        b2=0.8,
        eps=1e-3,
        eps_root=1e-2,
        eps_hat=1e-4,
    ),
    formula(
        "radam long memory",
        lambda: aj.radam(RATE, b2=0.99999, eps_hat=1e-4),
        radam,
        lr=RATE,
        b2=0.99999,
        eps_hat=1e-4,
    ),
    formula(
        "radam coupled decay",
        before(lambda: aj.add_decayed_weights(0.1), lambda: aj.radam(RATE)),
        radam,
        lr=RATE,
        l2=0.1,
    ),
    formula(
        "radam that never adapts is momentum",
        lambda: aj.radam(RATE, 0.8, 0.6),
        corrected_momentum,
        lr=RATE,
        b1=0.8,
    ),
]
