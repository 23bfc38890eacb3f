"""A comparison as a web page: one file that needs nothing else, not even its own script."""

import html
import importlib.resources
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from string import Template
from typing import Any

from adaptive_jax.lab.analysis.analysis import Analysis, WorkloadAnalysis
from adaptive_jax.lab.analysis.overall import Overall
from adaptive_jax.lab.report import charts, figures
from adaptive_jax.lab.report.charts import Chart
from adaptive_jax.lab.report.facts import facts, protocol, train_command, warning
from adaptive_jax.lab.report.svg import to_svg
from adaptive_jax.lab.report.tables import (
    Column,
    difference_columns,
    footnote,
    result_columns,
    shown_pairs,
    standing_columns,
)
from adaptive_jax.lab.training.records import RunRecord

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>$title</title>
<style>
$style
</style>
</head>
<body>
<header>
<h1>$title</h1>
<p class="verdict">$verdict</p>
$contents
</header>
<main>
$sections
</main>
<script>
$script
</script>
</body>
</html>
""")


def page(analysis: Analysis, records: Sequence[RunRecord], config: str | None) -> str:
    """The page's text.

    Args:
      analysis: of the records.
      records: all of them, of one or several workloads.
      config: the text of the comparison's `config.json`, None if there is none.
    """
    title = f"Optimizers on {', '.join(each.workload for each in analysis.workloads)}"
    looks = charts.all_looks(analysis, records)
    prefixes = (f"f{i}" for i in itertools.count())
    several = len(analysis.workloads) > 1
    sections = []
    for i, each in enumerate(analysis.workloads):
        mine = [record for record in records if record.workload == each.workload]
        sections.append(f'<section id="workload-{i}">')
        if several:
            sections.append(f"<h2>{html.escape(each.workload)}</h2>")
            sections.append(f"<p>{html.escape(each.verdict)}</p>")
        sections += _workload(each, mine, looks, prefixes, "h3" if several else "h2")
        sections.append("</section>")
    if analysis.overall is not None:
        sections += _overall(analysis.overall, looks, prefixes)
    sections += _what_was_run(analysis, records, config)
    return _PAGE.substitute(
        title=html.escape(title),
        style=f"{_resource('report.css')}\n{_palette()}",
        verdict=html.escape(analysis.verdict),
        contents=_contents(analysis) if several else "",
        sections="\n".join(sections),
        script=_resource("report.js"),
    )


def _resource(name: str) -> str:
    folder = importlib.resources.files("adaptive_jax.lab.report")
    return folder.joinpath(name).read_text("utf-8").strip()


def _palette() -> str:
    """The optimizers' colors as CSS variables, for light and dark pages."""

    def root(colors):
        return f":root {{ {' '.join(f'--c{i}: {color};' for i, color in enumerate(colors))} }}"

    dark = f"@media (prefers-color-scheme: dark) {{ {root(figures.DARK_COLORS)} }}"
    return f"{root(figures.COLORS)}\n{dark}"


def _contents(analysis: Analysis) -> str:
    links = {f"workload-{i}": each.workload for i, each in enumerate(analysis.workloads)}
    if analysis.overall is not None:
        links["across"] = "across workloads"
    links["what-was-run"] = "what was run"
    items = [f'<li><a href="#{to}">{html.escape(name)}</a></li>' for to, name in links.items()]
    return f'<nav aria-label="Contents"><ul>\n{"".join(items)}\n</ul></nav>'


def _workload(
    analysis: WorkloadAnalysis,
    records: Sequence[RunRecord],
    looks: Mapping[str, figures.Style],
    prefixes: Iterator[str],
    heading: str,
) -> Iterator[str]:
    """All about one workload, under headings of this kind."""
    if warning(records):
        yield f'<p class="warning">{html.escape(warning(records))}</p>'
    if analysis.rows:
        yield f"<{heading}>Results</{heading}>"
        yield _results(analysis, records, looks)
    for chart in charts.workload_charts(analysis, records, looks):
        yield _chart(chart, prefixes, heading)
        if chart.name == "differences":
            columns = difference_columns(analysis)
            yield _table("Paired differences", columns, shown_pairs(analysis))


def _results(
    analysis: WorkloadAnalysis, records: Sequence[RunRecord], looks: Mapping[str, figures.Style]
) -> str:
    """The table, with the optimizers' colors, flags, and the records behind each row."""

    def colored(row, text):
        color = figures.COLORS.index(looks[row.optimizer]["color"])
        return f'<span class="swatch" style="background: var(--c{color})"></span>{text}'

    def flagged(row, text):
        edge = row.tuning.endswith("edge")
        return f'<span class="flag">edge of the grid</span> {text}' if edge else text

    ids = {}
    for record in records:
        kind = "final" if record.phase == "final" else "tuning"
        ids.setdefault(record.optimizer, {}).setdefault(kind, []).append(record.id)

    def unfolded(row, text):
        lists = (
            f"<p>{kind}: {' '.join(f'<code>{html.escape(each)}</code>' for each in some)}</p>"
            for kind, some in sorted(ids[row.optimizer].items())
        )
        return f"<details><summary>{text}</summary>{''.join(lists)}</details>"

    def count(row):
        return sum(map(len, ids[row.optimizer].values()))

    columns = [
        *result_columns(analysis),
        Column("records", lambda row: str(count(row)), count, "high"),
    ]
    wraps = {"optimizer": colored, "learning rate": flagged, "records": unfolded}
    table = _table(f"Results on {analysis.workload}", columns, analysis.rows, wraps)
    return f'{table}\n<p class="note">{html.escape(footnote(analysis))}</p>'


