"""A comparison as a web page: `report.html`, one file without scripts or outside links."""

import base64
import html
import io
import math
from collections.abc import Sequence
from pathlib import Path
from string import Template

import numpy as np

from adaptive_jax.comparison.analysis import analyze
from adaptive_jax.comparison.rows import Row
from adaptive_jax.comparison.table import cells, footnote, short
from adaptive_jax.training import records
from adaptive_jax.training.records import RunRecord

_PAGE = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .8rem; text-align: right; white-space: nowrap; }
th { border-bottom: 2px solid; } td { border-bottom: 1px solid #8884; }
th:first-child, td:first-child { text-align: left; }
img { background: white; border-radius: .5rem; height: auto; max-width: 100%; }
dl { display: grid; gap: .2rem 1rem; grid-template-columns: max-content 1fr; }
dd { margin: 0; overflow-wrap: anywhere; }
.note { opacity: .75; }
</style>
</head>
<body>
<h1>$title</h1>
<p>$lead</p>
<div class="scroll"><table>
<thead><tr>$head</tr></thead>
<tbody>
$body
</tbody>
</table></div>
<p class="note">$note</p>
<h2>Learning curves</h2>
<p class="note">Lines are medians over seeds, faint lines single seeds.</p>
<img alt="Training loss and validation accuracy by epoch for each optimizer"
 src="data:image/png;base64,$picture">
<h2>What was run</h2>
<dl>
$facts
</dl>
</body>
</html>
""")


def write_report(folder: Path) -> Path:
    """Writes `report.html` and `learning_curves.png` from the folder's `runs.jsonl`.

    Args:
      folder: holds `runs.jsonl` with at least one final run.

    Returns:
      The path of `report.html`.
    """
    runs = list(records.read(folder / "runs.jsonl"))
    analysis = analyze(runs)
    rows = analysis.workloads[0].rows
    picture = learning_curves(runs, rows)
    (folder / "learning_curves.png").write_bytes(picture)
    path = folder / "report.html"
    path.write_text(_page(runs, rows, analysis.verdict, picture), encoding="utf-8")
    return path


def _page(runs: list[RunRecord], rows: Sequence[Row], verdict: str, picture: bytes) -> str:
    texts = [cells(row) for row in rows]
    first = runs[0]
    tuning = sum(run.phase == "tune" for run in runs)
    facts = {
        "workload": f"{first.workload}, {first.parameters:,} parameters",
        "budget": f"{first.epochs} epochs, {first.steps} steps, batch {first.batch_size}",
        "schedule": first.schedule,
        "runs": f"{tuning} for tuning, {len(runs) - tuning} final",
        "device": first.device,
        "versions": ", ".join(f"{name} {version}" for name, version in first.versions.items()),
        "all numbers": "runs.jsonl, beside this page",
    }
    return _PAGE.substitute(
        title=html.escape(f"Optimizers on {first.workload}"),
        lead=html.escape(verdict),
        head="".join(f"<th>{html.escape(name)}</th>" for name in texts[0]),
        body="\n".join(
            f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row.values())}</tr>"
            for row in texts
        ),
        note=html.escape(footnote(rows)),
        picture=base64.b64encode(picture).decode(),
        facts="\n".join(
            f"<dt>{html.escape(name)}</dt><dd>{html.escape(fact)}</dd>"
            for name, fact in facts.items()
        ),
    )


def learning_curves(runs: list[RunRecord], rows: Sequence[Row]) -> bytes:
    """PNG of training loss (log scale) and validation accuracy of the final runs by epoch."""
    from matplotlib.figure import Figure  # of its own, so that no display or backend is needed

    columns = math.ceil(len(rows) / 20) if len(rows) > 10 else 0  # of a legend beside the axes
    figure = Figure(figsize=(11 + 2 * columns, 4.2), layout="constrained", dpi=150)
    loss, accuracy = figure.subplots(1, 2)
    finals = [run for run in runs if run.phase == "final"]
    for i, row in enumerate(rows):
        mine = [run for run in finals if run.optimizer == row.optimizer]
        epochs = range(1, mine[0].epochs + 1)
        for axes, name in ((loss, "train_loss"), (accuracy, "validation_accuracy")):
            values = np.array([[point[name] for point in run.curve] for run in mine])
            values = np.where(np.isfinite(values), values, np.nan)
            style = {"color": f"C{i % 10}", "linestyle": ("-", "--", ":", "-.")[i // 10 % 4]}
            if len(mine) > 1:
                axes.plot(epochs, values.T, alpha=0.25, linewidth=0.8, **style)
            marker = "o" if len(epochs) <= 20 else None
            axes.plot(
                epochs,
                np.median(values, 0),
                label=short(row.optimizer),
                marker=marker,
                markersize=3,
                **style,
            )
    loss.set(xlabel="epoch", title="training loss", yscale="log")
    accuracy.set(xlabel="epoch", title="validation accuracy")
    for axes in (loss, accuracy):
        axes.grid(alpha=0.3)
        axes.xaxis.get_major_locator().set_params(integer=True)
    if columns:
        handles = accuracy.get_legend_handles_labels()
        figure.legend(*handles, loc="outside right center", ncols=columns, fontsize="small")
    else:
        accuracy.legend(fontsize="small")
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
