"""The interface to Orbax, which writes and commits folders and reads arrays."""

import asyncio
import contextlib
import dataclasses
import errno
import logging
import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from adaptive_jax.checkpoint import entries as entries_lib
from adaptive_jax.checkpoint import manifest as manifest_lib
from adaptive_jax.checkpoint.entries import Entry
from adaptive_jax.checkpoint.errors import CheckpointError, DamagedError
from adaptive_jax.checkpoint.manifest import Manifest
from adaptive_jax.typing import PyTree

_ARRAYS = "arrays"
# These errors mean that files cannot be read now, not that they are damaged.
_UNREADABLE = {errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


@dataclasses.dataclass(frozen=True)
class _Undigested:
    """A manifest without digests, and the arrays (by index of entry) to compute them from."""

    manifest: Manifest
    arrays: Mapping[int, np.ndarray]

    def digested(self) -> Manifest:
        entries = list(self.manifest.entries)
        for i, array in self.arrays.items():
            entries[i] = dataclasses.replace(entries[i], digest=entries_lib.digest(array))
        return dataclasses.replace(self.manifest, entries=tuple(entries))


class _ManifestHandler:
    """Makes Orbax write the manifest in the background and commit it with the arrays."""

    async def save(self, directory, checkpointable):
        return self._write(directory, checkpointable)

    async def _write(self, directory, undigested):
        text = await asyncio.to_thread(lambda: undigested.digested().to_json())
        directory = await directory.await_creation()
        if jax.process_index() == 0:
            (directory / manifest_lib.FILE).write_text(text)

    async def load(self, directory, abstract_checkpointable=None):
        raise NotImplementedError("read a manifest with manifest.read")

    async def metadata(self, directory):
        return None

    def is_handleable(self, checkpointable):
        return isinstance(checkpointable, _Undigested)

    def is_abstract_handleable(self, abstract_checkpointable):
        return None


def context() -> ocp.Context:
    """Returns Orbax's settings: the manifest is an item, and arrays need no further host copy."""
    registry = ocp.handlers.local_registry()
    registry.add(_ManifestHandler, checkpointable_name=manifest_lib.NAME)
    settings = ocp.Context()
    settings.checkpointables.registry = registry
    settings.memory.deepcopy_host_arrays = False
    # Otherwise Orbax waits five minutes for a folder that cannot be created.
    settings.asynchronous.create_directories_asynchronously = False
    return settings


def items(tree: PyTree, step: int, config: Mapping[str, Any] | None, **more: Any) -> dict[str, Any]:
    """Returns the items for Orbax to write, after copying the tree's arrays to the host.

    Args:
      tree: the tree to write.
      step, config, **more: fields of the manifest.
    """
    config = manifest_lib.check_config(config)
    nodes = list(entries_lib.nodes(tree))
    by_path = {entry.path: i for i, (entry, _) in enumerate(nodes)}
    if len(by_path) < len(nodes):
        twice = next(e.path for i, (e, _) in enumerate(nodes) if by_path[e.path] != i)
        raise CheckpointError(f"two nodes of the tree have the path {twice}: rename one of them")
    for leaf in jax.tree.leaves(tree):
        if isinstance(leaf, jax.Array):
            leaf.copy_to_host_async()
    arrays = {i: entries_lib.copied(x) for i, (entry, x) in enumerate(nodes) if entry.is_stored}
    manifest = Manifest(step, config, tuple(entry for entry, _ in nodes), **more)
    written: dict[str, Any] = {manifest_lib.NAME: _Undigested(manifest, arrays)}
    if arrays:
        written[_ARRAYS] = {str(i): array for i, array in arrays.items()}
    return written


def load(
    path: Path, entries: Sequence[Entry], paths: Collection[str] | None = None
) -> dict[int, np.ndarray]:
    """Reads the arrays of a checkpoint, checks their digests, and returns them by index of entry.

    Args:
      path: the checkpoint's folder.
      entries: the entries of its manifest.
      paths: the paths of the entries to read. Default: all.

    Raises:
      CheckpointError: the files cannot be read now.
      DamagedError: Orbax cannot read them, or an array has another digest.
    """
    stored = {i: entry for i, entry in enumerate(entries) if entry.is_stored}
    read = {i: e for i, e in stored.items() if paths is None or e.path in paths}
    if not read:
        return {}
    wanted = {str(i): entries_lib.stand_in(entry) for i, entry in read.items()}
    settings = ocp.Context()
    settings.pytree.loading.partial_load = len(read) < len(stored)
    try:
        with settings:
            found = ocp.load(str(path), wanted, checkpointable_name=_ARRAYS)
        arrays = {i: found[str(i)] for i in read}
    except MemoryError:
        raise
    except Exception as error:  # Orbax raises many kinds, depending on what is damaged
        if _error_code(error) in _UNREADABLE:
            raise CheckpointError(f"cannot read {path}: {brief(error)}") from error
        raise DamagedError(f"{path} is damaged: Orbax cannot read it: {brief(error)}") from error
    for i, array in arrays.items():
        if entries_lib.digest(array) != entries[i].digest:
            leaf = entries[i].path or "the array"
            raise DamagedError(f"{path} is damaged: {leaf} differs from what was saved")
    return arrays


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns Orbax's errors about a folder that cannot be written into a one-line error."""
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:  # from the file system, from TensorStore, or groups of them
        raise CheckpointError(f"cannot write {path}: {brief(error)}") from error


def brief(error: BaseException) -> str:
    """Returns the first and last part of an error's message; TensorStore's is long in between."""
    code = _error_code(error)
    if code is not None:
        return os.strerror(code)
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    what, *between = str(error).split(" [tensorstore_spec")[0].split(": ")
    text = " ".join(": ".join((what, *between[-1:])).split())
    return text or type(error).__name__


def _error_code(error):
    """Returns the operating system's error number, also from a TensorStore error or a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, OSError):
        return error.errno
    code = re.search(r"\[os_error_code='(\d+)'\]", str(error))
    return int(code[1]) if code else None


def quiet() -> None:
    """Silences Orbax and asyncio for the rest of the process, so that a one-line error is visible.

    Orbax logs errors at length before it raises them. Python also prints a message each time that
    TensorStore reports to an event loop that Orbax has closed.
    """
    for name in ("absl", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    sys.unraisablehook = _unless_of_a_closed_loop


def _unless_of_a_closed_loop(unraisable):
    if str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)
