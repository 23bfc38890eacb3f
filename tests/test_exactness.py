"""The transforms equal other people's optimizers and the papers' formulas, to 1e-12 in float64.

Three routes that do not meet: recorded trajectories of PyTorch's and the AdaBound authors' code,
loops in NumPy written from the papers, and identities between methods.
"""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptive_jax as aj
from tests.reference import numpy_methods as reference

FOLDER = Path(__file__).parent / "reference"
TRAJECTORIES = json.loads((FOLDER / "trajectories.json").read_text())["cases"]
LEAVES = ("w", "b", "s")
STEPS = 60


@functools.cache
def arrays():
    with np.load(FOLDER / "trajectories.npz") as file:
        return dict(file)


def shared_inputs():
    params = {name: arrays()["params0/" + name] for name in LEAVES}
    grads = {name: arrays()["grads/" + name] for name in LEAVES}
    return params, grads


def run(makes, params, grads, dtype=np.float64):
    """Name -> parameters after each update, for every function in `makes` (name -> function).

    All in one jitted scan: XLA takes much longer for a program each.
    """
    with jax.enable_x64(dtype == np.float64):
        txs = {name: make() for name, make in makes.items()}
        params = {leaf: jnp.asarray(array, dtype) for leaf, array in params.items()}
        grads = {leaf: jnp.asarray(array, dtype) for leaf, array in grads.items()}

        def step(carry, g):
            after = {}
            for name, tx in txs.items():
                p, state = carry[name]
                try:
                    updates, state = tx.update(g, state, p)
                except Exception as error:
                    error.add_note(f"in the case {name!r}")
                    raise
                after[name] = optax.apply_updates(p, updates), state
            return after, {name: p for name, (p, _) in after.items()}

        @jax.jit
        def walk(params, grads):
            start = {name: (params, tx.init(params)) for name, tx in txs.items()}
            return jax.lax.scan(step, start, grads)[1]

        paths = jax.tree.map(np.asarray, walk(params, grads))
    assert all(array.dtype == dtype for array in jax.tree.leaves(paths))
    return paths


def run_reference(method, params, grads):
    """The same of a function of `numpy_methods`."""
    steps = [{name: array[i] for name, array in grads.items()} for i in range(STEPS)]
    path = method(params, steps)
    return {name: np.stack([p[name] for p in path]) for name in params}


def largest_difference(found, expected):
    assert set(found) == set(expected)
    return max(np.max(np.abs(found[name] - expected[name])) for name in expected)


# Schedules: functions of the number of updates already made, an int or a traced int32.


def inverse_time(start, rate):
    def schedule(count):
        return start / (1 + rate * as_float(count))

    return schedule


def ramp(start, end):
    def schedule(count):
        return start + (end - start) * as_float(count) / STEPS

    return schedule


def drop(start, count_at_drop):
    def schedule(count):
        return jnp.where(count < count_at_drop, start, 0.1 * start)

    return schedule


def as_float(count):
    return count.astype(float) if isinstance(count, jax.Array) else float(count)


# a) Recorded trajectories: their constructor's arguments -> our chain.


def torch_sgd(lr, momentum=0.0, dampening=0.0, nesterov=False, weight_decay=0.0, maximize=False):
    return coupled(weight_decay, maximize, aj.sgd(lr, momentum, nesterov, dampening))


def torch_adagrad(lr, lr_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0):
    rate = inverse_time(lr, lr_decay) if lr_decay else lr
    return coupled(weight_decay, False, aj.adagrad(rate, initial_accumulator_value))


def torch_adadelta(lr=1.0, rho=0.9, eps=1e-6, weight_decay=0.0):
    return coupled(weight_decay, False, aj.adadelta(lr, rho, eps))


def torch_rmsprop(lr=0.01, alpha=0.99, weight_decay=0.0, momentum=0.0, centered=False):
    tx = aj.rmsprop(lr, decay=alpha, centered=centered, momentum=momentum)
    return coupled(weight_decay, False, tx)


def torch_adam(
    lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False, maximize=False
):
    method = aj.amsgrad if amsgrad else aj.adam
    return coupled(weight_decay, maximize, method(lr, *betas, eps))


