"""Trust ratios: updates with a length in proportion to the norm of the array."""

import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Transformation, constructor
from adaptive_jax.stages.masks import Mask, masked
from adaptive_jax.typing import Scalar
from adaptive_jax.validation import map_leaves, number, require_params

__all__ = ["scale_by_trust_ratio"]


@constructor
def scale_by_trust_ratio(
    coefficient: Scalar = 1.0,
    eps: Scalar = 0.0,
    weight_decay: Scalar = 0.0,
    min_norm: Scalar = 0.0,
    max_norm: Scalar = float("inf"),
    mask: Mask | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Scales the update of each array to a length in proportion to the array's norm.

    .. math::
        u \leftarrow r\,(u + weight\_decay\, p), \qquad
        r = \frac{coefficient\ \phi(\|p\|)}{\|u\| + weight\_decay\,\|p\| + eps}, \qquad
        \phi(x) = \min(\max(x, min\_norm), max\_norm)

    and r = 1 where :math:`\phi(\|p\|)` or :math:`\|u\| + weight\_decay\,\|p\|` is 0. Norms are
    Euclidean, over all entries of an array.

    Args:
      coefficient: trust coefficient, positive. Default 1 (LAMB's paper); 0.001 in LARS's.
      eps: added to the divisor, not negative. Default 0 (both papers).
      weight_decay: LARS's decay, which is part of its ratio, not negative. Default 0. For LAMB, put
        `add_decayed_weights` before this stage, which then measures the sum.
      min_norm: LAMB's lower bound of the parameters' norm, not negative. Default 0: none.
      max_norm: LAMB's upper bound of the parameters' norm, positive. Default inf: none.
      mask: a tree of booleans like the parameters (or a prefix of it), or a function from the
        parameters to one. Leaves with False pass unchanged, without ratio and decay. To leave out
        biases: `lambda params: jax.tree.map(lambda p: p.ndim > 1, params)`. Default None: all of
        them are scaled.

    No state.

    Raises:
      ValueError: a hyperparameter is out of range, `min_norm` exceeds `max_norm`, the trees passed
        to `update` do not match, or `update` is called without parameters.

    Reference: You, Gitman & Ginsburg 2017, arXiv 1708.03888 (LARS); You et al. 2020,
    arXiv 1904.00962 (LAMB).

    >>> import jax.numpy as jnp
    >>> tx = scale_by_trust_ratio()
    >>> params = jnp.array([3.0, 4.0])
    >>> print(tx.update(jnp.array([0.0, -1e30]), tx.init(params), params)[0])
    [ 0. -5.]
    """
    coefficient = number("coefficient", coefficient, "(0, inf)")
    eps = number("eps", eps, "[0, inf)")
    weight_decay = number("weight_decay", weight_decay, "[0, inf)")
    min_norm = number("min_norm", min_norm, "[0, inf)")
    max_norm = number("max_norm", max_norm, "(0, inf]")
    if isinstance(min_norm, float) and isinstance(max_norm, float) and min_norm > max_norm:
        raise ValueError(f"min_norm must not exceed max_norm, got {min_norm} and {max_norm}")

    def leaf(u, p):
        p = jnp.asarray(p, numerics.compute_dtype(p))
        unit, in_units = numerics.norm_in_units(p)
        length = numerics.saturate(unit * in_units, source=unit)
        low, high, factor = (
            jnp.asarray(x, length.dtype) for x in (min_norm, max_norm, coefficient)
        )
        trusted = numerics.saturate(factor * jnp.clip(length, low, high), source=length)
        decay = jnp.asarray(weight_decay, length.dtype)
        pull = numerics.saturate(decay.astype(p.dtype) * p, source=p)
        pull_norm = unit, decay * in_units
        u = jnp.asarray(u, p.dtype)
        return _adapt(u, pull, pull_norm, trusted, jnp.asarray(eps, length.dtype))

    def update(updates, state, params=None, **extra):
        require_params("scale_by_trust_ratio", params)
        adapted = map_leaves(leaf, gradients=updates, parameters=params)
        return trees.cast_updates(adapted, updates, params), state

    tx = Transformation(lambda params: optax.EmptyState(), update)
    return tx if mask is None else masked(tx, mask)


def _adapt(u, pull, pull_norm, trusted, eps):
    """(u + pull)·trusted / (‖u‖ + ‖pull‖ + eps), or u + pull where the divisor is 0.

    It is computed in units of the longer of the two, so that nothing over- or underflows.
    """
    norms = numerics.norm_in_units(u), pull_norm
    lengths = (numerics.saturate(own * in_own, source=own) for own, in_own in norms)
    largest = jnp.maximum(*lengths)
    free = (trusted == 0) | (largest == 0)
    unit = numerics.unit_of(jnp.where(largest == 0, 0, jnp.maximum(largest, eps)))
    below = sum(in_own * (own / unit) for own, in_own in norms)
    ratio = (trusted / jnp.where(free, 1, below + eps / unit)).astype(u.dtype)
    in_units = u / unit.astype(u.dtype) + pull / unit.astype(u.dtype)
    return numerics.saturate(jnp.where(free, u + pull, ratio * in_units), source=u)
