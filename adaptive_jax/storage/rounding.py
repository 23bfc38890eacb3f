"""Stochastic rounding without a PRNG key: the random numbers depend on index and step only."""

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from adaptive_jax import numerics
from adaptive_jax.typing import Scalar

_GOLDEN = 0x9E3779B9  # 2^32 over the golden ratio, odd: it spreads neighboring indices far apart


def stochastic_round(x: jax.Array, dtype: DTypeLike, count: Scalar, salt: int = 0) -> jax.Array:
    r"""Rounds at random to one of the two neighbors in `dtype`, with the expected value `x`.

    .. math::
        P(\text{up}) = \frac{x - down}{up - down}

    A sum of many small changes is therefore right on average, where rounding to nearest would lose
    every one of them. A finite number too large for `dtype` becomes its largest number. NaN and
    infinity do not change.

    Args:
      x: float32.
      dtype: bfloat16, float16 or an 8-bit float.
      count: the step, any int32. The result depends on `x`, the number's index in the array,
        `count` and `salt` only. It is the same under `jit`, `vmap` (for each member) and any
        sharding.
      salt: any int. Arrays that are rounded at the same step need different salts. Default 0.

    >>> x = jnp.full(10000, 1 + 0.25 * 2**-7)  # a quarter of the way from 1 to the next bfloat16
    >>> rounded = stochastic_round(x, jnp.bfloat16, count=0)
    >>> print(jnp.unique(rounded), jnp.mean(rounded > 1).round(2))
    [1 1.00781] 0.25
    """
    if jnp.dtype(dtype) == jnp.bfloat16:
        return _to_bfloat16(x, random_bits(x.shape, count, salt))
    bits = narrow_bits(x, dtype, uniform(x.shape, count, salt))
    rounded = jax.lax.bitcast_convert_type(bits, dtype)
    return jnp.where(jnp.isfinite(x), rounded, x.astype(dtype))


def random_bits(shape: tuple[int, ...], count: Scalar, salt: int = 0) -> jax.Array:
    """Returns random uint32 numbers that depend on the index, `count` and `salt`.

    They are a hash of the index within the whole array. The index is built from iotas, so every
    device computes its own part.

    Reference: the mixing function is Wellons's "lowbias32" (2018, nullprogram.com/blog/2018/07/31),
    a finalizer of the form of MurmurHash3's with constants found by search.
    """
    index = jnp.zeros(shape, jnp.uint32)
    stride = 1
    for axis in reversed(range(len(shape))):
        along = jax.lax.broadcasted_iota(jnp.uint32, shape, axis)
        index += along * jnp.uint32(stride * _GOLDEN % 2**32)
        stride *= shape[axis]
    step = jnp.asarray(count, jnp.int32).astype(jnp.uint32)
    return _mix(index + _mix(step + _mix(jnp.uint32(salt % 2**32))))


def _mix(x):
    x = (x ^ (x >> 16)) * jnp.uint32(0x7FEB352D)
    x = (x ^ (x >> 15)) * jnp.uint32(0x846CA68B)
    return x ^ (x >> 16)


def uniform(shape: tuple[int, ...], count: Scalar, salt: int = 0) -> jax.Array:
    """Returns float32 numbers in [0, 1), multiples of 2^-24, from `random_bits`."""
    bits = random_bits(shape, count, salt) >> 8
    return bits.astype(jnp.int32).astype(jnp.float32) * 2.0**-24


def _to_bfloat16(x, bits):
    """Rounds by integer addition: a bfloat16 is the upper half of a float32.

    The random number is added to the lower half, and the sum may carry over to the upper half.
    """
    x = numerics.saturate(x, float(jnp.finfo(jnp.bfloat16).max))
    carried = as_bits(x) + (bits >> 16)
    upper = (carried >> 16).astype(jnp.uint16)
    rounded = jax.lax.bitcast_convert_type(upper, jnp.bfloat16)
    return jnp.where(jnp.isfinite(x), rounded, x.astype(jnp.bfloat16))


def narrow_bits(x: jax.Array, dtype: DTypeLike, threshold: jax.Array | float) -> jax.Array:
    """Returns the bits of finite numbers in a dtype that has fewer exponents than float32.

    A magnitude is rounded up if it lies further than the fraction `threshold` of the way from one
    neighbor to the next: 0.5 rounds to nearest, uniform random numbers round stochastically. The
    bits are assembled as integers, because XLA's conversion to 8-bit floats is slow on processors
    without them.
    """
    info = jnp.finfo(dtype)
    size = jnp.minimum(jnp.abs(x), float(info.max))
    least = 127 + info.minexp
    exponent = jnp.maximum(exponent_field(size), jnp.uint32(least))
    # Multiplying by the inverse is equally exact, and XLA fuses it, unlike a division, with the
    # operations that follow.
    quanta = size * power_of_two(jnp.uint32(254 + info.nmant) - exponent)
    whole = jnp.floor(quanta)
    up = quanta - whole > threshold
    # A significand that rounds up to the next power of two carries over to the exponent, as it
    # should.
    significand = whole.astype(jnp.int32) + up.astype(jnp.int32)
    magnitude = ((exponent - least) << info.nmant) + significand.astype(jnp.uint32)
    sign = (as_bits(x) >> 31) << (info.bits - 1)
    return (sign | magnitude).astype(f"uint{info.bits}")


def from_narrow_bits(bits: jax.Array, dtype: DTypeLike) -> jax.Array:
    """Returns the finite float32 numbers that `narrow_bits` encoded."""
    info = jnp.finfo(dtype)
    magnitude = bits.astype(jnp.uint32) & (2 ** (info.bits - 1) - 1)
    exponent, fraction = magnitude >> info.nmant, magnitude & (2**info.nmant - 1)
    normal = exponent > 0
    significand = jnp.where(normal, fraction + 2**info.nmant, fraction).astype(jnp.int32)
    quantum = jnp.maximum(exponent, 1) + jnp.uint32(126 + info.minexp - info.nmant)
    size = significand.astype(jnp.float32) * power_of_two(quantum)
    return jnp.where((bits >> (info.bits - 1)) > 0, -size, size)


# Float32 numbers as bits: a sign, eight of a biased exponent, 23 of a fraction.


def as_bits(x: jax.Array) -> jax.Array:
    """Returns the 32 bits of each number, as uint32."""
    return jax.lax.bitcast_convert_type(x, jnp.uint32)


def exponent_field(x: jax.Array) -> jax.Array:
    """Returns the biased exponent: e for |x| in [2^(e-127), 2^(e-126)), 255 for NaN or infinity."""
    return (as_bits(x) >> 23) & 255


def power_of_two(exponent: jax.Array) -> jax.Array:
    """Returns 2^(e-127) for a biased exponent e in [1, 254], 0 for 0, and NaN for 255."""
    fraction = jnp.where(exponent == 255, jnp.uint32(1 << 22), jnp.uint32(0))
    return jax.lax.bitcast_convert_type((exponent << 23) | fraction, jnp.float32)
