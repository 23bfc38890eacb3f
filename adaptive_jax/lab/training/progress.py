"""The state of a group's training between two epochs."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from adaptive_jax.typing import State


class Progress(NamedTuple):
    """The state of a group's training after some epochs.

    Attributes:
      model: The models, on the devices.
      optimizers: The optimizer states, on the devices.
      curve: For each epoch name -> the metric of each member.
      rates: For each epoch and member the histogram of effective learning rates, or None.
      seconds: The time that the epochs took.
    """

    model: State
    optimizers: State
    curve: list[Mapping[str, list[float]]]
    rates: list[list[list[int] | None]]
    seconds: float

    def is_finite(self, epoch: int) -> bool:
        """Returns whether the losses of all members are finite after an epoch, an index."""
        metrics = self.curve[epoch]
        return bool(np.isfinite([metrics["train_loss"], metrics["validation_loss"]]).all())
