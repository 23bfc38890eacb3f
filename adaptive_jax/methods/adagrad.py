"""Adagrad: gradients divided by the root of the sum of all squared gradients."""

import jax
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, chain, constructor
from adaptive_jax.registry import register
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import Scalar, ScalarOrSchedule
from adaptive_jax.validation import number

__all__ = ["adagrad", "scale_by_adagrad"]


@constructor
def scale_by_adagrad(
    initial_accumulator: Scalar = 0.0, eps: Scalar = 1e-10, eps_root: Scalar = 0.0
) -> Preconditioner:
    r"""Divides gradients by the root of the sum of all squared gradients.

    .. math::
        s_t = s_{t-1} + |g_t|^2, \qquad u_t = g_t / (\sqrt{s_t + eps\_root} + eps)

    Args:
      initial_accumulator: :math:`s_0`, not negative. Default 0 (paper, PyTorch); 0.1 in Keras.
      eps: added to the root, as in the paper, not negative. Default 1e-10 (PyTorch).
      eps_root: added under the root, not negative; Keras has 1e-7 here and `eps=0`. Default 0
        (paper, PyTorch).

    State: `optax.ScaleByRssState` with `sum_of_squares`, real, in the shapes of the parameters, in
    float32 or wider. The sum saturates at the largest finite number and does not overflow.

    Raises:
      ValueError: a hyperparameter is negative, or the trees passed to `update` do not match.

    Reference: Duchi, Hazan & Singer 2011, jmlr.org/papers/v12/duchi11a.html.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_adagrad()
    >>> state = tx.init(jnp.zeros(2))
    >>> for _ in range(4):
    ...     updates, state = tx.update(jnp.array([3.0, -0.1]), state)
    >>> print(updates)
    [ 0.5 -0.5]
    """
    initial_accumulator = number("initial_accumulator", initial_accumulator, "[0, inf)")
    eps, eps_root = number("eps", eps, "[0, inf)"), number("eps_root", eps_root, "[0, inf)")

    def init(params):
        return optax.ScaleByRssState(trees.real_full_like(params, initial_accumulator))

    def step(grads, state, params=None, **extra):
        squarable = trees.squarable(grads, state.sum_of_squares)
        total = jax.tree.map(numerics.add_square, state.sum_of_squares, squarable)
        scale = jax.tree.map(lambda s: numerics.inverse_root(s, eps, eps_root), total)
        direction = trees.squarable(trees.again(grads), total)
        return Step(direction, scale, optax.ScaleByRssState(total))

    return Preconditioner(init, step, first_order=(), squares=("sum_of_squares",))


@register(
    "gradient over the root of the sum of its squares",
    reference="Duchi et al. 2011",
    learning_rate=(0.001, 1.0),
)
def adagrad(
    learning_rate: ScalarOrSchedule = 0.01,
    initial_accumulator: Scalar = 0.0,
    eps: Scalar = 1e-10,
    eps_root: Scalar = 0.0,
) -> optax.GradientTransformationExtraArgs:
    r"""Adagrad: a learning rate per coordinate that falls with the sum of squared gradients.

    .. math::
        p_t = p_{t-1} - lr\, \frac{g_t}{\sqrt{s_t + eps\_root} + eps}, \qquad
        s_t = s_{t-1} + |g_t|^2

    Args:
      learning_rate: step size, a number or a schedule. Default 0.01 (PyTorch); 1e-3 in Keras.
      initial_accumulator: :math:`s_0`, not negative. Default 0 (paper, PyTorch); 0.1 in Keras.
      eps: added to the root, as in the paper, not negative. Default 1e-10 (PyTorch).
      eps_root: added under the root, not negative; Keras has 1e-7 here and `eps=0`. Default 0
        (paper, PyTorch).

    State: a tuple whose first entry is an `optax.ScaleByRssState` (see `scale_by_adagrad`).

    Raises:
      ValueError: a hyperparameter is out of range, or the trees passed to `update` do not match.

    Reference: Duchi, Hazan & Singer 2011, jmlr.org/papers/v12/duchi11a.html.

    >>> import jax.numpy as jnp
    >>> tx = adagrad(0.1)
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(jnp.zeros(2)))[0].round(3))
    [-0.1  0.1]
    """
    return chain(
        scale_by_adagrad(initial_accumulator, eps, eps_root),
        scale_by_learning_rate(learning_rate),
    )
