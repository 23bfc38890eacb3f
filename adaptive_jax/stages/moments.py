"""Momentum: a decaying sum or a moving mean of the gradients."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Transformation, constructor
from adaptive_jax.typing import Scalar, ScalarOrSchedule, Updates
from adaptive_jax.validation import map_leaves, number, number_or_schedule

__all__ = ["MomentumState", "momentum"]


class MomentumState(NamedTuple):
    """The number of updates made, and the decaying sum or mean of gradients.

    If neither a schedule nor dampening needs the count, the state is an `optax.TraceState` instead.
    """

    count: jax.Array
    trace: Updates


@constructor
def momentum(
    decay: ScalarOrSchedule = 0.9,
    nesterov: bool = False,
    dampening: Scalar | None = None,
    ema: bool = False,
) -> optax.GradientTransformationExtraArgs:
    r"""Replaces the gradient by a decaying sum of gradients, or by their moving mean.

    .. math::
        \text{classical:}\quad m_t &= decay\, m_{t-1} + (1 - dampening)\, g_t, \quad m_1 = g_1 \\
        \text{EMA:}\quad m_t &= decay\, m_{t-1} + (1 - decay)\, g_t, \quad m_0 = 0 \\
        u_t &= m_t \quad\text{or, with Nesterov,}\quad
               decay\, m_t + g_t \;\text{(EMA: } (1 - decay)\, g_t)

    Args:
      decay: decay rate in [0, 1], a number or a schedule of the number of updates already made.
        Default 0.9 (the usual value); SGD has 0 in PyTorch and Keras, which is no momentum.
      nesterov: use Nesterov momentum (Sutskever et al. 2013, in the form of PyTorch and Keras).
        Default False (PyTorch, Keras).
      dampening: reduces the weight of new gradients, usually in [0, 1]; classical form only. The
        first buffer is the undamped gradient, as in PyTorch. Default None: no dampening, as in
        PyTorch.
      ema: use the moving mean, whose size does not grow with `decay`. It has no bias correction.
        Default False (PyTorch, Keras).

    State: `optax.TraceState`: `trace` in the parameters' shapes, float32 or wider. If `decay` is a
    schedule or there is dampening, `MomentumState`, which also has a `count`, int32.

    Raises:
      ValueError: a hyperparameter is out of range, both `ema` and `dampening` are given, or
        trees do not match.

    Reference: Polyak 1964, doi 10.1016/0041-5553(64)90137-5; Sutskever et al. 2013,
    proceedings.mlr.press/v28/sutskever13.html.

    >>> import jax.numpy as jnp
    >>> tx = momentum(0.5)
    >>> state = tx.init(jnp.zeros(()))
    >>> for _ in range(3):
    ...     update, state = tx.update(jnp.array(1.0), state)
    >>> print(update)
    1.75
    """
    decay = number_or_schedule("decay", decay, "[0, 1]")
    if dampening is not None:
        dampening = number("dampening", dampening, "(-inf, inf)")
    if ema and isinstance(dampening, float) and dampening != 0:
        raise ValueError(
            f"dampening must be 0 with ema=True, which weights gradients by 1 - decay; "
            f"got {dampening}"
        )

    # Not by the value of the dampening: the state's structure must not depend on whether that is
    # traced.
    counts = dampening is not None or callable(decay)

    def init(params):
        trace = trees.zeros_like(params)
        return MomentumState(numerics.count_zero(), trace) if counts else optax.TraceState(trace)

    def update(updates, state, params=None, **extra):
        # The state decides: a preset's `init` may have known a dampening of 0 that is traced here.
        counted = isinstance(state, MomentumState)
        rate = numerics.at_step(decay, state.count if counted else None)
        if ema:
            weight_now = 1 - rate
        elif dampening is not None:
            weight_now = jnp.asarray(1 - dampening)
            if counted:
                weight_now = jnp.where(state.count == 0, 1, weight_now)
        else:
            weight_now = 1.0

        def accumulate(g, m):
            g = jnp.asarray(g, m.dtype)
            keep, take = (numerics.constant(x, m.dtype) for x in (rate, weight_now))
            return numerics.saturate(keep * m + take * g, source=g)

        def look_ahead(g, m):
            g = jnp.asarray(g, m.dtype)
            weight = jnp.asarray(1 - rate if ema else 1.0, m.dtype)
            return numerics.saturate(jnp.asarray(rate, m.dtype) * m + weight * g, source=g)

        trace = map_leaves(accumulate, gradients=updates, state=state.trace)
        direction = jax.tree.map(look_ahead, updates, trace) if nesterov else trace
        updates = trees.cast_updates(direction, updates, params)
        state = state._replace(trace=trace)
        if counted:
            state = state._replace(count=numerics.count_next(state.count))
        return updates, state

    return Transformation(init, update)
