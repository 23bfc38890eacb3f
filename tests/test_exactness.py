"""The transforms equal other people's optimizers and the papers' formulas, to 1e-12 in float64.

Three routes that do not meet: recorded trajectories of PyTorch's and the AdaBound authors' code,
loops in NumPy written from the papers, and identities between methods.
"""

import functools
import json
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptive_jax as aj
from tests.families import FORMULAS, PORTS
from tests.family import STEPS, drop

pytestmark = pytest.mark.optimized

FOLDER = Path(__file__).parent / "reference"
TRAJECTORIES = json.loads((FOLDER / "trajectories.json").read_text())["cases"]
RECORDED = {case["id"]: case for case in TRAJECTORIES}
LEAVES = ("w", "b", "s")


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

    All in one jitted scan: see `together`.
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


def together(cases, case):
    """Those of the cases that share a program with this one, neighbors in the order of the tests.

    XLA takes longer for a program each, and for all of them in one several times as long.
    """
    cases = sorted(cases)
    first = cases.index(case) // 12 * 12
    return tuple(cases[first : first + 12])


def run_reference(method, params, grads):
    """The same of a loop in NumPy."""
    steps = [{name: array[i] for name, array in grads.items()} for i in range(STEPS)]
    path = method(params, steps)
    return {name: np.stack([p[name] for p in path]) for name in params}


def largest_difference(found, expected):
    assert set(found) == set(expected)
    return max(np.max(np.abs(found[name] - expected[name])) for name in expected)


# a) Recorded trajectories: PyTorch's and Keras's through the presets, from their constructor's
# arguments; the AdaBound authors' through these chains, and third parties' through PORTS.


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
    "torch": aj.presets.torch,
    "keras": aj.presets.keras,
    "adabound": types.SimpleNamespace(AdaBound=authors_adabound, AdaBoundW=authors_adaboundw),
}


SINGLE = {"keras/Adam/3", "keras/Adam/4", "keras/Adafactor/1", "keras/Adafactor/2"}
"""Recorded where Keras takes a minimum or maximum in float32; keras.json has them in float64."""


def make_recorded(case, **changed):
    kwargs = case["kwargs"] | changed
    if "lr_times_0.1_from_update" in case:
        kwargs["drop_at"] = case["lr_times_0.1_from_update"]
    if case["source"] == "pytorch_optimizer":
        return PORTS[case["name"]].make(**kwargs)
    return getattr(OURS[case["source"]], case["name"])(**kwargs)


def recorded_path(case):
    return {name: arrays()[f"{case['id']}/{name}"][1:] for name in case["leaves"]}


@functools.cache
def our_trajectories(names, leaves):
    """The recorded cases of these names, which have these leaves, in one program."""
    makes = {name: functools.partial(make_recorded, RECORDED[name]) for name in names}
    params, grads = shared_inputs()
    return run(
        makes, {leaf: params[leaf] for leaf in leaves}, {leaf: grads[leaf] for leaf in leaves}
    )


@pytest.mark.parametrize("case", TRAJECTORIES, ids=lambda case: case["id"])
def test_equals_recorded_trajectory(case):
    alike = [other["id"] for other in TRAJECTORIES if other["leaves"] == case["leaves"]]
    names = together(alike, case["id"])
    found = our_trajectories(names, tuple(case["leaves"]))[case["id"]]
    difference = largest_difference(found, recorded_path(case))
    port = case["source"] == "pytorch_optimizer" and PORTS[case["name"]]
    if port and port.differs:  # and what the table says of it is still so
        assert difference > 1e-10, "the port equals ours: its row should not say that it differs"
    else:
        single = 1e-8 if case["id"] in SINGLE else 1e-12
        assert difference <= (1e-9 if case["name"] == "Muon" else single)


def test_comparison_can_fail():
    case = RECORDED["torch/Adam/1"]
    makes = {"changed": lambda: make_recorded(case, eps=1e-6)}
    found = run(makes, *shared_inputs())["changed"]
    assert largest_difference(found, recorded_path(case)) > 1e-9


def test_float64_does_not_leak():
    run({"sgd": aj.sgd}, *shared_inputs())
    assert jnp.zeros(()).dtype == jnp.float32


# b) The papers' formulas in NumPy.


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
def our_paths(cases, dtype):
    makes = {case.name: case.make for case in cases}
    return run(makes, *rounded_inputs(cases[0].by_array), dtype)


@pytest.mark.parametrize("case", FORMULAS, ids=lambda case: case.name)
def test_equals_formula(case):
    """In float64 to 1e-12; in float32 to 1e-5 of the way each coordinate has gone, and rounding."""
    params, grads = rounded_inputs(case.by_array)
    expected = run_reference(case.method, params, grads)
    cases = together([other for other in FORMULAS if other.by_array == case.by_array], case)
    double = our_paths(cases, np.float64)[case.name]
    assert largest_difference(double, expected) <= 1e-12

    single = our_paths(cases, np.float32)[case.name]
    for leaf, start in params.items():
        steps = np.diff(expected[leaf], axis=0, prepend=start[None])
        way = np.cumsum(np.abs(steps), axis=0)
        rounding = 20 * np.finfo(np.float32).eps * np.abs(expected[leaf]).max()
        assert np.all(np.abs(single[leaf] - expected[leaf]) <= 1e-5 * way + rounding)
        assert np.all(np.abs(single[leaf] - double[leaf]) <= 1e-5 * way + rounding)


def test_case_names_differ():
    assert len({case.name for case in FORMULAS}) == len(FORMULAS)


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
