"""Parameters in 16 bits: every bit and every step is accounted for."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptive_jax as aj
from tests.test_with_storage import noise, walk


def all_magnitudes(n, seed=0):
    """Random bits of float32 numbers, NaN and infinity among them."""
    bits = np.random.default_rng(seed).integers(0, 2**32, n, dtype=np.uint32)
    return jnp.asarray(bits.view(np.float32))


def bits_of(x):
    return np.asarray(jax.lax.bitcast_convert_type(x, jnp.uint32))


def test_sixteen_bits_keep_every_bit():
    x = jnp.concatenate([all_magnitudes(200_000), jnp.array([0.0, -0.0, jnp.inf, 3.4e38])])
    params, correction = jax.jit(aj.split_params)(x)
    merged = jax.jit(aj.merge_params)(params, correction)
    kept = np.abs(np.asarray(x)) < 3.396e38
    np.testing.assert_array_equal(bits_of(merged)[kept], bits_of(x)[kept])
    np.testing.assert_array_equal(np.isnan(merged), np.isnan(x))
    np.testing.assert_array_equal(np.isinf(merged), np.isinf(x))
    assert np.isfinite(np.asarray(params, np.float32)[np.isfinite(x)]).all()
    apart = np.asarray(params)[kept] != np.asarray(x.astype(jnp.bfloat16))[kept]
    assert apart.mean() < 1e-4  # exact halves alone
    assert correction.dtype == jnp.int16


def test_eight_bits_keep_sixteen_of_the_significant_ones_and_the_mean():
    x = all_magnitudes(200_000)
    x = x[jnp.abs(x) < 3e38]
    x = x[jnp.abs(x) > 1e-37]
    params, correction = jax.jit(lambda x: aj.split_params(x, bits=8))(x)
    assert correction.dtype == jnp.int8
    error = aj.merge_params(params, correction) / x - 1
    assert jnp.max(jnp.abs(error)) < 2.0**-15
    assert abs(jnp.mean(error)) < 5 * 2.0**-15 / np.sqrt(x.size)
    one = jnp.full(1, 1 + 2.0**-17)
    merged = jax.vmap(lambda n: aj.merge_params(*aj.split_params(one, 8, n)))(jnp.arange(400))
    np.testing.assert_array_equal(np.unique(merged), [1.0, 1 + 2.0**-15])
    assert 0.15 < np.mean(merged > 1) < 0.35


@pytest.mark.relaxed
@pytest.mark.parametrize("bits", [16, 8])
@pytest.mark.parametrize("change", ["small", "as large", "sign", "any"])
def test_updates_land_exactly_on_the_new_parameter(bits, change):
    """`optax.apply_updates` adds in float32; what it rounds to is what the correction is for."""
    rng = np.random.default_rng(0)
    start = all_magnitudes(50_000)
    start = start[jnp.isfinite(start)]
    size = {"small": 1e-3, "as large": 1.0, "sign": -2.0, "any": 1.0}[change]
    move = size * start * jnp.asarray(rng.normal(size=start.shape), jnp.float32)
    if change == "any":
        move = jnp.asarray(rng.permutation(np.asarray(start)))
    move = jnp.clip(move, -3e38, 3e38)
    params, correction = jax.jit(lambda x: aj.split_params(x, bits))(start)
    weights = aj.merge_params(params, correction)
    tx = aj.with_master_weights(optax.identity(), bits)
    state = tx.init(params)._replace(correction=correction)
    updates, state = jax.jit(tx.update)(move, state, params)
    new = optax.apply_updates(params, updates)
    assert new.dtype == jnp.bfloat16
    found = np.asarray(aj.merge_params(new, state.correction), np.float64)
    limit = 3.3961e38
    exact = np.clip(np.asarray(weights, np.float64) + np.asarray(move, np.float64), -limit, limit)
    safe = (np.abs(weights) < 1e38) & (np.abs(exact) < 1e38)
    scale = np.maximum(np.abs(np.asarray(params, np.float64)), np.abs(exact))
    precision = 2.0**-23 if bits == 16 else 2.0**-15
    assert np.isfinite(found).all()
    assert (np.abs(found - exact) <= precision * scale + 2.4e-38)[safe].all()


@pytest.mark.relaxed
@pytest.mark.parametrize("bits", [16, 8])
def test_master_weights_train_as_float32(bits):
    """The path of the float32 weights, bit for bit, where the optimizer's rate is small."""
    start, grads = jnp.linspace(-1, 1, 512), noise(200, 512)
    params = {"w": start.astype(jnp.bfloat16), "s": jnp.float32(2.0)}
    wide = jax.tree.map(lambda p: p.astype(jnp.float32), params)
    both = {"w": grads, "s": grads[:, 0]}
    tx = aj.adamw(1e-4, weight_decay=0.1)
    expected, inner = walk(tx, wide, both)
    new, state = walk(aj.with_master_weights(tx, bits), params, both)
    merged = aj.merge_params(new, state.correction)
    assert new["w"].dtype == jnp.bfloat16 and new["s"].dtype == jnp.float32
    assert state.correction["s"] is None
    assert int(state.rounding_step) == 200
    if bits == 16:
        jax.tree.map(np.testing.assert_array_equal, merged, expected)
        jax.tree.map(np.testing.assert_array_equal, state.inner, inner)
        np.testing.assert_array_equal(new["w"], expected["w"].astype(jnp.bfloat16))
    moved = np.abs(np.asarray(expected["w"] - start)).mean()
    lost = np.asarray(new["w"], np.float32) - np.asarray(expected["w"])
    assert np.abs(np.asarray(merged["w"] - expected["w"])).mean() < 0.05 * moved
    assert np.abs(lost).max() < 2.0**-8
    alone, _ = walk(tx, params, both)  # the control: without corrections most steps are lost
    off = np.abs(np.asarray(alone["w"], np.float32) - np.asarray(expected["w"])).mean()
    assert off > 10 * np.abs(np.asarray(merged["w"] - expected["w"])).mean()


