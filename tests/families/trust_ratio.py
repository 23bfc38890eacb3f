"""LARS, LAMB, and trust ratios of other steps."""

import jax
import numpy as np

import adaptive_jax as aj
from tests.families.sgd import sgd
from tests.family import (
    LR,
    RATE,
    W_DECAYS,
    Case,
    Port,
    as_float,
    descend,
    formula,
    inverse_time,
    only_w,
    ramp,
    ratio,
    value_at,
)


def lars(params, grads, lr=1.0, momentum=0.9, eta=0.001, weight_decay=5e-4, **common):
    """Algorithm 1 of the LARS paper, for an array."""

    def step(t, p, g, buffers):
        beta = weight_decay
        local = 1.0
        if np.any(p != 0) and np.any(g + beta * np.abs(p) != 0):
            local = eta * np.linalg.norm(p) / (np.linalg.norm(g) + beta * np.linalg.norm(p))
        v = value_at(momentum, t) * buffers.get("v", 0.0)
        v = buffers["v"] = v + value_at(lr, t) * local * (g + beta * p)
        return p - v

    return descend(params, grads, step, **common)


def lars_of_matrices(params, grads, lr, **hyper):
    """Arrays with one or no axis take plain momentum, without ratio and decay."""
    adapted = lars(params, grads, lr, **hyper)
    plain = sgd(params, grads, lr, momentum=0.9)
    return [
        {name: (a if a[name].ndim > 1 else q)[name] for name in a}
        for a, q in zip(adapted, plain, strict=True)
    ]


def lamb(
    params,
    grads,
    lr=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-6,
    weight_decay=0.0,
    phi=lambda norm: norm,
    adapts=True,
    **common,
):
    """Algorithm 2 of the LAMB paper, for an array; without `adapts` it is AdamW."""

    def step(t, p, g, buffers):
        m = buffers["m"] = b1 * buffers.get("m", 0.0) + (1 - b1) * g
        v = buffers["v"] = b2 * buffers.get("v", 0.0) + (1 - b2) * g**2
        r = ratio(m / (1 - b1**t), np.sqrt(v / (1 - b2**t)) + eps)
        r = r + value_at(weight_decay, t) * p
        trust = phi(np.linalg.norm(p)) / np.linalg.norm(r) if adapts else 1.0
        return p - value_at(lr, t) * trust * r

    return descend(params, grads, step, **common)


def lamb_of_w(params, grads, **hyper):
    adapted = lamb(params, grads, **hyper)
    plain = lamb(params, grads, **hyper, adapts=False)
    return [{**q, "w": a["w"]} for q, a in zip(plain, adapted, strict=True)]


def normalized_sgd(params, grads, lr, eps, **common):
    def step(t, p, g, buffers):
        return p - value_at(lr, t) * g / (np.linalg.norm(g) + eps)

    return descend(params, grads, step, **common)


def matrices(params):
    return jax.tree.map(lambda p: np.ndim(p) > 1, params)


def clamped(norm):
    return min(max(norm, 0.5), 1.5)


LAMB = {"learning_rate": 0.1, "b1": 0.9, "b2": 0.99, "eps": 1e-6, "weight_decay": 0.1}


CASES = [
    Case(
        "lars",
        aj.lars,
        {"learning_rate": 0.1, "momentum": 0.9, "coefficient": 0.01, "weight_decay": 0.1},
        ("learning_rate", "momentum"),
        needs_params=True,
        decays=True,
    ),
    Case(
        "lars_plain",
        aj.lars,
        {"learning_rate": 10.0, "weight_decay": 1e-3},
        LR,
        {"momentum": 0.0},
        needs_params=True,
        decays=True,
    ),
    Case(
        "lamb",
        aj.lamb,
        LAMB,
        ("learning_rate", "weight_decay"),
        needs_params=True,
        decays=True,
        scale_free=True,
    ),
    Case(
        "lamb_bounded",
        aj.lamb,
        {**LAMB, "min_norm": 0.5, "max_norm": 1.5, "eps": 0.0},
        ("learning_rate", "weight_decay"),
        {"mask": matrices, "trust_ratio_mask": matrices},
        needs_params=True,
        decays=True,
        scale_free=True,
    ),
    Case(
        "scale_by_trust_ratio",
        aj.scale_by_trust_ratio,
        {"coefficient": 0.5, "eps": 1e-3, "weight_decay": 0.1, "min_norm": 1e-3, "max_norm": 10.0},
        needs_params=True,
        decays=True,
    ),
]


