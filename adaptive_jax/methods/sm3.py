"""SM3: Adagrad with accumulators for the slices of an array in place of its elements."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, chain, constructor
from adaptive_jax.registry import register
from adaptive_jax.stages import moments
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import Scalar, ScalarOrSchedule, Updates
from adaptive_jax.validation import number, number_or_schedule

__all__ = ["Cover", "ScaleBySM3State", "scale_by_sm3", "sm3"]


class Cover(NamedTuple):
    """For every axis the largest accumulator in each slice; other axes are kept, with size 1."""

    slices: tuple[jax.Array, ...]


class ScaleBySM3State(NamedTuple):
    """The cover of the accumulated squares."""

    cover: Updates


@constructor
def scale_by_sm3(eps_root: Scalar = 0.0) -> Preconditioner:
    r"""Divides the gradient by the root of a bound on the sum of its squares so far.

    .. math::
        \nu_t(i) = \min_{r \ni i} \mu_{t-1}(r) + |g_t(i)|^2, \qquad
        \mu_t(r) = \max_{i \in r} \nu_t(i), \qquad
        u_t = g_t / \sqrt{\nu_t + eps\_root}

    where r are the slices of an array along each of its axes: the rows and columns of a matrix. An
    (n, m) matrix thus needs n + m numbers. For arrays with fewer than two axes this is Adagrad.
    This is the paper's SM3-II, which has the tighter bound.

    Args:
      eps_root: added under the root, not negative. Default 0 (paper, where 0/0 is 0); the authors'
        code has 1e-30.

    State: `cover` (:math:`\mu_t`), for each parameter a `Cover` with one array for each axis. Real,
    float32 or wider; saturates instead of overflowing.

    Raises:
      ValueError: `eps_root` is negative, or trees do not match.

    Reference: Anil, Gupta, Koren & Singer 2019, arXiv 1901.11150.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_sm3()
    >>> state = tx.init(jnp.zeros((2, 2)))
    >>> for _ in range(4):
    ...     updates, state = tx.update(jnp.array([[2.0, 4.0], [0.0, 2.0]]), state)
    >>> print(updates)
    [[0.5 0.5]
     [0.  0.5]]
    >>> [a.shape for a in state.cover.slices]
    [(2, 1), (1, 2)]
    """
    eps_root = number("eps_root", eps_root, "[0, inf)")

    def init(params):
        return ScaleBySM3State(jax.tree.map(_cover, trees.real_full_like(params)))

    def step(grads, state, params=None, **extra):
        def bounds(grads):
            grads = trees.squarable(grads, trees.full_shapes(state.cover, Cover))
            return grads, jax.tree.map(lambda g, cover: _add_to_bound(cover, g), grads, state.cover)

        _, nu = bounds(grads)
        cover = jax.tree.map(_cover, nu)
        direction, nu = bounds(trees.again(grads))

        def scale(v, cover):  # of a vector from the new cover, so that XLA need not copy the old
            return numerics.inverse_root(v if v.ndim > 1 else cover.slices[0], 0.0, eps_root)

        return Step(direction, jax.tree.map(scale, nu, cover), ScaleBySM3State(cover))

    return Preconditioner(init, step, first_order=(), squares=("cover",))


@register(
    "Adagrad with memory for rows and columns",
    reference="arXiv 1901.11150",
    learning_rate=(0.001, 1.0),
)
def sm3(
    learning_rate: ScalarOrSchedule = 0.1,
    eps_root: Scalar = 0.0,
    momentum: ScalarOrSchedule | None = 0.9,
) -> optax.GradientTransformationExtraArgs:
    r"""SM3: Adagrad that keeps maxima over rows and columns in place of a sum for every element.

    .. math::
        p_t = p_{t-1} - lr\, m_t, \qquad
        m_t = momentum\, m_{t-1} + (1 - momentum)\, g_t \big/ \sqrt{\nu_t + eps\_root}

    where :math:`\nu_t` is the bound on the sum of squared gradients that `scale_by_sm3` describes.

    Args:
      learning_rate: step size, a number or a schedule of the number of updates already made.
        Default 0.1 (pytorch_optimizer); the paper tunes it, and uses a warm-up.
      eps_root: added under the root, not negative. Default 0 (paper, where 0/0 is 0); the
        authors' code has 1e-30.
      momentum: decay rate in [0, 1] of the moving mean m, a number or a schedule; None leaves it
        out, with its state. Default 0.9 (paper's experiments and authors' code).

    Raises:
      ValueError: a hyperparameter is out of range, or trees do not match.

    Reference: Anil, Gupta, Koren & Singer 2019, arXiv 1901.11150.

    >>> import jax.numpy as jnp
    >>> tx = sm3(0.1, momentum=None)
    >>> params = jnp.zeros((1, 2))
    >>> print(tx.update(jnp.array([[5.0, -1e-3]]), tx.init(params))[0])
    [[-0.1  0.1]]
    """
    stages: list[optax.GradientTransformation] = [scale_by_sm3(eps_root)]
    if momentum is not None:
        momentum = number_or_schedule("momentum", momentum, "[0, 1]")
        stages.append(moments.momentum(momentum, ema=True))
    return chain(*stages, scale_by_learning_rate(learning_rate))


def _add_to_bound(cover, grad):
    """ν: the tightest bound that the cover gives on the squares so far, plus the new square."""
    return numerics.add_square(functools.reduce(jnp.minimum, cover.slices), grad)


def _cover(nu):
    if nu.ndim < 2:
        return Cover((nu,))
    others = ([a for a in range(nu.ndim) if a != axis] for axis in range(nu.ndim))
    return Cover(tuple(jnp.max(nu, axes, keepdims=True, initial=0) for axes in others))
