"""Arithmetic that stays finite and precise for gradients of any dtype.

Every transformation computes in float32, or in float64 for float64 parameters. A finite gradient
always leads to a finite update. NaN and infinity from the caller are never hidden: they reach the
update, where `optax.apply_if_finite` or the user sees them.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import DTypeLike

from adaptive_jax.typing import Scalar, ScalarOrSchedule


def compute_dtype(x: Any) -> jnp.dtype:
    """Returns the dtype of arithmetic and state for `x`: its own dtype, but at least float32.

    >>> compute_dtype(jnp.zeros(3, jnp.bfloat16))
    dtype('float32')
    """
    dtype = jnp.result_type(x)
    return dtype if jnp.finfo(dtype).bits >= 32 else jnp.dtype(jnp.float32)


def real_dtype(x: Any) -> jnp.dtype:
    """Returns the real dtype with the precision of `compute_dtype(x)`: float32 for complex64."""
    return jnp.finfo(compute_dtype(x)).dtype


def count_zero() -> jax.Array:
    """Returns a new counter of updates: an int32 zero."""
    return jnp.zeros([], jnp.int32)


def count_next(count: jax.Array) -> jax.Array:
    """Returns `count + 1`, or `count` if that is the largest integer of its dtype."""
    return jnp.asarray(optax.safe_increment(count))


def widen(x: jax.Array) -> jax.Array:
    """Casts a hyperparameter to at least JAX's default float type, since 0.999 in bfloat16 is 1."""
    default = jnp.result_type(float)
    wide = (
        jnp.issubdtype(x.dtype, jnp.floating) and jnp.finfo(x.dtype).bits >= jnp.finfo(default).bits
    )
    return x if wide else x.astype(default)


def constant(value: Scalar, dtype: DTypeLike) -> np.ndarray | jax.Array:
    """Casts a hyperparameter to the dtype of the arithmetic.

    A Python number becomes a NumPy array, which traces faster than a JAX array. For the same
    reason, functions that run on every leaf of a tree call `jax.lax` instead of array operators.
    """
    return np.asarray(value, dtype) if isinstance(value, float) else jnp.asarray(value, dtype)


def at_step(value: ScalarOrSchedule, count: jax.Array | None) -> Scalar:
    """Returns the value of a hyperparameter after `count` updates; a number is returned as is."""
    return widen(jnp.asarray(value(count))) if callable(value) else value


def saturate(
    x: jax.Array, limit: float | None = None, source: jax.Array | None = None
) -> jax.Array:
    """Clips `x` to `[-limit, limit]` wherever `source` (by default `x`) is finite.

    An overflow in our arithmetic becomes the largest number, whereas infinity and NaN from the
    caller stay what they are. Complex numbers are clipped by component.
    """
    if jnp.iscomplexobj(x):
        source = x if source is None else source
        return jax.lax.complex(
            saturate(x.real, limit, jnp.real(source)), saturate(x.imag, limit, jnp.imag(source))
        )
    lowest, largest = _limits(x.dtype, limit)
    finite = jax.lax.is_finite(x if source is None else source)
    return jax.lax.select(finite, jax.lax.clamp(lowest, x, largest), x)


# The cached functions of this module save a Python call for every array of a tree, which counts
# when hundreds of small arrays are traced or updated eagerly.
@functools.cache
def _limits(dtype, limit):
    largest = np.asarray(float(jnp.finfo(dtype).max) if limit is None else limit, dtype)
    return -largest, largest


def cast(x: jax.Array, dtype: DTypeLike) -> jax.Array:
    """Casts to `dtype`; a finite value that is too large becomes the dtype's largest number."""
    if x.dtype == dtype:
        return x
    if jnp.finfo(dtype).max < jnp.finfo(x.dtype).max:
        x = saturate(x, float(jnp.finfo(dtype).max))
    return x.astype(dtype)


