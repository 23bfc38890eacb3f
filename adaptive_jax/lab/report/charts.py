"""Which figures a report has, of which axes, and what is said about them."""

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


class Piece(NamedTuple):
    """What stands alone on a narrow page and beside others on a wide one.

    Attributes:
      draw: draws on the axes it is given.
      description: what the picture shows, in words.
      width, height: in inches.
      columns: how many axes side by side.
    """

    draw: Callable[..., Any]
    description: str
    width: float = figures.WIDTH
    height: float = 3.4
    columns: int = 1

    def on(self, figure: FigureBase) -> None:
        """Draws it on a figure, or on a part of one."""
        axes = figure.subplots(1, self.columns, squeeze=False)[0]
        self.draw(axes=axes[0] if self.columns == 1 else axes)

    def figure(self) -> Figure:
        """A figure of its own."""
        figure = Figure(figsize=(self.width, self.height), layout="constrained")
        self.on(figure)
        return figure


class Chart(NamedTuple):
    """Pieces with a common subject.

    Attributes:
      name: of files, such as `"learning_curves"`.
      title: a heading.
      caption: how to read it.
      pieces: none if the records say nothing about it.
    """

    name: str
    title: str
    caption: str
    pieces: Sequence[Piece]

    def figure(self) -> Figure:
        """All pieces on one figure, in as many columns as are not too wide together."""
        columns = min(len(self.pieces), int(11.5 // self.pieces[0].width))
        rows = [self.pieces[i : i + columns] for i in range(0, len(self.pieces), columns)]
        heights = [max(piece.height for piece in row) for row in rows]
        size = (columns * max(piece.width for piece in self.pieces), sum(heights))
        whole = Figure(figsize=size, layout="constrained")
        parts = whole.subfigures(len(rows), columns, squeeze=False, height_ratios=heights)
        for row, places in zip(rows, parts, strict=True):
            for piece, place in zip(row, places, strict=False):
                piece.on(place)
        return whole


def learning_curves(
    analysis: WorkloadAnalysis, records: Sequence[RunRecord], looks: Mapping[str, Style]
) -> Chart:
    """Training loss and validation metric by epoch."""
    groups = _groups(row.optimizer for row in analysis.rows)
    pieces = [
        Piece(
            functools.partial(figures.learning_curves, records, quantity, group, looks),
            f"{quantity} by epoch of {_listed(group, looks)}".replace("_", " "),
            height=_with_legend(group, looks),
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
    return Chart("learning_curves", "Learning curves", caption + _grouped(groups), pieces)


def tuning(
    analysis: WorkloadAnalysis, records: Sequence[RunRecord], looks: Mapping[str, Style]
) -> Chart:
    """Validation metric against learning rate, and against the number of trials."""
    tuned = {record.optimizer for record in records if record.phase == "tune"}
    groups = _groups(optimizer for optimizer in looks if optimizer in tuned)
    pieces = [
        Piece(
            functools.partial(draw, records, group, looks),
            f"Validation {analysis.metric} against {against} of {_listed(group, looks)}",
            height=_with_legend(group, looks),
        )
        for group in groups
        for draw, against in (
            (figures.tuning_curves, "learning rate"),
            (figures.tuning_budget, "number of trials"),
        )
    ]
    caption = (
        "By learning rate: a disc is the one that was chosen, a hollow diamond the optimizer's "
        "default, a cross a run that diverged. By number of trials: the best that so many of the "
        "trials would have found in the mean, and its 95% band."
    )
    return Chart("tuning", "Tuning", caption + _grouped(groups), pieces)


def differences(analysis: WorkloadAnalysis) -> Chart:
    """Paired differences with intervals."""
    pairs = shown_pairs(analysis)
    caption = (
        "By how much the first of two optimizers is better, in the mean over the seeds that both "
        "ran with, and the 95% interval of that. Filled: the two can be told apart."
    )
    if len(pairs) < len(analysis.differences):
        caption += " Pairs with the best optimizer only; differences.csv has them all."
    draw = functools.partial(figures.differences, pairs, analysis.metric)
    description = f"Differences of test {analysis.metric} of {len(pairs)} pairs of optimizers"
    piece = Piece(draw, description, height=figures.line_inches(len(pairs)))
    return Chart("differences", "Paired differences", caption, [piece] if pairs else [])


def costs(analysis: WorkloadAnalysis, looks: Mapping[str, Style]) -> Chart:
    """What training to the target takes, and what the optimizers cost."""
    pieces = []
    for fields in (figures.TO_TARGET, figures.COST):
        known = {
            field: title
            for field, title in fields.items()
            if not all(math.isnan(getattr(row, field)) for row in analysis.rows)
        }
        if known:
            titles = ", ".join(title.replace("\n", " ") for title in known.values())
            draw = functools.partial(figures.dots, analysis.rows, known, looks)
            height = figures.line_inches(len(analysis.rows))
            description = f"For each optimizer: {titles}"
            pieces.append(Piece(draw, description, figures.WIDTH, height, len(known)))
    caption = (
        "Medians over seeds; seconds are steps times the time of a gradient and of the optimizer's "
        "own update, without compilation and evaluation. A cross is a target that was missed."
    )
    return Chart("costs", "Time to the target, and cost", caption, pieces)


def effective_learning_rates(
    analysis: WorkloadAnalysis, records: Sequence[RunRecord], looks: Mapping[str, Style]
) -> Chart:
    """How the coordinates' own learning rates spread over training."""
    known = {record.optimizer for record in records if record.phase == "final" and record.rates}
    shown = [row.optimizer for row in analysis.rows if row.optimizer in known]
    pieces = [
        Piece(
            functools.partial(figures.effective_learning_rates, records, optimizer, looks),
            f"Effective learning rates by epoch of {looks[optimizer]['label']}",
            2.7,
            2.3,
        )
        for optimizer in shown
    ]
    caption = (
        "How many parameters have which learning rate of their own at the end of an epoch, over "
        "all seeds: the stronger the color, the more. The line is the median parameter's."
    )
    others = [looks[row.optimizer]["label"] for row in analysis.rows if row.optimizer not in known]
    if others:
        caption += (
            " Without one, since their updates are, by coordinate, no direction times a scale: "
        )
        caption += f"{', '.join(others)}."
    return Chart("effective_learning_rates", "Effective learning rates", caption, pieces)


def workload_charts(
    analysis: WorkloadAnalysis, records: Sequence[RunRecord], looks: Mapping[str, Style]
) -> list[Chart]:
    """Those of one workload with something to show, in the order of the report.

    Args:
      analysis: of the workload.
      records: of the workload.
      looks: of all its optimizers.
    """
    charts = [
        learning_curves(analysis, records, looks),
        tuning(analysis, records, looks),
        differences(analysis),
        costs(analysis, looks),
        effective_learning_rates(analysis, records, looks),
    ]
    return [chart for chart in charts if chart.pieces]


def overall_charts(overall: Overall, looks: Mapping[str, Style]) -> list[Chart]:
    """Those of all workloads together with something to show."""
    charts = [performance_profiles(overall, looks)]
    return [chart for chart in charts if chart.pieces]


def all_looks(analysis: Analysis, records: Sequence[RunRecord]) -> dict[str, Style]:
    """One look for each optimizer in all charts, in the order of the first workload's table."""
    ranked = [row.optimizer for each in analysis.workloads for row in each.rows]
    return figures.styles([*ranked, *(record.optimizer for record in records)])


def performance_profiles(overall: Overall, looks: Mapping[str, Style]) -> Chart:
    """How often each optimizer is how much slower than the best."""
    pieces = []
    if overall.profiles is not None:
        labels = [standing.optimizer for standing in overall.standings]
        fractions = dict(zip(labels, overall.profiles.fractions, strict=True))
        for group in _groups(labels):
            profiles = {optimizer: fractions[optimizer] for optimizer in group}
            pieces.append(
                Piece(
                    functools.partial(
                        figures.performance_profile, overall.profiles.taus, profiles, looks
                    ),
                    f"Performance profiles of {_listed(group, looks)}",
                    height=_with_legend(group, looks),
                )
            )
    caption = (
        "The share of workloads on which an optimizer reached the target within so many times the "
        "steps of the best one there: at the left how often it was the best, at the right how "
        "often it arrived at all."
    )
    return Chart("performance_profiles", "Performance profiles", caption, pieces)


def _groups(optimizers: Iterable[str]) -> list[list[str]]:
    optimizers = list(optimizers)
    return [optimizers[i : i + figures.GROUP] for i in range(0, len(optimizers), figures.GROUP)]


def _grouped(groups):
    return "" if len(groups) < 2 else f" In groups of {figures.GROUP}, in the order of the table."


def _listed(group, looks):
    return ", ".join(looks[optimizer]["label"] for optimizer in group)


def _with_legend(group, looks):
    """Height in inches of a figure with a legend below."""
    return 2.8 + 0.21 * figures.legend_lines([looks[optimizer]["label"] for optimizer in group])
