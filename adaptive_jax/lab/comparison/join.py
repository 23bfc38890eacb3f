"""Results of another comparison that join this one without being run again."""

import math
from pathlib import Path

from adaptive_jax.lab.comparison.budget import final_seeds, tuning_seeds
from adaptive_jax.lab.comparison.config import CompareConfig
from adaptive_jax.lab.comparison.search import trials_of
from adaptive_jax.lab.training import records
from adaptive_jax.lab.training.config import OptimizerSpec
from adaptive_jax.lab.training.population import Population
from adaptive_jax.lab.training.records import FolderError, RunRecord
from adaptive_jax.lab.training.settings import Choice
from adaptive_jax.lab.workloads.workload import Workload

SETTINGS = ("epochs", "batch_size", "schedule")
"""What decides a run's result besides its identity and its member."""


def joined(config: CompareConfig, workload: Workload, population: Population) -> list[RunRecord]:
    """Returns the records in `config.join` of one workload, if their protocol is that of `config`.

    Args:
      config: The comparison that they join.
      workload: The workload.
      population: Its population, with the digests of code and data.

    Raises:
      FolderError: The file has no runs of the workload, or they are of other code, data, versions
        or seeds, or had another number of trials. The message has the first difference.
    """
    path = Path(str(config.join))
    try:
        everything = records.read(path / "runs.jsonl" if path.is_dir() else path)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FolderError(f"cannot read {path}, which is to be joined: {reason}") from error
    runs = [r for r in everything if r.workload == workload.name and r.phase != "train"]
    if not runs:
        raise FolderError(f"{path} has no runs of {workload.name} that could join")
    own = [spec.label for spec in config.specs(workload)]
    for label in dict.fromkeys(run.optimizer for run in runs):
        if label in own:
            raise FolderError(f"{path} has {label} already: leave it out, or give it another label")
        mine = [run for run in runs if run.optimizer == label]
        if difference := _difference(config, workload, population, mine):
            raise FolderError(f"{label} of {path} cannot join: {difference}")
    return runs


def _difference(config, workload, population, runs):
    """Returns in what the runs of an optimizer differ from the protocol, "" if in nothing."""
    identity = population.identity(config.specs(workload)[0])
    for name in SETTINGS:
        now = getattr(population, name)
        for run in runs:
            if getattr(run, name) != now:
                return f"its {name} is {getattr(run, name)}, and here {now}"
    for run in runs:
        for name, now in identity.items():
            was = run.identity.get(name, "not known")
            if name != "optimizer" and was != now:
                return f"its {name} is {was}, and here {now}"
    return _other_budget(config, config.budgets[workload.name], runs)


def _other_budget(config, budget, runs):
    finals = {study: set() for study in range(config.studies)}
    for run in runs:
        if run.phase == "final":
            finals.setdefault(run.study, set()).add(run.seed)
    if len(finals) != config.studies:
        return f"it has {len(finals)} studies, and here are {config.studies}"
    for study, seeds in finals.items():
        now = final_seeds(config.seed, study, budget.seeds)
        if seeds != set(now):
            return (
                f"its final seeds are {_range(seeds)}, and here {_range(now)}: set seeds and seed"
            )
        tuning = [run for run in runs if run.phase != "final" and run.study == study]
        trials = trials_of(tuning)
        if not trials:
            continue  # its settings were given
        allowed = set(tuning_seeds(config.seed, study, budget.tuning_seeds))
        if {run.seed for run in tuning} != allowed:
            return f"its tuning seeds are not {_range(allowed)}: set tuning_seeds and seed"
        total = budget.trials + budget.extra_trials + 1
        there_are = _settings(runs[0].optimizer)
        if len(trials) != total and not there_are <= len(trials) < total:
            return (
                f"it tried {len(trials)} settings, and here each optimizer tries {total}: set "
                "trials and extra_trials"
            )
    return ""


def _range(seeds):
    ordered = sorted(seeds)
    return f"{ordered[0]} to {ordered[-1]}" if ordered else "none"


def _settings(label):
    """Returns how many settings there are to try besides the default, by the optimizer's label."""
    try:
        ranges = OptimizerSpec.parse(label).search.values()
    except ValueError:  # a label that the user gave
        return math.inf
    return math.prod(len(r) if isinstance(r, Choice) else math.inf for r in ranges)
