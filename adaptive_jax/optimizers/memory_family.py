"""Adaptive methods whose second moment needs less memory than the parameters."""

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
    r"""Adafactor: a factored second moment, and steps relative to the parameters.

    .. math::
        p_t = p_{t-1} - \rho_t \big(\max(\epsilon_2, RMS(p_{t-1}))\, u_t
              + weight\_decay\, p_{t-1}\big)

    where :math:`u_t` is the gradient over its factored root mean square, shrunk where its own
    root mean square exceeds `max_rms`, and :math:`\rho_t = \min(lr, 1/\sqrt t)`. The defaults are
    the paper's; Keras's differ in the learning rate (1e-3), PyTorch's in the place of eps. Leave
    stages out in a chain of your own: `scale_by_param_rms` for steps of absolute size, or
    `relative_step` for a learning rate that is not capped.

    Args:
      learning_rate: relative to the parameters' size; the cap in `relative_step`.
      decay_exponent, eps: as in `scale_by_factored_rms`.
      max_rms: as in `clip_by_block_rms` (the paper's d).
      min_param_rms: the `min_rms` of `scale_by_param_rms` (the paper's ε2).
      momentum: decay of a moving mean of the steps before the learning rate; None (paper): no
        such mean and no state for it. The authors' code averages after the learning rate, which
        is the same as long as that is constant.
      weight_decay, mask: as in `add_decayed_weights`; not relative to the parameters' size.

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
    r"""SM3: :math:`p_t = p_{t-1} - lr\, m_t`, m the moving mean of :math:`g_t / \sqrt{\nu_t}`.

    :math:`\nu_t` bounds the sum of squares from what is kept of rows and columns, as described at
    `scale_by_sm3`, which `eps_root` is of. `momentum` is the decay of that mean, by default as in
    the paper's experiments and its authors' code; None leaves it out. The paper tunes the
    `learning_rate` of `scale_by_learning_rate`, with a warm-up; its default is the one of
    pytorch_optimizer.

    Raises:
      ValueError: as `scale_by_sm3`, `momentum` and `scale_by_learning_rate` raise.

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
