"""What tuning found."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from adaptive_jax.comparison.figures.style import (
    Style,
    grid,
    legend,
    log_ticks,
    new_axes,
    styles,
)
from adaptive_jax.comparison.scores import score, signed
from adaptive_jax.statistics import best_so_far
from adaptive_jax.training.records import RunRecord


def tuning_curves(
    records: Sequence[RunRecord],
    optimizers: Sequence[str] | None = None,
    looks: Mapping[str, Style] | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draws the validation metric of the tuning runs against the learning rate.

    A filled disc is the rate of the final runs, a hollow diamond the optimizer's default. A
    diverged run is a cross at the worse edge of the axes.

    Args:
      records: of one workload; those of final runs say which rate was chosen.
      optimizers: labels of those to draw, None for all that were tuned.
      looks: from `styles`; None gives each optimizer the next one in the order of the records.
      axes: where to draw; None makes a figure.
    """
    looks = looks or styles(record.optimizer for record in records)
    axes = new_axes()[0] if axes is None else axes
    metric = records[0].metric
    tuned = dict.fromkeys(record.optimizer for record in records if record.phase == "tune")
    for optimizer in tuned if optimizers is None else optimizers:
        mine = [record for record in records if record.optimizer == optimizer]
        chosen = {_rate(record) for record in mine if record.phase == "final"}
        tuning = sorted((record for record in mine if record.phase == "tune"), key=_rate)
        default = [record for record in mine if record.phase == "default"]
        picked = [record for record in tuning if _rate(record) in chosen]
        dot = {"linestyle": "", "color": looks[optimizer]["color"]}

        def draw(runs, metric=metric, **style):
            kept = [run for run in runs if not run.diverged]
            scores = [run.final[f"validation_{metric}"] for run in kept]
            axes.plot([_rate(run) for run in kept], scores, **style)

        draw(tuning, marker=".", markersize=5, **looks[optimizer])
        draw(picked, marker="o", markersize=8, zorder=4, **dot)
        draw(default, marker="D", markersize=7, fillstyle="none", **dot)
        lost = [_rate(run) for run in (*tuning, *default) if run.diverged]
        edge = 0.02 if metric == "accuracy" else 0.98
        across = axes.get_xaxis_transform()  # y in parts of the height
        axes.plot(lost, [edge] * len(lost), marker="x", transform=across, clip_on=False, **dot)
    log_ticks(axes.xaxis)
    axes.set(xlabel="learning rate", title=f"validation {metric} of the tuning runs")
    grid(axes)
    legend(axes)
    return axes


def tuning_budget(
    records: Sequence[RunRecord],
    optimizers: Sequence[str] | None = None,
    looks: Mapping[str, Style] | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draws the best validation metric to be expected of so many tuning trials.

    The mean over all choices of that many of the trials, see `statistics.best_so_far`; a trial
    that diverged counts as `scores.counted` says.

    Args:
      records, optimizers, looks, axes: as in `tuning_curves`.
    """
    looks = looks or styles(record.optimizer for record in records)
    axes = new_axes()[0] if axes is None else axes
    metric = records[0].metric
    tuned = dict.fromkeys(record.optimizer for record in records if record.phase == "tune")
    for optimizer in tuned if optimizers is None else optimizers:
        tuning = [r for r in records if r.optimizer == optimizer and r.phase == "tune"]
        expected = best_so_far([score(run, "validation") for run in tuning]).estimate
        expected = signed(metric, expected)
        axes.plot(range(1, len(tuning) + 1), expected, marker=".", markersize=5, **looks[optimizer])
    axes.set(xlabel="tuning trials", title=f"best validation {metric} so far")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    grid(axes)
    legend(axes)
    return axes


def _rate(record):
    return record.hyperparameters["learning_rate"]