def test_master_weights_need_parameters_and_keep_types():
    tx = aj.with_master_weights(aj.adam())
    params = {"w": jnp.ones(3, jnp.bfloat16), "h": jnp.ones(3, jnp.float16)}
    state = tx.init(params)
    assert jax.eval_shape(tx.init, params) == jax.eval_shape(lambda: state)
    _, after = tx.update(params, state, params)
    assert jax.eval_shape(lambda: after) == jax.eval_shape(lambda: state)
    with pytest.raises(ValueError, match=r"update\(gradients, state, params\)"):
        tx.update(params, state)
    with pytest.raises(ValueError, match=r"has nothing at \['h'\]"):
        tx.update({"w": params["w"]}, state, params)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_stochastic_updates_move_where_rounding_to_nearest_stands_still(dtype):
    params = {"half": jnp.ones(1000, dtype), "full": jnp.ones(3)}
    updates = {"half": jnp.full(1000, 1e-4), "full": jnp.full(3, 1e-4)}
    add = jax.jit(aj.apply_updates)
    for count in range(500):
        params = add(params, updates, count)
    assert params["half"].dtype == dtype and params["full"].dtype == jnp.float32
    np.testing.assert_allclose(params["full"], 1.05, rtol=1e-5)
    assert abs(jnp.mean(params["half"].astype(jnp.float32)) - 1.05) < 3e-3
    stuck = jnp.ones((), dtype) + jnp.asarray(1e-4, dtype)
    assert stuck == 1


def test_stochastic_updates_of_complex_and_wide_parameters_are_plain():
    with jax.enable_x64(True):
        params = {"z": jnp.array([1 + 2j], jnp.complex64), "d": jnp.ones(2, jnp.float64)}
        new = aj.apply_updates(params, params, count=0)
    assert new["z"].dtype == jnp.complex64 and new["d"].dtype == jnp.float64
    np.testing.assert_array_equal(new["z"], [2 + 4j])
    np.testing.assert_array_equal(new["d"], [2, 2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: aj.split_params(jnp.ones(2), 4), "bits must be 16 .* or 8, got 4"),
        (lambda: aj.with_master_weights(aj.adam(), 32), "got 32"),
        (
            lambda: aj.apply_updates({"a": jnp.ones(2)}, {"a": jnp.ones(3)}, 0),
            r"shapes differ at \['a'\]",
        ),
    ],
)
def test_arguments_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()
