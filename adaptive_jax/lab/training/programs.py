"""The programs that a population compiles, each for all of its members at once."""

import functools
import itertools

import jax
import jax.numpy as jnp

from adaptive_jax.lab.training.network import ModelState, Network
from adaptive_jax.lab.training.updates import Updates


class Programs:
    """The functions that a population compiles.

    A program works on the members of one device side by side. They stand in blocks, and the
    members of a block share an optimizer. In the docstrings, axes are named as follows:

    - `members`: all members on the device, block after block, always the leading axis;
    - `block`: the members of one block, always the leading axis;
    - `steps`: the updates of an epoch;
    - `batch`: the examples of a mini-batch, or of a chunk of a split;
    - `examples`: all examples of a split;
    - `bins`: the bins of a histogram of effective learning rates.

    The common arguments are:

    - `blocks`: a tuple of `groups.Block`, static;
    - `model`: a `ModelState` with leaves (members, ...);
    - `optimizers`: for each block the optimizer's state, with leaves (block, ...);
    - `hypers`: for each block name -> values (block,) of the hyperparameters that vary;
    - `seeds`: (members,), int32;
    - `train`: the training `Split`, leaves (examples, ...), the same for all members;
    - `sample`: mini-batches of the training split, leaves (batches, batch, ...), the same for all.

    Args:
      network: The network to train.
      updates: The optimizers' updates.
      batch_size: The size of a mini-batch. A short last batch is kept.
    """

    def __init__(self, network: Network, updates: Updates, batch_size: int):
        self.network, self.updates = network, updates
        self._batch_size = batch_size

    def start(self, blocks, models, model_index, hypers):
        """Returns every member's initial model and optimizer state.

        Args:
          blocks, hypers: As above.
          models: A sequence of `ModelState`, one for each distinct seed, without a member axis.
          model_index: (members,), the index in `models` of the member's initial variables.
        """
        model = jax.tree.map(lambda *leaves: jnp.stack(leaves)[model_index], *models)

        def init(optimizer):
            return jax.vmap(lambda params, hyper: self.updates.init(optimizer, params, hyper))

        parts = zip(blocks, _split(blocks, model.params), hypers, strict=True)
        return model, [init(block.optimizer)(params, hyper) for block, params, hyper in parts]

    def epoch(self, blocks, skips, model, optimizers, hypers, seeds, number, train):
        """Trains on all mini-batches once, in an order that depends on seed and epoch alone.

        Args:
          blocks, model, optimizers, hypers, seeds, train: As above.
          skips: Whether a member skips a step in which its loss or a gradient is not finite,
            static. It then keeps its parameters, statistics and optimizer state.
          number: The epoch, from 0, a scalar int32.

        Returns:
          The models and optimizer states after the epoch; the metrics, name -> (members,); and
          for each block the histograms of effective learning rates in the last step, (block, bins),
          None for a block whose optimizer has no scale.
        """
        count, size = train.examples, self._batch_size
        full = count // size * size
        orders = jax.vmap(lambda seed: order(seed, number, count))(seeds)  # (members, examples)

        def batch_of(indices):
            return jax.tree.map(lambda x: x[indices], train)  # (members, batch, ...)

        step = functools.partial(self._step, blocks, skips, hypers, batch_of)

        # `scan` iterates over the leading axis, so steps come first: (steps, members, batch).
        batches = orders[:, :full].reshape(len(seeds), -1, size).swapaxes(0, 1)
        is_last = jnp.arange(1, len(batches) + 1) * size == count
        carry, outputs = jax.lax.scan(step, (model, optimizers), (batches, is_last))
        sums = _sums(size, outputs)

        # A short last batch has another shape than the others, so it cannot be part of the scan.
        if full < count:
            carry, outputs = step(carry, (orders[:, full:], jnp.array(True)))
            rest = _sums(count - full, jax.tree.map(lambda x: x[None], outputs))
            sums = (*jax.tree.map(jnp.add, sums[:2], rest[:2]), sums[2], rest[3])
        return *carry, *self.metrics(skips, count, sums)

    def steps(self, blocks, skips, model, optimizers, hypers, rows, batches, is_last):
        """Trains on some mini-batches, which the host provides.

        Args:
          blocks, skips, model, optimizers, hypers: As in `epoch`.
          rows: (members,), each member's position on the axis of seeds.
          batches: A `Split` with leaves (steps, seeds, batch, ...).
          is_last: (steps,), whether a step is the epoch's last.

        Returns:
          The models and optimizer states, and sums over the steps for `metrics`, each with
          leading members.
        """

        def batch_of(batch):
            return jax.tree.map(lambda x: x[rows], batch)  # (members, batch, ...)

        step = functools.partial(self._step, blocks, skips, hypers, batch_of)
        carry, outputs = jax.lax.scan(step, (model, optimizers), (batches, is_last))
        size = jax.tree.leaves(batches)[0].shape[2]
        return *carry, _sums(size, outputs)

    def metrics(self, skips, count, sums):
        """Returns an epoch's metrics and histograms, of its `_sums` and number of examples."""
        totals, examples, first_loss, rates = sums
        metrics = {name: total / examples.astype(total.dtype) for name, total in totals.items()}
        if skips:
            metrics["train_skipped"] = 1 - examples / count
        return metrics | {"first_loss": first_loss}, rates

    def _step(self, blocks, skips, hypers, batch_of, states, inputs):
        """Updates every member once: the body of the `scan` in `epoch` and `steps`.

        Args:
          blocks, skips, hypers: As in `epoch`.
          batch_of: `x -> Split`, each member's mini-batch with leaves (members, batch, ...).
          states: `(model, optimizers)`, the carry.
          inputs: The step's argument of `batch_of`, and whether the step is the epoch's last, a
            scalar.

        Returns:
          The states after the step, and its outputs: the metrics, name -> (members,), whether
          each member's update was applied, (members,), and the histograms as in `epoch`.
        """
        (model, optimizers), (batch, is_last) = states, inputs
        batch = batch_of(batch)
        # One `vmap` over the members of all blocks: the network is compiled once, however many
        # optimizers there are. For small networks that is most of the time of a comparison.
        grads, rest, metrics = jax.vmap(self.network.gradients)(model, batch)
        shared = (grads, metrics["train_loss"], model, batch)
        own = list(zip(optimizers, hypers, strict=True))
        rates = self._rates(is_last, blocks, shared, own)
        updated = _by_block(self.updates.update, blocks, shared, own)
        params, optimizers = zip(*updated, strict=True)
        # Keys go on where a step is skipped, so that those of a seed's members remain the same.
        new_states = ModelState(_join(params), rest, model.keys.next()), list(optimizers)
        applied = jnp.ones(metrics["train_loss"].shape, bool)
        if skips:
            applied = _all_finite(metrics["train_loss"], *jax.tree.leaves(grads))
            new_states = _select(blocks, applied, new_states, states)
        return new_states, (metrics, applied, rates)

    def _rates(self, is_wanted, blocks, shared, own):
        """Returns each block's histograms as in `epoch`, with zeros in them if unwanted."""

        def measure():
            return _by_block(self.updates.rate_histogram, blocks, shared, own)

        # `cond` skips the measurement because its predicate is a scalar, equal for all members.
        # With a member axis under `vmap` it would become a `select` that measures in every step.
        shapes = jax.eval_shape(measure)
        return jax.lax.cond(
            is_wanted, measure, lambda: jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        )

    def evaluation_models(self, blocks, model, optimizers, sample):
        """Returns the models to evaluate, with leaves (members, ...).

        Some optimizers are not evaluated at the parameters that they train, but at an average.
        The averages of batch statistics are computed anew, for these parameters or for that
        average, see `Network.renewed`.
        """
        parts = zip(blocks, _split(blocks, model), optimizers, strict=True)
        models = [self._evaluated(block, sample, *states) for block, *states in parts]
        model = _join(models)
        if not self.network.has_averages:
            return model
        rest = jax.vmap(lambda model: self.network.renewed(model, sample))(model)
        return model._replace(rest=rest)

    def _evaluated(self, block, sample, model, state):
        """Returns a block's models with the parameters to evaluate, with leaves (block, ...)."""
        evaluation_params = self.updates.evaluation_params(block.optimizer)
        if evaluation_params is None:
            return model

        def member(model, state):
            model = model._replace(params=evaluation_params(state, model.params))
            if self.network.has_averages or not self.network.has_statistics:
                return model

            # Statistics of an unknown kind follow their own rule on some batches.
            def step(rest, batch):
                return self.network.train_scores(model._replace(rest=rest), batch)[1], None

            return model._replace(rest=jax.lax.scan(step, model.rest, sample)[0])

        return jax.vmap(member)(model, state)

    def evaluate(self, model, totals, chunk, weights):
        """Adds a chunk's scores to every member's totals, its model in evaluation mode.

        Args:
          model: As above.
          totals: name -> (members,), the sums over the chunks before this one.
          chunk: A `Split` with leaves (batch, ...), the same for all members.
          weights: (batch,), 1 for examples and 0 for padding.
        """

        def member(model):
            scores = self.network.eval_scores(model, chunk)
            # By default a TPU would round the scores to bfloat16 and a GPU to TF32.
            dot = functools.partial(jnp.dot, weights, precision=jax.lax.Precision.HIGHEST)
            return {name: dot(values) for name, values in scores.items()}

        sums = jax.vmap(member)(model)
        return jax.tree.map(lambda total, s: total + s.astype(total.dtype), totals, sums)


