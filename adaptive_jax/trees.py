"""Gradients, state and updates as trees: their dtypes on the way in and on the way out."""

import jax
import jax.numpy as jnp

from adaptive_jax import numerics
from adaptive_jax.typing import Params, PyTree, Scalar, State, Updates
from adaptive_jax.validation import check_inexact, map_leaves


def zeros_like(params: Params) -> PyTree:
    """State for a first moment: zeros in each parameter's shape and `compute_dtype`."""
    check_inexact(params)
    return jax.tree.map(lambda p: jnp.zeros_like(p, numerics.compute_dtype(p)), params)


def copy(params: Params) -> PyTree:
    """State that starts as the parameters: buffers of their own, in `compute_dtype`.

    Abstract parameters, which have a shape only, become zeros.
    """
    check_inexact(params)

    def leaf(p):
        if isinstance(p, jax.ShapeDtypeStruct):
            return jnp.zeros_like(p, numerics.compute_dtype(p))
        return jnp.array(p, numerics.compute_dtype(p), copy=True)

    return jax.tree.map(leaf, params)


def real_full_like(params: Params, value: Scalar = 0.0) -> PyTree:
    """State for a second moment: `value` in each parameter's shape and `real_dtype`."""
    check_inexact(params)
    return jax.tree.map(lambda p: jnp.full_like(p, value, numerics.real_dtype(p)), params)


def real_scalar(params: Params, value: Scalar = 0.0) -> jax.Array:
    """State that is one number for all parameters: `value` in the widest of their `real_dtype`."""
    check_inexact(params)
    dtypes = [numerics.real_dtype(p) for p in jax.tree.leaves(params)]
    widest = max(dtypes, key=lambda dtype: jnp.finfo(dtype).bits, default=jnp.dtype(jnp.float32))
    return jnp.full((), value, widest)


def numbers_as_arrays(state: State) -> State:
    """The state with arrays of the default types in place of Python numbers."""
    if _NUMBERS.isdisjoint(map(type, jax.tree.leaves(state))):
        return state
    return jax.tree.map(
        lambda x: jnp.asarray(x, jnp.result_type(type(x))) if type(x) in _NUMBERS else x, state
    )


_NUMBERS = frozenset({bool, int, float, complex})


def as_computed(grads: Updates) -> Updates:
    """Gradients in the dtype that arithmetic is done in, for transforms without a state."""
    check_inexact(grads)
    return jax.tree.map(lambda g: jnp.asarray(g, numerics.compute_dtype(g)), grads)


def squarable(grads: Updates, state: PyTree) -> Updates:
    """Gradients in the precision of the real tree `state`, small enough to square.

    Raises:
      ValueError: the trees or shapes differ; the message names the path.
    """
    return map_leaves(lambda g, s: numerics.squarable(g, s.dtype), gradients=grads, state=state)


def again(grads: Updates) -> Updates:
    """The same gradients, for one more array to be computed from them in a pass of its own.

    XLA:CPU writes every array of the state, and the update, in a loop of its own. What several of
    them share (the `squarable` gradients, say) it would compute once, in one more loop through
    memory: RMSprop then takes 36 bytes a parameter, and 28 where each loop computes it anew. XLA
    drops the barrier before it forms those loops. Other backends were not measured, so they get
    no barrier.
    """
    return jax.lax.optimization_barrier(grads) if jax.default_backend() == "cpu" else grads


def cast_updates(updates: Updates, grads: Updates, params: Params | None) -> Updates:
    """Updates in the parameters' dtypes, or in the gradients' where there are no parameters."""
    like = {"gradients": grads} if params is None else {"parameters": params}
    return map_leaves(lambda u, x: numerics.cast(u, jnp.result_type(x)), updates=updates, **like)


def full_shapes(state: PyTree, factors: type) -> PyTree:
    """Stand-ins with the parameters' shapes for a state that keeps less than whole arrays.

    In place of each `factors` (a NamedTuple of arrays that broadcast to the shape of one
    parameter) there is a `ShapeDtypeStruct` of that shape; other leaves stay.
    """

    def is_factors(x):
        return isinstance(x, factors)

    def leaf(x):
        if not is_factors(x):
            return x
        arrays = jax.tree.leaves(x)
        shape = jnp.broadcast_shapes(*(array.shape for array in arrays))
        return jax.ShapeDtypeStruct(shape, arrays[0].dtype)

    return jax.tree.map(leaf, state, is_leaf=is_factors)


def nodes_of(kind: type | tuple[type, ...], tree: PyTree) -> list:
    """All nodes of that type in a tree, such as one transformation's state in a chain's."""
    nodes = jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, kind))
    return [node for node in nodes if isinstance(node, kind)]
