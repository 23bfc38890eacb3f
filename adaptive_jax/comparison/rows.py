"""From the records of a comparison on one workload to a row for each optimizer."""

import dataclasses
import math

import numpy as np

from adaptive_jax import statistics
from adaptive_jax.comparison.scores import counted, epochs_to_target, score, signed
from adaptive_jax.training.records import RunRecord


@dataclasses.dataclass(frozen=True)
class Row:
    """One optimizer's result on one workload. NaN stands for what was not measured.

    Attributes:
      optimizer: its label.
      metric: "accuracy" or "loss", what it is judged by.
      learning_rate: of its final runs.
      tuning: "tuned", "tuned, at the edge" if the best rate was the lowest or highest tried, or
        "given" if none was tried.
      mean, low, high: of the metric on the test set, with its 95% t interval over the final runs;
        a diverged run counts as `scores.counted` says, here and below.
      std: standard deviation of the same.
      test_loss: mean over final runs, whatever the metric.
      train: mean of the metric on the training set.
      tuned_score, default_score: the metric on validation data of the best tuning run and of the
        one at default hyperparameters, which share a seed.
      runs, diverged: final runs, and how many of them diverged.
      diverged_low, diverged_high: Wilson's 95% interval of the share that diverges.
      steps_to_target, seconds_to_target: medians over final runs to the end of the first epoch
        whose validation metric reaches the target, inf where half of them or more missed it.
        Seconds are of training, without compilation.
      state_bytes_per_parameter, update_microseconds, update_compile_seconds: of the optimizer
        alone.
      seconds: training time of one final run, without compilation.
      trials: tuning runs spent.
      ids: of the final runs' records, by which every number here is traced to `runs.jsonl`.
    """

    optimizer: str
    metric: str
    learning_rate: float
    tuning: str
    mean: float
    low: float
    high: float
    std: float
    test_loss: float
    train: float
    tuned_score: float
    default_score: float
    runs: int
    diverged: int
    diverged_low: float
    diverged_high: float
    steps_to_target: float
    seconds_to_target: float
    state_bytes_per_parameter: float
    update_microseconds: float
    update_compile_seconds: float
    seconds: float
    trials: int
    ids: tuple[str, ...]


def summarize(records: list[RunRecord]) -> list[Row]:
    """A row for each optimizer with final runs, the best mean first; see `run_comparison`.

    Args:
      records: of one workload, at least one.
    """
    goal = target(records)
    rows = []
    for label, finals in final_runs(records).items():
        others = [r for r in records if r.optimizer == label and r.phase in ("tune", "default")]
        rows.append(_row(finals, others, goal))
    return sorted(rows, key=lambda row: -signed(row.metric, row.mean))


def final_runs(records: list[RunRecord]) -> dict[str, list[RunRecord]]:
    """The final runs of each optimizer that has any, by its label."""
    finals = {}
    for record in records:
        if record.phase == "final":
            finals.setdefault(record.optimizer, []).append(record)
    return finals


def target(records: list[RunRecord]) -> float:
    """The workload's target, or one that every sound optimizer reaches.

    That is the worst, over the optimizers of which no final run diverged (over all if there is
    none), of the median validation metric at the end. NaN if there are no final runs.
    """
    if records[0].target is not None:
        return records[0].target
    finals = final_runs(records)
    if not finals:
        return math.nan
    sound = [runs for runs in finals.values() if not any(run.diverged for run in runs)]
    medians = [
        np.median([score(run, "validation") for run in runs]) for runs in sound or finals.values()
    ]
    return signed(records[0].metric, float(min(medians)))


def resolution(record: RunRecord) -> float:
    """The step in which the test metric moves: one example for an accuracy."""
    return 1 / record.examples["test"] if record.metric == "accuracy" else 0.0


def _row(finals: list[RunRecord], others: list[RunRecord], goal: float) -> Row:
    first = finals[0]
    metric = first.metric
    results = [counted(run, f"test_{metric}") for run in finals]
    interval = statistics.t_interval(results, resolution(first))
    diverged = sum(run.diverged for run in finals)
    share = statistics.wilson_interval(diverged, len(finals))
    tuning = [run for run in others if run.phase == "tune"]
    chosen = [run for run in tuning if run.varied == first.varied]
    default = [run for run in others if run.phase == "default"]
    epochs = np.array([epochs_to_target(run, goal) for run in finals])
    seconds = np.array([run.train_seconds for run in finals])
    cost = next((run.cost for run in finals if run.cost is not None), {})
    return Row(
        optimizer=first.optimizer,
        metric=metric,
        learning_rate=first.hyperparameters["learning_rate"],
        tuning=_tuning(first, tuning),
        mean=float(interval.estimate),
        low=float(interval.low),
        high=float(interval.high),
        std=float(np.std(results, ddof=1)) if len(finals) > 1 else math.nan,
        test_loss=_mean(finals, "test_loss"),
        train=_mean(finals, f"train_{metric}"),
        tuned_score=_mean(chosen, f"validation_{metric}"),
        default_score=_mean(default, f"validation_{metric}"),
        runs=len(finals),
        diverged=diverged,
        diverged_low=float(share.low),
        diverged_high=float(share.high),
        steps_to_target=float(np.median(epochs * first.steps / first.epochs)),
        seconds_to_target=float(np.median(epochs * seconds / first.epochs)),
        state_bytes_per_parameter=cost.get("state_bytes_per_parameter", math.nan),
        update_microseconds=cost.get("update_microseconds", math.nan),
        update_compile_seconds=cost.get("update_compile_seconds", math.nan),
        seconds=float(np.mean(seconds)),
        trials=len(tuning),
        ids=tuple(run.id for run in finals),
    )


def _tuning(final: RunRecord, tuning: list[RunRecord]) -> str:
    tried = [run.hyperparameters["learning_rate"] for run in tuning]
    if not tried:
        return "given"
    edge = final.hyperparameters["learning_rate"] in (min(tried), max(tried))
    return "tuned, at the edge" if edge else "tuned"


def _mean(runs: list[RunRecord], name: str) -> float:
    return float(np.mean([counted(run, name) for run in runs])) if runs else math.nan
