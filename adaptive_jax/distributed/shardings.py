"""Sharding of an optimizer's state over the devices of a mesh.

This module knows no optimizer. On a mesh of explicit axes, the sharding of an array is part of its
type, and JAX derives the type of every result. Zeros like a parameter have the parameter's
sharding, a mean over rows loses their axis, and a ring buffer of gradients gains an axis that is
not split. We therefore trace `init` abstractly, with the parameters' shardings on such a mesh, even
if the axes of the real mesh are auto.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec, Sharding

from adaptive_jax import trees
from adaptive_jax.typing import Params, PyTree, State, Updates
from adaptive_jax.validation import near_misses, same_structure


def state_shardings(
    tx: optax.GradientTransformation,
    params_shapes: PyTree,
    params_shardings: PyTree,
    mesh: Mesh,
    zero_axis: str | None = None,
) -> PyTree:
    """Returns the sharding of every array in the state of `tx`, derived from the parameters'.

    Arrays are split like the parameters they belong to. Moments are split in the same way,
    Adafactor's rows and SM3's slices without the reduced axes, AdaShift's ring buffer behind an
    axis that is not split. Scalars are replicated. The codes of `with_storage` are split like the
    arrays they encode, except along the last axis if devices would share a block of 32. This holds
    for any optimizer, of this library or not, whose `init` consists of operations on the
    parameters. Arrays that `init` creates from shapes alone are replicated.

    Args:
      tx: any optimizer.
      params_shapes: the parameters, or a `jax.ShapeDtypeStruct` for each.
      params_shardings: a tree like the parameters. Each leaf is a `NamedSharding`, a
        `PartitionSpec`, or any fully replicated sharding.
      mesh: a mesh of auto or explicit axes.
      zero_axis: an axis of the mesh over which the parameters are replicated. The state is split
        over it as well, along the first axis of each parameter that is not split yet and divides
        evenly (ZeRO stage 1). State of parameters without such an axis is not split further.
        Default None: no ZeRO.

    Returns:
      A tree of `NamedSharding` like the state, to be passed as `out_shardings`.

    Raises:
      ValueError: the mesh does not have the axis, a parameter cannot be split as its sharding
        says, or the trees do not match. The message names the path.

    Reference: Rajbhandari et al. 2019, arXiv 1910.02054 (ZeRO).

    >>> import adaptive_jax as aj
    >>> P, mesh = PartitionSpec, jax.make_mesh((1, 1), ("data", "model"))
    >>> shapes = jax.ShapeDtypeStruct((16, 8), jnp.float32)
    >>> tx = aj.scale_by_factored_rms()
    >>> shardings = state_shardings(tx, shapes, P(None, "model"), mesh, zero_axis="data")
    >>> for sharding in jax.tree.leaves(shardings):
    ...     print(sharding.spec)
    P()
    P('data', None)
    P(None, 'model')
    """
    specs = _specs(params_shapes, params_shardings, mesh)
    if zero_axis is not None:
        specs = _with_zero(params_shapes, specs, mesh, zero_axis)
    kinds = (AxisType.Explicit,) * len(mesh.axis_names)
    typed = AbstractMesh(mesh.axis_sizes, mesh.axis_names, axis_types=kinds)

    def abstract(p, spec):
        sharding = NamedSharding(typed, spec)
        return jax.ShapeDtypeStruct(jnp.shape(p), jnp.result_type(p), sharding=sharding)

    with jax.sharding.use_abstract_mesh(typed):
        state = jax.eval_shape(tx.init, jax.tree.map(abstract, params_shapes, specs))
    return jax.tree.map(
        lambda x: NamedSharding(mesh, x.sharding.spec if x.sharding else PartitionSpec()), state
    )


def init(tx: optax.GradientTransformation, params: Params, zero_axis: str | None = None) -> State:
    """Returns `tx.init(params)`, computed in the shardings of `state_shardings`.

    Args:
      tx: any optimizer.
      params: arrays on a mesh; their shardings determine those of the state.
      zero_axis: as in `state_shardings`.

    Raises:
      ValueError: as in `state_shardings`; also if the parameters are not on one mesh, or if some of
        its axes are auto and others explicit.

    >>> import adaptive_jax as aj
    >>> mesh = jax.make_mesh((1,), ("data",))
    >>> params = jax.device_put(jnp.ones((8, 4)), NamedSharding(mesh, PartitionSpec()))
    >>> print(init(aj.momentum(0.9), params, "data").trace.sharding.spec)
    P('data', None)
    """
    mesh, shardings = _layout(params)
    out = state_shardings(tx, params, shardings, mesh, zero_axis)
    return jax.jit(tx.init, out_shardings=out)(params)


def step(
    tx: optax.GradientTransformation, params: Params, zero_axis: str | None = None
) -> Callable[[Params, State, Updates], tuple[Params, State]]:
    """Returns a jitted optimizer step that preserves the shardings of parameters and state.

    Args:
      tx: any optimizer.
      params: arrays on a mesh, or a `jax.ShapeDtypeStruct` with a sharding for each.
      zero_axis: the one passed to `init`. Every device along it updates its part of the
        parameters, which are then gathered.

    Returns:
      `(params, state, grads, **extra) -> (params, state)`, with extra arguments for `tx.update`.
      It donates its parameters and state: their buffers are overwritten.

    Raises:
      ValueError: as in `init`. The step raises it if the gradients do not match the parameters.

    >>> import adaptive_jax as aj
    >>> mesh = jax.make_mesh((1,), ("data",))
    >>> params = jax.device_put({"w": jnp.ones((8, 4))}, NamedSharding(mesh, PartitionSpec()))
    >>> tx = aj.adam(0.1)
    >>> state, update = init(tx, params, "data"), step(tx, params, "data")
    >>> params, state = update(params, state, {"w": jnp.ones((8, 4))})
    >>> print(params["w"][0, 0], params["w"].sharding.spec, state[0].mu["w"].sharding.spec)
    0.9 P() P('data', None)
    """
    mesh, shardings = _layout(params)
    specs = _specs(params, shardings, mesh)
    split = specs if zero_axis is None else _with_zero(params, specs, mesh, zero_axis)
    out = shardings, state_shardings(tx, params, shardings, mesh, zero_axis)
    # On explicit axes the sharding is part of an array's type, and only `reshard` changes it. On
    # auto axes a constraint tells the compiler where to split.
    explicit = AxisType.Explicit in mesh.axis_types
    place = jax.sharding.reshard if explicit else jax.lax.with_sharding_constraint
    update = optax.with_extra_args_support(tx).update

    @functools.partial(jax.jit, donate_argnums=(0, 1), out_shardings=out)
    def run(params, state, grads, **extra):
        same_structure(parameters=params, gradients=grads)
        same_structure(state_of_init=out[1], state=state)
        # The specs in `split` refer to this mesh, whatever mesh the caller has set.
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            params, grads = place((params, grads), (split, split))
            updates, state = update(grads, state, params, **extra)
            return optax.apply_updates(params, updates), state

    return run


def _layout(params) -> tuple[Mesh, PyTree]:
    """Returns the one mesh that all parameters are on, and their shardings."""
    meshes = {}
    for path, p in jax.tree_util.tree_leaves_with_path(params):
        sharding = getattr(p, "sharding", None)
        if not isinstance(sharding, NamedSharding) or not isinstance(sharding.mesh, Mesh):
            raise ValueError(
                f"parameters must be arrays on a mesh, got {sharding} at {_name(path)}; put them "
                "there with jax.device_put(params, NamedSharding(mesh, PartitionSpec())), or pass "
                "out_shardings=state_shardings(…) to your own jax.jit"
            )
        meshes.setdefault(sharding.mesh, path)
    if len(meshes) != 1:
        found = ", ".join(f"{mesh} at {_name(path)}" for mesh, path in meshes.items()) or "none"
        raise ValueError(f"parameters must be on one mesh, got {found}")
    (mesh,) = meshes
    if len(set(mesh.axis_types)) > 1:
        raise ValueError(
            "the axes of the mesh must be all auto or all explicit, got "
            f"{mesh.axis_types}; for other meshes, pass out_shardings=state_shardings(…) to your "
            "own jax.jit"
        )
    return mesh, jax.tree.map(lambda p: p.sharding, params)


def _specs(shapes, shardings, mesh) -> PyTree:
    """Returns the parameters' shardings as `PartitionSpec`s with an entry for every axis."""
    shardings = trees.like(params_shapes=shapes, params_shardings=shardings)

    def leaf(path, p, sharding):
        spec = _spec(path, sharding)
        shape = jnp.shape(p)
        if len(spec) > len(shape):
            raise ValueError(f"{spec} has more axes than the parameter at {_name(path)}: {shape}")
        spec = PartitionSpec(*spec, *[None] * (len(shape) - len(spec)))
        for size, names in zip(shape, spec, strict=True):
            devices = math.prod(_size(mesh, name) for name in _names(names))
            if size % devices:
                raise ValueError(
                    f"the parameter at {_name(path)} has shape {shape}, which {spec} cannot split "
                    f"evenly: {size} by {devices} devices"
                )
        return spec

    return jax.tree_util.tree_map_with_path(leaf, shapes, shardings)