def torch_adamw(lr=1e-3, weight_decay=0.01, amsgrad=False):
    if not amsgrad:
        return aj.adamw(lr, weight_decay=weight_decay)
    return aj.chain(
        aj.scale_by_amsgrad(),
        aj.add_decayed_weights(weight_decay),
        aj.scale_by_learning_rate(lr),
    )


def authors_adabound(
    lr=1e-3, final_lr=0.1, gamma=1e-3, weight_decay=0.0, amsbound=False, drop_at=None
):
    method = aj.amsbound if amsbound else aj.adabound
    rate = lr if drop_at is None else drop(lr, drop_at)
    return coupled(weight_decay, False, method(rate, final_lr, gamma, base_lr=lr))


def authors_adaboundw(lr=1e-3, weight_decay=0.0, amsbound=False):
    if not amsbound:
        return aj.adaboundw(lr, weight_decay=weight_decay)
    return aj.chain(
        aj.scale_by_amsgrad(eps=0.0, eps_hat=1e-8),
        aj.bound_lr(base_lr=lr),
        aj.scale_by_learning_rate(lr, flip_sign=False),
        aj.add_decayed_weights(weight_decay),
        optax.scale(-1.0),
    )


def coupled(weight_decay, maximize, tx):
    stages = [tx]
    if weight_decay:
        stages.insert(0, aj.add_decayed_weights(weight_decay))
    if maximize:
        stages.insert(0, optax.scale(-1.0))
    return aj.chain(*stages)


OURS = {
    ("torch", "SGD"): torch_sgd,
    ("torch", "Adagrad"): torch_adagrad,
    ("torch", "Adadelta"): torch_adadelta,
    ("torch", "RMSprop"): torch_rmsprop,
    ("torch", "Adam"): torch_adam,
    ("torch", "AdamW"): torch_adamw,
    ("adabound", "AdaBound"): authors_adabound,
    ("adabound", "AdaBoundW"): authors_adaboundw,
}


def make_recorded(case, **changed):
    kwargs = case["kwargs"] | changed
    if "lr_times_0.1_from_update" in case:
        kwargs["drop_at"] = case["lr_times_0.1_from_update"]
    return OURS[case["source"], case["name"]](**kwargs)


def recorded_path(case):
    return {name: arrays()[f"{case['id']}/{name}"][1:] for name in LEAVES}


@functools.cache
def our_trajectories():
    makes = {case["id"]: functools.partial(make_recorded, case) for case in TRAJECTORIES}
    return run(makes, *shared_inputs())


@pytest.mark.parametrize("case", TRAJECTORIES, ids=lambda case: case["id"])
def test_equals_recorded_trajectory(case):
    found = our_trajectories()[case["id"]]
    assert largest_difference(found, recorded_path(case)) <= 1e-12


def test_comparison_can_fail():
    case = next(case for case in TRAJECTORIES if case["id"] == "torch/Adam/1")
    makes = {"changed": lambda: make_recorded(case, eps=1e-6)}
    found = run(makes, *shared_inputs())["changed"]
    assert largest_difference(found, recorded_path(case)) > 1e-9


def test_float64_does_not_leak():
    run({"sgd": aj.sgd}, *shared_inputs())
    assert jnp.zeros(()).dtype == jnp.float32


# b) The papers' formulas in NumPy.


class Case(NamedTuple):
    name: str
    make: Callable  # -> a transformation
    method: Callable  # (params, list of gradients) -> list of parameters
    by_array: bool  # whether arrays matter; else all are put into one, which compiles faster


def case(name, make, method, by_array=False, **hyper):
    return Case(name, make, functools.partial(method, **hyper), by_array)


def only_w(method, **decay):
    """The reference with decay of the array `w` alone; arrays do not see one another."""

    def masked(params, grads, **hyper):
        decayed = method(params, grads, **hyper, **decay)
        plain = method(params, grads, **hyper)
        return [{**p, "w": d["w"]} for p, d in zip(plain, decayed, strict=True)]

    return masked


def before(stage, tx):
    return lambda: aj.chain(stage(), tx())


W_DECAYS = {"w": True, "b": False, "s": False}
RATE = 0.01

