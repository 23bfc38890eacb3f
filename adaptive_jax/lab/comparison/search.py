"""The search of tuning: which settings are tried, and which of them wins.

A verdict about optimizers must not be one about the points of a grid: the same method with its rate
in other units has other points, and a coarse grid tells the two apart. So the search has a coarse
part and a refinement, and the winner may lie between the points:

1. The first settings are the default one and `trials` others: a grid for a single hyperparameter,
   else points of a scrambled Sobol sequence (Owen 1998), which fill a box of few dimensions more
   evenly than random ones do. Each name has a dimension of its own, so that all optimizers try the
   same shares of their learning rates' ranges, whatever else they tune.
2. `extra_trials` refine it, in rounds: between the best setting and its neighbors, or beyond the
   edge if the best rate is there; with Sobol points in a box around the best, which halves in
   each round. All optimizers try equally many settings, wherever they spend them.
3. The winner is the maximum of a parabola in the logarithm of the rate (without cross terms, for
   several hyperparameters) through the means near the best setting, within what was tried there. A
   maximum over noisy trials follows the noise of one; the parabola averages it over all. If it has
   no maximum, or there are too few points, the best trial wins.

scripts/false_verdicts.py measures how often the same optimizer is told from itself.
"""

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from adaptive_jax.lab.comparison.budget import Budget, position
from adaptive_jax.lab.training.config import OptimizerSpec
from adaptive_jax.lab.training.records import RunRecord
from adaptive_jax.lab.training.settings import Choice, Range

SearchName = Literal["grid", "sobol", "random"]
Setting = dict[str, Any]

_UNBOUNDED = ("learning_rate", "weight_decay")  # may be searched beyond their ranges
_BOX = 0.25  # half the width of the first box of refinement, as a share of a range
_MOST_DRAWN = 32  # times the trials, where whole numbers and choices have few different settings


class Trial(NamedTuple):
    """A setting that was tried, with the means over its tuning seeds.

    Attributes:
      setting: Name -> value of the hyperparameters that are tuned.
      score: The validation metric, signed so that higher is better; -inf if it is not finite.
      loss: The validation loss.
      diverged: Whether any of the runs diverged.
      seeds: The number of runs.
    """

    setting: Setting
    score: float
    loss: float
    diverged: bool
    seeds: int


def trials_of(records: Sequence[RunRecord]) -> list[Trial]:
    """Returns the trials in the tuning runs of one optimizer in one study, each setting once."""
    by_setting: dict[str, dict[int, RunRecord]] = {}
    for record in records:
        by_setting.setdefault(repr(sorted(record.varied.items())), {})[record.seed] = record
    return [_trial(list(runs.values())) for runs in by_setting.values()]


def _trial(runs):
    sign = 1 if runs[0].metric == "accuracy" else -1
    score = sign * float(np.mean([run.final[f"validation_{run.metric}"] for run in runs]))
    loss = float(np.mean([run.final["validation_loss"] for run in runs]))
    diverged = any(run.diverged for run in runs)
    score = score if np.isfinite(score) else -np.inf
    return Trial(dict(runs[0].varied), score, loss, diverged, len(runs))


def best_trial(trials: Sequence[Trial]) -> Trial:
    """Returns the trial with the best score, and of equal scores the one with the lowest loss.

    A trial with a diverged run wins only if all have one.
    """
    return max(trials, key=lambda t: (not t.diverged, t.score, -np.nan_to_num(t.loss, nan=np.inf)))


