"""AdaShift."""

import numpy as np

import adaptive_jax as aj
from tests.family import LR, RATE, Case, Port, descend, formula, inverse_time, ramp, value_at


def adashift(params, grads, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-10, n=10, phi=np.max, **common):
    """Algorithm 3 with a bias correction, from all gradients so far."""

    def step(t, theta, g, buffers):
        past = buffers.setdefault("past", [])
        past.append(g)
        if t <= n:
            return theta
        weights = [beta1**i for i in range(n)]
        m = sum(w * past[-1 - i] for i, w in enumerate(weights)) / sum(weights)
        v = buffers["v"] = beta2 * buffers.get("v", 0.0) + (1 - beta2) * phi(past[-1 - n] ** 2)
        return theta - value_at(lr, t) * m / (np.sqrt(v / (1 - beta2 ** (t - n))) + eps)

    return descend(params, grads, step, **common)


def each(squares):
    return squares


ADASHIFT = {"b1": 0.9, "b2": 0.99, "eps": 1e-10}


CASES = [
    Case("adashift", aj.adashift, {"learning_rate": 0.1, **ADASHIFT}, LR, {"keep_num": 2}),
    Case(
        "adashift_mean",
        aj.adashift,
        {"learning_rate": 0.1, "b1": 0.0, "eps": 1e-3},
        LR,
        {"keep_num": 1, "reduce": "mean"},
    ),
    Case(
        "adashift_each",
        aj.adashift,
        {"learning_rate": 0.1, "b2": 0.9, "eps": 0.0},
        LR,
        {"keep_num": 3, "reduce": None},
        scale_free=True,
    ),
]


FORMULAS = [
    formula("adashift", lambda: aj.adashift(), adashift, by_array=True),
    formula(
        "adashift eps 0",
        lambda: aj.adashift(RATE, 0.5, 0.9, 0.0, 4),
        adashift,
        by_array=True,
        lr=RATE,
        beta1=0.5,
        beta2=0.9,
        eps=0.0,
        n=4,
    ),
    formula(
        "adashift mean scheduled",
        lambda: aj.adashift(ramp(0.0, 0.02), eps=1e-3, keep_num=3, reduce="mean"),
        adashift,
        by_array=True,
        lr=ramp(0.0, 0.02),
        eps=1e-3,
        n=3,
        phi=np.mean,
    ),
    formula(
        "adashift each",
        lambda: aj.adashift(inverse_time(RATE, 0.1), 0.8, 0.99, 1e-2, 7, None),
        adashift,
        lr=inverse_time(RATE, 0.1),
        beta1=0.8,
        beta2=0.99,
        eps=1e-2,
        n=7,
        phi=each,
    ),
    formula(
        "adashift b1 0",
        lambda: aj.adashift(RATE, b1=0.0, eps=0.1, keep_num=2, reduce=None),
        adashift,
        lr=RATE,
        beta1=0.0,
        eps=0.1,
        n=2,
        phi=each,
    ),
    formula(
        "adashift b1 1",
        lambda: aj.adashift(RATE, b1=1.0),
        adashift,
        by_array=True,
        lr=RATE,
        beta1=1.0,
    ),
]


PORTS = {"AdaShift": Port("adashift")}
