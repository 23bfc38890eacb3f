"""Adadelta: step sizes from the ratio of past steps to past gradients."""

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, chain, constructor
from adaptive_jax.registry import register
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import Scalar, ScalarOrSchedule
from adaptive_jax.validation import number

__all__ = ["adadelta", "scale_by_adadelta"]


@constructor
def scale_by_adadelta(rho: Scalar = 0.95, eps: Scalar = 1e-6) -> Preconditioner:
    r"""Multiplies gradients by the root mean square of past steps over that of past gradients.

    .. math::
        v_t = \rho v_{t-1} + (1 - \rho) |g_t|^2, \qquad
        u_t = \sqrt{\frac{d_{t-1} + eps}{v_t + eps}}\, g_t, \qquad
        d_t = \rho d_{t-1} + (1 - \rho) |u_t|^2

    Args:
      rho: decay rate of both averages, in [0, 1]. Default 0.95 (paper, Keras); 0.9 in PyTorch.
      eps: added to both averages, positive; sets the size of the first steps. Default 1e-6 (paper,
        PyTorch); 1e-7 in Keras.

    State: `optax.ScaleByAdaDeltaState` with `e_g` (:math:`v_t`) and `e_x` (:math:`d_t`), real, in
    the shapes of the parameters, in float32 or wider.

    Raises:
      ValueError: a hyperparameter is out of range, or the trees passed to `update` do not match.

    Reference: Zeiler 2012, arXiv 1212.5701.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_adadelta()
    >>> updates, state = tx.update(jnp.array([1.0, -100.0]), tx.init(jnp.zeros(2)))
    >>> print(updates.round(5))
    [ 0.00447 -0.00447]
    """
    rho, eps = number("rho", rho, "[0, 1]"), number("eps", eps, "(0, inf)")

    def init(params):
        e_g, e_x = trees.real_full_like(params), trees.real_full_like(params)
        return optax.ScaleByAdaDeltaState(e_g, e_x)

    def step(grads, state, params=None, **extra):
        squarable = trees.squarable(grads, state.e_g)
        e_g = trees.ema(state.e_g, jax.tree.map(numerics.abs_square, squarable), rho)
        e_x = jax.tree.map(_mean_square_step(rho, eps), state.e_x, e_g, squarable)
        direction = trees.squarable(trees.again(grads), e_g)
        scale = jax.tree.map(_scale(rho, eps), e_x, e_g, direction)
        return Step(direction, scale, optax.ScaleByAdaDeltaState(e_g, e_x))

    return Preconditioner(init, step, first_order=(), squares=("e_g", "e_x"))


@register(
    "steps measured in units of the steps before them",
    reference="arXiv 1212.5701",
    learning_rate=(0.1, 100.0),
)
def adadelta(
    learning_rate: ScalarOrSchedule = 1.0, rho: Scalar = 0.95, eps: Scalar = 1e-6
) -> optax.GradientTransformationExtraArgs:
    r"""Adadelta: step sizes from the ratio of past steps to past gradients.

    .. math::
        p_t = p_{t-1} - lr\, u_t, \qquad u_t = \sqrt{\frac{d_{t-1} + eps}{v_t + eps}}\, g_t

    with the moving averages :math:`v_t` of squared gradients and :math:`d_t` of squared steps
    :math:`|u_t|^2`. Steps have the units of the parameters, so the learning rate has no unit.

    Args:
      learning_rate: factor of all steps, a number or a schedule. Default 1 (PyTorch; the paper has
        no learning rate); 1e-3 in Keras.
      rho: decay rate of both averages, in [0, 1]. Default 0.95 (paper, Keras); 0.9 in PyTorch.
      eps: added to both averages, positive; sets the size of the first steps. Default 1e-6 (paper,
        PyTorch); 1e-7 in Keras.

    State: a tuple whose first entry is an `optax.ScaleByAdaDeltaState` (see `scale_by_adadelta`).

    Raises:
      ValueError: a hyperparameter is out of range, or the trees passed to `update` do not match.

    Reference: Zeiler 2012, arXiv 1212.5701.

    >>> import jax.numpy as jnp
    >>> tx = adadelta()
    >>> print(tx.update(jnp.array([5.0, -5.0]), tx.init(jnp.zeros(2)))[0].round(5))
    [-0.00447  0.00447]
    """
    return chain(scale_by_adadelta(rho, eps), scale_by_learning_rate(learning_rate))


def _mean_square_step(rho, eps):
    def leaf(d, v, g):
        e = jnp.asarray(eps, d.dtype)
        return numerics.ema(d, numerics.abs_square(g) / (v + e) * (d + e), rho)

    return leaf


def _scale(rho, eps):
    """The ratio of the two roots, computed from the new state, so that XLA does not copy d.

    The update is defined by d before the step. But
    d' + ρ·eps = (d + eps)·(ρ + (1 − ρ)·|g|²/(v + eps)), so the ratio (d + eps)/(v + eps) is
    (d' + ρ·eps) / (ρ·(v + eps) + (1 − ρ)·|g|²), in which all terms are positive.
    """

    def leaf(d, v, g):
        r, e = jnp.asarray(rho, d.dtype), jnp.asarray(eps, d.dtype)
        below = r * (v + e) + jnp.asarray(1 - rho, d.dtype) * numerics.abs_square(g)
        return numerics.root(d + r * e) / numerics.root(below)

    return leaf
