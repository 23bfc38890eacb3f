"""Comparing optimizers: tune each on validation data, then run fresh seeds and test."""

import contextlib
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

from adaptive_jax.comparison.config import TUNING_SEED, CompareConfig
from adaptive_jax.comparison.cost import measure_costs
from adaptive_jax.comparison.result import Comparison
from adaptive_jax.comparison.search import best_settings, beyond_the_edge, settings
from adaptive_jax.distributed.hosts import told_by_first
from adaptive_jax.files import write_whole
from adaptive_jax.training import records
from adaptive_jax.training.callbacks import Callback
from adaptive_jax.training.config import AnyOptimizer, Member, OptimizerSpec
from adaptive_jax.training.identity import check_identified
from adaptive_jax.training.population import Population
from adaptive_jax.training.records import RunRecord
from adaptive_jax.workloads.workload import Workload

_SETTINGS = ("epochs", "batch_size", "schedule")  # of a run, besides its identity
_AT_ONCE = 2  # rates beyond an edge that are tried together: each time a program is compiled


def compare(
    workloads: Workload | str | Sequence[Workload | str] = "digits_cnn",
    optimizers: Sequence[OptimizerSpec | AnyOptimizer] | OptimizerSpec | AnyOptimizer = (),
    *,
    out: str | Path | None = None,
    callback: Callback | None = None,
    **settings: Any,
) -> Comparison:
    """Compares optimizers on one or several workloads.

    Args:
      workloads, optimizers: see `CompareConfig`.
      out, callback: see `run_comparison`.
      **settings: the other fields of `CompareConfig`.

    Raises:
      ValueError, DataError: as `CompareConfig` and `run_comparison` do.

    >>> optimizers = ["sgd:learning_rate=0.1", "optax.sgd:learning_rate=0.1"]
    >>> print(compare("noisy_quadratic", optimizers, seeds=3).verdict)
    sgd and optax.sgd are not distinguishable at n = 3.
    """
    return run_comparison(CompareConfig(workloads, optimizers, **settings), out, callback)


def run_comparison(
    config: CompareConfig, out: str | Path | None = None, callback: Callback | None = None
) -> Comparison:
    """Runs a comparison, or what is left of it.

    On each workload all tuned optimizers have the same number of trials, judged by the
    validation metric at the end of training, with seeds that no final run has. A best learning
    rate at the edge of its grid is followed beyond it, as far as the budget's `extra_trials` go.
    Final runs share initial parameters and order of examples across optimizers, and only they
    see the test set, once.

    Args:
      config: what to compare.
      out: a folder, made if there is none, for `config.json` and `runs.jsonl`. If it has those of
        the same config, the runs in it are not run again, as long as nothing that they were made
        of has changed, see `Population.identity`; what has is printed to stderr, and the old runs
        are moved to `runs.old.jsonl`. Default: none is written.
      callback: is told what is planned, and of each epoch.

    Processes that have joined by `jax.distributed` all call this; the first has the folder, and
    all get the same numbers, but for times.

    Raises:
      ValueError: the folder holds a comparison with another config, or another process writes to
        it; a workload's model or loss do not fit its data; an optimizer cannot be trained; or
        there is a folder, and the code of a function or what it refers to cannot be read.
      DataError: a workload's data are missing or wrong.

    >>> import tempfile
    >>> from adaptive_jax.comparison import summarize, write_report
    >>> rates = "sgd:learning_rate=0.1", "sgd:learning_rate=0.01"
    >>> config = CompareConfig("noisy_quadratic", rates, seeds=2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     comparison = run_comparison(config, folder)
    ...     [path.name for path in write_report(folder, ["md", "csv"])]
    ['report.md', 'results.csv', 'differences.csv']
    >>> [(row.optimizer, row.runs) for row in summarize(comparison.records)]
    [('sgd:learning_rate=0.1', 2), ('sgd:learning_rate=0.01', 2)]
    """
    data = [workload.load(config.data_dir) for workload in config.chosen]
    out = None if out is None or jax.process_index() > 0 else Path(out)
    with contextlib.nullcontext() if out is None else _held(config, out):
        told = told_by_first("" if out is None else records.recover(out / "runs.jsonl"))
        name = "runs.jsonl" if out is None else out / "runs.jsonl"
        finished = {record.id: record for record in records.parse(told, name)}
        made = []
        for workload, splits in zip(config.chosen, data, strict=True):
            made += _Runs(config, workload, splits, out, finished, callback or Callback()).all()
    return Comparison(made, out)


@contextlib.contextmanager
def _held(config: CompareConfig, out: Path):
    """The folder, which has this config, while no other process writes to it."""
    out.mkdir(parents=True, exist_ok=True)
    with records.one_writer(out):
        path = out / "config.json"
        if not path.exists():
            write_whole(path, config.to_json())
        elif path.read_text(encoding="utf-8") != config.to_json():
            raise records.FolderError(
                f"{out} holds a comparison with another config: name another folder"
            )
        yield