def order(seed, number, count):
    """Returns the order of the examples in an epoch, (examples,)."""
    key = jax.random.fold_in(jax.random.key(seed), 1 + number)
    return jax.random.permutation(key, count)


def _sums(size, outputs):
    """Sums the outputs of steps with batches of one size.

    Returns:
      The totals of the metrics over examples, name -> (members,); the number of examples of the
      steps that were applied, (members,); the loss of the first step, (members,); and for each
      block the histograms of the last step, see `Programs.epoch`.
    """
    metrics, applied, rates = outputs  # with leaves (steps, members) and (steps, block, bins)
    # `where`, because 0 · NaN would be NaN.
    totals = jax.tree.map(lambda m: size * jnp.sum(m, axis=0, where=applied), metrics)
    examples = size * jnp.sum(applied, axis=0)
    return totals, examples, metrics["train_loss"][0], jax.tree.map(lambda r: r[-1], rates)


def _all_finite(*arrays):
    """Returns whether all numbers of a member are finite: (members, ...) arrays -> (members,)."""
    finite = [jnp.all(jnp.isfinite(x.reshape(len(x), -1)), axis=1) for x in arrays]
    return jnp.all(jnp.stack(finite), axis=0)


def _select(blocks, applied, new, old):
    """Returns the new states of members whose update was applied, and the old ones of others.

    Args:
      blocks: As in `Programs`.
      applied: (members,).
      new, old: `(model, optimizers)`, as in `Programs`.
    """

    def choose(applied, *trees):
        # `vmap` leaves a scalar condition, which broadcasts against leaves of any rank.
        def member(applied, *leaves):
            return jax.tree.map(lambda x, y: jnp.where(applied, x, y), *leaves)

        return jax.vmap(member)(applied, *trees)

    (model, optimizers), (old_model, old_optimizers) = new, old
    parts = zip(_split(blocks, applied), optimizers, old_optimizers, strict=True)
    chosen = choose(applied, model, old_model)._replace(keys=model.keys)
    return chosen, [choose(*part) for part in parts]


def _by_block(member, blocks, shared, own):
    """Returns for each block `member(optimizer, *shared, *own)`, mapped over its members.

    Optimizers are static and their states differ in structure, so one `vmap` cannot serve all.

    Args:
      member: The function of one member.
      blocks: As in `Programs`.
      shared: Trees with leaves (members, ...), of which a block gets its slice.
      own: For each block its own arguments, with leaves (block, ...).
    """
    slices = zip(blocks, *(_split(blocks, tree) for tree in shared), own, strict=True)
    return [
        jax.vmap(functools.partial(member, block.optimizer))(*block_shared, *block_own)
        for block, *block_shared, block_own in slices
    ]


def _split(blocks, tree):
    """Returns one tree for each block: leaves (members, ...) are cut to (block, ...)."""
    ends = list(itertools.accumulate(block.count for block in blocks))
    starts = [0, *ends[:-1]]
    return [
        jax.tree.map(lambda x, a=a, b=b: x[a:b], tree) for a, b in zip(starts, ends, strict=True)
    ]


def _join(trees):
    """Joins the blocks' trees: leaves (block, ...) become (members, ...)."""
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *trees)
