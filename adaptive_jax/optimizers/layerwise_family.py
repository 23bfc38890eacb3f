"""LARS, LAMB and NovoGrad: the norm of each array sets the length of its step."""

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
    r"""NovoGrad: momentum of gradients that are normalized array by array, and of weight decay.

    .. math::
        m_1 = u_1 + weight\_decay\, p_0, \qquad
        m_t = b_1 m_{t-1} + (u_t + weight\_decay\, p_{t-1}), \qquad p_t = p_{t-1} - lr\, m_t

    where :math:`u_t` is the gradient over the root of the moving average of its squared norm (see
    `scale_by_novograd`).

    Args:
      learning_rate: step size, a number or a schedule. Default 0.01 (paper).
      b1: decay rate of the momentum, in [0, 1], a number or a schedule. Default 0.95 (paper); 0.9
        in Optax.
      b2: decay rate of the mean squared norm, in [0, 1]. Default 0.98 (paper); 0.25 in Optax.
      eps: added to the root, not negative. Default 1e-8 (authors' code); 1e-6 in Optax.
      weight_decay: factor of the parameters in the update, a number or a schedule. Default 0
        (Optax; the paper tunes it).
      mask: a tree of booleans, or a function from the parameters to one; only leaves with True
        decay. Default None: all of them.

    State: a tuple whose first entry is a `ScaleByNovogradState` (see `scale_by_novograd`); the
    third is that of `momentum`.

    Raises:
      ValueError: a hyperparameter is out of range, the trees passed to `update` do not match, or
        `update` is called without parameters.

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
