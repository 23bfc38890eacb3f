"""The learning rate, which gives updates their size and sign."""

import jax
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Transformation, constructor
from adaptive_jax.typing import ScalarOrSchedule
from adaptive_jax.validation import map_leaves, number_or_schedule

__all__ = ["scale_by_learning_rate"]


@constructor
def scale_by_learning_rate(
    learning_rate: ScalarOrSchedule | None, flip_sign: bool = True
) -> optax.GradientTransformationExtraArgs:
    r"""Multiplies updates by :math:`-lr_t`, so that adding them descends.

    .. math::
        u_t = -lr_t\, g_t

    Args:
      learning_rate: a number or a schedule of the number of updates already made. A negative rate
        ascends. None leaves updates unchanged, sign included (as in Optax). The product is computed
        in float32 or wider, so that a rate of 1e-8 does not vanish in float16.
      flip_sign: False multiplies by :math:`+lr_t`. Default True (as in Optax).

    State: `optax.ScaleByScheduleState` with a `count`, int32, for a schedule; none for a number.

    Raises:
      ValueError: the learning rate is not finite.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_learning_rate(lambda count: 0.1 * 0.5**count)
    >>> state = tx.init(jnp.zeros(()))
    >>> for _ in range(2):
    ...     update, state = tx.update(jnp.array(1.0), state)
    >>> print(update)
    -0.05
    """
    if learning_rate is None:
        return optax.with_extra_args_support(optax.identity())
    learning_rate = number_or_schedule("learning_rate", learning_rate, "(-inf, inf)")
    sign = -1.0 if flip_sign else 1.0

    def init(params):
        if callable(learning_rate):
            return optax.ScaleByScheduleState(numerics.count_zero())
        return optax.EmptyState()

    def update(updates, state, params=None, **extra):
        if callable(learning_rate):
            rate = sign * numerics.at_step(learning_rate, state.count)
            state = optax.ScaleByScheduleState(numerics.count_next(state.count))
        else:
            rate = sign * learning_rate
        shrinks = isinstance(rate, float) and abs(rate) <= 1  # so that no product overflows

        def leaf(u, like):
            product = jax.lax.mul(u, numerics.constant(rate, u.dtype))
            product = product if shrinks else numerics.saturate(product, source=u)
            return trees.cast_to_dtype_of(product, like)

        like = trees.update_dtypes(updates, params)
        return map_leaves(leaf, updates=trees.as_computed(updates), **like), state

    return Transformation(init, update)
