"""AdaShift: Adam whose second moment has only gradients that are older than the first moment's."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, chain, constructor
from adaptive_jax.registry import register
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import Scalar, ScalarOrSchedule, Updates
from adaptive_jax.validation import number, steps

__all__ = ["ScaleByAdashiftState", "adashift", "scale_by_adashift"]


class ScaleByAdashiftState(NamedTuple):
    """The number of updates made, the last gradients, and the mean square of those before them."""

    count: jax.Array
    history: Updates
    nu: Updates


@constructor
def scale_by_adashift(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-10,
    keep_num: int = 10,
    reduce: str | None = "max",
) -> Preconditioner:
    r"""Divides the mean of the last n gradients by a root mean square of those before them.

    .. math::
        m_t = \sum_{i=0}^{n-1} b_1^i g_{t-i} \Big/ \sum_{i=0}^{n-1} b_1^i, \qquad
        v_t = b_2 v_{t-1} + (1 - b_2)\, \phi(|g_{t-n}|^2), \qquad
        u_t = m_t \Big/ \left(\sqrt{\frac{v_t}{1 - b_2^{t-n}}} + eps\right)

    with n = `keep_num`. The delay makes v independent of the gradients in m. The first n updates
    only collect gradients: their scale, and so u, is 0.

    Args:
      b1: weight of each gradient relative to the next one, in [0, 1]. Default 0.9 (paper).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (paper).
      eps: added to the corrected root, not negative. Default 1e-10 (pytorch_optimizer).
      keep_num: number of gradients in the first moment, at least 1. Default 10 (paper).
      reduce: the spatial operation φ over each array: `"max"`, `"mean"`, or None for none. Default
        `"max"` (the paper's max-AdaShift). With `"max"` or `"mean"`, all coordinates of an array
        share one scale, and infinity or NaN in one coordinate reaches all of them.

    State: `count` int32; `history`, a ring buffer of `keep_num` gradients, with that of update t
    (from 0) at index t mod `keep_num`; `nu` real, a scalar for each array if there is a reduction.
    All are float32 or wider.

    Raises:
      ValueError: a hyperparameter is out of range, or trees do not match.

    Reference: Zhou et al. 2018, arXiv 1810.00143.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_adashift(keep_num=2)
    >>> state = tx.init(jnp.zeros(2))
    >>> for _ in range(3):
    ...     updates, state = tx.update(jnp.array([10.0, -1.0]), state)
    ...     print(updates.round(3))
    [ 0. -0.]
    [ 0. -0.]
    [ 1.  -0.1]
    """
    b1, b2 = number("b1", b1, "[0, 1]"), number("b2", b2, "[0, 1)")
    eps, keep_num = number("eps", eps, "[0, inf)"), steps("keep_num", keep_num)
    if reduce not in _REDUCTIONS:
        raise ValueError(f"reduce must be 'max', 'mean' or None, got {reduce!r}")
    reduced = _REDUCTIONS[reduce]

    def init(params):
        nu = jax.tree.map(reduced, trees.real_full_like(params))
        history = jax.tree.map(lambda z: jnp.stack([z] * keep_num), trees.zeros_like(params))
        return ScaleByAdashiftState(numerics.count_zero(), history, nu)

    def step(grads, state, params=None, **extra):
        slot = state.count % keep_num  # constant once the count saturates, after 2^31 updates
        oldest = jax.tree.map(
            lambda h: jax.lax.dynamic_index_in_dim(h, slot, keepdims=False), state.history
        )
        grads = trees.squarable(grads, jax.tree.map(jnp.real, oldest))
        count = numerics.count_next(state.count)
        history = jax.tree.map(
            lambda h, g: jax.lax.dynamic_update_index_in_dim(h, g, slot, 0), state.history, grads
        )
        nu = jax.tree.map(  # stays 0 while the oldest gradients are the zeros of `init`
            lambda v, g: reduced(_mean_square(v, g, b2)), state.nu, oldest
        )
        direction = jax.tree.map(lambda h: _window_mean(h, count, b1, keep_num), history)
        squares = count - keep_num  # number of squares in v
        correction = numerics.bias_correction(b2, jnp.maximum(squares, 1))

        def scale(v, m):
            s = numerics.inverse_root(v / correction.astype(v.dtype), eps, 0.0)
            return jnp.full_like(m, jnp.where(squares > 0, s, 0), v.dtype)

        scales = jax.tree.map(scale, nu, direction)
        return Step(direction, scales, ScaleByAdashiftState(count, history, nu))

    return Preconditioner(init, step, first_order=("history",))


@register(
    "mean gradient over the root mean square of old ones",
    reference="arXiv 1810.00143",
    learning_rate=(0.001, 1.0),
)
def adashift(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-10,
    keep_num: int = 10,
    reduce: str | None = "max",
) -> optax.GradientTransformationExtraArgs:
    r"""AdaShift: Adam with a second moment of gradients that are older than the first moment's.

    .. math::
        p_t = p_{t-1} - lr\, \frac{m_t}{\sqrt{\hat v_t} + eps}, \qquad
        m_t = \sum_{i=0}^{n-1} b_1^i g_{t-i} \Big/ \sum_{i=0}^{n-1} b_1^i, \qquad
        v_t = b_2 v_{t-1} + (1 - b_2)\, \phi(|g_{t-n}|^2)

    with n = `keep_num`. The first n updates leave the parameters unchanged.

    Args:
      learning_rate: step size, a number or a schedule of the number of updates already made.
        Default 1e-3 (pytorch_optimizer); the paper tunes it.
      b1: weight of each gradient in the first moment relative to the next one, in [0, 1].
        Default 0.9 (paper).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (paper).
      eps: added to the corrected root, not negative. Default 1e-10 (pytorch_optimizer).
      keep_num: number of gradients in the first moment, at least 1; all are kept in the state.
        Default 10 (paper).
      reduce: the operation φ over each array: `"max"`, `"mean"`, or None, which leaves a second
        moment for every element. Default `"max"` (the paper's max-AdaShift).

    Raises:
      ValueError: a hyperparameter is out of range, or trees do not match.

    Reference: Zhou et al. 2018, arXiv 1810.00143.

    >>> import jax.numpy as jnp
    >>> tx = adashift(0.1, keep_num=1)
    >>> state = tx.init(jnp.zeros(2))
    >>> for _ in range(2):
    ...     updates, state = tx.update(jnp.array([5.0, -1.0]), state)
    >>> print(updates.round(3))
    [-0.1   0.02]
    """
    return chain(
        scale_by_adashift(b1, b2, eps, keep_num, reduce),
        scale_by_learning_rate(learning_rate),
    )


def _mean_square(v, grad, b2):
    """The mean, taken before the reduction: after it, XLA rounds otherwise for a constant `b2`."""
    square = numerics.abs_square(grad)
    return numerics.ema(jnp.broadcast_to(v, square.shape), square, b2)


def _window_mean(history, count, b1, keep_num):
    """The mean of the gradients in the ring, each weighted by `b1` to the power of its age."""
    age = (count - 1 - jnp.arange(keep_num, dtype=count.dtype)) % keep_num
    power = jnp.asarray(b1, jnp.result_type(float)) ** age.astype(jnp.result_type(float))
    weights = (power / jnp.sum(power)).astype(history.dtype)
    return jnp.sum(weights.reshape(-1, *[1] * (history.ndim - 1)) * history, axis=0)


_REDUCTIONS = {
    "max": lambda square: jnp.max(square, initial=0),
    "mean": lambda square: jnp.sum(square / max(square.size, 1)),  # the sum cannot overflow
    None: lambda square: square,
}
