"""How far some runs side by side have come."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from adaptive_jax.typing import State


class Progress(NamedTuple):
    """What training has come to after some epochs.

    Attributes:
      model, optimizers: their states.
      curve: for each epoch, the metrics' values for every run.
      rates: for each epoch and run the histogram of effective learning rates, or None.
      seconds: what the epochs took.
    """

    model: State
    optimizers: State
    curve: list[Mapping[str, list[float]]]
    rates: list[list[list[int] | None]]
    seconds: float

    def finite(self, epoch: int) -> bool:
        """Whether the losses of that epoch were, of every run."""
        point = self.curve[epoch]
        return bool(np.isfinite([point["train_loss"], point["validation_loss"]]).all())
