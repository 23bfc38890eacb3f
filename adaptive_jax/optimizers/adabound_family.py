"""AdaBound and its kin: Adam's scale between bounds that close on SGD's learning rate."""

import optax

from adaptive_jax import transforms
from adaptive_jax.algebra import constructor
from adaptive_jax.typing import PyTree, Scalar, ScalarOrSchedule
from adaptive_jax.validation import number


@constructor
def adabound(
    learning_rate: ScalarOrSchedule = 1e-3,
    final_lr: Scalar = 0.1,
    gamma: Scalar = 1e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    base_lr: Scalar | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""AdaBound: Adam at first, SGD with momentum at rate `final_lr` in the end.

    .. math::
        p_t = p_{t-1} - \mathrm{clip}\Big(
              \frac{lr\,\sqrt{1 - b_2^t}}{(1 - b_1^t)(\sqrt{v_t} + eps)},\ lower(t),\ upper(t)
              \Big)\, m_t

    with the bounds of `adabound_bounds(final_lr, gamma)` times lr/base_lr. Equal to the
    authors' code; their `weight_decay` is a stage before it:
    `chain(add_decayed_weights(5e-4), adabound())`.

    Args:
      learning_rate, b1, b2: as in `adam`.
      eps: added to the uncorrected root.
      final_lr, gamma: where the bounds end and how fast they close. All defaults are the paper's.
      base_lr: the learning rate that `final_lr` is meant for; by default `learning_rate`, if
        that is a number.

    Raises:
      ValueError: `learning_rate` is a schedule and `base_lr` is not given (the schedule's first
        value would not do: a warm-up starts at 0), or a value is out of range.

    Reference: Luo et al. 2019, arXiv 1902.09843.

    >>> import jax.numpy as jnp
    >>> tx = adabound()
    >>> print(tx.update(jnp.array([1.0, 1e-3]), tx.init(jnp.zeros(2)))[0].round(5))
    [-0.001 -0.001]
    """
    return transforms.chain(
        transforms.scale_by_adam(b1, b2, eps=0.0, eps_hat=number("eps", eps, "[0, inf)")),
        transforms.bound_lr(final_lr, gamma, base_lr=_base_lr(learning_rate, base_lr)),
        transforms.scale_by_learning_rate(learning_rate),
    )


@constructor
def adaboundw(
    learning_rate: ScalarOrSchedule = 1e-3,
    final_lr: Scalar = 0.1,
    gamma: Scalar = 1e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    base_lr: Scalar | None = None,
    weight_decay: ScalarOrSchedule = 5e-4,
    mask: PyTree | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""AdaBound with decoupled decay: :math:`p_t = p_{t-1} - u_t - weight\_decay\, p_{t-1}`.

    :math:`u_t` is AdaBound's step, and the other arguments and errors are those of `adabound`.
    The decay is not multiplied by the learning rate, as in the authors' code; its default is
    the one of their experiments. `mask` as in `add_decayed_weights`.

    Reference: Luo et al. 2019, arXiv 1902.09843, and the authors' repository Luolc/AdaBound.

    >>> import jax.numpy as jnp
    >>> tx = adaboundw(weight_decay=0.1)
    >>> params = jnp.array(2.0)
    >>> print(tx.update(jnp.array(0.0), tx.init(params), params)[0])
    -0.2
    """
    return transforms.chain(
        transforms.scale_by_adam(b1, b2, eps=0.0, eps_hat=number("eps", eps, "[0, inf)")),
        transforms.bound_lr(final_lr, gamma, base_lr=_base_lr(learning_rate, base_lr)),
        transforms.scale_by_learning_rate(learning_rate, flip_sign=False),
        transforms.add_decayed_weights(weight_decay, mask),
        optax.scale(-1.0),
    )


@constructor
def amsbound(
    learning_rate: ScalarOrSchedule = 1e-3,
    final_lr: Scalar = 0.1,
    gamma: Scalar = 1e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    base_lr: Scalar | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""AMSBound: AdaBound with AMSGrad's maximum of the second moments.

    .. math::
        p_t = p_{t-1} - \mathrm{clip}\Big(\frac{lr\,\sqrt{1 - b_2^t}}
              {(1 - b_1^t)(\sqrt{\max_{i \le t} v_i} + eps)},\ lower(t),\ upper(t)\Big)\, m_t

    Arguments, defaults and errors are those of `adabound`; equal to the authors' code with
    `amsbound=True`.

    Reference: Luo et al. 2019, arXiv 1902.09843.

    >>> import jax.numpy as jnp
    >>> tx = amsbound()
    >>> print(tx.update(jnp.array([1.0, 1e-3]), tx.init(jnp.zeros(2)))[0].round(5))
    [-0.001 -0.001]
    """
    return transforms.chain(
        transforms.scale_by_amsgrad(b1, b2, eps=0.0, eps_hat=number("eps", eps, "[0, inf)")),
        transforms.bound_lr(final_lr, gamma, base_lr=_base_lr(learning_rate, base_lr)),
        transforms.scale_by_learning_rate(learning_rate),
    )


def _base_lr(learning_rate: ScalarOrSchedule, base_lr: Scalar | None) -> Scalar:
    if base_lr is not None:
        return base_lr
    if callable(learning_rate):
        raise ValueError(
            "with a schedule as learning_rate, AdaBound needs base_lr, the learning rate that "
            "final_lr is meant for (usually the schedule's peak): adabound(schedule, base_lr=1e-3)"
        )
    return abs(number("learning_rate", learning_rate, "(-inf, inf)"))
