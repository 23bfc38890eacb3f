"""Weight decay, which shrinks the parameters toward 0."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Transformation, constructor
from adaptive_jax.stages.masks import Mask, masked
from adaptive_jax.typing import ScalarOrSchedule
from adaptive_jax.validation import map_leaves, number_or_schedule, require_params

__all__ = [
    "AddDecayedWeightsState",
    "AddProximalDecayState",
    "add_decayed_weights",
    "add_proximal_decay",
]


class AddDecayedWeightsState(NamedTuple):
    """The number of updates made, at which a schedule of the rate is evaluated."""

    count: jax.Array


@constructor
def add_decayed_weights(
    weight_decay: ScalarOrSchedule, mask: Mask | None = None
) -> optax.GradientTransformationExtraArgs:
    r"""Adds the parameters times a rate: :math:`u_t = g_t + weight\_decay_t\, p_{t-1}`.

    The effect depends on the place in the chain. First, before the adaptive stage: coupled decay,
    an L2 penalty (PyTorch's Adam and SGD). Directly before `scale_by_learning_rate`: decoupled
    decay times the learning rate (AdamW).

    Args:
      weight_decay: rate of the decay, a number or a schedule of the number of updates already made.
        A negative rate increases the parameters.
      mask: a tree of booleans like the parameters (or a prefix of it), or a function from the
        parameters to one: which parameters decay. Default None: all. Commonly
        `lambda params: jax.tree.map(lambda p: p.ndim > 1, params)`, which exempts biases.

    State: `count`, int32, for a schedule; none for a number.

    Raises:
      ValueError: the rate is not finite, trees do not match, or `update` is called without
        parameters.

    Reference: Loshchilov & Hutter 2019, arXiv 1711.05101.

    >>> import jax.numpy as jnp
    >>> tx = add_decayed_weights(0.1)
    >>> params = jnp.array(5.0)
    >>> print(tx.update(jnp.array(1.0), tx.init(params), params)[0])
    1.5
    """
    weight_decay = number_or_schedule("weight_decay", weight_decay, "(-inf, inf)")

    def init(params):
        if callable(weight_decay):
            return AddDecayedWeightsState(numerics.count_zero())
        return optax.EmptyState()

    def update(updates, state, params=None, **extra):
        require_params("add_decayed_weights", params)
        if isinstance(weight_decay, float) and weight_decay == 0:
            return trees.cast_updates(trees.as_computed(updates), updates, params), state
        if callable(weight_decay):
            rate = numerics.at_step(weight_decay, state.count)
            state = AddDecayedWeightsState(numerics.count_next(state.count))
        else:
            rate = weight_decay

        def leaf(g, p):
            p = jnp.asarray(p, numerics.compute_dtype(p))
            g = jnp.asarray(g, p.dtype)
            return numerics.saturate(g + jnp.asarray(rate, p.dtype) * p, source=g)

        decayed = map_leaves(leaf, gradients=updates, parameters=params)
        return trees.cast_updates(decayed, updates, params), state

    tx = Transformation(init, update)
    return tx if mask is None else masked(tx, mask)


class AddProximalDecayState(NamedTuple):
    """The number of updates made, at which schedules are evaluated."""

    count: jax.Array


@constructor
def add_proximal_decay(
    weight_decay: ScalarOrSchedule, learning_rate: ScalarOrSchedule, mask: Mask | None = None
) -> optax.GradientTransformationExtraArgs:
    r"""Shrinks the parameters after the step, by a factor that stays positive for large rates.

    .. math::
        p_t = \frac{p_{t-1} + u_t}{1 + lr_t\, weight\_decay_t}

    with the step :math:`u_t = -lr_t (\ldots)`: this stage follows `scale_by_learning_rate` and gets
    the same learning rate. The result minimizes the sum of the decay's penalty and the squared
    distance from :math:`p_{t-1} + u_t`. Decoupled decay (`add_decayed_weights`) takes a gradient
    step on the penalty instead: :math:`p_t = (1 - lr_t\, weight\_decay_t)\, p_{t-1} + u_t`.

    Args:
      weight_decay: rate of the decay, a number or a schedule of the number of updates already made.
      learning_rate: that of `scale_by_learning_rate`, a number or a schedule. If one of the two is
        negative, :math:`1 + lr_t\, weight\_decay_t` must still be positive.
      mask: which parameters decay, as in `add_decayed_weights`. Default None: all.

    State: `count`, int32, if there is a schedule; none for numbers.

    Raises:
      ValueError: a rate is not finite, two numbers give :math:`1 + lr\, weight\_decay \le 0`, trees
        do not match, or `update` is called without parameters.

    Reference: Zhuang et al. 2022, arXiv 2202.00089; Xie et al. 2022, arXiv 2208.06677, for Adan.

    >>> import jax.numpy as jnp
    >>> tx = add_proximal_decay(weight_decay=1.0, learning_rate=0.25)
    >>> params = jnp.array(5.0)
    >>> print(params + tx.update(jnp.array(0.0), tx.init(params), params)[0])
    4.0
    """
    weight_decay = number_or_schedule("weight_decay", weight_decay, "(-inf, inf)")
    learning_rate = number_or_schedule("learning_rate", learning_rate, "(-inf, inf)")
    scheduled = callable(weight_decay) or callable(learning_rate)
    if (
        isinstance(weight_decay, float)
        and isinstance(learning_rate, float)
        and weight_decay * learning_rate <= -1
    ):
        raise ValueError(
            "1 + learning_rate * weight_decay must be positive, got "
            f"learning_rate {learning_rate} and weight_decay {weight_decay}"
        )

    def init(params):
        return AddProximalDecayState(numerics.count_zero()) if scheduled else optax.EmptyState()

    def update(updates, state, params=None, **extra):
        require_params("add_proximal_decay", params)
        count = state.count if scheduled else None
        rate = numerics.at_step(learning_rate, count)
        decay = numerics.at_step(weight_decay, count)

        def leaf(u, p):
            p = jnp.asarray(p, numerics.compute_dtype(p))
            u, r = jnp.asarray(u, p.dtype), jnp.asarray(rate, p.dtype) * jnp.asarray(decay, p.dtype)
            return numerics.saturate(u / (1 + r) - r / (1 + r) * p, source=u)

        shrunk = map_leaves(leaf, updates=updates, parameters=params)
        if scheduled:
            state = AddProximalDecayState(numerics.count_next(state.count))
        return trees.cast_updates(shrunk, updates, params), state

    tx = Transformation(init, update)
    return tx if mask is None else masked(tx, mask)
