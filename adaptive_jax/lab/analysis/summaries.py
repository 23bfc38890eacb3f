"""Summaries of each optimizer's runs on one workload."""

import dataclasses
import math

import numpy as np

from adaptive_jax.lab import statistics
from adaptive_jax.lab.analysis.scores import counted, epochs_to_target, failed, score, signed
from adaptive_jax.lab.training.records import RunRecord


@dataclasses.dataclass(frozen=True)
class Summary:
    """One optimizer's result on one workload. A value that was not measured is NaN.

    Attributes:
      optimizer: its label.
      metric: "accuracy" or "loss", by which the workload judges.
      learning_rate: of its final runs; the median over studies.
      tuning: "tuned", "tuned, at the edge" if the best rate was the lowest or highest tried, or
        "given" if none was tried.
      mean, low, high: of the metric on the test set, over the final runs that did not diverge,
        with its 95% t interval; that of an accuracy is within [0, 1]. With several studies, the
        interval is that of the mean over studies. NaN if all runs diverged.
      std: standard deviation of the same runs.
      with_diverged: the mean over all final runs, where a diverged one counts as in
        `scores.counted`. Optimizers are ranked by it.
      test_loss: mean over the final runs that did not diverge, whatever the metric.
      train: mean of the metric on the training set over the same runs.
      tuned_score: the metric on validation data, mean over the same runs. They have other seeds
        than the tuning runs, the best of which is too good: a maximum.
      default_score: the metric on validation data of the run at default hyperparameters.
      runs, diverged: final runs, and how many of them diverged or have no finite test metric.
      diverged_low, diverged_high: Wilson's 95% interval of the fraction that diverges.
      steps_to_target, seconds_to_target: medians over final runs to the end of the first epoch
        whose validation metric reaches the target, inf where half of them or more missed it.
        Seconds are steps times the median times of a gradient and of the optimizer's update.
      mean_reaches_target: steps to the end of the first epoch at which the mean of the validation
        metric over all final runs reaches the target, inf if it never does.
      state_bytes_per_parameter, update_microseconds, update_compile_seconds: of the optimizer
        alone.
      update_low, update_high: quartiles of the time of an update, in microseconds.
      gradient_microseconds: median time of a gradient, the same for all optimizers.
      seconds: of one final run, computed likewise, without compilation and evaluation.
      trials: number of tuning runs.
      studies: number of studies with final runs.
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
    with_diverged: float
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
    mean_reaches_target: float
    state_bytes_per_parameter: float
    update_microseconds: float
    update_low: float
    update_high: float
    gradient_microseconds: float
    update_compile_seconds: float
    seconds: float
    trials: int
    studies: int
    ids: tuple[str, ...]


def summarize(records: list[RunRecord]) -> list[Summary]:
    """Returns a summary of each optimizer with final runs, the best first.

    They are in the order of `Summary.with_diverged`.

    Args:
      records: of one workload, at least one; see `run_comparison`.
    """
    goal, gradient = target(records), gradient_microseconds(records)
    summaries = []
    for label, finals in final_runs(records).items():
        others = [r for r in records if r.optimizer == label and r.phase in ("tune", "default")]
        summaries.append(_summary(finals, others, goal, gradient))
    return sorted(summaries, key=lambda summary: -signed(summary.metric, summary.with_diverged))


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


def default_min_effect(records: list[RunRecord]) -> float:
    """Returns the smallest difference of interest where the user names none.

    For an accuracy it is one example of the test set. For a loss it is a thousandth of the lowest
    mean test loss of an optimizer, or a millionth of the initial loss if that is more. The same run
    in another group of runs differs by about 1e-7 of its loss, the rounding of float32. Over seeds
    losses vary by 0.2 to 0.5 of their mean on the small workloads, so a thousandth is far above
    rounding, and far below what tens of seeds can show.
    """
    if step := resolution(records[0]):
        return step
    means = [np.mean([-score(run) for run in runs]) for runs in final_runs(records).values()]
    least = min(map(abs, means), default=0.0)
    return max(1e-3 * float(least), 1e-6 * max(record.initial_loss for record in records))


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
    sound = [run for run in finals if not failed(run)]
    results = [counted(run, f"test_{metric}") for run in sound]
    interval = _interval(sound)
    diverged = len(finals) - len(sound)
    share = statistics.wilson_interval(diverged, len(finals))
    tuning = [run for run in others if run.phase == "tune"]
    default = [run for run in others if run.phase == "default"]
    epochs = np.array([epochs_to_target(run, goal) for run in finals])
    cost = next((run.cost for run in finals if run.cost is not None), {})
    update = cost.get("update_microseconds", math.nan)
    per_epoch = first.steps / first.epochs
    steps_to_target = float(np.median(epochs * per_epoch))
    seconds = (gradient + update) / 1e6  # of a step
    return Summary(
        optimizer=first.optimizer,
        metric=metric,
        learning_rate=float(np.median([_rate(run) for run in finals])),
        tuning=_tuning(finals, tuning),
        mean=float(interval.estimate),
        low=float(interval.low),
        high=float(interval.high),
        std=float(np.std(results, ddof=1)) if len(results) > 1 else math.nan,
        with_diverged=_mean(finals, f"test_{metric}"),
        test_loss=_mean(sound, "test_loss"),
        train=_mean(sound, f"train_{metric}"),
        tuned_score=_mean(sound, f"validation_{metric}") if tuning else math.nan,
        default_score=_mean(default, f"validation_{metric}"),
        runs=len(finals),
        diverged=diverged,
        diverged_low=float(share.low),
        diverged_high=float(share.high),
        steps_to_target=steps_to_target,
        seconds_to_target=steps_to_target * seconds,
        mean_reaches_target=_first_epoch(finals, goal) * per_epoch,
        state_bytes_per_parameter=cost.get("state_bytes_per_parameter", math.nan),
        update_microseconds=update,
        update_low=cost.get("update_microseconds_low", math.nan),
        update_high=cost.get("update_microseconds_high", math.nan),
        gradient_microseconds=gradient,
        update_compile_seconds=cost.get("update_compile_seconds", math.nan),
        seconds=float(np.mean([run.steps for run in finals])) * seconds,
        trials=len(tuning),
        studies=len({run.study for run in finals}),
        ids=tuple(run.id for run in finals),
    )


def _interval(runs: list[RunRecord]) -> statistics.Interval:
    """Returns the mean test metric with its interval, over studies if there are several."""
    if not runs:
        return statistics.Interval(math.nan, math.nan, math.nan)
    metric, step = runs[0].metric, resolution(runs[0])
    studies = {}
    for run in runs:
        studies.setdefault(run.study, []).append(counted(run, f"test_{metric}"))
    values = next(iter(studies.values()))
    if len(studies) > 1:
        step /= math.sqrt(min(map(len, studies.values())))
        values = [np.mean(each) for each in studies.values()]
    bounds = (0, 1) if metric == "accuracy" else (-math.inf, math.inf)
    return statistics.t_interval(values, step, bounds)


def _first_epoch(runs: list[RunRecord], goal: float) -> float:
    """Returns the first epoch at which the mean validation metric reaches the goal, inf if none."""
    name, metric = f"validation_{runs[0].metric}", runs[0].metric
    curves = np.full((len(runs), max(len(run.curve) for run in runs)), math.nan)
    for curve, run in zip(curves, runs, strict=True):  # a run that stopped has a shorter curve
        curve[: len(run.curve)] = [signed(metric, point[name]) for point in run.curve]
    reached = np.nonzero(curves.mean(0) >= signed(metric, goal))[0]
    return float(reached[0] + 1) if reached.size else math.inf


def _tuning(finals: list[RunRecord], tuning: list[RunRecord]) -> str:
    if not tuning:
        return "given"
    rates = [_rate(run) for run in tuning]
    edge = any(_rate(run) in (min(rates), max(rates)) for run in finals)
    return "tuned, at the edge" if edge else "tuned"


def _rate(run: RunRecord) -> float:
    return run.hyperparameters.get("learning_rate", math.nan)


def _mean(runs: list[RunRecord], name: str) -> float:
    return float(np.mean([counted(run, name) for run in runs])) if runs else math.nan
