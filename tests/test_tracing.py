"""The cost of tracing an update and of an eager one, counted in equations and Python calls."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import optax
import pytest

import adaptive_jax as aj


def problem(tx, arrays):
    params = {f"w{i}": jnp.zeros(3) for i in range(arrays)}
    return jax.tree.map(jnp.ones_like, params), tx.init(params), params


def equations(tx, arrays):
    return len(jax.make_jaxpr(tx.update)(*problem(tx, arrays)).jaxpr.eqns)


def own_calls(tx, package):
    """Returns the Python calls within a package's files for one eager update of two arrays."""
    root, calls, args = str(Path(package.__file__).parent), 0, problem(tx, 2)

    def count(frame, event, _):
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename.startswith(root)

    tx.update(*args)  # what happens once only
    sys.setprofile(count)
    try:
        tx.update(*args)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.relaxed  # for Optax's Adam
def test_an_eager_update_makes_at_most_twice_the_python_calls_of_optax():
    assert own_calls(aj.adam(1e-3), aj) <= 2 * own_calls(optax.adam(1e-3), optax)


@pytest.mark.parametrize(
    ("stages", "most"),
    [
        ([aj.scale_by_adam(eps=0.0, eps_hat=1e-8), aj.bound_lr(base_lr=1e-3)], 61),
        ([aj.scale_by_adam(), aj.momental_bound(), aj.bound_lr(base_lr=1e-3)], 65),
    ],
    ids=["AdaBound", "two modifiers"],
)
def test_a_modified_scale_is_computed_once(stages, most):
    assert equations(aj.chain(*stages, aj.scale_by_learning_rate(1e-3)), 1) <= most


def test_hyperparameters_in_the_state_are_traced_once_for_all_arrays():
    """For each array there is at most one more equation, the floor below a traced eps."""
    plain, tuned = aj.adam(1e-3), aj.tunable(aj.adam, learning_rate=1e-3)
    more = [equations(tx, 10) - equations(tx, 5) for tx in (plain, tuned)]
    assert more[1] <= 1.3 * more[0]
