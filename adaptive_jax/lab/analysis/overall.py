"""The standings of optimizers over several workloads."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from adaptive_jax.lab import statistics
from adaptive_jax.lab.analysis.scores import normalized, score
from adaptive_jax.lab.analysis.summaries import Summary, final_runs
from adaptive_jax.lab.statistics import Interval, Profiles
from adaptive_jax.lab.training.records import RunRecord


@dataclasses.dataclass(frozen=True)
class Standing:
    """One optimizer's result over all workloads.

    Attributes:
      optimizer: its label.
      score: interquartile mean of its final runs' scores, as `scores.normalized`, 1 is perfect.
      improvement: other optimizer's label -> probability that a run of this one beats a run of
        that one, averaged over workloads.
    """

    optimizer: str
    score: Interval
    improvement: Mapping[str, Interval]


@dataclasses.dataclass(frozen=True)
class Overall:
    """The result of a comparison over all workloads.

    Attributes:
      standings: of the optimizers that have final runs on every workload, the best score first.
      profiles: performance profiles of their median steps to the target, in the same order; None
        for fewer than four workloads.
    """

    standings: tuple[Standing, ...]
    profiles: Profiles | None


def overall(
    records: list[list[RunRecord]], summaries: Sequence[Sequence[Summary]]
) -> Overall | None:
    """Returns the standings, or None if no optimizer has final runs on every workload.

    Args:
      records: one list for each workload.
      summaries: one list for each workload, in the same order.
    """
    finals = [final_runs(runs) for runs in records]
    labels = [label for label in finals[0] if all(label in runs for runs in finals)]
    if not labels:
        return None
    scores = {label: [[score(run) for run in runs[label]] for runs in finals] for label in labels}
    improvement = {label: {} for label in labels}
    for a, b in itertools.combinations(labels, 2):
        chance = statistics.mean_improvement(scores[a], scores[b])
        improvement[a][b] = chance
        improvement[b][a] = Interval(1 - chance.estimate, 1 - chance.high, 1 - chance.low)
    standings = []
    for label in labels:
        scales = [[normalized(run) for run in runs[label]] for runs in finals]
        middle = statistics.interquartile_mean(scales)
        standings.append(Standing(label, middle, improvement[label]))
    standings.sort(key=lambda standing: -standing.score.estimate)
    profiles = None
    if len(summaries) >= 4:
        steps = [{s.optimizer: s.steps_to_target for s in workload} for workload in summaries]
        costs = [[workload[standing.optimizer] for workload in steps] for standing in standings]
        profiles = statistics.performance_profiles(np.array(costs))
    return Overall(tuple(standings), profiles)
