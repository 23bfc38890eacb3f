"""The budget of a comparison, and the seeds of its runs."""

import dataclasses

from adaptive_jax.lab.workloads.workload import Workload

TUNING_SEED = 2**30
"""Tuning seeds start here, final seeds below; no run of one kind has a seed of the other."""


@dataclasses.dataclass(frozen=True)
class Budget:
    """The budget of each optimizer on one workload, in each study.

    Attributes:
      trials: settings to try first in tuning, besides the default one; 1 means the defaults,
        without tuning.
      extra_trials: settings to try afterwards, around the best one or beyond the edge.
      tuning_seeds: runs of each trial, whose mean counts.
      seeds: final runs.
      epochs: epochs of every run.
    """

    trials: int
    extra_trials: int
    tuning_seeds: int
    seeds: int
    epochs: int


def budget_of(name: str, workload: Workload, dimensions: int) -> Budget:
    """Returns the budget "quick", "default" or "full" of a workload.

    Args:
      name: One of the three.
      workload: The workload.
      dimensions: The most hyperparameters that an optimizer tunes; trials are multiplied by it.
    """
    w = workload
    trials, extra, tuning, seeds, epochs = {
        "quick": (min(3, w.trials), 2, 1, min(3, w.seeds), -(-w.epochs // 3)),
        "default": (w.trials, 4, 2, w.seeds, w.epochs),
        "full": (2 * w.trials - 1, 4, 4, 4 * w.seeds, w.epochs),
    }[name]
    if trials > 1:
        trials *= max(dimensions, 1)
    return Budget(trials, extra * max(dimensions, 1), tuning, seeds, epochs)


def position(seed: int, study: int) -> float:
    """Returns a number in [0, 1) for each seed and study, 0 for the first.

    Multiples of irrational numbers keep their distance: of n of them, none are closer than about
    1 / n, so ranges of seeds that start there do not overlap.
    """
    return (seed * 0.6180339887498949 + study * 0.7548776662466927) % 1


def final_seeds(seed: int, study: int, count: int) -> range:
    """Returns the seeds of the final runs of a study, the same for all optimizers.

    >>> final_seeds(0, 0, 3), final_seeds(1, 0, 3)[0] > 3
    (range(0, 3), True)
    """
    start = int(TUNING_SEED // 2 * position(seed, study))
    return range(start, start + count)


def tuning_seeds(seed: int, study: int, count: int) -> range:
    """Returns the seeds of the tuning runs of a study, which no final run has."""
    start = TUNING_SEED + int(TUNING_SEED // 2 * position(seed, study))
    return range(start, start + count)
