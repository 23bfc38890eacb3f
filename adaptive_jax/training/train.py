"""One training run."""

from adaptive_jax.training.callbacks import Callback
from adaptive_jax.training.config import Member, RunConfig
from adaptive_jax.training.population import Population
from adaptive_jax.training.records import RunRecord, make_record


def train(config: RunConfig, callback: Callback | None = None) -> RunRecord:
    """Trains one model and returns the record of the run.

    Args:
      config: what to run.
      callback: is told of each epoch.

    Raises:
      DataError: the workload's data are missing or wrong.

    >>> record = train(RunConfig("digits_mlp", "adam", epochs=20))
    >>> record.steps, len(record.curve), record.diverged
    (180, 20, False)
    """
    population = Population(
        config.workload,
        config.workload.load(config.data_dir),
        config.epochs,
        config.batch_size,
        config.schedule,
        width=1,
    )
    callback = callback or Callback()
    callback.on_plan(config.workload.name, population.epochs)
    member = Member(config.optimizer, config.seed)
    (history,) = population.run([member], callback, with_rates=True)
    return make_record(population, history)
