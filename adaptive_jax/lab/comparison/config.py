"""The config of a comparison: one frozen value, written beside the results."""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, cast, get_args

import optax

from adaptive_jax.lab.comparison.budget import Budget, budget_of
from adaptive_jax.lab.comparison.search import Search, SearchName
from adaptive_jax.lab.training.config import (
    LARGEST_COUNT,
    AnyOptimizer,
    OptimizerSpec,
    check_label,
    check_path,
    check_schedule,
    check_seed,
    workload_named,
)
from adaptive_jax.lab.training.population import default_max_memory
from adaptive_jax.lab.workloads.workload import Workload
from adaptive_jax.registry import Optimizer
from adaptive_jax.validation import near_misses, number, steps

Optimizers = (
    Sequence[OptimizerSpec | AnyOptimizer]
    | Mapping[str, OptimizerSpec | AnyOptimizer]
    | OptimizerSpec
    | AnyOptimizer
)
"""One or several optimizers, or a dict with labels for them."""

FORMAT = 2
"""Version of the JSON text; newer ones are refused. Since 2, all seeds follow from `seed`."""


@dataclasses.dataclass(frozen=True)
class CompareConfig:
    """The config of a comparison: what to compare, and how.

    Attributes:
      workloads: a workload or the name of a registered one, or several.
      optimizers: texts such as `"sgd:momentum=0.9"` or `"optax.adamw"`, specs, registry entries,
        factories such as `optax.adam`, or transformations such as `optax.adam(1e-3)`, which run as
        they are. A dict gives them labels: `{"mine": optax.adam(1e-3), "theirs": "adam"}`. What has
        a range and is not given is tuned: the learning rate, and the weight decay of methods with
        one. Default: the workload's own list.
      budget: "default" is the workload's budget, with 2 tuning seeds. "quick" has a third of its
        epochs, at most 3 trials and 3 seeds, and 1 tuning seed. "full" has about twice its trials,
        4 tuning seeds, and 4 times its final seeds. Trials are multiplied by the number of
        hyperparameters that the optimizers tune, the largest of them.
      trials, extra_trials, tuning_seeds, seeds, epochs: replace those of the budget, see `Budget`.
      search: "grid" tries one hyperparameter at even distances, "sobol" all of them at quasi-random
        points; both refine around the best. "random" draws all trials independently. Each name has
        the same points for all optimizers. Default: "grid" if none of them tunes more than one
        hyperparameter, else "sobol".
      schedule: shape of the learning rate, a name in `SCHEDULES`. Default: the workload's own.
      studies: the number of studies. Each has its own tuning, with its own seeds and points, and
        its own final runs, so that tuning's luck shows in the results. Default: 1.
      seed: decides all seeds and points. Default: 0, with the final seeds 0, 1, 2, ...
      min_effect: the smallest difference of interest, in units of the metric. Default: None, see
        `analyze`.
      join: a file `runs.jsonl` of another comparison, whose optimizers join this one without being
        run again. Its protocol, data and versions must be the same. Default: none.
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
    optimizers: Optimizers = ()
    budget: Literal["quick", "default", "full"] = "default"
    trials: int | None = None
    extra_trials: int | None = None
    tuning_seeds: int | None = None
    seeds: int | None = None
    epochs: int | None = None
    search: SearchName | None = None
    schedule: str | None = None
    studies: int = 1
    seed: int = 0
    min_effect: float | None = None
    join: str | None = None
    data_dir: str | None = None
    width: int | None = None
    max_memory: float | None = None

    def __post_init__(self) -> None:
        def put(name, value):
            object.__setattr__(self, name, value)

        workloads = _several("workloads", self.workloads)
        if not workloads:
            raise ValueError("workloads must have at least one, such as 'digits_cnn'")
        put("workloads", tuple(map(_workload, workloads)))
        put("optimizers", tuple(_specs(self.optimizers)))
        _refuse_repeats("workload", [workload.name for workload in self.chosen])
        allowed = {"budget": ("quick", "default", "full"), "search": (*get_args(SearchName), None)}
        for name, values in allowed.items():
            if getattr(self, name) not in values:
                texts = " or ".join(repr(value) for value in values if value)
                raise ValueError(f"{name} must be {texts}, got {getattr(self, name)!r}")
        for name in (*(field.name for field in dataclasses.fields(Budget)), "width"):
            if (value := getattr(self, name)) is not None:
                minimum = 0 if name == "extra_trials" else 1
                put(name, steps(name, value, minimum, LARGEST_COUNT))
        if self.schedule is not None:
            check_schedule(self.schedule)
        put("studies", steps("studies", self.studies, 1, LARGEST_COUNT))
        put("seed", check_seed(self.seed))
        if self.min_effect is not None:
            put("min_effect", number("min_effect", self.min_effect, "[0, inf)"))
        for name in ("data_dir", "join"):
            put(name, check_path(name, getattr(self, name)))
        memory = self.max_memory
        memory = round(default_max_memory() / 2**30, 3) if memory is None else memory
        put("max_memory", number("max_memory", memory, "(0, inf)"))
        for workload in self.chosen:
            self._check_specs(workload)

    def _check_specs(self, workload):
        specs = self.specs(workload)
        _refuse_repeats("optimizer", [spec.label for spec in specs])
        trials = self.budgets[workload.name].trials
        for spec in specs:
            rate = spec.given.get("learning_rate")
            if trials == 1 and rate is None and "learning_rate" in spec.search:
                raise ValueError(f"{spec.label} has no default learning rate: give it one")
            if trials > 1 and self.search == "grid" and len(spec.search) > 1:
                names = " and ".join(spec.search)
                raise ValueError(
                    f"{spec.label} has {names} to tune, and a grid is for one hyperparameter: use "
                    "search='sobol', or give the others, such as "
                    f"{spec.label}{',' if ':' in spec.label else ':'}{[*spec.search][1]}=0.01"
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

    def kind(self, workload: Workload) -> SearchName:
        """Returns how the optimizers are tuned on a workload: `search`, or the default for it."""
        several = any(len(spec.search) > 1 for spec in self.tuned(workload))
        return self.search or ("sobol" if several else "grid")

    def searches(self, workload: Workload) -> list[Search]:
        """Returns the search of each tuned optimizer in each study."""
        budget, tuned = self.budgets[workload.name], self.tuned(workload)
        names, kind = self._names(workload), self.kind(workload)
        return [
            Search(spec, names, budget, kind, self.seed, study)
            for spec in tuned
            for study in range(self.studies)
        ]

    @property
    def budgets(self) -> dict[str, Budget]:
        """The budgets by the names of the workloads."""
        return {workload.name: self._budget(workload) for workload in self.chosen}

    def _budget(self, workload):
        dimensions = max((len(spec.search) for spec in self.specs(workload)), default=1)
        budget = budget_of(self.budget, workload, dimensions)
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(Budget)}
        own = {name: value for name, value in own.items() if value is not None}
        return dataclasses.replace(budget, **own)

    def _names(self, workload):
        """Returns the names of all that is tuned, rate and decay first."""
        names = {name for spec in self.specs(workload) for name in spec.search}
        first = ("learning_rate", "weight_decay")
        return tuple(sorted(names, key=lambda name: (name not in first, name)))

    def to_json(self) -> str:
        """Returns the config as JSON, in which workloads and optimizers are their names.

        An optimizer with a label of its own is {label: name}.
        """
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        values["workloads"] = [workload.name for workload in self.chosen]
        values["optimizers"] = [
            spec.text if spec.label == spec.text else {spec.label: spec.text}
            for spec in self._given
        ]
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


def _several(name: str, given: Any) -> tuple[Any, ...]:
    """Converts one or several workloads or optimizers to a tuple."""
    single = (str, Workload, OptimizerSpec, Optimizer, optax.GradientTransformation)
    if isinstance(given, single) or callable(given):
        return (given,)
    if isinstance(given, (Mapping, bytes)) or not isinstance(given, Iterable):
        raise ValueError(f"{name} must be a name or a list of names, got {given!r}")
    return tuple(given)


def _specs(given: Any) -> Iterator[OptimizerSpec]:
    """Yields the specs of optimizers in any notation, a dict with labels among them."""
    for item in [given] if isinstance(given, Mapping) else _several("optimizers", given):
        if not isinstance(item, Mapping):
            yield OptimizerSpec.of(item)
            continue
        if not item:
            raise ValueError("optimizers must be a list, or a dict of labels, got {}")
        for label, optimizer in item.items():
            check_label(label)
            if not label:
                raise ValueError("the label of an optimizer must not be empty")
            yield OptimizerSpec.of(optimizer, label)


def _workload(given: Any) -> Workload:
    """Returns a workload, its name looked up or, if it is `module:name`, imported."""
    if isinstance(given, str) and "," in given:
        raise ValueError(
            f"{given!r} has a comma where a space belongs: write {' '.join(given.split(','))} on "
            "the command line, a list of names in Python"
        )
    return workload_named(given)


def _refuse_repeats(kind: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{kind} {name!r} is listed twice")
