"""The contents of a tree: its containers, arrays and numbers, by path."""

import dataclasses
import hashlib
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import KeyPath

from adaptive_jax.checkpoint.errors import CheckpointError, MismatchError
from adaptive_jax.distributed.hosts import on_host
from adaptive_jax.typing import PyTree

_PYTHON = {"bool": bool, "int": int, "float": float, "str": str}
_CONTAINERS = {"dict", "list", "tuple", "NoneType"}


@dataclasses.dataclass(frozen=True)
class Entry:
    """One node of a tree.

    Attributes:
      path: the path in the format of `jax.tree_util.keystr`, "" for the root.
      kind: "array", "key" (PRNG keys), the type of a Python value, or the class of a container:
        "dict", "EmptyState", "NoneType".
      dtype, shape: the dtype and shape of an array or of keys.
      implementation: the PRNG implementation of keys, such as "threefry2x32".
      weak: whether the array is weakly typed, like a Python number.
      value: a Python value; floats are written in hexadecimal digits.
      digest: the SHA-256 of dtype, shape and little-endian bytes.
    """

    path: str
    kind: str
    dtype: str | None = None
    shape: tuple[int, ...] | None = None
    implementation: str | None = None
    weak: bool = False
    value: bool | int | str | None = None
    digest: str | None = None

    @property
    def type(self) -> tuple[str, str | None, tuple[int, ...] | None]:
        """The fields that an entry must share with another to take its place."""
        return self.kind, self.dtype, self.shape

    @property
    def is_array(self) -> bool:
        """True if the entry has a dtype and a shape."""
        return self.dtype is not None

    @property
    def is_container(self) -> bool:
        """True if the entry is not a leaf; None counts as a container, as in JAX."""
        return self.dtype is None and self.value is None

    @property
    def is_stored(self) -> bool:
        """True if Orbax stores the entry; dtype and shape suffice for arrays without elements."""
        return self.shape is not None and 0 not in self.shape

    def __str__(self) -> str:
        if self.shape is not None:
            return f"{self.dtype}{list(self.shape)}"
        return f"{'an' if self.kind[0] in 'aeiouAEIOU' else 'a'} {self.kind}"


def children(tree: PyTree) -> tuple[list[tuple[KeyPath, PyTree]], Any]:
    """Returns the nodes just below the root with their paths, and the structure down to them."""
    return jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda node: node is not tree)


def nodes(tree: PyTree, path: KeyPath = ()) -> Iterator[tuple[Entry, Any]]:
    """Yields every node of the tree, and its entry without a digest; parents come first."""
    below, _ = children(tree)
    if [keys for keys, _ in below] == [()]:
        yield _leaf(tree, jax.tree_util.keystr(path)), tree
        return
    yield Entry(jax.tree_util.keystr(path), type(tree).__name__), tree
    for keys, child in below:
        yield from nodes(child, (*path, *keys))


def replace(tree: PyTree, fn: Callable[[str, PyTree], PyTree], path: KeyPath = ()) -> PyTree:
    """Replaces the nodes of a tree by `fn(path, node)`; `fn` returns a node itself to keep it."""
    new = fn(jax.tree_util.keystr(path), tree)
    below, structure = children(tree)
    if new is not tree or [keys for keys, _ in below] == [()]:
        return new
    return structure.unflatten([replace(child, fn, (*path, *keys)) for keys, child in below])


def _leaf(x, path):
    for kind, python in _PYTHON.items():
        if type(x) is python:
            return Entry(path, kind, value=x.hex() if python is float else x)
    if not isinstance(x, (jax.Array, np.ndarray, np.generic, jax.ShapeDtypeStruct)):
        raise CheckpointError(
            f"{path or 'the tree'} must be an array or a {', '.join(_PYTHON)} to be saved in a "
            f"checkpoint, got {type(x).__name__}: leave it out of the tree"
        )
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        concrete = isinstance(x, jax.Array)
        implementation = str(jax.random.key_impl(x)) if concrete else None
        return Entry(path, "key", str(x.dtype), tuple(x.shape), implementation)
    if x.dtype.kind in "OSUMm":
        raise CheckpointError(
            f"{path or 'the tree'} must be numeric to be saved in a checkpoint, got dtype {x.dtype}"
        )
    weak = bool(getattr(x, "weak_type", False))
    return Entry(path, "array", x.dtype.name, tuple(x.shape), weak=weak)


