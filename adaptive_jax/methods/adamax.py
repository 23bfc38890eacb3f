"""Adamax: Adam with a decaying maximum in place of the root mean square."""

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, chain, constructor
from adaptive_jax.registry import register
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import Scalar, ScalarOrSchedule
from adaptive_jax.validation import number

__all__ = ["ScaleByAdamaxState", "adamax", "scale_by_adamax"]


class ScaleByAdamaxState(optax.ScaleByAdamState):
    """State of `scale_by_adamax`: Adam's fields, where `nu` is the decaying maximum."""


@constructor
def scale_by_adamax(
    b1: Scalar = 0.9, b2: Scalar = 0.999, eps: Scalar = 0.0, eps_grad: Scalar = 0.0
) -> Preconditioner:
    r"""Divides the first moment of gradients by a decaying maximum of their magnitudes.

    .. math::
        m_t = b_1 m_{t-1} + (1 - b_1) g_t, \qquad
        n_t = \max(b_2 n_{t-1},\ |g_t| + eps\_grad), \qquad
        u_t = \frac{m_t}{1 - b_1^t} \Big/ (n_t + eps)

    Args:
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (paper, PyTorch, Keras).
      b2: decay rate of the maximum, in [0, 1]. Default 0.999 (paper, PyTorch, Keras).
      eps: added to the maximum, not negative; 1e-7 in Keras. Default 0 (paper, PyTorch).
      eps_grad: added to the gradient's magnitude, not negative; 1e-8 in PyTorch. Default 0 (paper,
        Keras).

    State: `ScaleByAdamaxState` with `count` (int32), `mu` in the shapes of the parameters and `nu`
    (:math:`n_t`), likewise and real; both in float32 or wider.

    Raises:
      ValueError: a hyperparameter is out of range, or the trees passed to `update` do not match.

    Reference: Kingma & Ba 2014, arXiv 1412.6980, Algorithm 2.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_adamax(b2=0.5)
    >>> state = tx.init(jnp.zeros(()))
    >>> for grad in (8.0, 1.0):
    ...     update, state = tx.update(jnp.array(grad), state)
    >>> print(state.nu)  # the larger of 0.5 · 8 and 1
    4.0
    """
    b1, b2 = number("b1", b1, "[0, 1)"), number("b2", b2, "[0, 1]")
    eps, eps_grad = number("eps", eps, "[0, inf)"), number("eps_grad", eps_grad, "[0, inf)")

    def init(params):
        return ScaleByAdamaxState(
            numerics.count_zero(), trees.zeros_like(params), trees.real_full_like(params)
        )

    def step(grads, state, params=None, **extra):
        count = numerics.count_next(state.count)
        grads = trees.squarable(grads, state.nu)  # or 1 / nu could underflow
        mu = trees.ema(state.mu, grads, b1)
        nu = jax.tree.map(_decaying_maximum(b2, eps_grad), state.nu, grads)
        correction = numerics.bias_correction(b1, count)

        def scale(n):
            return numerics.inverse(n + jnp.asarray(eps, n.dtype)) / correction.astype(n.dtype)

        return Step(mu, jax.tree.map(scale, nu), ScaleByAdamaxState(count, mu, nu))

    return Preconditioner(init, step)


@register(
    "mean gradient over the largest recent one",
    reference="arXiv 1412.6980",
    learning_rate=(0.0001, 0.1),
)
def adamax(
    learning_rate: ScalarOrSchedule = 2e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 0.0,
    eps_grad: Scalar = 0.0,
) -> optax.GradientTransformationExtraArgs:
    r"""Adamax: Adam with a decaying maximum in place of the root mean square.

    .. math::
        p_t = p_{t-1} - lr\, \frac{m_t}{1 - b_1^t} \Big/ (n_t + eps), \qquad
        n_t = \max(b_2 n_{t-1},\ |g_t| + eps\_grad)

    Args:
      learning_rate: step size, a number or a schedule. Default 2e-3 (paper, PyTorch); 1e-3 in
        Keras.
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (paper).
      b2: decay rate of the maximum, in [0, 1]. Default 0.999 (paper).
      eps: added to the maximum, not negative; 1e-7 in Keras. Default 0 (paper).
      eps_grad: added to the gradient's magnitude, not negative; 1e-8 in PyTorch. Default 0 (paper).

    State: a tuple whose first entry is a `ScaleByAdamaxState` (see `scale_by_adamax`).

    Raises:
      ValueError: a hyperparameter is out of range, or the trees passed to `update` do not match.

    Reference: Kingma & Ba 2014, arXiv 1412.6980, Algorithm 2.

    >>> import jax.numpy as jnp
    >>> tx = adamax(0.1)
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(jnp.zeros(2)))[0].round(3))
    [-0.1  0.1]
    """
    return chain(
        scale_by_adamax(b1, b2, eps, eps_grad),
        scale_by_learning_rate(learning_rate),
    )


def _decaying_maximum(b2, eps_grad):
    def leaf(n, g):
        size = jnp.abs(g) + jnp.asarray(eps_grad, n.dtype)
        return jnp.maximum(jnp.asarray(b2, n.dtype) * n, size)

    return leaf
