"""Rprop."""

import numpy as np

import adaptive_jax as aj
from tests.family import Case, descend, formula


def rprop(params, grads, delta0=0.01, eta_minus=0.5, eta_plus=1.2, low=1e-6, high=50.0, **common):
    """The paper's case distinction, coordinate by coordinate; no step back after a change."""

    def step(t, p, g, buffers):
        delta = buffers.setdefault("delta", np.full(p.shape, delta0))
        before = buffers.setdefault("before", np.zeros(p.shape))
        after = p.copy()
        for i in np.ndindex(p.shape):
            change = before[i] * g[i]
            if change > 0:
                delta[i] = min(delta[i] * eta_plus, high)
            elif change < 0:
                delta[i] = max(delta[i] * eta_minus, low)
            delta[i] = min(max(delta[i], low), high)
            before[i] = 0.0 if change < 0 else g[i]
            after[i] -= np.sign(before[i]) * delta[i]
        return after

    return descend(params, grads, step, **common)


CASES = [
    Case(
        "rprop",
        aj.rprop,
        {
            "learning_rate": 0.1,
            "eta_minus": 0.5,
            "eta_plus": 1.2,
            "min_step": 1e-6,
            "max_step": 50.0,
        },
        scale_free=True,
        tames_infinity=True,
    ),
]


FORMULAS = [
    formula("rprop", lambda: aj.rprop(), rprop),
    formula(
        "rprop etas",
        lambda: aj.rprop(0.1, 0.3, 1.7),
        rprop,
        delta0=0.1,
        eta_minus=0.3,
        eta_plus=1.7,
    ),
    formula(
        "rprop bounds",
        lambda: aj.rprop(0.02, 0.4, 1.3, 0.01, 0.03),
        rprop,
        delta0=0.02,
        eta_minus=0.4,
        eta_plus=1.3,
        low=0.01,
        high=0.03,
    ),
    formula(
        "rprop starts within its bounds",
        lambda: aj.rprop(0.5, max_step=0.05),
        rprop,
        delta0=0.5,
        high=0.05,
    ),
    formula(
        "rprop coupled decay",
        lambda: aj.chain(aj.add_decayed_weights(0.3), aj.rprop(0.05)),
        rprop,
        delta0=0.05,
        l2=0.3,
    ),
]
