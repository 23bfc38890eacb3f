"""Trees of gradients, state and updates: how they are matched, and the dtypes they get."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics
from adaptive_jax.typing import Params, PyTree, Scalar, State, Updates
from adaptive_jax.validation import (
    MismatchError,
    check_inexact,
    is_inexact,
    leaf_names,
    map_leaves,
    same_structure,
)


def tolerant(
    init: optax.TransformInitFn, update: optax.TransformUpdateExtraArgsFn
) -> tuple[optax.TransformInitFn, optax.TransformUpdateExtraArgsFn]:
    """Makes `init` and `update` accept the models and states of Equinox and Flax NNX.

    `init` creates no state for leaves that are neither floating-point nor complex (integers,
    functions). `update` makes no step where the gradient is None: the update is None, the state
    does not change, and the parameters may have anything there. Gradients, parameters and state
    may be in different containers (such as Flax Variables) if their leaves have the same names.
    Updates have the containers of the gradients, the new state has those of the old state.
    """

    def init_trainable(params):
        return init(inexact(params))

    def update_present(updates, state, params=None, **extra) -> Any:  # None has no type in Optax
        state = numbers_as_arrays(state)
        try:
            return update(updates, state, params, **extra)
        except MismatchError as error:
            mismatch = error
        except (TypeError, ValueError):  # NumPy's errors, say, name neither argument nor path
            if jax.tree.structure(updates) == jax.tree.structure(params):
                check_inexact(parameters=params)
            raise
        if updates is None:
            return None, state
        try:
            present = fitted(init_trainable, updates, state, params)
        except MismatchError:
            raise mismatch from None
        if jax.tree.structure(present) == jax.tree.structure((state, params)):
            raise mismatch
        updates, new = update(updates, *present, **extra)
        return updates, _replaced(state, new)

    return init_trainable, update_present


def fitted(
    init: optax.TransformInitFn, grads: Updates, state: State, params: Params | None
) -> tuple[State, Params | None]:
    """Returns the parts of state and parameters that belong to the gradients, in their containers.

    Other parts are left out; the gradients must be None there.

    Raises:
      MismatchError: a leaf is missing; the message names the path.
      ValueError: there is a gradient for a leaf that is neither floating-point nor complex.
    """
    if params is not None:
        params = like(gradients=grads, parameters=params)
        check_inexact(parameters=params)
    own = jax.eval_shape(init, grads if params is None else params)
    nones = _none_names(grads)
    return like(nones, expected_state=own, state=state), params


def like(nones=None, /, **two_trees: PyTree) -> PyTree:
    """Puts the leaves of the second tree into the containers of the first.

    Leaves belong together if their `leaf_names` are equal. The second tree may have more leaves
    where the first has None.

    Args:
      nones: names of nodes below which the second tree may have more leaves. Default: the names
        of the None nodes in the first tree.
      **two_trees: the first and the second tree, by their names in error messages.

    Raises:
      MismatchError: a leaf is missing; the message names the path.
    """
    first, second = two_trees.values()
    paths, structure = jax.tree_util.tree_flatten_with_path(first)
    names = [leaf_names(path) for path, _ in paths]
    leaves = by_name(second)
    nones = _none_names(first) if nones is None else nones
    others = leaves.keys() - set(names)
    if not leaves.keys() >= set(names) or not all(_has_part(name, nones) for name in others):
        same_structure(**two_trees)
    return structure.unflatten([leaves[name] for name in names])


def by_name(tree: PyTree) -> dict[tuple[str, ...], Any]:
    """Returns the leaves of a tree by their `leaf_names`."""
    return {leaf_names(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def inexact(tree: PyTree) -> PyTree:
    """Replaces every leaf that is neither floating-point nor complex by None."""
    return jax.tree.map(lambda x: x if is_inexact(x) else None, tree)


def _none_names(tree):
    nodes = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda node: node is None)
    return {leaf_names(path) for path, node in nodes if node is None}


def _has_part(name, parts):
    ends = range(len(name) + 1)
    return any(name[start:end] in parts for end in ends for start in range(end))


def _replaced(tree, new):
    """Replaces the leaves of `tree` by those of `new` that have the same names."""
    leaves = by_name(new)
    return jax.tree_util.tree_map_with_path(
        lambda path, old: leaves.get(leaf_names(path), old), tree
    )


def zeros_like(params: Params) -> PyTree:
    """Returns a zero first moment: each parameter's shape in its `compute_dtype`."""
    return jax.tree.map(lambda p: jnp.zeros_like(p, numerics.compute_dtype(p)), params)


