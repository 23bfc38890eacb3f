"""The learning rate: the step's length and its sign."""

from typing import NamedTuple

import jax
import optax

from adaptive_jax import numerics
from adaptive_jax.transforms import trees
from adaptive_jax.typing import ScalarOrSchedule
from adaptive_jax.validation import number_or_schedule


class ScaleByLearningRateState(NamedTuple):
    """Updates made, which the schedule is read at."""

    count: jax.Array


def scale_by_learning_rate(
    learning_rate: ScalarOrSchedule, flip_sign: bool = True
) -> optax.GradientTransformationExtraArgs:
    r"""Multiplies updates by :math:`-lr_t`, so that adding them descends.

    Args:
      learning_rate: not negative; a number or a schedule of the number of updates already made.
        The product is taken in float32 or wider, so 1e-8 does not vanish in float16 before it
        meets the update.
      flip_sign: False multiplies by :math:`+lr_t`. Default True.

    State: `count`, int32, for a schedule; none for a number.

    Raises:
      ValueError: the learning rate is negative or not finite.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_learning_rate(lambda count: 0.1 * 0.5**count)
    >>> state = tx.init(jnp.zeros(()))
    >>> for _ in range(2):
    ...     update, state = tx.update(jnp.array(1.0), state)
    >>> print(update)
    -0.05
    """
    learning_rate = number_or_schedule("learning_rate", learning_rate, "[0, inf)")
    sign = -1.0 if flip_sign else 1.0

    def init(params):
        if callable(learning_rate):
            return ScaleByLearningRateState(numerics.count_zero())
        return optax.EmptyState()

    def update(updates, state, params=None, **extra):
        if callable(learning_rate):
            rate = sign * numerics.at_step(learning_rate, state.count)
            state = ScaleByLearningRateState(numerics.count_next(state.count))
        else:
            rate = sign * learning_rate
        scaled = jax.tree.map(
            lambda u: numerics.saturate(u * numerics.constant(rate, u.dtype), source=u),
            trees.as_computed(updates),
        )
        return trees.cast_updates(scaled, updates, params), state

    return trees.transformation(init, update)
