"""The features of Keras's base class for optimizers, as transformations."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Transformation, chain
from adaptive_jax.stages.decay import add_decayed_weights
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import Params, Scalar, ScalarOrSchedule, State, Updates
from adaptive_jax.validation import map_leaves, require_params, same_structure


class DecayFirstState(NamedTuple):
    """The states of the decay and of the optimizer."""

    decay: State
    inner: State


class AccumulateState(NamedTuple):
    """Calls since the last update, their gradients' sum divided by `every`, and the inner state."""

    count: jax.Array
    mean: Updates
    inner: State


class AverageState(NamedTuple):
    """The number of calls, and the average of the parameters (zeros before the first call)."""

    count: jax.Array
    average: Params


def in_full_precision(
    tx: optax.GradientTransformationExtraArgs,
) -> optax.GradientTransformationExtraArgs:
    """Runs `tx` in float32 or wider; the updates have the original dtypes."""

    def init(params):
        return tx.init(jax.tree.map(_wide, params))

    def update(updates, state, params=None, **extra):
        wide = None
        if params is not None:
            same_structure(gradients=updates, parameters=params)
            wide = trees.as_computed(params)
        steps, state = tx.update(trees.as_computed(updates), state, wide, **extra)
        return trees.cast_updates(steps, updates, params), state

    return Transformation(init, update)


def _wide(p):
    dtype = numerics.compute_dtype(p)
    if isinstance(p, jax.ShapeDtypeStruct):
        return jax.ShapeDtypeStruct(p.shape, dtype, sharding=p.sharding)
    return jnp.asarray(p, dtype)


def decay_first(
    tx: optax.GradientTransformationExtraArgs,
    learning_rate: ScalarOrSchedule,
    weight_decay: Scalar,
) -> optax.GradientTransformationExtraArgs:
    """Multiplies the parameters by 1 - learning_rate · weight_decay, then applies `tx` to them."""
    decay = chain(
        add_decayed_weights(weight_decay),
        scale_by_learning_rate(learning_rate),
    )

    def init(params):
        return DecayFirstState(decay.init(params), tx.init(params))

    def update(updates, state, params=None, **extra):
        require_params("weight_decay", params)
        same_structure(gradients=updates, parameters=params)
        no_gradient = jax.tree.map(jnp.zeros_like, params)
        loss, decay_state = decay.update(no_gradient, state.decay, params)
        decayed = jax.tree.map(jnp.add, params, loss)
        steps, inner = tx.update(updates, state.inner, decayed, **extra)
        total = jax.tree.map(lambda l, u: numerics.saturate(l + u, source=u), loss, steps)
        return total, DecayFirstState(decay_state, inner)

    return Transformation(init, update)


def unscale(factor: Scalar) -> optax.GradientTransformation:
    """Divides gradients by the scale factor of the loss."""

    def leaf(g, _):
        return numerics.saturate(g / jnp.asarray(factor, g.dtype), source=g)

    return optax.stateless_with_tree_map(leaf)


def accumulate(
    tx: optax.GradientTransformationExtraArgs, every: int
) -> optax.GradientTransformationExtraArgs:
    """Applies `tx` at every `every`-th call, with the mean gradient; other updates are zero."""
    # We do not use optax.MultiSteps: its accumulator is float32 also for float64 and complex
    # parameters, and it computes a step at every call.

    def init(params):
        return AccumulateState(numerics.count_zero(), trees.zeros_like(params), tx.init(params))

    def update(updates, state, params=None, **extra):
        mean = map_leaves(
            lambda g, m: m + jnp.asarray(g, m.dtype) / every, gradients=updates, state=state.mean
        )

        def step(inner):
            steps, inner = tx.update(mean, inner, params, **extra)
            return steps, inner, jax.tree.map(jnp.zeros_like, mean)

        def wait(inner):
            # NaN and infinity are shown at once, not only in the step that they spoil.
            return jax.tree.map(lambda m: jnp.where(jnp.isfinite(m), 0, m), mean), inner, mean

        steps, inner, mean = jax.lax.cond(state.count == every - 1, step, wait, state.inner)
        return steps, AccumulateState((state.count + 1) % every, mean, inner)

    return Transformation(init, update)


def average_parameters(
    momentum: Scalar, overwrite_every: int | None, every: int
) -> optax.GradientTransformationExtraArgs:
    """Keeps a moving average of the parameters, and sets the parameters to it periodically.

    Args:
      momentum: the decay rate of the average; it is 0 during the first iteration.
      overwrite_every: the number of iterations after which the parameters are set to their average;
        None means never.
      every: the number of calls per iteration.
    """

    def init(params):
        return AverageState(numerics.count_zero(), trees.zeros_like(params))

    def update(updates, state, params=None, **extra):
        require_params("use_ema", params)
        iteration = state.count // every
        weight = jnp.where(iteration == 0, 1.0, 1.0 - momentum)

        def leaf(u, p, a):
            after = numerics.saturate(p + u, source=u)
            return a + weight.astype(p.dtype) * numerics.saturate(after - a, source=u)

        average = map_leaves(leaf, gradients=updates, parameters=params, state=state.average)
        if overwrite_every:
            due = (iteration + 1) % overwrite_every == 0
            updates = jax.tree.map(
                lambda u, p, a: jnp.where(due, numerics.saturate(a - p, source=u), u),
                updates,
                params,
                average,
            )
        return updates, AverageState(numerics.count_next(state.count), average)

    return Transformation(init, update)


def finalize_variable_values(params: Params, state: State) -> Params:
    """Returns the final parameters: their moving average if `state` has one.

    This is Keras's method of the same name, which `fit` calls after the last epoch.

    Args:
      params: the parameters; they are returned as is if there is no average (`use_ema=False`).
      state: the optimizer's state, or any state that contains it.

    Raises:
      ValueError: `state` has more than one average, or it does not match the parameters.

    >>> from adaptive_jax.presets import keras
    >>> tx = keras.SGD(learning_rate=1.0, use_ema=True, ema_momentum=0.5)
    >>> params = jnp.array(0.0)
    >>> state = tx.init(params)
    >>> for _ in range(3):
    ...     updates, state = tx.update(jnp.array(-4.0), state, params)
    ...     params += updates
    >>> print(params, keras.finalize_variable_values(params, state))  # of 4, 8 and 12
    12.0 9.0
    """
    found = trees.nodes_of(AverageState, state)
    if not found:
        return params
    if len(found) > 1:
        raise ValueError(f"the state has {len(found)} averages of parameters: pass one part of it")
    (count,) = jax.tree.leaves(found[0].count)
    return map_leaves(
        lambda p, a: jnp.where(count > 0, numerics.cast(a, jnp.result_type(p)), p),
        parameters=params,
        state=trees.like(parameters=params, state=found[0].average),
    )
