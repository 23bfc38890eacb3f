"""Methods from before Adam that are no kin of Adagrad: Rprop, averaged SGD and FTRL."""

import optax

from adaptive_jax import transforms
from adaptive_jax.algebra import constructor
from adaptive_jax.typing import Scalar, ScalarOrSchedule
from adaptive_jax.validation import NO_ASCENT, number


@constructor
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

    Raises:
      ValueError: as `scale_by_rprop` raises.

    Reference: Riedmiller & Braun 1993, doi 10.1109/ICNN.1993.298623.

    >>> import jax.numpy as jnp
    >>> tx = rprop(0.1)
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(jnp.zeros(2)))[0])
    [-0.1  0.1]
    """
    learning_rate = number("learning_rate", learning_rate, "(0, inf)", NO_ASCENT)
    return transforms.chain(
        transforms.scale_by_rprop(learning_rate, eta_minus, eta_plus, min_step, max_step),
        transforms.scale_by_learning_rate(1.0),
    )


@constructor
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

    .. math::
        p_t = -\frac{z_t}{|z_t|}
              \frac{\max(|z_t| - l1,\ 0)}{(beta + n_t^{-learning\_rate\_power}) / lr + l2}

    with the sum n of squared gradients and the z of `ftrl_proximal`, whose arguments it has; the
    learning rate is part of the formula. The defaults are Keras's; the paper has `beta=1` and
    `initial_accumulator=0`. It forgets the initial parameters, so it is no method for networks
    whose start matters, and a zero gradient moves parameters that did not start at 0.

    Raises:
      ValueError: as `ftrl_proximal` raises.

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


@constructor
def asgd(
    learning_rate: ScalarOrSchedule = 0.01,
    lambd: Scalar = 1e-4,
    alpha: Scalar = 0.75,
    t0: Scalar = 1e6,
) -> optax.GradientTransformationExtraArgs:
    r"""Averaged SGD: :math:`p_t = p_{t-1} - \eta_t (g_t + lambd\, p_{t-1})` and the mean of p.

    :math:`\eta_t` is that of `asgd_schedule`, and `averaged_params(state)` reads the mean of the
    parameters since update `t0 + 1`. `lambd` is both the decay of the parameters, which moves them
    also where the gradient is 0, and that of the learning rate, as for a strongly convex
    objective. Defaults are PyTorch's, whose `t0` leaves the mean out in shorter runs: set it to
    where the parameters begin to wander about.
    `learning_rate` and `alpha` as in `asgd_schedule`.

    Raises:
      ValueError: as `asgd_schedule` and `polyak_average` raise.

    Reference: Polyak & Juditsky 1992, doi 10.1137/0330046.

    >>> import jax.numpy as jnp
    >>> from adaptive_jax import averaged_params
    >>> tx = asgd(0.5, t0=0)
    >>> params, state = jnp.array(1.0), tx.init(jnp.array(1.0))
    >>> for grad in (1.0, -1.0, 1.0, -1.0, 1.0):
    ...     update, state = tx.update(jnp.array(grad), state, params)
    ...     params += update
    >>> print(f"{params:.2f} {averaged_params(state):.2f}")
    0.50 0.75
    """
    lambd, t0 = number("lambd", lambd, "[0, inf)"), number("t0", t0, "[0, inf)")
    return transforms.chain(
        transforms.add_decayed_weights(lambd),
        transforms.scale_by_learning_rate(transforms.asgd_schedule(learning_rate, lambd, alpha)),
        transforms.polyak_average(t0 + 1),
    )
