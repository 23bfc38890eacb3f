"""Records of runs, kept on disk in `runs.jsonl` as one JSON object per line."""

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

from adaptive_jax.lab.training.config import Member
from adaptive_jax.lab.training.history import History
from adaptive_jax.lab.training.identity import plain
from adaptive_jax.lab.training.population import Population
from adaptive_jax.locks import LockedError, WriterLock, locked


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """A finished run: its configuration and its results.

    Attributes:
      id: A digest of the run's settings, `identity` included. Reports refer to a run by it, and a
        resumed comparison finds its runs by it.
      workload: The name of the workload.
      optimizer: The optimizer's label, as on the command line: `"sgd:momentum=0.9"`.
      hyperparameters: All hyperparameters, defaults included.
      varied: The hyperparameters that the comparison chose.
      phase: "train" for a single run; in a comparison "tune", "default" (a tuning run of an
        optimizer at its defaults) or "final".
      seed, epochs, batch_size, schedule, steps: The settings of the run.
      parameters: The number of trained parameters.
      examples: The number of examples of each split.
      metric: "accuracy" or "loss", the metric by which the workload is judged.
      target: The workload's target for this metric on the validation split.
      initial_loss: The loss of the first mini-batch, before any update.
      curve: For each epoch the training loss and accuracy over its mini-batches, and the
        validation loss and accuracy after it. There is no accuracy if the workload has none.
      rates: For each epoch a histogram of the parameters' effective learning rates at its last
        step, with the bins of `diagnostics.RATE_EDGES`. None for an optimizer whose update is
        not a direction times a scale.
      final: The loss and accuracy on the whole splits after training. A tuning run has no test
        metrics.
      diverged: Whether the last training loss is not finite, or above twice the initial loss.
      train_seconds: An equal share of the wall-clock time of the runs beside it. It does not
        measure the optimizer; `cost` does.
      compile_seconds: The time that its group of runs took to compile.
      cost: The cost of the optimizer on this model, measured apart from the runs and only for
        final runs, see `comparison.cost.measure_costs`.
      versions: The versions of Python and the libraries.
      device: The devices: "cpu", "8 × NVIDIA H100".
      identity: Digests of the code and data that were run, see `Population.identity`. Empty in
        records of versions without digests.
      study: The number of the study, from 0: an independent tuning with its final runs. Default: 0.
      search: How the settings of a tuning run were searched: "random" if they were drawn
        independently. Default: "", it is not known.
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
    study: int = 0
    search: str = ""


class FolderError(ValueError):
    """A folder of runs cannot be used. The message is meant for the user."""


def run_id(population: Population, member: Member) -> str:
    """Returns a digest of everything that decides what a run computes."""
    identity = population.identity(member.optimizer)
    text = json.dumps(_to_json([population.description(member), identity]), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def make_record(
    population: Population, history: History, cost: Mapping[str, float] | None = None
) -> RunRecord:
    """Returns the record of a member of a population.

    Args:
      population: The population that trained the member.
      history: The member's history.
      cost: The cost of its optimizer, if it was measured.
    """
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
    """Appends a record as a line. NaN and infinity, which JSON lacks, become strings.

    An incomplete last line, which a killed process leaves, is removed. Several processes may
    append at the same time.
    """
    with locked(path) as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read() != b"\n":
                _complete_lines(file)
        file.write(_line(record))


def read(path: Path) -> list[RunRecord]:
    """Returns the records of a file in order, each run of a comparison once.

    What a killed process leaves is ignored: an incomplete last line, or the part of a line in
    front of a complete record.

    Raises:
      FolderError: Some other line is not a record. The message has its number.
    """
    return parse(path.read_text(encoding="utf-8"), path)


def parse(text: str, name: str | Path) -> list[RunRecord]:
    """Returns the records in the text of a file, as `read` does.

    Args:
      text: The text of the file.
      name: The file's name, for error messages.
    """
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
                f"{name}, line {i} is not a record of a run: {error}. Delete the line to read "
                "the others"
            ) from error
        key = i if record.phase == "train" else record.id
        records.setdefault(key, record)
    return list(records.values())


def recover(path: Path) -> str:
    """Returns the text of a file, "" if there is none, and removes an incomplete last line."""
    if not path.exists():
        return ""
    with locked(path) as file:
        return _complete_lines(file).decode()


def set_aside(path: Path, is_stale: Callable[[RunRecord], bool]) -> list[RunRecord]:
    """Moves records from a file to `runs.old.jsonl` beside it, and returns them.

    Args:
      path: The path of the file. It need not exist.
      is_stale: Whether to move a record.
    """
    if not path.exists():
        return []
    with locked(path) as file:
        records = parse(_complete_lines(file).decode(), path)
        stale = [record for record in records if is_stale(record)]
        stale_ids = {record.id for record in stale}
        if stale:
            with path.with_suffix(".old.jsonl").open("ab") as old:
                old.writelines(map(_line, stale))
            # A rename is atomic: if the process is killed, one of the two files is whole.
            kept = path.with_suffix(".new.jsonl")
            with kept.open("wb") as new:
                new.writelines(_line(record) for record in records if record.id not in stale_ids)
            kept.replace(path)
    return stale


def _line(record):
    return json.dumps(_to_json(dataclasses.asdict(record)), allow_nan=False).encode() + b"\n"


def _record(line):
    """Returns the record of a line; part of another record may stand in front of it."""
    try:
        return RunRecord(**_from_json(json.loads(line)))
    except (ValueError, TypeError):
        start = line.find(_START, 1)
        if start < 0:
            raise
    return _record(line[start:])


_START = '{"id": "'  # the beginning of a line, since JSON keeps the order of the fields


def _complete_lines(file):
    """Returns the complete lines of a file, and removes an incomplete last one from it.

    A complete record whose newline is missing is kept, and gets it.
    """
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
