"""A single checkpoint: a folder that Orbax writes and commits, including the manifest."""

import dataclasses
import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import jax
from orbax.checkpoint import v1 as ocp

from adaptive_jax.checkpoint import backend, conversion, entries
from adaptive_jax.checkpoint import manifest as manifest_lib
from adaptive_jax.checkpoint.entries import Entry
from adaptive_jax.checkpoint.errors import CheckpointError, MismatchError
from adaptive_jax.checkpoint.manifest import UNFINISHED, Manifest
from adaptive_jax.typing import PyTree
from adaptive_jax.validation import steps as whole_number


def save(
    path: str | PathLike[str],
    tree: PyTree,
    *,
    step: int = 0,
    config: Mapping[str, Any] | None = None,
    optimizer: Any = None,
) -> None:
    """Writes a tree to a new folder atomically: the folder is complete or does not exist.

    Args:
      path: the folder, which must not exist yet.
      tree: a tree of arrays (JAX or NumPy arrays of any shape and dtype, PRNG keys) and Python
        values of type bool, int, float and str, in any containers that JAX knows.
      step: the number of updates made, nonnegative. It is recorded for you to read. Default 0.
      config: a JSON-serializable description of the run, such as the model and the data. `restore`
        compares it. Default: none.
      optimizer: a text, or a transformation whose repr shows its stages and their arguments.
        `restore` compares the text. Default: none.

    To write in the background while training continues, see `Checkpoints`. In a run of several
    processes, all of them must call this with a folder that all of them can access. Each gathers
    the whole tree on its host, and the first writes it.

    Raises:
      CheckpointError: the path exists already, a leaf has another type, or the folder cannot be
        written. Nothing is left at `path`.
      TypeError: the config is not JSON-serializable, or the repr of `optimizer` has a memory
        address.
      ValueError: `step` is not a whole number of at least 0.

    >>> import tempfile
    >>> import jax.numpy as jnp
    >>> import adaptive_jax as aj
    >>> tx, params = aj.adam(1e-3), {"w": jnp.ones(3)}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/last", (params, tx.init(params)), config={"optimizer": "adam"})
    ...     params, state = restore(f"{folder}/last", (params, tx.init(params)))
    >>> params
    {'w': Array([1., 1., 1.], dtype=float32)}
    """
    path = absolute(path)
    if UNFINISHED in path.name:
        raise CheckpointError(
            f"{path} has the name of an unfinished checkpoint: use a name without {UNFINISHED}"
        )
    if os.path.lexists(path):
        raise CheckpointError(f"{path} exists already: use another folder, or remove this one")
    step, optimizer = whole_number("step", step, minimum=0), manifest_lib.optimizer_text(optimizer)
    items = backend.items(tree, step, config, optimizer=optimizer)
    with backend.context(), backend.writing(path):
        try:
            ocp.save_checkpointables(str(path), items)
        except BaseException:
            if jax.process_index() == 0:
                shutil.rmtree(f"{path}{UNFINISHED}", ignore_errors=True)
            raise


