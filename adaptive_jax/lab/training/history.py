"""The results of training one member."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from adaptive_jax.lab.training.config import Member
from adaptive_jax.lab.training.groups import Group
from adaptive_jax.lab.training.progress import Progress


class History(NamedTuple):
    """The results of one member's training.

    Attributes:
      member: The member.
      initial_loss: The loss of the first mini-batch, before any update.
      curve: For each epoch the mean training loss and accuracy over its mini-batches, and the
        validation loss and accuracy after it.
      rates: For each epoch the histogram of effective learning rates at its last step, see
        `diagnostics.rate_histogram`. None if it was not asked for, or if the optimizer has no
        scale.
      final: The loss and accuracy on the whole training, validation and test splits.
      train_seconds: The wall-clock time of the updates, without evaluation: an equal share of
        the time of the group.
      compile_seconds: The time to trace and compile the programs that its group was the first to
        need.
    """

    member: Member
    initial_loss: float
    curve: list[dict[str, float]]
    rates: list[list[int]] | None
    final: dict[str, float]
    train_seconds: float
    compile_seconds: float

    @property
    def diverged(self) -> bool:
        """True if the last training loss is not finite, or above twice the untrained model's."""
        loss = self.curve[-1]["train_loss"]
        return not np.isfinite(loss) or loss > 2 * self.initial_loss


def histories(
    group: Group, progress: Progress, final: Mapping[str, np.ndarray], compile_seconds: float
) -> Iterator[History]:
    """Yields the history of each member of a group.

    Args:
      group: The group.
      progress: Its progress after the last epoch.
      final: Name -> the final metric of each member.
      compile_seconds: The time that the group took to compile.
    """
    for i, member in enumerate(group.members):
        curve = [_of_member(i, metrics) for metrics in progress.curve]
        first_losses = [metrics.pop("first_loss") for metrics in curve]
        rates = [histogram for rates in progress.rates if (histogram := rates[i]) is not None]
        yield History(
            member,
            first_losses[0],
            curve,
            rates or None,
            _of_member(i, final),
            progress.seconds / len(group.members),
            compile_seconds,
        )


def _of_member(i, metrics):
    return {name: float(values[i]) for name, values in metrics.items()}
