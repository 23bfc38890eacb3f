"""SM3."""

import jax
import numpy as np
import optax

import adaptive_jax as aj
from tests.families.adagrad import adagrad
from tests.family import LR, Case, Port, descend, formula, inverse_time, value_at


def sm3(params, grads, lr=0.1, momentum=0.0, eps=0.0, **common):
    """Algorithm SM3-II of the paper, for the cover by slices, one coordinate after another."""

    def step(t, w, g, buffers):
        old = buffers.get("mu", {})
        new = {}
        u = np.zeros_like(g)
        for i in np.ndindex(g.shape):
            sets = list(enumerate(i)) or ["all"]
            nu = min(old.get(r, 0.0) for r in sets) + g[i] ** 2
            for r in sets:
                new[r] = max(new.get(r, 0.0), nu)
            u[i] = g[i] / np.sqrt(nu + eps) if g[i] else 0.0
        buffers["mu"] = new
        keep = value_at(momentum, t)
        buffers["m"] = keep * buffers.get("m", 0.0) + (1 - keep) * u
        return w - value_at(lr, t) * buffers["m"]

    return descend(params, grads, step, **common)


def folded(tx):
    """The transformation of matrices with 6 rows as arrays of shape (2, 3, …)."""

    def fold(tree):
        return jax.tree.map(lambda x: x.reshape(2, 3, 4) if x.shape == (6, 4) else x, tree)

    def update(updates, state, params):
        shapes = jax.tree.map(lambda x: x.shape, updates)
        updates, state = tx.update(fold(updates), state, fold(params))
        return jax.tree.map(lambda x, shape: x.reshape(shape), updates, shapes), state

    return optax.GradientTransformationExtraArgs(lambda params: tx.init(fold(params)), update)


def of_folded(method):
    """The same of a loop in NumPy."""

    def fold(tree):
        return {n: x.reshape(2, 3, 4) if x.shape == (6, 4) else x for n, x in tree.items()}

    def run(params, grads, **hyper):
        path = method(fold(params), [fold(g) for g in grads], **hyper)
        return [{n: p[n].reshape(params[n].shape) for n in p} for p in path]

    return run


CASES = [
    Case(
        "sm3",
        aj.sm3,
        {"learning_rate": 0.1, "momentum": 0.9},
        ("learning_rate", "momentum"),
        scale_free=True,
        rounds_between=True,
    ),
    Case(
        "sm3_no_momentum",
        aj.sm3,
        {"learning_rate": 0.1, "eps_root": 1e-30},
        LR,
        {"momentum": None},
        scale_free=True,
    ),
]


FORMULAS = [
    formula("sm3", lambda: aj.sm3(), sm3, by_array=True, momentum=0.9),
    formula(
        "sm3 scheduled",
        lambda: aj.sm3(inverse_time(0.2, 0.1), 1e-3, inverse_time(0.9, 0.1)),
        sm3,
        by_array=True,
        lr=inverse_time(0.2, 0.1),
        eps=1e-3,
        momentum=inverse_time(0.9, 0.1),
    ),
    formula(
        "sm3 of three axes",
        lambda: folded(aj.sm3(momentum=None)),
        of_folded(sm3),
        by_array=True,
    ),
    formula(
        "sm3 of one axis is adagrad",
        lambda: aj.sm3(momentum=None),
        adagrad,
        lr=0.1,
        eps=0.0,
    ),
]


PORTS = {"SM3": Port("sm3", {"momentum": None})}
