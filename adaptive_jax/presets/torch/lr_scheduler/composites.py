"""Schedulers composed of schedulers, in sequence or all at once."""

import bisect
import copy
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from adaptive_jax.presets.arguments import verbatim
from adaptive_jax.presets.torch.lr_scheduler.attached import (
    IDENTITY,
    LAST_COUNT,
    Affine,
    Attached,
    Single,
    where,
)
from adaptive_jax.presets.torch.lr_scheduler.scheduler import (
    HINTS,
    Scheduler,
    attachable,
    constructed,
)
from adaptive_jax.schedules.pieces import as_float
from adaptive_jax.typing import Schedule
from adaptive_jax.validation import steps

_BLOCK = 256  # the number of calls that ChainedScheduler composes at once
_composite = verbatim("presets.torch.lr_scheduler", {}, hints=HINTS)


@_composite
def SequentialLR(
    schedulers: Sequence[Schedule],
    milestones: Sequence[int],
    last_epoch: int = -1,
    *,
    updates_per_step: int = 1,
) -> Scheduler:
    """Runs one scheduler after another, each from its own beginning.

    As in torch, some schedulers continue from the current rate (`MultiplicativeLR`, `SWALR`), and a
    `CyclicLR` or `OneCycleLR` changes the optimizer's learning rate that later schedulers in the
    list read. This assumes that torch's schedulers were constructed in the order in which they are
    listed.

    Args:
      schedulers: schedulers of this module, or any schedules.
      milestones: the steps at which the second and each later scheduler begins.

    Raises:
      ValueError: the number of milestones is wrong; a scheduler cycles the momentum; or torch
        cannot start a scheduler, such as a composite, at its milestone.

    >>> from adaptive_jax.presets.torch.lr_scheduler import ExponentialLR, LinearLR
    >>> warmup = LinearLR(0.1, start_factor=0.1, total_iters=10)
    >>> lr = SequentialLR([warmup, ExponentialLR(0.1, gamma=0.5)], milestones=[10])
    >>> print(f"{lr(0):.2f} {lr(10):.1f} {lr(11):.2f}")
    0.01 0.1 0.05
    """
    parts = _parts("SequentialLR", schedulers)
    milestones = [
        steps(f"milestones[{i}]", m, minimum=-LAST_COUNT) for i, m in enumerate(milestones)
    ]
    if len(milestones) != len(parts) - 1:
        raise ValueError(
            f"there must be one milestone fewer than the {len(parts)} schedulers, got {milestones}"
        )

    def attach(group):
        one_by_one = _Sequence([part.attached(group) for part in parts], milestones)
        group["lr"] = group["initial_lr"]
        one_by_one.undo()
        group["lr"] = one_by_one.current().begin()(group["lr"])
        return one_by_one

    lr = _learning_rate(parts)
    list(constructed(lr, attach)[1].segments())  # raises if a part cannot start at its milestone
    return attachable("SequentialLR", lr, attach, last_epoch, updates_per_step)


@_composite
def ChainedScheduler(
    schedulers: Sequence[Schedule], last_epoch: int = -1, *, updates_per_step: int = 1
) -> Scheduler:
    """Applies all schedulers at once; each changes the rate that the previous one leaves.

    Schedulers that multiply the rate contribute the product of their factors. As in torch, a
    scheduler that sets the rate (`LambdaLR`, `CyclicLR`, `OneCycleLR`,
    `CosineAnnealingWarmRestarts`) overrides those before it, and those after it contribute only
    their last factor. With an `SWALR`, a `SequentialLR`, a `CosineAnnealingLR` with an `eta_min`,
    or two of these, the rates of all steps so far are recomputed at every update, in a time that
    grows with their number; set `updates_per_step` in this case.

    Args:
      schedulers: schedulers of this module, in the order in which torch's were constructed.

    Raises:
      ValueError: there is no scheduler, one cycles the momentum, or their base rates differ.

    >>> from adaptive_jax.presets.torch.lr_scheduler import ConstantLR, ExponentialLR
    >>> lr = ChainedScheduler([ConstantLR(0.1, 0.5, total_iters=4), ExponentialLR(0.1, 0.5)])
    >>> print(f"{lr(0):.2f} {lr(1):.3f} {lr(4):.5f}")
    0.05 0.025 0.00625
    """
    parts = _parts("ChainedScheduler", schedulers)
    lr = _learning_rate(parts)
    rates = [part.lr for part in parts if part.lr is not None]
    if any(isinstance(rate, float) and rate != lr for rate in rates):
        raise ValueError(f"the schedulers must have the same learning rate, got {rates}")

    def attach(group):
        return _Chain([part.attached(group) for part in parts])

    return attachable("ChainedScheduler", lr, attach, last_epoch, updates_per_step)


class _Composite:
    """The common base of both: the state of the parts while they are constructed."""

    multiplies = False
    sets = False
    last_added: Callable[[Any], Any] | None = None

    def __init__(self, parts: list[Attached]):
        self.parts, self.position = parts, 0

    def undo(self) -> None:
        for part in self.parts:
            part.undo()

    def restart(self) -> Affine:
        raise ValueError(
            "torch cannot start a SequentialLR or ChainedScheduler at a milestone of another "
            "SequentialLR; put its schedulers into the outer one"
        )


