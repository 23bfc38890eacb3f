"""Steps measured array by array: LARS, LAMB, NovoGrad."""

import optax

from adaptive_jax import transforms
from adaptive_jax.algebra import constructor
from adaptive_jax.typing import PyTree, Scalar, ScalarOrSchedule
from adaptive_jax.validation import number_or_schedule


@constructor
def lars(
    learning_rate: ScalarOrSchedule = 1.0,
    momentum: ScalarOrSchedule | None = 0.9,
    coefficient: Scalar = 0.001,
    weight_decay: Scalar = 5e-4,
    mask: PyTree | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""LARS: momentum of gradients whose length is in proportion to the array's own.

    .. math::
        m_t = momentum\ m_{t-1} + lr \cdot coefficient\,
              \frac{\|p_{t-1}\|}{\|g_t\| + weight\_decay\,\|p_{t-1}\|}\,
              (g_t + weight\_decay\, p_{t-1}), \qquad p_t = p_{t-1} - m_t

    `coefficient`, `weight_decay` and `mask` are those of `scale_by_trust_ratio`: where the mask
    is False there is no ratio and no decay, which is usual for biases and normalization
    (the paper has all arrays alike). `momentum` is the decay rate of `adaptive_jax.momentum`
    (None: no such stage). The `learning_rate` is inside the momentum, as in the paper. Defaults of
    the paper, whose learning rate grows with the batch size: with 1, an array moves by 1/1000 of
    its length in a step, and with momentum by 1/100.

    Raises:
      ValueError: as `scale_by_trust_ratio`, `momentum` and `scale_by_learning_rate` raise.

    Reference: You, Gitman & Ginsburg 2017, arXiv 1708.03888.

    >>> import jax.numpy as jnp
    >>> tx = lars(weight_decay=0.0)
    >>> params = jnp.array([3.0, 4.0])
    >>> print(tx.update(jnp.array([0.0, 7.0]), tx.init(params), params)[0])
    [ 0.    -0.005]
    """
    stages = [
        transforms.scale_by_trust_ratio(coefficient, weight_decay=weight_decay, mask=mask),
        transforms.scale_by_learning_rate(learning_rate),
    ]
    if momentum is not None:
        momentum = number_or_schedule("momentum", momentum, "[0, 1]")
        stages.append(transforms.momentum(momentum))
    return transforms.chain(*stages)


@constructor
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
    r"""LAMB: Adam's step with decay, made as long as the array's learning rate times its length.

    .. math::
        p_t = p_{t-1} - lr\,\frac{\phi(\|p_{t-1}\|)}{\|u_t\|}\, u_t, \qquad
        u_t = \frac{\hat m_t}{\sqrt{\hat v_t} + eps} + weight\_decay\, p_{t-1}

    `b1`, `b2` and `eps` are those of `scale_by_adam`, `weight_decay` and `mask` those of
    `add_decayed_weights`, and `min_norm`, `max_norm` (the bounds of :math:`\phi`) and
    `trust_ratio_mask` those of `scale_by_trust_ratio`; `learning_rate` that of
    `scale_by_learning_rate`. The defaults are those of the paper's experiments on BERT but for the
    learning rate, which depends on the batch; Keras has eps 1e-7 and takes decay out of the ratio.

    Raises:
      ValueError: as `scale_by_adam`, `add_decayed_weights` and `scale_by_trust_ratio` raise.

    Reference: You et al. 2020, arXiv 1904.00962.

    >>> import jax.numpy as jnp
    >>> tx = lamb(0.1, weight_decay=0.0)
    >>> params = jnp.array([3.0, 4.0])
    >>> print(tx.update(jnp.array([1e-3, 0.0]), tx.init(params), params)[0].round(3))
    [-0.5 -0. ]
    """
    return transforms.chain(
        transforms.scale_by_adam(b1, b2, eps),
        transforms.add_decayed_weights(weight_decay, mask),
        transforms.scale_by_trust_ratio(
            min_norm=min_norm, max_norm=max_norm, mask=trust_ratio_mask
        ),
        transforms.scale_by_learning_rate(learning_rate),
    )


@constructor
def novograd(
    learning_rate: ScalarOrSchedule = 0.01,
    b1: ScalarOrSchedule = 0.95,
    b2: Scalar = 0.98,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: PyTree | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""NovoGrad: momentum of gradients that are normalized array by array, and of decay.

    .. math::
        m_1 = u_1 + weight\_decay\, p_0, \qquad
        m_t = b_1 m_{t-1} + (u_t + weight\_decay\, p_{t-1}), \qquad p_t = p_{t-1} - lr\, m_t

    with :math:`u_t` of `scale_by_novograd`; `b1` is the decay rate of `adaptive_jax.momentum`,
    `weight_decay` and `mask` are those of `add_decayed_weights`, `learning_rate` that of
    `scale_by_learning_rate`. Defaults of the paper, which tunes the decay. Optax has other decay
    rates (0.9 and 0.25).

    Raises:
      ValueError: as `scale_by_novograd`, `add_decayed_weights`, `momentum` and
        `scale_by_learning_rate` raise.

    Reference: Ginsburg et al. 2019, arXiv 1905.11286.

    >>> import jax.numpy as jnp
    >>> tx = novograd(0.1)
    >>> params = jnp.zeros(2)
    >>> updates, _ = tx.update(jnp.array([4.0, -3.0]), tx.init(params), params)
    >>> print(f"{updates[0]:.3f} {updates[1]:.3f}")
    -0.080 0.060
    """
    b1 = number_or_schedule("b1", b1, "[0, 1]")
    return transforms.chain(
        transforms.scale_by_novograd(b2, eps),
        transforms.add_decayed_weights(weight_decay, mask),
        transforms.momentum(b1),
        transforms.scale_by_learning_rate(learning_rate),
    )
