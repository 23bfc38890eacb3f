"""A workload's data: on the devices, or on the host, from where batches are sent."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import NamedTuple

import jax
import numpy as np

from adaptive_jax.lab.training.devices import WHOLE, Grid, OneDevice
from adaptive_jax.lab.training.programs import order
from adaptive_jax.lab.workloads.downloads import DataError
from adaptive_jax.lab.workloads.workload import Data, Split, Stream
from adaptive_jax.typing import PyTree

_CHUNK = 500  # examples of an evaluation, at most
_SENT_BYTES = 2**26  # of mini-batches that the host sends at once, at most


class HostSplit:
    """A split on the host, in mini-batches of the order of each seed.

    Args:
      split: The split.
      batch_size: The size of a mini-batch, cut to that of the split. A short last batch is kept.
      chunk_size: The size of the chunks that it is evaluated in.

    Attributes:
      split: As given.
      batch_size, steps, examples: The size of a mini-batch, and the numbers of mini-batches and
        of examples in an epoch.
    """

    def __init__(self, split: Split, batch_size: int, chunk_size: int):
        self.split, self.examples, self._chunk_size = split, split.examples, chunk_size
        self.batch_size = min(batch_size, self.examples)
        self.steps = -(-self.examples // self.batch_size)

    @property
    def bytes(self) -> int:
        """The bytes of all arrays."""
        trees = self.split[:1] if self.split.inputs is self.split.targets else self.split
        return sum(leaf.nbytes for leaf in jax.tree.leaves(trees))

    def epoch(self, number: int, seed: int) -> Iterator[Split]:
        """Yields the mini-batches of an epoch, in the same order as `Programs.epoch`."""
        indices = np.asarray(order(np.int32(seed), np.int32(number), self.examples))
        for start in range(0, self.examples, self.batch_size):
            yield self._take(indices[start : start + self.batch_size])

    def first(self, count: int) -> list[Split]:
        """Returns at most `count` full mini-batches from the start of the split."""
        size = self.batch_size
        return [
            self._take(slice(i * size, (i + 1) * size))
            for i in range(min(count, self.examples // size))
        ]

    def chunks(self) -> Iterator[tuple[Split, np.ndarray]]:
        """Yields the chunks to evaluate on, see `chunks`."""
        return chunks(self.split, self._chunk_size)

    def _take(self, rows):
        return jax.tree.map(lambda x: x[rows], self.split)


class HostStream:
    """A stream of mini-batches.

    Args:
      name: The name of the workload and the split, for error messages.
      stream: The stream.

    Attributes:
      batch_size: The size of its first mini-batch.
      steps, examples: The numbers of mini-batches and of examples in an epoch. Unless the batches
        had to be counted, the latter supposes that all of them have the size of the first.

    Raises:
      DataError: The stream has no batch, or another one for the same epoch and seed.
    """

    def __init__(self, name: str, stream: Stream):
        self._name, self._batches = name, stream.batches
        first, again = (next(self._read(0, 0), None) for _ in range(2))
        if first is None:
            raise DataError(f"{name} is a stream without batches")
        pairs = zip(jax.tree.leaves(first), jax.tree.leaves(again), strict=True)
        if not all(np.array_equal(a, b) for a, b in pairs):
            raise DataError(
                f"{name} is a stream that gives other batches when it is called again with the "
                "same epoch and seed, so the runs of a seed could not be compared: seed its random "
                "numbers with (epoch, seed)"
            )
        self.batch_size = first.examples
        self.steps, self.examples = self._count(stream.steps)

    def epoch(self, number: int, seed: int) -> Iterator[Split]:
        """Yields the mini-batches of an epoch."""
        count = 0
        for batch in itertools.islice(self._read(number, seed), self.steps):
            count += 1
            yield batch
        if count < self.steps:
            raise DataError(
                f"{self._name} is a stream of {self.steps} batches, but epoch {number} of seed "
                f"{seed} ended after {count}: set steps={count}, or make the stream longer"
            )

    def first(self, count: int) -> list[Split]:
        """Returns at most `count` mini-batches of one size from the start of the stream."""
        batches = itertools.islice(self._read(0, 0), min(count, self.steps))
        return list(itertools.takewhile(lambda b: b.examples == self.batch_size, batches))

    def chunks(self) -> Iterator[tuple[Split, np.ndarray]]:
        """Yields the mini-batches of epoch 0 and seed 0 as chunks to evaluate on."""
        for batch in self.epoch(0, 0):
            if batch.examples > self.batch_size:
                raise DataError(
                    f"{self._name} is a stream whose first batch has {self.batch_size} examples, "
                    f"and a later one {batch.examples}: only smaller ones are allowed"
                )
            yield from chunks(batch, self.batch_size)

    def _read(self, number, seed):
        return map(Split.of, iter(self._batches(number, seed)))

    def _count(self, steps):
        batches = self._batches(0, 0)
        if steps is None and isinstance(batches, Sized):
            steps = len(batches)
        if steps is not None:
            return steps, steps * self.batch_size
        sizes = [Split.of(batch).examples for batch in batches]
        return len(sizes), sum(sizes)


Source = HostSplit | HostStream


def sources(name: str, data: Data, batch_size: int) -> dict[str, Source]:
    """Returns the splits of a workload's data by name, as sources of mini-batches."""
    validation = data.validation
    chunk = min(_CHUNK, validation.examples) if isinstance(validation, Split) else _CHUNK
    return {
        key: HostStream(f"{name}: {key}", split)
        if isinstance(split, Stream)
        else HostSplit(split, batch_size, chunk)
        for key, split in data._asdict().items()
    }


