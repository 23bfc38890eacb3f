"""RMSprop: the gradient over the root of the mean of recent squared gradients."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, constructor
from adaptive_jax.typing import Scalar, Updates
from adaptive_jax.validation import number


class ScaleByCorrectedRmsState(NamedTuple):
    """Updates made and the mean squared gradient."""

    count: jax.Array
    nu: Updates


@constructor
def scale_by_rms(
    decay: Scalar = 0.9,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    centered: bool = False,
    initial_accumulator: Scalar = 0.0,
    bias_correction: bool = False,
) -> Preconditioner:
    r"""Divides the gradient by the root of the moving mean of its squares.

    .. math::
        v_t = decay\, v_{t-1} + (1 - decay) |g_t|^2, \qquad
        u_t = g_t / (\sqrt{v_t + eps\_root} + eps)

    and with `centered`, :math:`v_t - |m_t|^2` for :math:`v_t` under the root, where
    :math:`m_t = decay\, m_{t-1} + (1 - decay) g_t`. That difference is a variance and is kept
    from falling below 0 by rounding.

    Args:
      decay: decay rate in [0, 1]; 0.9 in the lecture and Keras, 0.99 in PyTorch. Below 1 with
        `bias_correction`.
      eps: added to the root, as in PyTorch (1e-8 there).
      eps_root: added under the root, as in Keras (1e-7 there, with `eps=0`).
      centered: divide by the standard deviation instead (Graves 2013).
      initial_accumulator: :math:`v_0`.
      bias_correction: divide :math:`v_t` by :math:`1 - decay^t`, which makes this Adam without
        a first moment. Not with `centered`.

    State: `nu`, real, and with `centered` also `mu`; the parameters' shapes, float32 or wider.
    With `bias_correction` also `count`, int32.

    Raises:
      ValueError: a hyperparameter is out of range, both `centered` and `bias_correction` are
        set, or trees do not match.

    Reference: Tieleman & Hinton 2012, Coursera lecture 6.5; Graves 2013, arXiv 1308.0850.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_rms(decay=0.75)
    >>> updates, state = tx.update(jnp.array([5.0, -0.01]), tx.init(jnp.zeros(2)))
    >>> print(updates.round(3))
    [ 2. -2.]
    """
    decay = number("decay", decay, "[0, 1)" if bias_correction else "[0, 1]")
    eps, eps_root = number("eps", eps, "[0, inf)"), number("eps_root", eps_root, "[0, inf)")
    initial_accumulator = number("initial_accumulator", initial_accumulator, "[0, inf)")

    if centered and bias_correction:
        raise ValueError("scale_by_rms corrects no bias with centered=True")

    def init(params):
        nu = trees.real_full_like(params, initial_accumulator)
        if bias_correction:
            return ScaleByCorrectedRmsState(numerics.count_zero(), nu)
        if centered:
            return optax.ScaleByRStdDevState(trees.zeros_like(params), nu)
        return optax.ScaleByRmsState(nu)

    def step(grads, state, params=None, **extra):
        squarable = trees.squarable(grads, state.nu)
        nu = jax.tree.map(
            lambda v, g: numerics.ema(v, numerics.abs_square(g), decay), state.nu, squarable
        )
        mean_square, new = nu, optax.ScaleByRmsState(nu)
        if bias_correction:
            count = numerics.count_next(state.count)
            correction = numerics.bias_correction(decay, count)
            mean_square = jax.tree.map(lambda v: v / correction.astype(v.dtype), nu)
            new = ScaleByCorrectedRmsState(count, nu)
        if centered:
            mu = jax.tree.map(lambda m, g: numerics.ema(m, g, decay), state.mu, squarable)
            mean_square = jax.tree.map(_variance, nu, mu)
            new = optax.ScaleByRStdDevState(mu, nu)
        scale = jax.tree.map(lambda v: numerics.inverse_root(v, eps, eps_root), mean_square)
        return Step(trees.squarable(trees.again(grads), nu), scale, new)

    return Preconditioner(init, step)


def _variance(nu, mu):
    return jnp.maximum(nu - numerics.abs_square(mu), 0)
