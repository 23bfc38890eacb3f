"""The loop over epochs, with checkpoints and a policy for losses that are not finite."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from adaptive_jax.lab.training.config import check_nonfinite
from adaptive_jax.lab.training.execution import Execution
from adaptive_jax.lab.training.groups import Group
from adaptive_jax.lab.training.progress import Progress

if TYPE_CHECKING:  # imports Orbax
    from adaptive_jax.lab.training.checkpoints import ProgressCheckpoints

# The number of epochs in a row with losses that are not finite after which a policy ends a run.
_ENDS_AFTER: Mapping[str | None, int] = {"stop": 1, "restore": 3}


@dataclasses.dataclass(frozen=True)
class Recovery:
    """A policy for interruptions and for losses that are not finite.

    Attributes:
      checkpoints: A folder for the checkpoints of one group. If it has checkpoints of the same
        members, on as many devices, training resumes from the last one, and callbacks get the
        epochs before it again. Default: no checkpoints.
      every: The number of epochs between checkpoints. There is one after the last epoch, too.
        Default 1.
      on_nonfinite: The policy for losses that are not finite, see `NONFINITE`. A group stops or is
        restored as a whole. Default: None, which continues.

    Raises:
      ValueError: There is no such policy, or "restore" has no folder for checkpoints.

    >>> Recovery(on_nonfinite="restore")
    Traceback (most recent call last):
      ...
    ValueError: on_nonfinite='restore' needs a folder for checkpoints
    """

    checkpoints: Path | None = None
    every: int = 1
    on_nonfinite: str | None = None

    def __post_init__(self) -> None:
        check_nonfinite(self.on_nonfinite)
        if self.on_nonfinite == "restore" and self.checkpoints is None:
            raise ValueError("on_nonfinite='restore' needs a folder for checkpoints")


def train_group(
    execution: Execution,
    group: Group,
    epochs: int,
    policy: str | None,
    checkpoints: "ProgressCheckpoints | None",
    on_epoch: Callable[[int, Mapping[str, list[float]]], None],
) -> Progress:
    """Trains a group up to the last epoch, or until its policy ends the run.

    Args:
      execution: Runs the programs.
      group: The group.
      epochs: The number of epochs.
      policy: The policy for losses that are not finite, see `NONFINITE`.
      checkpoints: Where to resume from and write to, or None.
      on_epoch: Is called with the number of each epoch, from 1, and its metrics; for a resumed
        run also with those of the epochs before the checkpoint.
    """

    def last_or_start():
        # Never kept for later: `Execution.epoch` donates the buffers of the states it gets.
        start = Progress(*execution.start(group), [], [], 0.0)
        return start if checkpoints is None else checkpoints.last(start)

    progress = last_or_start()
    for number, metrics in enumerate(progress.curve, 1):
        on_epoch(number, metrics)
    while len(progress.curve) < epochs and not _ends(policy, progress):
        progress = _next(execution, group, progress)
        is_finite = progress.is_finite(-1)
        if policy == "restore" and not is_finite:
            # The curve keeps the failed epoch, so the next one has another order of the data.
            last = last_or_start()
            progress = progress._replace(model=last.model, optimizers=last.optimizers)
        # Under "stop" the last checkpoint remains the one before the failure.
        if checkpoints is not None and (is_finite or policy != "stop"):
            checkpoints.keep(progress)
        on_epoch(len(progress.curve), progress.curve[-1])
    return progress


def _ends(policy, progress):
    """Returns whether the policy ends the run, by its last epochs."""
    count = _ENDS_AFTER.get(policy)
    return (
        count is not None
        and len(progress.curve) >= count
        and not any(progress.is_finite(epoch) for epoch in range(-count, 0))
    )


def _next(execution, group, progress):
    """Returns the progress after one more epoch."""
    model, optimizers, metrics, histograms, seconds = execution.epoch(
        group, progress.model, progress.optimizers, len(progress.curve)
    )
    validation = execution.evaluate(group, model, optimizers, ["validation"])
    metrics = group.by_member(metrics) | validation
    metrics = {name: values.tolist() for name, values in metrics.items()}
    curve = [*progress.curve, metrics]
    rates = [*progress.rates, group.rates(histograms)]
    return Progress(model, optimizers, curve, rates, progress.seconds + seconds)
