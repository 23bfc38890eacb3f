"""Checkpoints of runs that are trained side by side."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adaptive_jax.checkpoint import Checkpoints
from adaptive_jax.lab.training.progress import Progress


class ProgressCheckpoints(Checkpoints):
    """Checkpoints of progress, by the number of epochs.

    Args:
      folder: of the runs.
      config: what decides what they compute.
      every: so many epochs there is a checkpoint.
      epochs: of the runs; after the last there is one too.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any], every: int, epochs: int):
        super().__init__(folder, config=config)
        self.lock()  # before an epoch is trained in vain
        self._every, self._epochs = every, epochs

    def last(self, start: Progress) -> Progress:
        """What the last whole checkpoint has, or the start, where there is none."""
        if not self.steps:
            return start
        _, (model, optimizers, told) = self.restore((start.model, start.optimizers, ""))
        return Progress(model, optimizers, *json.loads(told))

    def keep(self, progress: Progress) -> None:
        """Begins to write it, if it is time."""
        epochs = len(progress.curve)
        if epochs % self._every == 0 or epochs == self._epochs:
            told = json.dumps([progress.curve, progress.rates, progress.seconds])
            self.save(epochs, (progress.model, progress.optimizers, told))
