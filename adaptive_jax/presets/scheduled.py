"""Schedules for arguments that a transformation takes as numbers only."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import optax

from adaptive_jax import numerics
from adaptive_jax.typing import Scalar, ScalarOrSchedule, State


class ScheduledState(NamedTuple):
    """Updates made, and the state of the transformation built with a scheduled argument."""

    count: jax.Array
    inner: State


def scheduled(
    make: Callable[[Scalar], optax.GradientTransformation], value: ScalarOrSchedule
) -> optax.GradientTransformationExtraArgs:
    """`make(value)`, built anew at every update where `value` is a schedule.

    Args:
      make: takes a number in (0, 1), on which the structure of the state must not depend.
      value: a number, or a schedule of the number of updates already made.

    >>> tx = scheduled(optax.scale, lambda count: 0.5**count)
    >>> state = tx.init(1.0)
    >>> for _ in range(3):
    ...     update, state = tx.update(1.0, state)
    >>> print(update)
    0.25
    """
    if not callable(value):
        return optax.with_extra_args_support(make(value))

    def init(params):
        return ScheduledState(numerics.count_zero(), make(0.5).init(params))

    def update(updates, state, params=None, **extra):
        tx = optax.with_extra_args_support(make(numerics.at_step(value, state.count)))
        updates, inner = tx.update(updates, state.inner, params, **extra)
        return updates, ScheduledState(numerics.count_next(state.count), inner)

    return optax.GradientTransformationExtraArgs(init, update)
