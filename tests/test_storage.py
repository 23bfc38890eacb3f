"""Codecs against all codes there are, and their rounding over many draws."""

import dataclasses
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import adaptive_jax as aj
from adaptive_jax.storage import CODECS, Blocks, Float8Blocks, RootBlocks
from adaptive_jax.storage.rounding import random_bits

BLOCKS = {name: c for name, c in CODECS.items() if isinstance(c, (RootBlocks, Float8Blocks))}
every_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
every_block_codec = pytest.mark.parametrize("codec", BLOCKS.values(), ids=BLOCKS)


def nearest(codec):
    return dataclasses.replace(codec, rounding="nearest")


def moments(codec, *shape, seed=0):
    """Numbers over three decades, as a codec takes them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape) * np.exp(2 * rng.normal(size=shape))
    return jnp.asarray(x**2 if codec.signed is False else x, jnp.float32)


@functools.partial(jax.jit, static_argnums=0)
def encode(codec, x, count=0):
    return codec.encode(x, count)


@functools.partial(jax.jit, static_argnums=0)
def decode(codec, stored):
    return codec.decode(stored)


def round_trip(codec, x, count=0):
    return decode(codec, encode(codec, x, count))


# One array.


def levels(codec):
    """All numbers that a code can stand for, in units of the block."""
    if isinstance(codec, Float8Blocks):
        numbers = np.arange(256).astype(np.uint8).view(jnp.dtype(codec.dtype)).astype(np.float64)
        unit = {"float8_e4m3fn": 2.0**7, "float8_e5m2": 2.0**14}[codec.dtype]
        return np.unique(numbers[np.isfinite(numbers)] / unit)
    top = 2 ** (codec.bits - codec.signed)
    roots = np.arange(1 - top if codec.signed else 0, top) / top
    return 2 * np.sign(roots) * roots**2


@every_block_codec
def test_rounding_to_nearest_finds_the_nearest_of_all_codes(codec):
    codec = nearest(codec)
    x = np.asarray(moments(codec, 40, 64))
    stored = encode(codec, x)
    units = np.repeat(2.0 ** (np.asarray(stored.exponents, float) - 127), 32, axis=1)
    assert (np.abs(x) < 2 * units).all()
    assert (np.abs(x).reshape(40, 2, 32).max(-1) >= 0.7 * units[:, ::32]).all()
    in_units = np.asarray(x, np.float64) / units
    error = np.abs(np.asarray(decode(codec, stored), np.float64) / units - in_units)
    allowed = levels(codec)
    if codec.signed is not True:  # what is not 0 must not become 0
        allowed = allowed[allowed != 0]
    distance = np.abs(in_units[..., None] - allowed)
    if codec.signed is None:
        distance = np.where(np.sign(in_units[..., None]) == np.sign(allowed), distance, np.inf)
    np.testing.assert_allclose(error, distance.min(-1), rtol=1e-6, atol=1e-9)


@every_codec
def test_decoded_numbers_are_right_in_the_mean(codec):
    """The mean of 20000 roundings of each of 32 numbers is within 5 standard errors."""
    x = moments(codec, 1, 32)
    if codec.signed is not True:
        x = jnp.maximum(jnp.abs(x), 1e-3 * jnp.max(jnp.abs(x)))  # smaller ones are kept off 0
    draws = jax.jit(jax.vmap(lambda count: round_trip(codec, x, count)))(jnp.arange(20000))
    draws = np.asarray(draws, np.float64)[:, 0]
    error = draws.mean(0) - np.asarray(x, np.float64)[0]
    assert (np.abs(error) <= 5 * draws.std(0) / np.sqrt(len(draws)) + 1e-7 * np.abs(x[0])).all()
    assert (np.array([len(np.unique(column)) for column in draws.T]) <= 2).all()


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("value", [1.2345678, -3e-3, 400.1, 1e-6])
def test_stochastic_rounding_is_unbiased_over_places_and_over_steps(dtype, value):
    x = jnp.full(100_000, value, jnp.float32)
    places = aj.storage.stochastic_round(x, dtype, count=7)
    one = jax.jit(jax.vmap(lambda n: aj.storage.stochastic_round(x[:1], dtype, n)))
    for rounded in (places, one(jnp.arange(100_000))):
        wide = np.asarray(rounded, np.float64)
        assert len(np.unique(wide)) == 2
        spread = np.ptp(wide) / abs(value)  # 1e-6 is a subnormal of float16
        assert abs(wide.mean() / np.float32(value) - 1) < max(3e-5, 5 * spread / 2 / 316)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float8_e4m3fn, jnp.float8_e5m2])
def test_stochastic_rounding_takes_a_neighbor_and_keeps_what_is_one(dtype):
    bits = jnp.finfo(dtype).bits
    codes = np.arange(2**bits).astype(f"uint{bits}").view(jnp.dtype(dtype))
    exact = codes.astype(np.float32)
    to_dtype = jax.jit(lambda x: aj.storage.stochastic_round(x, dtype, count=3))
    kept = to_dtype(exact)
    normal = np.abs(exact) >= 1.2e-38  # the CPU takes smaller ones for 0
    np.testing.assert_array_equal(np.asarray(kept)[normal], codes[normal])
    assert np.isnan(np.asarray(kept, np.float32)[np.isnan(exact)]).all()
    info = jnp.finfo(dtype)
    beyond = jnp.array([3.4e38, -3.4e38, jnp.inf, -jnp.inf, jnp.nan], jnp.float32)
    rounded = np.asarray(to_dtype(beyond), np.float32)
    np.testing.assert_array_equal(rounded[:2], [float(info.max), -float(info.max)])
    assert not np.isfinite(rounded[2:]).any()


def test_random_bits_look_random():
    """Bytes are uniform, and places, steps and salts tell nothing of one another."""
    base = np.asarray(random_bits((64, 1024), 5, salt=9))
    for shift in (0, 8, 16, 24):
        counts = np.bincount((base.ravel() >> shift) & 255, minlength=256)
        chi2 = ((counts - 256) ** 2 / 256).sum()
        assert abs(chi2 - 255) < 5 * np.sqrt(2 * 255)
    other = [np.roll(base, 1, axis) for axis in (0, 1)]
    other += [np.asarray(random_bits((64, 1024), n, 9)) for n in (4, 6, 2**31 - 1)]
    other += [np.asarray(random_bits((64, 1024), 5, n)) for n in (0, 8, 2**32 - 1)]
    for bits in other:
        assert abs(np.corrcoef(base.ravel(), bits.ravel())[0, 1]) < 5 / 256


@every_codec
def test_encoding_what_was_decoded_changes_nothing(codec):
    """So a mean that does not move is not rounded again, while its block keeps its unit."""
    stored = encode(codec, moments(codec, 40, 64))
    again = encode(codec, decode(codec, stored), count=1)
    if codec not in BLOCKS.values():
        return np.testing.assert_array_equal(again, stored)
    kept = again.exponents == stored.exponents
    assert kept.mean() > 0.7  # the largest of the others has just fallen below half a unit
    codes = np.stack([stored.codes, again.codes]).reshape(2, *kept.shape, -1)
    np.testing.assert_array_equal(*codes[:, kept])


@every_codec
def test_every_way_to_run_it_gives_the_same_codes(codec):
    x = moments(codec, 3, 16, 256)

    def both_ways(row):
        stored = codec.encode(row, count=3, salt=5)
        return stored, codec.decode(stored)

    plain = [both_ways(row) for row in x]
    together = jax.tree.map(lambda *rows: jnp.stack(rows), *plain)

    def scan(x):
        return jax.lax.scan(lambda _, row: (None, both_ways(row)), None, x)[1]

    for way in (jax.jit(jax.vmap(both_ways)), jax.jit(scan)):
        jax.tree.map(np.testing.assert_array_equal, way(x), together)
    for kind, spec in ((AxisType.Auto, ("a", "b")), (AxisType.Explicit, ("b", "a"))):
        mesh = jax.make_mesh((2, 4), ("a", "b"), axis_types=(kind, kind))
        sharding = NamedSharding(mesh, PartitionSpec(*spec))
        with jax.set_mesh(mesh):
            row = jax.device_put(x[0], sharding)
            program = jax.jit(both_ways).lower(row).compile()
            sharded = program(row)
        assert not re.search("all-|collective-", program.as_text())
        for leaf in jax.tree.leaves(sharded):
            assert leaf.sharding.is_equivalent_to(sharding, 2)  # computed where the array is
        jax.tree.map(np.testing.assert_array_equal, jax.device_get(sharded), plain[0])


@every_codec
@pytest.mark.parametrize("shape", [(3, 33), (2, 3, 64), (1,), (4, 1), (3, 0)])
def test_every_shape(codec, shape):
    x = moments(codec, *shape)
    stored = encode(codec, x)
    decoded = decode(codec, stored)
    assert codec.made(stored) and decoded.shape == shape and decoded.dtype == jnp.float32
    step = 0.4 if codec == CODECS["int4"] else 0.2
    largest = np.abs(x).max(initial=0)
    np.testing.assert_allclose(decoded, x, rtol=step, atol=step * largest)


@every_block_codec
def test_a_slice_of_blocks_decodes_to_the_slice(codec):
    stored = jax.device_get(encode(codec, moments(codec, 40, 64)))
    columns = stored.codes.shape[1] // 2
    part = Blocks(stored.codes[20:, columns:], stored.exponents[20:, 1:])
    np.testing.assert_array_equal(decode(codec, part), decode(codec, stored)[20:, 32:])


@every_codec
def test_zero_is_zero_and_what_is_not_finite_is_seen(codec):
    zeros = jnp.zeros((40, 64))
    np.testing.assert_array_equal(round_trip(codec, zeros), zeros)
    for bad in (np.nan, np.inf):
        x = np.array(moments(codec, 512, 64))  # so large that XLA's maximum may lose NaN
        x[1, 40] = bad
        decoded = np.array(round_trip(codec, x))
        assert not np.isfinite(decoded[1, 40])
        decoded[1, 32:] = 0
        assert np.isfinite(decoded).all()


def test_unsigned_codecs_show_negative_numbers():
    x = moments(CODECS["uint8"], 64).at[3].set(-1e-6)
    decoded = round_trip(CODECS["uint8"], x)
    assert np.isnan(decoded[:32]).all() and (decoded[32:] >= 0).all()


@every_codec
@pytest.mark.parametrize("size", [1.2e-38, 1e-30, 1e30, 3.4e38])
def test_every_magnitude_keeps_its_precision(codec, size):
    """In blocks of its own: a codec is the same for numbers 2^n times as large."""
    x = np.asarray(moments(codec, 40, 64), np.float64)
    tiny = (x * (size / np.abs(x).max())).astype(np.float32)
    decoded = np.asarray(round_trip(codec, tiny), np.float64)
    assert np.isfinite(decoded).all()
    step = {"int4": 0.28, "float8_e5m2": 0.25, "float8_e4m3": 0.13}
    name = next(name for name in CODECS if CODECS[name] == codec)
    error = np.abs(decoded - np.asarray(tiny, np.float64))
    allowed = step.get(name, 0.02) * size + 1.2e-38  # below, the CPU takes numbers for 0
    assert (error <= allowed).all()


@pytest.mark.parametrize("name", ["uint8", "float8_e4m3", "float8_e5m2"])
@pytest.mark.parametrize("rounding", ["stochastic", "nearest"])
def test_rounded_second_moments_lengthen_no_step_by_more_than_two(name, rounding):
    codec = dataclasses.replace(CODECS[name], rounding=rounding)
    rng = np.random.default_rng(0)
    v = jnp.asarray(10.0 ** rng.uniform(-30, 0, (40, 64)), jnp.float32)
    decoded = round_trip(codec, v)
    assert (decoded > 0).all()
    assert np.sqrt(np.max(np.asarray(v) / np.asarray(decoded))) <= 2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RootBlocks(4, signed=False), "bits must be 8, or 4 if signed"),
        (lambda: RootBlocks(8, True, rounding="up"), "'stochastic' or 'nearest', got 'up'"),
        (lambda: Float8Blocks("float8"), "got 'float8'"),
        (lambda: aj.storage.Floats("float16"), "got 'float16'"),
    ],
)
def test_arguments_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()