@dataclasses.dataclass(frozen=True)
class Search:
    """The search of one optimizer in one study.

    Attributes:
      spec: The optimizer.
      names: All hyperparameters that the comparison tunes: each is a dimension of the points.
      budget: The numbers of trials.
      kind: "grid", "sobol" or "random". A grid is for a single hyperparameter. "random" draws all
        settings independently, and does not refine.
      seed, study: Decide the points. For (0, 0) a grid includes both ends of the range; others are
        shifted by up to half a spacing.

    >>> budget = Budget(trials=3, extra_trials=2, tuning_seeds=1, seeds=2, epochs=1)
    >>> search = Search(OptimizerSpec("adam"), ("learning_rate",), budget, "grid", 0, 0)
    >>> [setting["learning_rate"] for setting in search.first()]
    [0.001, 0.0001, 0.003162, 0.1]
    """

    spec: OptimizerSpec
    names: tuple[str, ...]
    budget: Budget
    kind: SearchName
    seed: int
    study: int

    @property
    def default(self) -> Setting | None:
        """The default setting, or None if a default is missing."""
        defaults = {name: self.spec.defaults.get(name) for name in self.spec.search}
        if any(value is None for value in defaults.values()):
            return None
        return {name: self._as_searched(name, value) for name, value in defaults.items()}

    @property
    def total(self) -> int:
        """The number of different settings to try, the default included."""
        return self.budget.trials + self.budget.extra_trials + 1

    def first(self) -> list[Setting]:
        """Returns the settings to try first, the default one in front."""
        default = [] if self.default is None else [self.default]
        if self.kind == "grid":
            return _distinct([*default, *self._grid()])
        count = self.budget.trials if self.kind == "sobol" else self.total - len(default)
        return _distinct([*default, *self._points(count)])

    def more(self, trials: Sequence[Trial]) -> list[Setting]:
        """Returns the settings to try next, none when the budget is spent."""
        left = self.total - len(trials)
        if left <= 0 or self.kind == "random":
            return []
        near = self._beside(trials) if self.kind == "grid" else self._box(trials)
        tried = [trial.setting for trial in trials]
        return [setting for setting in _distinct(near) if setting not in tried][:left]

    def best(self, trials: Sequence[Trial]) -> Setting:
        """Returns the winner: the maximum of the parabola near the best trial, or that trial."""
        best = best_trial(trials)
        if best.diverged or not np.isfinite(best.score):
            return best.setting
        ranges = {k: r for k, r in self.spec.search.items() if self._smooth(k)}
        width = 0.5 / max(self.budget.trials - 1, 1) if self.kind == "grid" else _BOX
        shares = self._shares(best.setting, ranges)
        alike = [
            t
            for t in trials
            if not t.diverged
            and np.isfinite(t.score)
            and all(t.setting[k] == v for k, v in best.setting.items() if k not in ranges)
        ]
        steps = np.array([self._shares(t.setting, ranges) - shares for t in alike]) / width
        is_near = np.all(np.abs(steps) <= 1.01, axis=1)  # NaN is not
        scores = np.array([t.score for t in alike])
        if np.all(scores < 0):  # losses, which vary over orders of magnitude
            scores = -np.log(-scores)
        peak = _peak(steps[is_near], scores[is_near])
        moves = zip(ranges.items(), shares, width * peak, strict=True)
        return {**best.setting, **{k: r.at(at + by) for (k, r), at, by in moves if by}}

    def _grid(self):
        (name,) = self.spec.search
        searched = self.spec.search[name]
        if isinstance(searched, Choice):
            return [{name: value} for value in searched]
        last = max(self.budget.trials - 1, 1)
        shift = (position(self.seed, self.study) + 0.5) % 1 - 0.5
        shares = (np.arange(self.budget.trials) + shift) / last
        if name not in _UNBOUNDED:
            shares = np.clip(shares, 0, 1)
        return [{name: searched.at(share)} for share in shares]

    def _points(self, count, skip=0, within=None, fixed=None):
        """Returns settings at points of the sequence, of which `skip` were used before.

        Args:
          count: The number of different settings.
          skip: The number of points to leave out.
          within: Name -> (low, high) of the box of shares. Default: the whole range.
          fixed: Name -> value of what does not vary. Default: nothing.
        """
        ranges = self.spec.search
        shares = self._unit(skip + _MOST_DRAWN * count)[skip:]
        settings: list[Setting] = []
        for row in shares:
            point = dict(zip(self.names, row, strict=True))
            setting = {}
            for name, searched in ranges.items():
                low, high = (within or {}).get(name, (0, 1))
                setting[name] = searched.at(low + point[name] * (high - low))
            setting.update(fixed or {})
            if setting not in settings:
                settings.append(setting)
            if len(settings) == count:
                break
        return settings

    def _unit(self, count):
        """Returns the first points in the unit cube, (count, names)."""
        rng = np.random.default_rng((self.seed, self.study))
        if self.kind == "random":
            return rng.random((count, len(self.names)))
        from scipy.stats import qmc

        with warnings.catch_warnings():  # about counts other than powers of 2
            warnings.simplefilter("ignore", UserWarning)
            return qmc.Sobol(len(self.names), rng=rng).random(count)

    def _beside(self, trials):
        """Returns settings between the best and its neighbors on the grid, or beyond its edge."""
        (name,) = self.spec.search
        searched = self.spec.search[name]
        if isinstance(searched, Choice):
            return []
        shares = sorted(searched.share(trial.setting[name]) for trial in trials)
        best = searched.share(best_trial(trials).setting[name])
        at, step = shares.index(best), 1 / max(self.budget.trials - 1, 1)
        below = shares[at - 1] if at else None
        above = shares[at + 1] if at + 1 < len(shares) else None
        if below is None or above is None:
            inner = above if below is None else below
            outward = step if above is None else -step
            if name in _UNBOUNDED:
                # Not twice outward: the top may as well be on the near side of the edge.
                new = [best + outward, best - outward if inner is None else (best + inner) / 2]
            elif inner is None:
                new = []
            else:
                new = [(best + inner) / 2, best + (inner - best) / 4]
        else:
            new = [(below + best) / 2, (best + above) / 2]
        return [{name: searched.at(share)} for share in new]

    def _box(self, trials):
        """Returns settings in a box around the best one, which halves in each round."""
        size = 2 * len(self.names)
        points = len(trials) - (self.default is not None)
        done = max(0, points - self.budget.trials) // size
        width = _BOX / 2**done
        best = best_trial(trials).setting
        within, fixed = {}, {}
        for name, searched in self.spec.search.items():
            if isinstance(searched, Choice) or searched.scale == "int":
                fixed[name] = best[name]
                continue
            center = searched.share(best[name])
            if not np.isfinite(center):  # a default off the scale, such as no decay
                center = 0.0
            if name not in _UNBOUNDED:
                center = min(max(center, width), 1 - width)
            within[name] = center - width, center + width
        return self._points(size, points, within, fixed if within else {})

    def _smooth(self, name):
        """Returns whether the values of a hyperparameter have others between them."""
        searched = self.spec.search[name]
        return isinstance(searched, Range) and searched.scale != "int"

    def _as_searched(self, name, value):
        """Returns a whole number as a float if it is searched among floats."""
        searched = self.spec.search[name]
        among_floats = self._smooth(name) or (
            isinstance(searched, Choice) and any(type(choice) is float for choice in searched)
        )
        return float(value) if type(value) is int and among_floats else value

    def _shares(self, setting, ranges):
        return np.array([searched.share(setting[name]) for name, searched in ranges.items()])