SGD_CASES = [
    case("sgd", lambda: aj.sgd(0.1), reference.sgd, lr=0.1),
    case(
        "sgd scheduled",
        lambda: aj.sgd(inverse_time(0.2, 0.1), ramp(0.5, 0.95)),
        reference.sgd,
        lr=inverse_time(0.2, 0.1),
        momentum=ramp(0.5, 0.95),
    ),
    case(
        "sgd nesterov scheduled",
        lambda: aj.sgd(ramp(0.0, 0.1), ramp(0.95, 0.5), nesterov=True),
        reference.sgd,
        lr=ramp(0.0, 0.1),
        momentum=ramp(0.95, 0.5),
        nesterov=True,
    ),
    case(
        "sgd dampened",
        lambda: aj.sgd(0.1, 0.8, dampening=0.3),
        reference.sgd,
        lr=0.1,
        momentum=0.8,
        dampening=0.3,
    ),
    case(
        "sgd dampened nesterov",
        lambda: aj.sgd(0.1, 0.8, True, 0.3),
        reference.sgd,
        lr=0.1,
        momentum=0.8,
        dampening=0.3,
        nesterov=True,
    ),
    case(
        "momentum 0 is sgd",
        lambda: aj.chain(aj.momentum(0.0), aj.scale_by_learning_rate(0.1)),
        reference.sgd,
        lr=0.1,
    ),
    case(
        "momentum 1 is a sum",
        lambda: aj.chain(aj.momentum(1.0), aj.scale_by_learning_rate(0.01)),
        reference.sgd,
        lr=0.01,
        momentum=1.0,
    ),
    case(
        "ema",
        lambda: aj.chain(aj.momentum(0.9, ema=True), aj.scale_by_learning_rate(0.3)),
        reference.sgd,
        lr=0.3,
        momentum=0.9,
        ema=True,
    ),
    case(
        "ema nesterov scheduled",
        lambda: aj.chain(
            aj.momentum(ramp(0.2, 0.9), nesterov=True, ema=True), aj.scale_by_learning_rate(0.3)
        ),
        reference.sgd,
        lr=0.3,
        momentum=ramp(0.2, 0.9),
        nesterov=True,
        ema=True,
    ),
    case("sign", lambda: aj.sign_sgd(RATE), reference.sign_sgd, lr=RATE),
    case(
        "sign scheduled",
        lambda: aj.sign_sgd(inverse_time(0.1, 0.5)),
        reference.sign_sgd,
        lr=inverse_time(0.1, 0.5),
    ),
]

ADAGRAD_CASES = [
    case("adagrad", lambda: aj.adagrad(), reference.adagrad, lr=0.01),
    case("adagrad eps 0", lambda: aj.adagrad(0.1, eps=0.0), reference.adagrad, lr=0.1, eps=0.0),
    case(
        "adagrad eps outside and inside",
        lambda: aj.adagrad(inverse_time(0.1, 0.02), 0.3, 1e-2, 1e-3),
        reference.adagrad,
        lr=inverse_time(0.1, 0.02),
        start=0.3,
        eps=1e-2,
        eps_root=1e-3,
    ),
    case("adadelta", lambda: aj.adadelta(), reference.adadelta),
    case(
        "adadelta scheduled",
        lambda: aj.adadelta(ramp(2.0, 0.5), 0.8, 1e-3),
        reference.adadelta,
        lr=ramp(2.0, 0.5),
        rho=0.8,
        eps=1e-3,
    ),
    case(
        "adadelta rho 0",
        lambda: aj.adadelta(0.5, 0.0, 1e-4),
        reference.adadelta,
        lr=0.5,
        rho=0.0,
        eps=1e-4,
    ),
    case("rmsprop", lambda: aj.rmsprop(), reference.rmsprop, lr=1e-3),
    case(
        "rmsprop eps 0",
        lambda: aj.rmsprop(RATE, 0.95, eps=0.0),
        reference.rmsprop,
        lr=RATE,
        decay=0.95,
        eps=0.0,
    ),
    case(
        "rmsprop eps inside",
        lambda: aj.rmsprop(RATE, 0.8, 0.0, 1e-3),
        reference.rmsprop,
        lr=RATE,
        decay=0.8,
        eps=0.0,
        eps_root=1e-3,
    ),
    case(
        "rmsprop centered",
        lambda: aj.rmsprop(RATE, 0.95, 1e-3, centered=True),
        reference.rmsprop,
        lr=RATE,
        decay=0.95,
        eps=1e-3,
        centered=True,
    ),
    case(
        "rmsprop centered nesterov scheduled",
        lambda: aj.rmsprop(inverse_time(RATE, 0.1), 0.9, 0.0, 1e-2, True, ramp(0.3, 0.9), True),
        reference.rmsprop,
        lr=inverse_time(RATE, 0.1),
        eps=0.0,
        eps_root=1e-2,
        centered=True,
        momentum=ramp(0.3, 0.9),
        nesterov=True,
    ),
    case(
        "rmsprop momentum, rate inside",
        lambda: aj.chain(
            aj.scale_by_rms(0.9, 0.0, 1e-4, initial_accumulator=0.1),
            aj.scale_by_learning_rate(inverse_time(RATE, 0.1)),
            aj.momentum(0.7),
        ),
        reference.rmsprop,
        lr=inverse_time(RATE, 0.1),
        eps=0.0,
        eps_root=1e-4,
        start=0.1,
        momentum=0.7,
        lr_inside=True,
    ),
    case(
        "rmsprop decay 0 is sign",
        lambda: aj.rmsprop(RATE, decay=0.0, eps=0.0),
        reference.sign_sgd,
        lr=RATE,
    ),
]

