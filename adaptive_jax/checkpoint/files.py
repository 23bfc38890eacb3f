"""One checkpoint: a folder that Orbax writes and commits, with the manifest as one of its items."""

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
    """Writes a tree, as one folder that is there whole or not at all.

    Args:
      path: of the folder, which must not exist yet.
      tree: of arrays (JAX's and NumPy's of any shape and dtype, keys of random numbers) and
        Python's bool, int, float and str, in any containers that JAX knows.
      step: how many updates were made, for you to read again; not negative. Default 0.
      config: what the state is of, such as the model and the data, as JSON can say it. `restore`
        compares it. Default: none.
      optimizer: what the state is of: a text, or a transformation whose repr says its stages and
        their arguments. `restore` compares the text. Default: none.

    To write while training goes on, see `Checkpoints`. In a run of several processes all of them
    call this, with a folder that all of them reach; each gathers the whole tree on its host, and
    the first writes it.

    Raises:
      CheckpointError: something is there already, a leaf is of another kind, or the folder cannot
        be written; nothing is left at `path`.
      TypeError: JSON cannot say the config, or the repr of `optimizer` has a memory address.
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
        raise CheckpointError(f"{path} has the name of an unfinished checkpoint: name another")
    if os.path.lexists(path):
        raise CheckpointError(f"{path} exists already: name another folder, or remove that one")
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
    """The tree of a checkpoint, after all of it has been compared with `like` and its digests.

    Args:
      path: of the folder.
      like: a tree such as was saved. Its arrays, or `jax.ShapeDtypeStruct`s in their place, say
        what is expected, and where it is to be: on the device or in the sharding that an array
        is committed to, whatever it had when it was saved. NumPy's give NumPy's. What containers
        have beside their leaves is that of `like`, too.
      config: if given, it must be the checkpoint's. Default: not compared.
      optimizer: as `save` takes it; if given, its text must be the checkpoint's. Default: not
        compared.
      partial: whether to restore what fits and keep the rest of `like`: leaves that the
        checkpoint lacks or has in another shape or dtype, and all that is in a container of
        another class. A warning lists what was kept, and what of the checkpoint was left out.
        Only the arrays that fit are read. Default False: all of both must fit.
      rename_classes: classes of containers in the checkpoint by the names that they have in
        `like`, as in `{"OldState": "NewState"}`, for those that were renamed since. Default: none.
      convert_storage: the arguments of `with_storage`, as in `dict(mu="int8", nu="uint8")`, if it
        made either the checkpoint's state or that of `like`, and the other is to be converted:
        encoded with the checkpoint's step in place of the count, or decoded.

    Every process reads and checks the whole checkpoint and keeps its own parts.

    Raises:
      CheckpointError: there is none at `path`, it was never finished or has a newer format.
      MismatchError: a container's class, a leaf's shape or dtype, the config or the optimizer
        differs; with `partial`, nothing fits, or `like` has no value for what does not.
      DamagedError: the files are not what was written.
      ValueError: `partial` and `convert_storage` are given together.

    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/last", {"w": np.ones(2)})
    ...     restore(f"{folder}/last", {"w": np.zeros(2)})
    {'w': array([1., 1.])}

    Parameters alone, of a checkpoint that has a state, too:

    >>> with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
    ...     save(f"{folder}/last", {"params": np.ones(2), "state": np.ones(4)})
    ...     warnings.simplefilter("ignore")  # that the state is left out
    ...     restore(f"{folder}/last", {"params": np.zeros(2)}, partial=True)
    {'params': array([1., 1.])}
    """
    if partial and convert_storage is not None:
        raise ValueError(
            "partial and convert_storage cannot be given together: convert the whole tree, save "
            "it, and restore a part of that"
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
    """Reads all of a checkpoint, compares it with its digests, and returns its manifest.

    Args:
      path: of the folder.

    Raises:
      CheckpointError, DamagedError: as `restore` does.

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
    """What a checkpoint says of itself; its arrays are not read.

    Args:
      path: of the folder.

    Raises:
      CheckpointError, DamagedError: as `restore` does.

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
    """The path from the root; raises a CheckpointError for one that Orbax cannot have."""
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
        raise MismatchError(f"{path} has nothing that fits: {differ}: {_advice(found)}")
    for p in leaves.keys() - fitting:
        if isinstance(leaves[p], jax.ShapeDtypeStruct):
            raise MismatchError(
                f"{path} has nothing that fits at {p}, and the tree to restore it to has no value "
                "there: give it one"
            )
    if found:
        warnings.warn(f"{path} is restored in part{_listed(found)}", stacklevel=3)
    arrays = backend.load(path, manifest.entries, fitting)
    return _filled(like, manifest, arrays, leaves.keys() - fitting)


def _listed(found):
    """What of a checkpoint is left out, and what of the tree is kept."""
    left = [f"{d.path} ({d.here})" for d in found.values() if d.there is None]
    kept = [
        f"{d.path or 'the root'} ({d.there}, where the checkpoint has {d.here or 'nothing'})"
        for d in found.values()
        if d.there is not None
    ]
    text = f"; left out: {', '.join(left)}" if left else ""
    return text + (f"; kept as given: {', '.join(kept)}" if kept else "")


def _filled(like, manifest, arrays, kept=()):
    """The tree with the checkpoint's leaves but at the paths that are kept."""
    # By path: the keys of an OrderedDict may be in another order.
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
    advice = f"{_advice(found)}, or give partial=True to restore what fits"
    if any(map(conversion.is_stored, saved)) != any(map(conversion.is_stored, wanted)):
        advice += ", or to convert, give restore with_storage's arguments as convert_storage"
    raise MismatchError(f"{name} does not fit: {first}{more}{config}{optimizer}: {advice}")


def _advice(found):
    """What to do about differences."""
    advice = "restore it to a tree like the one that was saved"
    names = {d.here.kind: d.there.kind for d in found.values() if d.is_of_classes}
    if names:
        advice += f", or to take one class for the other, give rename_classes={names}"
    return advice


def _renamed(saved: Sequence[Entry], names: Mapping[str, str] | None) -> tuple[Entry, ...]:
    """Entries with containers' classes renamed."""
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
        f"{path} is of the optimizer {manifest.optimizer or '(it does not say which)'}, where "
        f"{wanted} is wanted: to restore it anyway, give optimizer=None"
    )


def _check_config(path, manifest, config):
    """Raises a MismatchError with the first key at which the configs differ."""
    wanted, saved = manifest_lib.check_config(config), manifest.config
    if wanted is None or wanted == saved:
        return
    if saved is None:
        raise MismatchError(f"{path} has no config, where {wanted} is wanted: give none")
    here, there = _flat(saved), _flat(wanted)
    key = next(k for k in (*there, *here) if here.get(k, ...) != there.get(k, ...))
    here, there = (repr(flat[key]) if key in flat else "missing" for flat in (here, there))
    raise MismatchError(
        f"{path} is of another run: config{key} is {here}, where {there} is wanted; its config is "
        f"{saved}, the one given {wanted}"
    )


def _flat(config):
    """Values by their paths; an empty list or mapping is one."""
    leaves = jax.tree_util.tree_leaves_with_path(config, is_leaf=lambda x: x in (None, [], {}))
    return {jax.tree_util.keystr(keys): leaf for keys, leaf in leaves}
