"""The common type of schedulers: functions of the number of updates that can be composed."""

import dataclasses
from collections.abc import Callable
from typing import Any, TypedDict, TypeVar

import jax
import jax.numpy as jnp

from adaptive_jax.presets.arguments import verbatim
from adaptive_jax.presets.torch.lr_scheduler.attached import (
    IDENTITY,
    LAST_COUNT,
    Affine,
    Attached,
    Group,
    Single,
    base_rate,
    start_at,
    where,
)
from adaptive_jax.schedules.pieces import as_float, geometric
from adaptive_jax.typing import Scalar, Schedule
from adaptive_jax.validation import steps


@dataclasses.dataclass(frozen=True)
class Scheduler:
    """A schedule that `SequentialLR` and `ChainedScheduler` can compose.

    Attributes:
      kind: its name in torch.
      rate: a function from the number of calls of torch's `step()` to the learning rate.
      lr: the base rate, if the scheduler has one.
      attach: the effect of torch's constructor on the optimizer; by default that of a `LambdaLR`.
      momentum: the schedule of the momentum, if the scheduler cycles it.
      start: the number of calls of `step()` before the first update.
      updates_per_step: the number of updates per call of `step()`.

    >>> lr = Scheduler("halving", lambda n: 0.5**n, updates_per_step=10)
    >>> print(f"{lr(9):.1f} {lr(20):.2f}")
    1.0 0.25
    """

    kind: str
    rate: Schedule
    lr: Scalar | None = None
    attach: Callable[[Group], Attached] | None = None
    momentum: Schedule | None = None
    start: int = 0
    updates_per_step: int = 1

    def __call__(self, count: Any) -> jax.Array:
        """Returns the learning rate after `count` updates."""
        made = quotient(jnp.asarray(count), self.updates_per_step)
        return self.rate(jnp.minimum(made, LAST_COUNT - self.start) + self.start)

    def attached(self, group: Group) -> Attached:
        """Returns this scheduler, constructed for the optimizer with that parameter group."""
        return self.attach(group) if self.attach else sets(lambda base, n: self.rate(n))(group)


Made = TypeVar("Made", bound=Attached)

FIRST = "torch's schedulers take the optimizer first; here pass its learning rate, a number"
HINTS = {"optimizer": "pass the learning rate as lr here, and the scheduler as lr to the optimizer"}
PER_GROUP = (
    "lr_lambda",
    "swa_lr",
    "base_lr",
    "max_lr",
    "base_momentum",
    "max_momentum",
    "min_lr",
)

scheduler = verbatim(
    "presets.torch.lr_scheduler",
    {
        "lr": "[0, inf)",
        "base_lr": "[0, inf)",
        "max_lr": "[0, inf)",
        "swa_lr": "[0, inf)",
        "eta_min": "[0, inf)",
        "gamma": "[0, inf)",
        "factor": "(0, 1]",
        "start_factor": "(0, 1]",
        "end_factor": "[0, 1]",
        "power": "[0, inf)",
        "base_momentum": "[0, 1]",
        "max_momentum": "[0, 1]",
        "pct_start": "[0, 1]",
        "div_factor": "(0, inf)",
        "final_div_factor": "(0, inf)",
    },
    hints=HINTS,
    per_group=PER_GROUP,
    first=FIRST,
)


class Place(TypedDict):
    """The fields of `Scheduler` for its starting point and its speed."""

    start: int
    updates_per_step: int


def placed(last_epoch: int, updates_per_step: int) -> Place:
    """Checks the arguments that all schedulers have, and returns them as fields."""
    return {
        "start": min(steps("last_epoch", last_epoch, minimum=-1) + 1, LAST_COUNT),
        "updates_per_step": steps("updates_per_step", updates_per_step),
    }


def attachable(
    kind: str,
    lr: Scalar | None,
    attach: Callable[[Group], Attached],
    last_epoch: int,
    updates_per_step: int,
    momentum: Schedule | None = None,
) -> Scheduler:
    """Returns a scheduler with torch's rate after any number of calls of `step()`."""

    def rate(n):
        group, alone = constructed(lr, attach)
        start = jnp.full_like(n, alone.position)
        return as_float(alone.between(start, start + n)(group["lr"]))

    return Scheduler(kind, rate, lr, attach, momentum, **placed(last_epoch, updates_per_step))


