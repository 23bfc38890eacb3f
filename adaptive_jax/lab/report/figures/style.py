"""The style of figures: a color and a dash for each optimizer, figures without pyplot."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

import matplotlib
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.ticker import FuncFormatter, NullFormatter
from matplotlib.transforms import offset_copy

from adaptive_jax.lab.analysis.labels import display_labels

# A search found these eight colors: they differ as much as possible, also with the three kinds of
# color blindness (Machado et al. 2009), and have a contrast of at least 3 : 1 with white.
COLORS = (
    "#0c30a3",
    "#b33a12",
    "#3a8c72",
    "#e25cb6",
    "#aa8f06",
    "#3396e6",
    "#762213",
    "#585867",
)
DARK_COLORS = (
    "#1d6ee6",
    "#e98d45",
    "#90ecc2",
    "#d25d9f",
    "#f2c814",
    "#22a9f1",
    "#a4634c",
    "#b3b3b3",
)
"""The counterparts of `COLORS` on a dark page, found likewise against nearly black."""

_DASHES = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (9, 1.5, 3, 1.5)))

GROUP = len(COLORS)
"""Number of optimizers that share axes, each with its own color."""

_LABEL = 70  # characters, so that a legend is hardly wider than a figure

WIDTH = 4.8
"""Width of a figure in inches; its texts are legible on a phone."""

Style = dict[str, Any]
"""The label, color and linestyle of one optimizer."""


def make_palette(optimizers: Iterable[str]) -> dict[str, Style]:
    """Returns keyword arguments of `Axes.plot` for each optimizer, distinct for up to 40.

    Neighbors differ both in color and in dash.

    >>> style = make_palette(["sgd", "adam"])
    >>> style["sgd"]["color"] != style["adam"]["color"]
    True
    """
    return {
        optimizer: {
            "label": legend_label(label),
            "color": COLORS[i % GROUP],
            "linestyle": _DASHES[(i + i // GROUP) % len(_DASHES)],
        }
        for i, (optimizer, label) in enumerate(display_labels(optimizers).items())
    }


def legend_label(label: str) -> str:
    """Shortens a label for a legend, from which Matplotlib omits those that begin with "_"."""
    label = f" {label}" if label.startswith("_") else label
    return label if len(label) <= _LABEL else f"{label[: _LABEL - 1]}…"


def theme() -> AbstractContextManager[None]:
    """Sets Matplotlib's defaults and the report's font sizes, whatever the user has set."""
    return matplotlib.style.context(
        (
            "default",
            {
                "font.size": 9.5,
                "axes.titlesize": 10.5,
                "axes.titlelocation": "left",
                "axes.spines.top": False,
                "axes.spines.right": False,
                "legend.frameon": False,
                "legend.fontsize": 9,
                "lines.linewidth": 1.7,
                "svg.fonttype": "none",  # texts stay texts
                "svg.hashsalt": "adaptive_jax",  # the same ids each time
            },
        ),
        after_reset=True,
    )


def new_axes(width: float = WIDTH, height: float = 3.4, columns: int = 1) -> list[Axes]:
    """Returns a row of axes in a new figure, which needs no display or backend."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return list(figure.subplots(1, columns, squeeze=False)[0])


def neutral() -> str:
    """Returns the color of everything that belongs to no optimizer."""
    return matplotlib.rcParams["text.color"]


def grid(axes: Axes, axis: Literal["both", "x", "y"] = "both") -> None:
    """Draws faint grid lines behind the data."""
    axes.set_axisbelow(True)
    axes.grid(axis=axis, color=neutral(), alpha=0.13, linewidth=0.8)


def legend(axes: Axes) -> None:
    """Draws a legend below the axes, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        shown = axes.legend(
            handles,
            labels,
            loc="upper left",
            bbox_to_anchor=(0, 0),
            bbox_transform=offset_copy(
                axes.transAxes, axes.get_figure(root=True), x=-6, y=-36, units="points"
            ),
            ncols=_legend_columns(labels),
            handlelength=3,
            borderaxespad=0,
            columnspacing=1.2,
        )
        verbatim(shown)


def verbatim(legend: Legend) -> None:
    """Makes a legend show dollar signs as they are, not as formulas."""
    for text in legend.get_texts():
        text.set_parse_math(False)


def legend_lines(labels: Sequence[str]) -> int:
    """Returns the number of lines of a `legend` with these labels."""
    return -(-len(labels) // _legend_columns(labels))


def _legend_columns(labels):
    return 2 if max(map(len, labels)) < 23 else 1  # else they are wider than a figure


def log_ticks(axis: XAxis | YAxis) -> None:
    """Sets a log scale with numbers as on a command line: 0.001, 1e-05."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
