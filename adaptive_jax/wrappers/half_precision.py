"""Training with 16-bit parameters: stochastic rounding, and the bits that float32 would have."""

import zlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Transformation, constructor
from adaptive_jax.storage import Split, merge, split, stochastic_round
from adaptive_jax.storage.rounding import as_bits
from adaptive_jax.typing import Params, PyTree, Scalar, State, Updates
from adaptive_jax.validation import leaf_names, map_leaves, require_params, same_structure, static

__all__ = [
    "MasterWeightsState",
    "SplitParams",
    "apply_updates",
    "merge_params",
    "split_params",
    "with_master_weights",
]


def apply_updates(params: Params, updates: Updates, count: Scalar) -> Params:
    r"""Applies updates like `optax.apply_updates`, but rounds 16-bit parameters stochastically.

    A bfloat16 has 8 significant bits, so rounding to nearest drops every step that is smaller than
    a 256th to a 512th of the parameter. With stochastic rounding the steps are right on average,
    without a float32 copy of the parameters; `with_master_weights` has less noise.

    .. math::
        p_t = \mathrm{round}(p_{t-1} + u_t), \qquad E[p_t] = p_{t-1} + u_t

    Args:
      params: the parameters, of any dtypes; those that are neither bfloat16 nor float16 are updated
        as by `optax.apply_updates`.
      updates: a tree like the parameters, best in float32: that is what `update` returns when it is
        called without the parameters and the gradients are float32.
      count: the number of the step, which selects its random numbers.

    Returns:
      The new parameters, in their dtypes.

    Raises:
      ValueError: trees or shapes differ; the message names the path.

    Reference: Zamirai et al. 2020, arXiv 2010.06192.

    >>> params, updates = jnp.ones(1000, jnp.bfloat16), jnp.full(1000, 2.0**-10)
    >>> for count in range(64):
    ...     params = apply_updates(params, updates, count)
    >>> print(f"{params.mean(dtype=jnp.float32):.2f}")  # optax.apply_updates stays at 1
    1.06
    """
    salts = _salts(params)

    def leaf(p, u, salt):
        wide = numerics.compute_dtype(p)
        new = jnp.asarray(p, wide) + jnp.asarray(u, wide)
        if wide == jnp.result_type(p):
            return new
        return stochastic_round(new, jnp.result_type(p), count, salt)

    updates = trees.like(parameters=params, updates=updates)
    map_leaves(lambda p, u: None, parameters=params, updates=updates)
    return jax.tree.map(leaf, params, updates, salts)


class SplitParams(NamedTuple):
    """Parameters in bfloat16, and their lower bits as int16 or int8; None for other dtypes."""

    params: Params
    correction: PyTree


def split_params(params: Params, bits: int = 16, count: Scalar = 0) -> SplitParams:
    """Splits float32 parameters into bfloat16 ones and corrections, from which they can be merged.

    Parameters that are not float32 stay as they are, with None for a correction.

    Args:
      params: the parameters to split.
      bits: size of the corrections: 16, with which `merge_params` restores every bit, or 8, with
        which the parameters are first rounded stochastically to 16 significant bits. Default 16.
      count: the number of the step, which selects the random numbers; no effect with 16 bits.
        Default 0.

    Returns:
      `SplitParams(params, correction)`.

    Raises:
      ValueError: `bits` is neither 16 nor 8.

    Reference: Ortiz et al. 2026, arXiv 2602.23349, for 8 bits, which it rounds to nearest.

    >>> params, correction = split_params(jnp.array([3.14159265]))
    >>> print(params, correction, merge_params(params, correction))
    [3.14062] [4059] [3.1415927]
    """
    bits = _check_bits(bits)

    def leaf(p, salt):
        return (
            split(p, bits, count, salt)
            if jnp.result_type(p) == jnp.float32
            else SplitParams(p, None)
        )

    return SplitParams(*_unzip(jax.tree.map(leaf, params, _salts(params))))


def merge_params(params: Params, correction: PyTree) -> Params:
    """Merges bfloat16 parameters and corrections into float32 parameters.

    The corrections are those of `split_params`, or `state.correction` of `with_master_weights`.

    Args:
      params: parameters as they are trained, bfloat16 where there is a correction.
      correction: a tree like them, int16 or int8, or None for those that stay as they are.

    Returns:
      Parameters, in float32 where there is a correction.

    >>> print(merge_params(jnp.ones(1, jnp.bfloat16), jnp.array([1], jnp.int16)))
    [1.0000001]
    """
    corrections = trees.by_name(correction)
    if not corrections.keys() <= trees.by_name(params).keys():
        same_structure(parameters=params, correction=correction)

    def leaf(path, p):
        c = corrections.get(leaf_names(path))
        return p if c is None else merge(p, c)

    return jax.tree_util.tree_map_with_path(leaf, params)


