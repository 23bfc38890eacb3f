"""Cautious updates: coordinates whose update would ascend are not moved."""

import jax.numpy as jnp
import optax

from adaptive_jax import numerics
from adaptive_jax.algebra import Transformation, constructor
from adaptive_jax.typing import Scalar
from adaptive_jax.validation import map_leaves, number

__all__ = ["cautious"]


@constructor
def cautious(
    tx: optax.GradientTransformation, xi: Scalar = 1.0, before_learning_rate: bool = False
) -> optax.GradientTransformationExtraArgs:
    r"""Applies an optimizer's update only to those coordinates in which it descends.

    .. math::
        \phi = [-u \cdot g > 0], \qquad
        u \leftarrow \frac{d}{\sum \phi + \xi}\, \phi\, u

    for every array of d coordinates with the update u of `tx` and the gradient g. With momentum an
    update can have the direction in which the current loss increases. Such coordinates are not
    moved, and the steps of the others are enlarged in proportion. Complex numbers are kept or
    masked as a whole, by the sign of the real part of :math:`\bar g u`.

    Decoupled weight decay within `tx` is part of its update. To exempt it, as the authors do, put
    it after this stage: `chain(cautious(scale_by_adam(), before_learning_rate=True),
    add_decayed_weights(0.1), scale_by_learning_rate(1e-3))`.

    Args:
      tx: any optimizer or stage.
      xi: added to the number of coordinates that are kept, not negative; 0 preserves the mean step.
        Default 1 (paper's algorithm), which halves the step of an array with one element.
      before_learning_rate: the updates of `tx` have the sign of the gradient, as those of a
        `scale_by_…` stage before `scale_by_learning_rate`. Default False: `tx` includes the
        learning rate.

    State: that of `tx`.

    Raises:
      ValueError: `xi` is negative, or trees do not match.

    Reference: Liang et al. 2024, arXiv 2411.16085.

    >>> from adaptive_jax import sgd
    >>> tx = cautious(sgd(1.0, momentum=0.5), xi=0.0)
    >>> state = tx.init(jnp.zeros(2))
    >>> _, state = tx.update(jnp.array([4.0, 4.0]), state)
    >>> updates, state = tx.update(jnp.array([1.0, -1.0]), state)  # without it: [-3, -1]
    >>> print(updates)
    [-6.  0.]
    """
    xi = number("xi", xi, "[0, inf)")
    tx = optax.with_extra_args_support(tx)

    def leaf(u, g):
        wide, g = (jnp.asarray(x, numerics.compute_dtype(x)) for x in (u, g))
        along = _cosine_sign(wide, g)
        # False for NaN, which is thus kept.
        against = (along <= 0) if before_learning_rate else (along >= 0)
        kept = wide.size - jnp.sum(against, dtype=numerics.real_dtype(wide))
        factor = wide.size / jnp.maximum(kept + jnp.asarray(xi, kept.dtype), 1)
        moved = numerics.saturate(wide * factor.astype(wide.dtype), source=wide)
        return numerics.cast(jnp.where(against, 0, moved), jnp.result_type(u))

    def update(updates, state, params=None, **extra):
        new, state = tx.update(updates, state, params, **extra)
        return map_leaves(leaf, updates=new, gradients=updates), state

    return Transformation(tx.init, update)


def _cosine_sign(u, g):
    """A number with the sign of Re(ḡ·u): from the signs of both, as the product could underflow."""
    u, g = jnp.sign(u), jnp.sign(g).astype(u.dtype)
    return u.real * g.real + u.imag * g.imag if jnp.iscomplexobj(u) else u * g
