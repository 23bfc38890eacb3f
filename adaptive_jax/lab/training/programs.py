"""What the compiled programs of a population compute, for all its members side by side."""

import contextlib
import functools
import inspect
import itertools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from adaptive_jax import diagnostics
from adaptive_jax.lab.training.config import OptimizerSpec
from adaptive_jax.lab.workloads.workload import Split, Workload
from adaptive_jax.optimizers.registry import evaluation_params
from adaptive_jax.transforms import chain
from adaptive_jax.typing import Schedule, State

_SETTLING_BATCHES = 50  # after which a running statistic with momentum 0.9 is the new one


class ModelState(NamedTuple):
    """The model's variables: trained parameters, and the rest (statistics, random counters)."""

    params: State
    rest: State


class Programs:
    """The functions of a workload that are compiled, each over a leading axis of members.

    Args:
      workload: what is trained.
      batch_size: a short last batch is kept.
      shape: update made -> what the learning rate is multiplied by.
      skips: whether a member stays as it is in a step in which its loss or a gradient is not
        finite.
      cut: batch -> the same, of which every device is to work on its part.

    Attributes:
      model: shapes and dtypes of a `ModelState`.
      parameters: how many numbers are trained.
    """

    def __init__(
        self,
        workload: Workload,
        batch_size: int,
        shape: Schedule,
        skips: bool,
        cut: Callable[[Split], Split],
    ):
        self._workload, self._batch_size, self._shape = workload, batch_size, shape
        self._skips, self._cut = skips, cut
        model = nnx.eval_shape(lambda: workload.model(nnx.Rngs(0)))
        model.train()
        self._train_graph, params, rest = nnx.split(model, nnx.Param, ...)
        self.model = ModelState(nnx.to_pure_dict(params), nnx.to_pure_dict(rest))
        self.parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
        self._averaged: dict[OptimizerSpec, bool] = {}
        self._has_statistics = bool(jax.tree.leaves(nnx.state(model, nnx.BatchStat)))
        model.eval()
        self._eval_graph = nnx.graphdef(model)

    def init(self, seed):
        """The model of one seed."""
        model = self._workload.model(nnx.Rngs(jax.random.key(seed)))
        _, params, rest = nnx.split(model, nnx.Param, ...)
        return ModelState(nnx.to_pure_dict(params), nnx.to_pure_dict(rest))

    def start(self, blocks, models, which, hypers):
        """Every member's model and optimizer state; `which` of the models is whose."""
        model = jax.tree.map(lambda *leaves: jnp.stack(leaves)[which], *models)

        def init(optimizer):
            return jax.vmap(lambda params, hyper: self.begun(optimizer, params, hyper))

        parts = zip(blocks, _split(blocks, model.params), hypers, strict=True)
        return model, [init(block.optimizer)(params, hyper) for block, params, hyper in parts]

    def epoch(self, blocks, with_rates, model, optimizers, hypers, seeds, number, train):
        """All mini-batches once, in an order that depends on seed and epoch alone.

        Returns models, optimizer states, metrics, and for each block the histograms of its
        effective learning rates at the last step (None without `with_rates` or a scale).
        """
        count, size = len(train.targets), self._batch_size
        full = count // size * size

        def order(seed):
            key = jax.random.fold_in(jax.random.key(seed), 1 + number)
            return jax.random.permutation(key, count)

        orders = jax.vmap(order)(seeds)

        def step(carry, xs):
            (model, optimizers), (indices, is_last) = carry, xs
            own = list(zip(optimizers, hypers, strict=True))
            batch = jax.tree.map(lambda x: x[indices], train)
            grads, rest, metrics = jax.vmap(self.gradients)(model, batch)
            shared = (grads, metrics["train_loss"], model, batch)
            rates = self._rates(is_last, blocks, shared, own) if with_rates else None
            updated = _by_block(self.updated, blocks, shared, own)
            params, optimizers = zip(*updated, strict=True)
            after = ModelState(_join(params), rest), list(optimizers)
            made = jnp.ones(len(seeds), bool)
            if self._skips:
                made = _finite(metrics["train_loss"], *jax.tree.leaves(grads))
                after = _where(blocks, made, after, carry)
            return after, (metrics, made, rates)

        batches = orders[:, :full].reshape(len(seeds), -1, size).swapaxes(0, 1)
        last = jnp.arange(1, len(batches) + 1) * size == count
        carry, (metrics, made, rates) = jax.lax.scan(step, (model, optimizers), (batches, last))
        first_loss = metrics["train_loss"][0]
        totals = jax.tree.map(lambda m: size * jnp.sum(m, axis=0, where=made), metrics)
        examples = size * jnp.sum(made, axis=0)
        rates = jax.tree.map(lambda r: r[-1], rates)
        if full < count:  # the short last batch
            carry, (metrics, made, rates) = step(carry, (orders[:, full:], jnp.array(True)))
            rest = (count - full) * made
            totals = jax.tree.map(lambda t, m: t + jnp.where(made, rest * m, 0), totals, metrics)
            examples += rest
        metrics = jax.tree.map(lambda t: t / examples.astype(t.dtype), totals)
        if self._skips:
            metrics["train_skipped"] = 1 - examples / count
        return *carry, metrics | {"first_loss": first_loss}, rates

    def evaluated(self, blocks, model, optimizers, train):
        """The models to evaluate: of some optimizers not at the parameters that they train.

        Running statistics are gathered anew for those, on the first batches of the data.
        """
        parts = zip(blocks, _split(blocks, model), optimizers, strict=True)
        return _join([self._evaluated(block, train, *states) for block, *states in parts])

    def evaluate(self, model, chunk, weights):
        """Weighted sums of the examples' scores for every member, its model in eval mode."""

        def member(model):
            module = nnx.merge(self._eval_graph, model.params, model.rest, copy=True)
            return {name: weights @ values for name, values in self._scores(module, chunk).items()}

        return jax.vmap(member)(model)

    def evaluated_at(self, optimizer):
        """`(state, params) -> params` to evaluate at; None where it is at those trained."""
        average = evaluation_params if self.averages(optimizer) else None
        return optimizer.entry.evaluated_at or average

    def averages(self, optimizer):
        """Whether there is a Schedule-Free average in the optimizer's state."""
        if optimizer not in self._averaged:
            lowest = {name: ends[0] for name, ends in optimizer.search.items()}
            with _failures(optimizer):
                state = jax.eval_shape(optimizer.build(**lowest).init, self.model.params)
            self._averaged[optimizer] = optimizer.entry.averages(state)
        return self._averaged[optimizer]

    def begun(self, optimizer, params, hyper):
        """The optimizer's first state, of one member."""
        with _failures(optimizer):
            return self._transformation(optimizer, hyper).init(params)

    def updated(self, optimizer, grads, loss, model, batch, state, hyper, asked=lambda of: None):
        """A member's parameters and optimizer state after an update.

        `asked` is called, while tracing, with what the optimizer evaluates the loss of.
        """
        with _failures(optimizer):
            tx = optax.with_extra_args_support(self._transformation(optimizer, hyper))
            extra = self._extra(grads, loss, model, batch, asked)
            updates, state = tx.update(grads, state, model.params, **extra)
        return optax.apply_updates(model.params, updates), state

    def _extra(self, grads, loss, model, batch, asked=lambda of: None):
        """What Optax's methods may ask for besides, all of it of the batch with the same dropout.

        A line search takes `value`, `grad` and `value_fn`, and hands on to `value_fn` what else it
        gets; Sophia takes `obj_fn`, sharpness-aware minimization `grad_fn`.
        """

        def value_fn(params, obj_fn=None, grad_fn=None):
            asked(params)
            scores, _ = self._train_scores(params, model.rest, batch)
            return jnp.mean(scores["loss"])

        return {
            "value": loss,
            "grad": grads,
            "value_fn": value_fn,
            "obj_fn": value_fn,
            "grad_fn": lambda params, *_: jax.grad(value_fn)(params),
        }

    def _transformation(self, optimizer, hyper):
        entry = optimizer.entry
        rate = {**optimizer.given, **hyper}.get("learning_rate")
        if not entry.scheduled or self.averages(optimizer):
            return chain(_built(optimizer, hyper))
        if entry.takes_schedule and rate is not None:
            scheduled = {**hyper, "learning_rate": lambda count: rate * self._shape(count)}
            return chain(_built(optimizer, scheduled))
        # The schedule is a stage of its own, so that one shape serves every optimizer alike:
        # AdaBound's base_lr and decoupled decay need no rule of their own here.
        return chain(_built(optimizer, hyper), optax.scale_by_schedule(self._shape))

    def gradients(self, model, batch):
        """A member's gradients, the rest of its model after the batch, and its metrics."""

        def objective(params):
            scores, rest = self._train_scores(params, model.rest, batch)
            metrics = {f"train_{name}": jnp.mean(values) for name, values in scores.items()}
            return metrics["train_loss"], (metrics, rest)

        (_, (metrics, rest)), grads = jax.value_and_grad(objective, has_aux=True)(model.params)
        return grads, rest, metrics

    def _train_scores(self, params, rest, batch):
        module = nnx.merge(self._train_graph, params, rest, copy=True)
        scores = self._scores(module, batch)
        return scores, nnx.to_pure_dict(nnx.state(module, nnx.Not(nnx.Param)))

    def _rates(self, wanted, *parts):
        """The members' histograms of effective learning rates, zeros where they are not wanted."""

        def member(optimizer, grads, loss, model, batch, state, hyper):
            tx = self._transformation(optimizer, hyper)
            extra = self._extra(grads, loss, model, batch)
            try:
                rates = diagnostics.effective_learning_rates(
                    tx, grads, state, model.params, **extra
                )
            except ValueError:  # it has none
                return None
            return diagnostics.rate_histogram(rates)

        def measure():
            return _by_block(member, *parts)

        nothing = jax.eval_shape(measure)
        return jax.lax.cond(
            wanted, measure, lambda: jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), nothing)
        )

    def _evaluated(self, block, train, model, state):
        evaluated_at = self.evaluated_at(block.optimizer)
        if evaluated_at is None:
            return model
        size = self._batch_size
        batches = min(_SETTLING_BATCHES, len(train.targets) // size)
        first = jax.tree.map(
            lambda x: x[: batches * size].reshape(batches, size, *x.shape[1:]), train
        )

        def member(model, state):
            params = evaluated_at(state, model.params)
            if not self._has_statistics:
                return ModelState(params, model.rest)

            def step(rest, batch):
                return self._train_scores(params, rest, batch)[1], None

            rest, _ = jax.lax.scan(step, model.rest, first)
            return ModelState(params, rest)

        return jax.vmap(member)(model, state)

    def _scores(self, module, batch: Split):
        """Loss and accuracy, if there is one, of each example, averaged over what axes it has."""
        batch = self._cut(batch)
        outputs, count = module(batch.inputs), len(batch.targets)
        scores = {}
        for name, function in self._workload.scores.items():
            values = function(outputs, batch.targets)
            scores[name] = jnp.mean(values.reshape(count, -1), axis=1)
        return scores


def _built(optimizer, hyper):
    """The optimizer; it is passed only those extra arguments that it takes."""
    tx = optimizer.build(**hyper)
    parameters = inspect.signature(tx.update).parameters
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    if takes_all or not isinstance(tx, optax.GradientTransformationExtraArgs):
        return tx

    def update(updates, state, params=None, **extra):
        taken = {name: value for name, value in extra.items() if name in parameters}
        return tx.update(updates, state, params, **taken)

    return optax.GradientTransformationExtraArgs(tx.init, update)


@contextlib.contextmanager
def _failures(optimizer):
    """Names the optimizer in what it raises for being called otherwise than it must."""
    try:
        yield
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise ValueError(
            f"{optimizer.label} cannot be trained here: {type(error).__name__}: {error}. An "
            "optimizer gets gradients of the mini-batch's mean loss, its state and the parameters, "
            "and by name value, grad, value_fn, obj_fn and grad_fn"
        ) from error


def _finite(*arrays):
    """Whether all numbers of a member are, for each."""
    finite = [jnp.all(jnp.isfinite(x.reshape(len(x), -1)), axis=1) for x in arrays]
    return jnp.all(jnp.stack(finite), axis=0)


def _where(blocks, made, after, before):
    """The models and optimizer states after a step, of members that do not make it before it."""

    def choose(made, *trees):
        def member(made, *leaves):
            return jax.tree.map(lambda new, old: jnp.where(made, new, old), *leaves)

        return jax.vmap(member)(made, *trees)

    (model, optimizers), (old_model, old_optimizers) = after, before
    parts = zip(_split(blocks, made), optimizers, old_optimizers, strict=True)
    return choose(made, model, old_model), [choose(*part) for part in parts]


def _by_block(member, blocks, shared, own):
    """`member(optimizer, …)` of each block, over the block's members.

    Arguments are the block's part of `shared`, trees over all members, then what it has of `own`.
    """
    split = zip(blocks, *(_split(blocks, tree) for tree in shared), own, strict=True)
    return [
        jax.vmap(functools.partial(member, block.optimizer))(*parts, *mine)
        for block, *parts, mine in split
    ]


def _split(blocks, tree):
    """The tree's leaves cut along the members' axis, one tree for each block."""
    ends = list(itertools.accumulate(block.count for block in blocks))
    starts = [0, *ends[:-1]]
    return [
        jax.tree.map(lambda x, a=a, b=b: x[a:b], tree) for a, b in zip(starts, ends, strict=True)
    ]


def _join(trees):
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *trees)
