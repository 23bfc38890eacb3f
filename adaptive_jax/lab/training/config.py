"""What to run, as frozen data: an optimizer with its settings, and a run of it."""

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

from adaptive_jax.lab.training import identity
from adaptive_jax.lab.workloads import registry as workload_registry
from adaptive_jax.lab.workloads.workload import Workload
from adaptive_jax.optimizers import registry
from adaptive_jax.typing import Schedule
from adaptive_jax.validation import near_misses, steps

AnyOptimizer = str | registry.Optimizer | Callable[..., optax.GradientTransformation]
"""What names an optimizer, describes it, or builds it for a `learning_rate`."""

SCHEDULES: Mapping[str, Callable[[int], Schedule]] = {
    "constant": lambda total: lambda count: jnp.ones(()),
    "cosine": lambda total: optax.cosine_decay_schedule(1.0, total),
    "linear": lambda total: optax.linear_schedule(1.0, 0.0, total),
}
"""Shape of the learning rate over a run: name -> total steps -> schedule from 1 downwards.

The names are "constant", "cosine" and "linear"; the last two end at 0."""

LARGEST_COUNT = 1_000_000
"""Of epochs, seeds, trials and the like: a larger number is a slip of the keyboard."""

NONFINITE = ("stop", "skip", "restore")
"""What may be done where a loss or gradient is not finite: `stop` ends the run after that epoch,
`skip` makes no update in such a step, which leaves parameters, statistics and state as they are,
and `restore` trains on from the last checkpoint, with the next epoch's order of the data, but
ends the run after three such epochs in a row."""


@dataclasses.dataclass(frozen=True, eq=False)
class OptimizerSpec:
    """An optimizer and the hyperparameters that are given, the others at their defaults.

    Attributes:
      name: as `registry.get` knows it, or an `Optimizer`, whose name it becomes.
      hyperparameters: name -> value. Any value that the factory takes; numbers, texts, None, and
        lists, tuples and dicts of them can be read back from the label.
      ranges: name -> (low, high) to search on a log scale, besides the learning rate or in place
        of its registered range; both ends between 1/2 and 1 mean one of 1 - value.

    Specs are equal if their labels and entries are.

    Raises:
      ValueError: the optimizer or a hyperparameter is unknown (near misses are named), or a
        value is out of range.

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
        """Reads `name` or `name:key=value,key=low..high`, which is a spec's `label`."""
        name, _, settings = text.partition(":")
        settings = parse_settings(filter(None, split_settings(settings)))
        ranges = {k: (v.low, v.high) for k, v in settings.items() if isinstance(v, Range)}
        return cls(name, {k: v for k, v in settings.items() if k not in ranges}, ranges)

    @classmethod
    def of(cls, optimizer: "OptimizerSpec | AnyOptimizer") -> "OptimizerSpec":
        """The spec of what names, describes or builds an optimizer; a spec is itself.

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
                "an optimizer is given by its name, such as 'adam:b1=0.8', or by a factory such as "
                f"optax.adam, got {optimizer!r}"
            )
        return cls(optimizer if described else registry.of(optimizer))

    @property
    def defaults(self) -> dict[str, Any]:
        """The hyperparameters of the optimizer that have defaults, with these."""
        return self.entry.defaults

    @property
    def search(self) -> dict[str, tuple[float, float]]:
        """Hyperparameter -> range, of those that are to be tuned."""
        ranges = {**self.entry.search, **self.ranges}
        return {k: v for k, v in ranges.items() if k not in self.hyperparameters}

    @property
    def given(self) -> dict[str, Any]:
        """The hyperparameters' values: defaults, and what is given in their place."""
        return {**self.defaults, **self.hyperparameters}

    @property
    def missing(self) -> list[str]:
        """The hyperparameters that must be given and are not."""
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
        """The optimizer, with `changes` (which may be traced) to its hyperparameters."""
        return self.entry.factory(**{**self.hyperparameters, **changes})


class Range(NamedTuple):
    """Both ends of what is to be searched."""

    low: float
    high: float


def split_settings(text: str) -> list[str]:
    """The settings in a label, which are divided by commas outside of brackets and quotes.

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
    """Reads `key=value` texts.

    A value is a number, `true`, `false` or `none`, a range `low..high`, a text in quotes, or a
    list, tuple or dict of these as Python writes it.

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
    if value is not _NONE_SUCH:
        return value
    if re.fullmatch(r"[\w.]+#[0-9a-f]{8}", text):
        raise ValueError(
            f"{key} was given as {text.partition('#')[0]}, an object of Python that no text holds: "
            "give the optimizers in Python once more, to CompareConfig.from_json(text, "
            "optimizers=...) or compare"
        )
    raise ValueError(f"{key} must be a number, true or false, or low..high; got {text!r}")


_NONE_SUCH = object()
_WORDS = {"true": "True", "false": "False", "none": "None", "inf": "1e999", "-inf": "-1e999"}


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(_WORDS.get(text.lower(), text))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return _NONE_SUCH


class Member(NamedTuple):
    """One run: an optimizer, a seed, the hyperparameters that vary among its runs, and a phase.

    The varying ones are traced, so all values share a compilation; those in the optimizer's
    spec are constants of the program.

    Attributes:
      optimizer: a spec.
      seed: of the initial parameters and the order of the examples.
      hyperparameters: the varying ones, name -> value. Default: none.
      phase: what the run is for, see `RunRecord`. Default "train".

    >>> Member(OptimizerSpec("adam"), seed=0, hyperparameters={"learning_rate": 0.01}).phase
    'train'
    """

    optimizer: OptimizerSpec
    seed: int
    hyperparameters: Mapping[str, float] = {}
    phase: str = "train"


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """One training run.

    Attributes:
      workload: a workload, or the name of a registered one.
      optimizer: an OptimizerSpec, or text such as `"adam"` or `"sgd:momentum=0.9"`.
      epochs, batch_size, schedule: None means the workload's own.
      seed: of the initial parameters and the order of the examples. Default 0.
      data_dir: a folder with the data, or a text file, for workloads that read one; None
        (default) finds or downloads them.
      on_nonfinite: what is done about losses that are not finite, see `NONFINITE`. None (default)
        trains on, and the record says that the run diverged.

    Raises:
      ValueError: a name is unknown (near misses are named) or a value out of range.

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
    """Returns the seed as an int; raises a ValueError if JAX or NumPy cannot take it."""
    return steps("seed", seed, minimum=0, maximum=np.iinfo(np.int32).max)


def check_path(name: str, path: str | os.PathLike[str] | None) -> str | None:
    """Returns a path, or None, as a text; raises a ValueError if it cannot be one.

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
    """Raises a ValueError if there is no such policy."""
    if policy is not None and policy not in NONFINITE:
        near = near_misses(str(policy), NONFINITE)
        raise ValueError(f"no policy {policy!r} on_nonfinite: {near}")
