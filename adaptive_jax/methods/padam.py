"""Padam: AMSGrad with a power of its scale, between SGD and Adam."""

import optax

from adaptive_jax.algebra import chain
from adaptive_jax.methods.amsgrad import scale_by_amsgrad
from adaptive_jax.registry import register
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.stages.scale_modifiers import partial_adaptivity
from adaptive_jax.typing import Scalar, ScalarOrSchedule

__all__ = ["padam"]


@register(
    "AMSGrad with a power of its scale, nearer to SGD",
    reference="arXiv 1806.06763",
    learning_rate=(0.01, 10.0),
)
def padam(
    learning_rate: ScalarOrSchedule = 0.1,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    p: Scalar = 0.125,
    eps: Scalar = 0.0,
) -> optax.GradientTransformationExtraArgs:
    r"""Padam: AMSGrad with a power p of the second moment in place of its root.

    .. math::
        p_t = p_{t-1} - lr\, m_t \big/ \big(\sqrt{\textstyle\max_{i \le t} v_i} + eps\big)^{2p}

    The moments have no bias correction, as in the paper. The authors' code multiplies the step by
    Adam's corrections and has an eps of 1e-8: for that, write a chain with `correct_bias(b1, b2)`
    after `partial_adaptivity(p)`.

    Args:
      learning_rate: step size, a number or a schedule of the number of updates already made.
        Default 0.1 (paper's experiments, for p = 1/8); a smaller p needs a larger rate.
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (that of Adam).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (that of Adam).
      p: exponent of the second moment, in [0, 1/2]: 1/2 is AMSGrad, 0 is SGD with momentum.
        Default 1/8 (paper's experiments).
      eps: added to the root, not negative. Default 0 (the paper has none).

    Raises:
      ValueError: a hyperparameter is out of range, or trees do not match.

    Reference: Chen et al. 2020, arXiv 1806.06763.

    >>> import jax.numpy as jnp
    >>> tx = padam(0.1, b1=0.0, b2=0.0, p=0.25)
    >>> print(tx.update(jnp.array([4.0, -100.0]), tx.init(jnp.zeros(2)))[0].round(3))
    [-0.2  1. ]
    """
    return chain(
        scale_by_amsgrad(b1, b2, eps, bias_correction=False),
        partial_adaptivity(p),
        scale_by_learning_rate(learning_rate),
    )
