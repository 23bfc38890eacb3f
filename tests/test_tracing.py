"""The cost of tracing an update and of an eager one, counted in equations and Python calls."""

import optax
import pytest

import adaptive_jax as aj
from scripts import benchmark_tracing


def equations(tx, arrays):
    return benchmark_tracing.equations(tx, benchmark_tracing.problem(tx, arrays))


def own_calls(tx, package):
    return benchmark_tracing.own_calls(tx, package, benchmark_tracing.problem(tx, 2))


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
