"""Float32 numbers as a bfloat16 and the bits that it lacks."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from adaptive_jax.storage.rounding import as_bits, random_bits
from adaptive_jax.typing import Scalar

_LARGEST = 0x7F7FFFFF - 0x8000  # above, a float32 rounds to a bfloat16 of infinity


class Split(NamedTuple):
    """The nearest bfloat16, and the correction: int16 or int8, in units of bits of a float32.

    Attributes:
      high: bfloat16.
      correction: in the same shape, what `merge` adds to it.
    """

    high: jax.Array
    correction: jax.Array


def split(x: jax.Array, bits: int, count: Scalar, salt: int = 0) -> Split:
    r"""Splits float32 numbers into bfloat16 and `bits` more, 16 or 8.

    .. math::
        bits(x) = 2^{16}\, bits(high) + correction, \qquad -2^{15} \le correction < 2^{15}

    where bits are those of the type, read as an integer; halves are rounded away from 0. With 16
    bits all of the number is kept. With 8 it is first rounded to 16 significant bits,
    stochastically with `count` and `salt` as in `stochastic_round`, and the correction is in
    units of :math:`2^8`. Numbers above 3.396e38 become that one; NaN and infinity stay.

    Args:
      x: float32, of any shape.
      bits: of the correction, 16 or 8.
      count, salt: of no effect with 16 bits.

    Reference: Ortiz et al. 2026, arXiv 2602.23349, for 8 bits, which it rounds to nearest.

    >>> high, correction = split(jnp.array([3.14159265]), bits=16, count=0)
    >>> print(high, correction)
    [3.14062] [4059]
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
    """The float32 numbers that were split.

    Args:
      high, correction: as `split` returns them; the correction's type tells how many bits it has.

    >>> print(merge(*split(jnp.array([3.14159265]), bits=16, count=0)))
    [3.1415927]
    """
    dropped = 16 - 8 * correction.dtype.itemsize
    pattern = jax.lax.bitcast_convert_type(high, jnp.uint16).astype(jnp.uint32) << 16
    lacking = (correction.astype(jnp.int32) << dropped).astype(jnp.uint32)
    return jax.lax.bitcast_convert_type(pattern + lacking, jnp.float32)
