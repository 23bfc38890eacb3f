"""Schedulers made of schedulers: one after another, and all at once."""

import functools
import itertools
from collections.abc import Sequence

import jax.numpy as jnp

from adaptive_jax.presets.arguments import verbatim
from adaptive_jax.presets.torch.lr_scheduler.scheduler import HINTS, LAST_COUNT, Scheduler, placed
from adaptive_jax.typing import Schedule
from adaptive_jax.validation import steps

_composite = verbatim("presets.torch.lr_scheduler", {}, hints=HINTS)


@_composite
def SequentialLR(
    schedulers: Sequence[Schedule],
    milestones: Sequence[int],
    last_epoch: int = -1,
    *,
    updates_per_step: int = 1,
) -> Scheduler:
    """One scheduler after another, each from its own beginning.

    Args:
      schedulers: of this module, or any schedules.
      milestones: where the second and each later one begins, in steps.

    Raises:
      ValueError: the milestones do not fit, or a scheduler cannot stand there: a composite or
        one that cycles the momentum nowhere, and `MultiplicativeLR`, which in torch goes on from
        the rate that it finds, only at the beginning.

    >>> from adaptive_jax.presets.torch.lr_scheduler import ExponentialLR, LinearLR
    >>> warmup = LinearLR(0.1, start_factor=0.1, total_iters=10)
    >>> lr = SequentialLR([warmup, ExponentialLR(0.1, gamma=0.5)], milestones=[10])
    >>> print(f"{lr(0):.2f} {lr(10):.1f} {lr(11):.2f}")
    0.01 0.1 0.05
    """
    parts = [_part("SequentialLR", i, part) for i, part in enumerate(schedulers)]
    milestones = [steps(f"milestones[{i}]", m) for i, m in enumerate(milestones)]
    if len(milestones) != len(parts) - 1 or sorted(set(milestones)) != milestones:
        raise ValueError(
            f"milestones must be increasing and one fewer than the {len(parts)} schedulers, "
            f"got {milestones}"
        )
    for i, part in enumerate(parts):
        nested = part.kind in ("SequentialLR", "ChainedScheduler")
        if nested or (part.kind == "MultiplicativeLR" and i > 0):
            raise ValueError(
                f"SequentialLR cannot have {part.kind} at index {i}: torch's rate there depends "
                f"on what came before; {'unfold it' if nested else 'write it as a LambdaLR'}"
            )

    bounds = [0, *milestones, LAST_COUNT]

    def rate(n):
        values = [
            part(jnp.clip(n, start, end) - start)  # where it is not read, it costs little
            for part, (start, end) in zip(parts, itertools.pairwise(bounds), strict=True)
        ]
        return functools.reduce(
            lambda before, after: jnp.where(n >= after[0], after[1], before),
            zip(milestones, values[1:], strict=True),
            values[0],
        )

    return Scheduler("SequentialLR", rate, **placed(last_epoch, updates_per_step))


@_composite
def ChainedScheduler(
    schedulers: Sequence[Scheduler], last_epoch: int = -1, *, updates_per_step: int = 1
) -> Scheduler:
    """All schedulers at once: the base learning rate times the factors of all.

    With a `CosineAnnealingLR` (one, with `eta_min=0`) it starts from the base rate again whenever
    the cosine has been at its bottom, as torch's does.

    Raises:
      ValueError: a scheduler sets the rate instead of multiplying it, so that in torch those
        before it have no effect; or the base rates differ.

    >>> from adaptive_jax.presets.torch.lr_scheduler import ConstantLR, ExponentialLR
    >>> lr = ChainedScheduler([ConstantLR(0.1, 0.5, total_iters=4), ExponentialLR(0.1, 0.5)])
    >>> print(f"{lr(0):.2f} {lr(1):.3f} {lr(4):.5f}")
    0.05 0.025 0.00625
    """
    parts = [_part("ChainedScheduler", i, part) for i, part in enumerate(schedulers)]
    cosines = [i for i, part in enumerate(parts) if part.half_period]
    factors, rates = [], []
    for i, part in enumerate(parts):
        if part.factor is None or part.lr is None:
            raise ValueError(
                f"ChainedScheduler multiplies factors, but the {part.kind} at index {i} sets the "
                "rate whatever it was; use SequentialLR, or LambdaLR with the product"
                + (" (a CosineAnnealingLR multiplies where eta_min is 0)" if i in cosines else "")
            )
        factors.append(part.factor)
        rates.append(part.lr)
    if len(cosines) > 1:
        raise ValueError(f"ChainedScheduler takes one CosineAnnealingLR, got {len(cosines)}")
    base = rates[0]
    if any(isinstance(lr, float) and lr != base for lr in rates):
        raise ValueError(f"the schedulers must have one learning rate, got {rates}")

    def rate(n):
        value = base
        for i, factor in enumerate(factors):
            if cosines and i not in cosines:
                half_period = parts[cosines[0]].half_period
                value *= _since_bottom(factor, i < cosines[0], half_period, n)
            else:
                value *= factor(n)
        return value

    return Scheduler("ChainedScheduler", rate, **placed(last_epoch, updates_per_step))


def _since_bottom(factor, is_before_cosine, half_period, n):
    """A scheduler's factor over that at the last bottom of the cosine, if there was one.

    From the rate 0 at the bottom torch's cosine goes up by adding to the rate, so of the other
    factors only what comes later has an effect, and none of one that was 0 already.
    """
    bottom = n - 1 - (n - 1 - half_period) % (2 * half_period)
    lost = factor(jnp.maximum(bottom + int(is_before_cosine), 0))
    ratio = jnp.where(lost == 0, 1, factor(n) / jnp.where(lost == 0, 1, lost))
    return jnp.where(n > half_period, ratio, factor(n))


def _part(composite, position, part):
    """The scheduler, if it can be a part of a composite."""
    if not callable(part):
        raise TypeError(
            f"{composite} needs schedules, got {type(part).__name__} at index {position}"
        )
    part = part if isinstance(part, Scheduler) else Scheduler("a schedule", part)
    if part.momentum is not None:
        raise ValueError(
            f"{composite} does not cycle the momentum: give cycle_momentum=False to the "
            f"{part.kind} at index {position}"
        )
    if part.updates_per_step != 1 or part.start != 0:
        raise ValueError(
            f"give updates_per_step and last_epoch to {composite}, not to the {part.kind} at "
            f"index {position}"
        )
    return part
