"""Loggers: callbacks that write the metrics of runs for other tools."""

import csv
import time
from pathlib import Path
from typing import Any

from adaptive_jax.lab.files import file_name, spreadsheet_text
from adaptive_jax.lab.training.callbacks import Callback, Epoch
from adaptive_jax.lab.training.config import Member
from adaptive_jax.lab.training.history import History

_COLUMNS = ("workload", "optimizer", "phase", "seed", "hyperparameters", "epoch")
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
    workload,optimizer,phase,seed,hyperparameters,epoch
    """

    def __init__(self, path: str | Path):
        self._path = Path(path)

    def on_epoch(self, epoch: Epoch) -> None:
        new = not self._path.exists()
        with self._path.open("a", -1, "utf-8", "backslashreplace", newline="") as file:
            write = csv.writer(file).writerow
            if new:
                write([*_COLUMNS, *_METRICS])
            for i, member in enumerate(epoch.members):
                values = [
                    float(epoch.metrics[k][i]) if k in epoch.metrics else "" for k in _METRICS
                ]
                given = " ".join(_settings(member))
                names = map(spreadsheet_text, (epoch.workload, member.optimizer.label))
                write([*names, member.phase, member.seed, given, epoch.number, *values])


class TensorBoardLogger(Callback):
    """Writes the curves of every run as event files for TensorBoard, in a folder for each run.

    Args:
      folder: The folder to pass to `tensorboard --logdir`.

    Raises:
      ModuleNotFoundError: The package `tensorboardX` is not installed.

    >>> import tempfile
    >>> from adaptive_jax.lab.training import OptimizerSpec
    >>> import numpy as np
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
            run = file_name(_name(member))
            # Reopened for every epoch: a sweep has more runs than a process may have open files.
            with self._writer(str(folder / run)) as writer:
                for name, values in epoch.metrics.items():
                    writer.add_scalar(name, float(values[i]), epoch.number)


class WandbLogger(Callback):
    """Writes every run to Weights & Biases when it ends, as a run of its own.

    Runs are grouped by workload, their job type is the phase, and their config has the optimizer,
    the hyperparameters and the seed. The curve is logged by epoch, the final metrics are the
    summary.

    Args:
      project: The name of the project.
      **settings: Further arguments of `wandb.init`, such as `entity="team"` or `mode="offline"`.

    Raises:
      ModuleNotFoundError: The package `wandb` is not installed.

    >>> logger = WandbLogger("optimizers", mode="offline")  # doctest: +SKIP
    >>> compare("digits_cnn", ("adam", "sgd"), callback=logger)  # doctest: +SKIP
    """

    def __init__(self, project: str, **settings: Any):
        try:
            import wandb  # pyright: ignore[reportMissingImports]
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("WandbLogger needs wandb: pip install wandb") from error
        self._init, self._settings = wandb.init, {"project": project, **settings}

    def on_run_end(self, workload: str, history: History) -> None:
        member = history.member
        run = self._init(
            group=workload,
            job_type=member.phase,
            name=_name(member),
            config=_config(workload, member),
            **self._settings,
        )
        for number, point in enumerate(history.curve, 1):
            run.log(point, step=number)
        run.summary.update({**history.final, "diverged": history.diverged})
        run.finish()


class MLflowLogger(Callback):
    """Writes every run to MLflow when it ends, as a run of its own.

    Its parameters are the workload, the optimizer, the hyperparameters and the seed, its tag
    "phase" the phase. The curve is logged by epoch, with the final metrics at the last epoch.

    Args:
      experiment: The name of the experiment, which is created if it is missing.
      tracking_uri: Where MLflow keeps its runs. Default: MLflow's own, `MLFLOW_TRACKING_URI` if it
        is set.

    Raises:
      ModuleNotFoundError: The package `mlflow` is not installed.

    >>> logger = MLflowLogger("optimizers", "sqlite:///runs.db")  # doctest: +SKIP
    >>> compare("digits_cnn", ("adam", "sgd"), callback=logger)  # doctest: +SKIP
    """

    def __init__(self, experiment: str, tracking_uri: str | None = None):
        try:
            import mlflow  # pyright: ignore[reportMissingImports]
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError("MLflowLogger needs mlflow: pip install mlflow") from error
        self._mlflow, self._client = mlflow, mlflow.MlflowClient(tracking_uri)
        known = self._client.get_experiment_by_name(experiment)
        self._experiment = (
            self._client.create_experiment(experiment) if known is None else known.experiment_id
        )

    def on_run_end(self, workload: str, history: History) -> None:
        member, entities = history.member, self._mlflow.entities
        tags = {"phase": member.phase, "diverged": str(history.diverged)}
        run = self._client.create_run(self._experiment, tags=tags, run_name=_name(member))
        now, points = int(1000 * time.time()), [*enumerate(history.curve, 1)]
        points.append((len(history.curve), history.final))
        # A final metric replaces none of the curve: theirs are the metrics of an epoch's batches.
        metrics = [
            entities.Metric(f"final_{name}" if point is history.final else name, value, now, step)
            for step, point in points
            for name, value in point.items()
        ]
        config = _config(workload, member)
        params = [entities.Param(name, str(value)) for name, value in config.items()]
        self._client.log_batch(run.info.run_id, params=params)
        for start in range(0, len(metrics), _BATCH):
            self._client.log_batch(run.info.run_id, metrics=metrics[start : start + _BATCH])
        self._client.set_terminated(run.info.run_id)


_BATCH = 500  # MLflow takes at most 1000 metrics at once


def _settings(member: Member) -> list[str]:
    return [f"{name}={value:g}" for name, value in member.hyperparameters.items()]


def _name(member: Member) -> str:
    return ",".join([member.optimizer.label, *_settings(member), f"seed={member.seed}"])


def _config(workload: str, member: Member) -> dict[str, Any]:
    return {
        "workload": workload,
        "optimizer": member.optimizer.label,
        "seed": member.seed,
        "study": member.study,
        **member.varied,
    }