def restore(
    path: str | PathLike[str],
    like: PyTree,
    *,
    config: Mapping[str, Any] | None = None,
    optimizer: Any = None,
    partial: bool = False,
    rename_classes: Mapping[str, str] | None = None,
    convert_storage: Mapping[str, Any] | None = None,
) -> PyTree:
    """Restores the tree of a checkpoint, after checking it against `like` and its digests.

    Args:
      path: the checkpoint's folder.
      like: a tree like the one that was saved. Its arrays, or `jax.ShapeDtypeStruct`s, give the
        expected shapes and dtypes, and the device or sharding to restore to, if they are committed
        to one. The sharding at the time of saving does not matter. NumPy arrays are restored as
        NumPy arrays. Static data of containers is taken from `like`.
      config: if given, it must equal the checkpoint's. Default: not compared.
      optimizer: as in `save`; if given, its text must equal the checkpoint's. Default: not
        compared.
      partial: whether to restore the leaves that match and keep the rest of `like`: leaves that
        the checkpoint lacks or has in another shape or dtype, and everything in a container of
        another class. A warning lists the leaves of `like` that were kept and those of the
        checkpoint that were left out. Only matching arrays are read. Default False: everything
        must match.
      rename_classes: a map from class names of containers in the checkpoint to those in `like`,
        such as `{"OldState": "NewState"}`, for classes renamed since. Default: none.
      convert_storage: the arguments of `with_storage`, such as `dict(mu="int8", nu="uint8")`, if
        either the checkpoint's state or that of `like` was made by it. The state is then encoded,
        with the checkpoint's step instead of the count, or decoded. Default: no conversion.

    Every process reads and checks the whole checkpoint, and keeps its own parts.

    Raises:
      CheckpointError: there is no checkpoint at `path`, it was never finished, or it has a newer
        format.
      MismatchError: a container's class, a leaf's shape or dtype, the config or the optimizer
        differs. With `partial`: nothing matches, or `like` has no value for a leaf that does not.
      DamagedError: the files differ from what was written.
      ValueError: `partial` and `convert_storage` are given together.

    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/last", {"w": np.ones(2)})
    ...     restore(f"{folder}/last", {"w": np.zeros(2)})
    {'w': array([1., 1.])}

    To restore only the parameters from a checkpoint that also has a state:

    >>> with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
    ...     save(f"{folder}/last", {"params": np.ones(2), "state": np.ones(4)})
    ...     warnings.simplefilter("ignore")  # the warning that the state is left out
    ...     restore(f"{folder}/last", {"params": np.zeros(2)}, partial=True)
    {'params': array([1., 1.])}
    """
    if partial and convert_storage is not None:
        raise ValueError(
            "partial and convert_storage cannot be given together: convert the whole tree, save "
            "it, and restore a part of the new checkpoint"
        )
    path = absolute(path)
    manifest = manifest_lib.read(path)
    _check_config(path, manifest, config)
    _check_optimizer(path, manifest, manifest_lib.optimizer_text(optimizer))
    manifest = dataclasses.replace(manifest, entries=_renamed(manifest.entries, rename_classes))
    if partial:
        return _restore_part(path, manifest, like)
    if convert_storage is None:
        return _restore(path, manifest, like)
    as_saved = conversion.as_saved(like, manifest.entries, convert_storage)
    tree = _restore(path, manifest, as_saved)
    tree = conversion.converted(tree, like, convert_storage, manifest.step)
    _check(f"{path}, converted,", manifest, [entry for entry, _ in entries.nodes(tree)], like)
    return jax.tree.map(entries.place, tree, like)


def verify(path: str | PathLike[str]) -> Manifest:
    """Reads a whole checkpoint, checks it against its digests, and returns its manifest.

    Args:
      path: the checkpoint's folder.

    Raises:
      CheckpointError, DamagedError: as in `restore`.

    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/last", {"w": np.ones(2)}, step=7)
    ...     verify(f"{folder}/last").step
    7
    """
    path = absolute(path)
    manifest = manifest_lib.read(path)
    backend.load(path, manifest.entries)
    return manifest


def describe(path: str | PathLike[str]) -> Manifest:
    """Returns the manifest of a checkpoint, without reading its arrays.

    Args:
      path: the checkpoint's folder.

    Raises:
      CheckpointError, DamagedError: as in `restore`.

    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/last", {"w": np.ones(2)}, step=7, config={"optimizer": "adam"})
    ...     manifest = describe(f"{folder}/last")
    >>> manifest.step, manifest.config, manifest.bytes
    (7, {'optimizer': 'adam'}, 16)
    """
    return manifest_lib.read(absolute(path))


def absolute(path: str | PathLike[str]) -> Path:
    """Returns the absolute path; raises a CheckpointError if Orbax does not support it."""
    text = str(Path(path))
    if "\0" in text or text != text.encode(errors="ignore").decode():
        raise CheckpointError(f"a path must be UTF-8 without NUL characters, got {text!a}")
    return Path(path).absolute()


def _restore(path, manifest, like):
    _check(path, manifest, manifest.entries, like)
    return _filled(like, manifest, backend.load(path, manifest.entries))


def _restore_part(path, manifest, like):
    found = entries.differences(manifest.entries, [entry for entry, _ in entries.nodes(like)])
    leaves = {jax.tree_util.keystr(k): x for k, x in jax.tree_util.tree_leaves_with_path(like)}
    fitting = {p for p in leaves if p not in found and not entries.is_below(p, found)}
    if leaves and not fitting:
        differ = "; ".join(map(str, found.values()))
        raise MismatchError(f"{path} has nothing that matches: {differ}: {_advice(found)}")
    for p in leaves.keys() - fitting:
        if isinstance(leaves[p], jax.ShapeDtypeStruct):
            raise MismatchError(
                f"{path} has nothing that matches at {p}, and the tree to restore to has no value "
                "there: pass an array instead of a jax.ShapeDtypeStruct"
            )
    if found:
        warnings.warn(f"{path} is restored in part{_listed(found)}", stacklevel=3)
    arrays = backend.load(path, manifest.entries, fitting)
    return _filled(like, manifest, arrays, leaves.keys() - fitting)