ADAM_CASES = [
    case("adam", lambda: aj.adam(), reference.adam),
    case("adam eps 0", lambda: aj.adam(RATE, eps=0.0), reference.adam, lr=RATE, eps=0.0),
    case(
        "adam b1 0",
        lambda: aj.adam(RATE, b1=0.0, eps=1e-3),
        reference.adam,
        lr=RATE,
        b1=0.0,
        eps=1e-3,
    ),
    case(
        "adam eps and eps_root",
        lambda: aj.adam(ramp(0.0, 0.02), 0.5, 0.9, 1e-3, 1e-2),
        reference.adam,
        lr=ramp(0.0, 0.02),
        b1=0.5,
        b2=0.9,
        eps=1e-3,
        eps_root=1e-2,
    ),
    case(
        "adam eps_hat",
        lambda: aj.adam(RATE, 0.8, 0.99, eps=0.0, eps_hat=1e-3),
        reference.adam_with_eps_hat,
        lr=RATE,
        b1=0.8,
        b2=0.99,
        eps_hat=1e-3,
    ),
    case(
        "adam nesterov",
        lambda: aj.adam(RATE, nesterov=True),
        reference.adam,
        lr=RATE,
        nesterov=True,
    ),
    case(
        "adam nesterov scheduled",
        lambda: aj.adam(inverse_time(RATE, 0.1), 0.6, 0.95, 1e-4, 1e-5, nesterov=True),
        reference.adam,
        lr=inverse_time(RATE, 0.1),
        b1=0.6,
        b2=0.95,
        eps=1e-4,
        eps_root=1e-5,
        nesterov=True,
    ),
    case(
        "adam nesterov b1 0 is adam b1 0",
        lambda: aj.adam(RATE, b1=0.0, nesterov=True),
        reference.adam,
        lr=RATE,
        b1=0.0,
    ),
    case(
        "adam b1 b2 eps 0 is sign",
        lambda: aj.adam(RATE, 0.0, 0.0, 0.0),
        reference.sign_sgd,
        lr=RATE,
    ),
    case(
        "adam b1 0 b2 0.9999",
        lambda: aj.adam(RATE, 0.0, 0.9999),
        reference.adam,
        lr=RATE,
        b1=0.0,
        b2=0.9999,
    ),
    case("adamw", lambda: aj.adamw(), reference.adam, weight_decay=0.01),
    case(
        "adamw scheduled",
        lambda: aj.adamw(ramp(0.0, 0.02), eps=1e-4, weight_decay=inverse_time(0.5, 0.1)),
        reference.adam,
        lr=ramp(0.0, 0.02),
        eps=1e-4,
        weight_decay=inverse_time(0.5, 0.1),
    ),
    case(
        "adamw masked",
        lambda: aj.adamw(RATE, weight_decay=0.3, mask=W_DECAYS),
        only_w(reference.adam, weight_decay=0.3),
        by_array=True,
        lr=RATE,
    ),
    case("amsgrad", lambda: aj.amsgrad(), reference.amsgrad),
    case(
        "amsgrad short memory",
        lambda: aj.amsgrad(inverse_time(RATE, 0.1), 0.5, 0.6, 0.0, 1e-6),
        reference.amsgrad,
        lr=inverse_time(RATE, 0.1),
        b1=0.5,
        b2=0.6,
        eps=0.0,
        eps_root=1e-6,
    ),
]

