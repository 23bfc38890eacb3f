"""Clipping of gradients: by value, by the norm of each array, or by the norm of all together.

Gradients are divided by their largest magnitude before a norm is taken, so that neither float16
nor 1e38 overflows; `optax.clip_by_global_norm` returns zeros or NaN for such gradients.
"""

import math

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Transformation, constructor
from adaptive_jax.typing import Scalar
from adaptive_jax.validation import number

__all__ = ["clip_by_block_rms", "clip_by_global_norm", "clip_by_norm", "clip_by_value"]


@constructor
def clip_by_value(max_value: Scalar) -> optax.GradientTransformationExtraArgs:
    r"""Clips every coordinate: :math:`u = \min(\max(g, -max\_value), max\_value)`.

    Complex numbers are clipped by component. Infinity becomes `max_value`; NaN stays NaN.

    Args:
      max_value: largest magnitude, positive, in the units of the gradient.

    State: none.

    Raises:
      ValueError: `max_value` is not positive.

    >>> import jax.numpy as jnp
    >>> tx = clip_by_value(1.0)
    >>> print(tx.update(jnp.array([3.0, -0.5]), tx.init(jnp.zeros(2)))[0])
    [ 1.  -0.5]
    """
    max_value = number("max_value", max_value, "(0, inf)")

    def leaf(g):
        if jnp.iscomplexobj(g):
            return jax.lax.complex(leaf(g.real), leaf(g.imag))
        limit = jnp.asarray(max_value, g.dtype)
        return jnp.clip(g, -limit, limit)

    return _stateless(lambda grads: jax.tree.map(leaf, grads))


@constructor
def clip_by_norm(max_norm: Scalar) -> optax.GradientTransformationExtraArgs:
    r"""Scales each array down to a norm of at most `max_norm`.

    .. math::
        u = g \min\big(1,\ max\_norm / \|g\|\big)

    Keras calls it `clipnorm`. An array with NaN or infinity becomes NaN.

    Args:
      max_norm: largest norm of an array, positive, in the units of the gradient.

    State: none.

    Raises:
      ValueError: `max_norm` is not positive.

    >>> import jax.numpy as jnp
    >>> tx = clip_by_norm(1.0)
    >>> print(tx.update(jnp.array([3.0, 4.0]), tx.init(jnp.zeros(2)))[0])
    [0.6 0.8]
    """
    max_norm = number("max_norm", max_norm, "(0, inf)")
    return _stateless(lambda grads: jax.tree.map(lambda g: _shorten(g, max_norm), grads))


@constructor
def clip_by_block_rms(max_rms: Scalar = 1.0) -> optax.GradientTransformationExtraArgs:
    r"""Scales each array down to a root mean square of at most `max_rms`.

    .. math::
        u = g / \max\big(1,\ \sqrt{\mathrm{mean}(|g|^2)} / max\_rms\big)

    After a preconditioner, whose updates are about 1, it limits the steps that are too large
    because the second moment is outdated. An array with NaN or infinity becomes NaN.

    Args:
      max_rms: largest root mean square, positive. Default 1 (paper, its d).

    State: none.

    Raises:
      ValueError: `max_rms` is not positive.

    Reference: Shazeer & Stern 2018, arXiv 1804.04235, section 6.

    >>> import jax.numpy as jnp
    >>> tx = clip_by_block_rms(1.0)
    >>> print(tx.update(jnp.array([3.0, -3.0, 3.0]), tx.init(jnp.zeros(3)))[0])
    [ 1. -1.  1.]
    """
    max_rms = number("max_rms", max_rms, "(0, inf)")
    return _stateless(
        lambda grads: jax.tree.map(lambda g: _shorten(g, max_rms * math.sqrt(g.size)), grads)
    )


@constructor
def clip_by_global_norm(max_norm: Scalar) -> optax.GradientTransformationExtraArgs:
    r"""Scales all arrays down together, to a global norm of at most `max_norm`.

    .. math::
        u_i = g_i \min\big(1,\ max\_norm / \textstyle\sqrt{\sum_j \|g_j\|^2}\big)

    A tree with NaN or infinity anywhere becomes NaN everywhere.

    Args:
      max_norm: largest norm of the whole tree, positive, in the units of the gradient.

    State: none.

    Raises:
      ValueError: `max_norm` is not positive.

    Reference: Pascanu, Mikolov & Bengio 2013, arXiv 1211.5063.

    >>> import jax.numpy as jnp
    >>> tx = clip_by_global_norm(1.0)
    >>> grads = {"a": jnp.array([3.0]), "b": jnp.array([4.0])}
    >>> updates, _ = tx.update(grads, tx.init(grads))
    >>> print(updates["a"], updates["b"])
    [0.6] [0.8]
    """
    max_norm = number("max_norm", max_norm, "(0, inf)")
    return _stateless(lambda grads: _shorten(grads, max_norm))


def _stateless(fn) -> optax.GradientTransformationExtraArgs:
    def update(updates, state, params=None, **extra):
        return trees.cast_updates(fn(trees.as_computed(updates)), updates, params), state

    return Transformation(lambda params: optax.EmptyState(), update)


def _shorten(grads, max_norm):
    """The tree times min(1, max_norm / its norm); no square overflows or underflows."""
    leaves = jax.tree.leaves(grads)
    if not leaves:
        return grads
    dtype = jnp.result_type(*(numerics.real_dtype(g) for g in leaves))
    largest = jnp.stack([numerics.largest(g).astype(dtype) for g in leaves])
    unit = numerics.unit_of(jnp.max(largest))
    squares = [numerics.abs_square(g / unit.astype(g.dtype)) for g in leaves]
    sums = (jnp.sum(s).astype(dtype) for s in squares)
    norm_in_units = numerics.root(sum(sums, start=jnp.zeros([], dtype)))
    max_norm = jnp.asarray(max_norm, dtype)
    short = norm_in_units <= max_norm / unit

    def leaf(g):
        shortened = g / unit.astype(g.dtype) * (max_norm / norm_in_units).astype(g.dtype)
        return jnp.where(short, g, shortened)

    return jax.tree.map(leaf, grads)
