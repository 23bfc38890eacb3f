"""Parameters in 16 bits that small steps still move: by rounding stochastically, or with a rest."""

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


def apply_updates(params: Params, updates: Updates, count: Scalar) -> Params:
    """`optax.apply_updates` that rounds parameters in bfloat16 and float16 stochastically.

    A bfloat16 has 8 significant bits, so a step of less than a 256th to a 512th of a parameter is
    lost by rounding to nearest, each time again. Rounded stochastically, the steps are right in
    the mean, without a copy of the parameters in float32; `with_master_weights` has less noise.

    Args:
      params: any dtypes; those that are neither bfloat16 nor float16 are moved as ever.
      updates: like the parameters. Best in float32, as they are where `update` is called without
        the parameters and the gradients are float32.
      count: the step, for other random numbers each time.

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
    """Parameters in bfloat16, and what they lack: int16 or int8, None for other dtypes."""

    params: Params
    correction: PyTree


def split_params(params: Params, bits: int = 16, count: Scalar = 0) -> SplitParams:
    """Float32 parameters as bfloat16 ones, and corrections of `bits` bits, from which they merge.

    Parameters that are not float32 stay as they are, with None for a correction.

    Args:
      params: what to split.
      bits: 16 (default), with which `merge_params` gives back every bit, or 8, with which the
        parameters are first rounded to 16 significant bits, stochastically.
      count: the step, for other random numbers each time; of no effect with 16 bits. Default 0.

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
    """The parameters of `split_params`; or, with `state.correction`, `with_master_weights`'s.

    Args:
      params: parameters as they are trained, bfloat16 where there is a correction.
      correction: like them, int16 or int8, or None for those that stay as they are.

    Returns:
      Parameters in float32 where there is a correction.

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
    """Updates made, what the parameters lack, and the optimizer's state."""

    rounding_step: jax.Array  # another name than that of the optimizer's own `count`
    correction: PyTree
    inner: State


@constructor
def with_master_weights(
    tx: optax.GradientTransformation, bits: int = 16
) -> optax.GradientTransformationExtraArgs:
    """Trains bfloat16 parameters as if they were float32: the bits that they lack are in the state.

    `tx` sees float32 parameters (and keeps its state as for those); the parameters are these,
    rounded. So the two together have 4 bytes a parameter, or 3, in place of the 6 of bfloat16
    parameters with a float32 copy.

    Args:
      tx: any optimizer. It must be whole: what changes the updates after this wrapper would move
        the parameters away from what the corrections belong to.
      bits: 16 (default), for exact float32 weights, or 8, for 16 significant bits, rounded
        stochastically.

    The updates of bfloat16 parameters are float32: the difference of the new and the old
    parameter, with which `optax.apply_updates` lands on the new one exactly. (There are
    differences that no float32 holds, where a parameter falls to less than a 2^24th. The
    correction is 0 then; the error is that of one rounding of the sum in float32.) Parameters of
    other dtypes have no correction and are updated as by `tx`. Corrections start at 0; to start
    from float32 weights, take both parts from `split_params`:
    `tx.init(params)._replace(correction=correction)`. `merge_params(params, state.correction)`
    are the float32 weights.

    State: `rounding_step` int32; `correction` int16 or int8 in the parameters' shapes, None where
    they are not bfloat16; and `inner`.

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
    """What to add to `old` for the new bfloat16, and the correction that belongs to the sum."""
    target, old = new.high.astype(jnp.float32), old.astype(jnp.float32)
    move = numerics.saturate(target - old, source=target)
    # Unlike a conversion to bfloat16 and back, this is never left out by XLA.
    landed = jax.lax.reduce_precision(old + move, exponent_bits=8, mantissa_bits=7)
    exact = as_bits(landed) == as_bits(target)
    return Split(move, jnp.where(exact, new.correction, 0))


def _unzip(splits):
    """A tree of splits as a tree of each part."""

    def part(i):
        return jax.tree.map(
            lambda s: s[i], splits, is_leaf=lambda x: isinstance(x, (Split, SplitParams))
        )

    return part(0), part(1)


def _salts(params):
    """For each array a number of its own, from its name."""
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