OWN_BOUNDS = {"lower": ramp(0.01, 0.08), "upper": ramp(0.5, 0.1)}
SAVARESE = {"final_lr": 0.1, "m": 210.0}  # no upper bound in the first 10 updates
REFERENCE_SAVARESE = dict(
    zip(("lower", "upper"), reference.convergent_bounds(**SAVARESE), strict=True)
)


def bounded(preconditioner, learning_rate, **bounds):
    return aj.chain(preconditioner, aj.bound_lr(**bounds), aj.scale_by_learning_rate(learning_rate))


def convergent():
    return dict(zip(("lower", "upper"), aj.convergent_bounds(**SAVARESE), strict=True))


ADABOUND_CASES = [
    case("adabound", lambda: aj.adabound(), reference.adabound),
    case(
        "adabound eps 0",
        lambda: aj.adabound(RATE, 0.05, 0.02, eps=0.0),
        reference.adabound,
        lr=RATE,
        final_lr=0.05,
        gamma=0.02,
        eps=0.0,
    ),
    case(
        "adabound b1 0",
        lambda: aj.adabound(0.1, 0.2, 0.1, 0.0, 0.9, 1e-3),
        reference.adabound,
        lr=0.1,
        final_lr=0.2,
        gamma=0.1,
        b1=0.0,
        b2=0.9,
        eps=1e-3,
    ),
    case(
        "adabound scheduled",
        lambda: aj.adabound(ramp(0.0, 0.02), 0.1, 0.05, base_lr=0.02),
        reference.adabound,
        lr=ramp(0.0, 0.02),
        gamma=0.05,
        base_lr=0.02,
    ),
    case(
        "adaboundw",
        lambda: aj.adaboundw(RATE, 0.1, 0.05),
        reference.adabound,
        lr=RATE,
        gamma=0.05,
        weight_decay=5e-4,
    ),
    case(
        "adaboundw scheduled",
        lambda: aj.adaboundw(
            inverse_time(RATE, 0.1), gamma=0.01, base_lr=RATE, weight_decay=ramp(0.1, 0.0)
        ),
        reference.adabound,
        lr=inverse_time(RATE, 0.1),
        gamma=0.01,
        base_lr=RATE,
        weight_decay=ramp(0.1, 0.0),
    ),
    case(
        "adaboundw masked",
        lambda: aj.adaboundw(RATE, weight_decay=0.01, mask=W_DECAYS),
        only_w(reference.adabound, weight_decay=0.01),
        by_array=True,
        lr=RATE,
    ),
    case("amsbound", lambda: aj.amsbound(), reference.adabound, amsbound=True),
    case(
        "amsbound scheduled",
        lambda: aj.amsbound(inverse_time(0.1, 0.1), 0.3, 0.1, 0.5, 0.7, 0.0, base_lr=0.1),
        reference.adabound,
        lr=inverse_time(0.1, 0.1),
        final_lr=0.3,
        gamma=0.1,
        b1=0.5,
        b2=0.7,
        eps=0.0,
        base_lr=0.1,
        amsbound=True,
    ),
    case(
        "own bounds",
        lambda: bounded(
            aj.scale_by_adam(eps=0.0, eps_hat=1e-8),
            inverse_time(RATE, 0.05),
            base_lr=RATE,
            **OWN_BOUNDS,
        ),
        reference.adabound,
        lr=inverse_time(RATE, 0.05),
        base_lr=RATE,
        **OWN_BOUNDS,
    ),
    case(
        "convergent bounds",
        lambda: bounded(aj.scale_by_adam(eps=0.0, eps_hat=1e-8), 0.2, base_lr=0.2, **convergent()),
        reference.adabound,
        lr=0.2,
        **REFERENCE_SAVARESE,
    ),
    case(
        "convergent bounds on rmsprop",
        lambda: bounded(aj.scale_by_rms(), ramp(0.1, 0.01), base_lr=0.1, **convergent()),
        reference.bounded_rmsprop,
        lr=ramp(0.1, 0.01),
        base_lr=0.1,
        **REFERENCE_SAVARESE,
    ),
    case(
        "bounds without limits are adam",
        lambda: bounded(aj.scale_by_adam(), RATE, base_lr=RATE, lower=0.0, upper=float("inf")),
        reference.adam,
        lr=RATE,
    ),
    case(
        "equal bounds are sgd with ema",
        lambda: bounded(aj.scale_by_adam(b1=0.8), RATE, base_lr=RATE, lower=0.3, upper=0.3),
        reference.sgd,
        lr=0.3,
        momentum=0.8,
        ema=True,
    ),
    case(
        "smallest M is sgd",
        lambda: bounded(
            aj.scale_by_adam(b1=0.0),
            RATE,
            base_lr=RATE,
            **dict(zip(("lower", "upper"), aj.convergent_bounds(0.1, 10.0), strict=True)),
        ),
        reference.sgd,
        lr=0.1,
    ),
]

