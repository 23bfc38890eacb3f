"""Float32 numbers split into a bfloat16 and the remaining bits."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from adaptive_jax.storage.rounding import as_bits, random_bits
from adaptive_jax.typing import Scalar

_LARGEST = 0x7F7FFFFF - 0x8000  # larger float32 numbers round to infinity in bfloat16


class Split(NamedTuple):
    """The nearest bfloat16 numbers, and corrections to them.

    Attributes:
      high: bfloat16.
      correction: int16 or int8, in the same shape; `merge` adds it to the bits of `high`.
    """

    high: jax.Array
    correction: jax.Array


def split(x: jax.Array, bits: int, count: Scalar, salt: int = 0) -> Split:
    r"""Splits float32 numbers into bfloat16 numbers and 16 or 8 more bits.

    .. math::
        bits(x) = 2^{16}\, bits(high) + correction, \qquad -2^{15} \le correction < 2^{15}

    where :math:`bits(x)` is the binary representation of x, read as an integer. Ties are rounded
    away from 0. With 16 bits, the whole number is kept. With 8 bits, the number is first rounded to
    16 significant bits, stochastically as in `stochastic_round`, and the correction is in units of
    :math:`2^8`. Numbers above 3.396e38 become 3.396e38. NaN and infinity do not change.

    Args:
      x: float32, of any shape.
      bits: the number of bits of the correction, 16 or 8.
      count, salt: as in `stochastic_round`; they have no effect with 16 bits.

    Reference: Ortiz et al. 2026, arXiv 2602.23349, for 8 bits; the paper rounds to nearest.

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
    # The unsigned difference wraps around; read as int32, it is the signed difference.
    lacking = (magnitude - (high << 16)).astype(jnp.int32) >> dropped
    signed = (((as_bits(x) >> 31) << 15) | high).astype(jnp.uint16)
    nearest = jax.lax.bitcast_convert_type(signed, jnp.bfloat16)
    finite = jnp.isfinite(x)
    return Split(
        jnp.where(finite, nearest, x.astype(jnp.bfloat16)),
        jnp.where(finite, lacking, 0).astype(f"int{bits}"),
    )


def merge(high: jax.Array, correction: jax.Array) -> jax.Array:
    """Returns the float32 numbers that were split.

    Args:
      high, correction: the result of `split`; the dtype of `correction` gives the number of bits.

    >>> print(merge(*split(jnp.array([3.14159265]), bits=16, count=0)))
    [3.1415927]
    """
    dropped = 16 - 8 * correction.dtype.itemsize
    pattern = jax.lax.bitcast_convert_type(high, jnp.uint16).astype(jnp.uint32) << 16
    lacking = (correction.astype(jnp.int32) << dropped).astype(jnp.uint32)
    return jax.lax.bitcast_convert_type(pattern + lacking, jnp.float32)
