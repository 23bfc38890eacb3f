"""The report as a web page: one file that loads nothing else."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from adaptive_jax.lab.analysis.analysis import Analysis, WorkloadAnalysis
from adaptive_jax.lab.analysis.overall import Overall
from adaptive_jax.lab.report import charts, figures
from adaptive_jax.lab.report.charts import Chart
from adaptive_jax.lab.report.facts import facts, protocol, train_command, warning
from adaptive_jax.lab.report.html import render
from adaptive_jax.lab.report.svg import to_svg
from adaptive_jax.lab.report.tables import (
    difference_columns,
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
    looks = charts.all_looks(analysis, records)
    prefixes = (f"f{i}" for i in itertools.count())
    workloads = []
    for workload in analysis.workloads:
        own = [record for record in records if record.workload == workload.workload]
        workloads.append(_workload(workload, own, looks, prefixes))
    return render(
        "page.html",
        title=f"Optimizers on {', '.join(workload['name'] for workload in workloads)}",
        verdict=analysis.verdict,
        several=len(workloads) > 1,
        workloads=workloads,
        overall=None if analysis.overall is None else _overall(analysis.overall, looks, prefixes),
        protocol=protocol(records),
        config=config,
        colors=figures.COLORS,
        dark_colors=figures.DARK_COLORS,
        swatches={label: figures.COLORS.index(style["color"]) for label, style in looks.items()},
    )


def _workload(
    analysis: WorkloadAnalysis,
    records: Sequence[RunRecord],
    looks: Mapping[str, figures.Style],
    prefixes: Iterator[str],
) -> dict[str, Any]:
    """Returns what the template shows of one workload."""
    run_ids = {}
    for record in records:
        phase = "final" if record.phase == "final" else "tuning"
        run_ids.setdefault(record.optimizer, {}).setdefault(phase, []).append(record.id)
    by_id = {record.id: record for record in records}
    drawn = charts.workload_charts(analysis, records, looks)
    return {
        "name": analysis.workload,
        "verdict": analysis.verdict,
        "warning": warning(records),
        "columns": result_columns(analysis),
        "rows": analysis.rows,
        "run_ids": run_ids,
        "footnote": footnote(analysis),
        "charts": [_drawn(chart, prefixes) for chart in drawn],
        "difference_columns": difference_columns(analysis),
        "differences": shown_pairs(analysis),
        "details": facts(records),
        "commands": [train_command(by_id[row.ids[0]]) for row in analysis.rows],
    }


def _overall(
    overall: Overall, looks: Mapping[str, figures.Style], prefixes: Iterator[str]
) -> dict[str, Any]:
    """Returns what the template shows of all workloads together."""
    return {
        "columns": standing_columns(overall),
        "standings": overall.standings,
        "charts": [_drawn(chart, prefixes) for chart in charts.overall_charts(overall, looks)],
    }


def _drawn(chart: Chart, prefixes: Iterator[str]) -> dict[str, Any]:
    """Returns what the template shows of a chart, drawn as SVG."""
    small = chart.pieces[0].width < 4
    with figures.theme():
        pictures = [
            to_svg(piece.figure(), next(prefixes), piece.description) for piece in chart.pieces
        ]
    return {
        "name": chart.name,
        "title": chart.title,
        "caption": chart.caption,
        "layout": "small" if small else "one" if len(pictures) == 1 else "two",
        "pictures": pictures,
    }
