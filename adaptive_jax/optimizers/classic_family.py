"""Rprop, averaged SGD and FTRL-proximal."""

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
    r"""Rprop: steps by the sign of the gradient, with a step size that adapts per coordinate.

    .. math::
        p_t = p_{t-1} - \Delta_t s_t

    where the step size :math:`\Delta_t` grows by `eta_plus` while the gradient keeps its sign and
    shrinks by `eta_minus` when the sign changes, and :math:`s_t` is the sign of the gradient, or 0
    right after a change (see `scale_by_rprop`). Meant for gradients of the whole data set.

    Args:
      learning_rate: initial step size, a positive number in the units of the parameters; not a
        schedule, since step sizes adapt. Default 0.01 (PyTorch); 0.1 in the paper.
      eta_minus: factor by which step sizes shrink, in (0, 1). Default 0.5 (paper, PyTorch).
      eta_plus: factor by which step sizes grow, above 1. Default 1.2 (paper, PyTorch).
      min_step: smallest step size, not negative. Default 1e-6 (paper, PyTorch).
      max_step: largest step size, positive. Default 50 (paper, PyTorch).

    State: a tuple whose first entry is a `ScaleByRpropState` (see `scale_by_rprop`).

    Raises:
      ValueError: a hyperparameter is out of range, `min_step` exceeds `max_step`, or the trees
        passed to `update` do not match.

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
    r"""FTRL-proximal: Adagrad's learning rates, and parameters that `l1` makes exactly 0.

    .. math::
        p_t = -\frac{z_t}{|z_t|}
              \frac{\max(|z_t| - l1,\ 0)}{(beta + n_t^{-learning\_rate\_power}) / lr + l2}

    with the sum :math:`n_t` of squared gradients and the :math:`z_t` of `ftrl_proximal`. The
    initial parameters are soon forgotten: a zero gradient also moves parameters that did not start
    at 0. So it suits linear models, but not networks, whose initialization matters.

    Args:
      learning_rate: positive, a number or a schedule. Default 1e-3 (Keras); the paper tunes it.
      learning_rate_power: exponent of :math:`n_t` in the learning rate, not positive. Default -0.5
        (paper, Keras).
      initial_accumulator: :math:`n_0`, not negative. Default 0.1 (Keras); 0 in the paper.
      l1: strength of the L1 penalty, not negative. Default 0 (Keras).
      l2: strength of the L2 penalty l2·p²/2, not negative; twice Keras's. Default 0 (Keras).
      l2_shrinkage: factor of the parameters that are added to the gradient, but not to its square,
        not negative; twice Keras's. Default 0 (Keras; the paper has none).
      beta: added to the root of :math:`n_t`, not negative. Default 0 (Keras); 1 in the paper.

    State: a tuple whose first entry is an `FtrlState` (see `ftrl_proximal`).

    Raises:
      ValueError: a hyperparameter is out of range, the trees passed to `update` do not match, or
        `update` is called without parameters.

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
    r"""Averaged SGD: SGD with a decaying learning rate and an average of the parameters.

    .. math::
        p_t = p_{t-1} - \eta_t (g_t + lambd\, p_{t-1}), \qquad
        \eta_t = \frac{lr}{(1 + lambd \cdot |lr|\, (t - 1))^{alpha}}

    `averaged_params(state)` returns the average of the parameters after update `t0 + 2` and all
    later ones. Comparisons evaluate the model at the average.

    Args:
      learning_rate: initial learning rate, a number or a schedule. Default 0.01 (PyTorch).
      lambd: both the weight decay, which moves parameters also where the gradient is 0, and the
        decay of the learning rate; not negative. Default 1e-4 (PyTorch).
      alpha: exponent of the learning rate's decay, not negative. Default 0.75 (PyTorch).
      t0: the update after which averaging starts, not negative. Default 1e6 (PyTorch), more than
        most runs have: set it to where the parameters begin to fluctuate around a minimum.

    State: a tuple whose last entry is a `PolyakAverageState` (see `polyak_average`).

    Raises:
      ValueError: a hyperparameter is out of range, the trees passed to `update` do not match, or
        `update` is called without parameters.

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