def constructed(lr: Scalar | None, attach: Callable[[Group], Made]) -> tuple[Group, Made]:
    """Returns a parameter group with a learning rate, and the scheduler constructed for it."""
    group: Group = {"lr": 0.0 if lr is None else lr}
    group["given"] = group["lr"]
    return group, attach(group)


REPEATS = "repeats"
"""For `restarts_at`: a restart acts like any call at epoch 0, since torch has no formula for it."""


def multiplies(
    lr: Scalar,
    product: Callable[[Any, Any], Any],
    first: Affine | None = None,
    restarts_at: Scalar | str | None = None,
) -> Callable[[Group], Attached]:
    """Returns the constructor of a scheduler that multiplies the current rate in torch.

    Args:
      lr: the base rate.
      product: `(start, end) -> product` of the factors of all calls between them.
      first: the map of the initial step; by default it multiplies, too.
      restarts_at: the factor of the base rate after a restart, by default that of the initial
        step; or `REPEATS`, or an error text if torch cannot restart it.
    """

    def attach(group):
        base = base_rate(group, lr)
        begun = (first or Affine(product(-1, 0), 0.0)).slope
        if isinstance(restarts_at, str):
            again = None if restarts_at is REPEATS else restarts_at
        else:
            again = Affine(0.0, base * (begun if restarts_at is None else restarts_at))
        calls = Single(lambda j, n: Affine(product(j, n), 0.0), first, again, multiplies=True)
        return start_at(group, calls)

    return attach


def sets(
    value: Callable[[Scalar, Any], Any], lr: Scalar | None = None, kind: type[Single] = Single
) -> Callable[[Group], Attached]:
    """Returns the constructor of a scheduler whose rate does not depend on the current one.

    Args:
      value: `(base rate, position) -> rate`.
      lr: the base rate.
      kind: the class, which determines the effect of a restart.
    """

    def attach(group):
        base = base_rate(group, lr)

        def maps(j, n):
            return where(
                jnp.asarray(n > j), Affine(0.0, as_float(value(base, jnp.maximum(n, 0)))), IDENTITY
            )

        return start_at(group, kind(maps, sets=True))

    return attach


def power_of(gamma: Scalar, exponent: Any) -> jax.Array:
    """Returns `gamma^exponent` for a nonnegative whole exponent, also if `gamma` is 0."""
    return jnp.where(exponent == 0, 1.0, geometric(gamma, as_float(exponent)))


def quotient(n: Any, length: int) -> Any:
    """Returns `⌊n / length⌋` for a nonnegative n, also if the length exceeds int32."""
    return n // length if length <= LAST_COUNT else jnp.zeros_like(n)


def remainder(n: Any, length: int) -> Any:
    """Returns `n mod length` for a nonnegative n, also if the length exceeds int32."""
    return n % length if length <= LAST_COUNT else n


def remaining(n: Any, length: int) -> jax.Array:
    """Returns `max(1 - n / length, 0)`, also if the length exceeds int32."""
    left = length - n if length <= LAST_COUNT else float(length) - as_float(n)
    return as_float(jnp.maximum(left, 0)) / float(length)


def traceable(name: str, function: Schedule) -> Schedule:
    """Makes the user's function return a float, and adds advice to errors of tracing."""
    if not callable(function):
        raise TypeError(
            f"{name} must be a function, got {function!r}; for torch's parameter groups with one "
            "function each, use optax.partition"
        )

    def call(n):
        try:
            with jax.numpy_dtype_promotion("standard"):  # it was written for Python integers
                return as_float(function(jnp.asarray(n, jnp.result_type(int))))
        except jax.errors.JAXTypeError as error:
            error.add_note(
                f"{name} gets a JAX integer: write jnp.where for if, and jnp.sqrt for math.sqrt"
            )
            raise

    return call
