"""Adadelta: steps measured in units of the steps before them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from adaptive_jax import numerics
from adaptive_jax.transforms import trees
from adaptive_jax.transforms.preconditioner import Preconditioner
from adaptive_jax.typing import Scalar, Updates
from adaptive_jax.validation import number


class ScaleByAdadeltaState(NamedTuple):
    """Means of the squared gradients and of the squared steps."""

    mean_square_grad: Updates
    mean_square_step: Updates


def scale_by_adadelta(rho: Scalar = 0.95, eps: Scalar = 1e-6) -> Preconditioner:
    r"""Multiplies the gradient by the ratio of root mean squares of past steps and gradients.

    .. math::
        v_t = \rho v_{t-1} + (1 - \rho) |g_t|^2, \qquad
        u_t = \sqrt{\frac{d_{t-1} + eps}{v_t + eps}}\, g_t, \qquad
        d_t = \rho d_{t-1} + (1 - \rho) |u_t|^2

    Args:
      rho: decay rate in [0, 1]; 0.95 in the paper and Keras, 0.9 in PyTorch.
      eps: positive; sets the size of the first steps. 1e-6 in the paper and PyTorch, 1e-7 in
        Keras.

    State: `mean_square_grad` (v) and `mean_square_step` (d), real, in the parameters' shapes,
    float32 or wider.

    Raises:
      ValueError: a hyperparameter is out of range, or trees do not match.

    Reference: Zeiler 2012, arXiv 1212.5701.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_adadelta()
    >>> updates, state = tx.update(jnp.array([1.0, -100.0]), tx.init(jnp.zeros(2)))
    >>> print(updates.round(5))
    [ 0.00447 -0.00447]
    """
    rho, eps = number("rho", rho, "[0, 1]"), number("eps", eps, "(0, inf)")

    def init(params):
        return ScaleByAdadeltaState(trees.real_full_like(params), trees.real_full_like(params))

    def accumulate(grads, state, params, **extra):
        grads = trees.squarable(grads, state.mean_square_grad)
        nu = jax.tree.map(
            lambda v, g: numerics.ema(v, numerics.abs_square(g), rho),
            state.mean_square_grad,
            grads,
        )
        delta = jax.tree.map(_mean_square_step(rho, eps), state.mean_square_step, nu, grads)
        return ScaleByAdadeltaState(nu, delta)

    def factor(grads, state):
        grads = trees.squarable(grads, state.mean_square_grad)
        scale = jax.tree.map(
            _scale(rho, eps), state.mean_square_step, state.mean_square_grad, grads
        )
        return grads, scale

    return Preconditioner(init, accumulate, factor)


def _mean_square_step(rho, eps):
    def leaf(d, v, g):
        e = jnp.asarray(eps, d.dtype)
        return numerics.ema(d, numerics.abs_square(g) / (v + e) * (d + e), rho)

    return leaf


def _scale(rho, eps):
    """The ratio of the two roots, from the state after the step.

    The step is measured by d before it, the state holds d after it. But
    d' + ρ·eps = (d + eps)·(ρ + (1 − ρ)·|g|²/(v + eps)), so the ratio (d + eps)/(v + eps) is
    (d' + ρ·eps) / (ρ·(v + eps) + (1 − ρ)·|g|²): positive terms only, and no third state.
    """

    def leaf(d, v, g):
        r, e = jnp.asarray(rho, d.dtype), jnp.asarray(eps, d.dtype)
        below = r * (v + e) + jnp.asarray(1 - rho, d.dtype) * numerics.abs_square(g)
        return numerics.root(d + r * e) / numerics.root(below)

    return leaf
