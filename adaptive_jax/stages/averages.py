"""Averages of the parameters along the path of an optimizer."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Transformation, constructor
from adaptive_jax.typing import Params, Scalar, State
from adaptive_jax.validation import map_leaves, number, require_params

__all__ = ["PolyakAverageState", "averaged_params", "polyak_average"]


class PolyakAverageState(NamedTuple):
    """State of `polyak_average`: updates so far, and the `average` (zeros before the first)."""

    count: jax.Array
    average: Params


@constructor
def polyak_average(start: Scalar = 0) -> optax.GradientTransformationExtraArgs:
    r"""Keeps an average of the parameters and leaves updates unchanged.

    .. math::
        a_t = a_{t-1} + \frac{p_t - a_{t-1}}{\max(1,\ t - start)}

    After more than `start` updates, this is the mean of the parameters after update number
    `start + 1` and all later ones; before, it is the current parameters. Put it last in a chain,
    where updates have their final size. `averaged_params` reads the average from the chain's state.

    Args:
      start: number of updates to leave out of the mean, not negative. Default 0.

    State: `PolyakAverageState` with `count` (int32) and `average` in the shapes of the parameters,
    in float32 or wider.

    Raises:
      ValueError: `start` is negative, the trees passed to `update` do not match, or `update` is
        called without parameters.

    Reference: Polyak & Juditsky 1992, doi 10.1137/0330046.

    >>> import jax.numpy as jnp
    >>> tx = polyak_average()
    >>> params, state = jnp.array(0.0), tx.init(jnp.array(0.0))
    >>> for update in (1.0, 2.0, 3.0):  # parameters 1, 3, 6
    ...     update, state = tx.update(jnp.array(update), state, params)
    ...     params += update
    >>> print(f"{averaged_params(state):.4f}")
    3.3333
    """
    start = number("start", start, "[0, inf)")

    def init(params):
        return PolyakAverageState(numerics.count_zero(), trees.zeros_like(params))

    def update(updates, state, params=None, **extra):
        require_params("polyak_average", params)
        passed = state.count.astype(jnp.result_type(float)) + 1 - start
        weight = 1 / jnp.maximum(passed, 1)

        def leaf(u, p, a):
            after = jnp.asarray(p, a.dtype) + jnp.asarray(u, a.dtype)
            after = numerics.saturate(after, source=u)
            return a + numerics.part_of_way(weight, a, after)

        average = map_leaves(leaf, gradients=updates, parameters=params, state=state.average)
        updates = trees.cast_updates(trees.as_computed(updates), updates, params)
        return updates, PolyakAverageState(numerics.count_next(state.count), average)

    return Transformation(init, update)


def averaged_params(state: State) -> Params:
    """The average of the parameters, from an optimizer state that contains a `PolyakAverageState`.

    It is in float32 or wider, and zero before the first update.

    Args:
      state: the state of `polyak_average` or `asgd`, or any state that contains one, such as those
        of `chain`, `optax.masked` and `optax.MultiSteps`.

    Raises:
      ValueError: `state` contains no such state, or more than one.

    >>> import jax.numpy as jnp
    >>> from adaptive_jax import chain, scale_by_adam, scale_by_learning_rate
    >>> tx = chain(scale_by_adam(), scale_by_learning_rate(0.5), polyak_average())
    >>> params = jnp.array([1.0, 1.0])
    >>> _, state = tx.update(jnp.array([2.0, -2.0]), tx.init(params), params)
    >>> print(averaged_params(state))
    [0.5 1.5]
    """
    found = trees.nodes_of(PolyakAverageState, state)
    if len(found) != 1:
        raise ValueError(
            "averaged_params needs a state that contains exactly one polyak_average(...), "
            f"found {len(found)}"
        )
    return found[0].average


def average_as_params(state: State, params: Params) -> Params:
    """The mean in a state, in the containers and the dtypes of the parameters."""
    average = trees.like(parameters=params, state=averaged_params(state))
    return jax.tree.map(lambda p, x: x.astype(p.dtype), params, average)
