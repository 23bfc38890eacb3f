"""Optimizers whose state is stored in fewer bytes than it is computed in."""

import dataclasses
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.tree_util import GetAttrKey

from adaptive_jax import numerics
from adaptive_jax.algebra import (
    FIRST_ORDER,
    SQUARES,
    Preconditioner,
    Transformation,
    constructor,
    preconditioners,
)
from adaptive_jax.storage import Blocks, Codec, codec
from adaptive_jax.typing import Scalar, State
from adaptive_jax.validation import near_misses, steps

__all__ = ["StorageState", "with_storage"]


class StorageState(NamedTuple):
    """The number of updates made, on which the rounding depends, and the encoded state."""

    rounding_step: jax.Array  # not `count`, so that `optax.tree.get` finds the optimizer's own
    inner: State


@constructor
def with_storage(
    tx: optax.GradientTransformation, *, minimum: int = 4096, **codecs: str | Codec
) -> optax.GradientTransformationExtraArgs:
    """Stores fields of an optimizer's state in fewer bytes; arithmetic stays in float32.

    Every update decodes the state, runs `tx` on it, and encodes the new state:

    =============  =============  ===================================
    mu             nu             bytes a parameter, of Adam's state
    =============  =============  ===================================
    not encoded    not encoded    8
    "bfloat16"     "bfloat16"     4
    "int8"         "uint8"        2.06
    "float8_e4m3"  "float8_e4m3"  2.06
    "int4"         "uint8"        1.56
    =============  =============  ===================================

    See `adaptive_jax.storage` for how the codecs round, and why. Rounding is stochastic, but the
    random numbers are a function of the number of updates, of the array's path in the state and of
    the index in the array, so there is no key, and a run can be reproduced.

    The update is computed from the new state before that is encoded. A Preconditioner remains a
    Preconditioner.

    Args:
      tx: any optimizer or stage: `with_storage(adam(1e-3), mu="int8", nu="uint8")`, or within a
        chain `with_storage(scale_by_adam(), …)`, to which `bound_lr` still binds.
      minimum: size from which arrays are encoded, at least 1. Default 4096: the smaller arrays of a
        network (biases, normalizations) take little memory together, so their precision is cheap.
      **codecs: field of the state -> name of a codec ("float32", "bfloat16", "float8_e4m3",
        "float8_e5m2", "int8", "uint8", "int4") or a codec of `adaptive_jax.storage`. A field is
        found at any depth of the state, such as Adam's in that of AdaBound.

    Only float32 arrays with at least one axis are encoded; float64 and complex ones stay as they
    are. Derivatives of an update are those of its own step: the encoded state is a constant for
    later steps.

    State: `rounding_step` int32, and `inner`, the state of `tx` in which a field with arrays in
    blocks is `storage.Blocks(codes, exponents)`, two trees like the field's; `exponents` has a
    single 0 for an array that is not encoded.

    Raises:
      ValueError: a codec is unknown, none is given, or it does not fit: second moments and other
        squares need an unsigned codec, because a signed one could round a small value to 0, and
        steps are divided by it. In `init`: the state has no such field.

    >>> import adaptive_jax as aj
    >>> tx = with_storage(aj.adam(1e-3), mu="int8", nu="uint8")
    >>> state = jax.eval_shape(tx.init, jnp.zeros((256, 256)))
    >>> sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state)) / 256**2
    2.0626220703125
    """
    stored = _stored(minimum, codecs, tx)

    def init(params):
        inner = tx.init(params)
        stored.check(inner)
        count = numerics.count_zero()
        # Without the barrier XLA folds constants: it would encode the initial zeros while it
        # compiles, element by element, which takes minutes for large arrays.
        return StorageState(count, stored.encode(jax.lax.optimization_barrier(inner), count))

    def after(state, inner):
        step = numerics.count_next(state.rounding_step)
        return StorageState(step, stored.encode(inner, step))

    def update(updates, state, params=None, **extra):
        with_extra = optax.with_extra_args_support(tx)
        updates, inner = with_extra.update(updates, stored.decode(state.inner), params, **extra)
        return updates, after(state, inner)

    if not isinstance(tx, Preconditioner):
        return Transformation(init, update)

    def step(grads, state, params=None, **extra):
        result = tx.step(grads, stored.decode(state.inner), params, **extra)
        return result._replace(state=after(state, result.state))

    return Preconditioner(init, step, first_order=tx.first_order, squares=tx.squares)


def encode_state(
    state: State, count: Scalar, *, minimum: int = 4096, **codecs: str | Codec
) -> StorageState:
    """Converts the state of an optimizer to that of `with_storage` with the same arguments.

    Args:
      state: the state of the optimizer alone.
      count: the number of updates made, on which the rounding depends.
      minimum: as in `with_storage`. Default 4096.
      **codecs: as in `with_storage`.

    Raises:
      ValueError: as in `with_storage`.

    >>> import adaptive_jax as aj
    >>> state = encode_state(aj.adam(1e-3).init(jnp.zeros(8192)), 0, nu="uint8")
    >>> decode_state(state, nu="uint8")[0].nu.dtype
    dtype('float32')
    """
    stored = _stored(minimum, codecs)
    stored.check(state)
    count = jnp.asarray(count, jnp.int32)
    return StorageState(count, stored.encode(state, count))


