"""Immutable descriptions of an optimizer, a member and a run."""

import dataclasses
import functools
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import optax

from adaptive_jax import registry
from adaptive_jax.lab.training import identity
from adaptive_jax.lab.training.settings import (
    Choice,
    Range,
    as_range,
    check_words,
    parse_settings,
    split_settings,
)
from adaptive_jax.lab.workloads import registry as workload_registry
from adaptive_jax.lab.workloads.workload import Workload
from adaptive_jax.presets import keras, torch
from adaptive_jax.stages.masks import mask_by_ndim
from adaptive_jax.typing import Schedule
from adaptive_jax.validation import near_misses, steps

AnyOptimizer = (
    str
    | registry.Optimizer
    | Callable[..., optax.GradientTransformation]
    | optax.GradientTransformation
)
"""A name of an optimizer, its entry, a factory that takes a `learning_rate`, or what one built."""

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

    Two specs are equal if they have the same label, settings and entry in the registry.

    Attributes:
      name: The name of the optimizer. An `Optimizer` may be passed, and is replaced by its name.
      hyperparameters: Name -> value, any value that the factory takes. Numbers, strings, None,
        and lists, tuples and dicts of these can be read back from the label. The mask "ndim2" is
        `mask_by_ndim(2)`, likewise for other numbers.
      ranges: Name -> the range to search, see `as_range`: (low, high) on a log scale, a `Range`, a
        list of values, or the text of one. It adds to the registered ranges or replaces them.
      label: The name in records and tables. Default: name and settings, as `parse` reads them.
      constants: Values that tuning chose and a compiled program cannot vary, such as whole
        numbers. They are not part of the label. Default: none.

    Raises:
      ValueError: The optimizer or a hyperparameter is unknown (the message suggests similar
        names), or a value is out of range.

    >>> OptimizerSpec.parse("sgd:momentum=0.9,nesterov=true").hyperparameters
    {'momentum': 0.9, 'nesterov': True}
    >>> print(*OptimizerSpec.parse("sgd:learning_rate=1e-4..1e-2,momentum=0|0.9").search.values())
    0.0001..0.01 0.0|0.9
    >>> OptimizerSpec.parse("adam:beta1=0.9")
    Traceback (most recent call last):
      ...
    ValueError: adam has no hyperparameter 'beta1': did you mean 'b1'?
    """

    name: str | registry.Optimizer
    hyperparameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    ranges: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    label: str = ""
    constants: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    entry: registry.Optimizer = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        entry = self.name if isinstance(self.name, registry.Optimizer) else _named(self.name)
        object.__setattr__(self, "entry", entry)
        object.__setattr__(self, "name", entry.name)
        for name in (*self.hyperparameters, *self.ranges):
            if name not in entry.hyperparameters:
                raise ValueError(
                    f"{self.name} has no hyperparameter {name!r}: {_near(name, entry)}"
                )
        check_words(entry.name, self.hyperparameters, entry.defaults)
        ranges = {name: as_range(f"{self.name}: {name}", r) for name, r in self.ranges.items()}
        object.__setattr__(self, "ranges", ranges)
        check_label(self.label)
        object.__setattr__(self, "label", self.label or self.text)
        for share in (0, 1):
            try:
                tx = self.build(**{name: found.at(share) for name, found in self.search.items()})
            except (TypeError, ValueError, OverflowError) as error:
                raise ValueError(f"{self.name}: {error}") from error
            if not (hasattr(tx, "init") and hasattr(tx, "update")):
                raise ValueError(
                    f"{self.name}: the factory must return a transformation with init and update, "
                    f"as Optax's do, got {tx!r}"
                )

    @classmethod
    def parse(cls, text: str) -> "OptimizerSpec":
        """Parses a name with settings: `name` or `name:key=value,key=low..high`.

        A name is that of a recipe, "optax." or "optax.contrib." and one of Optax, "torch." or
        "keras." and a preset, or `module:name` of a factory, an optimizer or a spec of your own.

        >>> OptimizerSpec.parse("optax:adam:learning_rate=0.1,b1=0.8").hyperparameters
        {'learning_rate': 0.1, 'b1': 0.8}
        """
        name, _, settings = text.partition(":")
        if re.search(r"[<(]", name):
            raise ValueError(
                f"{name!r} was given in Python as an object that text cannot hold: pass the "
                "optimizers again, to CompareConfig.from_json(text, optimizers=...) or compare"
            )
        if "," in name:
            raise ValueError(
                f"{name!r} has a comma where a space belongs: write {' '.join(name.split(','))} on "
                "the command line, a list of names in Python"
            )
        attribute, _, rest = settings.partition(":")
        values, ranges = {}, {}
        if name not in registry.OPTIMIZERS and re.fullmatch(r"[^\W\d][\w.]*", attribute):
            own = cls.of(registry.imported(f"{name}:{attribute}"))
            entry = dataclasses.replace(own.entry, name=f"{name}:{attribute}")
            values, ranges, settings = own.hyperparameters, own.ranges, rest
        else:
            entry = _named(name)
        pairs = list(filter(None, split_settings(settings)))
        for pair in pairs:
            if pair.partition(":")[0] in registry.OPTIMIZERS:
                raise ValueError(f"{text!r} has a comma where a space belongs, before {pair!r}")
        for key, value in parse_settings(pairs).items():
            if isinstance(value, (Range, Choice)):
                ranges = {**ranges, key: value}
            else:
                values = {**values, key: value}
        return cls(entry, values, ranges)

    @classmethod
    def of(cls, optimizer: "OptimizerSpec | AnyOptimizer", label: str = "") -> "OptimizerSpec":
        """Returns the spec of an optimizer in any form.

        Args:
          optimizer: A spec, a name, an entry of the registry, a factory, a `functools.partial` of
            one, or an Optax transformation, which runs as it is.
          label: The name in records and tables. Default: the spec's own.

        >>> OptimizerSpec.of("adam") == OptimizerSpec.of(registry.get("adam"))
        True
        >>> OptimizerSpec.of(functools.partial(optax.adam, b1=0.8)).label
        'optax.adam:b1=0.8'
        >>> OptimizerSpec.of(optax.sgd(0.1)).label
        'chain(identity(), scale(step_size=-0.1))'
        """
        if label:
            return dataclasses.replace(spec := cls.of(optimizer), name=spec.entry, label=label)
        if isinstance(optimizer, OptimizerSpec):
            return optimizer
        if isinstance(optimizer, str):
            return cls.parse(optimizer)
        if isinstance(optimizer, functools.partial):
            inner = cls.of(optimizer.func)
            given = dict(zip(inner.entry.hyperparameters, optimizer.args, strict=False))
            return cls(inner.entry, {**inner.hyperparameters, **given, **optimizer.keywords})
        if isinstance(optimizer, registry.Optimizer):
            return cls(optimizer)
        if not (callable(optimizer) or isinstance(optimizer, optax.GradientTransformation)):
            raise ValueError(
                "an optimizer must be a name, such as 'adam:b1=0.8', a factory, such as "
                f"optax.adam, or a transformation, such as optax.adam(1e-3); got {optimizer!r}"
            )
        return cls(registry.of(optimizer))

    @property
    def defaults(self) -> dict[str, Any]:
        """The default values of those hyperparameters that have one."""
        return self.entry.defaults

    @property
    def search(self) -> dict[str, Range | Choice]:
        """The ranges of the hyperparameters to tune, by name, the learning rate first.

        Where the learning rate is given, nothing is tuned but what has a range in the spec.
        """
        registered = {} if "learning_rate" in self.hyperparameters else self.entry.search
        ranges = {**registered, **self.ranges}
        names = sorted(ranges, key=lambda name: (name != "learning_rate", name))
        return {k: as_range(k, ranges[k]) for k in names if k not in self.hyperparameters}

    @property
    def given(self) -> dict[str, Any]:
        """The values of the hyperparameters: the defaults, and those set in their place."""
        return {**self.defaults, **self.hyperparameters, **self.constants}

    @property
    def missing(self) -> list[str]:
        """The required hyperparameters that are not set."""
        return [name for name in self.entry.required if name not in self.hyperparameters]

    @property
    def text(self) -> str:
        """The name with its settings, which `parse` reads; the label unless another is given."""
        settings = {k: identity.text(v) for k, v in self.hyperparameters.items()}
        settings |= {k: str(searched) for k, searched in self.ranges.items()}
        pairs = ",".join(f"{key}={value}" for key, value in settings.items())
        return f"{self.entry.name}:{pairs}" if pairs else self.entry.name

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OptimizerSpec):
            return NotImplemented
        return self._key == other._key

    def __hash__(self) -> int:
        return hash(self.label)

    @property
    def _key(self):
        return self.label, self.text, self.entry, dict(self.constants)

    def holding(self, constants: Mapping[str, Any]) -> "OptimizerSpec":
        """Returns the spec with constants that tuning chose, under the same label."""
        return (
            dataclasses.replace(self, name=self.entry, constants=constants) if constants else self
        )

    def build(self, **changes: Any) -> optax.GradientTransformation:
        """Returns the optimizer with other values, which may be traced, of hyperparameters."""
        values = {**self.hyperparameters, **self.constants, **changes}
        return self.entry.factory(**{k: _mask(k, value) for k, value in values.items()})


def check_label(label: str) -> None:
    """Raises a ValueError if a label is not a string of one line."""
    if not isinstance(label, str) or (label and not label.strip()) or not label.isprintable():
        raise ValueError(f"the label of an optimizer must be text of one line, got {label!r}")


def _named(name):
    library, _, short = str(name).partition(".")
    if library in _PRESETS and short:
        known = [key for key in vars(_PRESETS[library]) if key[0].isupper()]
        if short not in known:
            raise ValueError(f"no optimizer {name!r}: {near_misses(short, known)}")
        return registry.of(getattr(_PRESETS[library], short))
    return registry.get(name)


_PRESETS = {"torch": torch, "keras": keras}


def _near(name, entry):
    known = entry.hyperparameters
    return near_misses(name, known) if known else "it runs as it was built, without settings"


def _mask(name, value):
    """Returns the mask that a text such as "ndim2" names, other values unchanged."""
    if not (isinstance(value, str) and name.endswith("mask")):
        return value
    found = re.fullmatch(r"ndim(\d)", value)
    if not found:
        raise ValueError(f"{name} must be a mask, or ndim2 for arrays of 2 axes, got {value!r}")
    return mask_by_ndim(int(found[1]))


class Member(NamedTuple):
    """One run of a population: an optimizer, a seed, and values of some hyperparameters.

    The values here are traced, so members that differ in them share a compiled program. Those in
    the optimizer's spec are constants of the program.

    Attributes:
      optimizer: The optimizer's spec.
      seed: The seed of the initial parameters and of the order of the examples.
      hyperparameters: Name -> value. Default: none.
      phase: The purpose of the run, see `RunRecord`. Default "train".
      study: The number of its study, see `CompareConfig`. Default 0.

    >>> Member(OptimizerSpec("adam"), seed=0, hyperparameters={"learning_rate": 0.01}).phase
    'train'
    """

    optimizer: OptimizerSpec
    seed: int
    hyperparameters: Mapping[str, float] = {}
    phase: str = "train"
    study: int = 0

    @property
    def varied(self) -> dict[str, Any]:
        """The values that tuning chose: traced ones, and the constants of the optimizer's spec."""
        return {**self.optimizer.constants, **self.hyperparameters}


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

        workload = workload_named(self.workload)
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


def workload_named(name: str | Workload) -> Workload:
    """Returns the workload of a name, or of `module:name`, whose name then is that text.

    Raises:
      ValueError: There is none, or the text names something else.
    """
    if not (isinstance(name, str) and ":" in name):
        return workload_registry.get(name)
    found = registry.imported(name)
    if not isinstance(found, Workload):
        raise ValueError(f"{name!r} must be a Workload, and is of type {type(found).__name__}")
    return dataclasses.replace(found, name=name)


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
