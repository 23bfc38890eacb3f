"""Callbacks: they receive the metrics of runs during training."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from adaptive_jax.lab.training.config import Member
from adaptive_jax.lab.training.history import History


class Epoch(NamedTuple):
    """The results of one epoch of runs that train side by side.

    Attributes:
      workload: The name of the workload.
      members: The runs.
      number: The number of the epoch, from 1.
      metrics: "train_loss", "validation_accuracy", … -> the values of all runs, (members,).
    """

    workload: str
    members: Sequence[Member]
    number: int
    metrics: Mapping[str, np.ndarray]


class Callback:
    """A callback that does nothing. Subclass it and override the methods that you need.

    Runs that train side by side begin together, and end together with their last epoch. What a run
    is for is its `member.phase`: "default" and "tune" in tuning, "final", or "train" for a single
    run.

    >>> class Print(Callback):
    ...     def on_epoch(self, epoch):
    ...         print(epoch.number, len(epoch.members), sorted(epoch.metrics)[0])
    >>> from adaptive_jax.lab.training import RunConfig, train
    >>> _ = train(RunConfig("noisy_quadratic", "sgd", epochs=2), Print())
    1 1 train_loss
    2 1 train_loss
    """

    def on_plan(self, workload: str, epochs: int) -> None:
        """Is called before training with the total number of epochs of all runs to come."""

    def on_run_begin(self, workload: str, member: Member) -> None:
        """Is called for each run before its first epoch."""

    def on_epoch(self, epoch: Epoch) -> None:
        """Is called after each epoch."""

    def on_run_end(self, workload: str, history: History) -> None:
        """Is called for each run after its last evaluation, with all its metrics."""


class Callbacks(Callback):
    """Calls several callbacks in turn.

    Args:
      *callbacks: The callbacks, in the order in which they are called.

    >>> class Print(Callback):
    ...     def on_plan(self, workload, epochs):
    ...         print(workload, epochs)
    >>> Callbacks(Print(), Print()).on_plan("digits_mlp", 3)
    digits_mlp 3
    digits_mlp 3
    """

    def __init__(self, *callbacks: Callback):
        self._callbacks = callbacks

    def on_plan(self, workload: str, epochs: int) -> None:
        for callback in self._callbacks:
            callback.on_plan(workload, epochs)

    def on_run_begin(self, workload: str, member: Member) -> None:
        for callback in self._callbacks:
            callback.on_run_begin(workload, member)

    def on_epoch(self, epoch: Epoch) -> None:
        for callback in self._callbacks:
            callback.on_epoch(epoch)

    def on_run_end(self, workload: str, history: History) -> None:
        for callback in self._callbacks:
            callback.on_run_end(workload, history)
