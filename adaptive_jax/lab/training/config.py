"""Immutable descriptions of an optimizer, a member and a run."""

import ast
import dataclasses
import functools
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import optax

from adaptive_jax import registry
from adaptive_jax.lab.training import identity
from adaptive_jax.lab.workloads import registry as workload_registry
from adaptive_jax.lab.workloads.workload import Workload
from adaptive_jax.typing import Schedule
from adaptive_jax.validation import near_misses, steps

AnyOptimizer = str | registry.Optimizer | Callable[..., optax.GradientTransformation]
"""A name of an optimizer, its description, or a factory that takes a `learning_rate`."""

SCHEDULES: Mapping[str, Callable[[int], Schedule]] = {
    "constant": lambda total: lambda count: jnp.ones(()),
    "cosine": lambda total: optax.cosine_decay_schedule(1.0, total),
    "linear": lambda total: optax.linear_schedule(1.0, 0.0, total),
}
"""Schedules of the learning rate: name -> function of the total number of steps -> schedule.

A schedule is a factor of the learning rate. "constant" is 1, "cosine" and "linear" fall from 1
to 0."""

LARGEST_COUNT = 1_000_000
"""The largest number of epochs, seeds, trials and the like; more is taken for a typing error."""

NONFINITE = ("stop", "skip", "restore")
"""The policies for losses and gradients that are not finite.

`stop` ends the run after the epoch. `skip` skips the update of such a step, and keeps parameters,
statistics and optimizer state as they were. `restore` continues from the last checkpoint with the
next epoch's order of the data, and ends the run after three such epochs in a row."""


@dataclasses.dataclass(frozen=True, eq=False)
class OptimizerSpec:
    """An optimizer with the hyperparameters that are set; the others have their defaults.

    Two specs are equal if their labels and their entries in the registry are equal.

    Attributes:
      name: The name of the optimizer. An `Optimizer` may be passed, and is replaced by its name.
      hyperparameters: Name -> value, any value that the factory takes. Numbers, strings, None,
        and lists, tuples and dicts of these can be read back from the label.
      ranges: Name -> (low, high), the range to search on a log scale. It adds to the registered
        ranges or replaces them. If both ends are between 1/2 and 1, the scale is that of
        1 - value.

    Raises:
      ValueError: The optimizer or a hyperparameter is unknown (the message suggests similar
        names), or a value is out of range.

    >>> OptimizerSpec.parse("sgd:momentum=0.9,nesterov=true")
    OptimizerSpec(name='sgd', hyperparameters={'momentum': 0.9, 'nesterov': True}, ranges={})
    >>> OptimizerSpec.parse("adam:learning_rate=1e-4..1e-2,b1=0.8..0.99").ranges
    {'learning_rate': (0.0001, 0.01), 'b1': (0.8, 0.99)}
    >>> OptimizerSpec.parse("adam:beta1=0.9")
    Traceback (most recent call last):
      ...
    ValueError: adam has no hyperparameter 'beta1': did you mean 'b1'?
    """

    name: str | registry.Optimizer
    hyperparameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    entry: registry.Optimizer = dataclasses.field(init=False, repr=False)
    label: str = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        entry = self.name if isinstance(self.name, registry.Optimizer) else registry.get(self.name)
        object.__setattr__(self, "entry", entry)
        object.__setattr__(self, "name", entry.name)
        for name in (*self.hyperparameters, *self.ranges):
            if name not in entry.hyperparameters:
                near = near_misses(name, entry.hyperparameters)
                raise ValueError(f"{self.name} has no hyperparameter {name!r}: {near}")
        for name, (low, high) in self.ranges.items():
            if not 0 < low < high < math.inf:
                raise ValueError(
                    f"{self.name}: the range of {name} must be low..high with 0 < low < high, "
                    f"both finite, got {low!r}..{high!r}"
                )
        object.__setattr__(self, "label", self._label())
        for end in (0, 1):
            try:
                self.build(**{name: ends[end] for name, ends in self.search.items()})
            except (TypeError, ValueError, OverflowError) as error:
                raise ValueError(f"{self.name}: {error}") from error

    @classmethod
    def parse(cls, text: str) -> "OptimizerSpec":
        """Parses a spec's `label`: `name` or `name:key=value,key=low..high`."""
        name, _, settings = text.partition(":")
        settings = parse_settings(filter(None, split_settings(settings)))
        ranges = {k: (v.low, v.high) for k, v in settings.items() if isinstance(v, Range)}
        return cls(name, {k: v for k, v in settings.items() if k not in ranges}, ranges)

    @classmethod
    def of(cls, optimizer: "OptimizerSpec | AnyOptimizer") -> "OptimizerSpec":
        """Returns the spec of an optimizer's name, description or factory.

        A spec is returned unchanged.

        >>> OptimizerSpec.of("adam") == OptimizerSpec.of(registry.get("adam"))
        True
        >>> OptimizerSpec.of(functools.partial(optax.adam, b1=0.8)).label
        'optax.adam:b1=0.8'
        """
        if isinstance(optimizer, OptimizerSpec):
            return optimizer
        if isinstance(optimizer, str):
            return cls.parse(optimizer)
        if isinstance(optimizer, functools.partial) and not optimizer.args:
            inner = cls.of(optimizer.func)
            return cls(inner.entry, {**inner.hyperparameters, **optimizer.keywords})
        described = isinstance(optimizer, registry.Optimizer)
        if not (described or callable(optimizer)):
            raise ValueError(
                "an optimizer must be a name, such as 'adam:b1=0.8', or a factory, such as "
                f"optax.adam; got {optimizer!r}"
            )
        return cls(optimizer if described else registry.of(optimizer))

    @property
    def defaults(self) -> dict[str, Any]:
        """The default values of those hyperparameters that have one."""
        return self.entry.defaults

    @property
    def search(self) -> dict[str, tuple[float, float]]:
        """The ranges of the hyperparameters to tune, by name."""
        ranges = {**self.entry.search, **self.ranges}
        return {k: v for k, v in ranges.items() if k not in self.hyperparameters}

    @property
    def given(self) -> dict[str, Any]:
        """The values of the hyperparameters: the defaults, and those set in their place."""
        return {**self.defaults, **self.hyperparameters}

    @property
    def missing(self) -> list[str]:
        """The required hyperparameters that are not set."""
        return [name for name in self.entry.required if name not in self.hyperparameters]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OptimizerSpec):
            return NotImplemented
        return self.label == other.label and self.entry == other.entry

    def __hash__(self) -> int:
        return hash(self.label)

    def _label(self):
        settings = {k: identity.text(v) for k, v in self.hyperparameters.items()}
        settings |= {k: f"{low!r}..{high!r}" for k, (low, high) in self.ranges.items()}
        pairs = ",".join(f"{key}={value}" for key, value in settings.items())
        return f"{self.entry.name}:{pairs}" if pairs else self.entry.name

    def build(self, **changes: Any) -> optax.GradientTransformation:
        """Returns the optimizer with other values, which may be traced, of hyperparameters."""
        return self.entry.factory(**{**self.hyperparameters, **changes})


