"""Second moments kept for rows and columns: small, and finite where products would not be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adaptive_jax as aj
from tests.test_contract import assert_finite

FACTORED = {
    "sm3": aj.scale_by_sm3(),
    "factored_rms": aj.scale_by_factored_rms(),
    "factored_rms_no_eps": aj.scale_by_factored_rms(eps=0.0),
}
RECIPES = {"sm3": aj.sm3(momentum=None), "adafactor": aj.adafactor()}


@pytest.mark.parametrize("tx", (FACTORED | RECIPES).values(), ids=FACTORED | RECIPES)
def test_rows_and_columns_of_every_magnitude(tx):
    """In each row and column the magnitudes of a ladder, and blocks of the extremes alone."""
    ladder = np.array([0.0, 1.4e-45, 1e-38, 1e-30, 1e-22, 1e-19, 1e-9, 1.0, 1e10, 1e20, 3.4e38])
    extremes = np.outer([1e-19, 1e19], np.repeat([1e-19, 1e19], 3))
    arrays = {
        "rows": np.repeat(ladder[:, None], 3, 1),
        "columns": np.repeat(ladder[None], 3, 0),
        "least": np.minimum.outer(ladder, ladder),
        "largest": np.maximum.outer(ladder, ladder),
        "extremes": extremes,
        "stack": np.stack([extremes, np.zeros_like(extremes)]),
    }
    params = {name: jnp.ones(array.shape) for name, array in arrays.items()}
    state = tx.init(params)
    for sign in (1, -1, 1, 0, 1):
        grads = {name: jnp.asarray(sign * array, jnp.float32) for name, array in arrays.items()}
        updates, state = tx.update(grads, state, params)
        assert_finite((updates, state))


@pytest.mark.parametrize("tx", FACTORED.values(), ids=FACTORED)
def test_sums_of_the_largest_squares_do_not_overflow(tx):
    params = jnp.zeros((600, 700))
    updates, _ = tx.update(jnp.full(params.shape, 3e38), tx.init(params), params)
    np.testing.assert_allclose(updates, 1, rtol=1e-5)


@pytest.mark.parametrize("tx", RECIPES.values(), ids=RECIPES)
def test_state_of_a_matrix_is_its_edges(tx):
    state = jax.eval_shape(tx.init, {"w": jnp.zeros((300, 400)), "b": jnp.zeros(400)})
    assert sum(leaf.size for leaf in jax.tree.leaves(state)) <= 2 * (300 + 400) + 400 + 2


def test_zero_sizes_in_any_place():
    params = {str(shape): jnp.ones(shape) for shape in [(0, 3), (3, 0), (2, 0, 3), (0, 0), (0,)]}
    for tx in (FACTORED | RECIPES).values():
        updates, state = tx.update(params, tx.init(params), params)
        assert_finite(state)
        assert jax.tree.map(jnp.shape, updates) == jax.tree.map(jnp.shape, params)


def test_sharded_states_keep_their_shardings():
    mesh = jax.make_mesh((2, 2), ("x", "y"))
    params = jnp.linspace(-1, 1, 64).reshape(2, 4, 8)
    spec = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(None, "x", "y"))
    for tx in (FACTORED | RECIPES).values():
        alone, _ = tx.update(params, tx.init(params), params)
        with jax.set_mesh(mesh):
            sharded = jax.device_put(params, spec)
            state = jax.jit(tx.init)(sharded)
            updates, new_state = jax.jit(tx.update)(sharded, state, sharded)
            assert jax.tree.map(jax.typeof, new_state) == jax.tree.map(jax.typeof, state)
        np.testing.assert_allclose(jax.device_get(updates), alone, rtol=1e-5)
