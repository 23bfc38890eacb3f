"""What is told of runs while they go on: to a log, a progress bar, or a callback of yours."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from adaptive_jax.lab.files import file_name, spreadsheet_text
from adaptive_jax.lab.training.config import Member


class Epoch(NamedTuple):
    """One epoch of some runs side by side.

    Attributes:
      workload: its name.
      members: the runs.
      number: of the epoch, from 1 on.
      metrics: "train_loss", "validation_accuracy", … -> a number for each run.
    """

    workload: str
    members: Sequence[Member]
    number: int
    metrics: Mapping[str, np.ndarray]


class Callback:
    """Does nothing; a callback of your own overrides what it wants to know.

    >>> class Print(Callback):
    ...     def on_epoch(self, epoch):
    ...         print(epoch.number, len(epoch.members), sorted(epoch.metrics)[0])
    >>> from adaptive_jax.lab.training import RunConfig, train
    >>> _ = train(RunConfig("noisy_quadratic", "sgd", epochs=2), Print())
    1 1 train_loss
    2 1 train_loss
    """

    def on_plan(self, workload: str, epochs: int) -> None:
        """So many more epochs, of all runs together, will be run of a workload."""

    def on_epoch(self, epoch: Epoch) -> None:
        """An epoch is over."""


class Callbacks(Callback):
    """Several callbacks, called in turn.

    Args:
      *callbacks: in the order in which they are told.

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

    def on_epoch(self, epoch: Epoch) -> None:
        for callback in self._callbacks:
            callback.on_epoch(epoch)


_METRICS = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")


class CsvLogger(Callback):
    """Adds a line for each run and epoch to a CSV file, which it begins with a heading.

    A workload that has no accuracy leaves those fields empty.

    Args:
      path: of the file; an existing one is added to.

    >>> import tempfile
    >>> from adaptive_jax.lab.training import RunConfig, train
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "log.csv"
    ...     _ = train(RunConfig("noisy_quadratic", "sgd"), CsvLogger(path))
    ...     print(path.read_text().split(",train")[0])
    workload,optimizer,seed,hyperparameters,epoch
    """

    def __init__(self, path: str | Path):
        self._path = Path(path)

    def on_epoch(self, epoch: Epoch) -> None:
        new = not self._path.exists()
        with self._path.open("a", -1, "utf-8", "backslashreplace", newline="") as file:
            write = csv.writer(file).writerow
            if new:
                write(["workload", "optimizer", "seed", "hyperparameters", "epoch", *_METRICS])
            for i, member in enumerate(epoch.members):
                values = [
                    float(epoch.metrics[k][i]) if k in epoch.metrics else "" for k in _METRICS
                ]
                given = " ".join(f"{k}={v:g}" for k, v in member.hyperparameters.items())
                names = map(spreadsheet_text, (epoch.workload, member.optimizer.label))
                write([*names, member.seed, given, epoch.number, *values])


class TensorBoardLogger(Callback):
    """Writes every run's curves as event files for TensorBoard, a folder for each run.

    Args:
      folder: what `tensorboard --logdir` is to be given.

    Raises:
      ModuleNotFoundError: the package `tensorboardX` is not installed.

    >>> import tempfile
    >>> from adaptive_jax.lab.training import OptimizerSpec
    >>> run = Member(OptimizerSpec("adam"), seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     logger = TensorBoardLogger(folder)  # to be passed to `train`
    ...     logger.on_epoch(Epoch("digits_mlp", [run], 1, {"train_loss": np.array([0.5])}))
    ...     [path.name for path in Path(folder, "digits_mlp").iterdir()]
    ['adam,seed=0']
    """

    def __init__(self, folder: str | Path):
        try:
            from tensorboardX import SummaryWriter
        except ModuleNotFoundError as error:
            needs = "pip install 'adaptive_jax[tensorboard]'"
            raise ModuleNotFoundError(f"TensorBoardLogger needs tensorboardX: {needs}") from error
        self._folder, self._writer = Path(folder), SummaryWriter

    def on_epoch(self, epoch: Epoch) -> None:
        folder = self._folder / file_name(epoch.workload)
        for i, member in enumerate(epoch.members):
            given = "".join(f",{k}={v:g}" for k, v in member.hyperparameters.items())
            run = file_name(f"{member.optimizer.label}{given},seed={member.seed}")
            # Opened anew for each epoch: a sweep has more runs than a process may open files.
            with self._writer(str(folder / run)) as writer:
                for name, values in epoch.metrics.items():
                    writer.add_scalar(name, float(values[i]), epoch.number)
