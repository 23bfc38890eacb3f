"""Training many members, each an optimizer, its settings and a seed, in one compiled program."""

import functools
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from adaptive_jax.training.config import SCHEDULES, OptimizerSpec
from adaptive_jax.typing import State
from adaptive_jax.workloads.workload import Data, Split, Workload

_EVALUATION_BATCH = 500


class Member(NamedTuple):
    """One run: an optimizer, a seed, and the hyperparameters that vary among its members.

    The varying ones are traced, so all values share a compilation; those in the optimizer's
    spec are constants of the program.
    """

    optimizer: OptimizerSpec
    seed: int
    hyperparameters: Mapping[str, float] = {}


class History(NamedTuple):
    """What one member's training gave.

    Attributes:
      member: whose.
      initial_loss: of the first mini-batch, before any update.
      curve: for each epoch the mean training loss and accuracy over its mini-batches, and the
        validation loss and accuracy after it.
      final: loss and accuracy on the whole training, validation and test sets.
      train_seconds: wall-clock time, an equal share of what the members beside it took.
      compile_seconds: time to trace and compile what its group was the first to need.
    """

    member: Member
    initial_loss: float
    curve: list[dict[str, float]]
    final: dict[str, float]
    train_seconds: float
    compile_seconds: float
    rates: list[list[int]] | None = None

    @property
    def diverged(self) -> bool:
        """Whether the training loss ended non-finite, or above twice the untrained model's."""
        loss = self.curve[-1]["train_loss"]
        return not np.isfinite(loss) or loss > 2 * self.initial_loss


class ModelState(NamedTuple):
    """The model's variables: trained parameters, and the rest (statistics, random counters)."""

    params: State
    rest: State


