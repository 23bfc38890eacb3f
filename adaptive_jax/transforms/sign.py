"""Sign descent: every coordinate moves by the same amount."""

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, constructor


@constructor
def scale_by_sign() -> Preconditioner:
    """Replaces the gradient by its sign, :math:`u_t = g_t / |g_t|`, and 0 by 0.

    This is RMSprop with :math:`v_t = g_t^2`. Complex gradients keep their phase. As a
    Preconditioner, the sign is the direction and the scale is 1, so that the result is exact.
    There are no hyperparameters.

    State: none.

    Raises:
      ValueError: gradients are not floating-point or complex.

    Reference: Bernstein et al. 2018, arXiv 1802.04434.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_sign()
    >>> print(tx.update(jnp.array([3e-38, -1e38, 0.0]), tx.init(jnp.zeros(3)))[0])
    [ 1. -1.  0.]
    """

    def step(grads, state, params=None, **extra):
        grads = trees.as_computed(grads)
        scale = jax.tree.map(lambda g: jnp.ones_like(g, numerics.real_dtype(g)), grads)
        return Step(jax.tree.map(jnp.sign, grads), scale, state)

    return Preconditioner(optax.init_empty_state, step)
