"""Wrappers of any optimizer: cautious, lookahead, skip_spikes; centralized gradients."""

import numpy as np

import adaptive_jax as aj
from tests.families.adam import adam
from tests.families.sgd import sgd
from tests.family import LR, RATE, Case, before, descend, formula, inverse_time, ramp, value_at


def cautious_sgd(params, grads, lr, momentum, nesterov=False, xi=1.0, **common):
    def step(t, p, g, buffers):
        m = buffers["m"] = momentum * buffers.get("m", 0.0) + g
        u = momentum * m + g if nesterov else m
        return p - value_at(lr, t) * cautioned(u, g, xi)

    return descend(params, grads, step, **common)


def cautious_adamw(params, grads, lr=1e-3, b1=0.9, b2=0.999, eps=1e-8, weight_decay=0.0, xi=1.0):
    """The paper's Algorithm 1, with decay that is not masked."""

    def step(t, p, g, buffers):
        m = buffers["m"] = b1 * buffers.get("m", 0.0) + (1 - b1) * g
        v = buffers["v"] = b2 * buffers.get("v", 0.0) + (1 - b2) * g**2
        u = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        return p - value_at(lr, t) * (cautioned(u, g, xi) + weight_decay * p)

    return descend(params, grads, step)


def cautioned(u, g, xi):
    phi = (u * g > 0).astype(float)
    return u * phi * phi.size / (phi.sum() + xi) if phi.any() else 0 * u


def centralize(grads):
    """For outputs on the last axis."""
    return {
        name: g - g.mean(axis=tuple(range(g.ndim - 1))) if g.ndim > 1 else g
        for name, g in grads.items()
    }


def centralize_rows(grads):
    return {name: (g.T - g.mean(1)).T if g.ndim == 2 else g for name, g in grads.items()}


def lookahead(params, grads, fast, k=6, alpha=0.5, **hyper):
    """The steps of `fast` do not depend on where it is, so they are taken from its own path."""
    own_path = [params, *fast(params, grads, **hyper)]
    p, slow, path = dict(params), dict(params), []
    for t in range(1, len(own_path)):
        p = {name: p[name] + own_path[t][name] - own_path[t - 1][name] for name in p}
        if t % k == 0:
            p = slow = {name: slow[name] + alpha * (p[name] - slow[name]) for name in p}
        path.append(p)
    return path


def skip_spikes(params, grads, fast, threshold, warmup_steps, max_consecutive=99, **options):
    """The steps of `fast` on the gradients that are not skipped."""
    decay, min_deviation = options.pop("decay", 0.99), options.pop("min_deviation", 0.1)
    made, seen, in_a_row = [], [], 0
    for g in grads:
        x = np.log(np.sqrt(sum(np.sum(array**2) for array in g.values())))
        spike = False
        if len(seen) >= warmup_steps:
            mean, deviation = statistics(seen, decay)
            spike = x > mean + threshold * max(deviation, min_deviation)
        made.append(not spike or in_a_row == max_consecutive)
        in_a_row = 0 if made[-1] else in_a_row + 1
        if made[-1]:
            seen = [x] if spike else [*seen, x]
    assert 0 < sum(made) < len(made)
    path = [params, *fast(params, [g for g, m in zip(grads, made, strict=True) if m], **options)]
    return [path[i] for i in np.cumsum(made)]


def statistics(seen, decay):
    """Weighted mean and standard deviation: equal weights, later the last ones' decay."""
    weights = np.zeros(len(seen))
    for n in range(1, len(seen) + 1):
        share = max(1 / n, 1 - decay)
        weights *= 1 - share
        weights[n - 1] = share
    mean = weights @ seen
    return mean, np.sqrt(weights @ (np.array(seen) - mean) ** 2)


def cautious_adam(learning_rate, xi):
    return aj.cautious(aj.adam(learning_rate, b2=0.99), xi)


def cautious_stage(xi, weight_decay):
    return aj.chain(
        aj.cautious(aj.scale_by_adam(), xi, before_learning_rate=True),
        aj.add_decayed_weights(weight_decay),
        aj.scale_by_learning_rate(0.1),
    )


def lookahead_adam(learning_rate, slow_step_size):
    return aj.lookahead(aj.adam(learning_rate, b2=0.99), 2, slow_step_size)


def skip_spikes_adam(learning_rate, threshold, decay):
    return aj.skip_spikes(aj.adam(learning_rate, b2=0.99), threshold, decay, 0.01, 2, 3)


