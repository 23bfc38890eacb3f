"""Groups of members that train side by side: their layout on devices, and their arrays."""

import bisect
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from adaptive_jax.distributed.hosts import on_host
from adaptive_jax.lab.training.config import Member, OptimizerSpec
from adaptive_jax.lab.training.devices import MEMBERS


class Block(NamedTuple):
    """Neighboring members that one optimizer updates together.

    Attributes:
      optimizer: The optimizer.
      names: The names of the hyperparameters that vary between the members.
      count: The number of members in each part of the group.
    """

    optimizer: OptimizerSpec
    names: tuple[str, ...]
    count: int


def blocks_of(members: Sequence[Member], parts: int) -> tuple[tuple[Block, ...], list[np.ndarray]]:
    """Divides members into blocks, and each block into equal parts.

    Args:
      members: The members of a group. Neighbors with the same optimizer and hyperparameter
        names are a block.
      parts: The number of parts, one for each row of devices.

    Returns:
      The blocks, the same for every part, and for each block the indices of the members in each
      part, (parts, count). The last member of a block pads it to equal parts.
    """
    # Every part runs the same program (see `Grid.jit`), so every part has the same blocks: a
    # block is divided by itself, and padded, rather than the group as a whole.
    blocks, places, start = [], [], 0
    for (optimizer, names), block in itertools.groupby(
        members, lambda m: (m.optimizer, tuple(m.hyperparameters))
    ):
        size = len(list(block))
        count = -(-size // parts)
        blocks.append(Block(optimizer, names, count))
        indices = np.minimum(np.arange(parts * count), size - 1)
        places.append(start + indices.reshape(parts, count))
        start += size
    return tuple(blocks), places


def fitting(members: Sequence[Member], width: int, parts: int) -> int:
    """Returns how many of the first members fit into a group with parts of at most `width`."""

    def part_size(count):
        return sum(block.count for block in blocks_of(members[:count], parts)[0])

    # A part never shrinks when a member is added, so the number can be found by bisection.
    return bisect.bisect_right(range(1, len(members) + 1), width, key=part_size)


class Shape(NamedTuple):
    """The layout of members that a group's programs are compiled for.

    Attributes:
      blocks: The blocks of each part.
      fillers: A member of each block, which trains where a group lacks members.
    """

    blocks: tuple[Block, ...]
    fillers: tuple[Member, ...]

    @classmethod
    def of(cls, members: Sequence[Member], parts: int) -> "Shape":
        """Returns the shape that has room for these members and no others."""
        blocks, places = blocks_of(members, parts)
        return cls(blocks, tuple(members[int(indices[0, 0])] for indices in places))

    @property
    def width(self) -> int:
        """The number of members in each part."""
        return sum(block.count for block in self.blocks)

    def places(self, members: Sequence[Member], parts: int) -> list[np.ndarray] | None:
        """Returns where members go, or None if there is no room for them.

        The result is that of `blocks_of`, for all blocks of the shape. Indices beyond those of the
        members are of the fillers.
        """
        blocks, places = blocks_of(members, parts)
        given, result = list(zip(blocks, places, strict=True)), []
        for i, room in enumerate(self.blocks):
            indices = np.full((parts, room.count), len(members) + i)
            if given and given[0][0][:2] == room[:2] and given[0][0].count <= room.count:
                own = given.pop(0)[1]
                indices[:, : own.shape[1]] = own
                indices[:, own.shape[1] :] = own.flat[-1]
            result.append(indices)
        return None if given else result


class Group:
    """Members that train side by side, and their inputs as arrays.

    The member axis of an array is (parts · width,): part after part, in each part block after
    block, padding included. A device's part of it is the `members` axis of `Programs`.

    Args:
      members: The members, in the order in which their results are wanted.
      shape: A shape that has room for them.
      with_rates: Whether histograms of effective learning rates are wanted.
      skips: Whether steps with a loss or gradient that is not finite are skipped.
      devices: Where the arrays are put.

    Attributes:
      members, with_rates, skips: As given.
      blocks: The blocks of each part, those of the shape.
      width: The number of members in a part.
      seeds: The members' seeds, (parts · width,), int32.
      distinct_seeds: Each seed once.
      model_index: The index of each member's seed in `distinct_seeds`, (parts · width,), int32.
      hypers: For each block name -> values (parts · count,), float32.
    """

    def __init__(self, members, shape, with_rates, skips, devices):
        self.members, self.with_rates, self.skips = members, with_rates, skips
        self.blocks, self.width = shape.blocks, shape.width
        self._places = shape.places(members, devices.parts)
        axis = np.concatenate(self._places, axis=1)  # (parts, width), indices of members
        self._positions = _first_positions(axis, members)
        rows = [*members, *shape.fillers]
        seeds = np.array([rows[i].seed for i in axis.flat], np.int32)
        distinct = list(dict.fromkeys(seeds.tolist()))
        self.distinct_seeds = [np.int32(seed) for seed in distinct]
        self.seeds = devices.put(seeds, MEMBERS)
        model_index = np.array([distinct.index(seed) for seed in seeds], np.int32)
        self.model_index = devices.put(model_index, MEMBERS)
        self.hypers = [
            devices.put(
                {
                    name: np.array([rows[i].hyperparameters[name] for i in places.flat], np.float32)
                    for name in block.names
                },
                MEMBERS,
            )
            for block, places in zip(self.blocks, self._places, strict=True)
        ]

    def by_member(self, metrics):
        """Fetches arrays (parts · width,) and returns them in the order of the members."""
        return jax.tree.map(lambda values: on_host(values)[self._positions], metrics)

    def rates(self, histograms):
        """Fetches the blocks' histograms, (parts · count, bins), and returns each member's.

        A member's is None if its block has none, or if none are wanted.
        """
        if not self.with_rates:
            return [None] * len(self.members)
        return [
            None if block is None else block[i].tolist()
            for places, block in zip(self._places, jax.tree.map(on_host, histograms), strict=True)
            for i in _first_positions(places, self.members)
        ]


def _first_positions(places, members):
    """Returns the first position of each member on the flat axis; others are padding."""
    indices, positions = np.unique(places, return_index=True)
    return positions[indices < len(members)]
