"""What every scheduler is: a function of the number of updates, and what composites ask of it."""

import dataclasses
from typing import Any, TypedDict

import jax
import jax.numpy as jnp

from adaptive_jax.presets.arguments import verbatim
from adaptive_jax.schedules.pieces import as_float
from adaptive_jax.typing import Scalar, Schedule
from adaptive_jax.validation import steps

LAST_COUNT = 2**31 - 1  # where an optimizer's int32 counter stops


@dataclasses.dataclass(frozen=True)
class Scheduler:
    """A schedule that `SequentialLR` and `ChainedScheduler` can take apart.

    Attributes:
      kind: its name in torch.
      rate: calls of torch's `step()` made -> learning rate.
      factor: the same -> rate over base rate, for those that multiply the current rate in torch.
      lr: the base rate, for those.
      momentum: the schedule of the momentum, for those that cycle it.
      half_period: steps from a cosine's top to its bottom.
      start: calls of `step()` made before the first update.
      updates_per_step: updates per call of `step()`.

    >>> lr = Scheduler("halving", lambda n: 0.5**n, updates_per_step=10)
    >>> print(f"{lr(9):.1f} {lr(20):.2f}")
    1.0 0.25
    """

    kind: str
    rate: Schedule
    factor: Schedule | None = None
    lr: Scalar | None = None
    momentum: Schedule | None = None
    half_period: int | None = None
    start: int = 0
    updates_per_step: int = 1

    def __call__(self, count: Any) -> jax.Array:
        """The learning rate after `count` updates."""
        made = jnp.asarray(count) // self.updates_per_step
        return self.rate(jnp.minimum(made, LAST_COUNT - self.start) + self.start)


FIRST = "torch's schedulers take the optimizer first; here give its learning rate, a number"
HINTS = {"optimizer": "give the optimizer's learning rate as lr, and the result to it as lr"}

scheduler = verbatim(
    "presets.torch.lr_scheduler",
    {
        "lr": "[0, inf)",
        "base_lr": "[0, inf)",
        "max_lr": "[0, inf)",
        "swa_lr": "[0, inf)",
        "eta_min": "[0, inf)",
        "gamma": "(0, inf)",
        "factor": "(0, 1]",
        "start_factor": "(0, 1]",
        "end_factor": "[0, 1]",
        "power": "(0, inf)",
        "base_momentum": "[0, 1]",
        "max_momentum": "[0, 1]",
        "pct_start": "[0, 1]",
        "div_factor": "(0, inf)",
        "final_div_factor": "(0, inf)",
    },
    hints=HINTS,
    first=FIRST,
)


class Place(TypedDict):
    """Where a scheduler starts and how fast it goes: fields of `Scheduler`."""

    start: int
    updates_per_step: int


def placed(last_epoch: int, updates_per_step: int) -> Place:
    """The checked arguments that all schedulers have."""
    return {
        "start": steps("last_epoch", last_epoch, minimum=-1) + 1,
        "updates_per_step": steps("updates_per_step", updates_per_step),
    }


def multiplying(
    kind: str, lr: Scalar, factor: Schedule, last_epoch: int, updates_per_step: int
) -> Scheduler:
    """A scheduler that in torch multiplies the current rate."""
    place = placed(last_epoch, updates_per_step)
    return Scheduler(kind, lambda n: lr * factor(n), factor, lr, **place)


def traceable(name: str, function: Schedule) -> Schedule:
    """The caller's function, as a float; errors of tracing say what to write instead."""
    if not callable(function):
        raise TypeError(
            f"{name} must be a function, got {function!r}; torch's parameter groups, with one "
            "each, are optax.partition"
        )

    def call(n):
        try:
            with jax.numpy_dtype_promotion("standard"):  # it was written for Python's integers
                return as_float(function(jnp.asarray(n, jnp.result_type(int))))
        except jax.errors.JAXTypeError as error:
            error.add_note(
                f"{name} gets a JAX integer: write jnp.where for if, jnp.sqrt for math's"
            )
            raise

    return call
