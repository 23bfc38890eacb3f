"""One training run."""

from collections.abc import Callable

from adaptive_jax.training.config import RunConfig
from adaptive_jax.training.population import Member, Population
from adaptive_jax.training.records import RunRecord, make_record


def train(config: RunConfig, on_epoch: Callable[[int], None] = lambda runs: None) -> RunRecord:
    """Trains one model and returns the record of the run.

    Args:
      config: what to run.
      on_epoch: called after each epoch.

    Raises:
      DataError: the workload's data are missing or wrong.

    >>> record = train(RunConfig("digits_mlp", "adam:learning_rate=0.01", epochs=20))
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
    (history,) = population.run([Member(config.optimizer, config.seed)], on_epoch)
    return make_record(population, history, "train")
