"""ADOPT."""

import numpy as np

import adaptive_jax as aj
from tests.families.sgd import sgd
from tests.family import LR, RATE, Case, Port, descend, formula, inverse_time, ramp, value_at


def adopt(
    params, grads, lr=1e-3, beta1=0.9, beta2=0.9999, eps=1e-6, clip=lambda t: t**0.25, **common
):
    """Algorithm 2: gradients are numbered from 0, and the first is for v alone."""

    def step(t, theta, g, buffers):
        if t == 1:
            buffers["v"] = g**2
            return theta
        c = clip(t - 1)
        normalized = np.clip(g / np.maximum(np.sqrt(buffers["v"]), eps), -c, c)
        m = buffers["m"] = beta1 * buffers.get("m", 0.0) + (1 - beta1) * normalized
        buffers["v"] = beta2 * buffers["v"] + (1 - beta2) * g**2
        return theta - value_at(lr, t) * m

    return descend(params, grads, step, **common)


def from_the_second_on(method):
    """The method, but without the first update."""

    def run(params, grads, **hyper):
        return [params, *method(params, grads[1:], **hyper)]

    return run


CASES = [
    Case(
        "adopt",
        aj.adopt,
        {"learning_rate": 0.1, "b1": 0.9, "b2": 0.99, "eps": 1e-6, "clip_exponent": 0.25},
        LR,
        scale_free=True,
    ),
    Case(
        "adopt_not_clipped",
        aj.adopt,
        {"learning_rate": 0.1, "b2": 0.99, "eps": 1e-3},
        LR,
        {"clip_exponent": None},
        scale_free=True,
        numbers_only=True,
    ),
]


FORMULAS = [
    formula("adopt", lambda: aj.adopt(), adopt),
    formula(
        "adopt not clipped",
        lambda: aj.adopt(RATE, eps=1e-2, clip_exponent=None),
        adopt,
        lr=RATE,
        eps=1e-2,
        clip=lambda t: np.inf,
    ),
    formula(
        "adopt scheduled",
        lambda: aj.adopt(ramp(0.0, 0.02), 0.5, 0.9, 0.1, 0.0),
        adopt,
        lr=ramp(0.0, 0.02),
        beta1=0.5,
        beta2=0.9,
        eps=0.1,
        clip=lambda t: 1.0,
    ),
    formula(
        "adopt b1 b2 0",
        lambda: aj.adopt(inverse_time(RATE, 0.1), 0.0, 0.0, clip_exponent=0.5),
        adopt,
        lr=inverse_time(RATE, 0.1),
        beta1=0.0,
        beta2=0.0,
        clip=lambda t: t**0.5,
    ),
    formula(
        "adopt large eps is sgd with ema",
        lambda: aj.adopt(RATE, 0.8, eps=1e3, clip_exponent=None),
        from_the_second_on(sgd),
        lr=RATE / 1e3,
        momentum=0.8,
        ema=True,
    ),
    formula("adopt b2 1", lambda: aj.adopt(RATE, b2=1.0), adopt, lr=RATE, beta2=1.0),
]


PORTS = {
    "ADOPT": Port("adopt", differs="at the paper's time t it clips by (t + 1)^(1/4)"),
}
