"""A workload's data on the devices: a split to train on, and chunks to evaluate on."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from adaptive_jax.lab.training.devices import WHOLE, Grid, OneDevice
from adaptive_jax.lab.workloads.workload import Data, Split

_CHUNK = 500  # examples of an evaluation, at most


class DeviceData(NamedTuple):
    """Data on the devices, each of which has a whole copy.

    Attributes:
      train: The training split, with leaves (examples, ...). An epoch takes its mini-batches
        from it by index, inside of the compiled program.
      chunks: For each split, by name, the chunks that it is evaluated in: a `Split` with leaves
        (chunk, ...) and weights (chunk,). All chunks have the same shapes.
      examples: The number of examples of each split, by name.
    """

    train: Split
    chunks: Mapping[str, Sequence[tuple[Split, jax.Array]]]
    examples: Mapping[str, int]


def on_devices(data: Data, devices: OneDevice | Grid) -> DeviceData:
    """Returns the data on the devices."""
    splits = data._asdict()
    size = min(_CHUNK, len(data.validation.targets))
    return DeviceData(
        devices.put(data.train, WHOLE),
        {
            name: [devices.put(chunk, WHOLE) for chunk in chunks(split, size)]
            for name, split in splits.items()
        },
        {name: len(split.targets) for name, split in splits.items()},
    )


def chunks(split: Split, size: int) -> Iterator[tuple[Split, np.ndarray]]:
    """Yields chunks of `size` examples, each with weights: 1 for examples, 0 for padding.

    The last chunk is padded, so that one compiled program evaluates all chunks of all splits.
    """
    for start in range(0, len(split.targets), size):
        chunk = jax.tree.map(lambda x, start=start: x[start : start + size], split)
        missing = size - len(chunk.targets)
        weights = np.repeat(np.array([1, 0], np.float32), [len(chunk.targets), missing])
        # The padding repeats an example of the chunk. Zeros may be invalid as inputs, and the NaN
        # that a model makes of them would survive its weight of 0.
        padding = jax.tree.map(lambda x, n=missing: x[np.zeros(n, int)], chunk)
        yield jax.tree.map(lambda x, p: np.concatenate([x, p]), chunk, padding), weights
