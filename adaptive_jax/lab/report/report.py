"""Reports on a comparison beside its records: a web page, Markdown, tables, pictures."""

import json
import textwrap
from collections.abc import Sequence
from pathlib import Path

from adaptive_jax.lab.analysis.analysis import Analysis, WorkloadAnalysis, analyze
from adaptive_jax.lab.files import file_name, write_whole
from adaptive_jax.lab.report.description import (
    describe_protocol,
    describe_runs,
    schedule_warning,
    train_command,
)
from adaptive_jax.lab.report.tables import (
    csv_tables,
    difference_columns,
    difference_note,
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

# Matplotlib is imported where it is used, so that a comparison starts without it.


def write_report(folder: Path | str, formats: Sequence[str] = ("html",)) -> list[Path]:
    """Writes reports on a comparison from the files in its folder; see `run_comparison`.

    Args:
      folder: holds `runs.jsonl` with at least one run of a comparison. If there is a
        `config.json`, the page shows it, and the analysis takes its `min_effect`.
      formats: "html" writes `report.html`; "md" `report.md`; "csv" `results.csv` and
        `differences.csv`; "png" each figure, as `WORKLOAD-FIGURE.png`. Default: "html" alone.

    Returns:
      The paths of the reports.

    Raises:
      ValueError: a format is unknown, or `runs.jsonl` has no run of a comparison.
      FileNotFoundError: there is no `runs.jsonl`.
    """
    folder = Path(folder)
    check_formats(formats)
    runs = [run for run in records.read(folder / "runs.jsonl") if run.phase != "train"]
    analysis = analyze(runs, stored_min_effect(folder))
    return [path for format in formats for path in _WRITERS[format](folder, analysis, runs)]


def stored_min_effect(folder: Path) -> float | None:
    """Returns the smallest difference of interest in a folder's config, None if none is given.

    Raises:
      ValueError: the config is not a JSON object.
    """
    config = folder / "config.json"
    if not config.exists():
        return None
    try:
        values = json.loads(config.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{config} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"{config} must hold a JSON object, got {type(values).__name__}")
    return values.get("min_effect")


def check_formats(formats: Sequence[str]) -> None:
    """Raises a ValueError if `write_report` does not know one of the formats."""
    for format in formats:
        if format not in _WRITERS:
            raise ValueError(f"no format {format!r}: {near_misses(format, _WRITERS)}")


def _html(folder: Path, analysis: Analysis, runs: list[RunRecord]) -> list[Path]:
    from adaptive_jax.lab.report.page import page

    config = folder / "config.json"
    text = config.read_text(encoding="utf-8") if config.exists() else None
    path = folder / "report.html"
    write_whole(path, page(analysis, runs, text))
    return [path]


def _markdown(folder: Path, analysis: Analysis, runs: list[RunRecord]) -> list[Path]:
    by_workload = {w.workload: _runs_of(w, runs) for w in analysis.workloads}
    parts = [f"# Optimizers on {markdown(', '.join(by_workload))}", markdown(analysis.verdict)]
    for workload in analysis.workloads:
        parts.append(f"## {markdown(workload.workload)}")
        if len(analysis.workloads) > 1:
            parts.append(markdown(workload.verdict))
        parts.append(schedule_warning(by_workload[workload.workload]))
        if workload.summaries:
            parts.append(markdown_table(result_columns(workload), workload.summaries))
            parts.append(markdown(footnote(workload)))
        if workload.differences:
            pairs = shown_pairs(workload)
            parts += ["### Paired differences", markdown_table(difference_columns(workload), pairs)]
            parts.append(markdown(difference_note(workload)))
    if analysis.overall is not None:
        standings = analysis.overall.standings
        table = markdown_table(standing_columns(analysis.overall), standings)
        parts += ["## Across workloads", table]
    parts += ["## Protocol", describe_protocol(runs)]
    for workload in analysis.workloads:
        own = by_workload[workload.workload]
        details = describe_runs(own).items()
        parts.append("\n".join(f"- {term}: {markdown(detail)}" for term, detail in details))
        if workload.summaries:
            best = next(run for run in own if run.id == workload.summaries[0].ids[0])
            parts.append(textwrap.indent(train_command(best), "    ", lambda line: True))
    path = folder / "report.md"
    write_whole(path, "\n\n".join(filter(None, parts)) + "\n")
    return [path]


def _runs_of(workload: WorkloadAnalysis, runs: Sequence[RunRecord]) -> list[RunRecord]:
    return [run for run in runs if run.workload == workload.workload]


def _csv(folder: Path, analysis: Analysis, runs: list[RunRecord]) -> list[Path]:
    tables = csv_tables(analysis)
    for name, text in tables.items():
        write_whole(folder / name, text)
    return [folder / name for name in tables]


def _png(folder: Path, analysis: Analysis, runs: list[RunRecord]) -> list[Path]:
    from adaptive_jax.lab.report import charts, figures

    palette = charts.report_palette(analysis, runs)
    paths = []

    def save(chart, prefix=""):
        paths.append(folder / f"{prefix}{chart.name}.png")
        chart.figure().savefig(paths[-1], dpi=144)

    with figures.theme():
        for workload in analysis.workloads:
            for chart in charts.workload_charts(workload, _runs_of(workload, runs), palette):
                save(chart, f"{file_name(workload.workload)}-")
        if analysis.overall is not None:
            for chart in charts.overall_charts(analysis.overall, palette):
                save(chart)
    return paths


_WRITERS = {"html": _html, "md": _markdown, "csv": _csv, "png": _png}
