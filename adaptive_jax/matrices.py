"""Shardings, for the transforms that must choose them; most leave that to the compiler.

On a mesh with explicit axes the type of an array says how it is split. There a new split is reached
by moving the mesh axes away from one axis of the array after another: each move is an exchange of
parts (all-to-all), while XLA may gather the whole array for two moves at once. On auto axes the
compiler chooses the way.
"""

import math

import jax
from jax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec


def devices_of(x: jax.Array) -> int:
    """The number of devices that `split` splits `x` over; 1 without a mesh."""
    mesh, names, _ = _mesh_of(x)
    return math.prod(mesh.shape[name] for name in names)


def split(x: jax.Array, axis: int | None) -> jax.Array:
    """Splits `x` along one axis over all devices of its mesh; None puts all of it on each.

    Returns `x` unchanged if there is no mesh, or within `shard_map`. The mesh is the one in the
    type of `x`, or else that of `jax.set_mesh`.
    """
    mesh, names, explicit = _mesh_of(x)
    if not names:
        return x
    if explicit:
        return _along(x, mesh, _way(jax.typeof(x).sharding.spec, names, axis))
    return jax.lax.with_sharding_constraint(x, NamedSharding(mesh, _on(axis, names, x.ndim)))


def reshape(x: jax.Array, shape: tuple[int, ...], axis: int | None) -> jax.Array:
    """Reshapes the result of `split`; `axis` is the axis of the new shape that is split."""
    mesh, names, explicit = _mesh_of(x)
    if not explicit:
        return x.reshape(shape)
    return x.reshape(shape, out_sharding=NamedSharding(mesh, _on(axis, names, len(shape))))


def split_back(x: jax.Array, axis: int | None, like: jax.Array) -> jax.Array:
    """Splits `x` as `like` is split, if its type says how; `x` is split as `split(like, axis)`."""
    mesh, names, explicit = _mesh_of(like)
    if not explicit:
        return x
    return _along(x, mesh, reversed(_way(jax.typeof(like).sharding.spec, names, axis)))


def _mesh_of(x) -> tuple[AbstractMesh, tuple[str, ...], bool]:
    """The mesh of `x`, the names of the axes to split over, and whether these are explicit."""
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
    """The specs from `spec` to all of `names` on one axis, one all-to-all each."""
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
