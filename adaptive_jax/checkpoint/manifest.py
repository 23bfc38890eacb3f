"""The manifest: what a checkpoint says of itself, in JSON, with a digest of that."""

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
"""Of Orbax's item that the file is in."""
FILE = "manifest.json"
UNFINISHED = ".orbax-checkpoint-tmp"
"""How Orbax names a folder until it is whole, and removes what has such a name."""


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What is in a checkpoint, as `describe` and `verify` return it.

    Attributes:
      step: as it was given.
      config: as it was given, or None.
      entries: every node of the tree. Orbax has entry i, if it is an array with an element, as
        the array "i" of its item "arrays".
      optimizer: its text, or None.
      run: of a checkpoint of `Checkpoints`, a random name that all of one run share, else "".
      order: of a checkpoint of `Checkpoints`, its number among those of its run, from 1 on: the
        highest is the newest, whatever its step. Else 0.
    """

    step: int
    config: Mapping[str, Any] | None
    entries: tuple[Entry, ...]
    optimizer: str | None = None
    run: str = ""
    order: int = 0

    @property
    def bytes(self) -> int:
        """How many the arrays take in memory."""
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
    """The config as JSON gives it back; raises a TypeError if it is none that JSON can say."""
    try:
        return json.loads(json.dumps(config, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise TypeError(f"config must be made of what JSON can say: {error}") from error


def optimizer_text(optimizer: Any) -> str | None:
    """What a checkpoint says of its optimizer: the text given, or the repr of anything else.

    Raises:
      TypeError: the repr has an address in memory, so another process would give another.
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
    """The step whose folder has this name, None for the name of anything else."""
    canonical = name.isascii() and name.isdecimal() and (name == "0" or name[0] != "0")
    return int(name) if canonical else None


def read(path: Path) -> Manifest:
    """The manifest of the checkpoint at `path`.

    Raises:
      CheckpointError: there is no checkpoint, it was never finished, cannot be read now, or has a
        newer format.
      DamagedError: the manifest is not what was written.
    """
    if UNFINISHED in path.name:
        raise CheckpointError(f"{path} was never finished: restore another checkpoint")
    file = path / NAME / FILE
    try:
        if not file.is_file():  # a device or a pipe might never end
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        body = json.loads(file.read_bytes())
    except OSError as error:
        raise _absent(path, error) from error
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{file} is damaged: {error}") from error
    if not isinstance(body, dict) or body.pop("digest", None) != _digest(body):
        raise DamagedError(f"{file} is damaged: its text is not the one that its digest is of")
    try:
        return _parse(path, body)
    except (KeyError, TypeError) as error:
        raise DamagedError(f"{file} is damaged: {error!r}") from error


def _parse(path, body):
    if body["version"] > VERSION:
        raise CheckpointError(
            f"{path} has format {body['version']}, and this version of adaptive_jax reads formats "
            f"up to {VERSION}: install a newer one"
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
            f"{path} is a folder of checkpoints and none itself: restore {path / str(within[-1])}, "
            "or use Checkpoints"
        )
    return DamagedError(
        f"{path} is no checkpoint, or a damaged one: cannot read {NAME}/{FILE}: {error.strerror}"
    )
