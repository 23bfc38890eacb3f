"""Pictures of paths on a test function: together, animated, and side by side."""

import math
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure  # of its own, so that no display or backend is needed
from PIL import Image

from adaptive_jax.diagnostics import Surface
from adaptive_jax.lab.analysis.labels import short_label
from adaptive_jax.lab.report.figures import COLORS, legend_label, verbatim
from adaptive_jax.lab.surfaces.trajectories import Trajectory

_DASHES = ("-", (0, (4, 1.5)))  # in turn, so that two equal paths are both visible


def draw_trajectories(surface: Surface, paths: Sequence[Trajectory]) -> Figure:
    """Draws all paths over the contours of the surface, with its start and minima.

    The legend shows the learning rates.
    """
    figure, lines = _figure_of_all(surface, paths)
    for line, path in zip(lines, paths, strict=True):
        line.set_data(*path.points.T)
    return figure


def animate_trajectories(
    surface: Surface, paths: Sequence[Trajectory], file: Path, frames: int = 60
) -> None:
    """Writes a GIF in which the paths grow for five seconds and then pause for one.

    Args:
      surface, paths: as for `draw_trajectories`.
      file: path of the GIF.
      frames: number of frames, at most, while the paths grow.
    """
    figure, lines = _figure_of_all(surface, paths)
    figure.set_dpi(75)
    canvas, (axes,) = FigureCanvasAgg(figure), figure.axes
    heads = [axes.plot([], [], "o", color=line.get_color(), mec="white", ms=7)[0] for line in lines]
    title = axes.set_title(" ", parse_math=False)
    canvas.draw()
    background = canvas.copy_from_bbox(figure.bbox)

    def frame(step):
        canvas.restore_region(background)
        title.set_text(f"{surface.name}, step {step}")
        for line, head, path in zip(lines, heads, paths, strict=True):
            line.set_data(*path.points[: step + 1].T)
            head.set_data(*path.points[: step + 1][-1:].T)
        for artist in (title, *lines, *heads):
            axes.draw_artist(artist)
        return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")

    last = max(len(path.points) for path in paths) - 1
    steps = np.unique(np.linspace(0, last, frames).round().astype(int))
    # One palette for all, so that a frame is stored as what differs from the one before it.
    palette = frame(last).quantize()
    first, *others = (
        frame(step).quantize(palette=palette, dither=Image.Dither.NONE) for step in steps
    )
    durations = [5000 // len(steps)] * len(others) + [1000]
    first.save(file, save_all=True, append_images=others, duration=durations, loop=0)


def draw_gallery(surface: Surface, paths: Sequence[Trajectory]) -> Figure:
    """Draws a small picture of every path, with its learning rate and highest value at the end."""
    columns = math.ceil(math.sqrt(1.3 * len(paths)))
    rows = math.ceil(len(paths) / columns)
    width = 1.75
    size = width * columns, (width * _height_per_width(surface) + 0.42) * rows
    figure = Figure(figsize=size, layout="constrained", dpi=150)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in panels[len(paths) :]:
        axes.remove()
    for axes, path in zip(panels, paths, strict=False):
        _draw_surface(axes, surface, levels=8)
        axes.plot(*path.points.T, color=COLORS[0], linewidth=1.1, marker=".", markersize=1.5)
        axes.set_title(
            f"{short_label(path.optimizer.label)}\nrate {path.learning_rate:g}, "
            f"end {path.highest_at_end:.2g}",
            fontsize=6.5,
            parse_math=False,
        )
        axes.set(xticks=[], yticks=[])
    return figure


def _figure_of_all(surface, paths):
    """Returns the figure and an empty line for each path."""
    height = 7.5 * _height_per_width(surface) + 0.8 + 0.22 * math.ceil(len(paths) / 3)
    figure = Figure(figsize=(8, height), layout="constrained", dpi=150)
    axes = figure.subplots()
    _draw_surface(axes, surface, levels=16)
    lines = [
        axes.plot(
            [],
            [],
            label=legend_label(f"{short_label(path.optimizer.label)}, rate {path.learning_rate:g}"),
            color=COLORS[i % len(COLORS)],
            linestyle=_DASHES[(i + i // len(COLORS)) % len(_DASHES)],
            linewidth=1.5,
            marker=".",
            markersize=5 if len(path.points) <= 101 else 0,
        )[0]
        for i, path in enumerate(paths)
    ]
    axes.set_title(surface.name, parse_math=False)
    verbatim(figure.legend(loc="outside lower center", ncols=3, fontsize="small", frameon=False))
    return figure, lines


def _draw_surface(axes: Axes, surface: Surface, levels: int):
    """Draws contours at equal ratios, a dot at the start and a star at each minimum."""
    x, y = (np.linspace(*limits, 200, dtype=np.float32) for limits in surface.limits)
    grid = np.stack(np.meshgrid(x, y))
    values = np.asarray(jax.vmap(surface.function, in_axes=1)(jnp.asarray(grid.reshape(2, -1))))
    values = values.reshape(grid.shape[1:])
    bounds = np.geomspace(np.quantile(values, 0.005), values.max(), levels)
    style = {"levels": bounds, "norm": LogNorm(bounds[0] / 10, bounds[-1] * 10)}
    axes.contourf(x, y, values, cmap="Greys_r", alpha=0.3, extend="min", **style)
    axes.contour(x, y, values, colors="0.65", linewidths=0.4, levels=bounds)
    axes.plot(*zip(*surface.minima, strict=True), "*", color="white", mec="black", ms=9, zorder=3)
    axes.plot(*surface.start, "o", color="white", mec="black", ms=6, zorder=3)
    axes.set(xlim=surface.limits[0], ylim=surface.limits[1], aspect="equal")


def _height_per_width(surface):
    (left, right), (bottom, top) = surface.limits
    return (top - bottom) / (right - left)
