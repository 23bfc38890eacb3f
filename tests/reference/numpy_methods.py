"""The optimizers once more, as loops in float64 NumPy, written from the papers' formulas.

Every method takes the parameters (name -> array), the gradients of all updates (a list of such
dicts) and hyperparameters, and returns the parameters after each update. Hyperparameters that
may be schedules are functions of the number of updates already made, so that update t = 1, 2, …
uses the value at t - 1. Two keywords are common to all methods:

  clip: a function from gradients to gradients, applied first.
  l2: coupled weight decay, l2 · p, added to the gradient after that.
"""

import math

import numpy as np


def value_at(hyper, t):
    return float(hyper(t - 1)) if callable(hyper) else hyper


def descend(params, grads, step, clip=None, l2=0.0):
    """Applies `p = step(t, p, g, buffers)` to every array of parameters, update by update."""
    p = {name: np.array(array, np.float64) for name, array in params.items()}
    buffers = {name: {} for name in p}
    path = []
    for t, gradients in enumerate(grads, start=1):
        g = {name: np.array(array, np.float64) for name, array in gradients.items()}
        if clip is not None:
            g = clip(g)
        for name in p:
            total = g[name] + value_at(l2, t) * p[name]
            p[name] = step(t, p[name], total, buffers[name])
        path.append(dict(p))
    return path


def ratio(above, below):
    """above / below, where 0 / 0 is 0: a coordinate without any gradient does not move."""
    return np.divide(above, below, out=np.zeros_like(above), where=below != 0)


def sgd(params, grads, lr, momentum=0.0, nesterov=False, dampening=0.0, ema=False, **common):
    def step(t, p, g, buffers):
        decay = value_at(momentum, t)
        weight = 1 - decay if ema else 1.0
        if t == 1:
            buffers["m"] = weight * g
        elif ema:
            buffers["m"] = decay * buffers["m"] + weight * g
        else:
            buffers["m"] = decay * buffers["m"] + (1 - dampening) * g
        direction = decay * buffers["m"] + weight * g if nesterov else buffers["m"]
        return p - value_at(lr, t) * direction

    return descend(params, grads, step, **common)


def sign_sgd(params, grads, lr, **common):
    def step(t, p, g, buffers):
        return p - value_at(lr, t) * np.sign(g)

    return descend(params, grads, step, **common)


def adagrad(params, grads, lr, start=0.0, eps=1e-10, eps_root=0.0, **common):
    def step(t, p, g, buffers):
        buffers["sum"] = buffers.get("sum", start) + g**2
        return p - value_at(lr, t) * ratio(g, np.sqrt(buffers["sum"] + eps_root) + eps)

    return descend(params, grads, step, **common)


def adadelta(params, grads, lr=1.0, rho=0.95, eps=1e-6, **common):
    def step(t, p, g, buffers):
        mean_g2 = rho * buffers.get("g2", 0.0) + (1 - rho) * g**2
        change = -np.sqrt(buffers.get("d2", 0.0) + eps) / np.sqrt(mean_g2 + eps) * g
        buffers["d2"] = rho * buffers.get("d2", 0.0) + (1 - rho) * change**2
        buffers["g2"] = mean_g2
        return p + value_at(lr, t) * change

    return descend(params, grads, step, **common)


def rmsprop(
    params,
    grads,
    lr,
    decay=0.9,
    eps=1e-8,
    eps_root=0.0,
    centered=False,
    momentum=0.0,
    nesterov=False,
    lr_inside=False,
    start=0.0,
    **common,
):
    def step(t, p, g, buffers):
        rate, keep = value_at(lr, t), value_at(momentum, t)
        buffers["v"] = decay * buffers.get("v", start) + (1 - decay) * g**2
        buffers["m"] = decay * buffers.get("m", 0.0) + (1 - decay) * g
        spread = buffers["v"] - buffers["m"] ** 2 if centered else buffers["v"]
        u = ratio(g, np.sqrt(spread + eps_root) + eps)
        u = rate * u if lr_inside else u
        buffers["trace"] = keep * buffers.get("trace", 0.0) + u
        direction = keep * buffers["trace"] + u if nesterov else buffers["trace"]
        return p - (direction if lr_inside else rate * direction)

    return descend(params, grads, step, **common)


