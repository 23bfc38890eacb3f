"""The schedulers that multiply the rate by something, and `LambdaLR`, which says by what."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from adaptive_jax import schedules
from adaptive_jax.presets.torch.lr_scheduler.scheduler import (
    Scheduler,
    multiplying,
    placed,
    scheduler,
    traceable,
)
from adaptive_jax.schedules.pieces import as_float, geometric, linear
from adaptive_jax.typing import Scalar, Schedule
from adaptive_jax.validation import steps

_BLOCK = 256  # factors that MultiplicativeLR multiplies at once


@scheduler
def LambdaLR(
    lr: Scalar, lr_lambda: Schedule, last_epoch: int = -1, *, updates_per_step: int = 1
) -> Scheduler:
    """`lr · lr_lambda(epoch)`.

    Args:
      lr_lambda: gets the epoch as a JAX integer: write `jnp.where` for `if`, and `jnp.sqrt` for
        `math.sqrt`.

    >>> lr = LambdaLR(0.1, lambda epoch: 0.5**epoch)
    >>> print(f"{lr(2):.3f}")
    0.025
    """
    factor = traceable("lr_lambda", lr_lambda)
    return Scheduler("LambdaLR", lambda n: lr * factor(n), **placed(last_epoch, updates_per_step))


@scheduler
def MultiplicativeLR(
    lr: Scalar, lr_lambda: Schedule, last_epoch: int = -1, *, updates_per_step: int = 1
) -> Scheduler:
    """`lr · lr_lambda(1) · … · lr_lambda(epoch)`.

    The product is computed anew at every update, which takes the longer the more epochs there
    are; so set `updates_per_step`, or give `LambdaLR` the product if there is a formula for it.

    Args:
      lr_lambda: as in `LambdaLR`.

    >>> lr = MultiplicativeLR(0.1, lambda epoch: 1 / epoch)
    >>> print(f"{lr(3):.4f}")  # 0.1 / (1 · 2 · 3)
    0.0167
    """

    ratios = jax.vmap(traceable("lr_lambda", lr_lambda))

    def factor(n):
        def block(i, product):
            epochs = i * _BLOCK + jnp.arange(1, _BLOCK + 1, dtype=n.dtype)
            return product * jnp.prod(jnp.where(epochs <= n, ratios(epochs), 1))

        return jax.lax.fori_loop(0, (n + _BLOCK - 1) // _BLOCK, block, as_float(1.0))

    return multiplying("MultiplicativeLR", lr, factor, last_epoch, updates_per_step)


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
    return multiplying(
        "StepLR",
        lr,
        lambda n: geometric(gamma, as_float(n // step_size)),
        last_epoch,
        updates_per_step,
    )


@scheduler
def MultiStepLR(
    lr: Scalar,
    milestones: Sequence[int],
    gamma: Scalar = 0.1,
    last_epoch: int = -1,
    *,
    updates_per_step: int = 1,
) -> Scheduler:
    """`lr · gamma^(milestones up to the epoch)`; one that is named twice counts twice.

    >>> lr = MultiStepLR(0.1, milestones=[30, 80], gamma=0.5)
    >>> print(f"{lr(29):.1f} {lr(30):.2f} {lr(80):.3f}")
    0.1 0.05 0.025
    """
    milestones = [steps(f"milestones[{i}]", m, minimum=0) for i, m in enumerate(milestones)]

    def factor(n):
        passed = sum((as_float(n >= milestone) for milestone in milestones), as_float(0.0))
        return geometric(gamma, passed)

    return multiplying("MultiStepLR", lr, factor, last_epoch, updates_per_step)


@scheduler
def ConstantLR(
    lr: Scalar,
    factor: Scalar = 1.0 / 3,
    total_iters: int = 5,
    last_epoch: int = -1,
    *,
    updates_per_step: int = 1,
) -> Scheduler:
    """`lr · factor` before epoch `total_iters`, `lr` from there on.

    >>> lr = ConstantLR(0.1, factor=0.5, total_iters=4)
    >>> print(f"{lr(3):.2f} {lr(4):.1f}")
    0.05 0.1
    """
    total_iters = steps("total_iters", total_iters)
    return multiplying(
        "ConstantLR",
        lr,
        lambda n: jnp.where(n < total_iters, as_float(factor), as_float(1.0)),
        last_epoch,
        updates_per_step,
    )


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
    """`lr` times a factor that goes linearly from one value to another in `total_iters` epochs.

    Args:
      start_factor, end_factor: these values.

    >>> lr = LinearLR(0.1, start_factor=0.5, total_iters=4)
    >>> print(f"{lr(0):.2f} {lr(2):.3f} {lr(4):.1f}")
    0.05 0.075 0.1
    """
    factor = linear(start_factor, end_factor, steps("total_iters", total_iters))
    return multiplying("LinearLR", lr, factor, last_epoch, updates_per_step)


@scheduler
def ExponentialLR(
    lr: Scalar, gamma: Scalar, last_epoch: int = -1, *, updates_per_step: int = 1
) -> Scheduler:
    """`lr · gamma^epoch`.

    >>> lr = ExponentialLR(0.1, gamma=0.5, updates_per_step=10)
    >>> print(f"{lr(9):.1f} {lr(10):.2f}")
    0.1 0.05
    """
    return multiplying(
        "ExponentialLR", lr, lambda n: geometric(gamma, as_float(n)), last_epoch, updates_per_step
    )


@scheduler
def PolynomialLR(
    lr: Scalar,
    total_iters: int = 5,
    power: Scalar = 1.0,
    last_epoch: int = -1,
    *,
    updates_per_step: int = 1,
) -> Scheduler:
    """`lr · (1 - epoch / total_iters)^power`, then 0: `schedules.polynomial_decay`.

    >>> lr = PolynomialLR(0.1, total_iters=4, power=2.0)
    >>> print(f"{lr(2):.3f} {lr(4):.1f}")
    0.025 0.0
    """
    factor = schedules.polynomial_decay(1.0, steps("total_iters", total_iters), 0.0, power)
    return multiplying("PolynomialLR", lr, factor, last_epoch, updates_per_step)
