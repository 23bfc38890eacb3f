"""Runs on disk: one JSON object a line, in `runs.jsonl`."""

import contextlib
import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from adaptive_jax.locks import LockedError, WriterLock, locked
from adaptive_jax.training.config import Member
from adaptive_jax.training.identity import plain
from adaptive_jax.training.population import History, Population


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """One finished run: what it was, and what came of it.

    Attributes:
      id: digest of what was run, `identity` included, by which reports refer to it and a resumed
        comparison finds it.
      workload: its name.
      optimizer: label, as on the command line: `"sgd:momentum=0.9"`.
      hyperparameters: all of them, defaults included.
      varied: those of them that the comparison chose.
      phase: "train" for a single run; in a comparison "tune", "default" (the tuning run of an
        optimizer at its defaults) or "final".
      seed, epochs, batch_size, schedule, steps: what was run.
      parameters: how many numbers the model has.
      examples: of each split, by its name.
      metric: "accuracy" or "loss", what the workload is judged by.
      target: the workload's, of that metric on validation data.
      initial_loss: of the first mini-batch, before any update.
      curve: for each epoch, training loss and accuracy over its mini-batches and validation
        loss and accuracy after it; no accuracy if the workload has none.
      rates: for each epoch, how many of the parameters' effective learning rates lay between
        neighbors of `diagnostics.RATE_EDGES` at its last step; None for an optimizer whose updates
        are no direction times a scale.
      final: loss and accuracy on whole data sets, at the end. A tuning run has no test metrics.
      diverged: the training loss ended non-finite, or above twice the initial one.
      train_seconds: wall-clock, an equal share of what the runs beside it took: no measure of
        its optimizer, see `cost`.
      compile_seconds: what its group of runs took to compile.
      cost: of the optimizer on this model, measured apart from the runs, in a final run; see
        `comparison.cost.measure_costs`.
      versions, device: of Python, the libraries, and the machine: "cpu", "8 × NVIDIA H100".
      identity: digests of the code and data that were run, see `Population.identity`; empty in
        records of versions that had none.
    """

    id: str
    workload: str
    optimizer: str
    hyperparameters: Mapping[str, Any]
    varied: Mapping[str, float]
    phase: str
    seed: int
    epochs: int
    batch_size: int
    schedule: str
    steps: int
    parameters: int
    examples: Mapping[str, int]
    metric: str
    target: float | None
    initial_loss: float
    curve: Sequence[Mapping[str, float]]
    rates: list[list[int]] | None
    final: Mapping[str, float]
    diverged: bool
    train_seconds: float
    compile_seconds: float
    cost: Mapping[str, float] | None
    versions: Mapping[str, str]
    device: str
    identity: Mapping[str, str] = dataclasses.field(default_factory=dict)


class FolderError(ValueError):
    """A folder of runs holds something else than it should; the message is meant for the user."""


