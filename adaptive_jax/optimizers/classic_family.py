"""Methods from before Adam that are no kin of Adagrad: Rprop, averaged SGD and FTRL."""

import optax

from adaptive_jax import transforms
from adaptive_jax.typing import Scalar, ScalarOrSchedule
from adaptive_jax.validation import number


def rprop(
    learning_rate: Scalar = 0.01,
    eta_minus: Scalar = 0.5,
    eta_plus: Scalar = 1.2,
    min_step: Scalar = 1e-6,
    max_step: Scalar = 50.0,
) -> optax.GradientTransformationExtraArgs:
    r"""Rprop: :math:`p_t = p_{t-1} - \Delta_t\,\mathrm{sign}(g_t)` with adapting step sizes.

    `learning_rate` is the first step size, the `initial_step` of `scale_by_rprop`, and no
    schedule, since the step sizes adapt; its default is PyTorch's (0.1 in the paper). The other
    arguments are those of `scale_by_rprop`, with the paper's defaults.

    Reference: Riedmiller & Braun 1993, doi 10.1109/ICNN.1993.298623.

    >>> import jax.numpy as jnp
    >>> tx = rprop(0.1)
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(jnp.zeros(2)))[0])
    [-0.1  0.1]
    """
    learning_rate = number("learning_rate", learning_rate, "(0, inf)")
    return transforms.chain(
        transforms.scale_by_rprop(learning_rate, eta_minus, eta_plus, min_step, max_step),
        transforms.scale_by_learning_rate(1.0),
    )


def ftrl(
    learning_rate: ScalarOrSchedule = 1e-3,
    learning_rate_power: Scalar = -0.5,
    initial_accumulator: Scalar = 0.1,
    l1: Scalar = 0.0,
    l2: Scalar = 0.0,
    l2_shrinkage: Scalar = 0.0,
    beta: Scalar = 0.0,
) -> optax.GradientTransformationExtraArgs:
    r"""FTRL-proximal: Adagrad's learning rates, and with `l1` parameters that are exactly 0.

    This is `ftrl_proximal`, whose arguments it has; the learning rate is part of the formula.
    The defaults are Keras's; the paper has `beta=1` and `initial_accumulator=0`. It forgets the
    initial parameters, so it is no method for networks whose start matters.

    Reference: McMahan et al. 2013, doi 10.1145/2487575.2488200.

    >>> import jax.numpy as jnp
    >>> tx = ftrl(0.1, initial_accumulator=0.0)
    >>> params = jnp.zeros(2)
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(params), params)[0].round(3))
    [-0.1  0.1]
    """
    return transforms.chain(
        transforms.ftrl_proximal(
            learning_rate, learning_rate_power, initial_accumulator, l1, l2, l2_shrinkage, beta
        )
    )
