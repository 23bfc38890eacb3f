"""RMSprop: gradients divided by the root of a moving average of their squares."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, chain, constructor
from adaptive_jax.registry import register
from adaptive_jax.stages import moments
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import Scalar, ScalarOrSchedule, Updates
from adaptive_jax.validation import number, number_or_schedule

__all__ = ["ScaleByCorrectedRmsState", "rmsprop", "scale_by_rms"]


class ScaleByCorrectedRmsState(NamedTuple):
    """State of `scale_by_rms` with bias correction: updates so far, and the mean square `nu`."""

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
    r"""Divides gradients by the root of a moving average of their squares.

    .. math::
        v_t = decay\, v_{t-1} + (1 - decay) |g_t|^2, \qquad
        u_t = g_t / (\sqrt{v_t + eps\_root} + eps)

    With `centered`, :math:`v_t - |m_t|^2` replaces :math:`v_t` under the root, where
    :math:`m_t = decay\, m_{t-1} + (1 - decay) g_t`. This variance is clipped at 0, since rounding
    can make it negative.

    Args:
      decay: decay rate of the averages, in [0, 1], or in [0, 1) with `bias_correction`. Default 0.9
        (lecture, Keras); 0.99 in PyTorch.
      eps: added to the root, not negative. Default 1e-8 (PyTorch).
      eps_root: added under the root, not negative; Keras has 1e-7 here and `eps=0`. Default 0
        (PyTorch).
      centered: whether to divide by the standard deviation of the gradient in place of its root
        mean square (Graves 2013). Default False (PyTorch, Keras).
      initial_accumulator: :math:`v_0`, not negative. Default 0 (PyTorch, Keras).
      bias_correction: whether to divide :math:`v_t` by :math:`1 - decay^t`, as in Adam; not with
        `centered`. Default False (PyTorch, Keras).

    State: `optax.ScaleByRmsState` with `nu`, real, in the shapes of the parameters, in float32 or
    wider. With `centered`, `optax.ScaleByRStdDevState`, which also has `mu`. With
    `bias_correction`, `ScaleByCorrectedRmsState`, which also has `count` (int32).

    Raises:
      ValueError: a hyperparameter is out of range, `centered` and `bias_correction` are both True,
        or the trees passed to `update` do not match.

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
        raise ValueError(
            "scale_by_rms does not support bias_correction=True with centered=True: "
            "set one of them to False"
        )

    def init(params):
        nu = trees.real_full_like(params, initial_accumulator)
        if bias_correction:
            return ScaleByCorrectedRmsState(numerics.count_zero(), nu)
        if centered:
            return optax.ScaleByRStdDevState(trees.zeros_like(params), nu)
        return optax.ScaleByRmsState(nu)

    def step(grads, state, params=None, **extra):
        squarable = trees.squarable(grads, state.nu)
        nu = trees.ema(state.nu, jax.tree.map(numerics.abs_square, squarable), decay)
        mean_square, new = nu, optax.ScaleByRmsState(nu)
        if bias_correction:
            count = numerics.count_next(state.count)
            correction = numerics.bias_correction(decay, count)
            mean_square = jax.tree.map(lambda v: v / correction.astype(v.dtype), nu)
            new = ScaleByCorrectedRmsState(count, nu)
        if centered:
            mu = trees.ema(state.mu, squarable, decay)
            mean_square = jax.tree.map(_variance, nu, mu)
            new = optax.ScaleByRStdDevState(mu, nu)
        scale = jax.tree.map(lambda v: numerics.inverse_root(v, eps, eps_root), mean_square)
        return Step(trees.squarable(trees.again(grads), nu), scale, new)

    return Preconditioner(init, step)


@register(
    "gradient over the root of its recent mean square",
    reference="Tieleman & Hinton 2012",
    learning_rate=(0.0001, 0.1),
)
def rmsprop(
    learning_rate: ScalarOrSchedule = 1e-3,
    decay: Scalar = 0.9,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    centered: bool = False,
    momentum: ScalarOrSchedule | None = None,
    nesterov: bool = False,
) -> optax.GradientTransformationExtraArgs:
    r"""RMSprop: gradients divided by their root mean square, with optional momentum.

    .. math::
        v_t = decay\, v_{t-1} + (1 - decay)\, |g_t|^2, \qquad
        m_t = momentum\ m_{t-1} + \frac{g_t}{\sqrt{v_t + eps\_root} + eps}, \qquad
        p_t = p_{t-1} - lr\, m_t

    The learning rate multiplies the momentum buffer, as in PyTorch. In Keras it multiplies what
    enters the buffer: `chain(scale_by_rms(), scale_by_learning_rate(1e-3), momentum(0.9))`.

    Args:
      learning_rate: step size, a number or a schedule. Default 1e-3 (Keras); 0.01 in PyTorch.
      decay: decay rate of the mean square, in [0, 1]. Default 0.9 (lecture, Keras); 0.99 in
        PyTorch.
      eps: added to the root, not negative. Default 1e-8 (PyTorch).
      eps_root: added under the root, not negative; Keras has 1e-7 here and `eps=0`. Default 0
        (PyTorch).
      centered: whether to divide by the standard deviation of the gradient in place of its root
        mean square (Graves 2013). Default False (PyTorch, Keras).
      momentum: decay rate of the momentum, in [0, 1], a number or a schedule. Default None: there
        is no momentum (PyTorch, Keras).
      nesterov: whether the momentum is Nesterov's. Default False.

    State: a tuple whose first entry is an `optax.ScaleByRmsState`, or with `centered` an
    `optax.ScaleByRStdDevState` (see `scale_by_rms`); the second is that of `momentum`, if any.

    Raises:
      ValueError: a hyperparameter is out of range, or the trees passed to `update` do not match.

    Reference: Tieleman & Hinton 2012, Coursera lecture 6.5; Graves 2013, arXiv 1308.0850.

    >>> import jax.numpy as jnp
    >>> tx = rmsprop(0.1, decay=0.75)
    >>> print(tx.update(jnp.array([5.0, -5.0]), tx.init(jnp.zeros(2)))[0].round(3))
    [-0.2  0.2]
    """
    stages: list[optax.GradientTransformation] = [scale_by_rms(decay, eps, eps_root, centered)]
    if momentum is not None:
        momentum = number_or_schedule("momentum", momentum, "[0, 1]")
        stages.append(moments.momentum(momentum, nesterov))
    return chain(*stages, scale_by_learning_rate(learning_rate))


def _variance(nu, mu):
    return jnp.maximum(nu - numerics.abs_square(mu), 0)
