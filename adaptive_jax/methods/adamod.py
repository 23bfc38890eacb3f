"""AdaMod: Adam with each scale bounded by its own moving mean."""

import optax

from adaptive_jax.algebra import chain
from adaptive_jax.methods.adam import scale_by_adam
from adaptive_jax.registry import register
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.stages.scale_modifiers import momental_bound
from adaptive_jax.typing import Scalar, ScalarOrSchedule
from adaptive_jax.validation import number

__all__ = ["adamod"]


@register(
    "Adam with each scale bounded by its own mean",
    reference="arXiv 1910.12249",
    learning_rate=(0.0001, 0.1),
)
def adamod(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    b3: Scalar = 0.999,
    eps: Scalar = 1e-8,
) -> optax.GradientTransformationExtraArgs:
    r"""AdaMod: Adam with every coordinate's scale bounded by its own moving mean.

    .. math::
        s_t = \frac{\sqrt{1 - b_2^t}}{1 - b_1^t} \Big/ (\sqrt{v_t} + eps), \qquad
        e_t = b_3 e_{t-1} + (1 - b_3) s_t, \qquad p_t = p_{t-1} - lr\, \min(s_t, e_t)\, m_t

    This follows the authors' code, except that it takes the mean of lr·s: the two are equal for a
    constant learning rate, but the mean here does not depend on a schedule. The paper has
    :math:`1 - b_1^t` outside the minimum.

    Args:
      learning_rate: step size, a number or a schedule of the number of updates already made.
        Default 1e-3 (authors' code).
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (authors' code).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (authors' code).
      b3: decay rate of the mean scale, in [0, 1). Default 0.999 (authors' code); 0 is Adam.
      eps: added to the uncorrected root, not negative. Default 1e-8 (authors' code).

    Raises:
      ValueError: a hyperparameter is out of range, or trees do not match.

    Reference: Ding et al. 2019, arXiv 1910.12249.

    >>> import jax.numpy as jnp
    >>> tx = adamod(0.1, b3=0.75)
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(jnp.zeros(2)))[0].round(3))
    [-0.025  0.025]
    """
    return chain(
        scale_by_adam(b1, b2, eps=0.0, eps_hat=number("eps", eps, "[0, inf)")),
        momental_bound(b3),
        scale_by_learning_rate(learning_rate),
    )
