"""Schedule-Free SGD and AdamW."""

import optax

from adaptive_jax import transforms
from adaptive_jax.algebra import constructor
from adaptive_jax.schedules import linear_warmup
from adaptive_jax.typing import PyTree, Scalar, ScalarOrSchedule
from adaptive_jax.validation import number, number_or_schedule, steps


@constructor
def schedule_free_sgd(
    learning_rate: ScalarOrSchedule = 1.0,
    b1: Scalar = 0.9,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: PyTree | None = None,
    warmup_steps: int = 0,
    weight_lr_power: Scalar = 2.0,
    r: Scalar = 0.0,
) -> optax.GradientTransformationExtraArgs:
    r"""Schedule-Free SGD: SGD that averages its iterates in place of a learning-rate schedule.

    .. math::
        z_t = z_{t-1} - lr\,(g_t + weight\_decay\, y_{t-1}), \qquad
        x_t = (1 - c_t)\, x_{t-1} + c_t z_t, \qquad
        p_t = y_t = (1 - b_1)\, z_t + b_1 x_t

    The weights :math:`c_t` of the average are given at `schedule_free`. Gradients are taken at the
    parameters y; evaluate the model at the average x, `schedule_free_params(state, params)`.

    Args:
      learning_rate: step size, a number or a schedule of the number of updates already made,
        which need not decrease; larger than for SGD. Default 1.0 (authors' code).
      b1: weight of the average x in y, in (0, 1]; takes the place of momentum. Default 0.9
        (authors' code).
      weight_decay: rate of the decay at y, a number or a schedule; multiplied by the learning
        rate. Default 0 (authors' code).
      mask: a tree of booleans like the parameters, or a function from the parameters to one:
        which parameters decay. Default None: all.
      warmup_steps: length of a linear warm-up of the learning rate, as in
        `schedules.linear_warmup`. Default 0 (authors' code): none.
      weight_lr_power: power of the largest learning rate so far in the weights of the average,
        not negative. Default 2 (authors' code).
      r: power of the number of the update in the weights of the average, not negative. Default 0
        (authors' code).

    Raises:
      ValueError: a hyperparameter is out of range, trees do not match, or `update` is called
        without parameters.

    Reference: Defazio et al. 2024, arXiv 2405.15682.

    >>> import jax.numpy as jnp
    >>> tx = schedule_free_sgd(0.5)
    >>> params = jnp.array(2.0)
    >>> print(tx.update(jnp.array(1.0), tx.init(params), params)[0])  # x = y = z at the start
    -0.5
    """
    rate = _warmed_up(learning_rate, warmup_steps)
    descent = transforms.chain(
        transforms.add_decayed_weights(weight_decay, mask),
        transforms.scale_by_learning_rate(rate),
    )
    return transforms.schedule_free(descent, rate, b1, weight_lr_power, r)


@constructor
def schedule_free_adamw(
    learning_rate: ScalarOrSchedule = 0.0025,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: PyTree | None = None,
    warmup_steps: int = 0,
    weight_lr_power: Scalar = 2.0,
    r: Scalar = 0.0,
) -> optax.GradientTransformationExtraArgs:
    r"""Schedule-Free AdamW: AdamW that averages its iterates in place of a learning-rate schedule.

    .. math::
        z_t = z_{t-1} - lr\,\Big(\frac{g_t}{\sqrt{\hat v_t} + eps} + weight\_decay\, y_{t-1}\Big),
        \qquad p_t = y_t = (1 - b_1)\, z_t + b_1 x_t

    with the average :math:`x_t` as in `schedule_free_sgd`. There is no first moment, so the state
    is as large as Adam's. Evaluate the model at x, `schedule_free_params(state, params)`.

    Args:
      learning_rate: step size, a number or a schedule of the number of updates already made,
        which need not decrease. Default 0.0025 (authors' code).
      b1: weight of the average x in y, in (0, 1]; takes the place of momentum. Default 0.9
        (authors' code).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (authors' code).
      eps: added to the corrected root, not negative. Default 1e-8 (authors' code).
      weight_decay: rate of the decay at y, a number or a schedule; multiplied by the learning
        rate. Default 0 (authors' code).
      mask: a tree of booleans like the parameters, or a function from the parameters to one:
        which parameters decay. Default None: all.
      warmup_steps: length of a linear warm-up of the learning rate, as in
        `schedules.linear_warmup`. Default 0 (authors' code): none.
      weight_lr_power: power of the largest learning rate so far in the weights of the average,
        not negative. Default 2 (authors' code); Keras has 0.
      r: power of the number of the update in the weights of the average, not negative. Default 0
        (authors' code).

    Raises:
      ValueError: a hyperparameter is out of range, trees do not match, or `update` is called
        without parameters.

    Reference: Defazio et al. 2024, arXiv 2405.15682.

    >>> import jax.numpy as jnp
    >>> tx = schedule_free_adamw(0.1)
    >>> params = jnp.zeros(2)
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(params), params)[0].round(3))
    [-0.1  0.1]
    """
    b2 = number("b2", b2, "[0, 1)")
    rate = _warmed_up(learning_rate, warmup_steps)
    descent = transforms.chain(
        transforms.scale_by_rms(b2, eps, bias_correction=True),
        transforms.add_decayed_weights(weight_decay, mask),
        transforms.scale_by_learning_rate(rate),
    )
    return transforms.schedule_free(descent, rate, b1, weight_lr_power, r)


def _warmed_up(learning_rate, warmup_steps):
    learning_rate = number_or_schedule("learning_rate", learning_rate, "(-inf, inf)")
    if steps("warmup_steps", warmup_steps, minimum=0) == 0:
        return learning_rate
    return linear_warmup(learning_rate, warmup_steps)