def squarable(grad: jax.Array, square: jax.Array) -> jax.Array:
    """Casts the gradient to the precision of `square`, clipped so that its square is finite.

    Magnitudes are clipped to 2^60 in float32 and 2^508 in float64. An adaptive method divides by
    the root of the squares, so a gradient of 2^60 gives the same step as the largest number.
    """
    real = square.dtype
    dtype = f"complex{2 * jnp.finfo(real).bits}" if jnp.iscomplexobj(grad) else real
    return saturate(jnp.asarray(grad, dtype), largest_squarable(real))


@functools.cache
def largest_squarable(real_dtype: DTypeLike) -> float:
    """Returns 2^60 for float32 and 2^508 for float64: a sum of 128 such squares is finite."""
    return 2.0 ** (jnp.finfo(real_dtype).maxexp // 2 - 4)


def abs_square(x: jax.Array) -> jax.Array:
    """Returns `|x|²` as a real array."""
    return x.real**2 + x.imag**2 if jnp.iscomplexobj(x) else jax.lax.mul(x, x)


def add_square(total: jax.Array, x: jax.Array) -> jax.Array:
    """Returns `total + |x|²`, or the largest number where that would overflow."""
    # The addition comes last: XLA would copy the old total for a minimum of the sum.
    return total + jnp.minimum(abs_square(x), jnp.finfo(total.dtype).max - total)


def largest(x: jax.Array, axis: tuple[int, ...] | None = None) -> jax.Array:
    """Returns the largest magnitude in `x`, or 0 if `x` is empty.

    For complex numbers it is the largest magnitude of a real or imaginary part. If `axis` is given,
    the maximum is taken along these axes, which are kept with size 1.
    """
    size = jnp.maximum(jnp.abs(x.real), jnp.abs(x.imag)) if jnp.iscomplexobj(x) else jnp.abs(x)
    return jnp.max(size, axis, keepdims=axis is not None, initial=0.0)


def unit_of(size: jax.Array) -> jax.Array:
    """Returns the unit to divide by so that the squares of numbers up to `size` are finite.

    It is a constant to derivatives, because the choice of a unit does not change the result. The
    unit for 0 is 1: XLA rewrites x / y / unit as x / (y·unit) and x / unit as x·(1 / unit), and
    neither y·unit nor 1 / unit may underflow.
    """
    info = jnp.finfo(size.dtype)
    largest = jnp.where(jnp.isinf(size), size, float(info.max) / 8)
    unit = jnp.where(size == 0, 1, jnp.clip(size, info.tiny, largest))
    return jax.lax.stop_gradient(unit)


def norm(x: jax.Array) -> jax.Array:
    """Returns `‖x‖`, at most the largest number; no square overflows or underflows.

    Its derivative at 0 is 0.
    """
    unit, in_units = norm_in_units(x)
    return saturate(unit * in_units, source=unit)


def rms(x: jax.Array) -> jax.Array:
    """Returns `√mean(|x|²)`, computed as safely as `norm`; 0 for an empty array."""
    unit, in_units = norm_in_units(x)
    return unit * (in_units / math.sqrt(max(x.size, 1)))


def norm_in_units(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns a unit for the numbers in `x`, and `‖x‖` in that unit; their product may overflow.

    Dividing by the largest number first is always precise. The plain sum of the squares takes one
    pass over `x` and a quarter of the time, so the unit is 1 where that sum is precise. The branch
    takes long to compile and saves nothing for small arrays, which therefore always divide first.
    """
    if x.size < 2**14:
        return _in_largest(x)
    squares = jnp.sum(abs_square(x))
    info = jnp.finfo(squares.dtype)
    lowest = float(info.tiny) * max(x.size, 1) / float(info.eps)  # squares below tiny are lost
    precise = (squares >= lowest) & (squares <= info.max)
    in_ones = jnp.ones_like(squares), root(squares)
    return jax.lax.cond(precise, _first, _of_second, in_ones, x)


def _first(in_ones, x):
    return in_ones


def _of_second(in_ones, x):
    return _in_largest(x)


def _in_largest(x):
    size = largest(x)
    unit = unit_of(size)
    in_units = root(jnp.sum(abs_square(x / unit.astype(x.dtype))))
    return unit, jnp.where(size == 0, 0, in_units)


def part_of_way(fraction: jax.Array, start: jax.Array, end: jax.Array) -> jax.Array:
    """Returns `fraction·(end − start)` for a fraction in [0, 1]; the difference may overflow."""
    half = constant(0.5, start.dtype)  # halving is exact except for subnormal numbers
    return 2 * (fraction.astype(start.dtype) * (half * end - half * start))


def ema(old: jax.Array, new: jax.Array, decay: Scalar) -> jax.Array:
    """Returns `decay·old + (1 − decay)·new` in the dtype of `old`."""
    return weighted(old, new, constant(decay, old.dtype), constant(1 - decay, old.dtype))


def weighted(
    old: jax.Array, new: jax.Array, keep: np.ndarray | jax.Array, take: np.ndarray | jax.Array
) -> jax.Array:
    """Returns `keep·old + take·new` in the dtype of `old`."""
    new = new if new.dtype == old.dtype else new.astype(old.dtype)
    return jax.lax.add(jax.lax.mul(old, keep), jax.lax.mul(new, take))


def root(x: jax.Array) -> jax.Array:
    """Returns `√x` for `x ≥ 0`, with a floor that keeps `1/√x` and its derivative finite at 0.

    The floor is the root of the smallest normal number, 1e-19 in float32. A gradient whose square
    underflows is smaller than the floor, so its ratio to the floor is below 1.
    """
    return jax.lax.sqrt(jax.lax.max(x, jnp.finfo(x.dtype).tiny))


def inverse(x: jax.Array) -> jax.Array:
    """Returns `1 / x` for `x ≥ 0`, with the floor of `root`: finite at 0, like its derivative."""
    return 1 / jnp.maximum(x, math.sqrt(jnp.finfo(x.dtype).tiny))


def inverse_root(x: jax.Array, eps: Scalar, eps_root: Scalar) -> jax.Array:
    """Returns `1 / (√(x + eps_root) + eps)`, which is finite even if all three are 0."""
    # Next to the floor of `root`, a tiny eps has the same effect as 0. XLA would replace
    # 1/(√x + 0) by another operation, whose last digits differ from those for a traced eps.
    tiny = float(jnp.finfo(x.dtype).tiny)
    known = isinstance(eps, float)
    added = constant(max(eps, tiny) if known else eps, x.dtype)
    if not (isinstance(eps_root, float) and eps_root == 0):
        x = x + constant(eps_root, x.dtype)
    below = jax.lax.add(root(x), added if known else jax.lax.max(added, x.dtype.type(tiny)))
    return jax.lax.div(x.dtype.type(1), below)


def power(x: jax.Array, exponent: Scalar) -> jax.Array:
    """Returns `x^exponent` for `x ≥ 0`; for an exponent of 1/2, the more precise root."""
    exponent = jnp.asarray(exponent, x.dtype)
    # XLA takes the root by itself if the exponent is a constant, but not if it comes from a state.
    # For a constant 2 it takes a product. Without the maximum it would fuse that product with a
    # following addition, which rounds once instead of twice.
    half = jnp.where(x > 0, root(x), x)
    return jnp.maximum(jnp.where(exponent == 0.5, half, x**exponent), 0)


def bias_correction(decay: Scalar, count: jax.Array) -> jax.Array:
    """Returns `1 − decay^count`, accurate to the last digits even if `decay` is near 1.

    It is computed as `−expm1(count·log(decay))`. If `decay` is a Python number, the logarithm is
    taken in double precision.
    """
    dtype = jnp.result_type(float)
    return -jnp.expm1(count.astype(dtype) * jnp.asarray(log(decay), dtype))


def log(x: Scalar) -> Scalar:
    """Returns the natural logarithm of `x ≥ 0`, in double precision if `x` is a Python number."""
    if isinstance(x, jax.Array):
        return jnp.log(x)
    return math.log(x) if x > 0 else -math.inf
