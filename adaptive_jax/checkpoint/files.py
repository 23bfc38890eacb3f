"""One checkpoint: a folder that Orbax writes and commits, with the manifest as one of its items."""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import jax
from orbax.checkpoint import v1 as ocp

from adaptive_jax.checkpoint import backend, conversion, entries
from adaptive_jax.checkpoint import manifest as manifest_lib
from adaptive_jax.checkpoint.errors import CheckpointError, MismatchError
from adaptive_jax.checkpoint.manifest import Manifest
from adaptive_jax.typing import PyTree
from adaptive_jax.validation import steps as whole_number


def save(
    path: str | PathLike[str],
    tree: PyTree,
    *,
    step: int = 0,
    config: Mapping[str, Any] | None = None,
) -> None:
    """Writes a tree, as one folder that is there whole or not at all.

    Args:
      path: of the folder, which must not exist yet.
      tree: of arrays (JAX's and NumPy's of any shape and dtype, keys of random numbers) and
        Python's bool, int, float and str, in any containers that JAX knows.
      step: how many updates were made, for you to read again; not negative. Default 0.
      config: what the state is of, the optimizer's name and hyperparameters say, as JSON can say
        it. `restore` compares. Default: none.

    To write while training goes on, see `Checkpoints`. In a run of several processes all of them
    call this, with a folder that all of them reach; each gathers the whole tree on its host, and
    the first writes it.

    Raises:
      CheckpointError: something is there already, a leaf is of another kind, or the folder cannot
        be written; nothing is left at `path`.
      TypeError: JSON cannot say the config.
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
    path = Path(path).absolute()
    if path.exists():
        raise CheckpointError(f"{path} exists already: name another folder, or remove that one")
    items = backend.items(tree, whole_number("step", step, minimum=0), config)
    with backend.context(), backend.writing(path):
        ocp.save_checkpointables(str(path), items)


def restore(
    path: str | PathLike[str],
    like: PyTree,
    *,
    config: Mapping[str, Any] | None = None,
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
      convert_storage: the arguments of `with_storage`, as in `dict(mu="int8", nu="uint8")`, if it
        made either the checkpoint's state or that of `like`, and the other is to be converted:
        encoded with the checkpoint's step in place of the count, or decoded.

    Every process reads and checks the whole checkpoint and keeps its own parts.

    Raises:
      CheckpointError: there is none at `path`, it was never finished or has a newer format.
      MismatchError: a container's class, a leaf's shape or dtype, or the config differs.
      DamagedError: the files are not what was written.

    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(f"{folder}/last", {"w": np.ones(2)})
    ...     restore(f"{folder}/last", {"w": np.zeros(2)})
    {'w': array([1., 1.])}
    """
    path = Path(path).absolute()
    manifest = manifest_lib.read(path)
    _check_config(path, manifest, config)
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
    path = Path(path).absolute()
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
    return manifest_lib.read(Path(path).absolute())


def _restore(path, manifest, like):
    _check(path, manifest, manifest.entries, like)
    arrays = backend.load(path, manifest.entries)
    # By path: the keys of an OrderedDict may be in another order.
    saved = {entry.path: (entry, arrays.get(i)) for i, entry in enumerate(manifest.entries)}
    leaves = [
        entries.rebuild(*saved[jax.tree_util.keystr(keys)], leaf)
        for keys, leaf in jax.tree_util.tree_leaves_with_path(like)
    ]
    return jax.tree.unflatten(jax.tree.structure(like), leaves)


def _check(name, manifest, saved, like):
    """Raises a MismatchError with the first path at which entries and `like` differ."""
    wanted = [entry for entry, _ in entries.nodes(like)]
    found = entries.differences(saved, wanted)
    if not found:
        return
    config = f"; its config is {manifest.config}" if manifest.config is not None else ""
    more = f", and {len(found) - 1} more" if found[1:] else ""
    advice = "restore it to a tree like the one that was saved"
    if any(map(conversion.is_stored, saved)) != any(map(conversion.is_stored, wanted)):
        advice += ", or to convert, give restore with_storage's arguments as convert_storage"
    raise MismatchError(f"{name} does not fit: {found[0]}{more}{config}: {advice}")


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
