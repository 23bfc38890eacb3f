"""Callbacks: they receive the metrics of runs during training."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from adaptive_jax.lab.files import file_name, spreadsheet_text
from adaptive_jax.lab.training.config import Member


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

    def on_epoch(self, epoch: Epoch) -> None:
        """Is called after each epoch."""


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

    def on_epoch(self, epoch: Epoch) -> None:
        for callback in self._callbacks:
            callback.on_epoch(epoch)


_METRICS = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")


class CsvLogger(Callback):
    """Appends a line for each run and epoch to a CSV file.

    A new file gets a header. The accuracies of a workload without accuracy are empty.

    Args:
      path: The path of the file.

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
    """Writes the curves of every run as event files for TensorBoard, in a folder for each run.

    Args:
      folder: The folder to pass to `tensorboard --logdir`.

    Raises:
      ModuleNotFoundError: The package `tensorboardX` is not installed.

    >>> import tempfile
    >>> from adaptive_jax.lab.training import OptimizerSpec
    >>> run = Member(OptimizerSpec("adam"), seed=0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     logger = TensorBoardLogger(folder)  # pass it to `train`
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
            # Reopened for every epoch: a sweep has more runs than a process may have open files.
            with self._writer(str(folder / run)) as writer:
                for name, values in epoch.metrics.items():
                    writer.add_scalar(name, float(values[i]), epoch.number)
