"""Lion: the sign of a mean in which the newest gradient has more weight than in the memory."""

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, chain, constructor
from adaptive_jax.registry import register
from adaptive_jax.stages.decay import add_decayed_weights
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import PyTree, Scalar, ScalarOrSchedule
from adaptive_jax.validation import map_leaves, number

__all__ = ["lion", "scale_by_lion"]


@constructor
def scale_by_lion(b1: Scalar = 0.9, b2: Scalar = 0.99) -> Preconditioner:
    r"""Takes the sign of a mean of gradients, in which the newest has the weight 1 − b1.

    .. math::
        u_t = \mathrm{sign}(b_1 m_{t-1} + (1 - b_1) g_t), \qquad
        m_t = b_2 m_{t-1} + (1 - b_2) g_t

    For complex gradients the sign is the phase of the mean. As a Preconditioner, the sign is the
    direction and the scale is 1.

    Args:
      b1: weight of the memory m in the step, in [0, 1]: the step is the sign of the gradient for 0,
        that of the memory for 1. Default 0.9 (paper, Keras).
      b2: decay rate of the memory m, in [0, 1]: the memory is the last gradient for 0, and stays 0
        for 1. Default 0.99 (paper, Keras).

    State: `optax.ScaleByLionState`: `count` int32, and `mu` in the parameters' shapes, float32 or
    wider.

    Raises:
      ValueError: a hyperparameter is out of range, or trees do not match.

    Reference: Chen et al. 2023, arXiv 2302.06675.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_lion()
    >>> state = tx.init(jnp.zeros(()))
    >>> for grad in (10.0, -0.5, -2.0):  # b1 times the memory is 0, then 0.09, then 0.085
    ...     update, state = tx.update(jnp.array(grad), state)
    ...     print(update)
    1.0
    1.0
    -1.0
    """
    b1, b2 = number("b1", b1, "[0, 1]"), number("b2", b2, "[0, 1]")

    def init(params):
        return optax.ScaleByLionState(numerics.count_zero(), trees.zeros_like(params))

    def step(grads, state, params=None, **extra):
        mu = map_leaves(_mean(b2), gradients=grads, state=state.mu)
        # b2·(b1·m + (1 − b1)·g) is b1·m' + (b2 − b1)·g with the memory m' after the step, which has
        # the same sign and spares XLA a copy of m. With b2 below b1, or small, it loses digits.
        usual = isinstance(b1, float) and isinstance(b2, float) and b2 >= max(b1, 0.5)
        memory, weight = (mu, b2 - b1) if usual else (state.mu, 1 - b1)
        direction = jax.tree.map(_direction(b1, weight), trees.again(grads), memory)
        scale = jax.tree.map(lambda m: jnp.ones_like(m, numerics.real_dtype(m)), mu)
        count = numerics.count_next(state.count)
        return Step(direction, scale, optax.ScaleByLionState(count, mu))

    return Preconditioner(init, step)


@register(
    "sign of a mean that favors the newest gradient",
    reference="arXiv 2302.06675",
    learning_rate=(1e-05, 0.01),
    weight_decay=(1e-4, 1.0),
)
def lion(
    learning_rate: ScalarOrSchedule = 1e-4,
    b1: Scalar = 0.9,
    b2: Scalar = 0.99,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: PyTree | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Lion: the sign of a mean of gradients, with decoupled weight decay.

    .. math::
        p_t = p_{t-1} - lr\,\big(\mathrm{sign}(b_1 m_{t-1} + (1 - b_1) g_t)
              + weight\_decay\, p_{t-1}\big), \qquad
        m_t = b_2 m_{t-1} + (1 - b_2) g_t

    Args:
      learning_rate: step size, a number or a schedule of the number of updates already made.
        Default 1e-4 (authors' code). The paper recommends 3 to 10 times less than for AdamW.
      b1: weight of the memory m in the step, in [0, 1]. Default 0.9 (paper, authors' code).
      b2: decay rate of the memory m, in [0, 1]. Default 0.99 (paper, authors' code).
      weight_decay: rate of decoupled decay, a number or a schedule; multiplied by the learning
        rate. Default 0 (authors' code). The paper tunes it, and recommends 3 to 10 times more
        than for AdamW.
      mask: a tree of booleans like the parameters, or a function from the parameters to one:
        which parameters decay. Default None: all.

    Raises:
      ValueError: a hyperparameter is out of range, trees do not match, or `update` is called
        without parameters.

    Reference: Chen et al. 2023, arXiv 2302.06675.

    >>> import jax.numpy as jnp
    >>> tx = lion(0.1, weight_decay=0.5)
    >>> params = jnp.array([2.0, 4.0])
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(params), params)[0].round(3))
    [-0.2 -0.1]
    """
    return chain(
        scale_by_lion(b1, b2),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


def _mean(b2):
    def leaf(g, m):
        g = jnp.asarray(g, m.dtype)
        return numerics.saturate(numerics.ema(m, g, b2), source=g)

    return leaf


def _direction(b1, weight):
    def leaf(g, m):
        keep, take = jnp.asarray(b1, m.dtype), jnp.asarray(weight, m.dtype)
        mean = keep * m + take * jnp.asarray(g, m.dtype)
        # The sign of an infinite mean would hide that the gradient was infinite.
        return jnp.where(jnp.isfinite(mean), jnp.sign(mean), jnp.nan)

    return leaf