def run_id(population: Population, member: Member) -> str:
    """Digest of all that decides what the run computes: the same for the same run, always."""
    identity = population.identity(member.optimizer)
    text = json.dumps(_to_json([population.description(member), identity]), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def make_record(
    population: Population, history: History, cost: Mapping[str, float] | None = None
) -> RunRecord:
    """The record of one member of a population."""
    member = history.member
    workload = population.workload
    hyperparameters = {**member.optimizer.given, **member.hyperparameters}
    final = history.final
    if member.phase in ("tune", "default"):
        final = {name: value for name, value in final.items() if not name.startswith("test")}
    return RunRecord(
        id=run_id(population, member),
        workload=workload.name,
        optimizer=member.optimizer.label,
        hyperparameters={name: plain(value) for name, value in hyperparameters.items()},
        varied=dict(member.hyperparameters),
        phase=member.phase,
        seed=member.seed,
        epochs=population.epochs,
        batch_size=population.batch_size,
        schedule=population.schedule,
        steps=population.steps // population.epochs * len(history.curve),
        parameters=population.parameters,
        examples=population.examples,
        metric=workload.metric,
        target=workload.target,
        initial_loss=history.initial_loss,
        curve=history.curve,
        rates=history.rates,
        final=final,
        diverged=history.diverged,
        train_seconds=history.train_seconds,
        compile_seconds=history.compile_seconds,
        cost=cost,
        versions=_versions(),
        device=population.device,
        identity=population.identity(member.optimizer),
    )


@functools.cache
def _versions() -> dict[str, str]:
    packages = ("adaptive_jax", "jax", "jaxlib", "flax", "optax", "numpy")
    versions = {name: importlib.metadata.version(name) for name in packages}
    return {"python": platform.python_version(), **versions}


@contextlib.contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Holds a lock on the folder: a file that names the host, the process, and since when.

    Raises:
      FolderError: another process holds it; the message names that process.
    """
    lock = WriterLock(folder / "lock.json")
    try:
        lock.acquire()
    except LockedError as error:
        raise FolderError(f"{error}: wait until that finishes, or use another folder") from error
    try:
        yield
    finally:
        lock.release()


def append(path: Path, record: RunRecord) -> None:
    """Adds the record as a line of its own. NaN and infinity, which JSON lacks, become texts.

    What a kill left of a last line is removed. Several processes may append at a time.
    """
    with locked(path) as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read() != b"\n":
                _whole(file)
        file.write(_line(record))


def read(path: Path) -> list[RunRecord]:
    """The records of a file in order, each run of a comparison once.

    A last line cut short by a kill is left out, and so is the part of a line that one left
    before a whole record.

    Raises:
      FolderError: another line is no record; the message names it.
    """
    return parse(path.read_text(encoding="utf-8"), path)


def parse(text: str, name: str | Path) -> list[RunRecord]:
    """The records in the text of a file of that name, as `read` gives them."""
    lines = text.split("\n")
    records = {}
    for i, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            record = _record(line)
        except (ValueError, TypeError) as error:
            if i == len(lines):
                break
            raise FolderError(
                f"{name}, line {i} is no record of a run: {error}. Delete the line to read the "
                "others"
            ) from error
        key = i if record.phase == "train" else record.id
        records.setdefault(key, record)
    return list(records.values())


def recover(path: Path) -> str:
    """The text of a file that is going to be added to; what a kill cut short is removed."""
    if not path.exists():
        return ""
    with locked(path) as file:
        return _whole(file).decode()


def set_aside(path: Path, is_stale: Callable[[RunRecord], bool]) -> list[RunRecord]:
    """Moves records from the file to `runs.old.jsonl` beside it, and returns them."""
    if not path.exists():
        return []
    with locked(path) as file:
        known = parse(_whole(file).decode(), path)
        stale = [record for record in known if is_stale(record)]
        gone = {record.id for record in stale}
        if stale:
            with path.with_suffix(".old.jsonl").open("ab") as old:
                old.writelines(map(_line, stale))
            kept = path.with_suffix(".new.jsonl")
            with kept.open("wb") as new:
                new.writelines(_line(record) for record in known if record.id not in gone)
            kept.replace(path)
    return stale


def _line(record):
    return json.dumps(_to_json(dataclasses.asdict(record)), allow_nan=False).encode() + b"\n"


def _record(line):
    """The record of a line; of one that begins with a part of another, the whole one behind it."""
    try:
        return RunRecord(**_from_json(json.loads(line)))
    except (ValueError, TypeError):
        start = line.find(_START, 1)
        if start < 0:
            raise
    return _record(line[start:])


_START = '{"id": "'  # of a record, the names of whose fields stand in their order


def _whole(file):
    """The file's whole lines; what a kill cut short is cut off, a last line's end is added."""
    file.seek(0)
    content = file.read()
    whole = content.rfind(b"\n") + 1
    if whole == len(content):
        return content
    try:
        _record(content[whole:].decode())
    except (ValueError, TypeError):
        file.truncate(whole)
        return content[:whole]
    file.write(b"\n")
    return content + b"\n"


def _to_json(value):
    if isinstance(value, Mapping):
        return {key: _to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value if isinstance(value, (int, float, str, type(None))) else repr(value)


def _from_json(value):
    if isinstance(value, dict):
        return {key: _from_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_from_json(item) for item in value]
    return float(value) if value in ("nan", "inf", "-inf") else value
