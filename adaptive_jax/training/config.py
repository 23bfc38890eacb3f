"""What to run, as frozen data: an optimizer with its settings, and a run of it."""

import ast
import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax

from adaptive_jax.optimizers import registry
from adaptive_jax.validation import near_misses, steps
from adaptive_jax.workloads import registry as workload_registry
from adaptive_jax.workloads.workload import Workload

SCHEDULES = {
    "constant": lambda total: lambda count: jnp.ones(()),
    "cosine": lambda total: optax.cosine_decay_schedule(1.0, total),
    "linear": lambda total: optax.linear_schedule(1.0, 0.0, total),
}
"""Shape of the learning rate over a run: name -> total steps -> schedule from 1 downwards."""


@dataclasses.dataclass(frozen=True)
class OptimizerSpec:
    """A registered optimizer and the hyperparameters that are given, the others at defaults.

    Raises:
      ValueError: the optimizer or a hyperparameter is unknown (near misses are named), or a
        value is out of range.

    >>> OptimizerSpec.parse("sgd:momentum=0.9,nesterov=true")
    OptimizerSpec(name='sgd', hyperparameters={'momentum': 0.9, 'nesterov': True})
    >>> OptimizerSpec.parse("adam:beta1=0.9")
    Traceback (most recent call last):
      ...
    ValueError: adam has no hyperparameter 'beta1': did you mean 'b1'?
    """

    name: str
    hyperparameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        known = self.defaults
        for name in self.hyperparameters:
            if name not in known:
                raise ValueError(
                    f"{self.name} has no hyperparameter {name!r}: {near_misses(name, known)}"
                )
        try:
            self.build()
        except (TypeError, ValueError) as error:
            raise ValueError(f"{self.name}: {error}") from error

    @classmethod
    def parse(cls, text: str) -> "OptimizerSpec":
        """Reads `name` or `name:key=value,key=value`."""
        name, _, settings = text.partition(":")
        pairs = [pair for pair in settings.split(",") if pair]
        return cls(name, parse_settings(pairs))

    @property
    def defaults(self) -> dict[str, Any]:
        """All hyperparameters of the optimizer with their defaults."""
        return registry.get(self.name).defaults

    def __hash__(self):
        return hash(self.label)

    @property
    def label(self) -> str:
        """The text that `parse` reads."""
        settings = ",".join(f"{key}={_format(v)}" for key, v in self.hyperparameters.items())
        return f"{self.name}:{settings}" if settings else self.name

    def build(self, **changes) -> optax.GradientTransformationExtraArgs:
        """The optimizer, with `changes` (which may be traced) to its hyperparameters."""
        return registry.get(self.name).factory(**{**self.hyperparameters, **changes})


def parse_settings(pairs) -> dict[str, Any]:
    """Reads `key=value` texts; a value is a number, `true` or `false`.

    >>> parse_settings(["learning_rate=1e-3", "nesterov=true"])
    {'learning_rate': 0.001, 'nesterov': True}
    """
    settings = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not (key and equals):
            raise ValueError(f"a setting is written key=value, such as b1=0.9; got {pair!r}")
        if key in settings:
            raise ValueError(f"{key} is set twice")
        try:
            value = ast.literal_eval({"true": "True", "false": "False"}.get(text.lower(), text))
        except (ValueError, SyntaxError):
            value = None
        if not isinstance(value, (int, float)):
            raise ValueError(f"{key} must be a number, true or false; got {text!r}")
        settings[key] = value
    return settings


def _format(value) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """One training run.

    Attributes:
      workload: a workload, or the name of a registered one.
      optimizer: an OptimizerSpec, or text such as `"adam"` or `"sgd:momentum=0.9"`.
      epochs, batch_size, schedule: None means the workload's own.
      seed: of the initial parameters and the order of the examples.
      data_dir: a folder with the data, or a text file, for workloads that read one.

    Raises:
      ValueError: a name is unknown or a value out of range.
    """

    workload: Workload | str
    optimizer: OptimizerSpec | str
    epochs: int | None = None
    seed: int = 0
    batch_size: int | None = None
    schedule: str | None = None
    data_dir: str | None = None

    def __post_init__(self):
        settle(self, ("epochs", "batch_size"))
        if isinstance(self.optimizer, str):
            object.__setattr__(self, "optimizer", OptimizerSpec.parse(self.optimizer))


def settle(config, whole: tuple[str, ...]) -> None:
    """Completes a frozen config that has a workload, a schedule and a seed, and checks it.

    A workload's name becomes the workload. What is None, of the schedule and the fields named in
    `whole`, becomes the workload's own, and those fields must be whole numbers of at least 1.

    Raises:
      ValueError: a name is unknown (near misses are named), or a value out of range.
    """

    def put(name, value):
        object.__setattr__(config, name, value)

    if isinstance(config.workload, str):
        put("workload", workload_registry.get(config.workload))
    for name in (*whole, "schedule"):
        if getattr(config, name) is None:
            put(name, getattr(config.workload, name))
    for name in whole:
        put(name, steps(name, getattr(config, name)))
    put("seed", steps("seed", config.seed, minimum=0))
    if config.seed > np.iinfo(np.int32).max:  # the largest that JAX and NumPy both take
        raise ValueError(f"seed must be at most {np.iinfo(np.int32).max}, got {config.seed}")
    if config.schedule not in SCHEDULES:
        raise ValueError(
            f"no schedule {config.schedule!r}: {near_misses(config.schedule, SCHEDULES)}"
        )
