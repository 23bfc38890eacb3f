"""Adam's kin: another momentum, another second moment, or a correction of its first steps."""

import optax

from adaptive_jax import transforms
from adaptive_jax.typing import Scalar, ScalarOrSchedule


def adamax(
    learning_rate: ScalarOrSchedule = 2e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 0.0,
    eps_grad: Scalar = 0.0,
) -> optax.GradientTransformationExtraArgs:
    r"""Adamax: :math:`p_t = p_{t-1} - lr\, \hat m_t / n_t`, where :math:`n_t` is a maximum.

    Arguments as in `scale_by_adamax`; all defaults are the paper's. PyTorch has
    `eps_grad=1e-8`, Keras `eps=1e-7` and a learning rate of 1e-3.

    Reference: Kingma & Ba 2014, arXiv 1412.6980, Algorithm 2.

    >>> import jax.numpy as jnp
    >>> tx = adamax(0.1)
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(jnp.zeros(2)))[0].round(3))
    [-0.1  0.1]
    """
    return transforms.chain(
        transforms.scale_by_adamax(b1, b2, eps, eps_grad),
        transforms.scale_by_learning_rate(learning_rate),
    )
