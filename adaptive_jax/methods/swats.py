"""SWATS: Adam until an estimate of SGD's learning rate has converged, then SGD."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, chain, constructor
from adaptive_jax.methods.adam import scale_by_adam
from adaptive_jax.registry import register
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import Scalar, ScalarOrSchedule, State
from adaptive_jax.validation import number

__all__ = ["ScaleBySwatsState", "scale_by_swats", "swats"]


class ScaleBySwatsState(NamedTuple):
    """Adam's state (later `mu` is SGD's buffer), the mean of SGD's rate, and when it took over.

    `switched` is the number of updates made when the rate converged, 0 before that.
    """

    adam: State
    mean_rate: jax.Array
    switched: jax.Array


@constructor
def scale_by_swats(
    b1: Scalar = 0.9, b2: Scalar = 0.999, eps: Scalar = 1e-9, tolerance: Scalar = 1e-6
) -> Preconditioner:
    r"""Makes Adam's steps until the rate at which SGD would make them converges, then SGD's.

    With Adam's step :math:`u_t`, whose projection on the gradient is that of :math:`\gamma_t g_t`
    on :math:`u_t`,

    .. math::
        \gamma_t = \frac{\|u_t\|^2}{\langle u_t, g_t \rangle}, \qquad
        \lambda_t = b_2 \lambda_{t-1} + (1 - b_2) \gamma_t, \qquad
        \Lambda = \frac{\lambda_t}{1 - b_2^t}
        \;\text{ once }\; \Big|\frac{\lambda_t}{1 - b_2^t} - \gamma_t\Big| < tolerance,\ t > 1

    and from the next update on :math:`m_t = b_1 m_{t-1} + g_t`, starting at 0 again, and
    :math:`u_t = (1 - b_1) \Lambda\, m_t`. All arrays share one rate and switch at the same step, as
    in the paper, whose algorithm is for the vector of all parameters. For groups that switch
    separately use `optax.partition`. A rate that is not positive would ascend and is never used
    (the paper does not discuss this).

    The paper includes the learning rate in :math:`\gamma`. Here it is left to
    `scale_by_learning_rate` in both phases, so that a schedule also applies to the second.

    Args:
      b1: decay rate of Adam's first moment and SGD's momentum, in [0, 1). Default 0.9 (paper).
      b2: decay rate of the second moment and of the mean rate, in [0, 1). Default 0.999 (paper).
      eps: added to the uncorrected root, not negative. Default 1e-9 (paper).
      tolerance: how close the rate must be to its mean, in units of parameter per gradient per
        learning rate; not negative, and with 0 the switch never happens. Default 1e-6: the
        paper's 1e-9, divided by its learning rate of 1e-3.

    State: `adam`, Adam's, and two numbers: `mean_rate`, float32 or wider, and `switched`, int32.

    Raises:
      ValueError: a hyperparameter is out of range, or trees do not match.

    Reference: Keskar & Socher 2017, arXiv 1712.07628.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_swats(tolerance=0.01)
    >>> state = tx.init(jnp.zeros(()))
    >>> for grad in (2.0, 2.0, 2.0, 4.0):  # Adam's steps are 1, so SGD's rate would be 1/2
    ...     update, state = tx.update(jnp.array(grad), state)
    ...     print(f"{update:.2f}")
    1.00
    1.00
    0.10
    0.29
    """
    b1, b2 = number("b1", b1, "[0, 1)"), number("b2", b2, "[0, 1)")
    eps = number("eps", eps, "[0, inf)")
    tolerance = number("tolerance", tolerance, "[0, inf)")
    adam = scale_by_adam(b1, b2, eps=0.0, eps_hat=eps)

    def init(params):
        return ScaleBySwatsState(
            adam.init(params), trees.real_scalar(params), numerics.count_zero()
        )

    def step(grads, state, params=None, **extra):
        before = state.adam
        direction, scale, after, _ = adam.step(grads, before)
        grads = trees.squarable(grads, before.nu)
        mean_rate, settled = _follow(
            direction, scale, grads, state.mean_rate, after.count, b2, tolerance
        )
        new = ScaleBySwatsState(after, mean_rate, jnp.where(settled, after.count, 0))

        # SGD's step, used from the update after the one at which the rate converged.
        is_sgd = state.switched > 0
        keep = jnp.where(before.count == state.switched, 0.0, jnp.asarray(b1))
        buffer = jax.tree.map(lambda m, g: jnp.asarray(keep, m.dtype) * m + g, before.mu, grads)
        correction = numerics.bias_correction(b2, jnp.maximum(state.switched, 1))
        dtype = state.mean_rate.dtype
        rate = jnp.asarray(1 - b1, dtype) * state.mean_rate / correction.astype(dtype)
        sgd = state._replace(adam=optax.ScaleByAdamState(after.count, buffer, before.nu))

        direction = jax.tree.map(lambda s, a: jnp.where(is_sgd, s, a), buffer, direction)
        scale = jax.tree.map(lambda s: jnp.where(is_sgd, rate.astype(s.dtype), s), scale)
        state = jax.tree.map(lambda s, a: jnp.where(is_sgd, s, a), sgd, new)
        return Step(direction, scale, state)

    return Preconditioner(init, step)


@register(
    "Adam, then SGD at the rate that it has settled on",
    reference="arXiv 1712.07628",
    learning_rate=(0.0001, 0.1),
)
def swats(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-9,
    tolerance: Scalar = 1e-6,
) -> optax.GradientTransformationExtraArgs:
    r"""SWATS: Adam until an estimate of SGD's learning rate has converged, then SGD.

    .. math::
        p_t = p_{t-1} - lr\,\frac{\sqrt{1 - b_2^t}}{1 - b_1^t}\, \frac{m_t}{\sqrt{v_t} + eps}
        \;\text{ and later }\;
        p_t = p_{t-1} - lr\,(1 - b_1)\,\Lambda\, m_t, \quad m_t = b_1 m_{t-1} + g_t

    :math:`\Lambda` is the learning rate with which SGD would have made Adam's steps; see
    `scale_by_swats`. A schedule of the learning rate applies to both phases.

    Args:
      learning_rate: step size, a number or a schedule of the number of updates already made.
        Default 1e-3 (paper).
      b1: decay rate of Adam's first moment and SGD's momentum, in [0, 1). Default 0.9 (paper).
      b2: decay rate of the second moment and of the mean of SGD's rate, in [0, 1). Default 0.999
        (paper).
      eps: added to the uncorrected root, not negative. Default 1e-9 (paper).
      tolerance: SGD takes over when its rate is this close to the mean of that rate; not
        negative, and with 0 it never does. Default 1e-6: the paper's 1e-9, divided by the
        learning rate of 1e-3, which the paper includes in the rate.

    Raises:
      ValueError: a hyperparameter is out of range, or trees do not match.

    Reference: Keskar & Socher 2017, arXiv 1712.07628.

    >>> import jax.numpy as jnp
    >>> tx = swats(0.1)
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(jnp.zeros(2)))[0].round(3))
    [-0.1  0.1]
    """
    return chain(
        scale_by_swats(b1, b2, eps, tolerance),
        scale_by_learning_rate(learning_rate),
    )


def _follow(direction, scale, grads, mean_rate, count, b2, tolerance):
    """The mean of SGD's rate after this step, and whether the rate has converged."""

    def dot(xs, ys):
        products = jax.tree.map(lambda x, y: jnp.sum((x * y.conj()).real), xs, ys)
        return sum(
            (product.astype(mean_rate.dtype) for product in jax.tree.leaves(products)),
            jnp.zeros_like(mean_rate),
        )

    step = jax.tree.map(lambda d, s: d * s.astype(d.dtype), direction, scale)
    along = dot(step, grads)
    known = along != 0
    limit = numerics.largest_squarable(mean_rate.dtype)  # so that rate · gradient is finite
    rate = jnp.clip(dot(step, step) / jnp.where(known, along, 1), -limit, limit)
    mean_rate = jnp.where(known, numerics.ema(mean_rate, rate, b2), mean_rate)
    mean = mean_rate / numerics.bias_correction(b2, count).astype(mean_rate.dtype)
    near = jnp.abs(mean - rate) < jnp.asarray(tolerance, rate.dtype)
    return mean_rate, known & near & (mean > 0) & (count > 1)
