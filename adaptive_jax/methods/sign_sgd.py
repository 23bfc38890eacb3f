"""Sign descent: every coordinate moves by the same amount."""

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, chain, constructor
from adaptive_jax.registry import register
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import ScalarOrSchedule

__all__ = ["scale_by_sign", "sign_sgd"]


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


@register(
    "the gradient's sign: every coordinate moves as far",
    reference="arXiv 1802.04434",
    learning_rate=(1e-05, 0.01),
)
def sign_sgd(learning_rate: ScalarOrSchedule = 1e-3) -> optax.GradientTransformationExtraArgs:
    r"""Gradient descent by the sign of the gradient.

    .. math::
        p_t = p_{t-1} - lr\,\mathrm{sign}(g_t)

    Args:
      learning_rate: distance that every coordinate moves, in the units of the parameters; a
        number or a schedule of the number of updates already made. Default 1e-3 (that of Adam,
        whose steps have the same size).

    Raises:
      ValueError: the learning rate is not finite, or gradients are not floating-point or complex.

    Reference: Bernstein et al. 2018, arXiv 1802.04434.

    >>> import jax.numpy as jnp
    >>> tx = sign_sgd(0.1)
    >>> print(tx.update(jnp.array([5.0, -1e-9]), tx.init(jnp.zeros(2)))[0])
    [-0.1  0.1]
    """
    return chain(scale_by_sign(), scale_by_learning_rate(learning_rate))
