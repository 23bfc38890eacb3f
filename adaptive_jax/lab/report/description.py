"""A description of the runs of a comparison, in words and as commands that repeat them."""

import shlex
from collections.abc import Iterable, Sequence

from adaptive_jax.lab.training.records import RunRecord

_TUNED = (
    "Every tuned optimizer had the same budget of trials, judged on validation data with seeds "
    "that no final run has. Intervals include what tuning may have missed."
)
_UNTUNED = "Nothing was tuned: every optimizer ran at given or default hyperparameters."
_FINAL = (
    "The final runs have the same new seeds for all optimizers, which fix the initial parameters "
    "and the order of the examples. The test set was used once, at their end."
)


def describe_protocol(records: Iterable[RunRecord]) -> str:
    """Describes the protocol of the runs, in two or three sentences."""
    tuned = any(record.phase == "tune" for record in records)
    return f"{_TUNED if tuned else _UNTUNED} {_FINAL}"


def describe_runs(records: Sequence[RunRecord]) -> dict[str, str]:
    """Describes what the runs of one workload have in common, as term -> detail."""
    first = records[0]
    phases = [record.phase for record in records]
    target = (
        "none given: the value that most runs of every optimizer without a diverged run reach, "
        "so it depends on which optimizers are compared"
    )
    if first.target is not None:
        target = f"validation {first.metric} {first.target:g}"
    sizes = ", ".join(f"{count:,} for {split}" for split, count in first.examples.items())
    seconds = sum(record.train_seconds for record in records)
    return {
        "workload": f"{first.workload}, {first.parameters:,} parameters",
        "examples": sizes,
        "budget": f"{first.epochs} epochs, {first.steps:,} steps, batch {first.batch_size}",
        "schedule": first.schedule,
        "target": target,
        "runs": f"{len(phases) - phases.count('final')} for tuning, {phases.count('final')} final, "
        f"{seconds:,.0f} s of training",
        "device": _distinct(record.device for record in records),
        "versions": _distinct(
            ", ".join(f"{name} {version}" for name, version in record.versions.items())
            for record in records
        ),
    }


def schedule_warning(records: Sequence[RunRecord]) -> str:
    """Returns a warning about a constant learning rate, "" if it decays."""
    if records[0].schedule != "constant":
        return ""
    return (
        "The learning rate was constant: without a decay the last steps are as large as the "
        "first, and the result depends on when training stopped."
    )


def train_command(record: RunRecord) -> str:
    """Returns the command that repeats one run.

    >>> from adaptive_jax.lab.training import RunConfig, train
    >>> print(train_command(train(RunConfig("noisy_quadratic", "adam"))))
    adaptive-jax train noisy_quadratic --optimizer adam --seed 0 --epochs 1 --schedule constant
    """
    settings = [f"{name}={value!r}" for name, value in record.varied.items()]
    words = ["adaptive-jax", "train", record.workload, "--optimizer", record.optimizer]
    words += ["--set", *settings] if settings else []
    words += ["--seed", record.seed, "--epochs", record.epochs, "--schedule", record.schedule]
    return shlex.join(map(str, words))


def _distinct(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))