FORMULAS = [
    formula("lars", lambda: aj.lars(), lars, by_array=True),
    formula(
        "lars scheduled",
        lambda: aj.lars(inverse_time(5.0, 0.1), ramp(0.3, 0.9), 0.01, 0.1),
        lars,
        by_array=True,
        lr=inverse_time(5.0, 0.1),
        momentum=ramp(0.3, 0.9),
        eta=0.01,
        weight_decay=0.1,
    ),
    formula(
        "lars masked",
        lambda: aj.lars(0.1, coefficient=0.1, weight_decay=0.3, mask=matrices),
        lars_of_matrices,
        by_array=True,
        lr=0.1,
        eta=0.1,
        weight_decay=0.3,
    ),
    formula("lamb", lambda: aj.lamb(), lamb, by_array=True, weight_decay=0.01),
    formula(
        "lamb eps 0",
        lambda: aj.lamb(RATE, 0.5, 0.9, 0.0, 0.0),
        lamb,
        by_array=True,
        lr=RATE,
        b1=0.5,
        b2=0.9,
        eps=0.0,
    ),
    formula(
        "lamb scheduled",
        lambda: aj.lamb(ramp(0.0, 0.05), eps=1e-4, weight_decay=inverse_time(0.5, 0.1)),
        lamb,
        by_array=True,
        lr=ramp(0.0, 0.05),
        eps=1e-4,
        weight_decay=inverse_time(0.5, 0.1),
    ),
    formula(
        "lamb bounded",
        lambda: aj.lamb(RATE, min_norm=0.5, max_norm=1.5),
        lamb,
        by_array=True,
        lr=RATE,
        weight_decay=0.01,
        phi=clamped,
    ),
    formula(
        "lamb masked",
        lambda: aj.lamb(RATE, weight_decay=0.3, mask=W_DECAYS),
        only_w(lamb, weight_decay=0.3),
        by_array=True,
        lr=RATE,
    ),
    formula(
        "lamb partly adapted",
        lambda: aj.lamb(RATE, weight_decay=0.3, trust_ratio_mask=W_DECAYS),
        lamb_of_w,
        by_array=True,
        lr=RATE,
        weight_decay=0.3,
    ),
    formula(
        "a trust ratio between equal bounds normalizes",
        lambda: aj.chain(
            aj.scale_by_trust_ratio(2.0, 0.5, min_norm=0.3, max_norm=0.3),
            aj.scale_by_learning_rate(inverse_time(0.1, 0.1)),
        ),
        normalized_sgd,
        by_array=True,
        lr=inverse_time(0.06, 0.1),
        eps=0.5,
    ),
]


def port_lamb(lr=1e-3):
    """The paper's first versions have no bias correction; here the step has Adam's first one.

    The port multiplies by it after the ratio, which also has eps.
    """
    rate = inverse_correction(lr, b1=0.9)
    return aj.chain(
        aj.scale_by_adam(eps=1e-6, bias_correction=False),
        aj.scale_by_trust_ratio(eps=1e-6, max_norm=10.0),
        aj.scale_by_learning_rate(rate),
    )


def inverse_correction(lr, b1):
    return lambda count: lr / (1 - b1 ** (as_float(count) + 1))


PORTS = {
    "LARS": Port("lars", {"weight_decay": 0.0, "mask": matrices}),
    "Lamb": Port("lamb", chain=port_lamb),
}
