"""Lookahead: slow weights that move part of the way to an optimizer's weights at every sync."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Transformation, constructor
from adaptive_jax.schedules.pieces import periods
from adaptive_jax.typing import Params, Scalar, State
from adaptive_jax.validation import map_leaves, number, require_params, steps

__all__ = ["LookaheadState", "lookahead"]


class LookaheadState(NamedTuple):
    """The number of updates made, the slow weights, and the optimizer's state."""

    step: jax.Array  # not `count`, so that `optax.tree.get` finds the optimizer's own
    slow: Params
    inner: State


@constructor
def lookahead(
    tx: optax.GradientTransformation, sync_period: int = 6, slow_step_size: Scalar = 0.5
) -> optax.GradientTransformationExtraArgs:
    r"""Resets the parameters every few updates to slow weights, which follow them part of the way.

    .. math::
        \text{after } sync\_period \text{ updates of } tx: \quad
        \phi \leftarrow \phi + slow\_step\_size\,(p - \phi), \qquad p \leftarrow \phi

    The parameters p are a plain tree (`optax.lookahead` needs a pair of trees); the slow weights
    :math:`\phi` are in the state. The state of `tx` is not reset.

    Args:
      tx: any optimizer. It must be complete: a stage that changes the updates after this wrapper
        would move p away from :math:`\phi`.
      sync_period: number of updates between resets (k in the paper), at least 1. Default 6
        (paper's experiments on ImageNet and translation; 5 on CIFAR).
      slow_step_size: fraction of the way (alpha in the paper), in (0, 1]; 1 is `tx` alone. Default
        0.5 (TensorFlow Addons, pytorch_optimizer).

    State: `step` int32, `slow` in the parameters' shapes, float32 or wider, and `inner`. To
    evaluate at the slow weights, use `state.slow`.

    Raises:
      ValueError: an argument is out of range, trees do not match, or `update` is called without
        parameters.

    Reference: Zhang et al. 2019, arXiv 1907.08610.

    >>> from adaptive_jax import sgd
    >>> tx = lookahead(sgd(1.0), sync_period=2)
    >>> params = jnp.array(0.0)
    >>> state = tx.init(params)
    >>> for _ in range(2):  # to 1, then to 2 and halfway back to 0
    ...     updates, state = tx.update(jnp.array(-1.0), state, params)
    ...     params = params + updates
    >>> print(params, state.slow)
    1.0 1.0
    """
    sync_period = steps("sync_period", sync_period)
    slow_step_size = number("slow_step_size", slow_step_size, "(0, 1]")
    tx = optax.with_extra_args_support(tx)

    def init(params):
        return LookaheadState(numerics.count_zero(), trees.copy(params), tx.init(params))

    def update(updates, state, params=None, **extra):
        require_params("lookahead", params)
        fast, inner = tx.update(updates, state.inner, params, **extra)
        step = numerics.count_next(state.step)
        now = periods(step, sync_period)[1] == 0

        def follow(p, u, slow):
            p, u = jnp.asarray(p, slow.dtype), jnp.asarray(u, slow.dtype)
            fast = numerics.saturate(p + u, source=u)
            ahead = numerics.part_of_way(jnp.asarray(slow_step_size, slow.dtype), slow, fast)
            return jnp.where(now, slow + ahead, slow)

        def back(p, u, slow):
            p, u = jnp.asarray(p, slow.dtype), jnp.asarray(u, slow.dtype)
            return jnp.where(now, numerics.saturate(slow - p, source=u), u)

        slow = map_leaves(follow, parameters=params, updates=fast, state=state.slow)
        new = jax.tree.map(back, params, fast, slow)
        return trees.cast_updates(new, updates, params), LookaheadState(step, slow, inner)

    return Transformation(init, update)
