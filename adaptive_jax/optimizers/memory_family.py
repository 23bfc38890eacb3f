"""Adaptive methods whose second moment takes less memory than the parameters."""

import optax

from adaptive_jax import transforms
from adaptive_jax.algebra import constructor
from adaptive_jax.typing import PyTree, Scalar, ScalarOrSchedule
from adaptive_jax.validation import number, number_or_schedule


@constructor
def adafactor(
    learning_rate: ScalarOrSchedule = 1e-2,
    decay_exponent: Scalar = 0.8,
    eps: Scalar = 1e-30,
    max_rms: Scalar = 1.0,
    min_param_rms: Scalar = 1e-3,
    momentum: ScalarOrSchedule | None = None,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: PyTree | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Adafactor: a factored second moment, and steps relative to the size of the parameters.

    .. math::
        p_t = p_{t-1} - \rho_t \big(\max(\epsilon_2, RMS(p_{t-1}))\, u_t
              + weight\_decay\, p_{t-1}\big), \qquad \rho_t = \min(lr, 1/\sqrt t)

    where :math:`u_t` is the gradient divided by its factored root mean square, scaled down if its
    own root mean square exceeds `max_rms`. To omit a part, write the chain yourself: without
    `scale_by_param_rms` the size of steps is absolute, and with `scale_by_learning_rate` in place
    of `scale_by_relative_step` the learning rate has no cap.

    Args:
      learning_rate: upper limit of the step size :math:`\rho_t`, a number or a schedule of the
        number of updates already made. Default 1e-2 (paper); Keras has 1e-3.
      decay_exponent: the second moment's decay rate is :math:`1 - t^{-decay\_exponent}`; not
        negative. Default 0.8 (paper, PyTorch, Keras).
      eps: added to the squared gradients, not negative. Default 1e-30 (paper, its ε1; Keras).
        PyTorch adds nothing, and has a lower limit instead: `min_rms` of `scale_by_factored_rms`.
      max_rms: upper limit of the root mean square of each array's :math:`u_t`, positive. Default
        1 (paper, its d).
      min_param_rms: lower limit of the parameters' root mean square (ε2 above), not negative; it
        lets parameters that are 0 move. Default 1e-3 (paper).
      momentum: decay rate in [0, 1] of a moving mean of the steps, a number or a schedule.
        Default None (paper): no such mean and no state for it. The mean is taken before the
        learning rate, in the authors' code after it; with a constant rate the two are the same.
      weight_decay: rate of decoupled decay, a number or a schedule. Multiplied by
        :math:`\rho_t`, not by the size of the parameters. Default 0 (paper: no decay).
      mask: a tree of booleans like the parameters, or a function from the parameters to one:
        which parameters decay. Default None: all.

    Raises:
      ValueError: a hyperparameter is out of range, trees do not match, or `update` is called
        without parameters.

    Reference: Shazeer & Stern 2018, arXiv 1804.04235.

    >>> import jax.numpy as jnp
    >>> tx = adafactor()
    >>> params = jnp.full((2, 2), 3.0)
    >>> grads = jnp.array([[1.0, -1.0], [100.0, 100.0]])
    >>> print(tx.update(grads, tx.init(params), params)[0].round(4))
    [[-0.03  0.03]
     [-0.03 -0.03]]
    """
    min_param_rms = number("min_param_rms", min_param_rms, "[0, inf)")
    stages = [
        transforms.scale_by_factored_rms(decay_exponent, eps),
        transforms.clip_by_block_rms(max_rms),
        transforms.scale_by_param_rms(min_param_rms),
    ]
    if momentum is not None:
        momentum = number_or_schedule("momentum", momentum, "[0, 1]")
        stages.append(transforms.momentum(momentum, ema=True))
    return transforms.chain(
        *stages,
        transforms.add_decayed_weights(weight_decay, mask),
        transforms.scale_by_relative_step(learning_rate),
    )


@constructor
def sm3(
    learning_rate: ScalarOrSchedule = 0.1,
    eps_root: Scalar = 0.0,
    momentum: ScalarOrSchedule | None = 0.9,
) -> optax.GradientTransformationExtraArgs:
    r"""SM3: Adagrad that keeps maxima over rows and columns in place of a sum for every element.

    .. math::
        p_t = p_{t-1} - lr\, m_t, \qquad
        m_t = momentum\, m_{t-1} + (1 - momentum)\, g_t \big/ \sqrt{\nu_t + eps\_root}

    where :math:`\nu_t` is the bound on the sum of squared gradients that `scale_by_sm3` describes.

    Args:
      learning_rate: step size, a number or a schedule of the number of updates already made.
        Default 0.1 (pytorch_optimizer); the paper tunes it, and uses a warm-up.
      eps_root: added under the root, not negative. Default 0 (paper, where 0/0 is 0); the
        authors' code has 1e-30.
      momentum: decay rate in [0, 1] of the moving mean m, a number or a schedule; None leaves it
        out, with its state. Default 0.9 (paper's experiments and authors' code).

    Raises:
      ValueError: a hyperparameter is out of range, or trees do not match.

    Reference: Anil, Gupta, Koren & Singer 2019, arXiv 1901.11150.

    >>> import jax.numpy as jnp
    >>> tx = sm3(0.1, momentum=None)
    >>> params = jnp.zeros((1, 2))
    >>> print(tx.update(jnp.array([[5.0, -1e-3]]), tx.init(params))[0])
    [[-0.1  0.1]]
    """
    stages: list[optax.GradientTransformation] = [transforms.scale_by_sm3(eps_root)]
    if momentum is not None:
        momentum = number_or_schedule("momentum", momentum, "[0, 1]")
        stages.append(transforms.momentum(momentum, ema=True))
    return transforms.chain(*stages, transforms.scale_by_learning_rate(learning_rate))
