"""AdaBound: Adam within bounds on each coordinate's learning rate that close on SGD's."""

import optax

from adaptive_jax.algebra import chain
from adaptive_jax.methods.adam import scale_by_adam
from adaptive_jax.methods.amsgrad import scale_by_amsgrad
from adaptive_jax.registry import register
from adaptive_jax.stages.bounds import bound_lr
from adaptive_jax.stages.decay import add_decayed_weights
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import PyTree, Scalar, ScalarOrSchedule
from adaptive_jax.validation import number

__all__ = ["adabound", "adaboundw", "amsbound"]


@register(
    "Adam within bounds that close on SGD's rate",
    reference="arXiv 1902.09843",
    learning_rate=(0.0001, 0.1),
)
def adabound(
    learning_rate: ScalarOrSchedule = 1e-3,
    final_lr: Scalar = 0.1,
    gamma: Scalar = 1e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    base_lr: Scalar | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""AdaBound: Adam whose step sizes are clipped to bounds that converge to `final_lr`.

    .. math::
        p_t = p_{t-1} - \mathrm{clip}\Big(
              \frac{lr\,\sqrt{1 - b_2^t}}{(1 - b_1^t)(\sqrt{v_t} + eps)},\ lower(t),\ upper(t)
              \Big)\, m_t

    with the moments :math:`m_t, v_t` of `scale_by_adam` and the bounds of
    `adabound_bounds(final_lr, gamma)` times lr/base_lr. It starts like Adam and ends like SGD
    with momentum. Equal to the authors' code, whose `weight_decay` is a stage before it:
    `chain(add_decayed_weights(5e-4), adabound())`.

    Args:
      learning_rate: step size of the Adam phase, a number or a schedule. Default 1e-3 (paper).
      final_lr: step size of SGD, to which both bounds converge; positive. Default 0.1 (paper).
      gamma: speed at which the bounds converge, positive. Default 1e-3 (paper).
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (paper).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (paper).
      eps: added to the uncorrected root, not negative. Default 1e-8 (authors' code).
      base_lr: the learning rate for which `final_lr` was chosen, positive; with a schedule, usually
        its peak. Default None: the magnitude of `learning_rate`, which must be a number.

    State: a tuple. Its first entry is a `ScaleModifierState`, whose `inner` is an
    `optax.ScaleByAdamState` and whose `modifier` is a `BoundLrState`.

    Raises:
      ValueError: `learning_rate` is a schedule and `base_lr` is None (the first value of a schedule
        is not used, since a warm-up starts at 0), or a value is out of range.

    Reference: Luo et al. 2019, arXiv 1902.09843; code in Luolc/AdaBound.

    >>> import jax.numpy as jnp
    >>> tx = adabound()
    >>> print(tx.update(jnp.array([1.0, 1e-3]), tx.init(jnp.zeros(2)))[0].round(5))
    [-0.001 -0.001]
    """
    return chain(
        scale_by_adam(b1, b2, eps=0.0, eps_hat=number("eps", eps, "[0, inf)")),
        bound_lr(final_lr, gamma, base_lr=_base_lr(learning_rate, base_lr)),
        scale_by_learning_rate(learning_rate),
    )


@register(
    "AdaBound with decoupled weight decay",
    reference="arXiv 1902.09843",
    learning_rate=(0.0001, 0.1),
    weight_decay=(1e-4, 1.0),
)
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
    r"""AdaBound with decoupled weight decay.

    .. math::
        p_t = p_{t-1} - u_t - weight\_decay\, p_{t-1}

    where :math:`u_t` is the step of `adabound`. As in the authors' code, the decay is not
    multiplied by the learning rate.

    Args:
      learning_rate: step size of the Adam phase, a number or a schedule. Default 1e-3 (paper).
      final_lr: step size of SGD, to which both bounds converge; positive. Default 0.1 (paper).
      gamma: speed at which the bounds converge, positive. Default 1e-3 (paper).
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (paper).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (paper).
      eps: added to the uncorrected root, not negative. Default 1e-8 (authors' code).
      base_lr: the learning rate for which `final_lr` was chosen, positive; with a schedule, usually
        its peak. Default None: the magnitude of `learning_rate`, which must be a number.
      weight_decay: fraction of the parameters that each update subtracts, a number or a schedule.
        Default 5e-4 (the authors' experiments; 0 in their code's signature).
      mask: a tree of booleans, or a function from the parameters to one; only leaves with True
        decay. Default None: all of them.

    State: that of `adabound`, and the states of the stages after it.

    Raises:
      ValueError: `learning_rate` is a schedule and `base_lr` is None, a value is out of range, or
        `update` is called without parameters.

    Reference: Luo et al. 2019, arXiv 1902.09843; code in Luolc/AdaBound.

    >>> import jax.numpy as jnp
    >>> tx = adaboundw(weight_decay=0.1)
    >>> params = jnp.array(2.0)
    >>> print(tx.update(jnp.array(0.0), tx.init(params), params)[0])
    -0.2
    """
    return chain(
        scale_by_adam(b1, b2, eps=0.0, eps_hat=number("eps", eps, "[0, inf)")),
        bound_lr(final_lr, gamma, base_lr=_base_lr(learning_rate, base_lr)),
        scale_by_learning_rate(learning_rate, flip_sign=False),
        add_decayed_weights(weight_decay, mask),
        optax.scale(-1.0),
    )


@register(
    "AMSGrad within AdaBound's bounds",
    reference="arXiv 1902.09843",
    learning_rate=(0.0001, 0.1),
)
def amsbound(
    learning_rate: ScalarOrSchedule = 1e-3,
    final_lr: Scalar = 0.1,
    gamma: Scalar = 1e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    base_lr: Scalar | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""AMSBound: AdaBound with the maximum of all second moments so far, as in AMSGrad.

    .. math::
        p_t = p_{t-1} - \mathrm{clip}\Big(\frac{lr\,\sqrt{1 - b_2^t}}
              {(1 - b_1^t)(\sqrt{\max_{i \le t} v_i} + eps)},\ lower(t),\ upper(t)\Big)\, m_t

    with the moments and bounds of `adabound`. Equal to the authors' code with `amsbound=True`.

    Args:
      learning_rate: step size of the AMSGrad phase, a number or a schedule. Default 1e-3 (paper).
      final_lr: step size of SGD, to which both bounds converge; positive. Default 0.1 (paper).
      gamma: speed at which the bounds converge, positive. Default 1e-3 (paper).
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (paper).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (paper).
      eps: added to the uncorrected root, not negative. Default 1e-8 (authors' code).
      base_lr: the learning rate for which `final_lr` was chosen, positive; with a schedule, usually
        its peak. Default None: the magnitude of `learning_rate`, which must be a number.

    State: a tuple. Its first entry is a `ScaleModifierState`, whose `inner` is an
    `optax.ScaleByAmsgradState` and whose `modifier` is a `BoundLrState`.

    Raises:
      ValueError: `learning_rate` is a schedule and `base_lr` is None, or a value is out of range.

    Reference: Luo et al. 2019, arXiv 1902.09843; code in Luolc/AdaBound.

    >>> import jax.numpy as jnp
    >>> tx = amsbound()
    >>> print(tx.update(jnp.array([1.0, 1e-3]), tx.init(jnp.zeros(2)))[0].round(5))
    [-0.001 -0.001]
    """
    return chain(
        scale_by_amsgrad(b1, b2, eps=0.0, eps_hat=number("eps", eps, "[0, inf)")),
        bound_lr(final_lr, gamma, base_lr=_base_lr(learning_rate, base_lr)),
        scale_by_learning_rate(learning_rate),
    )


def _base_lr(learning_rate: ScalarOrSchedule, base_lr: Scalar | None) -> Scalar:
    if base_lr is not None:
        return base_lr
    if callable(learning_rate):
        raise ValueError(
            "with a schedule as learning_rate, AdaBound needs base_lr, the learning rate for which "
            "final_lr was chosen (usually the schedule's peak): adabound(schedule, base_lr=1e-3)"
        )
    return abs(number("learning_rate", learning_rate, "(-inf, inf)"))
