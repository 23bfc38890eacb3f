"""Adam, AdamW and AMSGrad."""

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
    r"""Adam: the first moment of the gradients over the root of the second.

    .. math::
        p_t = p_{t-1} - lr\, \hat m_t \Big/ \Big(\sqrt{\hat v_t + eps\_root} + eps
              + eps\_hat \big/ \sqrt{1 - b_2^t}\Big)

    with the bias-corrected moments of `scale_by_adam`. For an L2 penalty, put
    `add_decayed_weights` before it: `chain(add_decayed_weights(1e-4), adam(1e-3))`.

    Args:
      learning_rate: step size, a number or a schedule. Default 1e-3 (paper).
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (paper).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (paper).
      eps: added to the corrected root, not negative. Default 1e-8 (paper, PyTorch).
      eps_root: added under the root, not negative, as in Optax. Default 0 (paper).
      eps_hat: added to the uncorrected root, not negative: the paper's "epsilon hat". Keras has
        1e-7 here and `eps=0`. Default 0 (Algorithm 1 of the paper, PyTorch).
      nesterov: whether the first moment looks one step ahead (Dozat 2016). Default False (paper).

    State: a tuple whose first entry is an `optax.ScaleByAdamState` (see `scale_by_adam`).

    Raises:
      ValueError: a hyperparameter is out of range, or the trees passed to `update` do not match.

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
    r"""AdamW: Adam with decoupled weight decay.

    .. math::
        p_t = p_{t-1} - lr\,(u_t + weight\_decay\, p_{t-1})

    where :math:`u_t` is the update of `scale_by_adam`. The decay is multiplied by the learning
    rate, as in PyTorch.

    Args:
      learning_rate: step size, a number or a schedule. Default 1e-3 (PyTorch, Keras).
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (PyTorch, Keras).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (PyTorch, Keras).
      eps: added to the corrected root, not negative. Default 1e-8 (PyTorch).
      eps_root: added under the root, not negative, as in Optax. Default 0 (PyTorch).
      eps_hat: added to the uncorrected root, not negative; Keras has 1e-7 here and `eps=0`. Default
        0 (PyTorch).
      weight_decay: factor of the parameters in the update, a number or a schedule. Default 0.01
        (PyTorch; the paper tunes it); 0.004 in Keras, 1e-4 in Optax.
      mask: a tree of booleans, or a function from the parameters to one; only leaves with True
        decay. Default None: all of them.

    State: a tuple whose first entry is an `optax.ScaleByAdamState` (see `scale_by_adam`).

    Raises:
      ValueError: a hyperparameter is out of range, the trees passed to `update` do not match, or
        `update` is called without parameters.

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
    r"""AMSGrad: Adam with the maximum of all second moments so far.

    .. math::
        p_t = p_{t-1} - lr\,\hat m_t \Big/
              \Big(\sqrt{\max_{i \le t} v_i \big/ (1 - b_2^t)} + eps\Big)

    with the moments of `scale_by_adam`. Equal to PyTorch's `Adam(amsgrad=True)`. The paper leaves
    out the bias corrections; see `scale_by_amsgrad`.

    Args:
      learning_rate: step size, a number or a schedule. Default 1e-3 (PyTorch, Keras).
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (PyTorch, Keras).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (PyTorch, Keras).
      eps: added to the corrected root, not negative. Default 1e-8 (PyTorch).
      eps_root: added under the root, not negative, as in Optax. Default 0 (PyTorch).
      eps_hat: added to the uncorrected root, not negative; Keras has 1e-7 here and `eps=0`. Default
        0 (PyTorch).

    State: a tuple whose first entry is an `optax.ScaleByAmsgradState` (see `scale_by_amsgrad`).

    Raises:
      ValueError: a hyperparameter is out of range, or the trees passed to `update` do not match.

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
