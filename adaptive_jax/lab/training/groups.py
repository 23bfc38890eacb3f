"""Members side by side: how they are dealt out over devices, and their inputs and results."""

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
    """So many neighbors that one optimizer updates together."""

    optimizer: OptimizerSpec
    names: tuple[str, ...]
    count: int


def blocks_of(members: Sequence[Member], parts: int) -> tuple[tuple[Block, ...], list[np.ndarray]]:
    """The blocks of which each of so many equal parts of a group is made.

    Returns them, and for each an array (parts, count) with the indices of the members that are
    there; what a block lacks to be as long in every part is filled up with its last member.
    """
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


def fitting(members, width, parts):
    """How many members, from the first on, can be dealt out with at most `width` in each part."""

    def size(count):
        return sum(block.count for block in blocks_of(members[:count], parts)[0])

    return bisect.bisect_right(range(1, len(members) + 1), width, key=size)


class Group:
    """Members that are trained side by side, and their inputs as arrays.

    Attributes:
      members: in the order in which they were given.
      with_rates: whether their effective learning rates are wanted.
      blocks: of each part, see `blocks_of`.
      width: how many members a part has.
      seeds, which, hypers: over the axis of members, their seeds, which of the distinct ones that
        is, and of each block the varying hyperparameters by name.
      distinct: seeds.
    """

    def __init__(self, members, with_rates, devices):
        self.members, self.with_rates = members, with_rates
        self.blocks, self._places = blocks_of(members, devices.parts)
        self.width = sum(block.count for block in self.blocks)
        axis = np.concatenate(self._places, axis=1)  # in each part all blocks
        self._rows = _first(axis)
        seeds = np.array([members[i].seed for i in axis.flat], np.int32)
        distinct = list(dict.fromkeys(seeds.tolist()))
        self.distinct = [np.int32(seed) for seed in distinct]
        self.seeds = devices.put(seeds, MEMBERS)
        which = np.array([distinct.index(seed) for seed in seeds], np.int32)
        self.which = devices.put(which, MEMBERS)
        self.hypers = [
            devices.put(
                {
                    name: np.array(
                        [members[i].hyperparameters[name] for i in places.flat], np.float32
                    )
                    for name in block.names
                },
                MEMBERS,
            )
            for block, places in zip(self.blocks, self._places, strict=True)
        ]

    def by_member(self, metrics):
        """Arrays over the axis of members, in the order in which those were given."""
        return jax.tree.map(lambda values: on_host(values)[self._rows], metrics)

    def rates(self, histograms):
        """Each member's histogram, None if its block has none."""
        histograms = jax.tree.map(on_host, histograms) or [None] * len(self.blocks)
        return [
            None if rows is None else rows[i].tolist()
            for places, rows in zip(self._places, histograms, strict=True)
            for i in _first(places)
        ]


def _first(places):
    """Where each member stands first, in the order of their indices."""
    return np.unique(places, return_index=True)[1]