def adam(
    params,
    grads,
    lr=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    eps_root=0.0,
    nesterov=False,
    amsgrad=False,
    weight_decay=0.0,
    **common,
):
    """Adam, AMSGrad, and with `weight_decay` (times the rate) AdamW."""

    def step(t, p, g, buffers):
        m = buffers["m"] = b1 * buffers.get("m", 0.0) + (1 - b1) * g
        v = buffers["v"] = b2 * buffers.get("v", 0.0) + (1 - b2) * g**2
        if amsgrad:
            v = buffers["largest"] = np.maximum(buffers.get("largest", 0.0), v)
        mean = m / (1 - b1**t)
        if nesterov:
            mean = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        u = ratio(mean, np.sqrt(v / (1 - b2**t) + eps_root) + eps)
        return p - value_at(lr, t) * (u + value_at(weight_decay, t) * p)

    return descend(params, grads, step, **common)


def adam_with_eps_hat(params, grads, lr=1e-3, b1=0.9, b2=0.999, eps_hat=1e-7, **common):
    """The form at the end of section 2 of the Adam paper, whose rate has both corrections."""

    def step(t, p, g, buffers):
        m = buffers["m"] = b1 * buffers.get("m", 0.0) + (1 - b1) * g
        v = buffers["v"] = b2 * buffers.get("v", 0.0) + (1 - b2) * g**2
        rate = value_at(lr, t) * math.sqrt(1 - b2**t) / (1 - b1**t)
        return p - rate * ratio(m, np.sqrt(v) + eps_hat)

    return descend(params, grads, step, **common)


def amsgrad(params, grads, **hyper):
    return adam(params, grads, amsgrad=True, **hyper)


def adabound(
    params,
    grads,
    lr=1e-3,
    final_lr=0.1,
    gamma=1e-3,
    b1=0.9,
    b2=0.999,
    eps=1e-8,
    base_lr=None,
    amsbound=False,
    weight_decay=0.0,
    lower=None,
    upper=None,
    **common,
):
    """AdaBound, AMSBound, and AdaBoundW with `weight_decay` (not times the rate).

    `lower` and `upper` are bounds of one's own, functions of the number of updates made.
    """

    def step(t, p, g, buffers):
        rate = value_at(lr, t)
        now = rate / (lr if base_lr is None else base_lr)
        m = buffers["m"] = b1 * buffers.get("m", 0.0) + (1 - b1) * g
        v = buffers["v"] = b2 * buffers.get("v", 0.0) + (1 - b2) * g**2
        if amsbound:
            v = buffers["largest"] = np.maximum(buffers.get("largest", 0.0), v)
        if lower is None:
            low = now * final_lr * (1 - 1 / (gamma * t + 1))
            high = now * final_lr * (1 + 1 / (gamma * t))
        else:
            low, high = now * value_at(lower, t), now * value_at(upper, t)
        below = np.sqrt(v) + eps
        corrected = rate * math.sqrt(1 - b2**t) / (1 - b1**t)
        with np.errstate(divide="ignore"):
            eta = np.minimum(np.maximum(corrected / below, low), high)
        eta = np.where((m == 0) & ~np.isfinite(eta), 0.0, eta)
        return p - eta * m - value_at(weight_decay, t) * p

    return descend(params, grads, step, **common)


def bounded_rmsprop(params, grads, lr, lower, upper, base_lr, decay=0.9, eps=1e-8, **common):
    """RMSprop whose rate for every coordinate is kept between bounds, as in AdaBound."""

    def step(t, p, g, buffers):
        rate = value_at(lr, t)
        buffers["v"] = decay * buffers.get("v", 0.0) + (1 - decay) * g**2
        eta = base_lr / (np.sqrt(buffers["v"]) + eps)
        eta = np.minimum(np.maximum(eta, value_at(lower, t)), value_at(upper, t))
        return p - rate / base_lr * eta * g

    return descend(params, grads, step, **common)


def clip_by_value(limit):
    def clip(g):
        return {name: np.minimum(np.maximum(array, -limit), limit) for name, array in g.items()}

    return clip


def clip_by_norm(limit):
    def clip(g):
        return {
            name: array if np.sum(array**2) <= limit**2 else array * limit / np.linalg.norm(array)
            for name, array in g.items()
        }

    return clip


def clip_by_global_norm(limit):
    def clip(g):
        norm = math.sqrt(sum(np.sum(array**2) for array in g.values()))
        return {name: array * min(1.0, limit / norm) for name, array in g.items()}

    return clip


def convergent_bounds(final_lr, m):
    """Savarese's bounds: 1 / lower(t) and 1 / upper(t) lie c / (t final_lr) about 1 / final_lr."""
    c = (m * final_lr - 1) / 2

    def lower(count):
        return 1 / ((1 + c / (count + 1)) / final_lr)

    def upper(count):
        inverse = (1 - c / (count + 1)) / final_lr
        return 1 / inverse if inverse > 0 else math.inf

    return lower, upper