COMPOSED_CASES = [
    case(
        "sgd coupled decay scheduled",
        before(lambda: aj.add_decayed_weights(ramp(0.5, 0.0)), lambda: aj.sgd(0.1, 0.9)),
        reference.sgd,
        lr=0.1,
        momentum=0.9,
        l2=ramp(0.5, 0.0),
    ),
    case(
        "adam coupled decay",
        before(lambda: aj.add_decayed_weights(0.1), lambda: aj.adam(RATE)),
        reference.adam,
        lr=RATE,
        l2=0.1,
    ),
    case(
        "adagrad coupled decay masked",
        before(lambda: aj.add_decayed_weights(0.2, W_DECAYS), lambda: aj.adagrad(0.1)),
        only_w(reference.adagrad, l2=0.2),
        by_array=True,
        lr=0.1,
    ),
    case(
        "amsbound coupled decay",
        before(lambda: aj.add_decayed_weights(0.1), lambda: aj.amsbound(RATE, gamma=0.05)),
        reference.adabound,
        lr=RATE,
        gamma=0.05,
        amsbound=True,
        l2=0.1,
    ),
    case(
        "clip by value",
        before(lambda: aj.clip_by_value(0.7), lambda: aj.sgd(0.1)),
        reference.sgd,
        lr=0.1,
        clip=reference.clip_by_value(0.7),
    ),
    case(
        "clip by norm",
        before(lambda: aj.clip_by_norm(2.0), lambda: aj.adagrad(0.1)),
        reference.adagrad,
        lr=0.1,
        by_array=True,
        clip=reference.clip_by_norm(2.0),
    ),
    case(
        "clip by global norm",
        before(lambda: aj.clip_by_global_norm(4.5), lambda: aj.sgd(0.1, 0.9)),
        reference.sgd,
        lr=0.1,
        momentum=0.9,
        by_array=True,
        clip=reference.clip_by_global_norm(4.5),
    ),
    case(
        "clip by global norm, coupled decay, adabound",
        lambda: aj.chain(
            aj.clip_by_global_norm(0.5), aj.add_decayed_weights(0.01), aj.adabound(RATE, gamma=0.1)
        ),
        reference.adabound,
        lr=RATE,
        gamma=0.1,
        by_array=True,
        clip=reference.clip_by_global_norm(0.5),
        l2=0.01,
    ),
]

CASES = SGD_CASES + ADAGRAD_CASES + ADAM_CASES + ADABOUND_CASES + COMPOSED_CASES


def rounded_inputs(by_array):
    """The inputs in float32, so that float32 and float64 start from the same numbers."""
    params, grads = shared_inputs()
    if not by_array:
        params = {"all": np.concatenate([params[name].ravel() for name in LEAVES])}
        grads = {"all": np.hstack([grads[name].reshape(STEPS, -1) for name in LEAVES])}
    params = {name: array.astype(np.float32) for name, array in params.items()}
    grads = {name: array.astype(np.float32) for name, array in grads.items()}
    return params, grads


