"""The manifest: a checkpoint's description of itself, in JSON, with a digest of its text."""

import dataclasses
import errno
import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adaptive_jax.checkpoint.entries import Entry, stand_in
from adaptive_jax.checkpoint.errors import CheckpointError, DamagedError

FORMAT = "adaptive_jax.checkpoint"
VERSION = 1
NAME = "manifest"
"""The name of Orbax's item that holds the file."""
FILE = "manifest.json"
UNFINISHED = ".orbax-checkpoint-tmp"
"""The suffix of an unfinished folder. Orbax removes folders with this suffix."""


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The contents of a checkpoint, as returned by `describe` and `verify`.

    Attributes:
      step: the step passed to `save`.
      config: the config passed to `save`, or None.
      entries: every node of the tree. If entry i is an array with elements, Orbax stores it as the
        array "i" of its item "arrays".
      optimizer: the text of the optimizer, or None.
      run: a random name shared by all checkpoints of one run of `Checkpoints`, otherwise "".
      order: the checkpoint's number in its run of `Checkpoints`, counted from 1: the highest is the
        newest, whatever its step. Otherwise 0.
    """

    step: int
    config: Mapping[str, Any] | None
    entries: tuple[Entry, ...]
    optimizer: str | None = None
    run: str = ""
    order: int = 0

    @property
    def bytes(self) -> int:
        """The size of the arrays in memory."""
        return sum(stand_in(entry).nbytes for entry in self.entries if entry.is_stored)

    def to_json(self) -> str:
        """The text of the file."""
        blank = {field.name: field.default for field in dataclasses.fields(Entry)}
        entries = [
            {k: v for k, v in dataclasses.asdict(entry).items() if k == "path" or v != blank[k]}
            for entry in self.entries
        ]
        body = {"format": FORMAT, "version": VERSION, "step": self.step, "config": self.config}
        body |= {"optimizer": self.optimizer, "run": self.run, "order": self.order}
        body["entries"] = entries
        return json.dumps({"digest": _digest(body), **body})


def check_config(config: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Returns the config after a round trip through JSON; raises a TypeError if that fails."""
    try:
        return json.loads(json.dumps(config, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise TypeError(f"config must be JSON-serializable: {error}") from error


def optimizer_text(optimizer: Any) -> str | None:
    """Returns the text that describes an optimizer: a text itself, or the repr of anything else.

    Raises:
      TypeError: the repr has a memory address, which differs from process to process.
    """
    if optimizer is None or isinstance(optimizer, str):
        return optimizer
    text = repr(optimizer)
    if re.search(r"\bat 0x[0-9a-fA-F]+", text):
        raise TypeError(
            f"optimizer must be a text or have a repr without memory addresses, got {text[:200]}: "
            "describe it, as in optimizer='adam(learning_rate=0.001)'"
        )
    return text


def step_of(name: str) -> int | None:
    """Returns the step whose folder has this name, or None if it is not such a name."""
    canonical = name.isascii() and name.isdecimal() and (name == "0" or name[0] != "0")
    return int(name) if canonical else None


def read(path: Path) -> Manifest:
    """Reads the manifest of the checkpoint at `path`.

    Raises:
      CheckpointError: there is no checkpoint, or it was never finished, cannot be read now, or has
        a newer format.
      DamagedError: the manifest differs from what was written.
    """
    if UNFINISHED in path.name:
        raise CheckpointError(f"{path} was never finished: restore another checkpoint")
    file = path / NAME / FILE
    try:
        if not file.is_file():  # reading a device or a pipe might never end
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        body = json.loads(file.read_bytes())
    except OSError as error:
        raise _absent(path, error) from error
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{file} is damaged: {error}") from error
    if not isinstance(body, dict) or body.pop("digest", None) != _digest(body):
        raise DamagedError(f"{file} is damaged: its text does not match its digest")
    try:
        return _parse(path, body)
    except (KeyError, TypeError) as error:
        raise DamagedError(f"{file} is damaged: {error!r}") from error


def _parse(path, body):
    if body["version"] > VERSION:
        raise CheckpointError(
            f"{path} has format {body['version']}, and this version of adaptive_jax reads formats "
            f"up to {VERSION}: install a newer version"
        )
    for entry in body["entries"]:
        if "shape" in entry:
            entry["shape"] = tuple(entry["shape"])
    entries = tuple(Entry(**entry) for entry in body["entries"])
    step, run, order = body["step"], body.get("run", ""), body.get("order", 0)
    if (type(step), type(run), type(order)) != (int, str, int):
        raise TypeError(f"step, run and order are {step!r}, {run!r} and {order!r}")
    return Manifest(step, body["config"], entries, body.get("optimizer"), run, order)


def _digest(body):
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _absent(path, error):
    if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
        return CheckpointError(f"cannot read {path}: {error.strerror}")
    if not path.exists():
        return CheckpointError(f"there is no checkpoint {path}")
    if not path.is_dir():
        return CheckpointError(f"{path} is a file; a checkpoint is a folder")
    within = sorted(s for child in path.iterdir() if (s := step_of(child.name)) is not None)
    if within:
        return CheckpointError(
            f"{path} is a folder of checkpoints, not a checkpoint: restore "
            f"{path / str(within[-1])}, or use Checkpoints"
        )
    return DamagedError(
        f"{path} is not a checkpoint, or it is damaged: cannot read {NAME}/{FILE}: {error.strerror}"
    )
