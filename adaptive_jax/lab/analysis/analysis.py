"""The analysis of a comparison, from the records of its runs."""

import dataclasses
from collections.abc import Sequence
from typing import cast

from adaptive_jax.lab.analysis import verdict
from adaptive_jax.lab.analysis.differences import Difference, differences
from adaptive_jax.lab.analysis.overall import Overall, overall
from adaptive_jax.lab.analysis.summaries import Summary, default_min_effect, summarize, target
from adaptive_jax.lab.training.records import RunRecord
from adaptive_jax.validation import number


@dataclasses.dataclass(frozen=True)
class WorkloadAnalysis:
    """The analysis of one workload.

    Attributes:
      workload: name of the workload.
      metric: "accuracy" or "loss", by which the workload judges.
      target: see `summaries.target`.
      min_effect: the smallest difference of interest.
      seeds: number of final runs, the largest over optimizers.
      summaries: of the optimizers with final runs, the best first.
      differences: of all pairs of them.
      verdict: the main result, in words.
    """

    workload: str
    metric: str
    target: float
    min_effect: float
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


def analyze(records: Sequence[RunRecord], min_effect: float | None = None) -> Analysis:
    """Finds which optimizers differ significantly, and by how much.

    Final runs are paired by their seeds. A seed with which one of a pair diverged is left out of
    their difference, which is about the typical run. How often each diverges is reported and
    tested apart. With several studies, the unit is the study in place of the seed.

    One optimizer beats another if

    1. the paired t test is significant at 5%, after Holm's correction for all pairs of the
       workload. Its error includes what tuning may have missed, see `tuning.shortfall`;
    2. Wilcoxon's exact signed-rank test of the pair is significant at 5%. Below 6 units it cannot
       be: then all differences must have the same sign;
    3. the mean difference is at least `min_effect`;
    4. it is also better in the mean if diverged runs count.

    Where no run varies with the seed, there is no test, and 3 and 4 decide. Two optimizers are
    equal if two one-sided tests place their mean difference within ± `min_effect`. All others are
    tied: the runs do not show a difference.

    `scripts/false_verdicts.py` measures what this rule holds. Records of single runs are left out.
    An interrupted comparison is analyzed as far as it got.

    Args:
      records: of a comparison, on one or several workloads; at least one.
      min_effect: the smallest difference of interest, in units of the metric: 0.005 is half a
        point of accuracy. Default: see `summaries.default_min_effect`.

    Raises:
      ValueError: no record is of a comparison, or `min_effect` is negative or not finite.

    >>> from adaptive_jax.lab import compare
    >>> rates = "sgd:learning_rate=0.1", "sgd:learning_rate=0.001"
    >>> analysis = analyze(compare("noisy_quadratic", rates, seeds=3).records)
    >>> print(analysis.verdict.partition(" by ")[0])
    sgd learning_rate=0.1 beats sgd learning_rate=0.001
    """
    if min_effect is not None:
        min_effect = float(cast(float, number("min_effect", min_effect, "[0, inf)")))
    by_workload = {}
    for record in records:
        if record.phase != "train":
            by_workload.setdefault(record.workload, []).append(record)
    if not by_workload:
        raise ValueError("records must hold a run of a comparison, got none: see `compare`")
    workloads = tuple(_workload(runs, min_effect) for runs in by_workload.values())
    if len(workloads) == 1:
        return Analysis(workloads, None, workloads[0].verdict)
    together = overall(list(by_workload.values()), [workload.summaries for workload in workloads])
    words = verdict.over_workloads(together, len(workloads))
    return Analysis(workloads, together, words)


def _workload(records: list[RunRecord], min_effect: float | None) -> WorkloadAnalysis:
    summaries = summarize(records)
    goal = target(records)
    effect = default_min_effect(records) if min_effect is None else min_effect
    pairs = differences(records, [summary.optimizer for summary in summaries], effect, goal)
    return WorkloadAnalysis(
        workload=records[0].workload,
        metric=records[0].metric,
        target=goal,
        min_effect=effect,
        seeds=max((summary.runs for summary in summaries), default=0),
        summaries=tuple(summaries),
        differences=pairs,
        verdict=verdict.of_workload(summaries, pairs),
    )
