"""The effective learning rate of each coordinate, and histograms of these rates."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from adaptive_jax import trees
from adaptive_jax.algebra import Chain, Preconditioner
from adaptive_jax.diagnostics.affine import is_affine_by_coordinate
from adaptive_jax.typing import Params, PyTree, State, Updates
from adaptive_jax.wrappers.tunable import Tunable

RATE_EDGES = np.logspace(-6, 4, 41)
"""The bin edges of `rate_histogram`: 41 edges, four per decade, from 1e-6 to 10000; float64."""


def effective_learning_rates(
    tx: optax.GradientTransformation,
    grads: Updates,
    state: State,
    params: Params | None = None,
    **extra: Any,
) -> PyTree:
    r"""Returns each coordinate's step per unit of the preconditioner's direction.

    .. math::
        update = -rate \cdot direction + \text{terms that do not depend on the direction}

    where the direction is that of a `Preconditioner`. For Adam it is the mean gradient, so that
    :math:`rate = lr / ((\sqrt{\hat v_t} + eps)(1 - b_1^t))`; for AdaBound it is the same within the
    bounds. Rates are positive for an optimizer that descends, and 0 where nothing moves: under a
    mask, or in AdaShift's first updates. They are negative for a chain without a learning rate,
    since that stage flips the sign.

    The stages of a `chain` act on the updates as usual. The scale is read at the last
    Preconditioner. Each stage after it must multiply coordinates by factors and add terms to them
    that do not depend on the step: a learning rate, a schedule, weight decay, a mask, momentum.
    Stages that depend on whole arrays (`scale_by_trust_ratio`, clipping by norm) or are not linear
    (clipping by value, a sign) have no such factors. Any stage may precede the Preconditioner.

    Args:
      tx: a Preconditioner, a `chain` or a `tunable` optimizer. Stages inside other wrappers
        (`optax.chain`, `optax.masked`, `schedule_free`, …) are not visible.
      grads, state, params: the arguments of the next `tx.update` call. With Flax NNX, pass the
        gradients, `optimizer.opt_state` and `nnx.state(model, nnx.Param)`.
      **extra: extra arguments of `tx.update`, if it takes any.

    Returns:
      A tree like the gradients; real, float32 or wider.

    Raises:
      ValueError: `tx` has no visible Preconditioner; a later stage is not of these kinds, as in
        `lamb` and `adafactor`; or trees do not match.

    >>> from adaptive_jax import adam
    >>> tx = adam(0.1, b1=0.0)
    >>> params = jnp.zeros(2)
    >>> grads = jnp.array([0.5, 100.0])
    >>> for rate in effective_learning_rates(tx, grads, tx.init(params), params):
    ...     print(f"{rate:.3f}")
    0.200
    0.001
    """
    state, params = trees.fitted(tx.init, grads, state, params)
    # In full precision from the start: the scale of a small gradient overflows in float16.
    wide = None if params is None else trees.as_computed(params)
    _, rates = _walk(tx, trees.as_computed(grads), None, state, wide, extra)
    if rates is None:
        raise ValueError(
            "effective_learning_rates sees no Preconditioner (such as scale_by_adam()) in "
            f"{_shown(tx)}: pass an optimizer that has one, as a stage of adaptive_jax.chain "
            "rather than of optax.chain, without wrappers around that chain"
        )
    return jax.tree.map(lambda rate: -rate.real, rates)


def _walk(tx, updates, rates, state, params, extra):
    """Returns the updates after `tx`, and their derivatives in the direction (None before it)."""
    if isinstance(tx, Tunable):
        return _walk(tx.built(state), updates, rates, state.inner_state, params, extra)
    if isinstance(tx, Chain):
        for position, (stage, stage_state) in enumerate(zip(tx.stages, state, strict=True)):
            try:
                updates, rates = _walk(stage, updates, rates, stage_state, params, extra)
            except _NotByCoordinate:
                raise ValueError(
                    f"effective_learning_rates cannot follow rates through stage {position} of "
                    f"{_shown(tx)}, which depends on whole arrays or is not linear (like a trust "
                    "ratio or clipping). It follows them through stages that multiply and add, "
                    "coordinate by coordinate: learning rates, schedules, decay, masks, momentum. "
                    "Call it on a chain without that stage, or with the stage before the "
                    "Preconditioner"
                ) from None
        return updates, rates

    def update(updates):
        with_extra = optax.with_extra_args_support(tx)
        return with_extra.update(updates, state, params, **extra)[0]

    if isinstance(tx, Preconditioner):
        new = update(updates)
        scale = tx.step(updates, state, params, **extra).scale
        return new, jax.tree.map(lambda s, u: s.astype(u.dtype), scale, new)
    if rates is None:
        return update(updates), None
    if not is_affine_by_coordinate(update, updates):
        raise _NotByCoordinate
    # The stage is affine in each coordinate, so its derivative multiplies each rate by its factor.
    return jax.jvp(update, (updates,), (rates,))


class _NotByCoordinate(Exception):
    pass


def _shown(tx):
    if not isinstance(tx, Chain):
        return f"this {type(tx).__name__}"
    return f"this Chain of {len(tx.stages)} stages"


def rate_histogram(rates: PyTree) -> jax.Array:
    """Counts the numbers of a tree in the bins given by `RATE_EDGES`.

    The first bin includes everything smaller (also 0 and negative rates), the last bin everything
    larger (also infinity). NaN is in no bin, so the sum of the bins shows how many numbers are NaN.

    Args:
      rates: a tree of real arrays, such as `effective_learning_rates` returns.

    Returns:
      int32 of shape (40,).

    >>> counts = rate_histogram({"w": jnp.array([0.0, 1e-3, 1.1e-3, jnp.inf, jnp.nan])})
    >>> print(counts.nonzero()[0], counts[counts > 0])
    [ 0 12 39] [1 2 1]
    """
    leaves = map(_count_at_least, jax.tree.leaves(rates))
    at_least = sum(leaves, start=jnp.zeros(RATE_EDGES.shape, jnp.int32))
    return at_least[:-1] - at_least[1:]


def _count_at_least(rates):
    """Counts the rates that are at least each edge: all for the first edge, none for the last."""
    edges = jnp.asarray([-np.inf, *RATE_EDGES[1:-1]], rates.dtype)
    # A plain sum per edge is several times as fast on a CPU as a search or a scatter.
    counts = jax.lax.map(lambda edge: jnp.sum(rates >= edge, dtype=jnp.int32), edges)
    return jnp.append(counts, jnp.int32(0))
