"""Torch's schedulers as torch runs them, where each call of `step()` is an affine map of the rate.

Most of torch's schedulers compute a rate from the current one, so that in `SequentialLR` and
`ChainedScheduler` it depends on what the others did before. An affine map per call says how, and
its composition over any number of calls has a closed form for every scheduler.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax.numpy as jnp

from adaptive_jax.typing import Scalar

LAST_COUNT = 2**31 - 2**10  # where a schedule stays, a little before an int32 counter ends

Group = dict[str, Any]
"""Torch's parameter group, which schedulers read and change as they are constructed."""


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
    """One of two affine maps."""
    return Affine(*(jnp.where(condition, a, b) for a, b in zip(yes, no, strict=True)))


class Attached(Protocol):
    """A scheduler of one optimizer. Its position counts calls of `step()`, and is 0 at first.

    Attributes:
      position: where it is while `SequentialLR` and `ChainedScheduler` are constructed.
      multiplies: whether no call adds anything to the rate.
      sets: whether no call depends on the rate before.
      last_added: position -> that after the last call that added something to the rate, for those
        that multiply it by 0 just before and do nothing but multiply in between.
    """

    position: int
    multiplies: bool
    sets: bool
    last_added: Callable[[Any], Any] | None

    def between(self, start: Any, end: Any) -> Affine:
        """What the calls from one position to another do to the rate."""
        ...

    def advance(self) -> None:
        """Moves on by one call; `between` starts from where this has led to."""
        ...

    def undo(self) -> None:
        """Goes back by one call and leaves the rate as it is."""
        ...

    def begin(self) -> Affine:
        """Torch's `_initial_step`, after which the position is where training starts."""
        ...

    def restart(self) -> Affine:
        """Torch's `_update_lr(0)`, at a milestone of `SequentialLR`."""
        ...


@dataclasses.dataclass
class Single:
    """A scheduler that is not made of others.

    Attributes:
      maps: `(start, end) -> Affine`, from position -1 on.
      first: the map of the initial step; by default that from -1 to 0.
      again: that of a restart, likewise, or why torch has none.
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
    """One that a restart does not set back: `CosineAnnealingWarmRestarts` counts by itself."""

    def restart(self) -> Affine:
        self.position = max(self.position, 0)
        return self.maps(self.position - 1, self.position)


class CountsCalls(KeepsPosition):
    """One that does not see that a call is undone, either: `SWALR` counts all calls."""

    def undo(self) -> None:
        pass


def start_at(group: Group, scheduler: Attached) -> Attached:
    """The same, after the initial step."""
    group["lr"] = scheduler.begin()(group["lr"])
    return scheduler


def base_rate(group: Group, lr: Scalar | None) -> Scalar:
    """What a scheduler constructed now takes for the optimizer's learning rate.

    It is `lr`, unless a `CyclicLR` or a `OneCycleLR` was constructed before and has changed it.
    """
    initial = group.setdefault("initial_lr", group["lr"])
    return lr if lr is not None and initial is group["given"] else initial
