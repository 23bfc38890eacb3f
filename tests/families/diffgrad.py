"""DiffGrad."""

import math

import numpy as np

import adaptive_jax as aj
from tests.family import LR, RATE, Case, Port, descend, formula, inverse_time, ramp, ratio, value_at


def abs_sig(x):
    return 1 / (1 + np.exp(-np.abs(x)))


def diffgrad(params, grads, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, **common):
    def step(t, theta, g, buffers):
        m = buffers["m"] = beta1 * buffers.get("m", 0.0) + (1 - beta1) * g
        v = buffers["v"] = beta2 * buffers.get("v", 0.0) + (1 - beta2) * g**2
        xi = abs_sig(buffers.get("g", 0.0) - g)
        buffers["g"] = g
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        return theta - value_at(lr, t) * ratio(xi * m_hat, np.sqrt(v_hat) + eps)

    return descend(params, grads, step, **common)


def diffgrad_of_the_code(params, grads, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, bound=None):
    """The authors' diffGrad_v2; with a bound on each coordinate's rate, friction included."""

    def step(t, p, g, buffers):
        m = buffers["m"] = beta1 * buffers.get("m", 0.0) + (1 - beta1) * g
        v = buffers["v"] = beta2 * buffers.get("v", 0.0) + (1 - beta2) * g**2
        change, buffers["g"] = abs(buffers.get("g", 0.0) - g), g
        step_size = value_at(lr, t) * math.sqrt(1 - beta2**t) / (1 - beta1**t)
        rate = step_size * (1 / (1 + np.exp(-change))) / (np.sqrt(v) + eps)
        return p - (rate if bound is None else np.minimum(rate, bound)) * m

    return descend(params, grads, step)


def bounded(learning_rate, upper):
    return aj.chain(
        aj.scale_by_diffgrad(eps=0.0, eps_hat=1e-8),
        aj.bound_lr(base_lr=learning_rate, lower=0.0, upper=upper),
        aj.scale_by_learning_rate(learning_rate),
    )


DIFFGRAD = {"b1": 0.9, "b2": 0.99, "eps": 1e-8}


CASES = [
    Case("diffgrad", aj.diffgrad, {"learning_rate": 0.1, **DIFFGRAD}, LR, scale_free=True),
    Case(
        "diffgrad_eps_hat",
        aj.diffgrad,
        {"learning_rate": 0.1, "eps": 0.0, "eps_hat": 1e-8},
        LR,
        scale_free=True,
        numbers_only=True,
    ),
]


FORMULAS = [
    formula("diffgrad", lambda: aj.diffgrad(), diffgrad),
    formula("diffgrad eps 0", lambda: aj.diffgrad(RATE, eps=0.0), diffgrad, lr=RATE, eps=0.0),
    formula(
        "diffgrad scheduled",
        lambda: aj.diffgrad(ramp(0.0, 0.02), 0.5, 0.9, 1e-3),
        diffgrad,
        lr=ramp(0.0, 0.02),
        beta1=0.5,
        beta2=0.9,
        eps=1e-3,
    ),
    formula(
        "diffgrad of the code",
        lambda: aj.diffgrad(inverse_time(RATE, 0.1), 0.8, 0.99, 0.0, 1e-3),
        diffgrad_of_the_code,
        lr=inverse_time(RATE, 0.1),
        beta1=0.8,
        beta2=0.99,
        eps=1e-3,
    ),
    formula(
        "diffgrad in bounds",
        lambda: bounded(RATE, upper=0.05),
        diffgrad_of_the_code,
        lr=RATE,
        bound=0.05,
    ),
]


PORTS = {
    "DiffGrad": Port(
        "diffgrad",
        differs="adds eps to the uncorrected root, as the authors, and 1e-15 under it",
    )
}
