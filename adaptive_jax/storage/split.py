"""Float32 numbers as a bfloat16 and the bits that it lacks."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from adaptive_jax.storage.rounding import as_bits, random_bits
from adaptive_jax.typing import Scalar

_LARGEST = 0x7F7FFFFF - 0x8000  # above, a float32 rounds to a bfloat16 of infinity


class Split(NamedTuple):
    """The nearest bfloat16, and the correction: int16 or int8, in units of bits of a float32."""

    high: jax.Array
    correction: jax.Array


def split(x: jax.Array, bits: int, count: Scalar, salt: int = 0) -> Split:
    """Splits float32 numbers into bfloat16 and `bits` more, 16 or 8.

    The bits of a float32, read as an integer, are 2^16 times those of its bfloat16 plus the
    correction, which is in [-2^15, 2^15) as halves are rounded away from 0. With 16 bits all of
    the number is kept. With 8 it is first rounded to 16 significant bits, stochastically with
    `count` and `salt` as in `stochastic_round`. Numbers above 3.396e38 become that one; NaN and
    infinity stay.
    """
    dropped = 16 - bits
    magnitude = as_bits(x) & 0x7FFFFFFF
    if dropped:
        up = random_bits(x.shape, count, salt) >> (32 - dropped)
        magnitude = ((magnitude + up) >> dropped) << dropped
    magnitude = jnp.minimum(magnitude, (_LARGEST >> dropped) << dropped)
    high = (magnitude + 0x8000) >> 16
    # The difference of unsigned integers wraps to that of signed ones.
    lacking = (magnitude - (high << 16)).astype(jnp.int32) >> dropped
    signed = (((as_bits(x) >> 31) << 15) | high).astype(jnp.uint16)
    nearest = jax.lax.bitcast_convert_type(signed, jnp.bfloat16)
    finite = jnp.isfinite(x)
    return Split(
        jnp.where(finite, nearest, x.astype(jnp.bfloat16)),
        jnp.where(finite, lacking, 0).astype(f"int{bits}"),
    )


def merge(high: jax.Array, correction: jax.Array) -> jax.Array:
    """The float32 numbers that were split."""
    dropped = 16 - 8 * correction.dtype.itemsize
    pattern = jax.lax.bitcast_convert_type(high, jnp.uint16).astype(jnp.uint32) << 16
    lacking = (correction.astype(jnp.int32) << dropped).astype(jnp.uint32)
    return jax.lax.bitcast_convert_type(pattern + lacking, jnp.float32)
