"""An optimizer whose state is stored in fewer bytes than it is computed in."""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.tree_util import GetAttrKey

from adaptive_jax import numerics
from adaptive_jax.storage import Blocks, Codec, codec
from adaptive_jax.transforms.preconditioner import Preconditioner
from adaptive_jax.typing import State
from adaptive_jax.validation import near_misses, steps

_SQUARES = ("nu", "nu_max", "sum_of_squares", "mean_square_grad", "mean_square_step")


class StorageState(NamedTuple):
    """Updates made, and the optimizer's state, encoded."""

    count: jax.Array
    inner: State


def with_storage(
    tx: optax.GradientTransformation, *, minimum: int = 4096, **codecs: str | Codec
) -> optax.GradientTransformationExtraArgs:
    r"""Stores parts of an optimizer's state in few bytes; arithmetic stays in float32.

    Every update decodes the state, computes as ever, and encodes the new state:

    | mu | nu | bytes a parameter, of Adam's state |
    |---|---|---|
    | as it is | as it is | 8 |
    | `"bfloat16"` | `"bfloat16"` | 4 |
    | `"int8"` | `"uint8"` | 2.06 |
    | `"float8_e4m3"` | `"float8_e4m3"` | 2.06 |
    | `"int4"` | `"uint8"` | 1.56 |

    `adaptive_jax.storage` says how the codecs round, and why. Rounding is stochastic, with
    numbers that are a function of the update's count, the name of the array in the state and the
    place in the array, so there is no key, and a run can be repeated.

    The parameters are moved by what is computed from the new state before that is encoded. A
    Preconditioner remains one: its `accumulate` returns the state that is not encoded yet, from
    which `factor` computes, and its `store` encodes it.

    Args:
      tx: any optimizer or stage of one: `with_storage(adam(1e-3), mu="int8", nu="uint8")`, or
        within a chain `with_storage(scale_by_adam(), …)`, to which `bound_lr` still binds.
      minimum: arrays with fewer numbers than that stay as they are. Default 4096: all those of
        a network together (biases, normalizations) are small, and their precision is cheap.
      **codecs: field of the state -> name of a codec ("float32", "bfloat16", "float8_e4m3",
        "float8_e5m2", "int8", "uint8", "int4") or a codec of `adaptive_jax.storage`. A field is
        found wherever it is in the state, as Adam's in that of AdaBound.

    Only float32 arrays with an axis or more are encoded; float64 and complex ones stay as they
    are. Derivatives of an update are those of its own step; what it encodes is a constant to
    later steps.

    State: `count` int32, and `inner`, the state of `tx` with `storage.Blocks` or bfloat16 arrays
    in place of float32 ones.

    Raises:
      ValueError: a codec is unknown, none is given, or it does not fit: second moments and
        other squares need an unsigned codec, or else a small one could be stored as 0 and the
        step divided by it. In `init`, the state has no such field.

    >>> import adaptive_jax as aj
    >>> tx = with_storage(aj.adam(1e-3), mu="int8", nu="uint8")
    >>> state = jax.eval_shape(tx.init, jnp.zeros((256, 256)))
    >>> sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state)) / 256**2
    2.0626220703125
    """
    minimum = steps("minimum", minimum)
    if not codecs:
        raise ValueError('with_storage needs a codec for a field, such as mu="int8", nu="uint8"')
    by_field = {field: _fitting(field, codec(value)) for field, value in codecs.items()}

    def encode(path, x, count):
        chosen = _chosen(by_field, path)
        if chosen is None or x.dtype != jnp.float32 or not x.ndim or x.size < minimum:
            return x
        return chosen.encode(x, count, salt=zlib.crc32(jax.tree_util.keystr(path).encode()))

    def decode(path, x):
        chosen = _chosen(by_field, path)
        return x if chosen is None or not chosen.made(x) else chosen.decode(x)

    def close(state):
        encoded = jax.tree_util.tree_map_with_path(
            lambda path, x: encode(path, x, state.count), state.inner
        )
        return state._replace(inner=encoded)

    def opened(state):
        return jax.tree_util.tree_map_with_path(
            decode, state.inner, is_leaf=lambda x: isinstance(x, Blocks)
        )

    def init(params):
        inner = tx.init(params)
        names = set(_field_names(inner))
        for field in by_field:
            if field not in names:
                raise ValueError(
                    f"the state to be stored has no field {field!r}: {near_misses(field, names)}"
                )
        return close(StorageState(numerics.count_zero(), inner))

    def update(updates, state, params=None, **extra):
        with_extra = optax.with_extra_args_support(tx)
        updates, inner = with_extra.update(updates, opened(state), params, **extra)
        return updates, close(StorageState(optax.safe_increment(state.count), inner))

    if not isinstance(tx, Preconditioner):
        return optax.GradientTransformationExtraArgs(init, update)

    def accumulate(grads, state, params=None, **extra):
        inner = tx.accumulate(grads, opened(state), params, **extra)
        return StorageState(optax.safe_increment(state.count), inner)

    def factor(grads, state):
        return tx.factor(grads, opened(state))

    def store(state):
        return close(state._replace(inner=tx.store(state.inner)))

    return Preconditioner(init, accumulate, factor, store)


def _fitting(field: str, chosen: Codec) -> Codec:
    if field in _SQUARES and chosen.signed:
        raise ValueError(
            f"{field} has squares that steps are divided by, and a signed codec could store a "
            f"small one as 0; use 'uint8', got {chosen}"
        )
    if field == "mu" and chosen.signed is False:
        raise ValueError(f"mu has numbers of both signs; use 'int8', got {chosen}")
    return chosen


def _chosen(by_field, path) -> Codec | None:
    """The codec of the outermost field that has one: within it are the names of parameters."""
    fields = (key.name for key in path if isinstance(key, GetAttrKey))
    return next((by_field[field] for field in fields if field in by_field), None)


def _field_names(tree) -> Iterator[str]:
    """The fields of all NamedTuples in a tree, also of those without a leaf."""

    def is_record(x):
        return hasattr(x, "_fields")

    for node in jax.tree.leaves(tree, is_leaf=is_record):
        if is_record(node):
            yield from node._fields
            for child in node:
                yield from _field_names(child)
