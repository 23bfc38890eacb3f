"""Conversion between an optimizer's state and that of the same optimizer in `with_storage`."""

import functools
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

import jax

from adaptive_jax.checkpoint.entries import Entry, nodes, replace
from adaptive_jax.typing import PyTree
from adaptive_jax.wrappers.storage import StorageState, decode_state, encode_state


def as_saved(like: PyTree, entries: Sequence[Entry], storage: Mapping[str, Any]) -> PyTree:
    """Returns `like`, abstractly, with the states encoded that are encoded in the checkpoint."""
    functions = _functions(storage, count=0)
    encode, decode = (functools.partial(jax.eval_shape, function) for function in functions)
    return _convert(like, _stored(entries), encode, decode)


def converted(tree: PyTree, like: PyTree, storage: Mapping[str, Any], step: int) -> PyTree:
    """Encodes the states of `tree` that are encoded in `like`, and decodes the others."""
    encode, decode = _functions(storage, count=step)
    return _convert(tree, _stored(entry for entry, _ in nodes(like)), encode, decode)


def is_stored(entry: Entry) -> bool:
    """Returns True if the entry is a state of `with_storage`."""
    return entry.kind == StorageState.__name__


def _stored(entries):
    return {entry.path for entry in entries if is_stored(entry)}


def _functions(storage, count):
    encode = functools.partial(encode_state, count=count, **storage)
    return jax.jit(encode), jax.jit(functools.partial(decode_state, **storage))


def _convert(tree: PyTree, paths: Set[str], encode: Callable, decode: Callable) -> PyTree:
    """Encodes the states at these paths, and decodes encoded states elsewhere."""

    def node(path, x):
        if isinstance(x, StorageState) == (path in paths):
            return x
        return decode(x) if isinstance(x, StorageState) else encode(x)

    return replace(tree, node)