class Range(NamedTuple):
    """The range to search for a hyperparameter."""

    low: float
    high: float


def split_settings(text: str) -> list[str]:
    """Splits the settings in a label at the commas outside of brackets and quotes.

    >>> split_settings("betas=(0.9, 0.99),adjust='a,b',eps=1e-08")
    ['betas=(0.9, 0.99)', "adjust='a,b'", 'eps=1e-08']
    """
    parts, depth, quote, escaped = [""], 0, "", False
    for c in text:
        if quote:
            quote = "" if c == quote and not escaped else quote
            escaped = c == "\\" and not escaped
        else:
            quote = c if c in "'\"" else ""
            depth += (c in "([{") - (c in ")]}")
        if c == "," and not quote and depth <= 0:
            parts.append("")
        else:
            parts[-1] += c
    return parts


def parse_settings(pairs: Iterable[str]) -> dict[str, Any]:
    """Parses strings of the form `key=value`.

    A value is a number, `true`, `false`, `none`, a range `low..high`, a quoted string, or a
    Python literal of a list, tuple or dict of these.

    >>> parse_settings(["learning_rate=1e-3", "nesterov=true", "betas=(0.9, 0.99)"])
    {'learning_rate': 0.001, 'nesterov': True, 'betas': (0.9, 0.99)}
    """
    settings = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not (key and equals):
            raise ValueError(f"a setting is written key=value, such as b1=0.9; got {pair!r}")
        if key in settings:
            raise ValueError(f"{key} is set twice")
        settings[key] = _setting(key, text)
    return settings


def _setting(key, text):
    low, dots, high = text.partition("..")
    ends = _value(low), _value(high)
    if dots and all(type(end) in (int, float) for end in ends):
        return Range(float(ends[0]), float(ends[1]))
    value = _value(text)
    if value is not _INVALID:
        return value
    if re.fullmatch(r"[\w.]+#[0-9a-f]{8}", text):
        raise ValueError(
            f"{key} was given as {text.partition('#')[0]}, an object that text cannot hold: "
            "pass the optimizers again in Python, to CompareConfig.from_json(text, "
            "optimizers=...) or compare"
        )
    raise ValueError(f"{key} must be a number, true or false, or low..high; got {text!r}")


