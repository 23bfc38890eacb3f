"""A workload's network, loss and accuracy as pure functions of one member's variables."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from adaptive_jax.lab.workloads.models import Model
from adaptive_jax.lab.workloads.workload import Split, Workload
from adaptive_jax.typing import State


class Keys(NamedTuple):
    """A sequence of random keys, one for each step.

    Attributes:
      seed: The member's seed.
      count: The number of keys used.
    """

    seed: jax.Array
    count: jax.Array

    def key(self) -> jax.Array:
        """Returns the key of this step."""
        # 0, because the orders of the examples fold in the epochs from 1.
        return jax.random.fold_in(jax.random.fold_in(jax.random.key(self.seed), 0), self.count)

    def next(self) -> "Keys":
        """Returns the sequence from the next step on."""
        return self._replace(count=self.count + 1)


class ModelState(NamedTuple):
    """The variables of a network.

    Attributes:
      params: The trained parameters.
      rest: All other variables of the model, such as running statistics.
      keys: The random keys of its steps, equal for all members of a seed.
    """

    params: State
    rest: State
    keys: Keys


class Network:
    """The pure functions of a workload's network, each for a single member.

    Nothing here has a member axis: `Programs` adds it with `vmap`.

    Args:
      workload: The workload whose loss and accuracy are used.
      model: Its model as pure functions.
      shard: `batch -> batch`. Divides a batch among the devices that share it, see `devices`.

    Attributes:
      shapes: The shapes and dtypes of a `ModelState`.
      parameters: The number of trained parameters.
      has_averages: Whether it has averages of batch statistics, see `Model.averages`.
      has_statistics: Whether its state has numbers of any kind that are not random counters.
      score_names: "loss", and "accuracy" if the workload has one.
    """

    def __init__(self, workload: Workload, model: Model, shard: Callable[[Split], Split]):
        self._workload, self._model, self._shard = workload, model, shard
        self.score_names = tuple(workload.scores)
        self.shapes = jax.eval_shape(self.init, 0)
        self.parameters = sum(leaf.size for leaf in jax.tree.leaves(self.shapes.params))
        self.has_averages = model.averages is not None
        state = jax.tree.leaves(self.shapes.rest)
        self.has_statistics = any(jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in state)

    def init(self, seed):
        """Returns the variables that a seed initializes."""
        params, rest = self._model.init(jax.random.key(seed))
        return ModelState(
            params, rest, Keys(jnp.asarray(seed, jnp.int32), jnp.zeros((), jnp.int32))
        )

    def gradients(self, model, batch):
        """Returns the gradients of the mean loss, the new `rest` of the model, and the metrics."""

        def objective(params):
            scores, rest = self.train_scores(model._replace(params=params), batch)
            metrics = {f"train_{name}": jnp.mean(values) for name, values in scores.items()}
            return metrics["train_loss"], (metrics, rest)

        (_, (metrics, rest)), grads = jax.value_and_grad(objective, has_aux=True)(model.params)
        return grads, rest, metrics

    def train_scores(self, model, batch):
        """Returns the scores of a batch in training mode, and the new `rest` of the model."""
        return self._scores(model, batch, True)

    def eval_scores(self, model, batch):
        """Returns the scores of a batch in evaluation mode."""
        return self._scores(model, batch, False)[0]

    def _scores(self, model, batch, train):
        """Returns name -> score of each example, (batch,), averaged over other axes, and `rest`."""
        batch, key = self._shard(batch), model.keys.key()
        if train and self._workload.augment is not None:
            key, own = jax.random.split(key)
            batch = batch._replace(inputs=self._workload.augment(batch.inputs, own))
        outputs, rest = self._model.apply(model.params, model.rest, batch.inputs, key, train)
        scores = {}
        for name, function in self._workload.scores.items():
            values = function(outputs, batch.targets)
            scores[name] = jnp.mean(values.reshape(batch.examples, -1), axis=1)
        return scores, rest

    def renewed(self, model, batches):
        """Returns the model's `rest` with its averages of batch statistics computed anew.

        A mean or variance is the plain mean of those of the batches, as in Wu & Johnson (2021),
        arXiv 2105.07576. Training leaves a moving average that has not forgotten its first value,
        nor earlier parameters: after 192 steps with momentum 0.99 its first value, a variance of
        1, still counts 15 %.

        Args:
          model: The `ModelState`.
          batches: Mini-batches, a `Split` with leaves (batches, batch, ...).
        """
        structure = jax.tree.structure(model.rest)
        leaves = structure.flatten_up_to(model.rest)
        chosen = structure.flatten_up_to(self._model.averages)

        def select(tree):
            return [x for x, yes in zip(jax.tree.leaves(tree), chosen, strict=True) if yes]

        def replaced(averages):
            own = iter(averages)
            return structure.unflatten(
                [next(own) if yes else x for x, yes in zip(leaves, chosen, strict=True)]
            )

        def step(old, batch):
            def after(old):
                return select(self.train_scores(model._replace(rest=replaced(old)), batch)[1])

            # A step makes kept · old + (1 − kept) · statistic of an average, so two starts tell
            # both. (A derivative does not: NNX stops it.) The forward pass does not depend on the
            # start, and stays a single one under `vmap`.
            starts = [jnp.stack([x, jnp.zeros_like(x), 1 + jnp.abs(x)]) for x in old]
            ends = jax.vmap(after)(starts)
            statistics = list(map(_statistic, starts, ends))
            return statistics, statistics

        _, statistics = jax.lax.scan(step, select(model.rest), batches)
        return replaced([jnp.mean(x, axis=0) for x in statistics])


def _statistic(starts, ends):
    """Returns the statistic of a batch, of what a step made of the old average, of 0 and of more.

    If a step does not keep an equal share below 1 of every element, it is no moving average, and
    the result is what the step made of the old value.
    """
    after, of_zero, of_more = ends
    kept = (of_more - of_zero) / starts[2]
    is_average = jnp.all((kept >= 0) & (kept < 1) & (jnp.abs(kept - jnp.mean(kept)) < 1e-4))
    return jnp.where(is_average, of_zero / (1 - jnp.where(is_average, kept, 0)), after)
