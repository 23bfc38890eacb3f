"""From the records of a comparison to a row for each optimizer."""

import dataclasses

import numpy as np

from adaptive_jax.training.records import RunRecord


@dataclasses.dataclass(frozen=True)
class Row:
    """One optimizer's result.

    Attributes:
      optimizer: its label.
      learning_rate: of its final runs.
      tuning: "tuned", "tuned, at the edge" if the best rate was the first or last tried, or
        "given" if none was tried.
      test_accuracy, test_loss, train_accuracy: mean over final runs; a diverged run counts.
      test_accuracy_std: standard deviation over final runs, NaN for a single one.
      runs, diverged: final runs, and how many of them diverged.
      seconds: training time of one final run, without compilation.
    """

    optimizer: str
    learning_rate: float
    tuning: str
    test_accuracy: float
    test_accuracy_std: float
    test_loss: float
    train_accuracy: float
    runs: int
    diverged: int
    seconds: float


def summarize(records: list[RunRecord]) -> list[Row]:
    """A row for each optimizer with final runs, the highest test accuracy first."""
    rows = []
    for label in dict.fromkeys(record.optimizer for record in records):
        mine = [record for record in records if record.optimizer == label]
        finals = [record for record in mine if record.phase == "final"]
        if not finals:
            continue
        rate = finals[0].hyperparameters["learning_rate"]
        tried = sorted(r.hyperparameters["learning_rate"] for r in mine if r.phase == "tune")
        edge = bool(tried) and rate in (tried[0], tried[-1])
        accuracies = metric(finals, "test_accuracy")
        rows.append(
            Row(
                optimizer=label,
                learning_rate=rate,
                tuning=("tuned, at the edge" if edge else "tuned") if tried else "given",
                test_accuracy=float(np.mean(accuracies)),
                test_accuracy_std=float(np.std(accuracies, ddof=1)) if len(finals) > 1 else np.nan,
                test_loss=float(np.mean(metric(finals, "test_loss"))),
                train_accuracy=float(np.mean(metric(finals, "train_accuracy"))),
                runs=len(finals),
                diverged=sum(record.diverged for record in finals),
                seconds=float(np.mean([record.train_seconds for record in finals])),
            )
        )
    return sorted(rows, key=lambda row: -np.nan_to_num(row.test_accuracy))


def metric(records: list[RunRecord], name: str) -> list[float]:
    """A final metric of each record."""
    return [record.final[name] for record in records]


def cells(row: Row) -> dict[str, str]:
    """A row as text, column heading -> cell, the same in the terminal and in the report."""
    spread = "" if np.isnan(row.test_accuracy_std) else f" ± {100 * row.test_accuracy_std:.2f}"
    edge = "*" if row.tuning.endswith("edge") else ""
    return {
        "optimizer": short(row.optimizer),
        "rate": f"{row.learning_rate:.3g}{edge}",
        "test %": f"{100 * row.test_accuracy:.2f}{spread}",
        "test loss": f"{row.test_loss:.4f}",
        "train %": f"{100 * row.train_accuracy:.2f}",
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


def footnote(rows: list[Row]) -> str:
    """How to read the table."""
    runs = rows[0].runs
    parts = ["Accuracies in % and losses are those after the last epoch."]
    if runs > 1:
        parts.append(f"Means and ± standard deviations are over {runs} seeds, the same for all.")
    if any(row.tuning != "given" for row in rows):
        parts.append("Learning rates were tuned on validation data.")
    if any(row.tuning.endswith("edge") for row in rows):
        parts.append("* was the first or last rate of its grid.")
    return " ".join(parts)