class _Sequence(_Composite):
    """Torch's `SequentialLR`, whose position is its `last_epoch`."""

    def __init__(self, parts: list[Attached], milestones: list[int]):
        super().__init__(parts)
        self.milestones = milestones
        self.sets = all(part.sets for part in parts)

    def current(self) -> Attached:
        return self.parts[self._index(self.position)]

    def _index(self, position):
        return bisect.bisect_right(self.milestones, position)

    def _restarts(self, position):
        """Returns True if a milestone starts the current part at this position."""
        index = self._index(position)
        return index > 0 and self.milestones[index - 1] == position

    def advance(self) -> None:
        self.position += 1
        self.current().restart() if self._restarts(self.position) else self.current().advance()

    def begin(self) -> Affine:
        begun = self.between(self.position, self.position + 1)
        self.advance()
        return begun

    def segments(self) -> Iterator[tuple[int, int, Affine | None, Attached, int]]:
        """Yields the runs of consecutive calls to one part.

        Each is a tuple of the first call, the call after the last, the map of the first call if it
        is a restart, the part, and the offset from a position here to the part's position.
        """
        positions = [part.position for part in self.parts]
        first = self.position + 1
        later = {m for m in self.milestones if first < m <= LAST_COUNT}
        for start, stop in itertools.pairwise([first, *sorted(later), LAST_COUNT + 2]):
            index = self._index(start)
            part, restart = self.parts[index], None
            if self._restarts(start):
                restarted = copy.copy(part)
                restarted.position = positions[index]
                restart = restarted.restart()
                positions[index] = restarted.position
                offset = positions[index] - start
            else:
                offset = positions[index] - (start - 1)
                if isinstance(part, Single) and positions[index] < -1:
                    raise ValueError(
                        f"torch steps the scheduler at index {index} from before its beginning: "
                        "use increasing milestones, or put the schedulers into one SequentialLR"
                    )
            positions[index] = offset + stop - 1
            yield start, stop, restart, part, offset

    def between(self, start: Any, end: Any) -> Affine:
        composed = IDENTITY
        for first, stop, restart, part, offset in self.segments():
            a, b = (jnp.clip(n, first - 1, stop - 1) for n in (start, end))
            if restart is None:
                calls = part.between(a + offset, b + offset)
            else:
                here = jnp.maximum(a, first) + offset
                calls = part.between(here, jnp.maximum(b, first) + offset)
                calls = where((a < first) & (b >= first), calls.after(restart), calls)
            composed = calls.after(composed)
        return composed


class _Chain(_Composite):
    """Torch's `ChainedScheduler`. Its position stays 0; the positions of its parts advance."""

    def __init__(self, parts: list[Attached]):
        super().__init__(parts)
        self.multiplies = all(part.multiplies for part in parts)
        self.sets = any(part.sets for part in parts)

    def advance(self) -> None:
        for part in self.parts:
            part.advance()

    def begin(self) -> Affine:
        begun = self.between(0, 1)
        self.advance()
        return begun

    def between(self, start: Any, end: Any) -> Affine:
        if self.multiplies:
            return self._once(start, end)
        if self.sets:
            return where(start == end, IDENTITY, self._once(jnp.maximum(end - 1, 0), end))
        others = [part for part in self.parts if not part.multiplies]
        if len(others) == 1 and others[0].last_added:
            last = others[0].last_added(others[0].position + end) - others[0].position
            added = self._once(last - 1, last).offset * self._once(last, end).slope
            return Affine(self._once(start, end).slope, jnp.where(last > start, added, 0.0))
        return self._step_by_step(jnp.asarray(start), jnp.asarray(end))

    def _once(self, start, end):
        """Composes the maps of all parts; this is right for one call, or if all multiply."""
        maps = (p.between(p.position + start, p.position + end) for p in self.parts)
        return functools.reduce(lambda before, map: map.after(before), maps)

    def _step_by_step(self, start, end):
        """Composes call by call, in blocks: later calls multiply what a call adds."""

        def block(i, before):
            first = start + i * _BLOCK
            last = jnp.minimum(first + _BLOCK, end)

            def added(n):
                here = jnp.minimum(n, last)
                term = self._once(here - 1, here).offset * self._once(here, last).slope
                return jnp.where(n <= last, term, 0.0)

            terms = jax.vmap(added)(first + jnp.arange(1, _BLOCK + 1, dtype=first.dtype))
            return Affine(self._once(first, last).slope, jnp.sum(terms)).after(before)

        blocks = (end - start + _BLOCK - 1) // _BLOCK
        return jax.lax.fori_loop(0, blocks, block, Affine(*map(as_float, IDENTITY)))


def _learning_rate(parts):
    """Returns the base rate of the first part that has one."""
    return next((part.lr for part in parts if part.lr is not None), None)


def _parts(composite, schedulers):
    parts = [_part(composite, i, part) for i, part in enumerate(schedulers)]
    if not parts:
        raise ValueError(f"{composite} needs at least one scheduler, got none")
    return parts


def _part(composite, position, part):
    """Returns the scheduler, or raises if it cannot be a part of a composite."""
    if not callable(part):
        raise TypeError(
            f"{composite} needs schedules, got {type(part).__name__} at index {position}"
        )
    part = part if isinstance(part, Scheduler) else Scheduler("a schedule", part)
    if part.momentum is not None:
        raise ValueError(
            f"{composite} does not cycle the momentum: pass cycle_momentum=False to the "
            f"{part.kind} at index {position}"
        )
    if part.updates_per_step != 1 or part.start != 0:
        raise ValueError(
            f"pass updates_per_step and last_epoch to {composite}, not to the {part.kind} at "
            f"index {position}"
        )
    return part
