"""Tables of an analysis, for the page, for Markdown and for the terminal."""

import csv
import dataclasses
import io
import math
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from adaptive_jax.lab.analysis.analysis import Analysis, WorkloadAnalysis
from adaptive_jax.lab.analysis.differences import Difference
from adaptive_jax.lab.analysis.labels import display_labels
from adaptive_jax.lab.analysis.overall import Overall
from adaptive_jax.lab.files import one_line, spreadsheet_text
from adaptive_jax.lab.statistics import Interval

_PAIRS = 21
"""A report shows at most this many pairs, or else only those with the best optimizer."""


class Column(NamedTuple):
    """One column of a table.

    Attributes:
      title: its heading.
      text: row -> the text of its cell, "" for an empty one.
      value: row -> the value by which rows are sorted.
      best: "high" or "low", the better numbers; "" for texts.
      brief: whether a terminal shows it, too.
      flag: row -> a remark that the page shows before the text, "" for none.
    """

    title: str
    text: Callable[[Any], str]
    value: Callable[[Any], float | str]
    best: str = ""
    brief: bool = False
    flag: Callable[[Any], str] = lambda row: ""

    @property
    def align(self) -> str:
        """Either "number" or "text", as the page's style sheet has them."""
        return "number" if self.best else "text"

    @property
    def first_order(self) -> str:
        """The order of the first click on the heading, which puts the best on top."""
        return "descending" if self.best == "high" else "ascending"


def result_columns(analysis: WorkloadAnalysis) -> list[Column]:
    """Returns the columns of a workload's results, without those that are empty."""
    labels = display_labels(row.optimizer for row in analysis.summaries)
    score = _score(analysis.metric)
    best, unit = ("high", "%") if analysis.metric == "accuracy" else ("low", "loss")

    def number(title, field, form, first="low", brief=False):
        return Column(
            title, lambda row: form(getattr(row, field)), operator.attrgetter(field), first, brief
        )

    def name(row):
        return labels[row.optimizer]

    def rate(row):
        if math.isnan(row.learning_rate):  # built, or without one
            return ""
        return f"{row.learning_rate:.3g}" + ("*" if row.tuning.endswith("edge") else "")

    def edge(row):
        return "edge of the grid" if row.tuning.endswith("edge") else ""

    def diverged(row):
        return f"{row.diverged}/{row.runs}"

    def chance(row):
        return f"{100 * row.diverged_low:.0f} to {100 * row.diverged_high:.0f}"

    divergence = []
    if any(row.diverged for row in analysis.summaries):
        divergence = [
            Column("diverges, % (95% interval)", chance, lambda row: row.diverged_low, "low"),
            number(f"test {unit}, diverged counted", "with_diverged", score, best),
        ]
    loss = [number("test loss", "test_loss", _four, brief=True)] if unit == "%" else []
    columns = [
        Column("optimizer", name, name, brief=True),
        Column("learning rate", rate, lambda row: row.learning_rate, "low", True, edge),
        Column(f"test {unit}", lambda row: _measured(row, score), lambda row: row.mean, best, True),
        *loss,
        number(f"train {unit}", "train", score, best, True),
        number(f"validation {unit}, untuned", "default_score", score, best),
        number(f"validation {unit}, tuned", "tuned_score", score, best),
        Column("diverged", diverged, lambda row: row.diverged / row.runs, "low", True),
        *divergence,
        number("steps to target", "steps_to_target", _whole),
        number("steps to target of the mean", "mean_reaches_target", _whole),
        number("seconds to target", "seconds_to_target", _general),
        number("state bytes per parameter", "state_bytes_per_parameter", _general),
        Column("update, µs (quartiles)", _update, lambda row: row.update_microseconds, "low"),
        number("s/run", "seconds", _general, brief=True),
    ]
    return [column for column in columns if any(column.text(row) for row in analysis.summaries)]


