"""FTRL-proximal."""

import jax
import numpy as np
import optax

import adaptive_jax as aj
from tests.families.adagrad import adagrad
from tests.families.sgd import sgd
from tests.family import LR, Case, descend, formula, inverse_time, ratio, value_at


def ftrl(
    params,
    grads,
    lr=1e-3,
    power=-0.5,
    start=0.1,
    l1=0.0,
    l2=0.0,
    shrinkage=0.0,
    beta=0.0,
    **common,
):
    """Equation (1) of the paper, solved coordinate by coordinate.

    w = argmin g·w + Σσ_s (w − w_s)² / 2 + l1·|w| + l2·w² / 2, g the sum of the gradients and
    Σσ_s = 1/η_t, where the first summand of Σσ_s is 1/η_0 with w_0 = 0.
    """

    def step(t, w, g, buffers):
        eta_inverse = (beta + start**-power) / value_at(lr, 1)
        total = buffers.get("total", 0.0) + g + shrinkage * w
        n = buffers.get("n", start) + g**2
        now = (beta + n**-power) / value_at(lr, t)
        sigma = now - buffers.get("now", eta_inverse)
        centers = buffers.get("centers", 0.0) + sigma * w
        buffers.update(total=total, n=n, now=now, centers=centers)
        slope = total - centers
        pull = np.where(np.abs(slope) <= l1, 0.0, slope - l1 * np.sign(slope))
        return -ratio(pull, now + l2)

    return descend(params, grads, step, **common)


def from_start(tx):
    """The optimizer of how far the parameters are from where they started."""

    def init(params):
        return params, tx.init(params)

    def update(updates, state, params):
        start, inner = state
        moved = jax.tree.map(lambda p, p0: p - p0, params, start)
        updates, inner = tx.update(updates, inner, moved)
        return updates, (start, inner)

    return optax.GradientTransformationExtraArgs(init, update)


KERAS = {
    "learning_rate": 0.1,
    "initial_accumulator": 0.1,
    "l1": 0.01,
    "l2": 0.02,
    "l2_shrinkage": 0.02,
    "beta": 0.1,
}


CASES = [
    Case("ftrl", aj.ftrl, KERAS, LR, needs_params=True, decays=True, forgets_start=True),
    Case(
        "ftrl_no_regularization",
        aj.ftrl,
        {"learning_rate": 0.1, "initial_accumulator": 0.0},
        LR,
        needs_params=True,
        decays=True,
        forgets_start=True,
        scale_free=True,
        numbers_only=True,
    ),
]


FORMULAS = [
    formula("ftrl", lambda: aj.ftrl(), ftrl),
    formula(
        "ftrl of the paper",
        lambda: aj.ftrl(0.1, initial_accumulator=0.0, l1=0.3, l2=0.5, beta=1.0),
        ftrl,
        lr=0.1,
        start=0.0,
        l1=0.3,
        l2=0.5,
        beta=1.0,
    ),
    formula(
        "ftrl shrinkage and power",
        lambda: aj.ftrl(0.2, -0.3, 0.4, 0.05, 0.1, 0.2, 0.5),
        ftrl,
        lr=0.2,
        power=-0.3,
        start=0.4,
        l1=0.05,
        l2=0.1,
        shrinkage=0.2,
        beta=0.5,
    ),
    formula(
        "ftrl scheduled",
        lambda: aj.ftrl(inverse_time(0.2, 0.1), l1=0.1, l2=0.1, beta=0.3),
        ftrl,
        lr=inverse_time(0.2, 0.1),
        l1=0.1,
        l2=0.1,
        beta=0.3,
    ),
    formula(
        "ftrl from 0 is adagrad",
        lambda: from_start(aj.ftrl(0.1)),
        adagrad,
        lr=0.1,
        start=0.1,
        eps=0.0,
    ),
    formula(
        "ftrl from 0 with power 0 is sgd",
        lambda: from_start(aj.ftrl(0.1, learning_rate_power=0.0)),
        sgd,
        lr=0.1,
    ),
]
