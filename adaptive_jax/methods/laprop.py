"""LaProp: momentum of gradients that are normalized first."""

from typing import NamedTuple

import jax
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Transformation, chain, constructor
from adaptive_jax.registry import register
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import Scalar, ScalarOrSchedule, Updates
from adaptive_jax.validation import number

__all__ = ["ScaleByLapropState", "laprop", "scale_by_laprop"]


class ScaleByLapropState(NamedTuple):
    """The number of updates made, the mean normalized gradient, and the mean squared gradient."""

    count: jax.Array
    mu: Updates
    nu: Updates


@constructor
def scale_by_laprop(
    b1: Scalar = 0.9, b2: Scalar = 0.999, eps: Scalar = 1e-15
) -> optax.GradientTransformationExtraArgs:
    r"""Replaces the gradient by a mean of gradients, each divided by its step's second moment.

    .. math::
        v_t &= b_2 v_{t-1} + (1 - b_2) |g_t|^2 \\
        m_t &= b_1 m_{t-1} + (1 - b_1)\, g_t \Big/
               \left(\sqrt{\frac{v_t}{1 - b_2^t}} + eps\right), \qquad
        u_t = \frac{m_t}{1 - b_1^t}

    No step is longer than :math:`1/\sqrt{1 - b_2}`, whatever `b1` is; Adam's can be, because it
    divides old gradients by a new root. The mean is of gradients that are already divided, so
    direction and scale cannot be separated: this is not a Preconditioner. (`scale_by_adam(b1=0)`
    is one: a ScaleModifier can follow it, before `momentum(ema=True)`.)

    The learning rate multiplies the mean, as in the paper. The authors' code multiplies each
    gradient by the learning rate of its own step, which differs only while the rate changes.

    Args:
      b1: decay rate of the mean, in [0, 1). Default 0.9 (authors' code).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (authors' code).
      eps: added to the corrected root, not negative. Default 1e-15 (authors' code).

    State: `count` int32, `mu` in the parameters' shapes and `nu` real, both float32 or wider.

    Raises:
      ValueError: a hyperparameter is out of range, or trees do not match.

    Reference: Ziyin, Wang & Ueda 2020, arXiv 2002.04839.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_laprop(b1=0.5)
    >>> state = tx.init(jnp.zeros(()))
    >>> for grad in (100.0, 0.0):
    ...     update, state = tx.update(jnp.array(grad), state)
    >>> print(update.round(3))  # Adam divides by a root that has halved: 0.471
    0.333
    """
    b1, b2 = number("b1", b1, "[0, 1)"), number("b2", b2, "[0, 1)")
    eps = number("eps", eps, "[0, inf)")

    def init(params):
        return ScaleByLapropState(
            numerics.count_zero(), trees.zeros_like(params), trees.real_full_like(params)
        )

    def update(updates, state, params=None, **extra):
        grads = trees.squarable(updates, state.nu)
        count = numerics.count_next(state.count)
        correction1 = numerics.bias_correction(b1, count)
        correction2 = numerics.bias_correction(b2, count)
        nu = trees.ema(state.nu, jax.tree.map(numerics.abs_square, grads), b2)
        grads = trees.squarable(trees.again(updates), state.nu)

        def momentum(m, g, v):
            scale = numerics.inverse_root(v / correction2.astype(v.dtype), eps, 0.0)
            return numerics.ema(m, g * scale.astype(g.dtype), b1)

        mu = jax.tree.map(momentum, state.mu, grads, nu)
        mean = jax.tree.map(lambda m: m / correction1.astype(m.dtype), mu)
        return trees.cast_updates(mean, updates, params), ScaleByLapropState(count, mu, nu)

    return Transformation(init, update)


@register(
    "momentum of gradients that are normalized first",
    reference="arXiv 2002.04839",
    learning_rate=(0.0001, 0.1),
)
def laprop(
    learning_rate: ScalarOrSchedule = 4e-4,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-15,
) -> optax.GradientTransformationExtraArgs:
    r"""LaProp: momentum of gradients, each divided by the second moment of its own step.

    .. math::
        p_t = p_{t-1} - lr\, \frac{m_t}{1 - b_1^t}, \qquad
        m_t = b_1 m_{t-1} + (1 - b_1)\, \frac{g_t}{\sqrt{\hat v_t} + eps}

    with :math:`\hat v_t` the bias-corrected moving mean of squared gradients.

    Args:
      learning_rate: step size, a number or a schedule of the number of updates already made.
        Default 4e-4 (authors' code).
      b1: decay rate of the momentum, in [0, 1). Default 0.9 (authors' code).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (authors' code).
      eps: added to the corrected root, not negative. Default 1e-15 (authors' code).

    Raises:
      ValueError: a hyperparameter is out of range, or trees do not match.

    Reference: Ziyin, Wang & Ueda 2020, arXiv 2002.04839.

    >>> import jax.numpy as jnp
    >>> tx = laprop(0.1)
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(jnp.zeros(2)))[0].round(3))
    [-0.1  0.1]
    """
    return chain(scale_by_laprop(b1, b2, eps), scale_by_learning_rate(learning_rate))