@functools.cache
def our_paths(by_array, dtype):
    makes = {case.name: case.make for case in CASES if case.by_array == by_array}
    return run(makes, *rounded_inputs(by_array), dtype)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_equals_formula(case):
    """In float64 to 1e-12; in float32 to 1e-5 of the way each coordinate has gone, and rounding."""
    params, grads = rounded_inputs(case.by_array)
    expected = run_reference(case.method, params, grads)
    double = our_paths(case.by_array, np.float64)[case.name]
    assert largest_difference(double, expected) <= 1e-12

    single = our_paths(case.by_array, np.float32)[case.name]
    for leaf, start in params.items():
        steps = np.diff(expected[leaf], axis=0, prepend=start[None])
        way = np.cumsum(np.abs(steps), axis=0)
        rounding = 20 * np.finfo(np.float32).eps * np.abs(expected[leaf]).max()
        assert np.all(np.abs(single[leaf] - expected[leaf]) <= 1e-5 * way + rounding)
        assert np.all(np.abs(single[leaf] - double[leaf]) <= 1e-5 * way + rounding)


def test_case_names_differ():
    assert len({case.name for case in CASES}) == len(CASES)


def test_clipping_cases_clip_sometimes():
    _, grads = shared_inputs()
    norms = {
        name: np.linalg.norm(array.reshape(STEPS, -1), axis=1) for name, array in grads.items()
    }
    total = np.sqrt(sum(norm**2 for norm in norms.values()))
    assert 0.2 < np.mean(total > 4.5) < 0.8
    assert 0.2 < np.mean(norms["b"] > 2.0) < 0.8
    assert 0.2 < np.mean(np.abs(grads["w"]) > 0.7) < 0.8


# d) Bounds.


def values(schedule):
    """The schedule at t = 1 … 2000."""
    return np.asarray(schedule(jnp.arange(2000)))


def condition(lower, upper):
    """t / lower(t) − (t − 1) / upper(t − 1) for t = 1 … 2000, which must not exceed M."""
    t = np.arange(1, 2001)
    return t / lower - np.append(0.0, t[:-1] / upper[:-1])


@pytest.mark.parametrize(
    ("final_lr", "m"), [(0.1, 10.0), (0.1, 210.0), (1.0, 2.5), (3e-3, 5000.0), (0.5, 1e5)]
)
def test_convergent_bounds_meet_their_condition(final_lr, m):
    with jax.enable_x64(True):
        lower, upper = map(values, aj.convergent_bounds(final_lr, m))
    c = (m * final_lr - 1) / 2
    t = np.arange(1, 2001)
    left = condition(lower, upper)
    assert np.all(left <= m * (1 + 1e-9))
    np.testing.assert_allclose(left[t > c + 1], m, rtol=1e-9)
    assert np.all(np.isinf(upper) == (t <= c))
    assert np.all(lower[1:] >= lower[:-1])
    assert np.all(upper[1:] <= upper[:-1])
    assert np.all(lower <= final_lr)
    assert np.all(upper >= final_lr)


@pytest.mark.parametrize("final_lr", [0.1, 2.0])
@pytest.mark.parametrize("gamma", [1e-3, 0.05, 1.0])
def test_adabound_bounds_meet_the_condition(final_lr, gamma):
    with jax.enable_x64(True):
        lower, upper = map(values, aj.adabound_bounds(final_lr, gamma))
    t = np.arange(1, 2001)
    np.testing.assert_allclose(lower, final_lr * (1 - 1 / (gamma * t + 1)), rtol=1e-10)
    np.testing.assert_allclose(upper, final_lr * (1 + 1 / (gamma * t)), rtol=1e-14)
    m = (1 + 2 / gamma) / final_lr
    left = condition(lower, upper)
    assert np.all(left <= m * (1 + 1e-9))
    assert np.max(left) > 0.8 * m  # and M is not far larger than need be
    assert np.all(lower[1:] > lower[:-1])
    assert np.all(upper[1:] < upper[:-1])
    assert np.all((lower < final_lr) & (upper > final_lr))
