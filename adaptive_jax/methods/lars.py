"""LARS: momentum with each array's step in proportion to the array's norm."""

import optax

from adaptive_jax.algebra import chain
from adaptive_jax.registry import register
from adaptive_jax.stages import moments
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.stages.trust_ratio import scale_by_trust_ratio
from adaptive_jax.typing import PyTree, Scalar, ScalarOrSchedule
from adaptive_jax.validation import number_or_schedule

__all__ = ["lars"]


@register(
    "momentum, each array moving by a share of its length",
    reference="arXiv 1708.03888",
    learning_rate=(0.1, 100.0),
    weight_decay=(1e-4, 1.0),
    takes_schedule=True,
)
def lars(
    learning_rate: ScalarOrSchedule = 1.0,
    momentum: ScalarOrSchedule | None = 0.9,
    coefficient: Scalar = 0.001,
    weight_decay: Scalar = 5e-4,
    mask: PyTree | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""LARS: momentum SGD with a learning rate per array, in proportion to the array's norm.

    .. math::
        m_t = momentum\ m_{t-1} + lr \cdot coefficient\,
              \frac{\|p_{t-1}\|}{\|g_t\| + weight\_decay\,\|p_{t-1}\|}\,
              (g_t + weight\_decay\, p_{t-1}), \qquad p_t = p_{t-1} - m_t

    The learning rate is inside the momentum, as in the paper.

    Args:
      learning_rate: a number or a schedule. Default 1: each update changes an array by 1/1000 of
        its norm, or 1/100 with momentum. The paper scales the rate with the batch size.
      momentum: decay rate of the momentum, in [0, 1], a number or a schedule; None for no momentum.
        Default 0.9 (paper).
      coefficient: trust coefficient, positive. Default 0.001 (paper).
      weight_decay: factor of the parameters in the step, a number, not negative. Default 5e-4
        (paper).
      mask: a tree of booleans, or a function from the parameters to one; leaves with False, usually
        biases and normalization, have neither ratio nor decay. Default None: all arrays have both
        (paper).

    State: a tuple whose last entry is an `optax.TraceState`, or a `MomentumState` if `momentum` is
    a schedule; without momentum there is none.

    Raises:
      ValueError: a hyperparameter is out of range, the trees passed to `update` do not match, or
        `update` is called without parameters.

    Reference: You, Gitman & Ginsburg 2017, arXiv 1708.03888.

    >>> import jax.numpy as jnp
    >>> tx = lars(weight_decay=0.0)
    >>> params = jnp.array([3.0, 4.0])
    >>> print(tx.update(jnp.array([0.0, 7.0]), tx.init(params), params)[0])
    [ 0.    -0.005]
    """
    stages = [
        scale_by_trust_ratio(coefficient, weight_decay=weight_decay, mask=mask),
        scale_by_learning_rate(learning_rate),
    ]
    if momentum is not None:
        momentum = number_or_schedule("momentum", momentum, "[0, 1]")
        stages.append(moments.momentum(momentum))
    return chain(*stages)