def _spec(path, sharding) -> PartitionSpec:
    if isinstance(sharding, PartitionSpec):
        return sharding
    if isinstance(sharding, NamedSharding):
        return sharding.spec
    if isinstance(sharding, Sharding) and sharding.is_fully_replicated:
        return PartitionSpec()
    raise ValueError(
        f"params_shardings must have a NamedSharding or a PartitionSpec, got {sharding!r} at "
        f"{_name(path)}"
    )


def _with_zero(shapes, specs, mesh, axis) -> PyTree:
    """Returns the specs of the parameters if they are also split over one more mesh axis."""
    devices = _size(mesh, axis)

    def leaf(p, spec):
        if 0 in jnp.shape(p) or any(axis in _names(names) for names in spec):
            return spec
        for i, (size, names) in enumerate(zip(jnp.shape(p), spec, strict=True)):
            if not _names(names) and size % devices == 0:
                return PartitionSpec(*spec[:i], axis, *spec[i + 1 :])
        return spec

    return jax.tree.map(leaf, shapes, specs)


def _names(entry) -> tuple[str, ...]:
    """Returns the mesh axes that an entry of a spec names."""
    return entry if isinstance(entry, tuple) else () if entry is None else (entry,)


def _size(mesh, name) -> int:
    if name not in mesh.shape:
        raise ValueError(f"the mesh has no axis {name!r}: {near_misses(name, mesh.axis_names)}")
    return mesh.shape[name]


def _name(path) -> str:
    return jax.tree_util.keystr(path) or "the only leaf"
