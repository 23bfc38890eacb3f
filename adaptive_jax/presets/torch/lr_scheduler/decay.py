"""The schedulers that multiply the rate by a factor, and `LambdaLR`."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from adaptive_jax.presets.torch.lr_scheduler.attached import IDENTITY, LAST_COUNT
from adaptive_jax.presets.torch.lr_scheduler.scheduler import (
    REPEATS,
    Scheduler,
    attachable,
    multiplies,
    power_of,
    quotient,
    remaining,
    scheduler,
    sets,
    traceable,
)
from adaptive_jax.schedules.pieces import as_float
from adaptive_jax.typing import Scalar, Schedule
from adaptive_jax.validation import steps

_NO_RESTART = "with total_iters=0 it cannot follow another one in SequentialLR: torch divides by it"
_BLOCK = 256  # factors that MultiplicativeLR multiplies at once


@scheduler
def LambdaLR(
    lr: Scalar, lr_lambda: Schedule, last_epoch: int = -1, *, updates_per_step: int = 1
) -> Scheduler:
    """`lr · lr_lambda(epoch)`.

    Args:
      lr_lambda: a function of the epoch, which is a JAX integer: write `jnp.where` for `if`, and
        `jnp.sqrt` for `math.sqrt`.

    >>> lr = LambdaLR(0.1, lambda epoch: 0.5**epoch)
    >>> print(f"{lr(2):.3f}")
    0.025
    """
    factor = traceable("lr_lambda", lr_lambda)
    return attachable(
        "LambdaLR", lr, sets(lambda base, n: base * factor(n), lr), last_epoch, updates_per_step
    )


@scheduler
def MultiplicativeLR(
    lr: Scalar, lr_lambda: Schedule, last_epoch: int = -1, *, updates_per_step: int = 1
) -> Scheduler:
    """`lr · lr_lambda(1) · … · lr_lambda(epoch)`.

    The product is recomputed at every update, in a time that grows with the number of epochs. Set
    `updates_per_step`, or pass the product to `LambdaLR` if there is a formula for it.

    Args:
      lr_lambda: as in `LambdaLR`.

    >>> lr = MultiplicativeLR(0.1, lambda epoch: 1 / epoch)
    >>> print(f"{lr(3):.4f}")  # 0.1 / (1 · 2 · 3)
    0.0167
    """

    ratios = jax.vmap(traceable("lr_lambda", lr_lambda))

    def product(start, end):
        start, end = jnp.asarray(start), jnp.asarray(end)

        def block(i, product):
            epochs = start + i * _BLOCK + jnp.arange(1, _BLOCK + 1, dtype=start.dtype)
            return product * jnp.prod(jnp.where(epochs <= end, ratios(epochs), 1))

        return jax.lax.fori_loop(0, (end - start + _BLOCK - 1) // _BLOCK, block, as_float(1.0))

    attach = multiplies(lr, product, first=IDENTITY, restarts_at=REPEATS)
    return attachable("MultiplicativeLR", lr, attach, last_epoch, updates_per_step)


@scheduler
def StepLR(
    lr: Scalar,
    step_size: int,
    gamma: Scalar = 0.1,
    last_epoch: int = -1,
    *,
    updates_per_step: int = 1,
) -> Scheduler:
    """`lr · gamma^⌊epoch / step_size⌋`.

    >>> lr = StepLR(0.1, step_size=30, gamma=0.5, updates_per_step=100)
    >>> print(f"{lr(2999):.1f} {lr(3000):.2f}")
    0.1 0.05
    """
    step_size = steps("step_size", step_size)

    def product(start, end):
        # The call at epoch 0 does not multiply.
        periods = quotient(jnp.maximum(end, 0), step_size) - quotient(
            jnp.maximum(start, 0), step_size
        )
        return power_of(gamma, periods)

    return attachable("StepLR", lr, multiplies(lr, product), last_epoch, updates_per_step)


@scheduler
def MultiStepLR(
    lr: Scalar,
    milestones: Sequence[int],
    gamma: Scalar = 0.1,
    last_epoch: int = -1,
    *,
    updates_per_step: int = 1,
) -> Scheduler:
    """`lr · gamma^(number of milestones up to the epoch)`; repeated milestones count repeatedly.

    >>> lr = MultiStepLR(0.1, milestones=[30, 80], gamma=0.5)
    >>> print(f"{lr(29):.1f} {lr(30):.2f} {lr(80):.3f}")
    0.1 0.05 0.025
    """
    milestones = [steps(f"milestones[{i}]", m, minimum=0) for i, m in enumerate(milestones)]

    def product(start, end):
        passed = [(start < m) & (m <= end) for m in milestones if m <= LAST_COUNT]
        return power_of(gamma, sum((as_float(p) for p in passed), as_float(0.0)))

    return attachable("MultiStepLR", lr, multiplies(lr, product), last_epoch, updates_per_step)


@scheduler
def ConstantLR(
    lr: Scalar,
    factor: Scalar = 1.0 / 3,
    total_iters: int = 5,
    last_epoch: int = -1,
    *,
    updates_per_step: int = 1,
) -> Scheduler:
    """`lr · factor` before epoch `total_iters`, and `lr` from then on.

    >>> lr = ConstantLR(0.1, factor=0.5, total_iters=4)
    >>> print(f"{lr(3):.2f} {lr(4):.1f}")
    0.05 0.1
    """
    total_iters = steps("total_iters", total_iters, minimum=0)

    def product(start, end):
        last = min(total_iters, LAST_COUNT)
        begins, ends = (start < 0) & (end >= 0), (start < last) & (end >= last) & (last > 0)
        return jnp.where(begins, as_float(factor), 1.0) / jnp.where(ends, as_float(factor), 1.0)

    attach = multiplies(lr, product, restarts_at=None if total_iters else 1.0)
    return attachable("ConstantLR", lr, attach, last_epoch, updates_per_step)


@scheduler
def LinearLR(
    lr: Scalar,
    start_factor: Scalar = 1.0 / 3,
    end_factor: Scalar = 1.0,
    total_iters: int = 5,
    last_epoch: int = -1,
    *,
    updates_per_step: int = 1,
) -> Scheduler:
    """`lr` times a factor that changes linearly in `total_iters` epochs.

    Args:
      start_factor, end_factor: the first and the last factor.

    >>> lr = LinearLR(0.1, start_factor=0.5, total_iters=4)
    >>> print(f"{lr(0):.2f} {lr(2):.3f} {lr(4):.1f}")
    0.05 0.075 0.1
    """
    total_iters = steps("total_iters", total_iters, minimum=0)

    def factor(n):
        left = remaining(n, total_iters) if total_iters else 1.0
        return jnp.where(n < 0, 1.0, end_factor + (start_factor - end_factor) * left)

    attach = multiplies(lr, _ratio(factor), restarts_at=None if total_iters else _NO_RESTART)
    return attachable("LinearLR", lr, attach, last_epoch, updates_per_step)


@scheduler
def ExponentialLR(
    lr: Scalar, gamma: Scalar, last_epoch: int = -1, *, updates_per_step: int = 1
) -> Scheduler:
    """`lr · gamma^epoch`.

    >>> lr = ExponentialLR(0.1, gamma=0.5, updates_per_step=10)
    >>> print(f"{lr(9):.1f} {lr(10):.2f}")
    0.1 0.05
    """

    def product(start, end):
        return power_of(gamma, end - start)

    attach = multiplies(lr, product, first=IDENTITY)
    return attachable("ExponentialLR", lr, attach, last_epoch, updates_per_step)


@scheduler
def PolynomialLR(
    lr: Scalar,
    total_iters: int = 5,
    power: Scalar = 1.0,
    last_epoch: int = -1,
    *,
    updates_per_step: int = 1,
) -> Scheduler:
    """`lr · (1 - epoch / total_iters)^power`, then 0, like `schedules.polynomial_decay`.

    >>> lr = PolynomialLR(0.1, total_iters=4, power=2.0)
    >>> print(f"{lr(2):.3f} {lr(4):.1f}")
    0.025 0.0
    """
    total_iters = steps("total_iters", total_iters, minimum=0)

    def factor(n):
        return remaining(n, total_iters) ** power

    attach = multiplies(
        lr,
        _ratio(factor) if total_iters else lambda start, end: as_float(1.0),
        first=IDENTITY,
        restarts_at=None if total_iters else _NO_RESTART,
    )
    return attachable("PolynomialLR", lr, attach, last_epoch, updates_per_step)


def _ratio(factor):
    """Returns the product of the ratios of successive factors; it is 1 once the factor is 0."""

    def product(start, end):
        before = factor(jnp.asarray(start))
        return jnp.where(
            before == 0, 1.0, factor(jnp.asarray(end)) / jnp.where(before == 0, 1.0, before)
        )

    return product
