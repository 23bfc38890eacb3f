"""Methods between adaptive ones and SGD: AdaMod, Padam and SWATS."""

import optax

from adaptive_jax import transforms
from adaptive_jax.algebra import constructor
from adaptive_jax.typing import Scalar, ScalarOrSchedule
from adaptive_jax.validation import number


@constructor
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
    return transforms.chain(
        transforms.scale_by_adam(b1, b2, eps=0.0, eps_hat=number("eps", eps, "[0, inf)")),
        transforms.momental_bound(b3),
        transforms.scale_by_learning_rate(learning_rate),
    )


@constructor
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
    return transforms.chain(
        transforms.scale_by_amsgrad(b1, b2, eps, bias_correction=False),
        transforms.partial_adaptivity(p),
        transforms.scale_by_learning_rate(learning_rate),
    )


@constructor
def swats(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-9,
    tolerance: Scalar = 1e-6,
) -> optax.GradientTransformationExtraArgs:
    r"""SWATS: Adam until an estimate of SGD's learning rate has converged, then SGD.

    .. math::
        p_t = p_{t-1} - lr\,\frac{\sqrt{1 - b_2^t}}{1 - b_1^t}\, \frac{m_t}{\sqrt{v_t} + eps}
        \;\text{ and later }\;
        p_t = p_{t-1} - lr\,(1 - b_1)\,\Lambda\, m_t, \quad m_t = b_1 m_{t-1} + g_t

    :math:`\Lambda` is the learning rate with which SGD would have made Adam's steps; see
    `scale_by_swats`. A schedule of the learning rate applies to both phases.

    Args:
      learning_rate: step size, a number or a schedule of the number of updates already made.
        Default 1e-3 (paper).
      b1: decay rate of Adam's first moment and SGD's momentum, in [0, 1). Default 0.9 (paper).
      b2: decay rate of the second moment and of the mean of SGD's rate, in [0, 1). Default 0.999
        (paper).
      eps: added to the uncorrected root, not negative. Default 1e-9 (paper).
      tolerance: SGD takes over when its rate is this close to the mean of that rate; not
        negative, and with 0 it never does. Default 1e-6: the paper's 1e-9, divided by the
        learning rate of 1e-3, which the paper includes in the rate.

    Raises:
      ValueError: a hyperparameter is out of range, or trees do not match.

    Reference: Keskar & Socher 2017, arXiv 1712.07628.

    >>> import jax.numpy as jnp
    >>> tx = swats(0.1)
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(jnp.zeros(2)))[0].round(3))
    [-0.1  0.1]
    """
    return transforms.chain(
        transforms.scale_by_swats(b1, b2, eps, tolerance),
        transforms.scale_by_learning_rate(learning_rate),
    )
