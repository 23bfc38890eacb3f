"""Rows as text, the same in the terminal and in the report."""

from collections.abc import Sequence

import numpy as np

from adaptive_jax.comparison.rows import Row


def cells(row: Row) -> dict[str, str]:
    """A row as text, column heading -> cell."""
    scale, digits, unit = (100, 2, "%") if row.metric == "accuracy" else (1, 4, "loss")
    half = "" if np.isnan(row.low) else f" ± {scale * (row.high - row.mean):.{digits}f}"
    edge = "*" if row.tuning.endswith("edge") else ""
    loss = {"test loss": f"{row.test_loss:.4f}"} if row.metric == "accuracy" else {}
    return {
        "optimizer": short(row.optimizer),
        "rate": f"{row.learning_rate:.3g}{edge}",
        f"test {unit}": f"{scale * row.mean:.{digits}f}{half}",
        **loss,
        f"train {unit}": f"{scale * row.train:.{digits}f}",
        "diverged": f"{row.diverged}/{row.runs}",
        "s/run": f"{row.seconds:.2f}",
    }


def short(label: str) -> str:
    """An optimizer's label without its learning rate, which has a column of its own.

    >>> short("sgd:learning_rate=0.1,momentum=0.9")
    'sgd momentum=0.9'
    """
    name, _, settings = label.partition(":")
    others = [pair for pair in settings.split(",") if not pair.startswith("learning_rate=")]
    return " ".join([name, *filter(None, others)])


def names(labels: Sequence[str]) -> dict[str, str]:
    """What to call each optimizer in a sentence: `short`, with its rate where two differ in that.

    >>> list(names(["adam", "sgd:momentum=0.9", "adam:learning_rate=0.1"]).values())
    ['adam', 'sgd momentum=0.9', 'adam learning_rate=0.1']
    """
    shorts = [short(label) for label in labels]
    return {
        label: name if shorts.count(name) == 1 else label.replace(":", " ").replace(",", " ")
        for label, name in zip(labels, shorts, strict=True)
    }


def footnote(rows: Sequence[Row]) -> str:
    """How to read the table."""
    runs = max(row.runs for row in rows)
    parts = ["Accuracies in % and losses are those after the last epoch."]
    if runs > 1:
        parts.append(
            f"Means are over {runs} seeds, the same for all, ± half of their 95% interval's width."
        )
    if any(row.tuning != "given" for row in rows):
        parts.append("Learning rates were tuned on validation data.")
    if any(row.tuning.endswith("edge") for row in rows):
        parts.append("* was the lowest or highest rate tried.")
    if any(row.diverged for row in rows):
        parts.append("A diverged run counts, its loss as the untrained model's at most.")
    return " ".join(parts)