def footnote(analysis: WorkloadAnalysis) -> str:
    """Explains how to read the table of results."""
    summaries = analysis.summaries
    parts = ["Accuracies in % and losses are those after the last epoch."]
    if analysis.seeds > 1:
        over = f"{max(row.studies for row in summaries)} studies"
        if all(row.studies < 2 for row in summaries):
            over = f"{analysis.seeds} seeds"
        parts.append(
            f"± is half the width of the 95% interval of the mean over {over}; where that is cut "
            "at 0 or 100 %, both ends are given."
        )
    if any(row.tuning != "given" for row in summaries):
        parts.append(
            "Learning rates were tuned on validation data. The tuned validation results are those "
            "of the final runs, since the best of the tuning runs is a maximum, and too good."
        )
    if any(row.tuning.endswith("edge") for row in summaries):
        parts.append("* was the lowest or highest rate tried: a better one may lie beyond it.")
    if any(row.diverged for row in summaries):
        parts.append(
            "Means are over runs that did not diverge. Where diverged ones are counted, their loss "
            "is at most the untrained model's."
        )
    if any(math.isfinite(row.seconds) for row in summaries):
        gradient = _general(summaries[0].gradient_microseconds)
        parts.append(
            f"Seconds are steps times the time of a gradient ({gradient} µs, the same for all) and "
            "of the optimizer's own update. Both are medians, measured in turns outside the runs, "
            "for one run at a time, without compilation and evaluation."
        )
    if math.isfinite(analysis.target):
        target = _score(analysis.metric)(analysis.target)
        unit = " %" if analysis.metric == "accuracy" else ""
        parts.append(
            f"The target is a validation {analysis.metric} of {target}{unit}. Steps to it are the "
            "median of the runs', and those at which the mean of the runs passes it."
        )
    return " ".join(parts)


def difference_columns(analysis: WorkloadAnalysis) -> list[Column]:
    """Returns the columns of a workload's paired differences."""
    labels = display_labels(row.optimizer for row in analysis.summaries)
    score = _score(analysis.metric)
    unit = "points" if analysis.metric == "accuracy" else "in loss"

    def better(pair):
        return labels[pair.better]

    def worse(pair):
        return labels[pair.worse]

    def verdict(pair):
        if pair.distinguishable:
            return "better" if pair.varies else "better, without a test"
        return "equal" if pair.equal else "tied"

    def p_value(title, field):
        return Column(
            title, lambda d: _p_value(getattr(d, field)), operator.attrgetter(field), "low"
        )

    divergence = [p_value("p, divergence (Holm)", "divergence_p")]
    return [
        Column("optimizer", better, better),
        Column("against", worse, worse),
        Column(f"better by, {unit}", lambda d: score(d.mean), lambda d: d.mean, "high"),
        Column("95% interval", lambda d: _interval(d, score), lambda d: d.low, "high"),
        p_value("p (Holm)", "p"),
        p_value("p, Wilcoxon", "wilcoxon_p"),
        p_value("p, steps to target (Holm)", "steps_p"),
        *(divergence if any(row.diverged for row in analysis.summaries) else ()),
        Column("verdict", verdict, verdict),
    ]


def difference_note(analysis: WorkloadAnalysis) -> str:
    """Explains how to read the table of differences, and the rule of its verdict."""
    scale, unit = (100, "points") if analysis.metric == "accuracy" else (1, "in loss")
    parts = [
        "An optimizer is better if the paired t test is significant at 5% after Holm's correction "
        "for all pairs; if Wilcoxon's test of the pair is, too, or below 6 seeds all differences "
        f"have one sign; if it is better by at least {scale * analysis.min_effect:.2g} {unit}, "
        "the smallest difference of interest; and if it is better with diverged runs counted. Two "
        "are equal if they differ by less than that, by two one-sided tests, and otherwise tied.",
    ]
    if any(pair.tuning_error for pair in analysis.differences):
        parts.append("The interval and p include what tuning may have missed.")
    return " ".join(parts)


def shown_pairs(analysis: WorkloadAnalysis) -> Sequence[Difference]:
    """Returns all differences, or only those with the best optimizer if there are too many."""
    if len(analysis.differences) <= _PAIRS:
        return analysis.differences
    best = analysis.summaries[0].optimizer
    return [pair for pair in analysis.differences if best in (pair.better, pair.worse)]


def standing_columns(overall: Overall) -> list[Column]:
    """Returns the columns of the optimizers' standings over all workloads."""
    labels = display_labels(standing.optimizer for standing in overall.standings)
    best = overall.standings[0]

    def score(standing):
        return standing.score

    def chance(standing):
        """Returns the probability that a run of the best optimizer beats one of this one."""
        return best.improvement.get(standing.optimizer, Interval(math.nan, math.nan, math.nan))

    def estimate(title, of, first):
        return Column(title, lambda s: _three(of(s).estimate), lambda s: of(s).estimate, first)

    def interval(of, first):
        return Column(
            "95% interval", lambda s: _interval(of(s), _three), lambda s: of(s).low, first
        )

    return [
        Column("optimizer", lambda s: labels[s.optimizer], lambda s: labels[s.optimizer]),
        estimate("interquartile mean score", score, "high"),
        interval(score, "high"),
        estimate(f"beaten by {labels[best.optimizer]} with probability", chance, "low"),
        interval(chance, "low"),
    ]


