"""What a comparison found, written beside its records: a web page, Markdown, tables, pictures."""

import csv
import io
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from adaptive_jax.lab.analysis.analysis import Analysis, analyze
from adaptive_jax.lab.files import file_name, spreadsheet_text, write_whole
from adaptive_jax.lab.report.facts import facts, protocol, train_command, warning
from adaptive_jax.lab.report.tables import (
    as_dict,
    difference_columns,
    footnote,
    markdown,
    markdown_table,
    result_columns,
    shown_pairs,
    standing_columns,
)
from adaptive_jax.lab.training import records
from adaptive_jax.lab.training.records import RunRecord
from adaptive_jax.validation import near_misses

# What draws is imported where it is used: a comparison need not wait for Matplotlib.


def write_report(folder: Path | str, formats: Sequence[str] = ("html",)) -> list[Path]:
    """Writes what a comparison found, from its folder's files alone; see `run_comparison`.

    Args:
      folder: has `runs.jsonl` with at least one run of a comparison and, if it is to be shown,
        `config.json`.
      formats: "html" makes `report.html`; "md" `report.md`; "csv" `results.csv` and
        `differences.csv`; "png" each figure, as `WORKLOAD-FIGURE.png`. Default: "html" alone.

    Returns:
      The paths of the files.

    Raises:
      ValueError: a format is unknown, or `runs.jsonl` has no run of a comparison.
      FileNotFoundError: there is no `runs.jsonl`.
    """
    folder = Path(folder)
    check_formats(formats)
    runs = [run for run in records.read(folder / "runs.jsonl") if run.phase != "train"]
    analysis = analyze(runs)
    return [path for each in formats for path in _WRITERS[each](folder, analysis, runs)]


def check_formats(formats: Sequence[str]) -> None:
    """Raises a ValueError if one of them is no format of `write_report`."""
    for each in formats:
        if each not in _WRITERS:
            raise ValueError(f"no format {each!r}: {near_misses(each, _WRITERS)}")


def _html(folder: Path, analysis: Analysis, runs: list[RunRecord]) -> list[Path]:
    from adaptive_jax.lab.report.page import page

    config = folder / "config.json"
    text = config.read_text(encoding="utf-8") if config.exists() else None
    path = folder / "report.html"
    write_whole(path, page(analysis, runs, text))
    return [path]


def _markdown(folder: Path, analysis: Analysis, runs: list[RunRecord]) -> list[Path]:
    several = len(analysis.workloads) > 1
    names = ", ".join(each.workload for each in analysis.workloads)
    parts = [f"# Optimizers on {markdown(names)}", markdown(analysis.verdict)]
    for each in analysis.workloads:
        mine = [run for run in runs if run.workload == each.workload]
        parts += [f"## {markdown(each.workload)}", markdown(each.verdict) if several else ""]
        parts += [warning(mine)]
        if each.rows:
            parts += [markdown_table(result_columns(each), each.rows), markdown(footnote(each))]
        if each.differences:
            pairs = shown_pairs(each)
            parts += ["### Paired differences", markdown_table(difference_columns(each), pairs)]
    if analysis.overall is not None:
        standings = analysis.overall.standings
        table = markdown_table(standing_columns(analysis.overall), standings)
        parts += ["## Across workloads", table]
    parts += ["## What was run", protocol(runs)]
    for each in analysis.workloads:
        mine = [run for run in runs if run.workload == each.workload]
        known = facts(mine).items()
        parts.append("\n".join(f"- {name}: {markdown(fact)}" for name, fact in known))
        if each.rows:
            best = next(run for run in mine if run.id == each.rows[0].ids[0])
            parts += [textwrap.indent(train_command(best), "    ", lambda line: True)]
    path = folder / "report.md"
    write_whole(path, "\n\n".join(filter(None, parts)) + "\n")
    return [path]


def _csv(folder: Path, analysis: Analysis, runs: list[RunRecord]) -> list[Path]:
    results = [(each.workload, row) for each in analysis.workloads for row in each.rows]
    pairs = [(each.workload, pair) for each in analysis.workloads for pair in each.differences]
    paths = [folder / "results.csv", folder / "differences.csv"]
    for path, lines in zip(paths, (results, pairs), strict=True):
        dicts = [_cells(as_dict(workload, line)) for workload, line in lines]
        table = io.StringIO(newline="")
        writer = csv.DictWriter(table, dicts[0] if dicts else ["workload"])
        writer.writeheader()
        writer.writerows(dicts)
        write_whole(path, table.getvalue())
    return paths


def _cells(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {k: spreadsheet_text(v) if isinstance(v, str) else v for k, v in fields.items()}


def _png(folder: Path, analysis: Analysis, runs: list[RunRecord]) -> list[Path]:
    from adaptive_jax.lab.report import charts, figures

    looks = charts.all_looks(analysis, runs)
    paths = []

    def save(chart, prefix=""):
        paths.append(folder / f"{prefix}{chart.name}.png")
        chart.figure().savefig(paths[-1], dpi=144)

    with figures.theme():
        for each in analysis.workloads:
            mine = [run for run in runs if run.workload == each.workload]
            for chart in charts.workload_charts(each, mine, looks):
                save(chart, f"{file_name(each.workload)}-")
        if analysis.overall is not None:
            for chart in charts.overall_charts(analysis.overall, looks):
                save(chart)
    return paths


_WRITERS = {"html": _html, "md": _markdown, "csv": _csv, "png": _png}
