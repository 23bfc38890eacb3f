"""The report as a web page: one file that loads nothing else."""

import base64
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adaptive_jax.lab.analysis.analysis import Analysis, WorkloadAnalysis
from adaptive_jax.lab.analysis.overall import Overall
from adaptive_jax.lab.report import charts, figures
from adaptive_jax.lab.report.charts import Chart
from adaptive_jax.lab.report.description import (
    describe_protocol,
    describe_runs,
    schedule_warning,
    train_command,
)
from adaptive_jax.lab.report.html import render
from adaptive_jax.lab.report.svg import to_svg
from adaptive_jax.lab.report.tables import (
    csv_tables,
    difference_columns,
    difference_note,
    footnote,
    result_columns,
    shown_pairs,
    standing_columns,
)
from adaptive_jax.lab.training.records import RunRecord


def page(analysis: Analysis, records: Sequence[RunRecord], config: str | None) -> str:
    """Returns the page as HTML.

    Args:
      analysis: the analysis of the records.
      records: all records, of one or several workloads.
      config: the text of the comparison's `config.json`, None if there is none.
    """
    palette = charts.report_palette(analysis, records)
    prefixes = (f"f{i}" for i in itertools.count())
    workloads = []
    for workload in analysis.workloads:
        own = [record for record in records if record.workload == workload.workload]
        workloads.append(_workload(workload, own, palette, prefixes))
    return render(
        "page.html",
        title=f"Optimizers on {', '.join(workload['name'] for workload in workloads)}",
        verdict=analysis.verdict,
        several=len(workloads) > 1,
        workloads=workloads,
        overall=None if analysis.overall is None else _overall(analysis.overall, palette, prefixes),
        protocol=describe_protocol(records),
        downloads={name: _data_uri(text) for name, text in csv_tables(analysis).items()},
        config=config,
        colors=figures.COLORS,
        dark_colors=figures.DARK_COLORS,
        swatches={label: figures.COLORS.index(style["color"]) for label, style in palette.items()},
    )


def _data_uri(text: str) -> str:
    """Returns a link that holds a CSV file, so that the page alone is enough to download it."""
    content = text.encode("utf-8", "backslashreplace")  # as `write_whole`
    return f"data:text/csv;base64,{base64.b64encode(content).decode()}"


def _workload(
    analysis: WorkloadAnalysis,
    records: Sequence[RunRecord],
    palette: Mapping[str, figures.Style],
    prefixes: Iterator[str],
) -> dict[str, Any]:
    """Returns what the template shows of one workload."""
    run_ids = {}
    for record in records:
        phase = "final" if record.phase == "final" else "tuning"
        run_ids.setdefault(record.optimizer, {}).setdefault(phase, []).append(record.id)
    by_id = {record.id: record for record in records}
    drawn = charts.workload_charts(analysis, records, palette)
    return {
        "name": analysis.workload,
        "verdict": analysis.verdict,
        "warning": schedule_warning(records),
        "columns": result_columns(analysis),
        "summaries": analysis.summaries,
        "run_ids": run_ids,
        "footnote": footnote(analysis),
        "charts": [_drawn(chart, prefixes) for chart in drawn],
        "difference_columns": difference_columns(analysis),
        "differences": shown_pairs(analysis),
        "difference_note": difference_note(analysis),
        "details": describe_runs(records),
        "commands": [train_command(by_id[row.ids[0]]) for row in analysis.summaries],
    }


def _overall(
    overall: Overall, palette: Mapping[str, figures.Style], prefixes: Iterator[str]
) -> dict[str, Any]:
    """Returns what the template shows of all workloads together."""
    return {
        "columns": standing_columns(overall),
        "standings": overall.standings,
        "charts": [_drawn(chart, prefixes) for chart in charts.overall_charts(overall, palette)],
    }


def _drawn(chart: Chart, prefixes: Iterator[str]) -> dict[str, Any]:
    """Returns what the template shows of a chart, drawn as SVG."""
    small = chart.panels[0].width < 4
    with figures.theme():
        pictures = [
            to_svg(panel.figure(), next(prefixes), panel.description) for panel in chart.panels
        ]
    return {
        "name": chart.name,
        "title": chart.title,
        "caption": chart.caption,
        "layout": "small" if small else "one" if len(pictures) == 1 else "two",
        "pictures": pictures,
    }
