"""Paths of optimizers on a test function, each at its best learning rate."""

import dataclasses
import math
from collections.abc import Iterable, Sequence

import jax
import numpy as np

from adaptive_jax.diagnostics import Surface, trajectory
from adaptive_jax.lab.training.config import OptimizerSpec
from adaptive_jax.lab.training.settings import Choice

CLASSICS = ("sgd", "sgd:momentum=0.9", "adagrad", "rmsprop", "sign_sgd", "adam")
"""Six classic optimizers, the default of `adaptive-jax surfaces`."""


@dataclasses.dataclass(frozen=True)
class Trajectory:
    """The path of an optimizer on a surface, from `tune_on_surface` or `vary_on_surface`.

    Attributes:
      optimizer: with the settings that were given.
      learning_rate: given or tuned.
      points: before every update and after the last, (steps + 1, 2).
      values: of the surface there, (steps + 1,).
    """

    optimizer: OptimizerSpec
    learning_rate: float
    points: np.ndarray
    values: np.ndarray

    @property
    def highest_at_end(self) -> float:
        """The highest value in the last tenth of the path, NaN if it diverges."""
        return float(_highest_at_end(self.values))

    def steps_to(self, share: float) -> int | None:
        """Returns the updates until values stay at most `share` of the first; None if they do not.

        >>> values = np.array([8.0, 0.5, 2.0, 1.0, 0.5])
        >>> path = Trajectory(OptimizerSpec("sgd"), 0.1, np.zeros((5, 2)), values)
        >>> path.steps_to(1 / 8), path.steps_to(1 / 100)
        (3, None)
        """
        after_last_above = int(np.flatnonzero(~(self.values <= share * self.values[0]))[-1]) + 1
        return after_last_above if after_last_above < len(self.values) else None


def _highest_at_end(values):
    return np.max(values[..., -math.ceil(values.shape[-1] / 10) :], -1)


def tune_on_surface(
    optimizers: Iterable[OptimizerSpec | str], surface: Surface, steps: int | None = None
) -> list[Trajectory]:
    """Returns the path of each optimizer at the learning rate with which it ends lowest.

    Rates are tried ten a decade, in the optimizer's registered range and a decade on either side
    of it, all at once in one program. Each is judged by the highest value in the last tenth of
    its path, because an oscillating path may have one low value by chance. The smallest of equal
    rates wins; a rate that diverges wins only if all diverge. An optimizer whose learning rate is
    given runs at that rate.

    Args:
      optimizers: specs, or texts such as `"sgd:momentum=0.9"`.
      surface: the test function, see `get_surface`.
      steps: number of updates. Default: the surface's.

    Raises:
      ValueError: an optimizer is unknown, or `steps` is not a whole number of at least 1.

    >>> from adaptive_jax.diagnostics import get_surface
    >>> for path in tune_on_surface(["sgd", "sgd:learning_rate=0.01"], get_surface("ravine"), 20):
    ...     print(path.learning_rate, path.values[-1].round(3))
    0.0316 2.215
    0.01 5.352
    """
    specs = [OptimizerSpec.parse(o) if isinstance(o, str) else o for o in optimizers]
    return [_tuned(spec, surface, surface.steps if steps is None else steps) for spec in specs]


def _tuned(spec, surface, steps):
    rates = rates_to_try(spec)

    @jax.jit
    @jax.vmap
    def run(rate):
        tx = spec.build(learning_rate=rate)
        return trajectory(tx, surface.function, surface.start, steps)

    points, values = jax.device_get(run(np.asarray(rates, np.float32)))
    best = np.argmin(np.nan_to_num(_highest_at_end(values), nan=np.inf))
    return Trajectory(spec, rates[best], points[best], values[best])


def vary_on_surface(
    optimizer: OptimizerSpec | str,
    surface: Surface,
    steps: int | None = None,
    **settings: Sequence[float],
) -> list[Trajectory]:
    """Returns the paths of one optimizer with several settings, all in one program.

    Args:
      optimizer: a spec, or a text such as `"sgd:momentum=0.9"`.
      surface: the test function, see `get_surface`.
      steps: number of updates. Default: the surface's.
      **settings: the values of each varied hyperparameter, one for each path.

    Raises:
      ValueError: the optimizer or a hyperparameter is unknown, a value is out of range, or
        settings have different lengths.

    >>> from adaptive_jax.diagnostics import get_surface
    >>> rates = [0.02, 0.05]
    >>> for path in vary_on_surface("sgd", get_surface("ravine"), 20, learning_rate=rates):
    ...     print(path.optimizer.label, path.values[-1] < path.values[0])
    sgd:learning_rate=0.02 True
    sgd:learning_rate=0.05 False
    """
    base = OptimizerSpec.parse(optimizer) if isinstance(optimizer, str) else optimizer
    specs = [
        OptimizerSpec(base.entry, {**base.hyperparameters, **dict(zip(settings, row, strict=True))})
        for row in zip(*settings.values(), strict=True)
    ]

    steps = surface.steps if steps is None else steps

    @jax.jit
    @jax.vmap
    def run(setting):
        return trajectory(base.build(**setting), surface.function, surface.start, steps)

    arrays = {name: np.asarray(values, np.float32) for name, values in settings.items()}
    points, values = jax.device_get(run(arrays))
    return [
        Trajectory(spec, {**spec.defaults, **spec.hyperparameters}["learning_rate"], *path)
        for spec, *path in zip(specs, points, values, strict=True)
    ]


def rates_to_try(spec: OptimizerSpec) -> list[float]:
    """Returns the rates to try for an optimizer: the given one, or else ten a decade.

    >>> rates_to_try(OptimizerSpec("adam"))[::10]
    [1e-05, 0.0001, 0.001, 0.01, 0.1, 1.0]
    """
    if "learning_rate" in spec.hyperparameters:
        return [float(spec.hyperparameters["learning_rate"])]
    searched = spec.search["learning_rate"]
    if isinstance(searched, Choice):
        return [float(rate) for rate in searched]
    low, high = math.log10(searched.low), math.log10(searched.high)
    count = round(10 * (high - low + 2)) + 1
    return [float(f"{rate:.3g}") for rate in np.logspace(low - 1, high + 1, count)]
