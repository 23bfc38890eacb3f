"""Arithmetic that stays finite and keeps its precision, whatever the gradient's dtype.

Every transform computes in float32, or in float64 for float64 parameters, and every value that
a finite gradient leads to is finite. NaN and infinity that the caller passes in are never
hidden: they reach the update, where `optax.apply_if_finite` or the user sees them.
"""

import math

import jax
import jax.numpy as jnp

from adaptive_jax.typing import PyTree, Scalar, ScalarOrSchedule
from adaptive_jax.validation import check_inexact, map_leaves


def compute_dtype(x) -> jnp.dtype:
    """The dtype of arithmetic and state for `x`: its own, but float32 at least.

    >>> compute_dtype(jnp.zeros(3, jnp.bfloat16))
    dtype('float32')
    """
    dtype = jnp.result_type(x)
    return dtype if jnp.finfo(dtype).bits >= 32 else jnp.dtype(jnp.float32)


def real_dtype(x) -> jnp.dtype:
    """The real dtype with the precision of `compute_dtype(x)`: float32 for complex64."""
    return jnp.finfo(compute_dtype(x)).dtype


def zeros_like(params: PyTree) -> PyTree:
    """State for a first moment: zeros of each parameter's shape in its `compute_dtype`."""
    check_inexact(params)
    return jax.tree.map(lambda p: jnp.zeros_like(p, compute_dtype(p)), params)


def real_full_like(params: PyTree, value: Scalar = 0.0) -> PyTree:
    """State for a second moment: `value` in each parameter's shape and `real_dtype`."""
    check_inexact(params)
    return jax.tree.map(lambda p: jnp.full_like(p, value, real_dtype(p)), params)


def count_zero() -> jax.Array:
    """A counter of updates: int32, which `optax.safe_increment` never lets overflow."""
    return jnp.zeros([], jnp.int32)


def at_step(value: ScalarOrSchedule, count: jax.Array) -> Scalar:
    """The value of a hyperparameter after `count` updates; numbers are their own value."""
    if not callable(value):
        return value
    value = jnp.asarray(value(count))
    return value.astype(jnp.promote_types(value.dtype, jnp.float32))


def saturate(x: jax.Array, limit: Scalar | None = None, source: jax.Array | None = None):
    """Clips `x` to `[-limit, limit]` wherever `source` (by default `x`) is finite.

    So an overflow in our arithmetic becomes the largest number, while infinity and NaN in what
    the caller passed stay what they are. Complex numbers are clipped by component.
    """
    if jnp.iscomplexobj(x):
        source = x if source is None else source
        return jax.lax.complex(
            saturate(x.real, limit, jnp.real(source)), saturate(x.imag, limit, jnp.imag(source))
        )
    limit = jnp.asarray(jnp.finfo(x.dtype).max if limit is None else limit, x.dtype)
    return jnp.where(jnp.isfinite(x if source is None else source), jnp.clip(x, -limit, limit), x)


def cast(x: jax.Array, dtype) -> jax.Array:
    """Converts to `dtype`; a finite value too large for it becomes its largest number."""
    if jnp.finfo(dtype).max < jnp.finfo(x.dtype).max:
        x = saturate(x, float(jnp.finfo(dtype).max))
    return x.astype(dtype)


def cast_updates(updates: PyTree, grads: PyTree, params: PyTree | None) -> PyTree:
    """Updates in the parameters' dtypes, or in the gradients' where there are no parameters."""
    if params is None:
        return map_leaves(
            lambda u, g: cast(u, jnp.result_type(g)), updates=updates, gradients=grads
        )
    return map_leaves(lambda u, p: cast(u, jnp.result_type(p)), updates=updates, parameters=params)


def as_computed(grads: PyTree) -> PyTree:
    """Gradients in the dtype that arithmetic is done in, for transforms without a state."""
    check_inexact(grads)
    return jax.tree.map(lambda g: jnp.asarray(g, compute_dtype(g)), grads)


def squarable(grads: PyTree, state: PyTree) -> PyTree:
    """Gradients in the precision of `state`, small enough that their squares are finite.

    Magnitudes are clipped to 2^60 in float32 and 2^508 in float64. An adaptive method divides by
    the root of the squares, so its step is the same for 2^60 as for the largest number.

    Args:
      grads: a tree of real or complex arrays of any floating dtype.
      state: a tree of the same structure and shapes in the dtypes to compute in.

    Raises:
      ValueError: the trees or shapes differ; the message names the path.
    """
    return map_leaves(_squarable_leaf, gradients=grads, state=state)


def _squarable_leaf(g, like):
    info = jnp.finfo(like.dtype)
    dtype = jnp.promote_types(info.dtype, jnp.complex64) if jnp.iscomplexobj(g) else info.dtype
    return saturate(jnp.asarray(g, dtype), 2.0 ** (info.maxexp // 2 - 4))


def abs_square(x: jax.Array) -> jax.Array:
    """`|x|²` as a real array."""
    return x.real**2 + x.imag**2 if jnp.iscomplexobj(x) else x * x


def ema(old: jax.Array, new: jax.Array, decay: Scalar) -> jax.Array:
    """`decay·old + (1 − decay)·new` in the dtype of `old`."""
    keep, take = jnp.asarray(decay, old.dtype), jnp.asarray(1 - decay, old.dtype)
    return keep * old + take * new.astype(old.dtype)


def root(x: jax.Array) -> jax.Array:
    """`√x` for `x ≥ 0`, with a floor that keeps `1/√x` and its derivative finite at 0.

    The floor is the root of the smallest normal number, 1e-19 in float32: a gradient whose
    square underflows is smaller than that, so its ratio to the floor is below 1.
    """
    return jnp.sqrt(jnp.maximum(x, jnp.finfo(x.dtype).tiny))


def inverse_root(x: jax.Array, eps: Scalar, eps_root: Scalar) -> jax.Array:
    """`1 / (√(x + eps_root) + eps)`, finite also where all three are 0."""
    return 1 / (root(x + jnp.asarray(eps_root, x.dtype)) + jnp.asarray(eps, x.dtype))


def bias_correction(decay: Scalar, count: jax.Array) -> jax.Array:
    """`1 − decay^count`, exact to the last digits also when `decay` is near 1.

    Computed as `−expm1(count·log(decay))` with the logarithm taken in double precision where
    `decay` is a Python number.
    """
    dtype = jnp.result_type(float)
    if isinstance(decay, jax.Array):
        log = jnp.log(decay).astype(dtype)
    else:
        log = math.log(decay) if decay > 0 else -math.inf
    return -jnp.expm1(count.astype(dtype) * log)
