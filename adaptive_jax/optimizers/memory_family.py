"""Adaptive methods whose second moment needs less memory than the parameters."""

import optax

from adaptive_jax import transforms
from adaptive_jax.typing import Scalar, ScalarOrSchedule
from adaptive_jax.validation import number_or_schedule


def sm3(
    learning_rate: ScalarOrSchedule = 0.1,
    eps_root: Scalar = 0.0,
    momentum: ScalarOrSchedule = 0.9,
) -> optax.GradientTransformationExtraArgs:
    r"""SM3: :math:`p_t = p_{t-1} - lr\, m_t`, m the moving mean of :math:`g_t / \sqrt{\nu_t}`.

    :math:`\nu_t` bounds the sum of squares from what is kept of rows and columns, as described at
    `scale_by_sm3`. `momentum` is the decay of that mean, as in the paper's experiments and its
    authors' code; with 0 there is none, and no state for it. The paper tunes the learning rate
    with a warm-up.

    Reference: Anil, Gupta, Koren & Singer 2019, arXiv 1901.11150.

    >>> import jax.numpy as jnp
    >>> tx = sm3(0.1, momentum=0.0)
    >>> params = jnp.zeros((1, 2))
    >>> print(tx.update(jnp.array([[5.0, -1e-3]]), tx.init(params))[0])
    [[-0.1  0.1]]
    """
    stages = [transforms.scale_by_sm3(eps_root)]
    momentum = number_or_schedule("momentum", momentum, "[0, 1]")
    if not (isinstance(momentum, float) and momentum == 0):
        stages.append(transforms.momentum(momentum, ema=True))
    return transforms.chain(*stages, transforms.scale_by_learning_rate(learning_rate))
