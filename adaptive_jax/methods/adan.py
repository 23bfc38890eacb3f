"""Adan: Adam with Nesterov momentum, estimated from differences of gradients."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, chain, constructor
from adaptive_jax.registry import register
from adaptive_jax.stages.decay import add_proximal_decay
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import PyTree, Scalar, ScalarOrSchedule, Updates
from adaptive_jax.validation import number

__all__ = ["ScaleByAdanState", "adan", "scale_by_adan"]


class ScaleByAdanState(NamedTuple):
    """The number of updates made; means of gradients, differences, squares; the last gradient."""

    count: jax.Array
    mu: Updates
    mean_difference: Updates
    nu: Updates
    previous: Updates


@constructor
def scale_by_adan(
    b1: Scalar = 0.98, b2: Scalar = 0.92, b3: Scalar = 0.99, eps: Scalar = 1e-8
) -> Preconditioner:
    r"""Divides the mean gradient, extrapolated by the mean difference, by a root mean square.

    .. math::
        d_t &= g_t - g_{t-1}\ (d_1 = 0), \qquad
        m_t = b_1 m_{t-1} + (1 - b_1) g_t, \qquad v_t = b_2 v_{t-1} + (1 - b_2) d_t \\
        n_t &= b_3 n_{t-1} + (1 - b_3) |g_t + b_2 d_t|^2 \\
        u_t &= \Big(\frac{m_t}{1 - b_1^t} + b_2 \frac{v_t}{1 - b_2^t}\Big) \Big/
               \left(\sqrt{\frac{n_t}{1 - b_3^t}} + eps\right)

    The bias corrections and the meaning of b1, b2 and b3 are those of the authors' code: the paper
    has no corrections, and writes :math:`\beta` for :math:`1 - b`. As a Preconditioner, the sum of
    the two means is the direction, and n makes the scale.

    Args:
      b1: decay rate of the mean gradient, in [0, 1). Default 0.98 (authors' code).
      b2: decay rate of the mean difference, in [0, 1). Default 0.92 (authors' code).
      b3: decay rate of the mean square, in [0, 1). Default 0.99 (authors' code).
      eps: added to the root, not negative. Default 1e-8 (authors' code).

    State: `count` int32; `mu`, `mean_difference` and `previous` in the parameters' shapes, and
    `nu` real, all float32 or wider.

    Raises:
      ValueError: a hyperparameter is out of range, or trees do not match.

    Reference: Xie et al. 2022, arXiv 2208.06677.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_adan()
    >>> updates, state = tx.update(jnp.array([1e3, -1e-3, 0.0]), tx.init(jnp.zeros(3)))
    >>> print(updates.round(4))
    [ 1. -1.  0.]
    """
    b1, b2 = number("b1", b1, "[0, 1)"), number("b2", b2, "[0, 1)")
    b3, eps = number("b3", b3, "[0, 1)"), number("eps", eps, "[0, inf)")

    def init(params):
        return ScaleByAdanState(
            count=numerics.count_zero(),
            mu=trees.zeros_like(params),
            mean_difference=trees.zeros_like(params),
            nu=trees.real_full_like(params),
            previous=trees.zeros_like(params),
        )

    def step(grads, state, params=None, **extra):
        def difference(g, last):
            return jnp.where(state.count == 0, jnp.zeros_like(g), g - last)

        def squarable_and_difference(grads):
            grads, last = (trees.squarable(x, state.nu) for x in (grads, state.previous))
            return grads, jax.tree.map(difference, grads, last)

        squarable, differences = squarable_and_difference(grads)
        anew = squarable_and_difference(trees.again(grads))
        new = ScaleByAdanState(
            count=numerics.count_next(state.count),
            mu=trees.ema(state.mu, squarable, b1),
            mean_difference=trees.ema(state.mean_difference, differences, b2),
            nu=jax.tree.map(_mean_square(b2, b3), state.nu, *anew),
            previous=jax.tree.map(lambda g, m: jnp.asarray(g, m.dtype), grads, state.mu),
        )
        correction1 = numerics.bias_correction(b1, new.count)
        correction3 = numerics.bias_correction(b3, new.count)
        # The scale divides both means by the correction of the first one; this makes up for it.
        weight = correction1 / numerics.bias_correction(b2, new.count)

        def look_ahead(m, v):
            return m + jnp.asarray(b2, m.dtype) * weight.astype(m.dtype) * v

        def scale(n):
            mean = n / correction3.astype(n.dtype)
            return numerics.inverse_root(mean, eps, 0.0) / correction1.astype(n.dtype)

        direction = jax.tree.map(look_ahead, new.mu, new.mean_difference)
        return Step(direction, jax.tree.map(scale, new.nu), new)

    return Preconditioner(init, step, first_order=("mu", "mean_difference", "previous"))


@register(
    "Adam looking ahead by the gradients' mean difference",
    reference="arXiv 2208.06677",
    learning_rate=(0.0001, 0.1),
    weight_decay=(1e-4, 1.0),
    takes_schedule=True,
)
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
        scale_by_adan(b1, b2, b3, eps),
        scale_by_learning_rate(learning_rate),
    ]
    if weight_decay is not None:
        stages.append(add_proximal_decay(weight_decay, learning_rate, mask))
    return chain(*stages)


def _mean_square(b2, b3):
    def leaf(n, g, d):
        return numerics.ema(n, numerics.abs_square(g + jnp.asarray(b2, g.dtype) * d), b3)

    return leaf
