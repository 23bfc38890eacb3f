"""Figures by step: schedules, bounds, the values along a path."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from adaptive_jax.lab.report.figures.style import Style, grid, legend, make_palette, new_axes, theme


def by_step(
    sequences: Mapping[str, Sequence[float]],
    palette: Mapping[str, Style] | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draws sequences by step, the first number at step 0.

    Args:
      sequences: label -> numbers, such as a schedule's. Numbers that are not finite are left out.
      palette: from `make_palette`; None makes one.
      axes: where to draw; None makes a figure.

    >>> axes = by_step({"falling": [1.0, 0.5, 0.25]})
    >>> axes.get_xlabel()
    'step'
    """
    palette = palette or make_palette(sequences)
    with theme():
        if axes is None:
            axes = new_axes(6.4, 3.6)[0]
            axes.figure.set_dpi(150)
        for label, numbers in sequences.items():
            axes.plot(range(len(numbers)), numbers, **palette[label])
        axes.set(xlabel="step")
        grid(axes)
        legend(axes)
    return axes
