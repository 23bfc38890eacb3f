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
    r"""Schedule-Free SGD: gradient descent on z, trained at y, evaluated at the average x.

    .. math::
        z_t = z_{t-1} - lr\,(g_t + weight\_decay\, y_{t-1}), \qquad
        x_t = (1 - c_t)\, x_{t-1} + c_t z_t, \qquad
        p_t = y_t = (1 - b_1)\, z_t + b_1 x_t

    `b1`, `weight_lr_power` and `r` are those of `schedule_free`, `weight_decay` and `mask` those
    of `add_decayed_weights`, with decay at y. All defaults are the authors'. Evaluate at
    `schedule_free_params(state, params)`.

    Args:
      learning_rate: larger than SGD's; a schedule need not fall.
      warmup_steps: how long it is brought in by `schedules.linear_warmup`; 0: not at all.

    Raises:
      ValueError: as `schedule_free` and `add_decayed_weights` raise, or `warmup_steps` is no
        whole number of at least 0.

    Reference: Defazio et al. 2024, arXiv 2405.15682.

    >>> import jax.numpy as jnp
    >>> tx = schedule_free_sgd(0.5)
    >>> params = jnp.array(2.0)
    >>> print(tx.update(jnp.array(1.0), tx.init(params), params)[0])  # at first x, y, z are one
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
    r"""Schedule-Free AdamW: Adam without a first moment on z, trained at y, evaluated at x.

    .. math::
        z_t = z_{t-1} - lr\,\Big(\frac{g_t}{\sqrt{\hat v_t} + eps} + weight\_decay\, y_{t-1}\Big),
        \qquad p_t = y_t = (1 - b_1)\, z_t + b_1 x_t

    `b2` and `eps` are Adam's, the average x and the other arguments as in `schedule_free_sgd`.
    All defaults are those of the authors' code; Keras has `weight_lr_power=0`. There is as much
    state as in Adam.

    Raises:
      ValueError: as `schedule_free_sgd` raises, or `b2` or `eps` is out of range.

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
