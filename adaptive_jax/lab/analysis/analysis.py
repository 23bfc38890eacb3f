"""From the records of a comparison to what it found."""

import dataclasses
from collections.abc import Sequence

from adaptive_jax.lab.analysis import verdict
from adaptive_jax.lab.analysis.differences import Difference, differences
from adaptive_jax.lab.analysis.overall import Overall, overall
from adaptive_jax.lab.analysis.rows import Row, summarize, target
from adaptive_jax.lab.training.records import RunRecord


@dataclasses.dataclass(frozen=True)
class WorkloadAnalysis:
    """What was found on one workload.

    Attributes:
      workload: its name.
      metric: "accuracy" or "loss", what it is judged by.
      target: as `rows.target`.
      seeds: the most that any optimizer has run.
      rows: of the optimizers with final runs, the best first.
      differences: all pairs of them, the better one of each first.
      verdict: the same in words.
    """

    workload: str
    metric: str
    target: float
    seeds: int
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    verdict: str


@dataclasses.dataclass(frozen=True)
class Analysis:
    """What a comparison found.

    Attributes:
      workloads: in the order in which they were run.
      overall: all of them together; None for a single one, or if no optimizer ran on each.
      verdict: what a reader should know first.
    """

    workloads: tuple[WorkloadAnalysis, ...]
    overall: Overall | None
    verdict: str


def analyze(records: Sequence[RunRecord]) -> Analysis:
    """Finds which optimizers can be told apart, and by how much.

    Final runs are paired by their seeds. Every pair of optimizers gets a paired t test, and Holm's
    method keeps the chance of any false difference on a workload at 5%. A run that diverged
    counts as `scores.counted` says. Records of single runs are left out; what an interrupted
    comparison lacks is missing here, too.

    Args:
      records: at least one of a comparison, of any number of workloads.

    Raises:
      ValueError: there is none.

    >>> from adaptive_jax.lab import compare
    >>> rates = "sgd:learning_rate=0.1", "sgd:learning_rate=0.001"
    >>> analysis = analyze(compare("noisy_quadratic", rates, seeds=3).records)
    >>> print(analysis.verdict.partition(" by ")[0])
    sgd learning_rate=0.1 beats sgd learning_rate=0.001
    """
    by_workload = {}
    for record in records:
        if record.phase != "train":
            by_workload.setdefault(record.workload, []).append(record)
    if not by_workload:
        raise ValueError("records must hold a run of a comparison, got none: see `compare`")
    workloads = tuple(_workload(mine) for mine in by_workload.values())
    if len(workloads) == 1:
        return Analysis(workloads, None, workloads[0].verdict)
    together = overall(list(by_workload.values()), [each.rows for each in workloads])
    words = verdict.over_workloads(together, len(workloads))
    return Analysis(workloads, together, words)


def _workload(records: list[RunRecord]) -> WorkloadAnalysis:
    rows = summarize(records)
    pairs = differences(records, [row.optimizer for row in rows])
    return WorkloadAnalysis(
        workload=records[0].workload,
        metric=records[0].metric,
        target=target(records),
        seeds=max((row.runs for row in rows), default=0),
        rows=tuple(rows),
        differences=pairs,
        verdict=verdict.of_workload(rows, pairs),
    )
