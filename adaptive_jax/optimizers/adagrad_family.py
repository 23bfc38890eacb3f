"""Adagrad, and its descendants that forget old gradients: RMSprop and Adadelta."""

import optax

from adaptive_jax import transforms
from adaptive_jax.algebra import constructor
from adaptive_jax.typing import Scalar, ScalarOrSchedule
from adaptive_jax.validation import number_or_schedule


@constructor
def adagrad(
    learning_rate: ScalarOrSchedule = 0.01,
    initial_accumulator: Scalar = 0.0,
    eps: Scalar = 1e-10,
    eps_root: Scalar = 0.0,
) -> optax.GradientTransformationExtraArgs:
    r"""Adagrad: a learning rate per coordinate that falls with the sum of squared gradients.

    .. math::
        p_t = p_{t-1} - lr\, \frac{g_t}{\sqrt{s_t + eps\_root} + eps}, \qquad
        s_t = s_{t-1} + |g_t|^2

    Args:
      learning_rate: step size, a number or a schedule. Default 0.01 (PyTorch); 1e-3 in Keras.
      initial_accumulator: :math:`s_0`, not negative. Default 0 (paper, PyTorch); 0.1 in Keras.
      eps: added to the root, as in the paper, not negative. Default 1e-10 (PyTorch).
      eps_root: added under the root, not negative; Keras has 1e-7 here and `eps=0`. Default 0
        (paper, PyTorch).

    State: a tuple whose first entry is an `optax.ScaleByRssState` (see `scale_by_adagrad`).

    Raises:
      ValueError: a hyperparameter is out of range, or the trees passed to `update` do not match.

    Reference: Duchi, Hazan & Singer 2011, jmlr.org/papers/v12/duchi11a.html.

    >>> import jax.numpy as jnp
    >>> tx = adagrad(0.1)
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(jnp.zeros(2)))[0].round(3))
    [-0.1  0.1]
    """
    return transforms.chain(
        transforms.scale_by_adagrad(initial_accumulator, eps, eps_root),
        transforms.scale_by_learning_rate(learning_rate),
    )


@constructor
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
    return transforms.chain(
        transforms.scale_by_adadelta(rho, eps), transforms.scale_by_learning_rate(learning_rate)
    )


@constructor
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
    stages: list[optax.GradientTransformation] = [
        transforms.scale_by_rms(decay, eps, eps_root, centered)
    ]
    if momentum is not None:
        momentum = number_or_schedule("momentum", momentum, "[0, 1]")
        stages.append(transforms.momentum(momentum, nesterov))
    return transforms.chain(*stages, transforms.scale_by_learning_rate(learning_rate))
