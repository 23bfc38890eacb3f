"""Adam, with decoupled weight decay, and with a scale that never grows."""

import optax

from adaptive_jax import transforms
from adaptive_jax.algebra import constructor
from adaptive_jax.typing import PyTree, Scalar, ScalarOrSchedule


@constructor
def adam(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    eps_hat: Scalar = 0.0,
    nesterov: bool = False,
) -> optax.GradientTransformationExtraArgs:
    r"""Adam: :math:`p_t = p_{t-1} - lr\, \hat m_t / (\sqrt{\hat v_t} + eps)`.

    Arguments as in `scale_by_adam` and `scale_by_learning_rate`; all defaults are the paper's.
    For an L2 penalty put `add_decayed_weights` before it:
    `chain(add_decayed_weights(1e-4), adam(1e-3))`.

    Raises:
      ValueError: as `scale_by_adam` and `scale_by_learning_rate` raise.

    Reference: Kingma & Ba 2014, arXiv 1412.6980.

    >>> import jax.numpy as jnp
    >>> tx = adam(0.1)
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(jnp.zeros(2)))[0].round(3))
    [-0.1  0.1]
    """
    return transforms.chain(
        transforms.scale_by_adam(b1, b2, eps, eps_root, eps_hat, nesterov),
        transforms.scale_by_learning_rate(learning_rate),
    )


@constructor
def adamw(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    eps_hat: Scalar = 0.0,
    weight_decay: ScalarOrSchedule = 0.01,
    mask: PyTree | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Adam with decoupled decay: :math:`p_t = p_{t-1} - lr\,(u_t + weight\_decay\, p_{t-1})`.

    :math:`u_t` and the other arguments are those of `scale_by_adam`, `weight_decay` and `mask`
    those of `add_decayed_weights`. The decay is multiplied by the `learning_rate`, as in PyTorch,
    whose default it has (the paper tunes it); the other defaults are Adam's.

    Raises:
      ValueError: as `scale_by_adam`, `add_decayed_weights` and `scale_by_learning_rate` raise.

    Reference: Loshchilov & Hutter 2019, arXiv 1711.05101.

    >>> import jax.numpy as jnp
    >>> tx = adamw(0.1, weight_decay=0.5)
    >>> params = jnp.array([2.0, 2.0])
    >>> print(tx.update(jnp.array([1.0, 0.0]), tx.init(params), params)[0].round(3))
    [-0.2 -0.1]
    """
    return transforms.chain(
        transforms.scale_by_adam(b1, b2, eps, eps_root, eps_hat),
        transforms.add_decayed_weights(weight_decay, mask),
        transforms.scale_by_learning_rate(learning_rate),
    )


@constructor
def amsgrad(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    eps_hat: Scalar = 0.0,
) -> optax.GradientTransformationExtraArgs:
    r"""AMSGrad: Adam with the largest second moment so far.

    .. math::
        p_t = p_{t-1} - lr\,\hat m_t \Big/
              \Big(\sqrt{\max_{i \le t} v_i \big/ (1 - b_2^t)} + eps\Big)

    Arguments as in `scale_by_amsgrad` and `scale_by_learning_rate`. Equals PyTorch's
    `Adam(amsgrad=True)`, whose defaults it has.

    Raises:
      ValueError: as `scale_by_amsgrad` and `scale_by_learning_rate` raise.

    Reference: Reddi, Kale & Kumar 2018, arXiv 1904.09237.

    >>> import jax.numpy as jnp
    >>> tx = amsgrad(0.1)
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(jnp.zeros(2)))[0].round(3))
    [-0.1  0.1]
    """
    return transforms.chain(
        transforms.scale_by_amsgrad(b1, b2, eps, eps_root, eps_hat),
        transforms.scale_by_learning_rate(learning_rate),
    )
