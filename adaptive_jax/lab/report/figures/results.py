"""What came of it: differences, what training to a target takes, what optimizers cost."""

import math
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from adaptive_jax.lab.analysis.differences import Difference
from adaptive_jax.lab.analysis.names import names
from adaptive_jax.lab.analysis.rows import Row
from adaptive_jax.lab.report.figures.style import (
    Style,
    grid,
    legend,
    neutral,
    new_axes,
    styles,
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
"""Fields of `Row` and the titles of their axes."""


def line_inches(count: int) -> float:
    """The height of a figure with a line for each of `count` things."""
    return 0.8 + 0.27 * count


def differences(
    pairs: Sequence[Difference],
    metric: str = "accuracy",
    axes: Axes | None = None,
) -> Axes:
    """Draws a forest plot: by how much each pair's better optimizer is better, with 95% intervals.

    Pairs that can be told apart are strong with a filled mark, the others faint with a hollow one.
    If a few differences are far larger than most, the axis is logarithmic beyond what most need.

    Args:
      pairs: from `WorkloadAnalysis.differences`, at least one.
      metric: what they are differences of; an accuracy's are drawn in points, of a hundred.
      axes: where to draw; None makes a figure.
    """
    axes = new_axes(height=line_inches(len(pairs)))[0] if axes is None else axes
    shown = names(label for pair in pairs for label in (pair.better, pair.worse))
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
    _lines(axes, [f"{shown[pair.better]} − {shown[pair.worse]}" for pair in pairs])
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
    rows: Sequence[Row],
    fields: Mapping[str, str],
    looks: Mapping[str, Style] | None = None,
    axes: Sequence[Axes] | None = None,
) -> Sequence[Axes]:
    """Draws fields of the rows side by side, a line for each optimizer.

    An infinite value, a target that was missed, is a cross at the right edge; there is nothing
    where a value is NaN.

    Args:
      rows: of one workload.
      fields: of `Row`, each with the title of its axes: `TO_TARGET`, `COST` or a part of them.
      looks: from `styles`; None gives each optimizer the next one in the order of the rows.
      axes: one for each field; None makes a figure.
    """
    looks = looks or styles(row.optimizer for row in rows)
    if axes is None:
        axes = new_axes(height=line_inches(len(rows)), columns=len(fields))
    for i, (ax, (field, title)) in enumerate(zip(axes, fields.items(), strict=True)):
        values = [getattr(row, field) for row in rows]
        for y, (row, value) in enumerate(zip(rows, values, strict=True)):
            color = looks[row.optimizer]["color"]
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
        _lines(ax, [looks[row.optimizer]["label"] for row in rows], width=26)
        ax.tick_params(axis="y", labelleft=i == 0)
    return axes


def performance_profile(
    taus: np.ndarray,
    profiles: Mapping[str, Sequence[float]],
    looks: Mapping[str, Style] | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draws the share of workloads solved within tau times the best optimizer's steps.

    Args:
      taus: at least 1, ascending; beyond the last one nothing changes.
      profiles: optimizer -> share for each tau.
      looks, axes: as in `dots`.
    """
    looks = looks or styles(profiles)
    axes = new_axes()[0] if axes is None else axes
    for optimizer, shares in profiles.items():
        axes.plot(
            [*taus, 1.1 * taus[-1]],
            [*shares, shares[-1]],
            drawstyle="steps-post",
            **looks[optimizer],
        )
    axes.set(
        xlabel="steps to the target, relative to the best",
        title="share of workloads",
        ylim=(-0.03, 1.03),
    )
    grid(axes)
    legend(axes)
    return axes


def _lines(axes, labels, width=34):
    """Names one below the other, the first on top, in two lines if they are wide."""
    lines = (textwrap.wrap(label, width, max_lines=2, placeholder=" …") for label in labels)
    wrapped = ["\n".join(line) for line in lines]
    small = 7.5 if any("\n" in label for label in wrapped) else None
    axes.set_yticks(range(len(labels)), wrapped, fontsize=small, parse_math=False)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    grid(axes, "x")
