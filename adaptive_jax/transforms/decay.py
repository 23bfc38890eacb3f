"""Weight decay: a pull of the parameters towards 0."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics
from adaptive_jax.transforms import trees
from adaptive_jax.typing import PyTree, ScalarOrSchedule
from adaptive_jax.validation import map_leaves, number_or_schedule, require_params


class AddDecayedWeightsState(NamedTuple):
    """Updates made, which a schedule of the rate is read at."""

    count: jax.Array


def add_decayed_weights(
    weight_decay: ScalarOrSchedule, mask: PyTree | None = None
) -> optax.GradientTransformationExtraArgs:
    r"""Adds the parameters times a rate: :math:`u_t = g_t + weight\_decay_t\, p_{t-1}`.

    The place in the chain decides what it is. First, before the adaptive stage: coupled decay,
    an L2 penalty (PyTorch's Adam and SGD). Just before `scale_by_learning_rate`: decoupled
    decay times the learning rate (AdamW).

    Args:
      weight_decay: not negative; a number or a schedule of the number of updates already made.
      mask: a tree of booleans like the parameters (or a prefix of it), or a function from the
        parameters to one; only leaves with True decay. Commonly
        `lambda params: jax.tree.map(lambda p: p.ndim > 1, params)`: no decay of biases.

    State: `count`, int32, for a schedule; none for a number.

    Raises:
      ValueError: the rate is negative or not finite, or `update` is called without parameters.

    Reference: Loshchilov & Hutter 2019, arXiv 1711.05101.

    >>> import jax.numpy as jnp
    >>> tx = add_decayed_weights(0.1)
    >>> params = jnp.array(5.0)
    >>> print(tx.update(jnp.array(1.0), tx.init(params), params)[0])
    1.5
    """
    weight_decay = number_or_schedule("weight_decay", weight_decay, "[0, inf)")

    def init(params):
        if callable(weight_decay):
            return AddDecayedWeightsState(numerics.count_zero())
        return optax.EmptyState()

    def update(updates, state, params=None, **extra):
        require_params("add_decayed_weights", params)
        if callable(weight_decay):
            rate = numerics.at_step(weight_decay, state.count)
            state = AddDecayedWeightsState(optax.safe_increment(state.count))
        else:
            rate = weight_decay

        def leaf(g, p):
            p = jnp.asarray(p, numerics.compute_dtype(p))
            g = jnp.asarray(g, p.dtype)
            return numerics.saturate(g + jnp.asarray(rate, p.dtype) * p, source=g)

        decayed = map_leaves(leaf, gradients=updates, parameters=params)
        return trees.cast_updates(decayed, updates, params), state

    tx = optax.GradientTransformationExtraArgs(init, update)
    return tx if mask is None else optax.masked(tx, mask)
