"""The search of tuning: settings within their ranges, and beyond the edge of a grid."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import numpy as np

from adaptive_jax.lab.training.config import OptimizerSpec
from adaptive_jax.lab.training.records import RunRecord

_DIGITS = 4  # significant digits of a setting


def settings(
    spec: OptimizerSpec, trials: int, search: Literal["grid", "random"], seed: int
) -> list[dict[str, float]]:
    """Returns the settings to try for one optimizer.

    A grid is evenly spaced on a log scale and includes both ends of the range. Random search is
    uniform on that scale; its random numbers depend only on the seed, so that all optimizers get
    the same ones. A range between 1/2 and 1, as of a decay rate, is searched in 1 - value.

    >>> settings(OptimizerSpec("adam"), 3, "grid", seed=0)
    [{'learning_rate': 0.0001}, {'learning_rate': 0.003162}, {'learning_rate': 0.1}]
    """
    names = sorted(spec.search, key=lambda name: (name != "learning_rate", name))
    if search == "grid":
        shares = np.linspace(0, 1, trials)[:, None]
    else:
        shares = np.random.default_rng(seed).random((trials, len(names)))
    return [
        {name: _within(spec.search[name], share) for name, share in zip(names, row, strict=True)}
        for row in shares
    ]


def _within(ends, share):
    low, high = ends
    if low >= 0.5 and high < 1:
        return float(1 - _rounded(_geometric(1 - low, 1 - high, share)))
    return _rounded(_geometric(low, high, share))


def _geometric(low, high, share):
    return 10 ** (math.log10(low) + share * (math.log10(high) - math.log10(low)))


def _rounded(value):
    return float(f"{value:.{_DIGITS}g}")


def beyond_the_edge(tried: Collection[float], best: float, count: int) -> list[float]:
    """Returns the next learning rates of a log grid beyond its end, if the best rate is there.

    >>> beyond_the_edge([0.001, 0.01, 0.1], best=0.1, count=2)
    [1.0, 10.0]
    >>> beyond_the_edge([0.001, 0.01, 0.1], best=0.01, count=2)
    []
    """
    rates = sorted(tried)
    if len(rates) < 2 or best not in (rates[0], rates[-1]):
        return []
    inner = rates[1] if best == rates[0] else rates[-2]
    return [_rounded(best * (best / inner) ** i) for i in range(1, count + 1)]


def best_settings(tuning: Sequence[RunRecord]) -> Mapping[str, float]:
    """Returns the settings of one optimizer with the best final validation metric.

    The mean over tuning seeds counts, and ties go to the lower loss. Settings with a diverged run
    win only if all settings have one.
    """
    trials = {}
    for record in tuning:
        trials.setdefault(tuple(sorted(record.varied.items())), []).append(record)
    best = max(trials.values(), key=_merit)
    return best[0].varied


def _merit(runs):
    sign = 1 if runs[0].metric == "accuracy" else -1
    score = np.mean([sign * run.final[f"validation_{run.metric}"] for run in runs])
    loss = np.mean([run.final["validation_loss"] for run in runs])
    diverged = any(run.diverged for run in runs)
    return not diverged, np.nan_to_num(score, nan=-np.inf), -np.nan_to_num(loss, nan=np.inf)
