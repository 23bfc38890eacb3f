"""Summaries of each optimizer's runs on one workload."""

import dataclasses
import math

import numpy as np

from adaptive_jax.lab import statistics
from adaptive_jax.lab.analysis.scores import counted, epochs_to_target, signed
from adaptive_jax.lab.training.records import RunRecord


@dataclasses.dataclass(frozen=True)
class Summary:
    """One optimizer's result on one workload. A value that was not measured is NaN.

    Attributes:
      optimizer: its label.
      metric: "accuracy" or "loss", by which the workload judges.
      learning_rate: of its final runs.
      tuning: "tuned", "tuned, at the edge" if the best rate was the lowest or highest tried, or
        "given" if none was tried.
      mean, low, high: of the metric on the test set, with its 95% t interval over the final runs;
        a diverged run counts as in `scores.counted`, here and below.
      std: standard deviation of the same.
      test_loss: mean over final runs, whatever the metric.
      train: mean of the metric on the training set.
      tuned_score, default_score: the metric on validation data of the best tuning run and of the
        one at default hyperparameters, which share a seed.
      runs, diverged: final runs, and how many of them diverged.
      diverged_low, diverged_high: Wilson's 95% interval of the fraction that diverges.
      steps_to_target, seconds_to_target: medians over final runs to the end of the first epoch
        whose validation metric reaches the target, inf where half of them or more missed it.
        Seconds are steps times the median times of a gradient and of the optimizer's update.
      state_bytes_per_parameter, update_microseconds, update_compile_seconds: of the optimizer
        alone.
      update_low, update_high: quartiles of the time of an update, in microseconds.
      gradient_microseconds: median time of a gradient, the same for all optimizers.
      seconds: of one final run, computed likewise, without compilation and evaluation.
      trials: number of tuning runs.
      ids: of the final runs' records in `runs.jsonl`, from which every number here follows.
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
    update_low: float
    update_high: float
    gradient_microseconds: float
    update_compile_seconds: float
    seconds: float
    trials: int
    ids: tuple[str, ...]


def summarize(records: list[RunRecord]) -> list[Summary]:
    """Returns a summary of each optimizer with final runs, the best mean first.

    Args:
      records: of one workload, at least one; see `run_comparison`.
    """
    goal, gradient = target(records), gradient_microseconds(records)
    summaries = []
    for label, finals in final_runs(records).items():
        others = [r for r in records if r.optimizer == label and r.phase in ("tune", "default")]
        summaries.append(_summary(finals, others, goal, gradient))
    return sorted(summaries, key=lambda summary: -signed(summary.metric, summary.mean))


def final_runs(records: list[RunRecord]) -> dict[str, list[RunRecord]]:
    """Returns label -> final runs, of the optimizers that have any."""
    finals = {}
    for record in records:
        if record.phase == "final":
            finals.setdefault(record.optimizer, []).append(record)
    return finals


def target(records: list[RunRecord]) -> float:
    """Returns the workload's target, or one that most runs of every stable optimizer reach.

    The latter is the worst median of the final validation metric over the optimizers of which no
    final run diverged (over all if every optimizer has one that did). The median of an even number
    of runs is the worse of the middle two, so that more than half of them reach it. This target
    depends on which optimizers are compared. It is NaN without final runs of a finite metric.
    """
    if records[0].target is not None:
        return records[0].target
    metric = records[0].metric
    finals = final_runs(records)
    sound = [runs for runs in finals.values() if not any(run.diverged for run in runs)]
    medians = [
        np.quantile([_end(run) for run in runs], 0.5, method="lower")
        for runs in sound or finals.values()
    ]
    return signed(metric, float(min(filter(math.isfinite, medians), default=math.nan)))


def _end(run: RunRecord) -> float:
    """Returns the signed validation metric after the last epoch, -inf if it is not finite."""
    value = signed(run.metric, run.curve[-1][f"validation_{run.metric}"])
    return value if math.isfinite(value) else -math.inf


def resolution(record: RunRecord) -> float:
    """Returns the resolution of the test metric: one example for an accuracy, 0 for a loss."""
    return 1 / record.examples["test"] if record.metric == "accuracy" else 0.0


def gradient_microseconds(records: list[RunRecord]) -> float:
    """Returns the median time of a gradient, which is the same work for all optimizers.

    A comparison that was interrupted and resumed has several measurements.
    """
    measured = {
        run.cost["gradient_microseconds"]
        for run in records
        if run.cost and "gradient_microseconds" in run.cost
    }
    return float(np.median(list(measured))) if measured else math.nan


def _summary(
    finals: list[RunRecord], others: list[RunRecord], goal: float, gradient: float
) -> Summary:
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
    cost = next((run.cost for run in finals if run.cost is not None), {})
    update = cost.get("update_microseconds", math.nan)
    steps_to_target = float(np.median(epochs * first.steps / first.epochs))
    seconds = (gradient + update) / 1e6  # of a step
    return Summary(
        optimizer=first.optimizer,
        metric=metric,
        learning_rate=first.hyperparameters.get("learning_rate", math.nan),
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
        steps_to_target=steps_to_target,
        seconds_to_target=steps_to_target * seconds,
        state_bytes_per_parameter=cost.get("state_bytes_per_parameter", math.nan),
        update_microseconds=update,
        update_low=cost.get("update_microseconds_low", math.nan),
        update_high=cost.get("update_microseconds_high", math.nan),
        gradient_microseconds=gradient,
        update_compile_seconds=cost.get("update_compile_seconds", math.nan),
        seconds=float(np.mean([run.steps for run in finals])) * seconds,
        trials=len(tuning),
        ids=tuple(run.id for run in finals),
    )


def _tuning(final: RunRecord, tuning: list[RunRecord]) -> str:
    if not tuning:
        return "given"
    tried = [run.hyperparameters.get("learning_rate", math.nan) for run in tuning]
    edge = final.hyperparameters.get("learning_rate") in (min(tried), max(tried))
    return "tuned, at the edge" if edge else "tuned"


def _mean(runs: list[RunRecord], name: str) -> float:
    return float(np.mean([counted(run, name) for run in runs])) if runs else math.nan
