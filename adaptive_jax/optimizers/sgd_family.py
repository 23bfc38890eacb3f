"""Gradient descent: plain or with momentum, and by the sign of the gradient or of a momentum."""

import optax

from adaptive_jax import transforms
from adaptive_jax.algebra import constructor
from adaptive_jax.typing import PyTree, Scalar, ScalarOrSchedule
from adaptive_jax.validation import number_or_schedule


@constructor
def sgd(
    learning_rate: ScalarOrSchedule = 0.01,
    momentum: ScalarOrSchedule | None = None,
    nesterov: bool = False,
    dampening: Scalar = 0.0,
    ema: bool = False,
) -> optax.GradientTransformationExtraArgs:
    r"""Stochastic gradient descent, optionally with momentum.

    .. math::
        p_t = p_{t-1} - lr\, m_t, \qquad
        m_t = momentum\, m_{t-1} + (1 - dampening)\, g_t, \qquad m_1 = g_1

    Without momentum :math:`m_t = g_t`, and there is no state for it. Nesterov's form and the moving
    mean are given at `adaptive_jax.momentum`.

    Args:
      learning_rate: step size, a number or a schedule of the number of updates already made.
        Default 0.01 (Keras).
      momentum: decay rate in [0, 1], a number or a schedule. Default None: no momentum, as in
        PyTorch and Keras.
      nesterov: step along :math:`momentum\, m_t + g_t`. Default False (PyTorch, Keras).
      dampening: reduces the weight of new gradients in the momentum. Default 0 (PyTorch). Not
        allowed together with `ema`.
      ema: use the moving mean :math:`m_t = momentum\, m_{t-1} + (1 - momentum)\, g_t`, starting
        at 0, in place of the sum. Default False: the sum, as in PyTorch and Keras.

    Raises:
      ValueError: a hyperparameter is out of range, both `ema` and `dampening` are given, or trees
        do not match.

    Reference: Robbins & Monro 1951, doi 10.1214/aoms/1177729586; Polyak 1964.

    >>> import jax.numpy as jnp
    >>> tx = sgd(0.1, momentum=0.9)
    >>> print(tx.update(jnp.array(1.0), tx.init(jnp.zeros(())))[0])
    -0.1
    """
    rate = transforms.scale_by_learning_rate(learning_rate)
    if momentum is None:
        return transforms.chain(rate)
    momentum = number_or_schedule("momentum", momentum, "[0, 1]")
    return transforms.chain(transforms.momentum(momentum, nesterov, dampening, ema), rate)


@constructor
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
    return transforms.chain(
        transforms.scale_by_sign(), transforms.scale_by_learning_rate(learning_rate)
    )


@constructor
def lion(
    learning_rate: ScalarOrSchedule = 1e-4,
    b1: Scalar = 0.9,
    b2: Scalar = 0.99,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: PyTree | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Lion: the sign of a mean of gradients, with decoupled weight decay.

    .. math::
        p_t = p_{t-1} - lr\,\big(\mathrm{sign}(b_1 m_{t-1} + (1 - b_1) g_t)
              + weight\_decay\, p_{t-1}\big), \qquad
        m_t = b_2 m_{t-1} + (1 - b_2) g_t

    Args:
      learning_rate: step size, a number or a schedule of the number of updates already made.
        Default 1e-4 (authors' code). The paper recommends 3 to 10 times less than for AdamW.
      b1: weight of the memory m in the step, in [0, 1]. Default 0.9 (paper, authors' code).
      b2: decay rate of the memory m, in [0, 1]. Default 0.99 (paper, authors' code).
      weight_decay: rate of decoupled decay, a number or a schedule; multiplied by the learning
        rate. Default 0 (authors' code). The paper tunes it, and recommends 3 to 10 times more
        than for AdamW.
      mask: a tree of booleans like the parameters, or a function from the parameters to one:
        which parameters decay. Default None: all.

    Raises:
      ValueError: a hyperparameter is out of range, trees do not match, or `update` is called
        without parameters.

    Reference: Chen et al. 2023, arXiv 2302.06675.

    >>> import jax.numpy as jnp
    >>> tx = lion(0.1, weight_decay=0.5)
    >>> params = jnp.array([2.0, 4.0])
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(params), params)[0].round(3))
    [-0.2 -0.1]
    """
    return transforms.chain(
        transforms.scale_by_lion(b1, b2),
        transforms.add_decayed_weights(weight_decay, mask),
        transforms.scale_by_learning_rate(learning_rate),
    )
