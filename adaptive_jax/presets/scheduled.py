"""Schedules for arguments that a transformation accepts only as numbers."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import optax

from adaptive_jax import numerics
from adaptive_jax.typing import Scalar, ScalarOrSchedule, State


class ScheduledState(NamedTuple):
    """The number of updates made, and the state of the transformation that `make` built."""

    count: jax.Array
    inner: State


def scheduled(
    make: Callable[[Scalar], optax.GradientTransformation], value: ScalarOrSchedule
) -> optax.GradientTransformationExtraArgs:
    """Returns `make(value)`; if `value` is a schedule, calls `make` again at every update.

    Args:
      make: a function of a number in (0, 1). The structure of the state must not depend on it.
      value: a number, or a schedule of the number of updates made so far.

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