def copy(params: Params) -> PyTree:
    """Copies the parameters into new buffers, in their `compute_dtype`, as initial state.

    Abstract parameters, which only have a shape, become zeros.
    """

    def leaf(p):
        if isinstance(p, jax.ShapeDtypeStruct):
            return jnp.zeros_like(p, numerics.compute_dtype(p))
        return jnp.array(p, numerics.compute_dtype(p), copy=True)

    return jax.tree.map(leaf, params)


def real_full_like(params: Params, value: Scalar = 0.0) -> PyTree:
    """Returns an initial second moment: `value` in each parameter's shape and `real_dtype`."""
    return jax.tree.map(lambda p: jnp.full_like(p, value, numerics.real_dtype(p)), params)


def real_scalar(params: Params, value: Scalar = 0.0) -> jax.Array:
    """Returns `value` as one scalar for all parameters, in the widest of their `real_dtype`s."""
    dtypes = [numerics.real_dtype(p) for p in jax.tree.leaves(params)]
    widest = max(dtypes, key=lambda dtype: jnp.finfo(dtype).bits, default=jnp.dtype(jnp.float32))
    return jnp.full((), value, widest)


def numbers_as_arrays(state: State) -> State:
    """Replaces the Python numbers in a state by arrays of the default dtypes."""
    if _NUMBERS.isdisjoint(map(type, jax.tree.leaves(state))):
        return state
    return jax.tree.map(
        lambda x: jnp.asarray(x, jnp.result_type(type(x))) if type(x) in _NUMBERS else x, state
    )


_NUMBERS = frozenset({bool, int, float, complex})


def as_computed(grads: Updates) -> Updates:
    """Casts gradients to their `compute_dtype`, for transformations without a state."""
    leaves = jax.tree.leaves(grads)
    computed = [
        isinstance(g, jax.Array) and g.dtype in _COMPUTED and not g.weak_type for g in leaves
    ]
    if all(computed):
        return grads  # nearly always, so it must not take time
    check_inexact(gradients=grads)
    return jax.tree.map(lambda g: jnp.asarray(g, numerics.compute_dtype(g)), grads)


_COMPUTED = frozenset(map(jnp.dtype, ("float32", "float64", "complex64", "complex128")))


def squarable(grads: Updates, state: PyTree) -> Updates:
    """Casts gradients to the precision of the real tree `state` and clips them for squaring.

    Raises:
      ValueError: the trees or shapes differ; the message names the path.
    """
    return map_leaves(numerics.squarable, gradients=grads, state=state)


def ema(old: PyTree, new: PyTree, decay: Scalar) -> PyTree:
    """Returns `decay·old + (1 − decay)·new` for each array, in the dtype of `old`."""

    # Once for each dtype, not for each array: that saves much of the time of tracing.
    @functools.cache
    def weights(dtype):
        return numerics.constant(decay, dtype), numerics.constant(1 - decay, dtype)

    def leaf(old, new):
        return numerics.weighted(old, new, *weights(old.dtype))

    return jax.tree.map(leaf, old, new)


def again(grads: Updates) -> Updates:
    """Returns the same gradients behind a barrier, so that XLA:CPU does not share work on them.

    XLA:CPU writes the update and every array of the state in a separate loop. A value that several
    of them need (the `squarable` gradients, say) would be computed once, in one more loop through
    memory. RMSprop then moves 36 bytes per parameter, but only 28 if each loop recomputes the
    value. XLA drops the barrier before it forms those loops. Other backends get no barrier, since
    its effect there has not been measured.
    """
    return jax.lax.optimization_barrier(grads) if jax.default_backend() == "cpu" else grads


def cast_updates(updates: Updates, grads: Updates, params: Params | None) -> Updates:
    """Casts updates to the parameters' dtypes, or to the gradients' if there are no parameters."""
    return map_leaves(cast_to_dtype_of, updates=updates, **update_dtypes(grads, params))


def update_dtypes(grads: Updates, params: Params | None) -> dict[str, PyTree]:
    """Returns the tree whose dtypes the updates get, under its name in error messages."""
    return {"gradients": grads} if params is None else {"parameters": params}


def cast_to_dtype_of(x: jax.Array, like: jax.Array) -> jax.Array:
    """Casts `x` to the dtype of `like`, which may be a Python number."""
    dtype = like.dtype if isinstance(like, jax.Array) else jnp.result_type(like)
    return x if x.dtype == dtype else numerics.cast(x, dtype)


def full_shapes(state: PyTree, factors: type) -> PyTree:
    """Replaces factored arrays in a state by stand-ins with the parameters' shapes.

    Each node of type `factors` (a NamedTuple of arrays that broadcast to the shape of one
    parameter) becomes a `ShapeDtypeStruct` of that shape. Other leaves do not change.
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
    """Returns all nodes of a type in a tree, such as one transformation's state in a chain's."""
    nodes = jax.tree.leaves(tree, is_leaf=lambda node: isinstance(node, kind))
    return [node for node in nodes if isinstance(node, kind)]
