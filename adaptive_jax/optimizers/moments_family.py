"""Adam with different moments: older, delayed, normalized, or of differences of gradients."""

import optax

from adaptive_jax import transforms
from adaptive_jax.algebra import constructor
from adaptive_jax.typing import PyTree, Scalar, ScalarOrSchedule


@constructor
def adan(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: Scalar = 0.98,
    b2: Scalar = 0.92,
    b3: Scalar = 0.99,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule | None = 0.02,
    mask: PyTree | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Adan: Adam with Nesterov momentum, which it estimates from differences of gradients.

    .. math::
        p_t = \frac{p_{t-1} - lr\, u_t}{1 + lr\, weight\_decay}

    with :math:`u_t` as in `scale_by_adan`. For the variant that the authors' code calls
    `no_prox`, write a chain with `add_decayed_weights` between `scale_by_adan` and
    `scale_by_learning_rate`.

    Args:
      learning_rate: step size, a number or a schedule of the number of updates already made.
        Default 1e-3 (authors' code).
      b1: decay rate of the mean gradient, in [0, 1). Default 0.98 (authors' code). The paper
        writes β for 1 − b, here and below.
      b2: decay rate of the mean difference of gradients, in [0, 1). Default 0.92 (authors' code).
      b3: decay rate of the second moment, in [0, 1). Default 0.99 (authors' code).
      eps: added to the root, not negative. Default 1e-8 (authors' code).
      weight_decay: rate of the decay in the denominator, a number or a schedule; None leaves the
        stage out. Default 0.02 (paper's experiments on images); the authors' code has 0.
      mask: a tree of booleans like the parameters, or a function from the parameters to one:
        which parameters decay. Default None: all.

    Raises:
      ValueError: a hyperparameter is out of range, trees do not match, or `update` is called
        without parameters and `weight_decay` is not None.

    Reference: Xie et al. 2022, arXiv 2208.06677.

    >>> import jax.numpy as jnp
    >>> tx = adan(0.1, weight_decay=None)
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(jnp.zeros(2)))[0].round(3))
    [-0.1  0.1]
    """
    stages = [
        transforms.scale_by_adan(b1, b2, b3, eps),
        transforms.scale_by_learning_rate(learning_rate),
    ]
    if weight_decay is not None:
        stages.append(transforms.add_proximal_decay(weight_decay, learning_rate, mask))
    return transforms.chain(*stages)


@constructor
def adopt(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.9999,
    eps: Scalar = 1e-6,
    clip_exponent: Scalar | None = 0.25,
) -> optax.GradientTransformationExtraArgs:
    r"""ADOPT: momentum of gradients, each divided by the second moment before it.

    .. math::
        p_t = p_{t-1} - lr\, m_t, \qquad m_t = b_1 m_{t-1} + (1 - b_1)\,
            \mathrm{clip}\Big(\frac{g_t}{\max(\sqrt{v_{t-1}},\, eps)},\ t^{clip\_exponent}\Big)

    with :math:`v_t` the moving mean of squared gradients, as in `scale_by_adopt`. The first update
    only initializes v and leaves the parameters unchanged.

    Args:
      learning_rate: step size, a number or a schedule of the number of updates already made.
        Default 1e-3 (authors' code).
      b1: decay rate of the momentum, in [0, 1]. Default 0.9 (authors' code).
      b2: decay rate of the second moment, in [0, 1]. Default 0.9999 (authors' code).
      eps: lower limit of the root, not negative. Default 1e-6 (authors' code).
      clip_exponent: normalized gradients are clipped to a magnitude of t to this power; not
        negative. None does not clip (paper's Algorithm 1). Default 0.25 (Algorithm 2; authors'
        code).

    Raises:
      ValueError: a hyperparameter is out of range, or trees do not match.

    Reference: Taniguchi et al. 2024, arXiv 2411.02853.

    >>> import jax.numpy as jnp
    >>> tx = adopt(0.1)
    >>> state = tx.init(jnp.zeros(2))
    >>> for _ in range(2):
    ...     updates, state = tx.update(jnp.array([5.0, -1e-3]), state)
    >>> print(updates.round(3))
    [-0.01  0.01]
    """
    return transforms.chain(
        transforms.scale_by_adopt(b1, b2, eps, clip_exponent),
        transforms.scale_by_learning_rate(learning_rate),
    )


@constructor
def laprop(
    learning_rate: ScalarOrSchedule = 4e-4,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-15,
) -> optax.GradientTransformationExtraArgs:
    r"""LaProp: momentum of gradients, each divided by the second moment of its own step.

    .. math::
        p_t = p_{t-1} - lr\, \frac{m_t}{1 - b_1^t}, \qquad
        m_t = b_1 m_{t-1} + (1 - b_1)\, \frac{g_t}{\sqrt{\hat v_t} + eps}

    with :math:`\hat v_t` the bias-corrected moving mean of squared gradients.

    Args:
      learning_rate: step size, a number or a schedule of the number of updates already made.
        Default 4e-4 (authors' code).
      b1: decay rate of the momentum, in [0, 1). Default 0.9 (authors' code).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (authors' code).
      eps: added to the corrected root, not negative. Default 1e-15 (authors' code).

    Raises:
      ValueError: a hyperparameter is out of range, or trees do not match.

    Reference: Ziyin, Wang & Ueda 2020, arXiv 2002.04839.

    >>> import jax.numpy as jnp
    >>> tx = laprop(0.1)
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(jnp.zeros(2)))[0].round(3))
    [-0.1  0.1]
    """
    return transforms.chain(
        transforms.scale_by_laprop(b1, b2, eps), transforms.scale_by_learning_rate(learning_rate)
    )


@constructor
def ademamix(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    b3: ScalarOrSchedule = 0.9999,
    alpha: ScalarOrSchedule = 5.0,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule | None = None,
    mask: PyTree | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""AdEMAMix: AdamW with the sum of a fast and a slow mean of gradients.

    .. math::
        p_t = p_{t-1} - lr\,\Big(\frac{\hat m_t + alpha\, s_t}{\sqrt{\hat v_t} + eps}
              + weight\_decay\, p_{t-1}\Big), \qquad s_t = b_3 s_{t-1} + (1 - b_3) g_t

    The paper increases `alpha` and `b3` gradually:
    `alpha, b3 = ademamix_warmup(steps); ademamix(alpha=alpha, b3=b3)`.

    Args:
      learning_rate: step size, a number or a schedule of the number of updates already made.
        Default 1e-3 (authors' code).
      b1: decay rate of the fast mean, in [0, 1). Default 0.9 (paper's experiments and authors'
        code).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (paper's experiments and
        authors' code).
      b3: decay rate of the slow mean, in [0, 1], a number or a schedule. Default 0.9999 (paper's
        experiments and authors' code).
      alpha: weight of the slow mean, not negative, a number or a schedule. Default 5
        (pytorch_optimizer; the paper finds 4 to 10 good); the authors' code has 2.
      eps: added to the corrected root, not negative. Default 1e-8 (authors' code).
      weight_decay: rate of decoupled decay, a number or a schedule; multiplied by the learning
        rate. Default None: no decay (0 in the authors' code; the paper tunes it).
      mask: a tree of booleans like the parameters, or a function from the parameters to one:
        which parameters decay. Default None: all.

    Raises:
      ValueError: a hyperparameter is out of range, trees do not match, or `update` is called
        without parameters and `weight_decay` is not None.

    Reference: Pagliardini, Ablin & Grangier 2024, arXiv 2409.03137.

    >>> import jax.numpy as jnp
    >>> tx = ademamix(0.1)
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(jnp.zeros(2)))[0].round(3))
    [-0.1  0.1]
    """
    stages: list[optax.GradientTransformation] = [
        transforms.scale_by_ademamix(b1, b2, b3, alpha, eps)
    ]
    if weight_decay is not None:
        stages.append(transforms.add_decayed_weights(weight_decay, mask))
    return transforms.chain(*stages, transforms.scale_by_learning_rate(learning_rate))


@constructor
def diffgrad(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_hat: Scalar = 0.0,
) -> optax.GradientTransformationExtraArgs:
    r"""DiffGrad: Adam with shorter steps where the gradient hardly changes.

    .. math::
        p_t = p_{t-1} - lr\, \xi_t \frac{\hat m_t}{\sqrt{\hat v_t} + eps}, \qquad
        \xi_t = \frac{1}{1 + e^{-|g_t - g_{t-1}|}}

    The friction :math:`\xi_t` is between 1/2 and 1.

    Args:
      learning_rate: step size, a number or a schedule of the number of updates already made.
        Default 1e-3 (paper).
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (paper).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (paper).
      eps: added to the corrected root, not negative. Default 1e-8 (paper).
      eps_hat: added to the uncorrected root, not negative. Default 0 (paper). The authors' code
        is `eps=0, eps_hat=1e-8`.

    Raises:
      ValueError: a hyperparameter is out of range, or trees do not match.

    Reference: Dubey et al. 2019, arXiv 1909.11015.

    >>> import jax.numpy as jnp
    >>> tx = diffgrad(0.1)
    >>> print(tx.update(jnp.array([100.0, -1e-3]), tx.init(jnp.zeros(2)))[0].round(3))
    [-0.1   0.05]
    """
    return transforms.chain(
        transforms.scale_by_diffgrad(b1, b2, eps, eps_hat),
        transforms.scale_by_learning_rate(learning_rate),
    )


@constructor
def adashift(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-10,
    keep_num: int = 10,
    reduce: str | None = "max",
) -> optax.GradientTransformationExtraArgs:
    r"""AdaShift: Adam with a second moment of gradients that are older than the first moment's.

    .. math::
        p_t = p_{t-1} - lr\, \frac{m_t}{\sqrt{\hat v_t} + eps}, \qquad
        m_t = \sum_{i=0}^{n-1} b_1^i g_{t-i} \Big/ \sum_{i=0}^{n-1} b_1^i, \qquad
        v_t = b_2 v_{t-1} + (1 - b_2)\, \phi(|g_{t-n}|^2)

    with n = `keep_num`. The first n updates leave the parameters unchanged.

    Args:
      learning_rate: step size, a number or a schedule of the number of updates already made.
        Default 1e-3 (pytorch_optimizer); the paper tunes it.
      b1: weight of each gradient in the first moment relative to the next one, in [0, 1].
        Default 0.9 (paper).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (paper).
      eps: added to the corrected root, not negative. Default 1e-10 (pytorch_optimizer).
      keep_num: number of gradients in the first moment, at least 1; all are kept in the state.
        Default 10 (paper).
      reduce: the operation φ over each array: `"max"`, `"mean"`, or None, which leaves a second
        moment for every element. Default `"max"` (the paper's max-AdaShift).

    Raises:
      ValueError: a hyperparameter is out of range, or trees do not match.

    Reference: Zhou et al. 2018, arXiv 1810.00143.

    >>> import jax.numpy as jnp
    >>> tx = adashift(0.1, keep_num=1)
    >>> state = tx.init(jnp.zeros(2))
    >>> for _ in range(2):
    ...     updates, state = tx.update(jnp.array([5.0, -1.0]), state)
    >>> print(updates.round(3))
    [-0.1   0.02]
    """
    return transforms.chain(
        transforms.scale_by_adashift(b1, b2, eps, keep_num, reduce),
        transforms.scale_by_learning_rate(learning_rate),
    )
