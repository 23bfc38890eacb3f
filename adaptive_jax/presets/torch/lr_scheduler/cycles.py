"""Cosine and cyclic schedulers; two of them also cycle the momentum."""

import math
from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp

from adaptive_jax import schedules
from adaptive_jax.presets.arguments import is_zero
from adaptive_jax.presets.torch.lr_scheduler.attached import (
    IDENTITY,
    LAST_COUNT,
    Affine,
    CountsCalls,
    KeepsPosition,
    Single,
    base_rate,
    start_at,
    where,
)
from adaptive_jax.presets.torch.lr_scheduler.scheduler import (
    Scheduler,
    attachable,
    placed,
    power_of,
    quotient,
    remainder,
    remaining,
    scheduler,
    sets,
    traceable,
)
from adaptive_jax.schedules.pieces import as_float
from adaptive_jax.typing import Scalar, Schedule
from adaptive_jax.validation import steps


@scheduler
def CosineAnnealingLR(
    lr: Scalar,
    T_max: int,
    eta_min: Scalar = 0.0,
    last_epoch: int = -1,
    *,
    updates_per_step: int = 1,
) -> Scheduler:
    """Cosine from `lr` to `eta_min` in `T_max` epochs, and back up in as many.

    `adaptive_jax.schedules.cosine_decay` stays at its end value.

    >>> lr = CosineAnnealingLR(0.1, T_max=10)
    >>> print(f"{lr(5):.2f} {lr(10):.1f} {lr(20):.1f}")
    0.05 0.0 0.1
    """
    T_max = steps("T_max", T_max)

    def height(n):
        # The squared sine of the distance to the bottom is precise there; 1 + cos is not.
        past = jnp.abs(n) % (2 * T_max) if 2 * T_max <= LAST_COUNT else jnp.abs(n)
        left = T_max - past if T_max <= LAST_COUNT else float(T_max) - as_float(past)
        return jnp.sin(jnp.pi / 2 * as_float(jnp.abs(left)) / float(T_max)) ** 2

    def last_bottom(n):
        return n - (n - T_max) % (2 * T_max) if 2 * T_max <= LAST_COUNT else -LAST_COUNT

    def between(base, start, end):
        """Torch multiplies the distance to eta_min, except after a bottom, where it adds."""
        bottom = last_bottom(end)
        before, after = height(start), height(end)
        ratio = after / jnp.where(before == 0, 1.0, before)
        falls = Affine(ratio, eta_min * (1 - ratio))
        from_bottom = Affine(0.0, eta_min + (base - eta_min) * after)
        # At the bottom itself, the rate can have any value if another scheduler has changed it.
        top = (base - eta_min) * height(bottom + 1)
        rest = after / height(bottom + 1)
        rises = Affine(rest, eta_min * (1 - rest) + rest * top)
        passes = where(start < bottom, from_bottom, where(start == bottom, rises, falls))
        return where(start == end, IDENTITY, passes)

    def attach(group):
        base = base_rate(group, lr)
        return start_at(
            group,
            Single(
                lambda j, n: between(base, jnp.asarray(j), jnp.asarray(n)),
                first=IDENTITY,
                again=Affine(0.0, base),
                last_added=(lambda n: last_bottom(n - 1) + 1) if is_zero(eta_min) else None,
            ),
        )

    return attachable("CosineAnnealingLR", lr, attach, last_epoch, updates_per_step)


@scheduler
def CosineAnnealingWarmRestarts(
    lr: Scalar,
    T_0: int,
    T_mult: int = 1,
    eta_min: Scalar = 0.0,
    last_epoch: int = -1,
    *,
    updates_per_step: int = 1,
) -> Scheduler:
    """Cosine from `lr` to `eta_min` in cycles, like `schedules.cosine_restarts`.

    Args:
      T_0: the number of epochs in the first cycle.
      T_mult: the ratio of a cycle's length to the one before it, a whole number.

    >>> lr = CosineAnnealingWarmRestarts(0.1, T_0=10, T_mult=2)
    >>> print(f"{lr(5):.2f} {lr(10):.1f} {lr(20):.2f} {lr(30):.1f}")
    0.05 0.1 0.05 0.1
    """
    height = schedules.cosine_restarts(1.0, steps("T_0", T_0), steps("T_mult", T_mult))
    attach = sets(lambda base, n: eta_min + (base - eta_min) * height(n), lr, KeepsPosition)
    return attachable("CosineAnnealingWarmRestarts", lr, attach, last_epoch, updates_per_step)


