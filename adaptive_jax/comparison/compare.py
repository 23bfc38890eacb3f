"""Comparing optimizers: tune each on validation data, then run fresh seeds and test."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from adaptive_jax.optimizers import registry
from adaptive_jax.training import records
from adaptive_jax.training.config import OptimizerSpec, settle
from adaptive_jax.training.population import Member, Population
from adaptive_jax.training.records import RunRecord
from adaptive_jax.workloads.workload import Workload

_TUNING_SEED = 1_000_000
"""Tuning uses seeds from here on, final runs those from `seed` on: they never meet."""


@dataclasses.dataclass(frozen=True)
class CompareConfig:
    """What to compare, and how.

    Attributes:
      workload: a workload, or the name of a registered one.
      optimizers: specs, or texts such as `"sgd:momentum=0.9"`. One with a learning rate given is
        run at that; the others are tuned.
      trials: learning rates tried for each tuned optimizer, on a log grid over its registered
        range; 1 means its default, untuned.
      seeds: final runs of each optimizer, with the same seeds for all.
      epochs, schedule: as in `RunConfig`. None means the workload's own, here and above.
      seed: the first seed of the final runs.
      data_dir: a folder with the data, or a text file, for workloads that read one.

    Raises:
      ValueError: a name is unknown (near misses are named), or a value out of range.
    """

    workload: Workload | str = "digits_cnn"
    optimizers: tuple[OptimizerSpec | str, ...] = ()
    trials: int | None = None
    seeds: int | None = None
    epochs: int | None = None
    schedule: str | None = None
    seed: int = 0
    data_dir: str | None = None

    def __post_init__(self):
        settle(self, ("trials", "seeds", "epochs"))
        specs = tuple(
            OptimizerSpec.parse(o) if isinstance(o, str) else o
            for o in self.optimizers or self.workload.optimizers
        )
        labels = [spec.label for spec in specs]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"optimizer {label!r} is listed twice")
        object.__setattr__(self, "optimizers", specs)
        if self.seed + self.seeds > _TUNING_SEED:
            raise ValueError(f"seed + seeds must be at most {_TUNING_SEED}: tuning has the others")

    @property
    def tuned(self) -> list[OptimizerSpec]:
        """The optimizers whose learning rate is to be found."""
        if self.trials == 1:
            return []
        return [spec for spec in self.optimizers if "learning_rate" not in spec.hyperparameters]

    @property
    def epochs_in_all(self) -> int:
        """Epochs of all runs together, the unit of progress."""
        runs = len(self.tuned) * self.trials + len(self.optimizers) * self.seeds
        return runs * self.epochs


def compare(
    config: CompareConfig,
    out: Path | None = None,
    on_epoch: Callable[[int], None] = lambda runs: None,
) -> list[RunRecord]:
    """Tunes and runs every optimizer; returns the records of all runs in order.

    Each tuned optimizer gets the same number of trials on an equally wide grid, judged by the
    validation accuracy at the end of training with a seed that no final run has. Final runs
    share initial parameters and order of examples across optimizers.

    Args:
      config: what to compare.
      out: an existing folder; every record is added to its `runs.jsonl` as soon as it exists.
      on_epoch: called after each epoch with the number of runs that made it.

    Raises:
      DataError: the workload's data are missing or wrong.

    >>> config = CompareConfig("digits_mlp", ("sgd", "adam"), trials=3, seeds=2, epochs=2)
    >>> [record.phase for record in compare(config)].count("final")
    4
    """
    workload = config.workload
    population = Population(
        workload, workload.load(config.data_dir), config.epochs, schedule=config.schedule
    )
    finished = []

    def run(members, phase):
        made = []
        for history in population.run(members, on_epoch):
            record = records.make_record(population, history, phase)
            if out is not None:
                records.append(out / "runs.jsonl", record)
            made.append(record)
        finished.extend(made)
        return made

    trials = [
        Member(spec, _TUNING_SEED, {"learning_rate": rate})
        for spec in config.tuned
        for rate in learning_rates(spec, config.trials)
    ]
    best = best_learning_rates(run(trials, "tune"))
    finals = [
        Member(spec, seed, {"learning_rate": best.get(spec.label, _given_rate(spec))})
        for spec in config.optimizers
        for seed in range(config.seed, config.seed + config.seeds)
    ]
    run(finals, "final")
    return finished


def learning_rates(spec: OptimizerSpec, trials: int) -> list[float]:
    """A log grid over the optimizer's registered range, both ends included.

    >>> learning_rates(OptimizerSpec("adam"), 4)
    [0.0001, 0.001, 0.01, 0.1]
    """
    low, high = registry.get(spec.name).search["learning_rate"]
    grid = np.logspace(math.log10(low), math.log10(high), trials)
    return [float(f"{rate:.4g}") for rate in grid]


def best_learning_rates(tuning: list[RunRecord]) -> dict[str, float]:
    """For each optimizer's label the rate with the highest final validation accuracy.

    Ties go to the lower validation loss. A diverged run is best only if all diverged.
    """

    def merit(record):
        accuracy, loss = (record.final[f"validation_{key}"] for key in ("accuracy", "loss"))
        return not record.diverged, np.nan_to_num(accuracy), -np.nan_to_num(loss, nan=np.inf)

    by_label = {}
    for record in tuning:
        by_label.setdefault(record.optimizer, []).append(record)
    return {
        label: max(runs, key=merit).hyperparameters["learning_rate"]
        for label, runs in by_label.items()
    }


def _given_rate(spec):
    return spec.hyperparameters.get("learning_rate", spec.defaults["learning_rate"])