def _table(
    caption: str,
    columns: Sequence[Column],
    rows: Sequence[Any],
    wraps: Mapping[str, Callable[[Any, str], str]] = {},
) -> str:
    """A table that sorts, in a box that scrolls.

    Args:
      caption: what a screen reader calls it.
      columns: the first is the header of each row.
      rows: what the columns are of.
      wraps: title of a column -> (row, escaped text) -> what stands in the cell.
    """
    heads = (
        f'<th scope="col" class="{_align(column)}" data-first="{_first(column)}">'
        f"{html.escape(column.title)}</th>"
        for column in columns
    )
    lines = []
    for row in rows:
        cells = []
        for i, column in enumerate(columns):
            tag, kind = ('th scope="row"', "text name") if i == 0 else ("td", _align(column))
            text = html.escape(column.text(row))
            text = re.sub("([=_])", r"\1<wbr>", text) if i == 0 else text
            text = wraps[column.title](row, text) if column.title in wraps else text
            value = html.escape(_sortable(column.value(row)))
            cells.append(f'<{tag} class="{kind}" data-value="{value}">{text}</{tag[:2]}>')
        lines.append(f"<tr>{''.join(cells)}</tr>")
    name = html.escape(caption)
    return "\n".join(
        (
            f'<div class="scroll" role="region" aria-label="{name}" tabindex="0">',
            '<table class="sortable">',
            f"<thead><tr>{''.join(heads)}</tr></thead>",
            "<tbody>",
            *lines,
            "</tbody></table></div>",
        )
    )


def _align(column: Column) -> str:
    return "number" if column.best else "text"


def _first(column: Column) -> str:
    """The order of the first click: the best on top."""
    return "descending" if column.best == "high" else "ascending"


def _sortable(value: float | str) -> str:
    """As the script reads it, "" for what is missing."""
    if isinstance(value, str):
        return value
    if math.isnan(value):
        return ""
    return repr(value).replace("inf", "Infinity")


def _chart(chart: Chart, prefixes: Iterator[str], heading: str) -> str:
    small = chart.pieces[0].width < 4
    kind = "small" if small else "one" if len(chart.pieces) == 1 else "two"
    with figures.theme():
        drawn = [
            to_svg(piece.figure(), next(prefixes), piece.description) for piece in chart.pieces
        ]
    return "\n".join(
        (
            f"<{heading}>{html.escape(chart.title)}</{heading}>",
            "<figure>",
            f"<figcaption>{html.escape(chart.caption)}</figcaption>",
            f'<div class="pieces {kind}">',
            *(f"<div>{svg}</div>" for svg in drawn),
            "</div>",
            "</figure>",
        )
    )


def _overall(
    overall: Overall, looks: Mapping[str, figures.Style], prefixes: Iterator[str]
) -> Iterator[str]:
    yield '<section id="across">'
    yield "<h2>Across workloads</h2>"
    yield _table("Standings over all workloads", standing_columns(overall), overall.standings)
    yield (
        '<p class="note">Scores are accuracies, or the share of the untrained model\'s loss that '
        "is gone: 1 is perfect. Intervals are of a bootstrap over each workload's runs.</p>"
    )
    for chart in charts.overall_charts(overall, looks):
        yield _chart(chart, prefixes, "h3")
    yield "</section>"


def _what_was_run(
    analysis: Analysis, records: Sequence[RunRecord], config: str | None
) -> Iterator[str]:
    yield '<section id="what-was-run">'
    yield "<h2>What was run</h2>"
    yield f"<p>{html.escape(protocol(records))}</p>"
    for each in analysis.workloads:
        mine = [record for record in records if record.workload == each.workload]
        known = "".join(
            f"<dt>{html.escape(name)}</dt><dd>{html.escape(fact)}</dd>"
            for name, fact in facts(mine).items()
        )
        yield f"<dl>{known}</dl>"
        if each.rows:
            by_id = {record.id: record for record in mine}
            best, *others = (train_command(by_id[row.ids[0]]) for row in each.rows)
            yield "<p>The first run of the best optimizer again:</p>"
            yield _code(best)
            if others:
                commands = _code("\n".join(others))
                yield f"<details><summary>Those of the others</summary>{commands}</details>"
    if config is not None:
        yield "<p>The whole comparison again:</p>"
        yield _code("adaptive-jax compare --config config.json")
        yield f"<details><summary>config.json</summary>{_code(config)}</details>"
    yield "<h3>Where the numbers come from</h3>"
    yield (
        "<p>Every number is computed from the records in <code>runs.jsonl</code> beside this page; "
        "the last column of each table of results lists the ids of a row's records there.</p>"
    )
    yield "</section>"


def _code(text: str) -> str:
    return f'<pre tabindex="0"><code>{html.escape(text)}</code></pre>'