def _listed(found):
    """Lists the leaves of the checkpoint that are left out and those of the tree that are kept."""
    left = [f"{d.path} ({d.here})" for d in found.values() if d.there is None]
    kept = [
        f"{d.path or 'the root'} ({d.there}, where the checkpoint has {d.here or 'nothing'})"
        for d in found.values()
        if d.there is not None
    ]
    text = f"; left out: {', '.join(left)}" if left else ""
    return text + (f"; kept as given: {', '.join(kept)}" if kept else "")


def _filled(like, manifest, arrays, kept=()):
    """Fills the tree with the checkpoint's leaves, except at the paths in `kept`."""
    # Leaves are matched by path, because the keys of an OrderedDict may be in another order.
    saved = {entry.path: (entry, arrays.get(i)) for i, entry in enumerate(manifest.entries)}

    def leaf(keys, x):
        path = jax.tree_util.keystr(keys)
        return x if path in kept else entries.rebuild(*saved[path], x)

    return jax.tree_util.tree_map_with_path(leaf, like)


def _check(name, manifest, saved, like):
    """Raises a MismatchError with the first path at which entries and `like` differ."""
    wanted = [entry for entry, _ in entries.nodes(like)]
    found = entries.differences(saved, wanted)
    if not found:
        return
    first, *others = found.values()
    config = f"; its config is {manifest.config}" if manifest.config is not None else ""
    optimizer = f"; its optimizer is {manifest.optimizer}" if manifest.optimizer else ""
    more = f", and {len(others)} more" if others else ""
    advice = f"{_advice(found)}, or pass partial=True to restore what matches"
    if any(map(conversion.is_stored, saved)) != any(map(conversion.is_stored, wanted)):
        advice += ", or to convert, pass the arguments of with_storage as convert_storage"
    raise MismatchError(f"{name} does not match: {first}{more}{config}{optimizer}: {advice}")


def _advice(found):
    """Returns advice on how to resolve the differences."""
    advice = "restore it to a tree like the one that was saved"
    names = {d.here.kind: d.there.kind for d in found.values() if d.is_of_classes}
    if names:
        advice += f", or to treat one class as the other, pass rename_classes={names}"
    return advice


def _renamed(saved: Sequence[Entry], names: Mapping[str, str] | None) -> tuple[Entry, ...]:
    """Renames the classes of containers in the entries."""
    names = names or {}
    return tuple(
        dataclasses.replace(e, kind=names.get(e.kind, e.kind)) if e.is_container else e
        for e in saved
    )


def _check_optimizer(path, manifest, wanted):
    """Raises a MismatchError if the texts of the optimizers differ."""
    if wanted is None or wanted == manifest.optimizer:
        return
    raise MismatchError(
        f"{path} is of the optimizer {manifest.optimizer or '(none recorded)'}, where "
        f"{wanted} is expected: to restore it anyway, pass optimizer=None"
    )


def _check_config(path, manifest, config):
    """Raises a MismatchError with the first key at which the configs differ."""
    wanted, saved = manifest_lib.check_config(config), manifest.config
    if wanted is None or wanted == saved:
        return
    if saved is None:
        raise MismatchError(
            f"{path} has no config, where {wanted} is expected: to restore it anyway, pass "
            "config=None"
        )
    here, there = _flat(saved), _flat(wanted)
    key = next(k for k in (*there, *here) if here.get(k, ...) != there.get(k, ...))
    here, there = (repr(flat[key]) if key in flat else "missing" for flat in (here, there))
    raise MismatchError(
        f"{path} is of another run: config{key} is {here}, where {there} is expected; its config "
        f"is {saved}, the one given is {wanted}"
    )


def _flat(config):
    """Returns the values of a config by path; an empty list or mapping counts as a value."""
    leaves = jax.tree_util.tree_leaves_with_path(config, is_leaf=lambda x: x in (None, [], {}))
    return {jax.tree_util.keystr(keys): leaf for keys, leaf in leaves}
