"""Arrays as stacks of matrices: layouts, batches of equal shapes, and stacks on a mesh.

On a mesh with explicit axes, the type of an array includes its sharding. To change the sharding,
the mesh axes are moved one array axis at a time. Each move is an all-to-all; for two moves at once,
XLA may gather the whole array. On auto axes, the compiler chooses how to reshard.
"""

import collections
import itertools
import math

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec

from adaptive_jax.typing import PyTree
from adaptive_jax.validation import leaf_names


def attention_kernels(tree: PyTree) -> dict[tuple[str, ...], int]:
    """Finds the kernels of Flax's attention in a tree.

    The kernels of `query`, `key` and `value` have the shape (inputs, heads, dim). The kernel of the
    `out` next to them has the shape (heads, dim, outputs).

    Args:
      tree: parameters, or a tree with the same paths and shapes.

    Returns:
      A dict from each kernel's path, as names, to the number of its leading axes that are inputs.

    >>> layer = {"query": {"kernel": jnp.ones((6, 2, 3))}, "out": {"kernel": jnp.ones((2, 3, 6))}}
    >>> attention_kernels(layer)
    {('query', 'kernel'): 1, ('out', 'kernel'): 2}
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    shapes = {leaf_names(path): jnp.shape(leaf) for path, leaf in leaves}
    found = {}
    for names, shape in shapes.items():
        if len(shape) != 3 or names[-1:] != ("kernel",):
            continue
        out = (*names[:-2], "out", "kernel")
        projects = names[-2:-1] in (("query",), ("key",), ("value",))
        if projects and len(shapes.get(out, ())) == 3 and shapes[out][:2] == shape[1:]:
            found |= {names: 1, out: 2}
    return found


def stack_shapes(tree, flatten, output_axis):
    """Returns the shape of each leaf as a stack: (matrices, rows, columns)."""
    inputs = attention_kernels(tree) if output_axis == -1 else {}
    return [
        _as_one_matrix(leaf.shape, inputs[leaf_names(path)])
        if leaf_names(path) in inputs
        else _stack_shape(leaf.shape, flatten, output_axis)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ]


def _as_one_matrix(shape, inputs):
    return 1, math.prod(shape[:inputs]), math.prod(shape[inputs:])


def _stack_shape(shape, flatten, output_axis):
    *leading, rows, columns = shape
    if not (flatten and leading):
        return math.prod(leading), rows, columns
    if output_axis == -1:
        return 1, math.prod(leading) * rows, columns
    return 1, shape[0], math.prod(shape[1:])


def in_batches(iterate, stacks):
    """Applies `iterate` to stacks, in one batch per shape and dtype. Tall stacks are transposed."""
    wide = [stack.mT if _is_tall(stack) else stack for stack in stacks]
    groups = collections.defaultdict(list)
    for i, stack in enumerate(wide):
        devices = devices_of(stack)
        # A stack that divides evenly over the devices gets a separate batch. It needs no padding,
        # and in a joint batch its matrices would move to other devices.
        apart = i if devices > 1 and len(stack) % devices == 0 else None
        groups[stack.shape[1:], stack.dtype, apart].append(i)
    for members in groups.values():
        batch = _whole_on_devices(iterate, [wide[i] for i in members])
        ends = list(itertools.accumulate(len(wide[i]) for i in members))
        for i, part in zip(members, jnp.split(batch, ends[:-1]), strict=True):
            wide[i] = part
    return [new.mT if _is_tall(old) else new for new, old in zip(wide, stacks, strict=True)]


def _is_tall(stack) -> bool:
    return stack.shape[1] > stack.shape[2]


# Stacks on a mesh. Parameters are usually split along their axes, so every device has a part of
# every matrix, but the iteration needs whole matrices. Gathering the stack on every device would
# repeat its memory and its arithmetic on each. Instead, each matrix is split along one side, which
# the reshape from the leaf to the stack keeps on its device. An all-to-all then turns parts of all
# matrices into some whole matrices on each device, and a second one reverses this. The stack is
# padded with zeros to a multiple of the number of devices. The zeros are split along the same side,
# so that they are also exchanged and not gathered.


def as_stack(leaf, shape):
    """Reshapes a leaf to a stack of the given shape."""
    axis, side = _common_axis(leaf, shape)
    return reshape(split(leaf, axis), shape, side)


def from_stack(stack, leaf):
    """The inverse of `as_stack`."""
    axis, side = _common_axis(leaf, stack.shape)
    x = reshape(split(stack, side), leaf.shape, axis)
    return split_back(x, axis, leaf)


def _common_axis(leaf, shape):
    """Returns an axis of the leaf that is also an axis of the stack, and its index in the stack.

    An array that is split along this axis can be reshaped without communication. Returns (None,
    None) if the number of devices divides no such axis.
    """
    for side in _sides(shape, devices_of(leaf)):
        for axis, size in enumerate(leaf.shape):
            if (math.prod(leaf.shape[:axis]), size) == (math.prod(shape[:side]), shape[side]):
                return axis, side
    return None, None


def _whole_on_devices(iterate, stacks):
    """Applies `iterate` to all matrices of the stacks, with each matrix whole on one device."""
    devices = devices_of(stacks[0])
    side = next(_sides(stacks[0].shape, devices), None)
    batch = jnp.concatenate([split(stack, side) for stack in stacks])
    filled = jnp.pad(batch, [(0, -len(batch) % devices), (0, 0), (0, 0)])
    return split(iterate(split(filled, 0)), side)[: len(batch)]


def _sides(shape, devices):
    """Returns the axes of a stack that the devices can split evenly, the preferred one first."""
    # The shorter side comes first, not axis 1. A tall leaf and its transposed stack then agree on
    # the side, and no communication is needed between the two.
    shorter = 2 if shape[1] > shape[2] else 1
    axes = (0, shorter, 3 - shorter) if all(shape) else ()
    return (axis for axis in axes if shape[axis] % devices == 0)


def devices_of(x: jax.Array) -> int:
    """Returns the number of devices that `split` splits `x` over; 1 without a mesh."""
    mesh, names, _ = _mesh_of(x)
    return math.prod(mesh.shape[name] for name in names)


def split(x: jax.Array, axis: int | None) -> jax.Array:
    """Splits `x` along one axis over all devices of its mesh. None replicates it.

    Returns `x` unchanged without a mesh and within `shard_map`. The mesh is the one in the type of
    `x`, or else that of `jax.set_mesh`.
    """
    mesh, names, explicit = _mesh_of(x)
    if not names:
        return x
    if explicit:
        return _along(x, mesh, _way(jax.typeof(x).sharding.spec, names, axis))
    return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, _on(axis, names, x.ndim)))


def reshape(x: jax.Array, shape: tuple[int, ...], axis: int | None) -> jax.Array:
    """Reshapes the result of `split`. `axis` is the axis of the new shape that is split."""
    mesh, names, explicit = _mesh_of(x)
    if not explicit:
        return x.reshape(shape)
    return x.reshape(shape, out_sharding=NamedSharding(mesh, _on(axis, names, len(shape))))


def split_back(x: jax.Array, axis: int | None, like: jax.Array) -> jax.Array:
    """Reshards `x`, which is split as `split(like, axis)`, like `like` if its axes are explicit."""
    mesh, names, explicit = _mesh_of(like)
    if not explicit:
        return x
    return _along(x, mesh, reversed(_way(jax.typeof(like).sharding.spec, names, axis)))


def _mesh_of(x) -> tuple[AbstractMesh, tuple[str, ...], bool]:
    """Returns the mesh of `x`, the mesh axes to split over, and whether these are explicit."""
    mesh = jax.typeof(x).sharding.mesh
    mesh = jax.sharding.get_abstract_mesh() if mesh.empty else mesh
    kinds = dict(zip(mesh.axis_names, mesh.axis_types, strict=True))
    explicit = tuple(name for name, kind in kinds.items() if kind == AxisType.Explicit)
    auto = tuple(name for name, kind in kinds.items() if kind == AxisType.Auto)
    return mesh, explicit or auto, bool(explicit)


def _along(x, mesh, way):
    for spec in way:
        x = jax.sharding.reshard(x, NamedSharding(mesh, spec))
    return x


def _on(axis, names, ndim) -> PartitionSpec:
    return PartitionSpec(*[names if i == axis else None for i in range(ndim)])


def _way(spec, names, axis) -> list[PartitionSpec]:
    """Returns the specs on the way from `spec` to all `names` on one axis, one all-to-all each."""
    end = _on(axis, names, len(spec))
    if axis is None:
        return [spec, end]
    entries = [x if isinstance(x, tuple) else () if x is None else (x,) for x in spec]
    unused = tuple(name for name in names if not any(name in entry for entry in entries))
    way = [spec]
    for moving in (unused, *entries[:axis], *entries[axis + 1 :]):
        if moving:
            entries = [() if entry == moving else entry for entry in entries]
            entries[axis] += moving
            way.append(PartitionSpec(*[entry or None for entry in entries]))
    return [*way, end]
