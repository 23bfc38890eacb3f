"""SM3: Adagrad with accumulators for the slices of an array in place of its elements."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, constructor
from adaptive_jax.typing import Scalar, Updates
from adaptive_jax.validation import number


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

    def squarable(grads, cover):
        return trees.squarable(grads, trees.full_shapes(cover, Cover))

    def step(grads, state, params=None, **extra):
        def bounds(grads):
            grads = trees.squarable(grads, trees.full_shapes(state.cover, Cover))
            return grads, jax.tree.map(lambda g, cover: _add_to_bound(cover, g), grads, state.cover)

        _, nu = bounds(grads)
        cover = jax.tree.map(_cover, nu)
        direction, nu = bounds(trees.again(grads))
        scale = jax.tree.map(lambda v: numerics.inverse_root(v, 0.0, eps_root), nu)
        return Step(direction, scale, ScaleBySM3State(cover))

    return Preconditioner(init, step, first_order=(), squares=("cover",))


def _add_to_bound(cover, grad):
    """ν: the tightest bound that the cover gives on the squares so far, plus the new square."""
    return numerics.add_square(functools.reduce(jnp.minimum, cover.slices), grad)


def _cover(nu):
    if nu.ndim < 2:
        return Cover((nu,))
    others = ([a for a in range(nu.ndim) if a != axis] for axis in range(nu.ndim))
    return Cover(tuple(jnp.max(nu, axes, keepdims=True, initial=0) for axes in others))
