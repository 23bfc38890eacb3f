"""Figures of results: differences, steps to the target, and costs."""

import math
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from adaptive_jax.lab.analysis.differences import Difference
from adaptive_jax.lab.analysis.labels import display_labels
from adaptive_jax.lab.analysis.summaries import Summary
from adaptive_jax.lab.report.figures.style import (
    Style,
    grid,
    legend,
    make_palette,
    neutral,
    new_axes,
)

TO_TARGET = {
    "steps_to_target": "steps to the target",
    "seconds_to_target": "seconds to the target",
}
COST = {
    "state_bytes_per_parameter": "state, B per\nparameter",
    "update_microseconds": "update,\nµs",
    "update_compile_seconds": "compile,\ns",
}
"""Fields of `Summary` and the titles of their axes."""


def line_inches(count: int) -> float:
    """Returns the height of a figure with `count` lines."""
    return 0.8 + 0.27 * count


def differences(
    pairs: Sequence[Difference],
    metric: str = "accuracy",
    axes: Axes | None = None,
) -> Axes:
    """Draws a forest plot of paired differences with their 95% intervals.

    Significant differences are strong with a filled mark, the others faint with a hollow one. If a
    few differences are far larger than the others, the axis is logarithmic beyond most of them.

    Args:
      pairs: from `WorkloadAnalysis.differences`, at least one.
      metric: the metric of the differences. Those of an accuracy are drawn in percentage points.
      axes: where to draw; None makes a figure.
    """
    axes = new_axes(height=line_inches(len(pairs)))[0] if axes is None else axes
    labels = display_labels(label for pair in pairs for label in (pair.better, pair.worse))
    scale = 100 if metric == "accuracy" else 1
    for y, pair in enumerate(pairs):
        strong = pair.distinguishable
        axes.errorbar(
            scale * pair.mean,
            y,
            xerr=[[scale * (pair.mean - pair.low)], [scale * (pair.high - pair.mean)]],
            fmt="o",
            color=neutral(),
            alpha=1 if strong else 0.55,
            fillstyle="full" if strong else "none",
            markersize=6,
            linewidth=2.2 if strong else 1.1,
        )
    axes.axvline(0, color=neutral(), linewidth=0.8, alpha=0.6)
    _lines(axes, [f"{labels[pair.better]} − {labels[pair.worse]}" for pair in pairs])
    axes.set(title=f"better by, {'points' if metric == 'accuracy' else 'in loss'}")
    spans = scale * np.array([np.nan_to_num([pair.low, pair.mean, pair.high]) for pair in pairs])
    low, high = min(spans.min(), 0), spans.max()
    most = 2 * np.median(spans.max(axis=1))
    if high > 5 * most > 0:
        axes.set_xscale("symlog", linthresh=most, linscale=3)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set(xlabel=f"logarithmic beyond ±{most:.2g}", xlim=(low - 0.1 * most, 1.6 * high))
    return axes


def dots(
    summaries: Sequence[Summary],
    fields: Mapping[str, str],
    palette: Mapping[str, Style] | None = None,
    axes: Sequence[Axes] | None = None,
) -> Sequence[Axes]:
    """Draws fields of summaries side by side, with a line for each optimizer.

    An infinite value, a missed target, is a cross at the right edge. NaN is not drawn.

    Args:
      summaries: of one workload.
      fields: of `Summary`, each with the title of its axes: `TO_TARGET`, `COST` or a part of them.
      palette: from `make_palette`; None makes one in the order of the summaries.
      axes: one for each field; None makes a figure.
    """
    palette = palette or make_palette(summary.optimizer for summary in summaries)
    if axes is None:
        axes = new_axes(height=line_inches(len(summaries)), columns=len(fields))
    for i, (ax, (field, title)) in enumerate(zip(axes, fields.items(), strict=True)):
        values = [getattr(summary, field) for summary in summaries]
        for y, (summary, value) in enumerate(zip(summaries, values, strict=True)):
            color = palette[summary.optimizer]["color"]
            if math.isinf(value):
                across = ax.get_yaxis_transform()  # x in parts of the width
                ax.plot(0.97, y, "x", color=color, transform=across)
            else:
                ax.hlines(y, 0, value, color=color, alpha=0.4, linewidth=2)
                ax.plot(value, y, "o", color=color, clip_on=False)
        finite = [value for value in values if math.isfinite(value)]
        ax.set_xlim(0, 1.15 * max(finite, default=1) or 1)
        ax.xaxis.set_major_locator(MaxNLocator(3 if len(fields) < 3 else 2))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.tick_params(axis="x", labelbottom=bool(finite))
        ax.set_title(title)
        _lines(ax, [palette[summary.optimizer]["label"] for summary in summaries], width=26)
        ax.tick_params(axis="y", labelleft=i == 0)
    return axes


def performance_profile(
    taus: np.ndarray,
    profiles: Mapping[str, Sequence[float]],
    palette: Mapping[str, Style] | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draws the fraction of workloads solved within tau times the best optimizer's steps.

    Args:
      taus: at least 1, ascending; beyond the last one nothing changes.
      profiles: optimizer -> fraction for each tau.
      palette, axes: as in `dots`.
    """
    palette = palette or make_palette(profiles)
    axes = new_axes()[0] if axes is None else axes
    for optimizer, shares in profiles.items():
        axes.plot(
            [*taus, 1.1 * taus[-1]],
            [*shares, shares[-1]],
            drawstyle="steps-post",
            **palette[optimizer],
        )
    axes.set(
        xlabel="steps to the target, relative to the best",
        title="fraction of workloads",
        ylim=(-0.03, 1.03),
    )
    grid(axes)
    legend(axes)
    return axes


def _lines(axes, labels, width=34):
    """Labels the lines of the axes, the first on top; a wide label takes two lines."""
    lines = (textwrap.wrap(label, width, max_lines=2, placeholder=" …") for label in labels)
    wrapped = ["\n".join(line) for line in lines]
    small = 7.5 if any("\n" in label for label in wrapped) else None
    axes.set_yticks(range(len(labels)), wrapped, fontsize=small, parse_math=False)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    grid(axes, "x")
