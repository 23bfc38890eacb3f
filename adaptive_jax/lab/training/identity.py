"""The identity of a run: digests of its parts, and its settings as text."""

import functools
import importlib.metadata
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from adaptive_jax.lab.training.digests import (
    LIBRARIES,
    NAME,
    UnidentifiedError,
    digest,
    is_in_packages,
)
from adaptive_jax.lab.workloads.workload import Data, Split, Stream, Workload
from adaptive_jax.typing import PyTree

_LENGTH = 12  # hexadecimal digits of a unique string


def identified(name: str, *values: Any) -> str:
    """Returns the digest of values, or a unique string if they cannot be read.

    Args:
      name: What the values are, for that string.
      *values: The values, as in `digest`.
    """
    try:
        return digest(*values)
    except UnidentifiedError as error:
        return f"{_UNIDENTIFIED}{name}: {error} ({uuid.uuid4().hex[:_LENGTH]})"


def of_workload(workload: Workload, data: Data, model: PyTree) -> dict[str, str]:
    """Returns digests of everything but the optimizer that decides what a run computes.

    Args:
      workload: The workload.
      data: Its data.
      model: The shapes and dtypes of the model's variables.
    """
    splits = {name: _contents(split) for name, split in data._asdict().items()}
    shapes = [
        (jax.tree_util.keystr(path), x.shape, str(x.dtype))
        for path, x in jax.tree_util.tree_leaves_with_path(model)
    ]
    return {
        "model": identified("model", workload.model),
        "parameters": identified("parameters", shapes),
        "loss": identified("loss", workload.loss),
        "accuracy": identified("accuracy", workload.accuracy),
        "metric": f"{workload.metric}, target {workload.target}",
        "data": identified("data", splits),
        "augmentation": identified("augmentation", workload.augment),
        "versions": versions(),
    }


def _contents(split):
    """Returns what a split's digest covers: of a stream, the function and its first batch."""
    if isinstance(split, Stream):
        return split.batches, split.steps, tuple(Split.of(next(iter(split.batches(0, 0)))))
    return tuple(split)


def check_identified(identity: Mapping[str, str]) -> None:
    """Raises an UnidentifiedError if a part of an identity has no digest."""
    for text in identity.values():
        if text.startswith(_UNIDENTIFIED):
            reason = text.removeprefix(_UNIDENTIFIED).rpartition(" (")[0]
            raise UnidentifiedError(
                f"cannot tell whether earlier runs were of the same {reason}. Set a name on the "
                f"function that uses it, and another one whenever it changes: "
                f'function.{NAME} = "version 1"'
            )


_UNIDENTIFIED = "unidentified "


def plain(value: Any) -> Any:
    """Returns a setting as JSON can hold it: numbers and strings as they are, others as `text`."""
    value = _python(value)
    if isinstance(value, (bool, int, float, str, type(None))):
        return value
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return [plain(item) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: plain(item) for key, item in value.items()}
    return text(value)


def text(value: Any) -> str:
    """Returns a setting as a short string without addresses in memory.

    Numbers, strings, None, and lists, tuples and dicts of these become Python literals.
    Everything else becomes a name, "#" and a digest.

    >>> text(np.float32(0.5)), text(True), text((0.9, "a")), text(jnp.bfloat16)
    ('0.5', 'true', "(0.9, 'a')", "'bfloat16'")
    """
    value = _python(value)
    if isinstance(value, bool):
        return str(value).lower()
    if _is_literal(value):
        return repr(value)
    try:
        end = digest(value)
    except UnidentifiedError:
        end = uuid.uuid4().hex
    return f"{_name(value)}#{end[:8]}"


def _python(value: Any) -> Any:
    """Returns a 0-d array as a Python number and a dtype as its name, other values unchanged."""
    is_array = isinstance(value, (np.generic, np.ndarray, jax.Array)) and not np.ndim(value)
    if is_array and (jnp.issubdtype(value.dtype, np.number) or value.dtype == bool):
        return np.asarray(value).item()
    if isinstance(value, np.dtype):
        return value.name
    is_numpy = isinstance(value, type) and issubclass(value, np.generic)
    is_jax = callable(value) and isinstance(getattr(value, "dtype", None), np.dtype)
    return jnp.dtype(cast(Any, value)).name if is_numpy or is_jax else value


def _is_literal(value):
    if isinstance(value, Mapping):
        return type(value) is dict and all(map(_is_literal, (*value, *value.values())))
    if type(value) in (list, tuple):
        return all(map(_is_literal, value))
    return isinstance(value, (bool, int, float, str, type(None)))


def _name(value):
    inner = value.func if isinstance(value, functools.partial) else value
    name = getattr(inner, "__qualname__", None) or type(inner).__qualname__
    name = name.replace(".<locals>", "").replace("<", "").replace(">", "")
    return "".join(c if c.isalnum() or c in "._" else "_" for c in name)


@functools.cache
def versions() -> str:
    """Returns the versions of the libraries that decide what a run computes.

    For a checkout of this library there is also a digest of its files.
    """
    known = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    folder = Path(__file__).parents[2]  # adaptive_jax
    if is_in_packages(folder):
        return known
    paths = sorted(folder.rglob("*.py"))
    files = [path for path in paths if _RESULT_FREE.isdisjoint(path.relative_to(folder).parts)]
    return f"{known}, files {digest([path.read_bytes() for path in files])}"


# Folders of this library whose code starts runs or reads their results, but computes none.
_RESULT_FREE = {"analysis", "checkpoint", "cli", "comparison", "report", "statistics", "surfaces"}
