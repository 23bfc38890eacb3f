"""RMSprop: the gradient over the root of the mean of recent squared gradients."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from adaptive_jax import numerics
from adaptive_jax.transforms import trees
from adaptive_jax.transforms.preconditioner import Preconditioner
from adaptive_jax.typing import Scalar, Updates
from adaptive_jax.validation import number


class ScaleByRmsState(NamedTuple):
    """The mean squared gradient."""

    nu: Updates


class ScaleByCenteredRmsState(NamedTuple):
    """The mean gradient and the mean squared gradient."""

    mu: Updates
    nu: Updates


class ScaleByCorrectedRmsState(NamedTuple):
    """Updates made and the mean squared gradient."""

    count: jax.Array
    nu: Updates


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
            return ScaleByCenteredRmsState(trees.zeros_like(params), nu)
        return ScaleByRmsState(nu)

    def accumulate(grads, state, params, **extra):
        grads = trees.squarable(grads, state.nu)
        nu = jax.tree.map(
            lambda v, g: numerics.ema(v, numerics.abs_square(g), decay), state.nu, grads
        )
        if bias_correction:
            return ScaleByCorrectedRmsState(numerics.count_next(state.count), nu)
        if centered:
            mu = jax.tree.map(lambda m, g: numerics.ema(m, g, decay), state.mu, grads)
            return ScaleByCenteredRmsState(mu, nu)
        return ScaleByRmsState(nu)

    def factor(grads, state):
        spread = jax.tree.map(_variance, state.nu, state.mu) if centered else state.nu
        if bias_correction:
            correction = numerics.bias_correction(decay, state.count)
            spread = jax.tree.map(lambda v: v / correction.astype(v.dtype), spread)
        scale = jax.tree.map(lambda v: numerics.inverse_root(v, eps, eps_root), spread)
        return trees.squarable(grads, state.nu), scale

    return Preconditioner(init, accumulate, factor)


def _variance(nu, mu):
    return jnp.maximum(nu - numerics.abs_square(mu), 0)
