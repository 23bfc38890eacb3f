"""One training run."""

from collections.abc import Sequence
from pathlib import Path

import jax

from adaptive_jax.lab.training.callbacks import Callback
from adaptive_jax.lab.training.config import Member, OptimizerSpec, RunConfig
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
      config: what to run.
      callback: is told of each epoch.
      checkpoints: folder for a checkpoint of the run every so many epochs, the last three of
        which are kept. If it has some, training goes on from the last whole one, and ends with
        the same bits as if it had never been interrupted.
      checkpoint_every: so many epochs. Default 1.
      devices: to share the work on every batch, `jax.devices()` for those of all processes of
        `jax.distributed`; each process then calls this with the same arguments and gets the same
        record, that of one device to float32 rounding. Default: one.

    Raises:
      DataError: the workload's data are missing or wrong.
      ValueError: its model or loss do not fit them.
      CheckpointError: a checkpoint cannot be written, those in the folder are of another run, or
        another process writes to the folder.

    >>> record = train(RunConfig("noisy_quadratic", "sgd"))
    >>> record.steps, len(record.curve), record.diverged
    (500, 1, False)
    """
    workload = workloads.get(config.workload)
    devices = devices or jax.local_devices()[:1]
    population = Population(
        workload,
        workload.load(config.data_dir),
        config.epochs,
        config.batch_size,
        config.schedule,
        width=1,
        checkpoints=None if checkpoints is None else Path(checkpoints),
        checkpoint_every=steps("checkpoint_every", checkpoint_every),
        on_nonfinite=config.on_nonfinite,
        devices=devices,
        devices_per_batch=len(devices),
    )
    callback = callback or Callback()
    callback.on_plan(workload.name, population.epochs)
    member = Member(OptimizerSpec.of(config.optimizer), config.seed)
    (history,) = population.run([member], callback, with_rates=True)
    return make_record(population, history)
