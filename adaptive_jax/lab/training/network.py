"""A workload's network, loss and accuracy as pure functions of one member's variables."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from adaptive_jax.lab.workloads.workload import Split, Workload
from adaptive_jax.typing import State


class ModelState(NamedTuple):
    """The variables of a network.

    Attributes:
      params: The trained parameters.
      rest: All other variables, such as running statistics and the counters of random streams.
    """

    params: State
    rest: State


class Network:
    """The pure functions of a workload's network, each for a single member.

    Nothing here has a member axis: `Programs` adds it with `vmap`.

    Args:
      workload: The workload whose model, loss and accuracy are used.
      shard: `batch -> batch`. Divides a batch among the devices that share it, see `devices`.

    Attributes:
      shapes: The shapes and dtypes of a `ModelState`.
      parameters: The number of trained parameters.
      has_statistics: Whether the network has running statistics, as batch normalization has.
      score_names: "loss", and "accuracy" if the workload has one.
    """

    def __init__(self, workload: Workload, shard: Callable[[Split], Split]):
        self._workload, self._shard = workload, shard
        self.score_names = tuple(workload.scores)
        # A graph definition holds the module's mode (dropout on or off, batch or running
        # statistics) as static data. So there is one for training and one for evaluation.
        model = nnx.eval_shape(lambda: workload.model(nnx.Rngs(0)))
        model.train()
        self._train_graph, params, rest = nnx.split(model, nnx.Param, ...)
        self.shapes = ModelState(nnx.to_pure_dict(params), nnx.to_pure_dict(rest))
        self.parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
        self.has_statistics = bool(jax.tree.leaves(nnx.state(model, nnx.BatchStat)))
        model.eval()
        self._eval_graph = nnx.graphdef(model)

    def init(self, seed):
        """Returns the variables that a seed initializes."""
        model = self._workload.model(nnx.Rngs(jax.random.key(seed)))
        _, params, rest = nnx.split(model, nnx.Param, ...)
        return ModelState(nnx.to_pure_dict(params), nnx.to_pure_dict(rest))

    def gradients(self, model, batch):
        """Returns the gradients of the mean loss, the new `rest` of the model, and the metrics."""

        def objective(params):
            scores, rest = self.train_scores(params, model.rest, batch)
            metrics = {f"train_{name}": jnp.mean(values) for name, values in scores.items()}
            return metrics["train_loss"], (metrics, rest)

        (_, (metrics, rest)), grads = jax.value_and_grad(objective, has_aux=True)(model.params)
        return grads, rest, metrics

    def train_scores(self, params, rest, batch):
        """Returns the scores of a batch in training mode, and the new `rest` of the model."""
        # The forward pass writes to the module's variables (statistics, random counters).
        # copy=True gives it variables of the current trace: inside `value_and_grad` NNX refuses
        # writes to variables that belong to an enclosing trace.
        module = nnx.merge(self._train_graph, params, rest, copy=True)
        scores = self._scores(module, batch)
        return scores, nnx.to_pure_dict(nnx.state(module, nnx.Not(nnx.Param)))

    def eval_scores(self, model, batch):
        """Returns the scores of a batch in evaluation mode."""
        module = nnx.merge(self._eval_graph, model.params, model.rest, copy=True)
        return self._scores(module, batch)

    def _scores(self, module, batch):
        """Returns name -> score of each example, (batch,), averaged over any other axes."""
        batch = self._shard(batch)
        outputs, count = module(batch.inputs), len(batch.targets)
        scores = {}
        for name, function in self._workload.scores.items():
            values = function(outputs, batch.targets)
            scores[name] = jnp.mean(values.reshape(count, -1), axis=1)
        return scores
