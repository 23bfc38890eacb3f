"""The runs of a comparison: tuning on validation data, then final runs on new seeds."""

import contextlib
import dataclasses
import json
import sys
from collections import Counter
from pathlib import Path

import jax

from adaptive_jax.distributed.hosts import told_by_first
from adaptive_jax.lab.comparison.budget import final_seeds, tuning_seeds
from adaptive_jax.lab.comparison.config import FORMAT, CompareConfig
from adaptive_jax.lab.comparison.cost import measure_costs
from adaptive_jax.lab.comparison.join import SETTINGS, joined
from adaptive_jax.lab.comparison.search import trials_of
from adaptive_jax.lab.files import write_whole
from adaptive_jax.lab.training import records
from adaptive_jax.lab.training.callbacks import Callback
from adaptive_jax.lab.training.config import Member
from adaptive_jax.lab.training.identity import check_identified
from adaptive_jax.lab.training.population import Population
from adaptive_jax.lab.training.records import RunRecord


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
        if is_new := not path.exists():
            write_whole(path, config.to_json())
        elif (written := path.read_text(encoding="utf-8")) != config.to_json():
            older = _format(written) < FORMAT
            kind = "by an older version, with another protocol" if older else "with another config"
            raise records.FolderError(f"{out} holds a comparison {kind}: name another folder")
        try:
            yield
        except records.FolderError:  # of what was to be joined: the folder stays as it was
            if is_new:
                path.unlink()
            raise


def _format(text):
    """Returns the format of a config's text, the newest if it cannot be read."""
    try:
        return json.loads(text)["format"]
    except (ValueError, TypeError, KeyError):
        return FORMAT


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
        self.joined = joined(config, workload, self.population) if config.join else []
        if out is not None:
            self._set_aside(out)
            for record in self.joined:
                if record.id not in finished:
                    records.append(out / "runs.jsonl", record)

    def _set_aside(self, out):
        """Moves runs of code or data that changed out of the file, and reports the changes."""
        changes = Counter()
        joined_ids = {run.id for run in self.joined}

        def is_stale(record):
            is_other = record.workload != self.workload.name or record.phase == "train"
            if is_other or record.id in joined_ids:
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
        settings = {name: getattr(self.population, name) for name in SETTINGS}
        was = {**record.identity, **{name: getattr(record, name) for name in SETTINGS}}
        return [
            f"the factory of {label}"
            if name == "optimizer"
            else name
            if name not in (*SETTINGS, "versions", "metric")
            else f"{name} ({was.get(name)}, now {value})"
            for name, value in {**now, **settings}.items()
            if was.get(name) != value
        ]

    def all(self) -> list[RunRecord]:
        searches = self.config.searches(self.workload)
        tuning = self._tune(searches)
        best = {
            (search.spec.label, search.study): search.best(trials_of(_own(tuning, search)))
            for search in searches
        }
        finals = []
        for spec in self.config.specs(self.workload):
            for study in range(self.config.studies):
                chosen = best.get((spec.label, study), {})
                seeds = final_seeds(self.config.seed, study, self.budget.seeds)
                finals += [_member(spec, seed, chosen, "final", study) for seed in seeds]
        return [*self.joined, *tuning, *self._run(finals)]

    def _tune(self, searches):
        """Runs the trials of all searches side by side, round by round."""
        tuning = self._run(self._trials([(search, search.first()) for search in searches]))
        while more := self._trials(
            [(search, search.more(trials_of(_own(tuning, search)))) for search in searches]
        ):
            tuning += self._run(more)
        return tuning

    def _trials(self, settings):
        """Returns the members of the trials, those next to each other that share a program."""
        members = []
        for search, tried in settings:
            seeds = tuning_seeds(search.seed, search.study, self.budget.tuning_seeds)
            own = [
                _member(search.spec, seed, setting, phase, search.study)
                for setting in tried
                for phase in ["default" if setting == search.default else "tune"]
                for seed in seeds
            ]
            members += sorted(own, key=lambda member: repr(member.optimizer.constants))
        return members

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
                    record = dataclasses.replace(record, search=self.config.kind(self.workload))
                self.finished[record.id] = record
                if self.out is not None:
                    records.append(self.out / "runs.jsonl", record)
        return [self.finished[records.run_id(self.population, member)] for member in members]


def _distinct(members):
    return list(dict.fromkeys(member.optimizer for member in members))


def _own(tuning, search):
    """Returns the runs of a search among all tuning runs."""
    return [
        run for run in tuning if (run.optimizer, run.study) == (search.spec.label, search.study)
    ]


def _member(spec, seed, setting, phase, study):
    """Returns a member, with what a program cannot vary as constants of its optimizer."""
    traced = {name: value for name, value in setting.items() if type(value) is float}
    constants = {name: value for name, value in setting.items() if name not in traced}
    return Member(spec.holding(constants), seed, traced, phase, study)