@scheduler
def SWALR(
    lr: Scalar,
    swa_lr: Scalar,
    anneal_epochs: int = 10,
    anneal_strategy: Literal["cos", "linear"] = "cos",
    last_epoch: int = -1,
    *,
    updates_per_step: int = 1,
) -> Scheduler:
    """From `lr` to `swa_lr` in `anneal_epochs` epochs, then constant (`torch.optim.swa_utils`).

    Args:
      lr: the initial rate. In `SequentialLR` it continues from the current rate instead.
      anneal_strategy: "cos" or "linear".

    >>> lr = SWALR(0.1, swa_lr=0.05, anneal_epochs=10, anneal_strategy="linear")
    >>> print(f"{lr(5):.3f} {lr(10):.2f}")
    0.075 0.05
    """
    anneal_epochs = steps("anneal_epochs", anneal_epochs, minimum=0)
    shape = _shape(anneal_strategy)

    def left(n):
        ended = n >= min(anneal_epochs, LAST_COUNT)
        completed = as_float(jnp.maximum(n, 0)) / float(max(anneal_epochs, 1))
        return jnp.where(ended, 0.0, shape(completed))

    def attach(group):
        base_rate(group, lr)
        group["swa_lr"] = swa_lr  # the last SWALR that is constructed determines it for all

        def between(start, end):
            before = left(start)
            # With anneal_epochs=0, the first call goes to swa_lr directly.
            ratio = left(end) / jnp.where(before == 0, 1.0, before)
            there = Affine(ratio, group["swa_lr"] * (1 - ratio))
            return where(start == end, IDENTITY, there)

        return start_at(group, CountsCalls(between))

    return attachable("SWALR", lr, attach, last_epoch, updates_per_step)


@scheduler
def CyclicLR(
    base_lr: Scalar,
    max_lr: Scalar,
    step_size_up: int = 2000,
    step_size_down: int | None = None,
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
    gamma: Scalar = 1.0,
    scale_fn: Schedule | None = None,
    scale_mode: Literal["cycle", "iterations"] = "cycle",
    cycle_momentum: bool = True,
    base_momentum: Scalar = 0.8,
    max_momentum: Scalar = 0.9,
    last_epoch: int = -1,
    *,
    updates_per_step: int = 1,
) -> Scheduler:
    """Cycles linearly from `base_lr` up to `max_lr` and down again.

    Args:
      step_size_down: default `step_size_up`; `schedules.cyclic` is that case without momentum.
      mode: "triangular" keeps the peaks, "triangular2" halves them each cycle, and "exp_range"
        multiplies them by `gamma` each step.
      scale_fn: the height of the peaks, instead of `mode`: a function of the cycle (from 1 on), or
        with `scale_mode="iterations"` of the step, both JAX integers.
      cycle_momentum: whether the schedule has a `.momentum`, which falls from `max_momentum` to
        `base_momentum` while the rate rises. It must be passed to the optimizer.

    >>> lr = CyclicLR(0.1, 0.5, step_size_up=10, step_size_down=30)
    >>> print(f"{lr(5):.1f} {lr(10):.1f} {lr(25):.1f} {lr.momentum(10):.1f}")
    0.3 0.5 0.3 0.8
    """
    up = steps("step_size_up", step_size_up)
    down = up if step_size_down is None else steps("step_size_down", step_size_down)
    peak = _peak(mode, gamma, scale_fn, scale_mode)

    def height(n):
        past, cycle = remainder(n, up + down), quotient(n, up + down)
        rising = as_float(past) / float(up)
        falling = as_float(remaining(past, up + down)) * ((up + down) / down)
        return jnp.where(past <= min(up, LAST_COUNT), rising, falling) * peak(n, cycle)

    momentum = Scheduler(
        "CyclicLR",
        lambda n: max_momentum - (max_momentum - base_momentum) * height(n),
        **placed(last_epoch, updates_per_step),
    )

    def attach(group):
        group["lr"] = base_lr
        cycling = sets(lambda base, n: base_lr + (max_lr - base_lr) * height(n))(group)
        # Torch's initial step starts from the optimizer's rate if an earlier scheduler kept it.
        group["lr"] = group["initial_lr"]
        return cycling

    return attachable(
        "CyclicLR", None, attach, last_epoch, updates_per_step, momentum if cycle_momentum else None
    )


def _peak(mode, gamma, scale_fn, scale_mode) -> Callable:
    """`(step, cycle from 0 on) -> height of the cycle's peak`."""
    if scale_mode not in ("cycle", "iterations"):
        raise ValueError(f"scale_mode must be 'cycle' or 'iterations', got {scale_mode!r}")
    if scale_fn is not None:
        call = traceable("scale_fn", scale_fn)
        return lambda n, cycle: call(cycle + 1 if scale_mode == "cycle" else n)
    peaks = {
        "triangular": lambda n, cycle: as_float(1.0),
        "triangular2": lambda n, cycle: power_of(0.5, cycle),
        "exp_range": lambda n, cycle: power_of(gamma, n),
    }
    if mode not in peaks:
        raise ValueError(f"mode must be {' or '.join(map(repr, peaks))}, got {mode!r}")
    return peaks[mode]