_INVALID = object()
_WORDS = {"true": "True", "false": "False", "none": "None", "inf": "1e999", "-inf": "-1e999"}


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(_WORDS.get(text.lower(), text))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return _INVALID


class Member(NamedTuple):
    """One run of a population: an optimizer, a seed, and values of some hyperparameters.

    The values here are traced, so members that differ in them share a compiled program. Those in
    the optimizer's spec are constants of the program.

    Attributes:
      optimizer: The optimizer's spec.
      seed: The seed of the initial parameters and of the order of the examples.
      hyperparameters: Name -> value. Default: none.
      phase: The purpose of the run, see `RunRecord`. Default "train".

    >>> Member(OptimizerSpec("adam"), seed=0, hyperparameters={"learning_rate": 0.01}).phase
    'train'
    """

    optimizer: OptimizerSpec
    seed: int
    hyperparameters: Mapping[str, float] = {}
    phase: str = "train"


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """The configuration of one training run.

    Attributes:
      workload: A workload, or the name of a registered one.
      optimizer: An `OptimizerSpec`, or a string such as `"adam"` or `"sgd:momentum=0.9"`.
      epochs, batch_size, schedule: Default: the workload's own.
      seed: The seed of the initial parameters and of the order of the examples. Default 0.
      data_dir: A folder with the data, or a text file, for workloads that read one. Default:
        None, which finds or downloads the data.
      on_nonfinite: The policy for losses that are not finite, see `NONFINITE`. Default: None,
        which continues; the record then says that the run diverged.

    Raises:
      ValueError: A name is unknown (the message suggests similar names), or a value is out of
        range.

    >>> config = RunConfig("noisy_quadratic", "sgd:momentum=0.9", seed=1)
    >>> config.batch_size, config.epochs, config.schedule
    (8, 1, 'constant')
    """

    workload: Workload | str
    optimizer: OptimizerSpec | str
    epochs: int | None = None
    seed: int = 0
    batch_size: int | None = None
    schedule: str | None = None
    data_dir: str | None = None
    on_nonfinite: str | None = None

    def __post_init__(self) -> None:
        def put(name, value):
            object.__setattr__(self, name, value)

        workload = workload_registry.get(self.workload)
        put("workload", workload)
        put("optimizer", spec := OptimizerSpec.of(self.optimizer))
        if missing := spec.missing:
            raise ValueError(
                f"{spec.label} has no default {missing[0]}: give it one, such as "
                f"{spec.name}:{missing[0]}=0.01"
            )
        for name in ("epochs", "batch_size"):
            given = getattr(self, name)
            value = getattr(workload, name) if given is None else given
            put(name, steps(name, value, maximum=LARGEST_COUNT))
        put("seed", check_seed(self.seed))
        put("data_dir", check_path("data_dir", self.data_dir))
        schedule = workload.schedule if self.schedule is None else self.schedule
        check_schedule(schedule)
        put("schedule", schedule)
        check_nonfinite(self.on_nonfinite)


def check_seed(seed: int) -> int:
    """Returns the seed as an int, or raises a ValueError if JAX or NumPy cannot take it."""
    return steps("seed", seed, minimum=0, maximum=np.iinfo(np.int32).max)


def check_path(name: str, path: str | os.PathLike[str] | None) -> str | None:
    """Returns a path as a string, None as None, or raises a ValueError for anything else.

    >>> check_path("data_dir", "")
    Traceback (most recent call last):
      ...
    ValueError: data_dir must be a path, got ''
    """
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if text is not None and (not isinstance(text, str) or not text or "\0" in text):
        raise ValueError(f"{name} must be a path, got {path!r}")
    return text


def check_schedule(name: str) -> None:
    """Raises a ValueError if there is no schedule of that name."""
    if not isinstance(name, str) or name not in SCHEDULES:
        raise ValueError(f"no schedule {name!r}: {near_misses(str(name), SCHEDULES)}")


def check_nonfinite(policy: str | None) -> None:
    """Raises a ValueError if there is no policy of that name."""
    if policy is not None and policy not in NONFINITE:
        near = near_misses(str(policy), NONFINITE)
        raise ValueError(f"no policy {policy!r} on_nonfinite: {near}")
