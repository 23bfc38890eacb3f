"""Muon."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax

import adaptive_jax as aj
from tests.family import (
    RATE,
    W_DECAYS,
    Case,
    descend,
    formula,
    inverse_time,
    only_w,
    ramp,
    ratio,
    value_at,
)

JORDAN = [(3.4445, -4.7750, 2.0315)] * 5
CLASSICAL = [(1.875, -1.25, 0.375)] * 2  # Newton-Schulz of fifth order


def through(singular_values, polynomials):
    for a, b, c in polynomials:
        x = singular_values
        singular_values = a * x + b * x**3 + c * x**5
    return singular_values


def to_one(singular_values):
    return np.ones_like(singular_values)


def muon(
    params,
    grads,
    lr=1e-3,
    mu=0.95,
    nesterov=True,
    ema=True,
    polynomials=JORDAN,
    eps=1e-7,
    shape_factor=lambda rows, columns: 0.2 * math.sqrt(max(rows, columns)),
    weight_decay=0.0,
    adam_lr=None,
    b1=0.9,
    b2=0.95,
    adam_eps=1e-8,
    eps_hat=0.0,
    **common,
):
    """Muon with singular values in place of products of matrices, and AdamW for other shapes.

    `polynomials` are what the singular values go through, or a function of them.
    """

    def orthogonalized(m):
        u, s, vt = np.linalg.svd(m, full_matrices=False)
        s = s / (np.linalg.norm(m) + eps)
        s = polynomials(s) if callable(polynomials) else through(s, polynomials)
        return shape_factor(*m.shape) * (u * s) @ vt

    def of_matrix(t, g, buffers):
        beta = value_at(mu, t)
        weight = 1 - beta if ema else 1.0
        buffers["m"] = beta * buffers.get("m", 0.0) + weight * g
        return orthogonalized(beta * buffers["m"] + weight * g if nesterov else buffers["m"])

    def of_others(t, g, buffers):
        m = buffers["m"] = b1 * buffers.get("m", 0.0) + (1 - b1) * g
        v = buffers["v"] = b2 * buffers.get("v", 0.0) + (1 - b2) * g**2
        below = np.sqrt(v / (1 - b2**t)) + adam_eps + eps_hat / math.sqrt(1 - b2**t)
        return ratio(m / (1 - b1**t), below)

    def step(t, p, g, buffers):
        is_matrix = p.ndim == 2
        u = (of_matrix if is_matrix else of_others)(t, g, buffers)
        rate = lr if is_matrix or adam_lr is None else adam_lr
        return p - value_at(rate, t) * (u + value_at(weight_decay, t) * p)

    return descend(params, grads, step, **common)


def polar_express(steps):
    """The paper's Algorithm 1 on singular values, whose safety is in the norm and coefficients."""
    table = [
        (8.28721201814563, -23.595886519098837, 17.300387312530933),
        (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
        (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
        (3.3184196573706015, -2.488488024314874, 0.51004894012372),
        (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
        (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
        (1.8750014808534479, -1.2500016453999487, 0.3750001645474248),
    ]

    def on(singular_values):
        x = singular_values / 1.01
        for k in range(steps):
            y, (a, b, c) = (x / 1.01, table[k]) if k < len(table) else (x, CLASSICAL[0])
            x = a * y + b * y**3 + c * y**5
        return x

    return on


def on_diagonals(**hyper):
    """`scale_by_muon` for trees that also have vectors: each is the diagonal of a matrix.

    So the contract's ladders of magnitudes are the singular values of one matrix.
    """
    tx = aj.scale_by_muon(**hyper)

    def as_matrices(tree):
        return jax.tree.map(
            lambda x: x if jnp.ndim(x) >= 2 else jnp.diag(jnp.atleast_1d(jnp.asarray(x))), tree
        )

    def init(params):  # which may be abstract
        return tx.init(as_matrices(jax.tree.map(jnp.zeros_like, params)))

    def update(updates, state, params=None, **extra):
        if params is not None:
            params = as_matrices(params)
        new, state = tx.update(as_matrices(updates), state, params, **extra)
        new = jax.tree.map(
            lambda u, x: u if jnp.ndim(x) >= 2 else jnp.diag(u).reshape(jnp.shape(x)), new, updates
        )
        return new, state

    return optax.GradientTransformationExtraArgs(init, update)


MUON = {"learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.1}
SCHEDULABLE = ("learning_rate", "momentum", "weight_decay")

CASES = [
    Case(
        "muon",
        aj.muon,
        {**MUON, "eps": 1e-7, "adam_b1": 0.9, "adam_b2": 0.95, "adam_eps": 1e-8},
        SCHEDULABLE,
        needs_params=True,
        decays=True,
        scale_free=True,
    ),
    Case(
        "muon_two_rates",
        aj.muon,
        {**MUON, "learning_rate": 0.01, "adam_learning_rate": 0.1},
        (*SCHEDULABLE, "adam_learning_rate"),
        # Coefficients of a small slope at 0, so that float32 is not magnified 1000 times.
        {"coefficients": CLASSICAL[0], "adjust": "original", "nesterov": False},
        needs_params=True,
        decays=True,
        scale_free=True,
    ),
    Case(
        "scale_by_muon_sum",
        on_diagonals,
        {"momentum": 0.9, "eps": 0.0},
        ("momentum",),
        {"coefficients": "polar_express", "ns_steps": 8, "ema": False},
    ),
]


def keras(learning_rate=1e-3, weight_decay=0.004, rms_rate=0.2, adam_lr_ratio=1.0, momentum=0.95):
    """Keras's Muon: one learning rate, the sum of gradients, Adam with "epsilon hat"."""
    is_matrix = aj.mask_by_ndim(2)
    return aj.chain(
        aj.partition_by_mask(
            is_matrix,
            aj.scale_by_muon(
                momentum,
                ema=False,
                adjust=lambda fan_out, fan_in: rms_rate * math.sqrt(max(fan_out, fan_in)),
            ),
            aj.scale_by_adam(0.9, 0.999, eps=0.0, eps_hat=1e-7),
        ),
        aj.add_decayed_weights(weight_decay),
        aj.partition_by_mask(
            is_matrix,
            aj.scale_by_learning_rate(learning_rate),
            aj.scale_by_learning_rate(adam_lr_ratio * learning_rate),
        ),
    )


def widest(out, into):
    return math.sqrt(max(1.0, out / into))


FORMULAS = [
    formula("muon", lambda: aj.muon(), muon, by_array=True, weight_decay=0.1),
    formula(
        "muon as by Jordan",
        lambda: aj.muon(0.02, adjust="original", weight_decay=0.0, adam_learning_rate=3e-4),
        muon,
        by_array=True,
        lr=0.02,
        shape_factor=lambda rows, columns: widest(columns, rows),
        adam_lr=3e-4,
    ),
    formula(
        "muon scheduled",
        lambda: aj.muon(
            ramp(0.0, 0.02),
            ramp(0.5, 0.9),
            nesterov=False,
            coefficients=CLASSICAL,
            ns_steps=2,
            adjust="spectral_unclamped",
            eps=1e-2,
            weight_decay=inverse_time(0.5, 0.1),
            mask=W_DECAYS,
            adam_learning_rate=inverse_time(0.1, 0.1),
            adam_b1=0.5,
            adam_b2=0.9,
            adam_eps=1e-4,
        ),
        only_w(muon, weight_decay=inverse_time(0.5, 0.1)),
        by_array=True,
        lr=ramp(0.0, 0.02),
        mu=ramp(0.5, 0.9),
        nesterov=False,
        polynomials=CLASSICAL,
        shape_factor=lambda rows, columns: math.sqrt(columns / rows),
        eps=1e-2,
        adam_lr=inverse_time(0.1, 0.1),
        b1=0.5,
        b2=0.9,
        adam_eps=1e-4,
    ),
    formula(
        "muon polar express",
        lambda: aj.muon(RATE, coefficients="polar_express", adjust=None),
        muon,
        by_array=True,
        lr=RATE,
        weight_decay=0.1,
        polynomials=polar_express(5),
        shape_factor=lambda rows, columns: 1.0,
    ),
    formula(
        "muon polar express tends to the polar factor",
        lambda: aj.muon(RATE, coefficients="polar_express", ns_steps=15),
        muon,
        by_array=True,
        lr=RATE,
        weight_decay=0.1,
        polynomials=to_one,
    ),
    formula(
        "muon coefficients of ones own",
        lambda: aj.muon(RATE, coefficients=[(2.0, -1.0, 0.2), *CLASSICAL], ns_steps=4),
        muon,
        by_array=True,
        lr=RATE,
        weight_decay=0.1,
        polynomials=[(2.0, -1.0, 0.2), *CLASSICAL, CLASSICAL[0]],
    ),
    formula(
        "muon of keras",
        keras,
        muon,
        by_array=True,
        ema=False,
        weight_decay=0.004,
        b2=0.999,
        adam_eps=0.0,
        eps_hat=1e-7,
    ),
    formula(
        "muon without matrices is adamw", lambda: aj.muon(RATE), muon, lr=RATE, weight_decay=0.1
    ),
]
