"""Cautious updates: a coordinate that would go against its gradient stays where it is."""

import jax.numpy as jnp
import optax

from adaptive_jax import numerics
from adaptive_jax.algebra import Transformation, constructor
from adaptive_jax.typing import Scalar
from adaptive_jax.validation import map_leaves, number


@constructor
def cautious(
    tx: optax.GradientTransformation, xi: Scalar = 1.0, before_learning_rate: bool = False
) -> optax.GradientTransformationExtraArgs:
    r"""Lets an optimizer move only those coordinates that it moves downhill.

    .. math::
        \phi = [-u \cdot g > 0], \qquad
        u \leftarrow \frac{d}{\sum \phi + \xi}\, \phi\, u

    for every array of d coordinates with the update u of `tx` and the gradient g. Momentum may
    point against the gradient of this step; those coordinates are left out, and the others go
    further by as much as there are fewer of them. Complex numbers are kept or left out whole, by
    the sign of the real part of :math:`\bar g u`.

    Decoupled weight decay within `tx` counts as a part of its update. To leave it alone, as the
    authors do, put it after this stage: `chain(cautious(scale_by_adam(),
    before_learning_rate=True), add_decayed_weights(0.1), scale_by_learning_rate(1e-3))`.

    Args:
      tx: any optimizer.
      xi: added to the number of coordinates that are kept; not negative. 1 in the paper's
        algorithm, which so halves the steps of a single number; 0 keeps their mean.
      before_learning_rate: the updates of `tx` have the sign of the gradient, as those of a
        `scale_by_…` stage have before `scale_by_learning_rate` turns them round.

    State: that of `tx`.

    Raises:
      ValueError: `xi` is negative, or trees do not match.

    Reference: Liang et al. 2024, arXiv 2411.16085.

    >>> from adaptive_jax import sgd
    >>> tx = cautious(sgd(1.0, momentum=0.5), xi=0.0)
    >>> state = tx.init(jnp.zeros(2))
    >>> _, state = tx.update(jnp.array([4.0, 4.0]), state)
    >>> updates, state = tx.update(jnp.array([1.0, -1.0]), state)  # alone sgd has [-3, -1]
    >>> print(updates)
    [-6.  0.]
    """
    xi = number("xi", xi, "[0, inf)")
    tx = optax.with_extra_args_support(tx)

    def leaf(u, g):
        wide, g = (jnp.asarray(x, numerics.compute_dtype(x)) for x in (u, g))
        along = _cosine_sign(wide, g)
        against = (along <= 0) if before_learning_rate else (along >= 0)  # neither for NaN
        kept = wide.size - jnp.sum(against, dtype=numerics.real_dtype(wide))
        factor = wide.size / jnp.maximum(kept + jnp.asarray(xi, kept.dtype), 1)
        moved = numerics.saturate(wide * factor.astype(wide.dtype), source=wide)
        return numerics.cast(jnp.where(against, 0, moved), jnp.result_type(u))

    def update(updates, state, params=None, **extra):
        new, state = tx.update(updates, state, params, **extra)
        return map_leaves(leaf, updates=new, gradients=updates), state

    return Transformation(tx.init, update)


def _cosine_sign(u, g):
    """The real part of ḡ·u, or its sign: from the numbers' signs, whose product never vanishes."""
    u, g = jnp.sign(u), jnp.sign(g).astype(u.dtype)
    return u.real * g.real + u.imag * g.imag if jnp.iscomplexobj(u) else u * g