def copied(x: Any) -> np.ndarray:
    """Copies a whole array, or the data of keys, to the host, in the host's byte order."""
    if isinstance(x, jax.Array):
        keys = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        x = on_host(jax.random.key_data(x) if keys else x)
    return np.array(x, x.dtype.newbyteorder("="), order="C")


def digest(host: np.ndarray) -> str:
    """Returns the SHA-256 of dtype, shape, and bytes (all hosts of JAX are little-endian)."""
    sha = hashlib.sha256(f"{host.dtype.name}{list(host.shape)}".encode())
    sha.update(np.ascontiguousarray(host).reshape(-1).view(np.uint8).data)
    return sha.hexdigest()


def stand_in(entry: Entry) -> np.ndarray:
    """Returns an uninitialized array like the one that `copied` returned."""
    shape = entry.shape or ()
    if entry.kind != "key":
        return np.empty(shape, jnp.dtype(entry.dtype))
    one = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0, impl=entry.implementation)))
    return np.empty((*shape, *one.shape), one.dtype)


def rebuild(entry: Entry, host: np.ndarray | None, like: Any) -> Any:
    """Returns the leaf of an entry, as a NumPy or JAX array and in the sharding of `like`."""
    if not entry.is_array:
        return float.fromhex(str(entry.value)) if entry.kind == "float" else entry.value
    host = stand_in(entry) if host is None else host
    if isinstance(like, np.generic):
        return host[()]
    if isinstance(like, np.ndarray):
        return host
    if jax.dtypes.canonicalize_dtype(host.dtype) != host.dtype:
        raise MismatchError(
            f"{entry.path or 'the tree'} is {entry} in the checkpoint, which JAX would truncate to "
            "32 bits: set jax_enable_x64, or restore it to a NumPy array"
        )
    sharding = _sharding(like)
    if sharding is None:
        x = jnp.array(host)
    else:  # the sharding may span several processes
        x = jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])
    if entry.kind == "key":
        return jax.random.wrap_key_data(x, impl=entry.implementation)
    return _weak(x) if entry.weak else x


def place(x: Any, like: Any) -> Any:
    """Moves a leaf to the sharding of `like`, if that is an array with a committed one."""
    sharding = _sharding(like)
    return x if sharding is None else jax.device_put(x, sharding)


def _sharding(like):
    settled = isinstance(like, jax.ShapeDtypeStruct) or getattr(like, "committed", False)
    return like.sharding if settled else None


def _weak(x):
    # No public function makes an array weakly typed, but a program compiled for a weakly typed
    # input returns one.
    sharding = x.sharding if x.committed else None
    like = jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding, weak_type=True)
    return jax.jit(lambda x: x).lower(like).compile()(x)


@dataclasses.dataclass(frozen=True)
class Difference:
    """A path at which a checkpoint and the tree it is restored to differ.

    Attributes:
      path: the path, the same in both.
      here: the checkpoint's entry, or None.
      there: the tree's entry, or None.
    """

    path: str
    here: Entry | None
    there: Entry | None

    @property
    def is_of_classes(self) -> bool:
        """True if both are containers of different classes, neither of them built in."""
        return all(e and e.is_container and e.kind not in _CONTAINERS for e in self._both)

    @property
    def _both(self):
        return self.here, self.there

    def __str__(self) -> str:
        here, there = (entry or "nothing" for entry in self._both)
        where = self.path or "the root"
        return f"the checkpoint has {here} at {where}, where {there} is expected"


def differences(saved: Sequence[Entry], wanted: Sequence[Entry]) -> dict[str, Difference]:
    """Returns the topmost differences between a checkpoint and the tree it is restored to."""
    has, wants = ({entry.path: entry for entry in entries} for entries in (saved, wanted))
    found = {}
    for path in dict.fromkeys((*wants, *has)):
        here, there = has.get(path), wants.get(path)
        alike = here and there and here.type == there.type
        if not alike and not is_below(path, found):
            found[path] = Difference(path, here, there)
    return found


def is_below(path: str, others: Collection[str]) -> bool:
    """Returns True if a path leads through one of the others."""
    return any(path[:i] in others for i, character in enumerate(path) if character in ".[")
