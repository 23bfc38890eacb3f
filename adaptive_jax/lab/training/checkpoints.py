"""Checkpoints of a group's training."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adaptive_jax.checkpoint import Checkpoints
from adaptive_jax.lab.training.progress import Progress


class ProgressCheckpoints(Checkpoints):
    """Checkpoints of a group's progress, numbered by epochs.

    Args:
      folder: The folder to write to.
      config: Everything that decides what the group computes. Checkpoints of another config are
        refused.
      every: The number of epochs between checkpoints.
      epochs: The last epoch, after which a checkpoint is written as well.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], every: int, epochs: int):
        super().__init__(folder, config=config)
        # Otherwise the first `save` would take the lock, and the epochs before it would be lost
        # if another process held it.
        self.lock()
        self._every, self._epochs = every, epochs

    def last(self, start: Progress) -> Progress:
        """Returns the progress of the last undamaged checkpoint, or `start` if there is none."""
        if not self.steps:
            return start
        _, (model, optimizers, text) = self.restore((start.model, start.optimizers, ""))
        return Progress(model, optimizers, *json.loads(text))

    def keep(self, progress: Progress) -> None:
        """Begins to write a checkpoint if one is due."""
        epochs = len(progress.curve)
        if epochs % self._every == 0 or epochs == self._epochs:
            text = json.dumps([progress.curve, progress.rates, progress.seconds])
            self.save(epochs, (progress.model, progress.optimizers, text))
