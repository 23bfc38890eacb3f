"""LAMB: Adam with each array's step in proportion to the array's norm."""

import optax

from adaptive_jax.algebra import chain
from adaptive_jax.methods.adam import scale_by_adam
from adaptive_jax.registry import register
from adaptive_jax.stages.decay import add_decayed_weights
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.stages.trust_ratio import scale_by_trust_ratio
from adaptive_jax.typing import PyTree, Scalar, ScalarOrSchedule

__all__ = ["lamb"]


@register(
    "Adam, each array moving by a share of its length",
    reference="arXiv 1904.00962",
    learning_rate=(0.0001, 0.1),
    weight_decay=(1e-4, 1.0),
)
def lamb(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-6,
    weight_decay: ScalarOrSchedule = 0.01,
    mask: PyTree | None = None,
    min_norm: Scalar = 0.0,
    max_norm: Scalar = float("inf"),
    trust_ratio_mask: PyTree | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""LAMB: AdamW whose step for each array has a length in proportion to the array's norm.

    .. math::
        p_t = p_{t-1} - lr\,\frac{\phi(\|p_{t-1}\|)}{\|u_t\|}\, u_t, \qquad
        u_t = \frac{\hat m_t}{\sqrt{\hat v_t} + eps} + weight\_decay\, p_{t-1}

    with the moments of `scale_by_adam`; :math:`\phi` clips to [min_norm, max_norm]. The paper's
    experiments have no such bounds.

    Args:
      learning_rate: step size as a fraction of each array's norm, a number or a schedule. Default
        1e-3 (Keras); the paper scales it with the batch size.
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (paper).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (paper).
      eps: added to the corrected root, not negative. Default 1e-6 (paper); 1e-7 in Keras.
      weight_decay: factor of the parameters in the update, a number or a schedule. Default 0.01
        (paper); 0 in Optax. In Keras the decay is not part of the ratio.
      mask: a tree of booleans, or a function from the parameters to one; only leaves with True
        decay. Default None: all of them.
      min_norm: lower bound of :math:`\phi`, not negative. Default 0: none (paper).
      max_norm: upper bound of :math:`\phi`, positive. Default inf: none (paper).
      trust_ratio_mask: like `mask`; leaves with False take the step :math:`u_t` without the ratio.
        Default None: all of them have it (paper).

    State: a tuple whose first entry is an `optax.ScaleByAdamState` (see `scale_by_adam`).

    Raises:
      ValueError: a hyperparameter is out of range, `min_norm` exceeds `max_norm`, the trees passed
        to `update` do not match, or `update` is called without parameters.

    Reference: You et al. 2020, arXiv 1904.00962.

    >>> import jax.numpy as jnp
    >>> tx = lamb(0.1, weight_decay=0.0)
    >>> params = jnp.array([3.0, 4.0])
    >>> print(tx.update(jnp.array([1e-3, 0.0]), tx.init(params), params)[0].round(3))
    [-0.5 -0. ]
    """
    return chain(
        scale_by_adam(b1, b2, eps),
        add_decayed_weights(weight_decay, mask),
        scale_by_trust_ratio(min_norm=min_norm, max_norm=max_norm, mask=trust_ratio_mask),
        scale_by_learning_rate(learning_rate),
    )
