"""Arithmetic that stays finite and keeps its precision, whatever the gradient's dtype.

Every transform computes in float32, or in float64 for float64 parameters, and every value that
a finite gradient leads to is finite. NaN and infinity that the caller passes in are never
hidden: they reach the update, where `optax.apply_if_finite` or the user sees them.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import DTypeLike

from adaptive_jax.typing import Scalar, ScalarOrSchedule


def compute_dtype(x: Any) -> jnp.dtype:
    """The dtype of arithmetic and state for `x`: its own, but float32 at least.

    >>> compute_dtype(jnp.zeros(3, jnp.bfloat16))
    dtype('float32')
    """
    dtype = jnp.result_type(x)
    return dtype if jnp.finfo(dtype).bits >= 32 else jnp.dtype(jnp.float32)


def real_dtype(x: Any) -> jnp.dtype:
    """The real dtype with the precision of `compute_dtype(x)`: float32 for complex64."""
    return jnp.finfo(compute_dtype(x)).dtype


def count_zero() -> jax.Array:
    """A counter of updates, int32."""
    return jnp.zeros([], jnp.int32)


def count_next(count: jax.Array) -> jax.Array:
    """One update more; at the largest integer it stays there."""
    return jnp.asarray(optax.safe_increment(count))


def widen(x: jax.Array) -> jax.Array:
    """A hyperparameter in JAX's default float type at least: 0.999 in bfloat16 is 1."""
    default = jnp.result_type(float)
    wide = (
        jnp.issubdtype(x.dtype, jnp.floating) and jnp.finfo(x.dtype).bits >= jnp.finfo(default).bits
    )
    return x if wide else x.astype(default)


def constant(value: Scalar, dtype: DTypeLike) -> np.ndarray | jax.Array:
    """A hyperparameter in the dtype of arithmetic.

    A Python number becomes one of NumPy: with an array of JAX, tracing takes longer. So it does
    with the operators of arrays, for which what every leaf of a tree goes through is in `lax`.
    """
    return np.asarray(value, dtype) if isinstance(value, float) else jnp.asarray(value, dtype)


def at_step(value: ScalarOrSchedule, count: jax.Array | None) -> Scalar:
    """The value of a hyperparameter after `count` updates; numbers, which need none, themselves."""
    return widen(jnp.asarray(value(count))) if callable(value) else value


def saturate(
    x: jax.Array, limit: Scalar | None = None, source: jax.Array | None = None
) -> jax.Array:
    """Clips `x` to `[-limit, limit]` wherever `source` (by default `x`) is finite.

    So an overflow in our arithmetic becomes the largest number, while infinity and NaN in what
    the caller passed stay what they are. Complex numbers are clipped by component.
    """
    if jnp.iscomplexobj(x):
        source = x if source is None else source
        return jax.lax.complex(
            saturate(x.real, limit, jnp.real(source)), saturate(x.imag, limit, jnp.imag(source))
        )
    largest = constant(float(jnp.finfo(x.dtype).max) if limit is None else limit, x.dtype)
    finite = jax.lax.is_finite(x if source is None else source)
    return jax.lax.select(finite, jax.lax.clamp(-largest, x, largest), x)


def cast(x: jax.Array, dtype: DTypeLike) -> jax.Array:
    """Converts to `dtype`; a finite value too large for it becomes its largest number."""
    if x.dtype == dtype:
        return x
    if jnp.finfo(dtype).max < jnp.finfo(x.dtype).max:
        x = saturate(x, float(jnp.finfo(dtype).max))
    return x.astype(dtype)


def squarable(grad: jax.Array, real_dtype: DTypeLike) -> jax.Array:
    """The gradient in the precision of `real_dtype`, so small that its square is finite.

    Magnitudes are clipped to 2^60 in float32 and 2^508 in float64. An adaptive method divides by
    the root of the squares, so its step is the same for 2^60 as for the largest number.
    """
    info = jnp.finfo(real_dtype)
    dtype = f"complex{2 * info.bits}" if jnp.iscomplexobj(grad) else info.dtype
    return saturate(jnp.asarray(grad, dtype), largest_squarable(real_dtype))


