"""Runs on disk: one JSON object a line, in `runs.jsonl`."""

import dataclasses
import functools
import hashlib
import importlib.metadata
import json
import math
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from adaptive_jax.training.config import Member
from adaptive_jax.training.population import History, Population


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """One finished run: what it was, and what came of it.

    Attributes:
      id: digest of what was run, by which reports refer to it and a resumed comparison finds it.
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
      train_seconds: wall-clock, an equal share of what the runs beside it took.
      compile_seconds: what its group of runs took to compile.
      cost: of the optimizer alone on this model, measured apart, in a final run:
        "state_bytes_per_parameter", "update_microseconds", "update_compile_seconds".
      versions, device: of Python, the libraries, and the machine: "cpu", "8 × NVIDIA H100".
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


class FolderError(ValueError):
    """A folder of runs holds something else than it should; the message is meant for the user."""


def run_id(population: Population, member: Member) -> str:
    """Digest of all that decides what the run computes: the same for the same run, always."""
    text = json.dumps(_to_json(population.description(member)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def make_record(
    population: Population, history: History, cost: Mapping[str, float] | None = None
) -> RunRecord:
    """The record of one member of a population."""
    member = history.member
    workload = population.workload
    given = {**member.optimizer.hyperparameters, **member.hyperparameters}
    final = history.final
    if member.phase in ("tune", "default"):
        final = {name: value for name, value in final.items() if not name.startswith("test")}
    return RunRecord(
        id=run_id(population, member),
        workload=workload.name,
        optimizer=member.optimizer.label,
        hyperparameters={**member.optimizer.defaults, **given},
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
    )


@functools.cache
def _versions() -> dict[str, str]:
    packages = ("adaptive_jax", "jax", "jaxlib", "flax", "optax", "numpy")
    versions = {name: importlib.metadata.version(name) for name in packages}
    return {"python": platform.python_version(), **versions}


def append(path: Path, record: RunRecord) -> None:
    """Adds the record as a line of its own. NaN and infinity, which JSON lacks, become texts."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(_to_json(dataclasses.asdict(record)), allow_nan=False) + "\n")


def read(path: Path) -> Iterator[RunRecord]:
    """The records of a file in order; a last line cut short by a kill is left out.

    Raises:
      ValueError: another line is no record; the message names it.
    """
    return parse(path.read_text(encoding="utf-8"), path)


def parse(text: str, name: str | Path) -> Iterator[RunRecord]:
    """The records in the text of a file of that name, as `read` gives them."""
    lines = text.split("\n")
    for i, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            record = RunRecord(**_from_json(json.loads(line)))
        except (ValueError, TypeError) as error:
            if i == len(lines):
                return
            raise FolderError(f"{name}, line {i} is no record of a run: {error}") from error
        yield record


def recover(path: Path) -> str:
    """The text of a file that is going to be added to; what a kill cut short is removed."""
    if not path.exists():
        return ""
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with path.open("r+b") as file:
            file.truncate(whole)
    return content[:whole].decode()


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
