"""SGD: gradient descent, with momentum or without."""

import optax

from adaptive_jax.algebra import chain
from adaptive_jax.registry import register
from adaptive_jax.stages import moments
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import Scalar, ScalarOrSchedule
from adaptive_jax.validation import number_or_schedule

__all__ = ["sgd"]


@register(
    "gradient descent, with momentum if wanted",
    reference="Polyak 1964",
    learning_rate=(0.001, 1.0),
)
def sgd(
    learning_rate: ScalarOrSchedule = 0.01,
    momentum: ScalarOrSchedule | None = None,
    nesterov: bool = False,
    dampening: Scalar | None = None,
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
      dampening: reduces the weight of new gradients in the momentum. Default None: no
        dampening, as in PyTorch. Not allowed together with `ema`.
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
    rate = scale_by_learning_rate(learning_rate)
    if momentum is None:
        return chain(rate)
    momentum = number_or_schedule("momentum", momentum, "[0, 1]")
    return chain(moments.momentum(momentum, nesterov, dampening, ema), rate)