class _Runs:
    """The runs of a comparison on one workload."""

    def __init__(self, config, workload, data, out, finished, callback):
        self.config, self.workload, self.out = config, workload, out
        self.finished, self.callback = finished, callback
        self.budget = config.budgets[workload.name]
        self.population = Population(
            workload,
            data,
            self.budget.epochs,
            schedule=config.schedule,
            width=config.width,
            max_memory=config.max_memory * 2**30,
        )
        self._identities = {
            spec.label: self.population.identity(spec) for spec in config.specs(workload)
        }
        if out is not None or jax.process_count() > 1:  # processes must agree on what is missing
            for identity in self._identities.values():
                check_identified(identity)
        if out is not None:
            self._set_aside(out)

    def _set_aside(self, out):
        """Takes runs of what has changed out of the file, and says what has."""
        changes = Counter()

        def is_stale(record):
            if record.workload != self.workload.name or record.phase == "train":
                return False
            changes.update(changed := self._changes(record))
            return bool(changed)

        if stale := records.set_aside(out / "runs.jsonl", is_stale):
            print(
                f"{out}: {len(stale)} finished runs on {self.workload.name} are of what has "
                f"changed since: {'; '.join(changes)}. They are in runs.old.jsonl now",
                file=sys.stderr,
            )

    def _changes(self, record):
        """What a record was made of that is no more so."""
        label = record.optimizer
        now = self._identities.get(label)
        if now is None:
            return [f"{label} is not compared any more"]
        if not record.identity:
            return ["the version that made them kept no digests of code and data"]
        settings = {name: getattr(self.population, name) for name in _SETTINGS}
        was = {**record.identity, **{name: getattr(record, name) for name in _SETTINGS}}
        return [
            f"the factory of {label}"
            if name == "optimizer"
            else name
            if name not in (*_SETTINGS, "versions", "metric")
            else f"{name} ({was.get(name)}, now {value})"
            for name, value in {**now, **settings}.items()
            if was.get(name) != value
        ]

    def all(self) -> list[RunRecord]:
        tuning = self._tune(self.config.tuned(self.workload))
        finals = []
        for spec in self.config.specs(self.workload):
            mine = _trials(tuning, spec)
            chosen = best_settings(mine) if mine else {}
            seeds = range(self.config.seed, self.config.seed + self.budget.seeds)
            finals += [Member(spec, seed, chosen, "final") for seed in seeds]
        return tuning + self._run(finals)

    def _tune(self, specs):
        """Trials, and each optimizer at its defaults; then trials beyond the edges."""
        tuning_seeds = range(TUNING_SEED, TUNING_SEED + self.budget.tuning_seeds)

        def members(spec, tried, phase="tune"):
            return [Member(spec, s, values, phase) for values in tried for s in tuning_seeds]

        first = []
        for spec in specs:
            tried = settings(spec, self.budget.trials, self.config.search, TUNING_SEED)
            first += members(spec, tried)
            defaults = {name: spec.defaults.get(name) for name in tried[0]}
            if None not in defaults.values():
                first += members(spec, [defaults], "default")
        made = self._run(first)
        while more := [
            member
            for spec in specs
            for member in members(spec, self._beyond(spec, _trials(made, spec)))
        ]:
            made += self._run(more)
        return made

    def _beyond(self, spec, trials):
        if self.config.search != "grid":
            return []
        tried = {record.varied["learning_rate"] for record in trials}
        left = self.budget.trials + self.budget.extra_trials - len(tried)
        best = best_settings(trials)["learning_rate"]
        rates = beyond_the_edge(tried, best, min(_AT_ONCE, left))
        return [{"learning_rate": rate} for rate in rates]

    def _run(self, members):
        """The records of the members, in order; those that there are already are not run again."""

        def is_finished(member):
            return records.run_id(self.population, member) in self.finished

        missing = [member for member in members if not is_finished(member)]
        self.callback.on_plan(self.workload.name, len(missing) * self.budget.epochs)
        is_final = any(member.phase == "final" for member in missing)
        costs = measure_costs(self.population, _distinct(missing)) if is_final else {}
        histories = self.population.run(members, self.callback, is_final, is_finished)
        for history in histories:
            if not is_finished(history.member):
                cost = costs.get(history.member.optimizer.label)
                record = records.make_record(self.population, history, cost)
                self.finished[record.id] = record
                if self.out is not None:
                    records.append(self.out / "runs.jsonl", record)
        return [self.finished[records.run_id(self.population, member)] for member in members]


def _distinct(members):
    return list(dict.fromkeys(member.optimizer for member in members))


def _trials(tuning, spec):
    return [run for run in tuning if (run.optimizer, run.phase) == (spec.label, "tune")]
