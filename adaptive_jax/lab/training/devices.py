"""Placement of a population's arrays and programs on one device or on a grid of devices."""

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, SingleDeviceSharding
from jax.sharding import PartitionSpec as P

from adaptive_jax.typing import Device, PyTree

# The two layouts of an array on a grid: split along its leading members axis, or replicated.
MEMBERS, WHOLE = P("population"), P()


class OneDevice:
    """A single device, which holds everything.

    Args:
      device: The device.

    Attributes:
      parts: The number of parts that members are divided into, one.
    """

    parts = 1

    def __init__(self, device: Device):
        self._sharding = SingleDeviceSharding(device)

    def put(self, tree: PyTree, spec: P) -> PyTree:
        """Returns the host's arrays on the device."""
        return jax.device_put(tree, self._sharding)

    def jit(self, fn: Callable, inputs: Sequence[P], outputs: P, donate=()) -> Callable:
        """Returns `fn` jitted for arguments and results that are placed as `put` places them."""
        # Without shardings, what takes no array from `put` would run on JAX's default device.
        return jax.jit(
            fn,
            in_shardings=self._sharding,
            out_shardings=self._sharding,
            donate_argnums=donate,
        )

    def shard(self, batch: PyTree) -> PyTree:
        """Divides a batch, inside of `fn`, among the devices that share it."""
        return batch


class Grid:
    """A mesh ("population", "batch") of devices.

    Each row of the mesh has its part of the members. The devices of a row share every batch.

    Args:
      devices: The devices of all processes.
      columns: The number of devices in a row.

    Attributes:
      parts: The number of rows, that is of parts that members are divided into.
    """

    def __init__(self, devices: Sequence[Device], columns: int):
        self.parts = len(devices) // columns
        self._mesh = Mesh(np.reshape(devices, (self.parts, columns)), ("population", "batch"))

    def put(self, tree, spec):
        return jax.device_put(tree, NamedSharding(self._mesh, spec))

    def jit(self, fn, inputs, outputs, donate=()):
        # Rows are independent, and `shard_map` says so: every row compiles to the same program
        # over its own members, without communication. (Under automatic sharding XLA might gather
        # members in order to split their arithmetic in some other way, and a member's last bits
        # would depend on the number of rows.)
        #
        # Within a row only "population" is manual. The "batch" axis stays automatic: `shard`
        # constrains the batch, and XLA derives all else. So means over a batch, also those inside
        # of batch normalization, remain means over the whole batch with no psum in the model. XLA
        # pads a batch that the number of devices does not divide, and masks the padding.
        #
        # check_vma=False: the check rejects a scan whose carry starts as a constant, which is how
        # models, losses and optimizers of users are commonly written.
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

    def shard(self, batch):
        # A constraint on a single column changes nothing, but it is one more operation per batch.
        if self._mesh.shape["batch"] == 1:
            return batch
        return jax.lax.with_sharding_constraint(batch, P("batch"))


def arrange(devices: Sequence[Device], devices_per_batch: int) -> OneDevice | Grid:
    """Returns the arrangement of devices, of which `devices_per_batch` share every batch.

    Raises:
      ValueError: `devices_per_batch` does not divide the number of devices.
    """
    if len(devices) % devices_per_batch:
        raise ValueError(
            f"devices_per_batch must divide the number of devices, got {devices_per_batch} and "
            f"{len(devices)}"
        )
    return OneDevice(devices[0]) if len(devices) == 1 else Grid(devices, devices_per_batch)


def device_name(devices: Sequence[Device]) -> str:
    """Returns the kind and number of devices, such as "8 × NVIDIA H100"."""
    count = f"{len(devices)} × " if devices[1:] else ""
    return f"{count}{devices[0].device_kind}"


def default_max_memory() -> int:
    """Returns half of a device's memory, in bytes.

    The memory of a CPU device is its share of what the machine, or its container, may use.
    """
    # The total and not what is free now: a run repeated later must have the same groups, since
    # the last bits of a member depend on its group.
    statistics = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in statistics:
        return statistics["bytes_limit"] // 2
    limit = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError):  # there is no such file, or it holds "max"
        limit = min(limit, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return limit // 2 // jax.local_device_count()
