"""The parameters to evaluate a model at."""

import jax
import optax

from adaptive_jax import trees
from adaptive_jax.typing import Params, State
from adaptive_jax.wrappers.schedule_free import ScheduleFreeState, schedule_free_params

__all__ = ["evaluation_params", "has_schedule_free_average"]


def has_schedule_free_average(state: State) -> bool:
    """Returns whether a state contains a Schedule-Free average of this library or of Optax.

    >>> from adaptive_jax import sgd
    >>> has_schedule_free_average(sgd(0.1).init(1.0))
    False
    """
    return bool(_schedule_free_states(state))


def _schedule_free_states(state):
    return trees.nodes_of((ScheduleFreeState, optax.contrib.ScheduleFreeState), state)


def evaluation_params(state: State, params: Params) -> Params:
    """The parameters to evaluate a model at: Schedule-Free averages where there are some.

    They are found wherever they lie in the state, and may be of a part of the parameters.

    Args:
      state: the optimizer's, or any that contains it.
      params: the ones that are trained.

    >>> import jax.numpy as jnp
    >>> params = jnp.array(1.0)
    >>> tx = optax.chain(optax.clip(1.0), optax.contrib.schedule_free_sgd(0.1))
    >>> state = tx.init(params)
    >>> for _ in range(2):
    ...     updates, state = tx.update(params, state, params)
    ...     params = optax.apply_updates(params, updates)
    >>> print(f"{params:.4f} {evaluation_params(state, params):.4f}")
    0.8505 0.8550
    """

    def is_hidden(x):
        return isinstance(x, optax.MaskedNode)

    for each in _schedule_free_states(state):
        ours = isinstance(each, ScheduleFreeState)
        averaged = schedule_free_params if ours else optax.contrib.schedule_free_eval_params
        part = jax.tree.map(
            lambda z, p: z if is_hidden(z) else p, each.z, params, is_leaf=is_hidden
        )
        params = jax.tree.map(
            lambda x, p: p if is_hidden(x) else x.astype(p.dtype),
            averaged(each, part),
            params,
            is_leaf=is_hidden,
        )
    return params
