"""Building blocks of schedules, accurate to the last digits of float32 at every count.

A schedule between two values is `blend(start, end, falling, rising)`. One weight is computed from
the number of updates made and the other from the number left, both whole numbers, so neither
subtracts nearly equal numbers. Boundaries and staircases compare whole numbers, too, since
float32 does not represent every count beyond 2^24.

Steps are Python integers of any size. An optimizer's count is int32 and stops at 2^31 - 1, so a
boundary beyond that is never reached.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adaptive_jax import numerics
from adaptive_jax.typing import Scalar, Schedule

LAST_COUNT = 2**31 - 1  # where an optimizer's int32 count stops


def as_float(count: Any) -> jax.Array:
    """Returns the count in JAX's default float: float32, or float64 with `jax_enable_x64`."""
    return jnp.asarray(count, jnp.result_type(float))


def as_count(count: Any) -> jax.Array:
    """Returns the count as int32 or a float in [0, 2^31 - 1]; int64 is kept and may be larger."""
    largest = jnp.iinfo(jnp.result_type(int)).max
    if isinstance(count, int):
        count = min(count, largest)
    elif isinstance(count, (np.ndarray, np.generic)) and count.dtype.itemsize == 8:
        count = np.minimum(count, count.dtype.type(largest))
    count = jnp.asarray(count)
    if jnp.issubdtype(count.dtype, jnp.floating):
        return jnp.clip(as_float(count), 0, float(LAST_COUNT))
    if count.dtype != jnp.int64:
        count = jnp.minimum(count, min(LAST_COUNT, jnp.iinfo(count.dtype).max)).astype(jnp.int32)
    return jnp.maximum(count, 0)


def is_reachable(count: jax.Array, boundary: int) -> bool:
    """Returns True if a count of this dtype can become as large as `boundary`."""
    return boundary <= (jnp.iinfo(count.dtype).max if count.dtype == jnp.int64 else LAST_COUNT)


def left(count: jax.Array, steps: int) -> jax.Array:
    """Returns the remaining fraction of the steps, which falls from 1 to 0."""
    last = steps if is_reachable(count, steps) else LAST_COUNT
    updates = as_float(jnp.maximum(last - count, 0)) + float(steps - last)
    return updates / float(steps)


def completed(count: jax.Array, steps: int) -> jax.Array:
    """Returns the completed fraction of the steps, which rises from 0 to 1."""
    return jnp.minimum(as_float(count) / float(steps), 1)


def periods(count: jax.Array, length: int) -> tuple[jax.Array, jax.Array]:
    """Returns the number of complete periods of `length` updates, and the updates since."""
    if not is_reachable(count, length):
        return jnp.zeros_like(count), count
    return count // length, count % length


def blend(start: Scalar, end: Scalar, falling: jax.Array, rising: jax.Array) -> jax.Array:
    """Returns `start·falling + end·rising`, for weights from 1 to 0 and from 0 to 1."""
    return start * falling + end * rising


def rise(x: jax.Array) -> jax.Array:
    """Returns (1 - cos πx)/2, half a period of the cosine from 0 to 1, without a subtraction."""
    return jnp.sin(jnp.pi / 2 * x) ** 2


def geometric(rate: Scalar, count: jax.Array, period: int = 1) -> jax.Array:
    """Returns `rate^(count / period)` for a nonnegative rate; 0^0 is 1.

    The exponential of a rounded number x is off by about x units in the last place. If `rate` is a
    Python number, the exponent of 2 is therefore split into a whole number and a fraction, and
    only the fraction is rounded. The fraction of count·slope is a product of 32-bit integers, which
    wraps around at 1.
    """
    if not isinstance(rate, float):
        return jnp.exp(as_float(count) / float(period) * numerics.log(rate))
    if rate == 0:
        return jnp.where(count > 0, as_float(0.0), as_float(1.0))
    slope = math.log2(rate) / period
    in_units = round(slope * 2**32)  # the slope in units of 2^-32
    whole_count = jnp.minimum(count, LAST_COUNT).astype(jnp.int32)
    wrapped = whole_count * np.array(in_units % 2**32, np.uint32).astype(np.int32)
    rest = as_float(whole_count) * (slope - in_units / 2**32)
    # The remainder of a fractional count, or of one beyond int32.
    rest += as_float(count - whole_count.astype(count.dtype)) * slope
    fraction = as_float(wrapped) / 2.0**32 + rest
    whole = jnp.clip(jnp.round(as_float(count) * slope - fraction), -2000, 2000)
    return jnp.ldexp(jnp.exp(math.log(2) * fraction), whole.astype(jnp.int32))


def linear(start: Scalar, end: Scalar, steps: int) -> Schedule:
    """A schedule that is linear from one value to another, then constant."""

    def schedule(count):
        count = as_count(count)
        return blend(start, end, left(count, steps), completed(count, steps))

    return schedule


def cosine(start: Scalar, end: Scalar, steps: int) -> Schedule:
    """A schedule along half a cosine from one value to another, then constant."""

    def schedule(count):
        count = as_count(count)
        return blend(start, end, rise(left(count, steps)), rise(completed(count, steps)))

    return schedule


def join(schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Schedule:
    """Joins schedules that start at 0; like `optax.join_schedules`, for integers of any size."""

    def schedule(count):
        count = as_count(count)
        value = schedules[0](count)
        for boundary, after in zip(boundaries, schedules[1:], strict=True):
            if is_reachable(count, boundary):
                later = after(jnp.maximum(count - boundary, 0))
                value = jnp.where(count < boundary, value, later)
        return value

    return schedule
