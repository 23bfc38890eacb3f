"""Exchange of gradients between workers as signs, eight per byte, instead of an all-reduce."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Transformation, constructor
from adaptive_jax.storage.rounding import random_bits
from adaptive_jax.typing import Updates
from adaptive_jax.validation import check_inexact, map_leaves


class MajorityVoteState(NamedTuple):
    """The number of updates made."""

    count: jax.Array


class ErrorFeedbackState(NamedTuple):
    """The part of the gradients that this worker has not sent yet."""

    error: Updates


@constructor
def majority_vote(axis_name: str | tuple[str, ...]) -> optax.GradientTransformationExtraArgs:
    r"""signSGD with majority vote: each number is the sign of most workers' gradients.

    .. math::
        u_t = \mathrm{sign} \sum_{i=1}^n \mathrm{sign}(g_{t,i})

    For each number, every worker sends one bit to the worker that counts its votes, and that worker
    sends two bits to all. This transfers 3/8 of a byte per number, where an all-reduce of float32
    transfers 8 bytes. Use it instead of the mean over the workers, inside `jax.shard_map` or `vmap`
    with an axis name. The updates are the same on all workers.

    If the vote is tied, the update is 0. One bit cannot represent a gradient of 0, so it votes for
    or against at random, and neighboring workers vote in opposite ways. If all gradients are 0, an
    even number of workers gives 0, and an odd number gives -1 or 1, with mean 0. Infinity votes
    with its sign. If any worker's array contains NaN, the whole array becomes NaN on all workers; a
    flag per array is sent for this.

    Args:
      axis_name: the axis, or axes, of the mesh or of `vmap` that the workers are along.

    State: `count` int32, so that the random votes differ from update to update.

    Raises:
      ValueError: gradients are not real floating-point numbers, or the axis is not bound.

    Reference: Bernstein et al. 2018, arXiv 1802.04434, and 2019, arXiv 1810.05291.

    >>> import adaptive_jax as aj
    >>> tx = aj.chain(majority_vote("worker"), aj.scale_by_learning_rate(0.5))
    >>> def update(grads):
    ...     return tx.update(grads, tx.init(grads))[0]
    >>> grads = jnp.array([[3.0, 1.0, -1.0], [-0.1, 2.0, -1.0], [-0.1, -9.0, -1.0]])
    >>> print(jax.vmap(update, axis_name="worker")(grads)[0])
    [ 0.5 -0.5  0.5]
    """

    def init(params):
        return MajorityVoteState(numerics.count_zero())

    def update(updates, state, params=None, **extra):
        _check_real("majority_vote", updates)
        workers = _workers("majority_vote", axis_name)
        voted = MajorityVoteState(numerics.count_next(state.count))
        leaves, structure = jax.tree.flatten(trees.as_computed(updates))
        if not sum(g.size for g in leaves):
            return trees.cast_updates(updates, updates, params), voted
        numbers = jnp.concatenate([jnp.sign(g).astype(jnp.int8).ravel() for g in leaves])
        # The index of the worker flips the random bit, so neighbors vote in opposite ways.
        me = jax.lax.axis_index(axis_name).astype(jnp.uint32)
        undecided = (random_bits(numbers.shape, state.count) ^ me) & 1 > 0
        signs = _count_votes((numbers > 0) | ((numbers == 0) & undecided), workers, axis_name)
        nans = jnp.stack([jnp.any(jnp.isnan(g)) for g in leaves]).astype(jnp.float32)
        nans = jax.lax.pmax(nans, axis_name) > 0
        ends = [sum(g.size for g in leaves[: i + 1]) for i in range(len(leaves))]
        new = [
            jnp.where(nan, jnp.nan, part.reshape(g.shape).astype(g.dtype))
            for g, part, nan in zip(leaves, jnp.split(signs, ends[:-1]), nans, strict=True)
        ]
        return trees.cast_updates(structure.unflatten(new), updates, params), voted

    return Transformation(init, update)


@constructor
def error_feedback(axis_name: str | tuple[str, ...]) -> optax.GradientTransformationExtraArgs:
    r"""Averages the workers' gradients, sent as signs with error feedback.

    .. math::
        p_{t,i} &= g_{t,i} + e_{t-1,i}, \qquad
        \Delta_{t,i} = \frac{\|p_{t,i}\|_1}{d}\, \mathrm{sign}(p_{t,i}), \qquad
        e_{t,i} = p_{t,i} - \Delta_{t,i} \\
        u_t &= \frac1n \sum_{i=1}^n \Delta_{t,i}

    The error that the signs make is added to the next gradients. Each worker sends one bit per
    number, and one number per array, to all others. With n workers this is (n - 1)/8 bytes per
    number, less than the nearly 8 bytes of an all-reduce of float32 if n is below 64.

    If the learning rate changes, put it before this stage, as the paper does: the error is then in
    units of the parameters. NaN or infinity in any worker's array spreads to that array on all
    workers.

    Args:
      axis_name: the axis, or axes, of the mesh or of `vmap` that the workers are along.

    State: `error`, float32 or wider, of this worker. Its arrays have the parameters' shapes with a
    leading axis of length 1 for the worker. If the state is an output of `jax.shard_map` with the
    spec `PartitionSpec(axis_name)`, that axis holds the errors of all workers.

    Raises:
      ValueError: gradients are not real floating-point numbers, trees do not match, or the axis is
        not bound.

    Reference: Karimireddy et al. 2019, arXiv 1901.09847.

    >>> tx = error_feedback("worker")
    >>> grads = jnp.array([[3.0, 1.0], [1.0, 1.0]])  # means of sizes: 2 and 1
    >>> updates, state = jax.vmap(lambda g: tx.update(g, tx.init(g)), axis_name="worker")(grads)
    >>> print(updates[0], state.error[0], state.error[1])
    [1.5 1.5] [[ 1. -1.]] [[0. 0.]]
    """

    def init(params):
        _check_real("error_feedback", params)
        return ErrorFeedbackState(jax.tree.map(lambda z: z[None], trees.zeros_like(params)))

    def update(updates, state, params=None, **extra):
        _check_real("error_feedback", updates)
        workers = _workers("error_feedback", axis_name)
        error = jax.tree.map(lambda e: jnp.squeeze(e, 0), state.error)

        def add(g, e):
            g = jnp.asarray(g, e.dtype)
            return numerics.saturate(g + e, source=g)

        due, structure = jax.tree.flatten(map_leaves(add, gradients=updates, error=error))
        scales = [jnp.sum(jnp.abs(p) * (1 / max(p.size, 1))) for p in due]
        sent = [jnp.where(p > 0, s, -s) for p, s in zip(due, scales, strict=True)]
        kept = [numerics.saturate(p - d, source=p)[None] for p, d in zip(due, sent, strict=True)]
        means = _mean_of_signs([p > 0 for p in due], scales, workers, axis_name)
        new = trees.cast_updates(structure.unflatten(means), updates, params)
        return new, ErrorFeedbackState(structure.unflatten(kept))

    return Transformation(init, update)


def _count_votes(votes, workers, axis_name):
    """Returns the sign of the majority for each number, 0 for a tie, as int8.

    Every worker counts the votes on one part of the numbers.
    """
    part = 8 * -(-votes.size // (8 * workers))
    ballots = jnp.pad(votes, (0, part * workers - votes.size)).reshape(workers, part)
    ballots = jax.lax.all_to_all(jnp.packbits(ballots, axis=1), axis_name, 0, 0)
    balance = 2 * jnp.sum(jnp.unpackbits(ballots, axis=1).astype(jnp.int32), axis=0) - workers
    result = jnp.packbits(jnp.stack([balance > 0, balance < 0]), axis=1)
    result = _gather(result, axis_name)
    up, down = jnp.moveaxis(jnp.unpackbits(result, axis=2), 1, 0).astype(jnp.int8)
    return (up - down).ravel()[: votes.size]


def _mean_of_signs(signs, scales, workers, axis_name):
    """Returns, for each array, the workers' mean of `scale` where `signs` is set, else `-scale`."""
    if not signs:
        return []
    packed = [jnp.packbits(s.ravel()) for s in signs]
    every = _gather(jnp.concatenate(packed), axis_name)
    widest = jnp.result_type(*scales)
    shares = jnp.stack([s.astype(widest) for s in scales]) / workers
    shares = _gather(shares, axis_name)
    means, start = [], 0
    for i, (s, p) in enumerate(zip(signs, packed, strict=True)):
        bits = jnp.unpackbits(every[:, start : start + p.size], axis=1)[:, : s.size]
        start += p.size
        share = shares[:, i, None].astype(scales[i].dtype)
        means.append(jnp.sum(jnp.where(bits > 0, share, -share), axis=0).reshape(s.shape))
    return means


def _gather(x, axis_name):
    """Gathers all workers' `x`, in a type that tells `jax.shard_map` that it is the same on all."""
    manual = jax.sharding.get_abstract_mesh().manual_axes
    names = axis_name if isinstance(axis_name, tuple) else (axis_name,)
    to = "invarying" if set(names) <= set(manual) else "varying"  # under vmap there is no such type
    return jax.lax.all_gather(x, axis_name, to=to)


def _check_real(stage, tree):
    check_inexact(gradients=tree)
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if jnp.iscomplexobj(leaf):
            raise ValueError(
                f"{stage} sends signs, and complex numbers have no sign, got "
                f"{jnp.result_type(leaf)} at {jax.tree_util.keystr(path) or 'the only leaf'}"
            )


def _workers(stage, axis_name) -> int:
    names = axis_name if isinstance(axis_name, tuple) else (axis_name,)
    try:
        return math.prod(jax.lax.axis_size(name) for name in names)
    except NameError as error:
        raise ValueError(
            f"{stage} communicates along the axis {axis_name!r}, which is not bound here: call "
            "update inside jax.shard_map over a mesh with that axis, or inside "
            f"jax.vmap(…, axis_name={axis_name!r})"
        ) from error