def largest_squarable(real_dtype: DTypeLike) -> float:
    """2^60 in float32 and 2^508 in float64: sums of 128 such squares, or more, are finite."""
    return 2.0 ** (jnp.finfo(real_dtype).maxexp // 2 - 4)


def abs_square(x: jax.Array) -> jax.Array:
    """`|x|²` as a real array."""
    return x.real**2 + x.imag**2 if jnp.iscomplexobj(x) else jax.lax.mul(x, x)


def add_square(total: jax.Array, x: jax.Array) -> jax.Array:
    """`total + |x|²`, which stops at the largest number instead of overflowing."""
    # The sum comes last: for a minimum of it, with a constant, XLA would copy the old total.
    return total + jnp.minimum(abs_square(x), jnp.finfo(total.dtype).max - total)


def largest(x: jax.Array, axis: tuple[int, ...] | None = None) -> jax.Array:
    """The largest magnitude in `x`, 0 if it is empty; of complex numbers, of a component.

    With `axis` along those, which are kept at size 1.
    """
    size = jnp.maximum(jnp.abs(x.real), jnp.abs(x.imag)) if jnp.iscomplexobj(x) else jnp.abs(x)
    return jnp.max(size, axis, keepdims=axis is not None, initial=0.0)


def unit_of(size: jax.Array) -> jax.Array:
    """What to divide numbers by whose largest is `size`, so that their squares are finite.

    A constant to derivatives, for the choice of a unit changes no result. It is 1 for 0: XLA
    turns x / y / unit into x / (y·unit), whose denominator must not underflow, and x / unit
    into x·(1 / unit), which must not either.
    """
    info = jnp.finfo(size.dtype)
    largest = jnp.where(jnp.isinf(size), size, float(info.max) / 8)
    unit = jnp.where(size == 0, 1, jnp.clip(size, info.tiny, largest))
    return jax.lax.stop_gradient(unit)


def norm(x: jax.Array) -> jax.Array:
    """`‖x‖` with no square that over- or underflows; at most the largest number.

    Its derivative at 0 is 0.
    """
    unit, in_units = norm_in_units(x)
    return saturate(unit * in_units, source=unit)


def rms(x: jax.Array) -> jax.Array:
    """`√mean(|x|²)`, as safely as `norm`; 0 of an empty array."""
    unit, in_units = norm_in_units(x)
    return unit * (in_units / math.sqrt(max(x.size, 1)))


def norm_in_units(x: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A unit for the numbers in `x`, and `‖x‖` in that unit, whose product may overflow.

    What is always precise is to divide by the largest number first. The plain sum of the squares
    takes one pass over `x` and a quarter of the time, so where it is precise, the unit is 1. The
    choice takes long to compile, and saves nothing in small arrays.
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
    """`fraction·(end − start)` for a fraction in [0, 1], also where the difference overflows."""
    half = constant(0.5, start.dtype)  # exact but for subnormal numbers
    return 2 * (fraction.astype(start.dtype) * (half * end - half * start))


def ema(old: jax.Array, new: jax.Array, decay: Scalar) -> jax.Array:
    """`decay·old + (1 − decay)·new` in the dtype of `old`."""
    keep, take = constant(decay, old.dtype), constant(1 - decay, old.dtype)
    kept, taken = jax.lax.mul(old, keep), jax.lax.mul(new.astype(old.dtype), take)
    return jax.lax.add(kept, taken)


def root(x: jax.Array) -> jax.Array:
    """`√x` for `x ≥ 0`, with a floor that keeps `1/√x` and its derivative finite at 0.

    The floor is the root of the smallest normal number, 1e-19 in float32: a gradient whose
    square underflows is smaller than that, so its ratio to the floor is below 1.
    """
    return jax.lax.sqrt(jax.lax.max(x, jnp.finfo(x.dtype).tiny))


def inverse(x: jax.Array) -> jax.Array:
    """`1 / x` for `x ≥ 0`, with the floor of `root`, so finite at 0 like its derivative."""
    return 1 / jnp.maximum(x, math.sqrt(jnp.finfo(x.dtype).tiny))


def inverse_root(x: jax.Array, eps: Scalar, eps_root: Scalar) -> jax.Array:
    """`1 / (√(x + eps_root) + eps)`, finite also where all three are 0."""
    # A tiny eps next to the root's floor is no different from 0. But XLA would turn 1/(√x + 0)
    # into another operation, with other last digits than for an eps that it does not know.
    tiny = float(jnp.finfo(x.dtype).tiny)
    known = isinstance(eps, float)
    added = constant(max(eps, tiny) if known else eps, x.dtype)
    if not (isinstance(eps_root, float) and eps_root == 0):
        x = x + constant(eps_root, x.dtype)
    below = jax.lax.add(root(x), added if known else jnp.maximum(added, tiny))
    return jax.lax.div(constant(1.0, x.dtype), below)


def power(x: jax.Array, exponent: Scalar) -> jax.Array:
    """`x^exponent` for `x ≥ 0`; the root, which is more precise, where the exponent is 1/2."""
    exponent = jnp.asarray(exponent, x.dtype)
    # XLA itself takes the root where the exponent is a constant, but not where it is read from
    # a state. For a constant 2 it takes a product, which, without the maximum, it would add to
    # something else in one rounding.
    half = jnp.where(x > 0, root(x), x)
    return jnp.maximum(jnp.where(exponent == 0.5, half, x**exponent), 0)


def bias_correction(decay: Scalar, count: jax.Array) -> jax.Array:
    """`1 − decay^count`, exact to the last digits also when `decay` is near 1.

    Computed as `−expm1(count·log(decay))` with the logarithm taken in double precision where
    `decay` is a Python number.
    """
    dtype = jnp.result_type(float)
    return -jnp.expm1(count.astype(dtype) * jnp.asarray(log(decay), dtype))


def log(x: Scalar) -> Scalar:
    """The natural logarithm of `x ≥ 0`, in double precision where `x` is a Python number."""
    if isinstance(x, jax.Array):
        return jnp.log(x)
    return math.log(x) if x > 0 else -math.inf
