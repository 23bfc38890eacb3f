"""The analysis of a comparison, from the records of its runs."""

import dataclasses
from collections.abc import Sequence

from adaptive_jax.lab.analysis import verdict
from adaptive_jax.lab.analysis.differences import Difference, differences
from adaptive_jax.lab.analysis.overall import Overall, overall
from adaptive_jax.lab.analysis.summaries import Summary, summarize, target
from adaptive_jax.lab.training.records import RunRecord


@dataclasses.dataclass(frozen=True)
class WorkloadAnalysis:
    """The analysis of one workload.

    Attributes:
      workload: name of the workload.
      metric: "accuracy" or "loss", by which the workload judges.
      target: see `summaries.target`.
      seeds: number of final runs, the largest over optimizers.
      summaries: of the optimizers with final runs, the best first.
      differences: of all pairs of them.
      verdict: the main result, in words.
    """

    workload: str
    metric: str
    target: float
    seeds: int
    summaries: tuple[Summary, ...]
    differences: tuple[Difference, ...]
    verdict: str


@dataclasses.dataclass(frozen=True)
class Analysis:
    """The analysis of a comparison.

    Attributes:
      workloads: the analysis of each workload, in the order of the runs.
      overall: standings over all workloads; None for a single workload, or if no optimizer has
        final runs on every one.
      verdict: the main result, in words.
    """

    workloads: tuple[WorkloadAnalysis, ...]
    overall: Overall | None
    verdict: str


def analyze(records: Sequence[RunRecord]) -> Analysis:
    """Finds which optimizers differ significantly, and by how much.

    Final runs are paired by their seeds. Every pair of optimizers gets a paired t test, and Holm's
    method keeps the chance of any false difference on a workload at 5%. A run that diverged
    counts as in `scores.counted`. Records of single runs are left out. An interrupted comparison
    is analyzed as far as it got.

    Args:
      records: of a comparison, on one or several workloads; at least one.

    Raises:
      ValueError: no record is of a comparison.

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
    workloads = tuple(_workload(runs) for runs in by_workload.values())
    if len(workloads) == 1:
        return Analysis(workloads, None, workloads[0].verdict)
    together = overall(list(by_workload.values()), [workload.summaries for workload in workloads])
    words = verdict.over_workloads(together, len(workloads))
    return Analysis(workloads, together, words)


def _workload(records: list[RunRecord]) -> WorkloadAnalysis:
    summaries = summarize(records)
    pairs = differences(records, [summary.optimizer for summary in summaries])
    return WorkloadAnalysis(
        workload=records[0].workload,
        metric=records[0].metric,
        target=target(records),
        seeds=max((summary.runs for summary in summaries), default=0),
        summaries=tuple(summaries),
        differences=pairs,
        verdict=verdict.of_workload(summaries, pairs),
    )
