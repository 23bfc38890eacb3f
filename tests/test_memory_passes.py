"""Memory traffic of a step: norms take one pass, and no array is written that no state has."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptive_jax as aj
from adaptive_jax import numerics
from adaptive_jax.registry import OPTIMIZERS

WITHOUT_TEMPORARIES = (
    *("sgd", "sign_sgd", "lion", "adagrad", "sm3", "adadelta", "rmsprop", "adam", "adamw"),
    *("amsgrad", "adamax", "nadam", "radam", "adabelief", "yogi", "qhadam", "laprop"),
    *("ademamix", "adabound", "amsbound", "lars", "novograd", "schedule_free_sgd"),
)


@pytest.mark.parametrize("name", WITHOUT_TEMPORARIES)
def test_a_step_needs_no_array_besides_its_state(name):
    """XLA could keep what two of its loops need, or copy what it overwrites too early."""
    assert temporaries(OPTIMIZERS[name].factory()) < 1


@pytest.mark.parametrize("names", [("int8", "uint8"), ("float8_e4m3", "float8_e4m3")], ids=str)
def test_a_step_with_lean_states_copies_no_more_than_these(names):
    """The old codes, and units for 32 numbers each; no float32 array of sizes or of quotients."""
    mu, nu = names
    assert temporaries(aj.with_storage(aj.adam(), mu=mu, nu=nu)) < 2.5


def temporaries(tx):
    """Bytes a parameter that a step takes besides what it is given."""
    params = jax.ShapeDtypeStruct((100_000,), jnp.float32)

    def step(params, state, grads):
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    jitted = jax.jit(step, donate_argnums=(0, 1))
    compiled = jitted.lower(params, jax.eval_shape(tx.init, params), params).compile()
    return compiled.memory_analysis().temp_size_in_bytes / params.size


LARGE = 2**15
MAGNITUDES = (0.0, 1e-45, 1e-38, 1e-30, 1e-22, 1e-15, 1.0, 1e15, 1e19, 1e30, 3.4e38)


def numbers(magnitude):
    """Large enough for the norm's choice between two ways, uneven in size."""
    draws = np.random.default_rng(0).uniform(-1, 1, LARGE)
    return (draws * magnitude).astype(np.float32)


@pytest.mark.parametrize("magnitude", MAGNITUDES)
def test_norms_of_large_arrays(magnitude):
    x = numbers(magnitude)
    x[np.abs(x) < np.finfo(np.float32).tiny] = 0  # XLA may take such numbers for 0
    exact = np.sqrt(np.sum(x.astype(np.float64) ** 2))
    rms = exact / np.sqrt(LARGE)
    largest = np.finfo(np.float32).max
    np.testing.assert_allclose(jax.jit(numerics.norm)(x), min(exact, largest), rtol=1e-5)
    np.testing.assert_allclose(jax.jit(numerics.rms)(x), rms, rtol=1e-5)
    both = jax.vmap(numerics.norm)(jnp.stack([x, jnp.ones_like(x)]))
    np.testing.assert_allclose(both, [min(exact, largest), LARGE**0.5], rtol=1e-5)


@pytest.mark.parametrize("magnitude", [0.0, 1e-30, 1.0, 1e30])
def test_derivatives_of_a_large_norm(magnitude):
    x = jnp.asarray(numbers(magnitude))
    unit_vector = np.nan_to_num(x / np.linalg.norm(np.asarray(x, np.float64)))
    for derivative in (jax.grad(numerics.norm)(x), jax.vmap(jax.grad(numerics.norm))(x[None])[0]):
        np.testing.assert_allclose(derivative, unit_vector, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_large_norm_hides_nothing(bad):
    x = jnp.asarray(numbers(1.0)).at[7].set(bad)
    assert not jnp.isfinite(numerics.norm(x))


@pytest.mark.parametrize("p_magnitude", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("u_magnitude", MAGNITUDES[2:])
def test_trust_ratio_of_large_arrays(p_magnitude, u_magnitude):
    """LARS in float64, whatever the magnitudes of the two arrays are."""
    p, u = numbers(p_magnitude), numbers(u_magnitude)[::-1]
    tx = aj.scale_by_trust_ratio(0.001, weight_decay=0.01)
    updates, _ = tx.update(jnp.asarray(u), tx.init(jnp.asarray(p)), jnp.asarray(p))
    wide_p, wide_u = p.astype(np.float64), u.astype(np.float64)
    length = np.linalg.norm(wide_p)
    below = np.linalg.norm(wide_u) + 0.01 * length
    expected = 0.001 * length * (wide_u + 0.01 * wide_p) / below
    np.testing.assert_allclose(updates, expected, rtol=1e-4, atol=1e-6 * np.abs(expected).max())
