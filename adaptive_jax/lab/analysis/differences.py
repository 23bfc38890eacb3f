"""The differences of every pair of optimizers on one workload, and their significance."""

import dataclasses
import itertools
import math

import numpy as np

from adaptive_jax.lab import statistics
from adaptive_jax.lab.analysis.scores import epochs_to_target, failed, score
from adaptive_jax.lab.analysis.summaries import final_runs, resolution
from adaptive_jax.lab.analysis.tuning import shortfall
from adaptive_jax.lab.training.records import RunRecord

LEVEL = 0.05


@dataclasses.dataclass(frozen=True)
class Difference:
    """Two optimizers' final runs, compared seed by seed.

    The unit of comparison is the seed. If the comparison has several studies, it is the study: the
    mean of a study's differences is one value. The typical run and failures are kept apart: a seed
    with which one of the two optimizers diverged counts for `divergence_p` and `with_diverged`
    alone.

    Attributes:
      better, worse: their labels.
      mean, low, high: how much better, in units of the metric and never negative in the mean, with
        its 95% t interval; the ends are NaN for a single unit, and where nothing varies. The
        interval includes `tuning_error`.
      p: of the paired t test, adjusted by Holm's method for all pairs of the workload; NaN for a
        single unit, and where nothing varies.
      bootstrap_low, bootstrap_high: ends of the studentized bootstrap's 95% interval of the mean,
        which assumes less about the distribution; NaN for fewer than four units.
      wilcoxon_p: of Wilcoxon's signed-rank test of this pair alone. For n units it is at least
        2/2ⁿ.
      equal: whether the mean is within ± `min_effect`, by two one-sided t tests at the 5% level.
      min_effect: the smallest difference of interest.
      tuning_error: standard deviation of the difference between what tuning may have missed for
        the one and for the other, see `tuning.shortfall`.
      improvement: probability that a run of the better one beats a run of the worse one, with
        diverged runs as in `scores.counted`.
      seeds: number of seeds that both have and with which neither diverged.
      studies: number of studies of these seeds.
      with_diverged: the mean difference over all common seeds, diverged runs as in
        `scores.counted`.
      divergence_p: of Fisher's exact test that both diverge equally often, adjusted by Holm's
        method for the pairs that could have been significant (Tarone 1990). With several studies
        it counts the studies in which half of the runs or more diverged.
      steps_p: of the exact rank-sum test of their steps to the target, in which a missed target
        counts as later than any other, adjusted by Holm's method. Of a study, their median counts.
    """

    better: str
    worse: str
    mean: float
    low: float
    high: float
    p: float
    bootstrap_low: float
    bootstrap_high: float
    wilcoxon_p: float
    equal: bool
    min_effect: float
    tuning_error: float
    improvement: float
    seeds: int
    studies: int
    with_diverged: float
    divergence_p: float
    steps_p: float

    @property
    def units(self) -> int:
        """The number of independent differences: studies if there are several, else seeds."""
        return self.studies if self.studies > 1 else self.seeds

    @property
    def varies(self) -> bool:
        """True if there is a test, False if the runs of both are the same for every seed."""
        return self.units < 2 or not math.isnan(self.p)

    @property
    def distinguishable(self) -> bool:
        """True if one beats the other, as `analyze` states the rule."""
        least = 2 / 2**self.units
        significant = self.p < LEVEL and self.wilcoxon_p <= max(LEVEL, least)
        contradicted = self.with_diverged <= 0
        return (
            (significant or not self.varies) and self.mean >= self.min_effect and not contradicted
        )


def differences(
    records: list[RunRecord], order: list[str], min_effect: float, target: float
) -> tuple[Difference, ...]:
    """Returns the differences of all pairs of optimizers that share seeds.

    Args:
      records: of one workload.
      order: the optimizers' labels, the best first. Pairs come in this order, and of two that tie
        on their common seeds the first is called better.
      min_effect: the smallest difference of interest.
      target: the validation metric to reach.
    """
    finals = {
        label: {(run.study, run.seed): run for run in runs}
        for label, runs in final_runs(records).items()
    }
    missed = {
        label: shortfall([run for run in records if run.optimizer == label]) for label in finals
    }
    pairs, least = [], []
    for a, b in itertools.combinations(order, 2):
        if finals[a].keys() & finals[b].keys():
            error = math.hypot(missed[a], missed[b])
            pair, smallest = _difference((a, finals[a]), (b, finals[b]), error, min_effect, target)
            pairs.append(pair)
            least.append(smallest)
    tests = np.array([(pair.p, pair.divergence_p, pair.steps_p) for pair in pairs]).reshape(-1, 3).T
    counted = np.array(least) < LEVEL
    adjusted = statistics.holm(tests)
    adjusted[1] = np.where(counted, statistics.holm(np.where(counted, tests[1], np.nan)), tests[1])
    return tuple(
        dataclasses.replace(pair, p=float(p), divergence_p=float(divergence), steps_p=float(steps))
        for pair, p, divergence, steps in zip(pairs, *adjusted, strict=True)
    )


