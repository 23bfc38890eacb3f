"""Models of torch's schedulers, where each call of `step()` is an affine map of the rate.

Most of torch's schedulers compute the rate from the current one. In `SequentialLR` and
`ChainedScheduler`, the rate therefore depends on earlier calls of the other schedulers. Each call
is an affine map of the rate, and for every scheduler the composition of any number of these maps
has a closed form.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax.numpy as jnp

from adaptive_jax.typing import Scalar

LAST_COUNT = 2**31 - 2**10  # schedules are constant from here, shortly before int32 overflows

Group = dict[str, Any]
"""Torch's parameter group. The constructors of schedulers read and modify it."""


class Affine(NamedTuple):
    """`rate -> slope · rate + offset`."""

    slope: Scalar
    offset: Scalar

    def __call__(self, rate: Scalar) -> Scalar:
        return self.slope * rate + self.offset

    def after(self, first: "Affine") -> "Affine":
        return Affine(self.slope * first.slope, self(first.offset))


IDENTITY = Affine(1.0, 0.0)


def where(condition: Any, yes: Affine, no: Affine) -> Affine:
    """Selects one of two affine maps, like `jnp.where`."""
    return Affine(*(jnp.where(condition, a, b) for a, b in zip(yes, no, strict=True)))


class Attached(Protocol):
    """A scheduler of one optimizer. Its position counts calls of `step()`, starting at 0.

    Attributes:
      position: the position while `SequentialLR` and `ChainedScheduler` are constructed.
      multiplies: True if no call adds anything to the rate.
      sets: True if no call depends on the current rate.
      last_added: a function from a position to the position after the last call that added to the
        rate; for schedulers that multiply the rate by 0 just before such a call, and only multiply
        in between.
    """

    position: int
    multiplies: bool
    sets: bool
    last_added: Callable[[Any], Any] | None

    def between(self, start: Any, end: Any) -> Affine:
        """Returns the map of the calls from one position to another."""
        ...

    def advance(self) -> None:
        """Advances the position by one call; `between` then starts there."""
        ...

    def undo(self) -> None:
        """Moves the position back by one call, without changing the rate."""
        ...

    def begin(self) -> Affine:
        """Returns the map of torch's `_initial_step` and moves to where training starts."""
        ...

    def restart(self) -> Affine:
        """Returns the map of torch's `_update_lr(0)`, at a milestone of `SequentialLR`."""
        ...


@dataclasses.dataclass
class Single:
    """A scheduler that is not composed of others.

    Attributes:
      maps: `(start, end) -> Affine`, from position -1 on.
      first: the map of the initial step; by default that from -1 to 0.
      again: the map of a restart, with the same default, or an error text if torch has none.
    """

    maps: Callable[[Any, Any], Affine]
    first: Affine | None = None
    again: Affine | str | None = None
    multiplies: bool = False
    sets: bool = False
    last_added: Callable[[Any], Any] | None = None
    position: int = 0

    def between(self, start: Any, end: Any) -> Affine:
        return self.maps(start, end)

    def advance(self) -> None:
        self.position += 1

    def undo(self) -> None:
        self.position -= 1

    def begin(self) -> Affine:
        self.position = 0
        return self.first or self.maps(-1, 0)

    def restart(self) -> Affine:
        if isinstance(self.again, str):
            raise ValueError(self.again)
        self.position = 0
        return self.again or self.maps(-1, 0)


class KeepsPosition(Single):
    """A scheduler that a restart does not reset: `CosineAnnealingWarmRestarts` counts by itself."""

    def restart(self) -> Affine:
        self.position = max(self.position, 0)
        return self.maps(self.position - 1, self.position)


class CountsCalls(KeepsPosition):
    """A scheduler that does not notice an undone call, either: `SWALR` counts all calls."""

    def undo(self) -> None:
        pass


def start_at(group: Group, scheduler: Attached) -> Attached:
    """Performs a scheduler's initial step on the group, and returns the scheduler."""
    group["lr"] = scheduler.begin()(group["lr"])
    return scheduler


def base_rate(group: Group, lr: Scalar | None) -> Scalar:
    """Returns the rate that a scheduler constructed now reads from the optimizer.

    It is `lr`, unless a `CyclicLR` or a `OneCycleLR` was constructed before and changed it.
    """
    initial = group.setdefault("initial_lr", group["lr"])
    return lr if lr is not None and initial is group["given"] else initial