class MasterWeightsState(NamedTuple):
    """The number of updates made, the lower bits of the parameters, and the optimizer's state."""

    rounding_step: jax.Array  # not `count`, so that `optax.tree.get` finds the optimizer's own
    correction: PyTree
    inner: State


@constructor
def with_master_weights(
    tx: optax.GradientTransformation, bits: int = 16
) -> optax.GradientTransformationExtraArgs:
    """Trains bfloat16 parameters as if they were float32, with the missing bits in the state.

    `tx` gets float32 parameters, and its state is as for those; the bfloat16 parameters are their
    rounded values. Parameters and missing bits together take 4 bytes a parameter, or 3, where
    bfloat16 parameters with a float32 copy take 6.

    Args:
      tx: any optimizer. It must be complete: a stage that changes the updates after this wrapper
        would move the parameters away from the values that the corrections belong to.
      bits: number of missing bits that are kept: 16 for exact float32 weights, or 8 for 16
        significant bits, rounded stochastically. Default 16.

    The updates of bfloat16 parameters are float32: the difference of the new and the old parameter,
    with which `optax.apply_updates` gives exactly the new one. (Some differences are not float32
    numbers, when a parameter falls to less than a 2^24th of its size. The correction is 0 then, and
    the error is that of one rounding of the sum in float32.) Parameters of other dtypes have no
    correction and are updated as by `tx`.

    Corrections start at 0. To start from float32 weights, take both parts from `split_params`:
    `tx.init(params)._replace(correction=correction)`. For the float32 weights, call
    `merge_params(params, state.correction)`.

    State: `rounding_step` int32; `correction` int16 or int8 in the parameters' shapes, None for
    those that are not bfloat16; and `inner`.

    Raises:
      ValueError: `bits` is neither 16 nor 8, trees do not match, or `update` is called without
        parameters.

    Reference: Ortiz et al. 2026, arXiv 2602.23349, for 8 bits, which it rounds to nearest.

    >>> from adaptive_jax import sgd
    >>> tx = with_master_weights(sgd(1.0))
    >>> params = jnp.ones(1, jnp.bfloat16)
    >>> state = tx.init(params)
    >>> for _ in range(64):
    ...     updates, state = tx.update(jnp.full(1, -(2.0**-10)), state, params)
    ...     params = (params.astype(jnp.float32) + updates).astype(params.dtype)
    >>> print(params, merge_params(params, state.correction))
    [1.0625] [1.0625]
    """
    bits = _check_bits(bits)
    tx = optax.with_extra_args_support(tx)

    def init(params):
        correction = jax.tree.map(
            lambda p: jnp.zeros_like(p, f"int{bits}") if _is_bfloat16(p) else None, params
        )
        weights = jax.tree.map(_without_correction, params)
        return MasterWeightsState(numerics.count_zero(), correction, tx.init(weights))

    def update(updates, state, params=None, **extra):
        require_params("with_master_weights", params)
        same_structure(gradients=updates, parameters=params)
        weights = merge_params(params, state.correction)
        moves, inner = tx.update(updates, state.inner, weights, **extra)
        step = numerics.count_next(state.rounding_step)

        def leaf(p, weight, move, salt):
            if not _is_bfloat16(p):
                return SplitParams(move, None)
            new = numerics.saturate(weight + move.astype(jnp.float32), source=move)
            return _move_to(split(new, bits, step, salt), p)

        steps = jax.tree.map(leaf, params, weights, moves, _salts(params))
        updates, correction = _unzip(steps)
        return updates, MasterWeightsState(step, correction, inner)

    return Transformation(init, update)


def _without_correction(p):
    if not _is_bfloat16(p):
        return p
    if isinstance(p, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct(p.shape, jnp.float32, sharding=p.sharding)
    return p.astype(jnp.float32)


def _move_to(new: Split, old: jax.Array) -> Split:
    """The update from `old` to the new bfloat16, and the correction that belongs to their sum."""
    target, old = new.high.astype(jnp.float32), old.astype(jnp.float32)
    move = numerics.saturate(target - old, source=target)
    # XLA may remove a conversion to bfloat16 and back, but not this.
    landed = jax.lax.reduce_precision(old + move, exponent_bits=8, mantissa_bits=7)
    exact = as_bits(landed) == as_bits(target)
    return Split(move, jnp.where(exact, new.correction, 0))


def _unzip(splits):
    """Splits a tree of pairs into a pair of trees."""

    def part(i):
        return jax.tree.map(
            lambda s: s[i], splits, is_leaf=lambda x: isinstance(x, (Split, SplitParams))
        )

    return part(0), part(1)


def _salts(params):
    """A number for each array, derived from its path, so that arrays are rounded independently."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: zlib.crc32(jax.tree_util.keystr(path).encode()), params
    )


def _is_bfloat16(p):
    return jnp.result_type(p) == jnp.bfloat16


def _check_bits(bits):
    bits = static("bits", bits)
    if bits not in (8, 16):
        raise ValueError(f"bits must be 16 (exact float32 weights) or 8, got {bits!r}")
    return bits
