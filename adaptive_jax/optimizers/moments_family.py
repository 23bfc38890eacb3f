"""Adam with moments of other kinds: older, shifted, normalized, or of gradients' differences."""

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
    r"""Adan: :math:`p_t = (p_{t-1} - lr\, u_t) / (1 + lr\, weight\_decay)`.

    :math:`u_t` and its arguments are those of `scale_by_adan`, the decay is
    `add_proximal_decay`'s, with its `mask`. The `learning_rate` is that of
    `scale_by_learning_rate`. The defaults are those of the authors' code, except `weight_decay`:
    0 there, 0.02 in the paper's experiments on images; None leaves the stage out. For the form
    that their code calls `no_prox`, put `add_decayed_weights` between `scale_by_adan` and
    `scale_by_learning_rate` in a chain of your own.

    Raises:
      ValueError: as `scale_by_adan` and `add_proximal_decay` raise.

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
    r"""ADOPT: :math:`p_t = p_{t-1} - lr\, m_t`, m the mean of :math:`g_t / \sqrt{v_{t-1}}`.

    Arguments as in `scale_by_adopt` and `scale_by_learning_rate`; all defaults are the authors'.
    The first update makes no step.

    Raises:
      ValueError: as `scale_by_adopt` and `scale_by_learning_rate` raise.

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
    r"""LaProp: :math:`p_t = p_{t-1} - lr\, \hat m_t`, m the mean of :math:`g_t/\sqrt{\hat v_t}`.

    Arguments as in `scale_by_laprop` and `scale_by_learning_rate`; all defaults are the authors'.

    Raises:
      ValueError: as `scale_by_laprop` and `scale_by_learning_rate` raise.

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
    r"""AdEMAMix: AdamW with a slow mean of gradients, `alpha` times, beside the fast one.

    .. math::
        p_t = p_{t-1} - lr\,\Big(\frac{\hat m_t + alpha\, s_t}{\sqrt{\hat v_t} + eps}
              + weight\_decay\, p_{t-1}\Big), \qquad s_t = b_3 s_{t-1} + (1 - b_3) g_t

    Arguments as in `scale_by_ademamix`, `add_decayed_weights` and `scale_by_learning_rate`;
    the defaults are those of the authors' code but for `alpha`, 2 there (`scale_by_ademamix` says
    more). The paper tunes `weight_decay`; None leaves the stage out. For its warm-up:
    `alpha, b3 = ademamix_warmup(steps); ademamix(alpha=alpha, b3=b3)`.

    Raises:
      ValueError: as `scale_by_ademamix`, `add_decayed_weights` and `scale_by_learning_rate` raise.

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
    r"""DiffGrad: :math:`p_t = p_{t-1} - lr\, \xi_t \hat m_t / (\sqrt{\hat v_t} + eps)`.

    The friction :math:`\xi` and the arguments are those of `scale_by_diffgrad`, the learning rate
    is that of `scale_by_learning_rate`; all defaults are the paper's.

    Raises:
      ValueError: as `scale_by_diffgrad` and `scale_by_learning_rate` raise.

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
    r"""AdaShift: :math:`p_t = p_{t-1} - lr\, m_t / (\sqrt{\hat v_t} + eps)`, v of old gradients.

    Arguments as in `scale_by_adashift` and `scale_by_learning_rate`. The defaults are the
    paper's; those of `learning_rate`, which it tunes, and `eps` are pytorch_optimizer's. The first
    `keep_num` updates make no step.

    Raises:
      ValueError: as `scale_by_adashift` and `scale_by_learning_rate` raise.

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
