"""Figures of training: learning curves and effective learning rates."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.ticker import FuncFormatter, MaxNLocator

from adaptive_jax.diagnostics import RATE_EDGES
from adaptive_jax.lab.report.figures.style import (
    Style,
    grid,
    legend,
    log_ticks,
    make_palette,
    neutral,
    new_axes,
)
from adaptive_jax.lab.training.records import RunRecord

_HEAT = "#3396e6"  # as visible on a dark page, where a picture's colors stay what they are
_POINTS = 120
"""Number of epochs drawn of a curve, evenly spaced; a page cannot show more."""


def learning_curves(
    records: Sequence[RunRecord],
    quantity: str = "validation_accuracy",
    optimizers: Sequence[str] | None = None,
    palette: Mapping[str, Style] | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draws a quantity of the final runs by epoch: the median over seeds is the strong line.

    Faint lines are single seeds, the band holds the middle half of them. Losses are on a log scale
    that ends at twice the untrained model's loss; a line above it has diverged. The axis of an
    accuracy leaves out the lowest tenth of all values, so that the last epochs are distinct.

    Args:
      records: of one workload; only final runs are drawn.
      quantity: a name in `RunRecord.curve`, such as `"train_loss"`.
      optimizers: labels to draw, None for all. The limits are those of all.
      palette: from `make_palette`; None makes one in the order of the records.
      axes: where to draw; None makes a figure.
    """
    finals = [record for record in records if record.phase == "final"]
    palette = palette or make_palette(record.optimizer for record in finals)
    axes = new_axes()[0] if axes is None else axes
    epochs = np.arange(1, finals[0].epochs + 1)
    shown = np.unique(np.linspace(0, len(epochs) - 1, _POINTS).round().astype(int))
    ceiling = 2 * max(record.initial_loss for record in finals)
    # A value that is not finite is drawn as a line that leaves the axes, not as one that stops.
    missing, top = (0, 1) if quantity.endswith("accuracy") else (np.inf, 2 * ceiling)
    values = np.array([[point[quantity] for point in run.curve] for run in finals])[:, shown]
    values = np.clip(np.nan_to_num(values, nan=missing), None, top)
    drawn = np.array([record.optimizer for record in finals])
    labels = list(dict.fromkeys(drawn)) if optimizers is None else optimizers
    faint = min(0.35, 10 / np.isin(drawn, labels).sum())  # so that many do not cover the medians
    for optimizer in labels:
        style, curves = palette[optimizer], values[drawn == optimizer]
        low, middle, high = np.percentile(curves, (25, 50, 75), axis=0)
        marker = "o" if len(shown) == 1 else None
        axes.plot(epochs[shown], middle, marker=marker, zorder=3, **style)
        if len(curves) > 1:
            axes.plot(epochs[shown], curves.T, color=style["color"], alpha=faint, linewidth=0.5)
            axes.fill_between(epochs[shown], low, high, color=style["color"], alpha=0.13, lw=0)
    if quantity.endswith("accuracy"):
        low, high = np.percentile(values, (10, 100))
        margin = 0.05 * (high - low) or 0.05
        axes.set_ylim(low - margin, high + margin)
    else:
        log_ticks(axes.yaxis)
        values = values[(values > 0) & (values < ceiling)]
        if values.size:
            axes.set_ylim(values.min() / 1.2, min(1.2 * values.max(), ceiling))
    axes.set(xlabel="epoch", title=quantity.replace("train", "training").replace("_", " "))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    grid(axes)
    legend(axes)
    return axes


def effective_learning_rates(
    records: Sequence[RunRecord],
    optimizer: str,
    palette: Mapping[str, Style] | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draws how many parameters had which effective learning rate at the end of each epoch.

    The stronger the color, the more parameters; each column is scaled to its largest count. Counts
    are sums over the seeds of the final runs. The line is the median.

    Args:
      records: of one workload, with `rates` for this optimizer.
      optimizer: label of the optimizer.
      palette, axes: as in `learning_curves`; only the label of the style is used.
    """
    own = [record for record in records if record.optimizer == optimizer]
    finals = [record for record in own if record.phase == "final" and record.rates]
    palette = palette or make_palette(record.optimizer for record in records)
    axes = new_axes(2.7, 2.3)[0] if axes is None else axes
    counts = np.array([run.rates for run in finals]).sum(axis=0).T.astype(float)  # (bin, epoch)
    image = np.empty((*counts.shape, 4))
    image[..., :3] = to_rgb(_HEAT)
    image[..., 3] = 0.8 * np.sqrt(counts / np.maximum(counts.max(axis=0), 1))
    exponents = np.log10(RATE_EDGES)
    extent = (0.5, counts.shape[1] + 0.5, exponents[0], exponents[-1])
    axes.imshow(image, extent=extent, origin="lower", aspect="auto", interpolation="none")
    shares = np.cumsum(counts, axis=0) / np.maximum(counts.sum(axis=0), 1)
    centers = (exponents[1:] + exponents[:-1]) / 2
    median = np.where(counts.any(axis=0), centers[np.argmax(shares >= 0.5, axis=0)], np.nan)
    axes.plot(np.arange(1, counts.shape[1] + 1), median, color=neutral(), linewidth=1)
    axes.set(xlabel="epoch")
    axes.set_title(palette[optimizer]["label"], parse_math=False)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda exponent, _: f"{10.0**exponent:g}"))
    return axes
