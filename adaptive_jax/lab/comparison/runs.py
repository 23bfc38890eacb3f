"""The runs of a comparison: tuning on validation data, then final runs on new seeds."""

import contextlib
import dataclasses
import sys
from collections import Counter
from pathlib import Path

import jax

from adaptive_jax.distributed.hosts import told_by_first
from adaptive_jax.lab.comparison.config import TUNING_SEED, CompareConfig
from adaptive_jax.lab.comparison.cost import measure_costs
from adaptive_jax.lab.comparison.search import best_settings, beyond_the_edge, settings
from adaptive_jax.lab.files import write_whole
from adaptive_jax.lab.training import records
from adaptive_jax.lab.training.callbacks import Callback
from adaptive_jax.lab.training.config import Member
from adaptive_jax.lab.training.identity import check_identified
from adaptive_jax.lab.training.population import Population
from adaptive_jax.lab.training.records import RunRecord

_SETTINGS = ("epochs", "batch_size", "schedule")  # of a run, besides its identity
_AT_ONCE = 2  # rates beyond an edge that are tried together: each time a program is compiled


def run_protocol(
    config: CompareConfig, out: str | Path | None = None, callback: Callback | None = None
) -> list[RunRecord]:
    """Runs what is missing of a comparison and returns the records of all its runs.

    The arguments and errors are those of `run_comparison`, which describes the protocol.
    """
    data = [workload.load(config.data_dir) for workload in config.chosen]
    out = None if out is None or jax.process_index() > 0 else Path(out)
    with contextlib.nullcontext() if out is None else _held(config, out):
        text = told_by_first("" if out is None else records.recover(out / "runs.jsonl"))
        name = "runs.jsonl" if out is None else out / "runs.jsonl"
        finished = {record.id: record for record in records.parse(text, name)}
        runs = []
        for workload, splits in zip(config.chosen, data, strict=True):
            runs += _Runs(config, workload, splits, out, finished, callback or Callback()).all()
    return runs


@contextlib.contextmanager
def _held(config: CompareConfig, out: Path):
    """Locks the folder and checks that it holds this config, or writes the config there."""
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
        """Moves runs of code or data that changed out of the file, and reports the changes."""
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
        """Lists what changed since a record was written."""
        label = record.optimizer
        now = self._identities.get(label)
        if now is None:
            return [f"{label} is not compared anymore"]
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
            trials = _trials(tuning, spec)
            chosen = best_settings(trials) if trials else {}
            seeds = range(self.config.seed, self.config.seed + self.budget.seeds)
            finals += [Member(spec, seed, chosen, "final") for seed in seeds]
        return tuning + self._run(finals)

    def _tune(self, specs):
        """Runs the trials and each optimizer's defaults, then trials beyond the edges."""
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
        tuning = self._run(first)
        while more := [
            member
            for spec in specs
            for member in members(spec, self._beyond(spec, _trials(tuning, spec)))
        ]:
            tuning += self._run(more)
        return tuning

    def _beyond(self, spec, trials):
        if self.config.search != "grid":
            return []
        tried = {record.varied["learning_rate"] for record in trials}
        left = self.budget.trials + self.budget.extra_trials - len(tried)
        best = best_settings(trials)["learning_rate"]
        rates = beyond_the_edge(tried, best, min(_AT_ONCE, left))
        return [{"learning_rate": rate} for rate in rates]

    def _run(self, members):
        """Runs the members without a record, and returns the records of all in order."""

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
                if record.phase == "tune":
                    record = dataclasses.replace(record, search=self.config.search)
                self.finished[record.id] = record
                if self.out is not None:
                    records.append(self.out / "runs.jsonl", record)
        return [self.finished[records.run_id(self.population, member)] for member in members]


def _distinct(members):
    return list(dict.fromkeys(member.optimizer for member in members))


def _trials(tuning, spec):
    return [run for run in tuning if (run.optimizer, run.phase) == (spec.label, "tune")]
