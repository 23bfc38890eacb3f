"""Figures of tuning."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from adaptive_jax.lab.analysis.scores import failed, score, signed
from adaptive_jax.lab.report.figures.style import (
    Style,
    grid,
    legend,
    log_ticks,
    make_palette,
    new_axes,
)
from adaptive_jax.lab.statistics import best_so_far
from adaptive_jax.lab.training.records import RunRecord


class Trial(NamedTuple):
    """One trial: a setting of the hyperparameters, with one or several seeds.

    Attributes:
      varied: hyperparameter -> value, of the tuned hyperparameters.
      rate: learning rate.
      score: mean over seeds of the validation metric, as `scores.score` counts it.
      diverged: whether a run diverged.
    """

    varied: Mapping[str, float]
    rate: float
    score: float
    diverged: bool


def trials(runs: Iterable[RunRecord]) -> list[Trial]:
    """Returns the trials of one optimizer's runs, by learning rate."""
    by_setting = {}
    for run in runs:
        by_setting.setdefault(tuple(sorted(run.varied.items())), []).append(run)
    return sorted(
        (
            Trial(
                same[0].varied,
                same[0].hyperparameters["learning_rate"],
                signed(same[0].metric, float(np.mean([score(run, "validation") for run in same]))),
                any(run.diverged for run in same),
            )
            for same in by_setting.values()
        ),
        key=lambda trial: trial.rate,
    )


def tuning_curves(
    records: Sequence[RunRecord],
    optimizers: Sequence[str] | None = None,
    palette: Mapping[str, Style] | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draws the validation metric of the tuning runs, mean over seeds, against the learning rate.

    A filled disc is the chosen setting, with the result of the final runs, which have other seeds
    than the tuning runs. A hollow diamond is the optimizer's default. A
    setting of which a run diverged is a cross at the worse edge of the axes. Points are joined if
    nothing but the learning rate was varied.

    Args:
      records: of one workload; those of final runs say which setting was chosen.
      optimizers: labels to draw, None for all that were tuned.
      palette: from `make_palette`; None makes one in the order of the records.
      axes: where to draw; None makes a figure.
    """
    palette = palette or make_palette(record.optimizer for record in records)
    axes = new_axes()[0] if axes is None else axes
    metric = records[0].metric
    for optimizer, phases in _tuned(records, optimizers).items():
        tuning, default = trials(phases["tune"]), trials(phases.get("default", ()))
        picked = trials(final for final in phases.get("final", ()) if not failed(final))
        style = dict(palette[optimizer])
        if any(set(trial.varied) != {"learning_rate"} for trial in tuning):
            style["linestyle"] = ""
        dot = {"linestyle": "", "color": style["color"]}

        def draw(some, **style):
            kept = [trial for trial in some if not trial.diverged]
            axes.plot([trial.rate for trial in kept], [trial.score for trial in kept], **style)

        draw(tuning, marker=".", markersize=5, **style)
        draw(picked, marker="o", markersize=8, zorder=4, **dot)
        draw(default, marker="D", markersize=7, fillstyle="none", **dot)
        lost = [trial.rate for trial in (*tuning, *default) if trial.diverged]
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
    palette: Mapping[str, Style] | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draws the median best validation metric against the number of random tuning trials.

    With its simultaneous 95% band, see `statistics.best_so_far`, which is left out where the trials
    do not bound it. A diverged trial counts as in `scores.counted`.

    Args:
      records: of one workload, tuned by random search: a band of a grid would mean nothing.
      optimizers, palette, axes: as in `tuning_curves`.

    Raises:
      ValueError: the tuning runs are not of a random search.
    """
    if kinds := {r.search for r in records if r.phase == "tune"} - {"random"}:
        raise ValueError(
            f"a curve by trials needs runs of search='random', got {' and '.join(sorted(kinds))!r}"
        )
    palette = palette or make_palette(record.optimizer for record in records)
    axes = new_axes()[0] if axes is None else axes
    metric = records[0].metric
    for optimizer, phases in _tuned(records, optimizers).items():
        scores = [signed(metric, trial.score) for trial in trials(phases["tune"])]
        counts = range(1, len(scores) + 1)
        bounds = (0, 1) if metric == "accuracy" else ()
        sign = signed(metric, 1.0)
        middle, low, high = (sign * np.asarray(curve) for curve in best_so_far(scores, *bounds))
        known = np.isfinite(low) & np.isfinite(high)
        style = palette[optimizer]
        axes.plot(counts, middle, marker=".", markersize=5, **style)
        axes.fill_between(counts, low, high, known, color=style["color"], alpha=0.1, linewidth=0)
    axes.set(xlabel="tuning trials", title=f"best validation {metric} so far")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    grid(axes)
    legend(axes)
    return axes


def _tuned(records, optimizers):
    """Returns optimizer -> phase -> runs, of those (or all) that were tuned."""
    runs = {}
    for record in records:
        phases = runs.setdefault(record.optimizer, {})
        phases.setdefault(record.phase, []).append(record)
    wanted = runs if optimizers is None else optimizers
    return {label: runs[label] for label in wanted if "tune" in runs[label]}
