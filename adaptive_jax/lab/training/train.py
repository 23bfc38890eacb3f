"""Trains a single model."""

from collections.abc import Sequence
from pathlib import Path

import jax

from adaptive_jax.lab.training.callbacks import Callback
from adaptive_jax.lab.training.config import Member, OptimizerSpec, RunConfig
from adaptive_jax.lab.training.loop import Recovery
from adaptive_jax.lab.training.population import Population
from adaptive_jax.lab.training.records import RunRecord, make_record
from adaptive_jax.lab.workloads import registry as workloads
from adaptive_jax.typing import Device
from adaptive_jax.validation import steps


def train(
    config: RunConfig,
    callback: Callback | None = None,
    *,
    checkpoints: str | Path | None = None,
    checkpoint_every: int = 1,
    devices: Sequence[Device] | None = None,
) -> RunRecord:
    """Trains one model and returns the record of the run.

    Args:
      config: What to run.
      callback: Is called after each epoch.
      checkpoints: A folder for checkpoints of the run, of which the last three are kept. If it
        has some, training resumes from the last undamaged one, and the result is the same to
        the bit as without the interruption.
      checkpoint_every: The number of epochs between checkpoints. Default 1.
      devices: The devices that share the work on every batch. Pass `jax.devices()` for those of
        all processes of `jax.distributed`; then each process calls `train` with the same
        arguments and gets the same record. It equals that of one device to float32 rounding.
        Default: one device.

    Raises:
      DataError: The workload's data are missing or wrong.
      ValueError: The workload's model or loss does not fit the data, or
        `config.on_nonfinite="restore"` without `checkpoints`.
      CheckpointError: A checkpoint cannot be written, the checkpoints in the folder are of
        another run, or another process writes to the folder.

    >>> record = train(RunConfig("noisy_quadratic", "sgd"))
    >>> record.steps, len(record.curve), record.diverged
    (500, 1, False)
    """
    workload = workloads.get(config.workload)
    recovery = Recovery(
        None if checkpoints is None else Path(checkpoints),
        steps("checkpoint_every", checkpoint_every),
        config.on_nonfinite,
    )
    devices = devices or jax.local_devices()[:1]
    population = Population(
        workload,
        workload.load(config.data_dir),
        config.epochs,
        config.batch_size,
        config.schedule,
        width=1,
        devices=devices,
        devices_per_batch=len(devices),
    )
    callback = callback or Callback()
    callback.on_plan(workload.name, population.epochs)
    member = Member(OptimizerSpec.of(config.optimizer), config.seed)
    (history,) = population.run([member], callback, with_rates=True, recovery=recovery)
    return make_record(population, history)
