"""The config of a comparison: one frozen value, written beside the results."""

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
"""The first tuning seed. Final seeds start at `seed` and stay below it."""

FORMAT = 1
"""Version of the JSON text; newer ones are refused."""


@dataclasses.dataclass(frozen=True)
class Budget:
    """The budget of each optimizer on one workload.

    Attributes:
      trials: settings to try in tuning; 1 means the defaults, without tuning.
      extra_trials: further trials, at most, if the best learning rate is at the edge of the grid.
      tuning_seeds: runs of each trial, whose mean counts.
      seeds: final runs.
      epochs: epochs of every run.
    """

    trials: int
    extra_trials: int
    tuning_seeds: int
    seeds: int
    epochs: int


@dataclasses.dataclass(frozen=True)
class CompareConfig:
    """The config of a comparison: what to compare, and how.

    Attributes:
      workloads: a workload or the name of a registered one, or several.
      optimizers: texts such as `"sgd:momentum=0.9"` or `"optax.adamw"`, specs, registry entries,
        or factories such as `optax.adam`. An optimizer whose learning rate is given runs at that
        rate; the others are tuned. Default: the workload's own list.
      budget: "default" is the workload's budget. "quick" has a third of its epochs, and at most
        3 trials and 3 seeds. "full" has about twice its trials, 3 tuning seeds, and 4 times its
        final seeds.
      trials, extra_trials, tuning_seeds, seeds, epochs: replace those of the budget, see `Budget`.
      search: "grid" tunes the learning rate on a log grid that includes both ends. "random" draws
        every hyperparameter that has a range, with the same random numbers for all optimizers.
      schedule: shape of the learning rate, a name in `SCHEDULES`. Default: the workload's own.
      seed: the first seed of the final runs. Default: 0.
      data_dir: a folder with the data, or a text file, for workloads that read one.
      width, max_memory: as in `Population`, the latter in GiB. The runs beside a run may change its
        last bits, so values derived from the machine are stored with the config. A different
        number of devices may change them, too.

    Raises:
      ValueError: a name is unknown (the error names near misses), or a value is out of range.

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
        """The workloads, looked up by name if necessary."""
        return cast(tuple[Workload, ...], self.workloads)

    @property
    def _given(self) -> tuple[OptimizerSpec, ...]:
        return cast(tuple[OptimizerSpec, ...], self.optimizers)

    def specs(self, workload: Workload) -> tuple[OptimizerSpec, ...]:
        """Returns the optimizers to compare on a workload."""
        return self._given or tuple(map(OptimizerSpec.of, workload.optimizers))

    def tuned(self, workload: Workload) -> list[OptimizerSpec]:
        """Returns those of them that are tuned."""
        if self.budgets[workload.name].trials == 1:
            return []
        return [spec for spec in self.specs(workload) if spec.search]

    @property
    def budgets(self) -> dict[str, Budget]:
        """The budgets by the names of the workloads."""
        return {workload.name: self._budget(workload) for workload in self.chosen}

    def _budget(self, workload):
        budget = _BUDGETS[self.budget](workload)
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(Budget)}
        own = {name: value for name, value in own.items() if value is not None}
        return dataclasses.replace(budget, **own)

    def to_json(self) -> str:
        """Returns the config as JSON, in which workloads and optimizers are their names."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values["workloads"] = [workload.name for workload in self.chosen]
        values["optimizers"] = [spec.label for spec in self._given]
        return json.dumps({"format": FORMAT, **values}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str, **changes: Any) -> "CompareConfig":
        """Returns the config of a JSON text.

        Args:
          text: a text from `to_json`.
          **changes: fields that replace those of the text. Workloads and optimizers that are not
            registered must be passed here.

        Raises:
          ValueError: the text is not a config, or has a newer format, or a value is refused.
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
        except TypeError as error:  # not a number
            raise ValueError(str(error)) from error


_BUDGETS = {
    "quick": lambda w: Budget(min(3, w.trials), 2, 1, min(3, w.seeds), -(-w.epochs // 3)),
    "default": lambda w: Budget(w.trials, 4, 1, w.seeds, w.epochs),
    "full": lambda w: Budget(2 * w.trials - 1, 4, 3, 4 * w.seeds, w.epochs),
}


def _several(name: str, given: Any) -> tuple[Any, ...]:
    """Converts one or several workloads or optimizers to a tuple."""
    if isinstance(given, (str, Workload, OptimizerSpec, Optimizer)) or callable(given):
        return (given,)
    if isinstance(given, (Mapping, bytes)) or not isinstance(given, Iterable):
        raise ValueError(f"{name} must be a name or a list of names, got {given!r}")
    return tuple(given)


def _refuse_repeats(kind: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{kind} {name!r} is listed twice")
