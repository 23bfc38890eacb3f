"""Gradient descent: with momentum, by sign, and by the sign of a momentum."""

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
    r"""Stochastic gradient descent: :math:`p_t = p_{t-1} - lr\, m_t`.

    `momentum` is the decay rate of `adaptive_jax.momentum`; `nesterov`, `dampening` and `ema` are
    passed on to it. With None :math:`m_t = g_t` and there is no state. `learning_rate` is that of
    `scale_by_learning_rate`, its default Keras's; there and in PyTorch there is no momentum by
    default, either.

    Raises:
      ValueError: as `momentum` and `scale_by_learning_rate` raise.

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
    r"""Sign descent: :math:`p_t = p_{t-1} - lr\,\mathrm{sign}(g_t)`.

    Every coordinate moves by the `learning_rate` of `scale_by_learning_rate`, which therefore is
    in the units of the parameters. The default is Adam's, whose steps have the same size.

    Raises:
      ValueError: as `scale_by_sign` and `scale_by_learning_rate` raise.

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
    r"""Lion: :math:`p_t = p_{t-1} - lr\,(\mathrm{sign}(b_1 m_{t-1} + (1 - b_1) g_t) + decay)`.

    Arguments as in `scale_by_lion` and `scale_by_learning_rate`; `weight_decay` and `mask` are
    those of `add_decayed_weights`. The decay, :math:`weight\_decay\, p_{t-1}`, is multiplied by
    the learning rate. All defaults are the authors' code's. The paper tunes the decay, along with
    a learning rate 3 to 10 times smaller, and a decay as much larger, than AdamW's.

    Raises:
      ValueError: as `scale_by_lion`, `add_decayed_weights` and `scale_by_learning_rate` raise.

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