class DeviceData(NamedTuple):
    """The data of a workload, on the devices as far as they have room.

    Attributes:
      train: The training split on the devices, each of which has a whole copy, with leaves
        (examples, ...). An epoch takes its mini-batches from it by index, inside of the compiled
        program. If there is no room, it is a source of mini-batches on the host.
      sample: The first mini-batches of the training split, leaves (batches, batch, ...), on the
        devices.
      chunks: For each split, by name, the chunks that it is evaluated in: a `Split` with leaves
        (chunk, ...) and weights (chunk,), on the devices, and the number of examples. All chunks
        of a split have the same shapes.
    """

    train: Split | HostSplit | HostStream
    sample: Split
    chunks: Mapping[str, Iterable[tuple[Split, jax.Array, int]]]


def on_devices(
    sources: Mapping[str, Source], sample: int, most: float, devices: OneDevice | Grid
) -> DeviceData:
    """Returns the data on the devices.

    Args:
      sources: The splits by name.
      sample: The number of mini-batches of the sample, at most.
      most: The bytes that splits may take on each device. If they take more, they stay on the
        host, and a batch is sent whenever it is needed, as that of a stream is.
      devices: The devices.
    """
    splits = [source for source in sources.values() if isinstance(source, HostSplit)]
    fit = sum(source.bytes for source in splits) <= most
    chunks = {key: _Chunks(source, devices) for key, source in sources.items()}
    train = sources["train"]
    first = _stacked(train.first(sample))
    return DeviceData(
        devices.put(train.split, WHOLE) if fit and isinstance(train, HostSplit) else train,
        devices.put(first, WHOLE),
        {
            key: list(each) if fit and sources[key] in splits else each
            for key, each in chunks.items()
        },
    )


class _Chunks:
    """The chunks of a source, sent to the devices one by one in each iteration."""

    def __init__(self, source: Source, devices: OneDevice | Grid):
        self._source, self._devices = source, devices

    def __iter__(self):
        for chunk, weights in self._source.chunks():
            yield *self._devices.put((chunk, weights), WHOLE), int(weights.sum())


def chunks(split: Split, size: int) -> Iterator[tuple[Split, np.ndarray]]:
    """Yields chunks of `size` examples, each with weights: 1 for examples, 0 for padding.

    The last chunk is padded, so that one compiled program evaluates all chunks of all splits.
    """
    for start in range(0, split.examples, size):
        chunk = jax.tree.map(lambda x, start=start: x[start : start + size], split)
        count = chunk.examples
        weights = np.repeat(np.array([1, 0], np.float32), [count, size - count])
        # The padding repeats an example of the chunk. Zeros may be invalid as inputs, and the NaN
        # that a model makes of them would survive its weight of 0.
        rows = np.minimum(np.arange(size), count - 1)
        yield jax.tree.map(lambda x, rows=rows: np.asarray(x[rows]), chunk), weights


def sent(source: Source, number: int, seeds: Sequence[np.int32]) -> Iterator[PyTree]:
    """Yields the mini-batches of an epoch in parts, each of as many steps as are sent at once.

    A part has leaves (steps, seeds, batch, ...). All of its batches have the same size.

    Args:
      source: The source of the mini-batches.
      number: The epoch, from 0.
      seeds: The seeds, whose mini-batches stand side by side.
    """
    part, room = [], 0
    for batches in zip(*(source.epoch(number, int(seed)) for seed in seeds), strict=True):
        step = _stacked(batches)
        shapes = jax.tree.map(np.shape, step)
        if part and (len(part) == room or shapes != jax.tree.map(np.shape, part[0])):
            yield _stacked(part)
            part = []
        if not part:
            room = max(1, _SENT_BYTES // sum(leaf.nbytes for leaf in jax.tree.leaves(step)))
        part.append(step)
    yield _stacked(part)


def _stacked(trees):
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)
