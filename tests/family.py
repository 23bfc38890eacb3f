"""The types of the rows in `tests/families`, and loops in NumPy."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import adaptive_jax as aj

STEPS = 60
RATE = 0.01
LR = ("learning_rate",)
W_DECAYS = {"w": True, "b": False, "s": False}


@dataclasses.dataclass(frozen=True, eq=False)  # so that a case can be the key of a cache
class Case:
    """A transformation under test.

    Attributes:
      name: shown as the test's id.
      make: builds it from keyword arguments.
      hyper: those arguments; each must also work traced and as an array.
      schedulable: names in `hyper` that may also be schedules.
      extra: keyword arguments that are no numbers.
      needs_params: `update` reads the parameters.
      decays: a zero gradient does not mean a zero step.
      forgets_start: nor does it without decay, where the parameters did not start at 0.
      scale_free: steps do not grow with the gradient.
      tames_infinity: an infinite gradient rightly gives a finite step.
      by_component: complex numbers are treated by component, so their phase may change.
      joint: a leaf's update depends on the other leaves.
      numbers_only: differs from another row in numbers alone, which has the properties of structure
        tested for both.
      rounds_between: in half precision a stage hands rounded updates to one that keeps them.
      lean: float32 arrays of the state are stored in other types.
      skips: an update whose gradient is not finite is skipped, and counts of such begin anew.
    """

    name: str
    make: Callable[..., optax.GradientTransformationExtraArgs]
    hyper: Mapping[str, float] = dataclasses.field(default_factory=dict)
    schedulable: tuple[str, ...] = ()
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    needs_params: bool = False
    decays: bool = False
    forgets_start: bool = False
    scale_free: bool = False
    tames_infinity: bool = False
    by_component: bool = False
    joint: bool = False
    numbers_only: bool = False
    rounds_between: bool = False
    lean: bool = False
    skips: bool = False

    def build(self, **changes) -> optax.GradientTransformationExtraArgs:
        return self.make(**{**self.hyper, **self.extra, **changes})

    def __repr__(self):
        return self.name


class Formula(NamedTuple):
    """A transformation of ours, and the same method as a loop in NumPy."""

    name: str
    make: Callable  # -> a transformation
    method: Callable  # (params, list of gradients) -> list of parameters
    by_array: bool  # whether arrays matter; else all are put into one, which compiles faster


class Port(NamedTuple):
    """A row that equals a method of the library pytorch_optimizer, whose ports have quirks.

    Attributes:
      recipe: the name of ours.
      arguments: those of the recipe, besides the learning rate, with which it equals the port.
      chain: builds, from a learning rate, what equals the port where the recipe does not.
      differs: why the port's numbers are not its paper's, if so; ours then must differ from it.
    """

    recipe: str
    arguments: Mapping[str, Any] = MappingProxyType({})
    chain: Callable | None = None
    differs: str = ""

    def make(self, lr: float):
        if self.chain is not None:
            return self.chain(lr)
        return getattr(aj, self.recipe)(lr, **self.arguments)


def formula(name, make, method, by_array=False, **hyper):
    """The row that says: `make()` does what `method` does with these hyperparameters."""
    return Formula(name, make, functools.partial(method, **hyper), by_array)


def only_w(method, **decay):
    """The reference with decay of the array `w` alone; arrays do not see one another."""

    def masked(params, grads, **hyper):
        decayed = method(params, grads, **hyper, **decay)
        plain = method(params, grads, **hyper)
        return [{**p, "w": d["w"]} for p, d in zip(plain, decayed, strict=True)]

    return masked


def before(stage, tx):
    return lambda: aj.chain(stage(), tx())


# Schedules: functions of the number of updates already made, an int or a traced int32.


def inverse_time(start, rate):
    def schedule(count):
        return start / (1 + rate * as_float(count))

    return schedule


def ramp(start, end):
    def schedule(count):
        return start + (end - start) * as_float(count) / STEPS

    return schedule


def drop(start, count_at_drop):
    def schedule(count):
        return jnp.where(count < count_at_drop, start, 0.1 * start)

    return schedule


def as_float(count):
    return count.astype(float) if isinstance(count, jax.Array) else float(count)


# The loops: optimizers once more, in float64 NumPy, written from the papers.
#
# Every method takes the parameters (name -> array), the gradients of all updates (a list of such
# dicts) and hyperparameters, and returns the parameters after each update. Hyperparameters that
# may be schedules are functions of the number of updates already made, so that update t = 1, 2, …
# uses the value at t - 1. Two keywords are common to all methods:
#
#   clip: a function from gradients to gradients, applied first.
#   l2: coupled weight decay, l2 · p, added to the gradient after that.


def value_at(hyper, t):
    return float(hyper(t - 1)) if callable(hyper) else hyper


def descend(params, grads, step, clip=None, l2=0.0):
    """Applies `p = step(t, p, g, buffers)` to every array of parameters, update by update."""
    p = {name: np.array(array, np.float64) for name, array in params.items()}
    buffers = {name: {} for name in p}
    path = []
    for t, gradients in enumerate(grads, start=1):
        g = {name: np.array(array, np.float64) for name, array in gradients.items()}
        if clip is not None:
            g = clip(g)
        for name in p:
            total = g[name] + value_at(l2, t) * p[name]
            p[name] = step(t, p[name], total, buffers[name])
        path.append(dict(p))
    return path


def ratio(above, below):
    """above / below, where 0 / 0 is 0: a coordinate without any gradient does not move."""
    return np.divide(above, below, out=np.zeros_like(above), where=below != 0)
