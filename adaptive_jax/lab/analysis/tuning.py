"""An estimate of what the tuning of an optimizer missed."""

import math

import numpy as np

from adaptive_jax.lab import statistics
from adaptive_jax.lab.analysis.scores import failed, score
from adaptive_jax.lab.training.records import RunRecord


def shortfall(records: list[RunRecord]) -> float:
    """Returns how far the chosen setting's mean score may lie below the best, root mean square.

    It is 0 for an optimizer that was not tuned. If one number was tuned, it follows
    from the tuning curve and from the noise of a tuning run, see `statistics.tuning_shortfall`.
    The noise is the standard deviation of the validation metric over final runs. If several
    hyperparameters were tuned, it follows from what half of the trials would have lost, see
    `statistics.search_shortfall`.

    Losses vary by factors, with the rate and with the seed. So positive losses are compared by
    their logarithms, and the result is converted back at the mean of the final runs.

    With several studies the spread between them shows what one tuning misses by chance, so
    this is 0, unless they all tried the same settings. What a common grid misses is then estimated
    from the tuning curves without noise.

    Args:
      records: all records of one optimizer on one workload.
    """
    studies = {}
    for record in records:
        studies.setdefault(record.study, []).append(record)
    if len(studies) < 2:
        return float(_of_study(records, noisy=True))
    grids = {
        frozenset(repr(sorted(run.varied.items())) for run in runs if run.phase == "tune")
        for runs in studies.values()
    }
    if len(grids) > 1:
        return 0.0
    squares = [float(_of_study(runs, noisy=False)) ** 2 for runs in studies.values()]
    return math.sqrt(np.mean(squares))


def _of_study(records, noisy):
    finals = [run for run in records if run.phase == "final" and not failed(run)]
    tuning = [run for run in records if run.phase == "tune"]
    if not tuning or not finals:
        return 0.0
    logarithmic = finals[0].metric == "loss" and all(
        score(run, "validation") < 0 for run in (*tuning, *finals)
    )

    def scored(run):
        value = score(run, "validation")
        return -math.log(-value) if logarithmic else value

    ends = [scored(run) for run in finals]
    missed = _missed(records, finals[0], ends, scored, noisy)
    if logarithmic:
        return -math.expm1(-missed) * -np.mean([score(run, "validation") for run in finals])
    return missed


def _missed(records, final, ends, scored, noisy):
    """Returns the shortfall in the units of `scored`; `ends` are the scores of final runs."""
    tuning = [run for run in records if run.phase == "tune"]
    names = list(tuning[0].varied)
    if len(names) == 1 and all(_is_positive(run, names[0]) for run in records):

        def position(run):
            return math.log(run.hyperparameters[names[0]])

        curve = _means([run for run in records if run.phase != "final"], scored, position)
        noise = float(np.std(ends, ddof=1)) if noisy and len(ends) > 1 else 0.0
        noise /= math.sqrt(len({run.seed for run in tuning}))
        return statistics.tuning_shortfall(
            list(curve), list(curve.values()), position(final), noise
        )
    means = _means(tuning, scored, lambda run: repr(sorted(run.varied.items())))
    return statistics.search_shortfall(list(means.values()), len(names))


def _is_positive(run, name):
    value = run.hyperparameters.get(name)
    return isinstance(value, (int, float)) and value > 0


def _means(runs, scored, key):
    """Returns the mean score of each setting, by its key."""
    scores = {}
    for run in runs:
        scores.setdefault(key(run), []).append(scored(run))
    return {setting: float(np.mean(values)) for setting, values in scores.items()}
