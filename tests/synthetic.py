"""Made-up records of comparisons, to test what reads them without training anything."""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from adaptive_jax.lab.training import OptimizerSpec, RunRecord

INITIAL_LOSS = 2.3
CHANCE = 0.1
EXAMPLES = {"train": 1000, "validation": 300, "test": 400}
COST = {
    "state_bytes_per_parameter": 8.0,
    "update_microseconds": 40.0,
    "update_microseconds_low": 39.0,
    "update_microseconds_high": 42.0,
    "gradient_microseconds": 160.0,
    "update_compile_seconds": 0.2,
}
_TUNING_SEED = 1_000_000


def records(
    scores: Mapping[tuple[str, str], float | Sequence[float]],
    seeds: int = 5,
    noise: float = 0.003,
    tune: int = 5,
    epochs: int = 8,
    losses: Sequence[str] = (),
    diverged: Mapping[tuple[str, str], Sequence[int]] | None = None,
    targets: Mapping[str, float] | None = None,
    seed: int = 0,
) -> list[RunRecord]:
    """The records of a comparison in the order in which one makes them.

    An optimizer with a learning rate in its label is not tuned. The others have `tune` trials, the
    best in the grid's middle (for two trials, at its edge), and a run at their defaults.

    Args:
      scores: (workload, optimizer's label) -> mean test metric of the final runs, or the very
        values, one for each seed.
      seeds: final runs of an optimizer whose score is one number.
      noise: standard deviation around a mean, half of it common to all runs of a seed.
      tune: trials of each tuned optimizer.
      epochs: of every run; validation metrics approach the final one exponentially.
      losses: the workloads that are judged by their loss and have no accuracy.
      diverged: (workload, optimizer's label) -> the seeds whose final runs diverged.
      targets: workload -> target, for those that have one.
      seed: of the noise.

    >>> runs = records({("digits", "adam"): 0.9, ("digits", "sgd:learning_rate=0.1"): 0.8}, tune=3)
    >>> [run.phase for run in runs].count("final"), len(runs)
    (10, 14)
    """
    rng = np.random.default_rng(seed)
    made = []
    for workload in dict.fromkeys(workload for workload, _ in scores):
        shared = rng.normal(size=seeds)
        runs = []
        for (name, label), score in scores.items():
            if name == workload:
                own = rng.normal(size=seeds)
                mean = np.ndim(score) == 0
                values = score + noise * (shared + own) / np.sqrt(2) if mean else np.array(score)
                broken = (diverged or {}).get((workload, label), ())
                runs += _runs(
                    label, values, broken, tune, "loss" if workload in losses else "accuracy"
                )
        runs.sort(key=lambda run: ("tune", "default", "final").index(run["phase"]))
        target = (targets or {}).get(workload)
        made += [_record(workload, epochs=epochs, target=target, **run) for run in runs]
    return made


def _runs(label, values, broken, tune, metric):
    """What distinguishes an optimizer's runs: keyword arguments of `_record`."""
    spec = OptimizerSpec.parse(label)
    rate = spec.hyperparameters.get("learning_rate", spec.defaults["learning_rate"])
    common = {"label": label, "metric": metric}
    better = 1 if metric == "accuracy" else -1
    if "learning_rate" not in spec.hyperparameters and tune:
        common |= {"seed": _TUNING_SEED}
        for decades in (np.arange(tune) - tune // 2) / 2:
            varied = {"learning_rate": float(f"{rate * 10**decades:.4g}")}
            score = values.mean() - better * 0.1 * abs(decades)
            yield {"phase": "tune", "varied": varied, "score": score, **common}
        score = values.mean() - better * 0.02
        yield {"phase": "default", "varied": {}, "score": score, **common}
    for seed, score in enumerate(values):
        changes = {"varied": {"learning_rate": rate}, "score": score, "diverged": seed in broken}
        yield {**common, "phase": "final", "seed": seed, **changes}


def _record(workload, label, phase, seed, varied, score, metric, epochs, target, diverged=False):
    """A run that ends with the test and validation metric `score`, unless it diverged."""
    spec = OptimizerSpec.parse(label)
    start = CHANCE if metric == "accuracy" else INITIAL_LOSS
    if diverged:
        score = CHANCE if metric == "accuracy" else np.nan
    left = (0.02 ** (np.arange(1, epochs + 1) / epochs) - 0.02) / 0.98  # of the way to the end
    curve = [_scores(score + share * (start - score), metric, diverged) for share in left]
    splits = ("train", "validation") if phase in ("tune", "default") else EXAMPLES
    end = _scores(score, metric, diverged)
    key = repr((workload, label, phase, seed, varied))
    return RunRecord(
        id=hashlib.sha256(key.encode()).hexdigest()[:12],
        workload=workload,
        optimizer=label,
        hyperparameters={**spec.defaults, **spec.hyperparameters, **varied},
        varied=varied,
        phase=phase,
        seed=seed,
        epochs=epochs,
        batch_size=50,
        schedule="cosine",
        steps=20 * epochs,
        parameters=10_000,
        examples=EXAMPLES,
        metric=metric,
        target=target,
        initial_loss=INITIAL_LOSS,
        curve=[
            {f"{split}_{name}": point[name] for split in ("train", "validation") for name in point}
            for point in curve
        ],
        rates=None,
        final={f"{split}_{name}": value for split in splits for name, value in end.items()},
        diverged=diverged,
        train_seconds=0.1 * epochs,
        compile_seconds=1.5,
        cost=COST if phase == "final" else None,
        versions={"python": "3.11.0", "adaptive_jax": "0.1.0", "jax": "0.10.2"},
        device="cpu",
    )


def _scores(score, metric, diverged):
    """Loss, and accuracy where the metric is that, of one split."""
    if metric == "loss":
        return {"loss": float(score)}
    accuracy = float(np.clip(score, 0, 1))
    return {"loss": np.nan if diverged else INITIAL_LOSS * (1 - accuracy), "accuracy": accuracy}
