"""Gradient centralization: makes the mean gradient of each neuron's weights 0."""

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Transformation, constructor
from adaptive_jax.validation import static

__all__ = ["centralize_gradients"]


@constructor
def centralize_gradients(output_axis: int = -1) -> optax.GradientTransformationExtraArgs:
    r"""Subtracts from each neuron's gradient its mean over the neuron's inputs.

    .. math::
        u_{i o} = g_{i o} - \frac{1}{n} \sum_{j=1}^{n} g_{j o}

    where o is the index on the output axis and i that on all other axes. Leaves with fewer than two
    axes are not changed. This stage precedes the adaptive one:
    `chain(centralize_gradients(), adam(1e-3))`.

    Args:
      output_axis: the axis of the outputs: -1, as in Flax's kernels, dense and convolutional, or 0,
        as in PyTorch's and Equinox's. Default -1.

    State: none.

    Raises:
      ValueError: gradients are not floating-point or complex, or one with at least two axes has no
        such axis.

    Reference: Yong et al. 2020, arXiv 2004.01461.

    >>> tx = centralize_gradients()
    >>> gradient = jnp.array([[1.0, 5.0], [3.0, 9.0]])  # two inputs, two outputs
    >>> print(tx.update(gradient, tx.init(gradient))[0])
    [[-1. -2.]
     [ 1.  2.]]
    """

    output_axis = static("output_axis", output_axis)

    def leaf(g):
        if g.ndim < 2:
            return g
        if not -g.ndim <= output_axis < g.ndim:
            raise ValueError(
                f"output_axis must be an axis of every gradient, got {output_axis} for the shape "
                f"{g.shape}"
            )
        inputs = tuple(axis for axis in range(g.ndim) if axis != output_axis % g.ndim)
        count = max(1, g.size // max(1, g.shape[output_axis]))
        # Divided first, so that the sum does not overflow.
        mean = jnp.sum(g / count, axis=inputs, keepdims=True)
        return numerics.saturate(g - mean, source=g)

    def update(updates, state, params=None, **extra):
        centered = jax.tree.map(leaf, trees.as_computed(updates))
        return trees.cast_updates(centered, updates, params), state

    return Transformation(lambda params: optax.EmptyState(), update)