def _difference(first, second, error, min_effect, target) -> tuple[Difference, float]:
    """Compares two (label, {(study, seed): run}); the p values are of this pair alone.

    Also returns the smallest p value that the test of divergence could have had.
    """
    common = sorted(first[1].keys() & second[1].keys())
    sound = [key for key in common if not (failed(first[1][key]) or failed(second[1][key]))]
    better, worse = first, second
    if np.mean(_scores(first, sound or common) - _scores(second, sound or common)) < 0:
        better, worse = second, first
    all_a, all_b = _scores(better, common), _scores(worse, common)
    lost = [_by_unit(runs, failed, np.mean) for _, runs in (better, worse)]
    counts = statistics.count_test(
        *(n for shares in lost for n in (sum(shares >= 0.5), len(shares)))
    )
    epochs = [
        _by_unit(runs, lambda run: epochs_to_target(run, target), np.median)
        for _, runs in (better, worse)
    ]
    difference = Difference(
        better=better[0],
        worse=worse[0],
        **_typical(better[1], worse[1], sound, error, min_effect),
        min_effect=min_effect,
        tuning_error=error,
        improvement=float(statistics.probability_of_improvement(all_a, all_b)),
        seeds=len(sound),
        studies=len({study for study, _ in sound}),
        with_diverged=float(np.mean(all_a - all_b)),
        divergence_p=counts.p,
        steps_p=statistics.rank_sum_test(*epochs) if math.isfinite(target) else math.nan,
    )
    return difference, counts.least


def _typical(better, worse, keys, error, min_effect):
    """Returns the fields of the difference of runs that did not diverge."""
    fields = ("mean", "low", "high", "p", "bootstrap_low", "bootstrap_high", "wilcoxon_p")
    if not keys:
        return {"equal": False, **dict.fromkeys(fields, math.nan)}
    a, b = (_by_unit({key: runs[key] for key in keys}, score, np.mean) for runs in (better, worse))
    first = better[keys[0]]
    step = resolution(first) / math.sqrt(len(keys) / len(a))
    if len(a) > 1 and step == error == 0 and _constant(a) and _constant(b):
        mean = float(np.mean(a) - np.mean(b))
        return {"equal": mean <= min_effect, **dict.fromkeys(fields, math.nan), "mean": mean}
    bounds = (-1, 1) if first.metric == "accuracy" else (-math.inf, math.inf)
    mean, low, high = statistics.paired_t_interval(a, b, step, error, bounds)
    alike = statistics.equivalence_test(a, b, min_effect, step, error) < LEVEL
    bootstrap = statistics.paired_bootstrap_interval(a, b)
    p = statistics.paired_t_test(a, b, step, error)
    values = (mean, low, high, p, bootstrap.low, bootstrap.high, statistics.wilcoxon_test(a, b))
    # Equal runs are equal, whatever their tuning missed.
    same = len(a) > 1 and not np.any(a - b)
    return {"equal": bool(alike or same), **dict(zip(fields, map(float, values), strict=True))}


def _scores(optimizer, keys):
    return np.array([score(optimizer[1][key]) for key in keys])


def _by_unit(runs, value, reduce):
    """Returns a value for each run, or for each study if there are several."""
    studies = {}
    for (study, _), run in sorted(runs.items(), key=lambda item: item[0]):
        studies.setdefault(study, []).append(value(run))
    if len(studies) == 1:
        return np.array(*studies.values())
    return np.array([reduce(values) for values in studies.values()])


def _constant(values):
    """Returns whether values differ by no more than the rounding of float32 sums."""
    return np.ptp(values) <= 1e-6 * np.abs(values).max()
