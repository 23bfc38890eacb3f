"""Several workloads together."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from adaptive_jax.lab import statistics
from adaptive_jax.lab.analysis.rows import Row, final_runs
from adaptive_jax.lab.analysis.scores import normalized, score
from adaptive_jax.lab.statistics import Interval, Profiles
from adaptive_jax.lab.training.records import RunRecord


@dataclasses.dataclass(frozen=True)
class Standing:
    """One optimizer over all workloads.

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
    """All workloads together.

    Attributes:
      standings: of the optimizers that have final runs on every workload, the best score first.
      profiles: performance profiles of their median steps to the target, in the same order; None
        for fewer than four workloads.
    """

    standings: tuple[Standing, ...]
    profiles: Profiles | None


def overall(records: list[list[RunRecord]], rows: Sequence[Sequence[Row]]) -> Overall | None:
    """What holds over all workloads; None if no optimizer has final runs on each of them.

    Args:
      records: for each workload its records.
      rows: for each workload its rows.
    """
    finals = [final_runs(mine) for mine in records]
    labels = [label for label in finals[0] if all(label in mine for mine in finals)]
    if not labels:
        return None
    scores = {label: [[score(run) for run in mine[label]] for mine in finals] for label in labels}
    improvement = {label: {} for label in labels}
    for a, b in itertools.combinations(labels, 2):
        chance = statistics.mean_improvement(scores[a], scores[b])
        improvement[a][b] = chance
        improvement[b][a] = Interval(1 - chance.estimate, 1 - chance.high, 1 - chance.low)
    standings = []
    for label in labels:
        scales = [[normalized(run) for run in mine[label]] for mine in finals]
        middle = statistics.interquartile_mean(scales)
        standings.append(Standing(label, middle, improvement[label]))
    standings.sort(key=lambda standing: -standing.score.estimate)
    profiles = None
    if len(rows) >= 4:
        steps = [{row.optimizer: row.steps_to_target for row in mine} for mine in rows]
        costs = [[mine[standing.optimizer] for mine in steps] for standing in standings]
        profiles = statistics.performance_profiles(np.array(costs))
    return Overall(tuple(standings), profiles)
