"""ADOPT: momentum of gradients that are divided by the second moment of those before them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Transformation, chain, constructor
from adaptive_jax.registry import register
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import Scalar, ScalarOrSchedule, Updates
from adaptive_jax.validation import number

__all__ = ["ScaleByAdoptState", "adopt", "scale_by_adopt"]


class ScaleByAdoptState(NamedTuple):
    """The number of updates made, the mean normalized gradient, and the mean squared gradient."""

    count: jax.Array
    mu: Updates
    nu: Updates


@constructor
def scale_by_adopt(
    b1: Scalar = 0.9,
    b2: Scalar = 0.9999,
    eps: Scalar = 1e-6,
    clip_exponent: Scalar | None = 0.25,
) -> optax.GradientTransformationExtraArgs:
    r"""Replaces the gradient by a mean of gradients, each divided by the second moment before it.

    .. math::
        c_t &= t^{clip\_exponent}, \qquad
        m_t = b_1 m_{t-1} + (1 - b_1)\,
              \mathrm{clip}\Big(\frac{g_t}{\max(\sqrt{v_{t-1}},\, eps)},\ -c_t,\ c_t\Big) \\
        v_t &= b_2 v_{t-1} + (1 - b_2) |g_t|^2, \qquad u_t = m_t

    Here t starts at 0: the first update only sets :math:`v_0 = |g_0|^2`, and its step is
    :math:`u_0 = 0`. The method converges with any `b2` because the gradient is independent of its
    divisor.

    Args:
      b1: decay rate of the mean, in [0, 1]. Default 0.9 (authors' code).
      b2: decay rate of the second moment, in [0, 1]. Default 0.9999 (authors' code).
      eps: lower limit of the divisor, not negative. Default 1e-6 (authors' code).
      clip_exponent: normalized gradients are clipped to a magnitude of t to this power, complex
        ones too; not negative. None does not clip (the paper's Algorithm 1). Default 0.25
        (Algorithm 2; the later versions of the authors' code).

    State: `count` int32, `mu` in the parameters' shapes and `nu` real, both float32 or wider.

    Raises:
      ValueError: a hyperparameter is out of range, or trees do not match.

    Reference: Taniguchi et al. 2024, arXiv 2411.02853.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_adopt(b1=0.5)
    >>> state = tx.init(jnp.zeros(2))
    >>> for grad in ([2.0, -1e-3], [1.0, -1e-3]):
    ...     updates, state = tx.update(jnp.array(grad), state)
    ...     print(updates)
    [0. 0.]
    [ 0.25 -0.5 ]
    """
    b1, b2 = number("b1", b1, "[0, 1]"), number("b2", b2, "[0, 1]")
    eps = number("eps", eps, "[0, inf)")
    if clip_exponent is not None:
        clip_exponent = number("clip_exponent", clip_exponent, "[0, inf)")

    def init(params):
        return ScaleByAdoptState(
            numerics.count_zero(), trees.zeros_like(params), trees.real_full_like(params)
        )

    def update(updates, state, params=None, **extra):
        grads = trees.squarable(updates, state.nu)
        first = state.count == 0
        # Weights of 0, not a `where` on the results: NaN and infinity show in the first step too.
        take_m = jnp.where(first, 0, jnp.asarray(1 - b1))
        keep_v = jnp.where(first, 0, jnp.asarray(b2))
        take_v = jnp.where(first, 1, jnp.asarray(1 - b2))

        def momentum(g, m, v):
            normalized = _over(g, jnp.maximum(numerics.root(v), jnp.asarray(eps, v.dtype)))
            if clip_exponent is not None:
                normalized = _clip(normalized, _limit(state.count, clip_exponent))
            return jnp.asarray(b1, m.dtype) * m + take_m.astype(m.dtype) * normalized

        def mean_square(g, v):
            square = numerics.abs_square(g)
            return keep_v.astype(v.dtype) * v + take_v.astype(v.dtype) * square

        mu = jax.tree.map(momentum, grads, state.mu, state.nu)
        nu = jax.tree.map(mean_square, grads, state.nu)
        state = ScaleByAdoptState(numerics.count_next(state.count), mu, nu)
        return trees.cast_updates(mu, updates, params), state

    return Transformation(init, update)


@register(
    "gradients over the root mean square before them",
    reference="arXiv 2411.02853",
    learning_rate=(0.0001, 0.1),
)
def adopt(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.9999,
    eps: Scalar = 1e-6,
    clip_exponent: Scalar | None = 0.25,
) -> optax.GradientTransformationExtraArgs:
    r"""ADOPT: momentum of gradients, each divided by the second moment before it.

    .. math::
        p_t = p_{t-1} - lr\, m_t, \qquad m_t = b_1 m_{t-1} + (1 - b_1)\,
            \mathrm{clip}\Big(\frac{g_t}{\max(\sqrt{v_{t-1}},\, eps)},\ t^{clip\_exponent}\Big)

    with :math:`v_t` the moving mean of squared gradients, as in `scale_by_adopt`. The first update
    only initializes v and leaves the parameters unchanged.

    Args:
      learning_rate: step size, a number or a schedule of the number of updates already made.
        Default 1e-3 (authors' code).
      b1: decay rate of the momentum, in [0, 1]. Default 0.9 (authors' code).
      b2: decay rate of the second moment, in [0, 1]. Default 0.9999 (authors' code).
      eps: lower limit of the root, not negative. Default 1e-6 (authors' code).
      clip_exponent: normalized gradients are clipped to a magnitude of t to this power; not
        negative. None does not clip (paper's Algorithm 1). Default 0.25 (Algorithm 2; authors'
        code).

    Raises:
      ValueError: a hyperparameter is out of range, or trees do not match.

    Reference: Taniguchi et al. 2024, arXiv 2411.02853.

    >>> import jax.numpy as jnp
    >>> tx = adopt(0.1)
    >>> state = tx.init(jnp.zeros(2))
    >>> for _ in range(2):
    ...     updates, state = tx.update(jnp.array([5.0, -1e-3]), state)
    >>> print(updates.round(3))
    [-0.01  0.01]
    """
    return chain(
        scale_by_adopt(b1, b2, eps, clip_exponent),
        scale_by_learning_rate(learning_rate),
    )


def _over(g, size):
    return g * (1 / size).astype(g.dtype)


def _limit(count, exponent):
    """The largest magnitude of a normalized gradient; the result for count 0 is not used."""
    times = jnp.maximum(count, 1).astype(jnp.result_type(float))
    return numerics.power(times, exponent)


def _clip(x, limit):
    """`x` with a magnitude of at most `limit`; infinity becomes NaN, so that it is not hidden."""
    size = jnp.abs(x)
    limit = limit.astype(size.dtype)
    return x * (limit / jnp.maximum(limit, size)).astype(x.dtype)