@scheduler
def OneCycleLR(
    max_lr: Scalar,
    total_steps: int | None = None,
    epochs: int | None = None,
    steps_per_epoch: int | None = None,
    pct_start: float = 0.3,
    anneal_strategy: Literal["cos", "linear"] = "cos",
    cycle_momentum: bool = True,
    base_momentum: Scalar = 0.85,
    max_momentum: Scalar = 0.95,
    div_factor: Scalar = 25.0,
    final_div_factor: Scalar = 1e4,
    three_phase: bool = False,
    last_epoch: int = -1,
    *,
    updates_per_step: int = 1,
) -> Scheduler:
    """One cycle: up from `max_lr / div_factor` to `max_lr`, then down to almost 0.

    The peak is at step pct_start · total_steps - 1 and the end at total_steps - 1, which is one
    step earlier than in `schedules.one_cycle`. At step total_steps torch extrapolates by one step
    beyond the end, and so does this. After that torch raises; here the rate stays at its end value.

    Args:
      total_steps: the length of the cycle; default `epochs` times `steps_per_epoch`.
      pct_start, div_factor, final_div_factor: as in `schedules.one_cycle`.
      anneal_strategy: "cos" or "linear".
      cycle_momentum, base_momentum, max_momentum: as in `CyclicLR`.
      three_phase: whether to return to the initial rate symmetrically first, and then decay.

    >>> lr = OneCycleLR(max_lr=0.5, total_steps=100)
    >>> print(f"{lr(0):.2f} {lr(29):.1f} {lr(99):.6f} {lr.momentum(29):.2f}")
    0.02 0.5 0.000002 0.85
    """
    if total_steps is None:
        if epochs is None or steps_per_epoch is None:
            raise ValueError("OneCycleLR needs total_steps, or epochs and steps_per_epoch")
        total_steps = steps("epochs", epochs) * steps("steps_per_epoch", steps_per_epoch)
    last = steps("total_steps", total_steps) - 1
    peak = float(pct_start * total_steps) - 1
    if peak == 0:
        raise ValueError(
            f"pct_start · total_steps must not be 1, because torch then divides by 0; "
            f"got {pct_start} · {total_steps}"
        )
    ends = [peak, 2 * peak, last] if three_phase else [peak, last]
    momenta = [max_momentum, base_momentum, max_momentum, max_momentum][: len(ends) + 1]
    shape = _shape(anneal_strategy)
    momentum = Scheduler(
        "OneCycleLR", _through(momenta, ends, shape), **placed(last_epoch, updates_per_step)
    )

    def attach(group):
        group["initial_lr"] = max_lr / div_factor
        group["max_lr"] = max_lr
        group["min_lr"] = group["initial_lr"] / final_div_factor
        names = ["initial_lr", "max_lr", "initial_lr", "min_lr"]
        passed = names if three_phase else [*names[:2], names[-1]]

        def rate(base, n):  # the last OneCycleLR that is constructed determines the rates of all
            return _through([group[name] for name in passed], ends, shape)(n)

        return sets(rate)(group)

    return attachable(
        "OneCycleLR",
        None,
        attach,
        last_epoch,
        updates_per_step,
        momentum if cycle_momentum else None,
    )


def _through(values, ends, shape) -> Schedule:
    """Returns a schedule from each value to the next, reached at the (fractional) steps `ends`."""
    legs = list(zip([0.0, *ends[:-1]], ends, values[:-1], values[1:], strict=True))

    last = min(ends[-1], LAST_COUNT)

    def at(n):
        n = jnp.where(n > last + 1, last, n)  # torch extrapolates by one step, and then raises
        value = None
        for start, end, before, after in reversed(legs):
            completed = (as_float(n) - start) / float((end - start) or 1.0)
            here = after + (before - after) * shape(completed)
            value = (
                here if value is None else jnp.where(n <= min(math.floor(end), last), here, value)
            )
        return value

    return at


def _shape(anneal_strategy) -> Callable:
    """Returns a function that falls from 1 to 0 as the completed part rises from 0 to 1."""
    shapes = {
        "cos": lambda completed: jnp.cos(jnp.pi / 2 * completed) ** 2,
        "linear": lambda completed: 1 - completed,
    }
    if anneal_strategy not in shapes:
        raise ValueError(f"anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}")
    return shapes[anneal_strategy]
