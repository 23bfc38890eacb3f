"""AdaMod and Padam."""

import math

import numpy as np

import adaptive_jax as aj
from tests.families.adam import adam, amsgrad
from tests.families.sgd import sgd
from tests.family import LR, RATE, Case, Port, descend, formula, inverse_time, ramp, ratio, value_at


def adamod(params, grads, lr=1e-3, b1=0.9, b2=0.999, b3=0.999, eps=1e-8, **common):
    """The authors' code, but with the learning rate outside the mean."""

    def step(t, p, g, buffers):
        m = buffers["m"] = b1 * buffers.get("m", 0.0) + (1 - b1) * g
        v = buffers["v"] = b2 * buffers.get("v", 0.0) + (1 - b2) * g**2
        corrected = math.sqrt(1 - b2**t) / (1 - b1**t)
        eta = corrected / (np.sqrt(v) + eps)
        s = buffers["s"] = b3 * buffers.get("s", 0.0) + (1 - b3) * eta
        return p - value_at(lr, t) * np.minimum(eta, s) * m

    return descend(params, grads, step, **common)


def padam(
    params,
    grads,
    lr=0.1,
    b1=0.9,
    b2=0.999,
    partial=0.125,
    eps=0.0,
    largest=True,
    corrected=False,
    **common,
):
    """The paper's Algorithm 1; `corrected` and with an eps it is the authors' code."""

    def step(t, p, g, buffers):
        m = buffers["m"] = b1 * buffers.get("m", 0.0) + (1 - b1) * g
        v = buffers["v"] = b2 * buffers.get("v", 0.0) + (1 - b2) * g**2
        if largest:
            v = buffers["v_hat"] = np.maximum(buffers.get("v_hat", 0.0), v)
        rate = value_at(lr, t)
        if corrected:
            rate = rate * math.sqrt(1 - b2**t) / (1 - b1**t)
        return p - rate * ratio(m, (np.sqrt(v) + eps) ** (2 * partial))

    return descend(params, grads, step, **common)


def authors_padam(learning_rate, b1=0.9, b2=0.999, p=0.125, eps=1e-8, scale_by=aj.scale_by_amsgrad):
    return aj.chain(
        scale_by(b1, b2, eps, bias_correction=False),
        aj.partial_adaptivity(p),
        aj.correct_bias(b1, b2),
        aj.scale_by_learning_rate(learning_rate),
    )


CASES = [
    Case(
        "adamod",
        aj.adamod,
        {"learning_rate": 0.1, "b1": 0.9, "b2": 0.99, "b3": 0.9, "eps": 1e-8},
        LR,
    ),
    Case(
        "padam",
        aj.padam,
        {"learning_rate": 0.1, "b1": 0.9, "b2": 0.99, "p": 0.125, "eps": 0.0},
        LR,
    ),
    Case(
        "padam_authors",
        authors_padam,
        {"learning_rate": 0.1, "b1": 0.9, "b2": 0.99, "p": 0.25, "eps": 1e-8},
        LR,
    ),
]


FORMULAS = [
    formula("adamod", lambda: aj.adamod(), adamod),
    formula(
        "adamod scheduled",
        lambda: aj.adamod(inverse_time(0.1, 0.1), 0.5, 0.9, 0.8, 1e-3),
        adamod,
        lr=inverse_time(0.1, 0.1),
        b1=0.5,
        b2=0.9,
        b3=0.8,
        eps=1e-3,
    ),
    formula(
        "adamod b3 0 is adam", lambda: aj.adamod(RATE, b3=0.0, eps=0.0), adam, lr=RATE, eps=0.0
    ),
    formula("padam", lambda: aj.padam(), padam),
    formula(
        "padam scheduled",
        lambda: aj.padam(ramp(0.0, 0.1), 0.5, 0.9, 0.25, 1e-3),
        padam,
        lr=ramp(0.0, 0.1),
        b1=0.5,
        b2=0.9,
        partial=0.25,
        eps=1e-3,
    ),
    formula(
        "padam of the authors' code",
        lambda: authors_padam(RATE),
        padam,
        lr=RATE,
        eps=1e-8,
        corrected=True,
    ),
    formula(
        "padam p 1/2, corrected, is amsgrad",
        lambda: authors_padam(RATE, p=0.5, eps=0.0),
        amsgrad,
        lr=RATE,
        eps=0.0,
    ),
    formula(
        "padam p 0 is sgd with ema",
        lambda: aj.padam(RATE, b1=0.8, p=0.0),
        sgd,
        lr=RATE,
        momentum=0.8,
        ema=True,
    ),
]


def port_padam(lr=0.1):
    """Not AMSGrad, but Adam, with the power 1/4."""
    return authors_padam(lr, p=0.25, scale_by=aj.scale_by_adam)


PORTS = {
    "AdaMod": Port("adamod", {"b2": 0.99, "b3": 0.9999}),
    "PAdam": Port("padam", chain=port_padam),
}
