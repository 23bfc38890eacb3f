"""The charts of a report: their panels, titles and captions."""

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure, FigureBase

from adaptive_jax.lab.analysis.analysis import Analysis, WorkloadAnalysis
from adaptive_jax.lab.analysis.overall import Overall
from adaptive_jax.lab.report import figures
from adaptive_jax.lab.report.figures import Style
from adaptive_jax.lab.report.tables import shown_pairs
from adaptive_jax.lab.training.records import RunRecord


class Panel(NamedTuple):
    """A part of a chart, beside others on a wide page and below them on a narrow one.

    Attributes:
      draw: function that draws on given axes.
      description: the content in words, for screen readers.
      width, height: in inches.
      columns: number of axes side by side.
    """

    draw: Callable[..., Any]
    description: str
    width: float = figures.WIDTH
    height: float = 3.4
    columns: int = 1

    def on(self, figure: FigureBase) -> None:
        """Draws the panel on a figure, or on a subfigure."""
        axes = figure.subplots(1, self.columns, squeeze=False)[0]
        self.draw(axes=axes[0] if self.columns == 1 else axes)

    def figure(self) -> Figure:
        """Draws the panel on a new figure."""
        figure = Figure(figsize=(self.width, self.height), layout="constrained")
        self.on(figure)
        return figure


