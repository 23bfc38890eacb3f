"""What to compare and how: one frozen value, which is written beside the results."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, cast

from adaptive_jax.lab.training.config import (
    LARGEST_COUNT,
    AnyOptimizer,
    OptimizerSpec,
    check_path,
    check_schedule,
    check_seed,
)
from adaptive_jax.lab.training.population import default_max_memory
from adaptive_jax.lab.workloads import registry as workload_registry
from adaptive_jax.lab.workloads.workload import Workload
from adaptive_jax.registry import Optimizer
from adaptive_jax.validation import near_misses, number, steps

TUNING_SEED = 1_000_000
"""Tuning uses seeds from here on, final runs those from `seed` on: they never meet."""

FORMAT = 1
"""Of the JSON text; a newer one is refused."""


@dataclasses.dataclass(frozen=True)
class Budget:
    """How much a comparison may spend on each optimizer of one workload.

    Attributes:
      trials: settings tried in tuning; 1 means the defaults, untuned.
      extra_trials: how many more at most, where the best learning rate is at the grid's edge.
      tuning_seeds: runs of each trial, whose mean counts.
      seeds: final runs.
      epochs: of every run.
    """

    trials: int
    extra_trials: int
    tuning_seeds: int
    seeds: int
    epochs: int


@dataclasses.dataclass(frozen=True)
class CompareConfig:
    """What to compare, and how.

    Attributes:
      workloads: one or several, or the names of registered ones.
      optimizers: specs, texts such as `"sgd:momentum=0.9"` or `"optax.adamw"`, registry entries,
        or factories such as `optax.adam`. One with a learning rate given is run at that; the
        others are tuned. None given (default) means the workload's own.
      budget: "default" is what the workload says; "quick" a third of its epochs, and 3 trials and
        seeds; "full" twice its trials, 3 tuning seeds and 4 times its final seeds.
      trials, extra_trials, tuning_seeds, seeds, epochs: in place of the budget's, see `Budget`.
      search: "grid" tunes the learning rate on a log grid, both ends included; "random" draws
        all that has a range, with the same random numbers for all optimizers.
      schedule: shape of the learning rate, a name in `SCHEDULES`. None means the workload's own.
      seed: the first seed of the final runs. Default 0.
      data_dir: a folder with the data, or a text file, for workloads that read one.
      width, max_memory: as in `Population`, the latter in GiB. What runs beside a run may change
        its last bits, so a number once derived from the machine is kept; another number of devices
        may change them, too.

    Raises:
      ValueError: a name is unknown (near misses are named), or a value out of range.

    >>> config = CompareConfig("digits_mlp", ("sgd", "adam"), budget="quick")
    >>> config.budgets["digits_mlp"].epochs
    167
    >>> CompareConfig.from_json(config.to_json()) == config
    True
    """

    workloads: Sequence[Workload | str] | Workload | str = ("digits_cnn",)
    optimizers: Sequence[OptimizerSpec | AnyOptimizer] | OptimizerSpec | AnyOptimizer = ()
    budget: Literal["quick", "default", "full"] = "default"
    trials: int | None = None
    extra_trials: int | None = None
    tuning_seeds: int | None = None
    seeds: int | None = None
    epochs: int | None = None
    search: Literal["grid", "random"] = "grid"
    schedule: str | None = None
    seed: int = 0
    data_dir: str | None = None
    width: int | None = None
    max_memory: float | None = None

    def __post_init__(self) -> None:
        def put(name, value):
            object.__setattr__(self, name, value)

        workloads = _several("workloads", self.workloads)
        if not workloads:
            raise ValueError("workloads must have at least one, such as 'digits_cnn'")
        put("workloads", tuple(map(workload_registry.get, workloads)))
        optimizers = _several("optimizers", self.optimizers)
        put("optimizers", tuple(map(OptimizerSpec.of, optimizers)))
        _refuse_repeats("workload", [workload.name for workload in self.chosen])
        for name, allowed in (("budget", (*_BUDGETS,)), ("search", ("grid", "random"))):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name} must be {' or '.join(map(repr, allowed))}, got {getattr(self, name)!r}"
                )
        for name in (*(field.name for field in dataclasses.fields(Budget)), "width"):
            if (value := getattr(self, name)) is not None:
                minimum = 0 if name == "extra_trials" else 1
                put(name, steps(name, value, minimum, LARGEST_COUNT))
        if self.schedule is not None:
            check_schedule(self.schedule)
        put("seed", check_seed(self.seed))
        put("data_dir", check_path("data_dir", self.data_dir))
        memory = self.max_memory
        memory = round(default_max_memory() / 2**30, 3) if memory is None else memory
        put("max_memory", number("max_memory", memory, "(0, inf)"))
        for workload in self.chosen:
            specs = self.specs(workload)
            _refuse_repeats("optimizer", [spec.label for spec in specs])
            if self.seed + self.budgets[workload.name].seeds > TUNING_SEED:
                raise ValueError(
                    f"seed + seeds must be at most {TUNING_SEED}: tuning has the others"
                )
            trials = self.budgets[workload.name].trials
            for spec in specs:
                rate = {**spec.defaults, **spec.hyperparameters}.get("learning_rate")
                if trials == 1 and rate is None:
                    raise ValueError(f"{spec.label} has no default learning rate: give it one")
                if self.search == "grid" and set(spec.search) - {"learning_rate"}:
                    raise ValueError(
                        f"{spec.label}: a grid tunes the learning rate alone; for other ranges "
                        "use search='random'"
                    )

    @property
    def chosen(self) -> tuple[Workload, ...]:
        """The workloads themselves, whatever they were given as."""
        return cast(tuple[Workload, ...], self.workloads)

    @property
    def _given(self) -> tuple[OptimizerSpec, ...]:
        return cast(tuple[OptimizerSpec, ...], self.optimizers)

    def specs(self, workload: Workload) -> tuple[OptimizerSpec, ...]:
        """The optimizers to compare on a workload."""
        return self._given or tuple(map(OptimizerSpec.of, workload.optimizers))

    def tuned(self, workload: Workload) -> list[OptimizerSpec]:
        """Those of them for which something is to be found."""
        if self.budgets[workload.name].trials == 1:
            return []
        return [spec for spec in self.specs(workload) if spec.search]

    @property
    def budgets(self) -> dict[str, Budget]:
        """Name of a workload -> what may be spent on it."""
        return {workload.name: self._budget(workload) for workload in self.chosen}

    def _budget(self, workload):
        budget = _BUDGETS[self.budget](workload)
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(Budget)}
        own = {name: value for name, value in own.items() if value is not None}
        return dataclasses.replace(budget, **own)

    def to_json(self) -> str:
        """The config as JSON; what is an object in Python is there by its name."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values["workloads"] = [workload.name for workload in self.chosen]
        values["optimizers"] = [spec.label for spec in self._given]
        return json.dumps({"format": FORMAT, **values}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, **changes: Any) -> "CompareConfig":
        """The config of such a text.

        Args:
          text: what `to_json` returned.
          **changes: values in place of those in the text. Workloads and optimizers that are not
            registered must be given so.

        Raises:
          ValueError: the text is no config, or of a newer format, or a value is refused.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"the config is no JSON: {error}") from error
        form = values.pop("format", None) if isinstance(values, dict) else None
        if isinstance(form, bool) or not isinstance(form, int) or form < 1:
            raise ValueError("the config must be a JSON object with its format, as to_json writes")
        if form > FORMAT:
            raise ValueError(f"the config has format {form}, this version reads up to {FORMAT}")
        known = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                raise ValueError(f"the config has an unknown {name!r}: {near_misses(name, known)}")
        try:
            return cls(**{**values, **changes})
        except TypeError as error:  # a number that is none
            raise ValueError(str(error)) from error


_BUDGETS = {
    "quick": lambda w: Budget(min(3, w.trials), 2, 1, min(3, w.seeds), -(-w.epochs // 3)),
    "default": lambda w: Budget(w.trials, 4, 1, w.seeds, w.epochs),
    "full": lambda w: Budget(2 * w.trials - 1, 4, 3, 4 * w.seeds, w.epochs),
}


def _several(name: str, given: Any) -> tuple[Any, ...]:
    """One or several workloads or optimizers, as a tuple."""
    if isinstance(given, (str, Workload, OptimizerSpec, Optimizer)) or callable(given):
        return (given,)
    if isinstance(given, (Mapping, bytes)) or not isinstance(given, Iterable):
        raise ValueError(f"{name} must be a name or a list of names, got {given!r}")
    return tuple(given)


def _refuse_repeats(kind: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{kind} {name!r} is listed twice")
