"""On which devices the programs of a population run, and what each has of members and batches."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from adaptive_jax.typing import Device, PyTree

MEMBERS, WHOLE = P("population"), P()  # of arrays: cut along the leading axis of members, or not


class OneDevice:
    """JAX's default device has all."""

    parts = 1

    def put(self, tree: PyTree, spec: P) -> PyTree:
        """The arrays of the host, there."""
        return jax.tree.map(jnp.asarray, tree)

    def jit(self, fn: Callable, inputs: Sequence[P], outputs: P, donate=()) -> Callable:
        """`fn`, compiled for arguments and results that are where `put` puts them."""
        return jax.jit(fn, donate_argnums=donate)

    def cut(self, batch: PyTree) -> PyTree:
        """A batch within `fn`, of which every device is to work on its part."""
        return batch


class Grid:
    """Rows of devices, each of which has its part of the members; a row shares every batch.

    What a row computes is one program for all rows, `fn` over its members. Within a row XLA
    divides the work by the sharding of the batch, whose means are still those of all of it, batch
    normalization's too; it fills up a batch that does not divide, and knows what is filling.

    Args:
      devices: all of them, of all processes.
      columns: devices in a row.
    """

    def __init__(self, devices: Sequence[Device], columns: int):
        self.parts = len(devices) // columns
        self._mesh = Mesh(np.reshape(devices, (self.parts, columns)), ("population", "batch"))

    def put(self, tree, spec):
        return jax.device_put(tree, NamedSharding(self._mesh, spec))

    def jit(self, fn, inputs, outputs, donate=()):
        # Of the batches' axis nothing is said but by `cut`: the rest is left to XLA.
        mapped = jax.shard_map(
            fn,
            mesh=self._mesh,
            in_specs=tuple(inputs),
            out_specs=outputs,
            axis_names={"population"},
            check_vma=False,
        )
        return jax.jit(
            mapped,
            in_shardings=tuple(NamedSharding(self._mesh, spec) for spec in inputs),
            out_shardings=NamedSharding(self._mesh, outputs),
            donate_argnums=donate,
        )

    def cut(self, batch):
        if self._mesh.shape["batch"] == 1:
            return batch
        return jax.lax.with_sharding_constraint(batch, P("batch"))
