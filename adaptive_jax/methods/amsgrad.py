"""AMSGrad: Adam with the largest second moment so far."""

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, chain, constructor
from adaptive_jax.methods.adam import _corrections, check_eps, corrected_scale, moments
from adaptive_jax.registry import register
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import Scalar, ScalarOrSchedule
from adaptive_jax.validation import number

__all__ = ["amsgrad", "scale_by_amsgrad"]


@constructor
def scale_by_amsgrad(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    eps_hat: Scalar = 0.0,
    bias_correction: bool = True,
) -> Preconditioner:
    r"""Adam with the maximum of all second moments so far, so that the scale never grows.

    .. math::
        \bar v_t = \max(\bar v_{t-1}, v_t), \qquad
        u_t = \frac{m_t}{1 - b_1^t} \Big/ \left(\sqrt{\frac{\bar v_t}{1 - b_2^t} + eps\_root}
               + eps + \frac{eps\_hat}{\sqrt{1 - b_2^t}}\right)

    with the moments :math:`m_t, v_t` of `scale_by_adam`. The maximum is over uncorrected moments,
    as in PyTorch and Keras.

    Args:
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (PyTorch, Keras).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (PyTorch, Keras).
      eps: added to the corrected root, not negative. Default 1e-8 (PyTorch).
      eps_root: added under the root, not negative. Default 0 (PyTorch).
      eps_hat: added to the uncorrected root, not negative; Keras has 1e-7 here and `eps=0`. Default
        0 (PyTorch).
      bias_correction: whether to divide by :math:`1 - b_1^t` and :math:`1 - b_2^t`. Default True
        (PyTorch, Keras); False is the paper's algorithm.

    State: `optax.ScaleByAmsgradState`: the fields of `optax.ScaleByAdamState`, and `nu_max`, like
    `nu`.

    Raises:
      ValueError: a hyperparameter is out of range, or the trees passed to `update` do not match.

    Reference: Reddi, Kale & Kumar 2018, arXiv 1904.09237.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_amsgrad()
    >>> state = tx.init(jnp.zeros(()))
    >>> for grad in (10.0, 0.0, 0.0):
    ...     update, state = tx.update(jnp.array(grad), state)
    >>> bool(state.nu_max > state.nu)
    True
    """
    b1, b2 = number("b1", b1, "[0, 1)"), number("b2", b2, "[0, 1)")
    eps, eps_root, eps_hat = check_eps(eps, eps_root, eps_hat)

    def init(params):
        nu = trees.real_full_like(params)
        nu_max = trees.real_full_like(params)  # its own buffer, since both may be donated
        mu = trees.zeros_like(params)
        return optax.ScaleByAmsgradState(numerics.count_zero(), mu, nu, nu_max)

    def step(grads, state, params=None, **extra):
        count = numerics.count_next(state.count)
        mu, nu = moments(grads, state, b1, b2)
        nu_max = jax.tree.map(jnp.maximum, state.nu_max, nu)
        correction1, correction2 = _corrections(count, b1, b2, bias_correction)
        scale = corrected_scale(nu_max, correction1, correction2, eps, eps_root, eps_hat)
        return Step(mu, scale, optax.ScaleByAmsgradState(count, mu, nu, nu_max))

    return Preconditioner(init, step, squares=("nu", "nu_max"))


@register(
    "Adam with the largest mean square so far",
    reference="arXiv 1904.09237",
    learning_rate=(0.0001, 0.1),
)
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
    return chain(
        scale_by_amsgrad(b1, b2, eps, eps_root, eps_hat),
        scale_by_learning_rate(learning_rate),
    )
