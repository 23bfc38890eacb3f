"""Adagrad and its descendants with a finite memory: RMSprop and Adadelta."""

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
    r"""Adagrad: :math:`p_t = p_{t-1} - lr\, g_t / (\sqrt{\sum_{i \le t} g_i^2} + eps)`.

    Arguments as in `scale_by_adagrad` and `scale_by_learning_rate`; all defaults are PyTorch's.

    Raises:
      ValueError: as `scale_by_adagrad` and `scale_by_learning_rate` raise.

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
    r"""Adadelta: steps in units of the steps before, so the learning rate has no unit.

    .. math::
        p_t = p_{t-1} - lr\,\sqrt{\frac{d_{t-1} + eps}{v_t + eps}}\, g_t

    with the means v of squared gradients and d of squared steps. Arguments as in
    `scale_by_adadelta` and `scale_by_learning_rate`. All defaults are the paper's, which has no
    learning rate, that is 1.

    Raises:
      ValueError: as `scale_by_adadelta` and `scale_by_learning_rate` raise.

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
    r"""RMSprop: :math:`p_t = p_{t-1} - lr\, m_t`, m the momentum of :math:`g_t/(\sqrt{v_t}+eps)`.

    Arguments as in `scale_by_rms` and `scale_by_learning_rate`; `momentum` is the decay rate of
    `adaptive_jax.momentum` (None: no such stage), `nesterov` as there. The learning rate
    multiplies the momentum buffer from outside, as in PyTorch; put `scale_by_learning_rate`
    before `momentum` in a chain of your own for Keras's form. The default decay is the lecture's,
    the learning rate Keras's, `eps` PyTorch's.

    Raises:
      ValueError: as `scale_by_rms`, `momentum` and `scale_by_learning_rate` raise.

    Reference: Tieleman & Hinton 2012, Coursera lecture 6.5.

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
