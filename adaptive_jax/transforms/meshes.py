"""Where arrays are on a mesh, for transforms that must say so: most leave it to the compiler."""

import math

import jax
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec


def devices_of(x: jax.Array) -> int:
    """How many devices `split` splits `x` over; 1 where there is no mesh."""
    mesh, axes, _ = _mesh_of(x)
    return math.prod(mesh.shape[axis] for axis in axes)


def split(x: jax.Array, axis: int | None) -> jax.Array:
    """`x`, split along one axis over all devices of its mesh; whole on each for an axis of None.

    Unchanged where there is no mesh, or within `shard_map`. The mesh is the one that the type of
    `x` names, else that of `jax.set_mesh`.
    """
    mesh, axes, move = _mesh_of(x)
    if not axes:
        return x
    spec = PartitionSpec(*[axes if i == axis else None for i in range(x.ndim)])
    return move(x, NamedSharding(mesh, spec))


def split_like(x: jax.Array, like: jax.Array) -> jax.Array:
    """`x`, split as the type of `like` says, where it does: on a mesh of explicit axes."""
    *_, move = _mesh_of(like)
    return move(x, jax.typeof(like).sharding) if move is jax.sharding.reshard else x


def _mesh_of(x) -> tuple[AbstractMesh, tuple[str, ...], object]:
    """The mesh of `x`, its axes, and the function that moves arrays over them."""
    mesh = jax.typeof(x).sharding.mesh
    mesh = jax.sharding.get_abstract_mesh() if mesh.empty else mesh
    for kind, move in (
        (AxisType.Explicit, jax.sharding.reshard),
        (AxisType.Auto, jax.lax.with_sharding_constraint),
    ):
        axes = tuple(
            name for name, k in zip(mesh.axis_names, mesh.axis_types, strict=True) if k == kind
        )
        if axes:
            return mesh, axes, move
    return mesh, (), None