CASES = [
    Case("cautious_adam", cautious_adam, {"learning_rate": 0.1, "xi": 1.0}, LR, scale_free=True),
    Case(
        "cautious_stage",
        cautious_stage,
        {"xi": 0.0, "weight_decay": 0.1},
        ("weight_decay",),
        needs_params=True,
        decays=True,
        scale_free=True,
    ),
    Case("centralize_gradients", aj.centralize_gradients),
    Case(
        "lookahead_adam",
        lookahead_adam,
        {"learning_rate": 0.1, "slow_step_size": 0.5},
        LR,
        needs_params=True,
        scale_free=True,
    ),
    Case(
        "skip_spikes_adam",
        skip_spikes_adam,
        {"learning_rate": 0.1, "threshold": 1.0, "decay": 0.9},
        LR,
        joint=True,
        skips=True,
    ),
]


FORMULAS = [
    formula(
        "cautious sgd",
        lambda: aj.cautious(aj.sgd(ramp(0.2, 0.05), 0.9)),
        cautious_sgd,
        by_array=True,
        lr=ramp(0.2, 0.05),
        momentum=0.9,
    ),
    formula(
        "cautious sgd nesterov xi 0",
        lambda: aj.cautious(aj.sgd(0.1, 0.5, nesterov=True), xi=0.0),
        cautious_sgd,
        by_array=True,
        lr=0.1,
        momentum=0.5,
        nesterov=True,
        xi=0.0,
    ),
    formula("cautious adam", lambda: aj.cautious(aj.adam()), cautious_adamw, by_array=True),
    formula(
        "cautious adamw of the paper",
        lambda: aj.chain(
            aj.cautious(aj.scale_by_adam(0.8, 0.9), before_learning_rate=True),
            aj.add_decayed_weights(0.3),
            aj.scale_by_learning_rate(inverse_time(RATE, 0.1)),
        ),
        cautious_adamw,
        by_array=True,
        lr=inverse_time(RATE, 0.1),
        b1=0.8,
        b2=0.9,
        weight_decay=0.3,
    ),
    formula(
        "cautious sgd without momentum is sgd",
        lambda: aj.cautious(aj.sgd(0.1), xi=0.0),
        lambda params, grads: cautious_sgd(params, grads, lr=0.1, momentum=0.0, xi=0.0),
        by_array=True,
    ),
    formula(
        "centralized sgd",
        before(aj.centralize_gradients, lambda: aj.sgd(0.1, 0.9)),
        sgd,
        by_array=True,
        lr=0.1,
        momentum=0.9,
        clip=centralize,
    ),
    formula(
        "centralized adam, outputs first",
        before(lambda: aj.centralize_gradients(output_axis=0), lambda: aj.adam(RATE)),
        adam,
        by_array=True,
        lr=RATE,
        clip=centralize_rows,
    ),
    formula(
        "lookahead adam",
        lambda: aj.lookahead(aj.adam(RATE)),
        lookahead,
        fast=adam,
        lr=RATE,
    ),
    formula(
        "lookahead sgd scheduled",
        lambda: aj.lookahead(aj.sgd(inverse_time(0.2, 0.1), 0.9), 7, 0.8),
        lookahead,
        fast=sgd,
        k=7,
        alpha=0.8,
        lr=inverse_time(0.2, 0.1),
        momentum=0.9,
    ),
    formula(
        "lookahead by all of the way is adam",
        lambda: aj.lookahead(aj.adam(RATE), 3, 1.0),
        adam,
        lr=RATE,
    ),
    formula(
        "skip_spikes adam",
        lambda: aj.skip_spikes(aj.adam(RATE), 1.5, warmup_steps=5),
        skip_spikes,
        by_array=True,
        fast=adam,
        threshold=1.5,
        warmup_steps=5,
        lr=RATE,
    ),
    formula(
        "skip_spikes sgd scheduled, with levels that begin anew",
        lambda: aj.skip_spikes(aj.sgd(inverse_time(0.2, 0.1), 0.9), 0.5, 0.8, 0.01, 3, 1),
        skip_spikes,
        by_array=True,
        fast=sgd,
        threshold=0.5,
        decay=0.8,
        min_deviation=0.01,
        warmup_steps=3,
        max_consecutive=1,
        lr=inverse_time(0.2, 0.1),
        momentum=0.9,
    ),
]