def text_table(columns: list[Column], rows: Sequence[Any]) -> str:
    """Formats a table as plain text, with texts to the left and numbers to the right."""
    cells = [[column.title for column in columns]]
    cells += [[column.text(row) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column.best else cell.ljust(width)
            for cell, width, column in zip(line, widths, columns, strict=True)
        ).rstrip()
        for line in cells
    )


class MarkdownText(str):
    """A text that is Markdown already, which `markdown` does not escape."""


def markdown(text: str) -> MarkdownText:
    r"""Escapes a text for Markdown, on one line.

    >>> print(markdown("<b>sgd</b> | [lr](x) *0.1* my_sgd"))
    \<b>sgd\</b> \| \[lr\](x) \*0.1\* my_sgd
    >>> print(markdown(MarkdownText("**sgd**")))
    **sgd**
    """
    if isinstance(text, MarkdownText):
        return text
    # An underscore inside a word is no markup, and labels are full of them: it stays.
    marks = r"[\\`*\[\]|~$]|(?<!\w)_|_(?!\w)|<(?=[\w/!?])|&(?=#?\w+;)"
    text = re.sub(marks, r"\\\g<0>", one_line(text).strip())
    # A heading, a list or a quote begins a line.
    return MarkdownText(re.sub(r"^(\d*)([#+.)-](?=[#\s]|$)|>)", r"\1\\\2", text))


def markdown_table(columns: list[Column], rows: Sequence[Any]) -> str:
    """Formats a table as GitHub's Markdown."""
    lines = [
        [markdown(column.title) for column in columns],
        ["---:" if column.best else "---" for column in columns],
        *([markdown(column.text(row)) for column in columns] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def csv_tables(analysis: Analysis) -> dict[str, str]:
    """Returns the summaries and the differences of all workloads as CSV, by the names of files."""
    results = [(w.workload, summary) for w in analysis.workloads for summary in w.summaries]
    pairs = [(w.workload, pair) for w in analysis.workloads for pair in w.differences]
    return {"results.csv": _csv(results), "differences.csv": _csv(pairs)}


def _csv(results):
    rows = [as_dict(workload, result) for workload, result in results]
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, rows[0] if rows else ["workload"])
    writer.writeheader()
    writer.writerows(
        {k: spreadsheet_text(v) if isinstance(v, str) else v for k, v in row.items()}
        for row in rows
    )
    return table.getvalue()


def as_dict(workload: str, result: Any) -> dict[str, Any]:
    """Converts a summary or a difference to a dict with its workload, the ids as one text."""
    fields = {"workload": workload, **dataclasses.asdict(result)}
    return fields | {"ids": " ".join(result.ids)} if "ids" in fields else fields


def _formatter(form: str) -> Callable[[float], str]:
    def text(value):
        if math.isnan(value):
            return ""
        return "missed" if math.isinf(value) else format(value, form)

    return text


_general, _whole, _two, _three, _four = map(_formatter, (".3g", ".0f", ".2f", ".3f", ".4f"))


def _score(metric: str) -> Callable[[float], str]:
    """Returns the format of a score: accuracies in percent with two digits, losses with four."""
    return (lambda value: _two(100 * value)) if metric == "accuracy" else _four


def _update(row):
    middle, low, high = map(_general, (row.update_microseconds, row.update_low, row.update_high))
    return f"{middle} ({low} to {high})" if low else middle


def _measured(row, score):
    if math.isnan(row.low):
        return score(row.mean)
    if not math.isclose(row.mean - row.low, row.high - row.mean, rel_tol=1e-6, abs_tol=1e-12):
        return f"{score(row.mean)} ({score(row.low)} to {score(row.high)})"
    return f"{score(row.mean)} ± {score(row.high - row.mean)}"


def _interval(ends, number):
    text = "" if math.isnan(ends.low) else f"{number(ends.low)} to {number(ends.high)}"
    return text.replace("-", "−")


def _p_value(p):
    if math.isnan(p):
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