def _peak(steps, scores):
    """Returns where a parabola through points has its maximum, as far as it has one.

    Args:
      steps: The points, (points, dimensions); the best is at 0.
      scores: Their scores, (points,).

    Returns:
      (dimensions,): 0 in those in which there is no maximum.

    >>> steps = np.array([[-1.0], [-0.5], [0.0], [0.5], [1.0]])
    >>> _peak(steps, -((steps[:, 0] - 0.2) ** 2)).round(6).tolist()
    [0.2]
    """
    count, dimensions = steps.shape
    if not dimensions or count < 2 * dimensions + 2:
        return np.zeros(dimensions)
    gaps = scores.max() - scores
    middle = np.median(gaps)
    if middle == 0:
        return np.zeros(dimensions)
    weights = 1 / (1 + gaps / middle)  # what is far below the best says little of the top's shape
    terms = np.hstack([np.ones((count, 1)), steps, steps**2])
    solution = np.linalg.lstsq(terms * weights[:, None], scores * weights, rcond=None)[0]
    slopes, bends = solution[1 : 1 + dimensions], solution[1 + dimensions :]
    peaks = np.where(bends < 0, -slopes / (2 * np.where(bends < 0, bends, -1)), 0)
    return np.clip(peaks, steps.min(0), steps.max(0))


def _distinct(settings):
    kept: list[Setting] = []
    for setting in settings:
        if setting not in kept:
            kept.append(setting)
    return kept