class Population:
    """Trains members of one workload side by side, at most `width` at a time.

    An epoch is one call: a `scan` over mini-batches in which the gradients of all members are
    one `vmap`, whatever their optimizers, and each optimizer then updates its own members. So
    a model is compiled once for all optimizers, which on a small model is most of the time;
    scripts/benchmark_sweep.py compares with a loop over jitted steps.

    Args:
      workload: what to train.
      data: its data, from `workload.load`.
      epochs, batch_size, schedule, width: None means the workload's own. The schedule is a
        name in `SCHEDULES`; every update is multiplied by its value.

    >>> from adaptive_jax import workloads
    >>> digits = workloads.get("digits_mlp")
    >>> population = Population(digits, digits.load(None), epochs=2)
    >>> adam = OptimizerSpec("adam")
    >>> members = [Member(adam, seed, {"learning_rate": 0.01}) for seed in range(3)]
    >>> [len(history.curve) for history in population.run(members)]
    [2, 2, 2]
    """

    def __init__(
        self,
        workload: Workload,
        data: Data,
        epochs: int | None = None,
        batch_size: int | None = None,
        schedule: str | None = None,
        width: int | None = None,
    ):
        for name, split in data._asdict().items():
            if not len(split.inputs) == len(split.targets) > 0:
                raise ValueError(
                    f"{workload.name}: {name} must have as many inputs as targets and at least "
                    f"one, got {len(split.inputs)} and {len(split.targets)}"
                )
        count = len(data.train.targets)
        self.workload = workload
        self.examples = {name: len(split.targets) for name, split in data._asdict().items()}
        self.epochs = epochs or workload.epochs
        self.batch_size = min(batch_size or workload.batch_size, count)
        self.steps = self.epochs * -(-count // self.batch_size)
        self.width = width or workload.width
        self.schedule = schedule or workload.schedule
        self._shape = SCHEDULES[self.schedule](self.steps)
        self._train = jax.tree.map(jnp.asarray, data.train)
        size = min(_EVALUATION_BATCH, len(data.validation.targets))
        self._chunks = {name: list(_chunks(split, size)) for name, split in data._asdict().items()}
        model = nnx.eval_shape(lambda: workload.model(nnx.Rngs(0)))
        model.train()
        self._train_graph, params, _ = nnx.split(model, nnx.Param, ...)
        self.parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
        model.eval()
        self._eval_graph = nnx.graphdef(model)
        self._programs: dict[Any, Any] = {}
        self._compile_seconds = 0.0

    def run(
        self, members: Sequence[Member], on_epoch: Callable[[int], None] = lambda members: None
    ) -> Iterator[History]:
        """Trains the members, yielding each one's history as its group is finished.

        Args:
          members: in the order in which they are wanted. Neighbors of the same optimizer and
            hyperparameter names are updated together.
          on_epoch: called after each epoch with the number of members that made it.
        """
        for start in range(0, len(members), self.width):
            yield from self._run_group(members[start : start + self.width], on_epoch)

    def _run_group(self, members, on_epoch):
        blocks, hypers = _blocks(members)
        seeds = jnp.asarray([member.seed for member in members], jnp.int32)
        self._compile_seconds = 0.0
        began = time.perf_counter()
        # One model at a time and for distinct seeds only: vmapped, this took twice as long to
        # compile, and much of a short comparison is compilation.
        distinct = list(dict.fromkeys(member.seed for member in members))
        models = [self._call("init", self._init, jnp.int32(seed)) for seed in distinct]
        which = jnp.asarray([distinct.index(member.seed) for member in members])
        start = functools.partial(self._start, blocks)
        model, optimizers = self._call(("start", blocks), start, models, which, hypers)
        run_epoch = functools.partial(self._epoch, blocks)
        curve = []
        for epoch in range(self.epochs):
            model, optimizers, metrics = self._call(
                ("epoch", blocks),
                run_epoch,
                model,
                optimizers,
                hypers,
                seeds,
                jnp.int32(epoch),
                self._train,
                donate=(0, 1),
            )
            curve.append(jax.device_get(metrics) | self._evaluate(model, "validation"))
            on_epoch(len(members))
        final = {}
        for name in self._chunks:
            final |= self._evaluate(model, name)
        seconds = time.perf_counter() - began - self._compile_seconds

        def of_member(i, metrics):
            return {name: float(values[i]) for name, values in metrics.items()}

        for i, member in enumerate(members):
            rows = [of_member(i, metrics) for metrics in curve]
            first_losses = [row.pop("first_loss") for row in rows]
            yield History(
                member,
                first_losses[0],
                rows,
                of_member(i, final),
                seconds / len(members),
                self._compile_seconds,
            )

    def _call(self, name, fn, *args, donate=()):
        """Calls `fn` as a compiled program; compiles it, and counts the time, if it is new."""
        shapes = tuple((x.shape, x.dtype) for x in jax.tree.leaves(args))
        key = (name, jax.tree.structure(args), shapes)
        if key not in self._programs:
            began = time.perf_counter()
            self._programs[key] = jax.jit(fn, donate_argnums=donate).lower(*args).compile()
            self._compile_seconds += time.perf_counter() - began
        return self._programs[key](*args)

    def _evaluate(self, model, name):
        """Mean loss and accuracy of every member on a split, its model in eval mode."""
        program = jax.vmap(self._evaluate_chunk, (0, None, None))
        totals = [
            self._call("evaluate", program, model, chunk, weights)
            for chunk, weights in self._chunks[name]
        ]
        count = sum(float(weights.sum()) for _, weights in self._chunks[name])
        sums = jax.tree.map(lambda *parts: np.sum(parts, axis=0), *jax.device_get(totals))
        return {f"{name}_{metric}": value / count for metric, value in sums.items()}

    # What the programs compute. `blocks` says which optimizer the next so many members have.

    def _transformation(self, optimizer, hyper):
        # The schedule is a stage of its own, so that one shape serves every optimizer alike:
        # AdaBound's base_lr and decoupled decay need no rule of their own here.
        return optax.chain(optimizer.build(**hyper), optax.scale_by_schedule(self._shape))

    def _init(self, seed):
        model = self.workload.model(nnx.Rngs(jax.random.key(seed)))
        _, params, rest = nnx.split(model, nnx.Param, ...)
        return ModelState(nnx.to_pure_dict(params), nnx.to_pure_dict(rest))

    def _start(self, blocks, models, which, hypers):
        """Every member's model and optimizer state; `which` of the models is whose."""
        model = jax.tree.map(lambda *leaves: jnp.stack(leaves)[which], *models)

        def init(optimizer):
            return jax.vmap(
                lambda params, hyper: self._transformation(optimizer, hyper).init(params)
            )

        parts = zip(blocks, _split(blocks, model.params), hypers, strict=True)
        return model, [init(block.optimizer)(params, hyper) for block, params, hyper in parts]

    def _epoch(self, blocks, model, optimizers, hypers, seeds, epoch, train):
        """All mini-batches once, in an order that depends on seed and epoch alone."""
        count, size = len(train.targets), self.batch_size
        full = count // size * size

        def order(seed):
            key = jax.random.fold_in(jax.random.key(seed), 1 + epoch)
            return jax.random.permutation(key, count)

        orders = jax.vmap(order)(seeds)

        def step(carry, indices):
            model, optimizers = carry
            batch = jax.tree.map(lambda x: x[indices], train)
            grads, rest, metrics = jax.vmap(self._gradients)(model, batch)
            params, optimizers = self._update(blocks, grads, optimizers, model.params, hypers)
            return (ModelState(params, rest), optimizers), metrics

        batches = orders[:, :full].reshape(len(seeds), -1, size).swapaxes(0, 1)
        carry, metrics = jax.lax.scan(step, (model, optimizers), batches)
        first_loss = metrics["train_loss"][0]
        totals = jax.tree.map(lambda m: size * jnp.sum(m, axis=0), metrics)
        if full < count:  # the short last batch
            carry, metrics = step(carry, orders[:, full:])
            totals = jax.tree.map(lambda t, m: t + (count - full) * m, totals, metrics)
        metrics = jax.tree.map(lambda t: t / count, totals)
        return *carry, metrics | {"first_loss": first_loss}

    def _gradients(self, model, batch):
        def objective(params):
            module = nnx.merge(self._train_graph, params, model.rest, copy=True)
            scores = self._scores(module, batch)
            metrics = {f"train_{name}": jnp.mean(values) for name, values in scores.items()}
            rest = nnx.to_pure_dict(nnx.state(module, nnx.Not(nnx.Param)))
            return metrics["train_loss"], (metrics, rest)

        (_, (metrics, rest)), grads = jax.value_and_grad(objective, has_aux=True)(model.params)
        return grads, rest, metrics

    def _update(self, blocks, grads, optimizers, params, hypers):
        def update(optimizer):
            def member(grads, state, params, hyper):
                updates, state = self._transformation(optimizer, hyper).update(grads, state, params)
                return optax.apply_updates(params, updates), state

            return jax.vmap(member)

        split = zip(
            blocks, _split(blocks, grads), optimizers, _split(blocks, params), hypers, strict=True
        )
        updated = [update(block.optimizer)(*parts) for block, *parts in split]
        params, optimizers = zip(*updated, strict=True)
        return jax.tree.map(lambda *parts: jnp.concatenate(parts), *params), list(optimizers)

    def _evaluate_chunk(self, model, chunk, weights):
        module = nnx.merge(self._eval_graph, model.params, model.rest, copy=True)
        return {name: weights @ values for name, values in self._scores(module, chunk).items()}

    def _scores(self, module, batch):
        """Loss and accuracy, if there is one, of each example, averaged over what axes it has."""
        outputs, count = module(batch.inputs), len(batch.targets)
        scores = {}
        for name, function in self.workload.scores.items():
            values = function(outputs, batch.targets)
            if values.shape[:1] != (count,):
                raise ValueError(
                    f"{self.workload.name}: {name} must return a value for each example, an array "
                    f"of shape ({count},); got shape {values.shape}"
                )
            scores[name] = jnp.mean(values.reshape(count, -1), axis=1)
        return scores


class _Block(NamedTuple):
    """So many neighbors that one optimizer updates together."""

    optimizer: OptimizerSpec
    names: tuple[str, ...]
    count: int


def _blocks(members):
    """The blocks of a group of members, and for each its hyperparameters as arrays."""
    blocks, hypers = [], []
    for (optimizer, names), block in itertools.groupby(
        members, lambda m: (m.optimizer, tuple(m.hyperparameters))
    ):
        block = list(block)
        blocks.append(_Block(optimizer, names, len(block)))
        hypers.append(
            {
                name: jnp.asarray([m.hyperparameters[name] for m in block], jnp.float32)
                for name in names
            }
        )
    return tuple(blocks), hypers


def _split(blocks, tree):
    """The tree's leaves cut along the members' axis, one tree for each block."""
    ends = list(itertools.accumulate(block.count for block in blocks))
    starts = [0, *ends[:-1]]
    return [
        jax.tree.map(lambda x, a=a, b=b: x[a:b], tree) for a, b in zip(starts, ends, strict=True)
    ]


def _chunks(split: Split, size: int):
    """The split in parts of one size, with weights that are 0 on what fills up the last."""
    for start in range(0, len(split.targets), size):
        part = jax.tree.map(lambda x, start=start: x[start : start + size], split)
        missing = size - len(part.targets)
        weights = np.repeat(np.float32([1, 0]), [len(part.targets), missing])
        fill = jax.tree.map(lambda x, n=missing: x[np.zeros(n, int)], part)
        padded = jax.tree.map(lambda x, f: jnp.asarray(np.concatenate([x, f])), part, fill)
        yield padded, jnp.asarray(weights)