def decode_state(state: StorageState, *, minimum: int = 4096, **codecs: str | Codec) -> State:
    """Converts the state of `with_storage` to that of the optimizer alone, in float32.

    Args:
      state: the state of `with_storage`.
      minimum: as in `with_storage`. Default 4096.
      **codecs: as in `with_storage`.

    Raises:
      ValueError: as in `with_storage`.

    >>> import adaptive_jax as aj
    >>> tx = with_storage(aj.sgd(0.1, momentum=0.9), trace="bfloat16")
    >>> decode_state(tx.init(jnp.zeros(8192)), trace="bfloat16")[0].trace.dtype
    dtype('float32')
    """
    return _stored(minimum, codecs).decode(state.inner)


def _stored(minimum, codecs, tx=None):
    minimum = steps("minimum", minimum)
    if not codecs:
        raise ValueError('with_storage needs a codec for a field, such as mu="int8", nu="uint8"')
    chosen = {field: codec(c) for field, c in codecs.items()}
    _check_signs(chosen, () if tx is None else tuple(preconditioners(tx)))
    return _Stored(chosen, minimum)


@dataclasses.dataclass(frozen=True)
class _Stored:
    """Encodes and decodes the fields of a state."""

    codecs: Mapping[str, Codec]
    minimum: int

    def check(self, state):
        names = set(_field_names(state))
        for field in self.codecs:
            if field not in names:
                raise ValueError(
                    f"the state to be stored has no field {field!r}: {near_misses(field, names)}"
                )

    def encode(self, state, count):
        def field(name, tree, path):
            def leaf(keys, x):
                if x.dtype != jnp.float32 or not x.ndim or x.size < self.minimum:
                    return x
                # From the path, so that no two arrays round with the same random numbers. Not
                # hash(), which differs from process to process.
                salt = zlib.crc32(jax.tree_util.keystr((*path, *keys)).encode())
                return self.codecs[name].encode(x, count, salt)

            return _unzip(jax.tree_util.tree_map_with_path(leaf, tree))

        return _map_fields(field, self.codecs, state)

    def decode(self, state):
        def field(name, tree, path):
            def leaf(x):
                return self.codecs[name].decode(x) if self.codecs[name].made(x) else x

            return jax.tree.map(leaf, _zip(tree), is_leaf=_is_blocks)

        return _map_fields(field, self.codecs, state)


def _check_signs(codecs, known):
    """Raises if a codec cannot hold the values of its field, as Preconditioners declare them.

    The default names also cover the states of other libraries' optimizers.
    """
    squares = {*SQUARES}.union(*(tx.squares for tx in known))
    first_order = {*FIRST_ORDER}.union(*(tx.first_order for tx in known))
    for field, chosen in codecs.items():
        if field in squares and chosen.signed:
            raise ValueError(
                f"{field} has squares that steps are divided by, and a signed codec could round a "
                f"small one to 0; use 'uint8', got {chosen}"
            )
        if field in first_order and chosen.signed is False:
            raise ValueError(f"{field} has values of both signs; use 'int8', got {chosen}")


def _is_record(x):
    return hasattr(x, "_fields")


def _map_fields(fn, names, tree, path=()):
    """Replaces the fields of these names, the outermost first, by `fn(name, subtree, path)`."""

    def within(keys, node):
        if not _is_record(node):
            return node

        def field(name, child):
            here = (*path, *keys, GetAttrKey(name))
            return fn(name, child, here) if name in names else _map_fields(fn, names, child, here)

        return node._replace(**{name: field(name, x) for name, x in node._asdict().items()})

    return jax.tree_util.tree_map_with_path(within, tree, is_leaf=_is_record)


def _field_names(tree) -> Iterator[str]:
    """The names of the fields of all NamedTuples in a tree, also of those without a leaf."""
    for node in jax.tree.leaves(tree, is_leaf=_is_record):
        if _is_record(node):
            yield from node._fields
            for child in node:
                yield from _field_names(child)


# A tree whose leaves are Blocks is stored as Blocks of two trees. Each of these has the structure
# of the parameters, so sharding rules that match the state by path apply, and its leaves are single
# arrays, which is all that a Variable of Flax NNX can hold.


def _is_blocks(x):
    return isinstance(x, Blocks)


def _unzip(tree):
    if not any(map(_is_blocks, jax.tree.leaves(tree, is_leaf=_is_blocks))):
        return tree

    def exponents(x):  # a scalar stands for those of an array that is not encoded
        return x.exponents if _is_blocks(x) else jnp.zeros([], jnp.uint8)

    return Blocks(
        jax.tree.map(lambda x: x.codes if _is_blocks(x) else x, tree, is_leaf=_is_blocks),
        jax.tree.map(exponents, tree, is_leaf=_is_blocks),
    )


def _zip(tree):
    if not _is_blocks(tree):
        return tree
    return jax.tree.map(lambda c, e: Blocks(c, e) if e.ndim else c, tree.codes, tree.exponents)