class Chart(NamedTuple):
    """A titled group of panels on one subject.

    Attributes:
      name: name in files, such as `"learning_curves"`.
      title: heading in the page.
      caption: how to read the chart.
      panels: empty if the records have no data for it.
    """

    name: str
    title: str
    caption: str
    panels: Sequence[Panel]

    def figure(self) -> Figure:
        """Draws all panels on one figure, in as many columns as fit."""
        columns = min(len(self.panels), int(11.5 // self.panels[0].width))
        rows = [self.panels[i : i + columns] for i in range(0, len(self.panels), columns)]
        heights = [max(panel.height for panel in row) for row in rows]
        size = (columns * max(panel.width for panel in self.panels), sum(heights))
        whole = Figure(figsize=size, layout="constrained")
        parts = whole.subfigures(len(rows), columns, squeeze=False, height_ratios=heights)
        for row, places in zip(rows, parts, strict=True):
            for panel, place in zip(row, places, strict=False):
                panel.on(place)
        return whole


def learning_curves(
    analysis: WorkloadAnalysis, records: Sequence[RunRecord], palette: Mapping[str, Style]
) -> Chart:
    """Charts training loss and validation metric by epoch."""
    groups = _groups(row.optimizer for row in analysis.summaries)
    panels = [
        Panel(
            functools.partial(figures.learning_curves, records, quantity, group, palette),
            f"{quantity} by epoch of {_listed(group, palette)}".replace("_", " "),
            height=_with_legend(group, palette),
        )
        for group in groups
        for quantity in ("train_loss", f"validation_{analysis.metric}")
    ]
    caption = (
        "Strong lines are medians over seeds, bands hold the middle half of the seeds, faint "
        "lines are single seeds."
    )
    if analysis.metric == "accuracy":
        caption += " The axis of the accuracy leaves out the lowest tenth of all values."
    return Chart("learning_curves", "Learning curves", caption + _grouped(groups), panels)


def tuning(
    analysis: WorkloadAnalysis, records: Sequence[RunRecord], palette: Mapping[str, Style]
) -> Chart:
    """Charts the validation metric against learning rate, and against the number of trials."""
    tuned = {record.optimizer for record in records if record.phase == "tune"}
    groups = _groups(optimizer for optimizer in palette if optimizer in tuned)
    kinds = [(figures.tuning_curves, "learning rate")]
    caption = (
        "By learning rate: a disc marks the chosen rate, with the mean of the final runs, a hollow "
        "diamond the optimizer's default, a cross a diverged run. The best of the tuning runs is a "
        "maximum, and too good."
    )
    # The trials of a grid, or of a refined search, are no random sample: no band holds for them.
    if all(record.search == "random" for record in records if record.phase == "tune"):
        kinds.append((figures.tuning_budget, "number of trials"))
        caption += (
            " By number of trials: the median of the best of that many random trials, with a band "
            "that holds the whole true curve with at least 95% confidence."
        )
    panels = [
        Panel(
            functools.partial(draw, records, group, palette),
            f"Validation {analysis.metric} against {against} of {_listed(group, palette)}",
            height=_with_legend(group, palette),
        )
        for group in groups
        for draw, against in kinds
    ]
    return Chart("tuning", "Tuning", caption + _grouped(groups), panels)


def differences(analysis: WorkloadAnalysis) -> Chart:
    """Charts paired differences with their intervals."""
    pairs = shown_pairs(analysis)
    caption = (
        "The mean difference over the seeds with which neither optimizer diverged, with its 95% "
        "interval; the first of the two is better. A filled mark is a significant difference."
    )
    if len(pairs) < len(analysis.differences):
        caption += " Only pairs with the best optimizer are shown; differences.csv has them all."
    draw = functools.partial(figures.differences, pairs, analysis.metric)
    description = f"Differences of test {analysis.metric} of {len(pairs)} pairs of optimizers"
    panel = Panel(draw, description, height=figures.line_inches(len(pairs)))
    return Chart("differences", "Paired differences", caption, [panel] if pairs else [])


def costs(analysis: WorkloadAnalysis, palette: Mapping[str, Style]) -> Chart:
    """Charts steps and seconds to the target, and the cost of the optimizers."""
    panels = []
    for fields in (figures.TO_TARGET, figures.COST):
        known = {
            field: title
            for field, title in fields.items()
            if not all(math.isnan(getattr(row, field)) for row in analysis.summaries)
        }
        if known:
            titles = ", ".join(title.replace("\n", " ") for title in known.values())
            draw = functools.partial(figures.dots, analysis.summaries, known, palette)
            height = figures.line_inches(len(analysis.summaries))
            description = f"For each optimizer: {titles}"
            panels.append(Panel(draw, description, figures.WIDTH, height, len(known)))
    caption = (
        "Medians over seeds; seconds are steps times the time of a gradient and of the optimizer's "
        "own update, without compilation and evaluation. A cross marks a missed target."
    )
    return Chart("costs", "Time to the target, and cost", caption, panels)


def effective_learning_rates(
    analysis: WorkloadAnalysis, records: Sequence[RunRecord], palette: Mapping[str, Style]
) -> Chart:
    """Charts the distribution of effective learning rates over training."""
    known = {record.optimizer for record in records if record.phase == "final" and record.rates}
    shown = [row.optimizer for row in analysis.summaries if row.optimizer in known]
    panels = [
        Panel(
            functools.partial(figures.effective_learning_rates, records, optimizer, palette),
            f"Effective learning rates by epoch of {palette[optimizer]['label']}",
            2.7,
            2.3,
        )
        for optimizer in shown
    ]
    caption = (
        "The distribution of the parameters' effective learning rates at the end of each epoch, "
        "over all seeds: the stronger the color, the more parameters. The line is the median."
    )
    others = [
        palette[row.optimizer]["label"] for row in analysis.summaries if row.optimizer not in known
    ]
    if others:
        caption += (
            " Not shown, because the update is not a direction times a scale per coordinate: "
        )
        caption += f"{', '.join(others)}."
    return Chart("effective_learning_rates", "Effective learning rates", caption, panels)


def workload_charts(
    analysis: WorkloadAnalysis, records: Sequence[RunRecord], palette: Mapping[str, Style]
) -> list[Chart]:
    """Returns the charts of one workload that have data, in the order of the report.

    Args:
      analysis: the analysis of the workload.
      records: the records of the workload.
      palette: the styles of all its optimizers.
    """
    charts = [
        learning_curves(analysis, records, palette),
        tuning(analysis, records, palette),
        differences(analysis),
        costs(analysis, palette),
        effective_learning_rates(analysis, records, palette),
    ]
    return [chart for chart in charts if chart.panels]


def overall_charts(overall: Overall, palette: Mapping[str, Style]) -> list[Chart]:
    """Returns the charts of all workloads together that have data."""
    charts = [performance_profiles(overall, palette)]
    return [chart for chart in charts if chart.panels]


def report_palette(analysis: Analysis, records: Sequence[RunRecord]) -> dict[str, Style]:
    """Returns the palette of all charts, in the order of the first workload's table."""
    ranked = [
        summary.optimizer for workload in analysis.workloads for summary in workload.summaries
    ]
    return figures.make_palette([*ranked, *(record.optimizer for record in records)])


def performance_profiles(overall: Overall, palette: Mapping[str, Style]) -> Chart:
    """Charts how often each optimizer reaches the target within a multiple of the best's steps."""
    panels = []
    if overall.profiles is not None:
        labels = [standing.optimizer for standing in overall.standings]
        fractions = dict(zip(labels, overall.profiles.fractions, strict=True))
        for group in _groups(labels):
            profiles = {optimizer: fractions[optimizer] for optimizer in group}
            panels.append(
                Panel(
                    functools.partial(
                        figures.performance_profile, overall.profiles.taus, profiles, palette
                    ),
                    f"Performance profiles of {_listed(group, palette)}",
                    height=_with_legend(group, palette),
                )
            )
    caption = (
        "The fraction of workloads on which an optimizer reached the target within that multiple "
        "of the best optimizer's steps: at the left how often it was the best, at the right how "
        "often it reached the target at all."
    )
    return Chart("performance_profiles", "Performance profiles", caption, panels)


def _groups(optimizers: Iterable[str]) -> list[list[str]]:
    optimizers = list(optimizers)
    return [optimizers[i : i + figures.GROUP] for i in range(0, len(optimizers), figures.GROUP)]


def _grouped(groups):
    return "" if len(groups) < 2 else f" In groups of {figures.GROUP}, in the order of the table."


def _listed(group, palette):
    return ", ".join(palette[optimizer]["label"] for optimizer in group)


def _with_legend(group, palette):
    """Returns the height in inches of a figure with a legend below."""
    return 2.8 + 0.21 * figures.legend_lines([palette[optimizer]["label"] for optimizer in group])
