"""Between adaptive methods and SGD: AdaMod, Padam, SWATS."""

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
    r"""AdaMod: Adam in which no coordinate's scale exceeds the moving mean of its own.

    .. math::
        s_t = \frac{\sqrt{1 - b_2^t}}{1 - b_1^t} \Big/ (\sqrt{v_t} + eps), \qquad
        e_t = b_3 e_{t-1} + (1 - b_3) s_t, \qquad p_t = p_{t-1} - lr\, \min(s_t, e_t)\, m_t

    `b1` and `b2` are those of `scale_by_adam`, `b3` that of `momental_bound`, `learning_rate`
    that of `scale_by_learning_rate`; `eps` is added to the uncorrected root. This is the authors'
    code (whose defaults these are), which takes the mean of lr·s: with a constant learning rate
    that is the same, with a schedule the mean here does not see the rate. The paper has
    :math:`1 - b_1^t` outside the minimum.

    Raises:
      ValueError: as `scale_by_adam`, `momental_bound` and `scale_by_learning_rate` raise.

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

    The moments are those of `scale_by_amsgrad` without bias correction, and `p` is that of
    `partial_adaptivity`: all as in the paper, which has no eps. Its authors' code has 1e-8 and
    multiplies the step by Adam's corrections: put `correct_bias(b1, b2)` after
    `partial_adaptivity(p)` in a chain of your own. The default `learning_rate` (as in
    `scale_by_learning_rate`) and `p` are those of the authors' experiments, `b1` and `b2` Adam's.

    Raises:
      ValueError: as `scale_by_amsgrad`, `partial_adaptivity` and `scale_by_learning_rate` raise.

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
    r"""SWATS: Adam, until the learning rate that SGD would need has settled; then SGD.

    .. math::
        p_t = p_{t-1} - lr\,\frac{\sqrt{1 - b_2^t}}{1 - b_1^t}\, \frac{m_t}{\sqrt{v_t} + eps}
        \;\text{ and later }\;
        p_t = p_{t-1} - lr\,(1 - b_1)\,\Lambda\, m_t, \quad m_t = b_1 m_{t-1} + g_t

    Arguments as in `scale_by_swats` and `scale_by_learning_rate`; all defaults are the paper's
    (its :math:`\epsilon = 10^{-9}` is `eps`, and `tolerance` times the learning rate). In the
    second phase SGD's momentum is `b1` and its rate :math:`\Lambda` what Adam's steps amounted
    to; a schedule of the learning rate goes on.

    Raises:
      ValueError: as `scale_by_swats` and `scale_by_learning_rate` raise.

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
