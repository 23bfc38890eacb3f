"""Every recipe by name, with what a list, a command line or a tuner needs to know of it."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import optax

from adaptive_jax.algebra import P, T, constructor
from adaptive_jax.typing import Params, State
from adaptive_jax.validation import near_misses


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """A registered recipe, or another library's or your own factory to be compared with them.

    Attributes:
      name: the recipe's name.
      factory: a function that takes hyperparameters by name, `learning_rate` among them, and
        returns the optimizer, e.g. `adaptive_jax.adam` or `optax.adam`.
      description: one line.
      reference: the paper.
      search: hyperparameter -> (low, high), the range in which to tune it on a log scale. All
        learning rates have a range of three decades, so that equal grids are equal effort.
      weight_decay: the range in which to tune a weight decay; None if there is none.
      scheduled: whether its learning rate may follow a schedule. Not if the method has one
        itself, searches along a line, or keeps the rate in what it has accumulated. A
        Schedule-Free average in its state means no as well.
      takes_schedule: whether the factory takes a schedule as `learning_rate`, and must be given
        one, since the method uses the rate for more than a last multiplication. If not (default),
        updates are multiplied by the schedule.
      evaluated_at: `(state, params) -> params` to evaluate the model with, where these are not
        the ones that are trained. None (default) means `evaluation_params`.

    Raises:
      ValueError: the factory takes no `learning_rate`.

    >>> Optimizer("optax_adam", optax.adam).search
    {'learning_rate': (0.0001, 0.1)}
    """

    name: str
    factory: Callable[..., optax.GradientTransformation]
    description: str = ""
    reference: str = ""
    search: Mapping[str, tuple[float, float]] = dataclasses.field(
        default_factory=lambda: {"learning_rate": (1e-4, 1e-1)}
    )
    weight_decay: tuple[float, float] | None = None
    scheduled: bool = True
    takes_schedule: bool = False
    evaluated_at: Callable[[State, Params], Params] | None = None

    def __post_init__(self) -> None:
        if "learning_rate" not in inspect.signature(self.factory).parameters:
            raise ValueError(
                f"{self.name}: the factory must take an argument learning_rate; wrap it: "
                "lambda learning_rate: my_optimizer(lr=learning_rate)"
            )

    @property
    def hyperparameters(self) -> tuple[str, ...]:
        """The names of the factory's arguments."""
        return tuple(inspect.signature(self.factory).parameters)

    @property
    def defaults(self) -> dict[str, Any]:
        """Hyperparameter -> default, of those that have one, read off the factory's signature."""
        parameters = inspect.signature(self.factory).parameters.values()
        return {p.name: p.default for p in parameters if p.default is not p.empty}

    @property
    def required(self) -> tuple[str, ...]:
        """The names of the arguments that have no default."""
        parameters = inspect.signature(self.factory).parameters.values()
        variadic = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
        return tuple(p.name for p in parameters if p.default is p.empty and p.kind not in variadic)


OPTIMIZERS: dict[str, Optimizer] = {}
"""Name -> registered recipe, an `Optimizer`; filled by `register`."""


def register(
    description: str,
    *,
    reference: str,
    learning_rate: tuple[float, float],
    weight_decay: tuple[float, float] | None = None,
    scheduled: bool = True,
    takes_schedule: bool = False,
    evaluated_at: Callable[[State, Params], Params] | None = None,
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorates a recipe, which then is a `constructor` and has an entry in `OPTIMIZERS`.

    Args:
      description: one line, for lists.
      reference: the paper.
      learning_rate: the range in which to tune it on a log scale, three decades for all recipes.
      weight_decay: likewise, for recipes with weight decay. Default: None, for no weight decay.
      scheduled, takes_schedule, evaluated_at: as in `Optimizer`.

    >>> @register("plain descent", reference="Cauchy 1847", learning_rate=(1e-3, 1.0))
    ... def descent(learning_rate=0.1):
    ...     return optax.sgd(learning_rate)
    >>> descent(0.5)
    descent(learning_rate=0.5)
    >>> OPTIMIZERS.pop("descent").search
    {'learning_rate': (0.001, 1.0)}
    """
    search = {"learning_rate": learning_rate}

    def decorate(recipe: Callable[P, T]) -> Callable[P, T]:
        built: Any = constructor(recipe)
        name = recipe.__name__
        OPTIMIZERS[name] = Optimizer(
            name,
            built,
            description,
            reference,
            search,
            weight_decay,
            scheduled,
            takes_schedule,
            evaluated_at,
        )
        return built

    return decorate


def _decades(lowest_rate):
    return {"learning_rate": (lowest_rate, float(f"{1000 * lowest_rate:.12g}"))}


def get(name: str) -> Optimizer:
    """The registered recipe of that name, or Optax's factory after "optax." or "optax.contrib.".

    An optimizer of Optax has the search range of ours of the same name. If there is none, it has
    Adam's, or three decades around its own default.

    Args:
      name: such as "adam", "optax.adam" or "optax.contrib.prodigy".

    Raises:
      ValueError: there is none; the near misses are named.

    >>> get("adam").defaults["b1"]
    0.9
    >>> get("optax.adamw").search
    {'learning_rate': (0.0001, 0.1)}
    >>> get("optax.contrib.prodigy").search
    {'learning_rate': (0.01, 10.0)}
    >>> get("adabond")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
      ...
    ValueError: no optimizer 'adabond': did you mean 'adabound' or 'adaboundw' or ...?
    """
    if name.startswith("optax."):
        known = _of_optax()
        if name not in known:
            raise ValueError(f"no optimizer {name!r}: {near_misses(name, known)}")
        return known[name]
    if name not in OPTIMIZERS:
        raise ValueError(f"no optimizer {name!r}: {near_misses(name, OPTIMIZERS)}")
    return OPTIMIZERS[name]


def of(factory: Callable[..., optax.GradientTransformation]) -> Optimizer:
    """The entry of a factory: that of a recipe, one of Optax, or your own by its `__name__`.

    If a recipe has the same name as your factory, the module's name is put before yours.

    Raises:
      ValueError: the factory takes no `learning_rate`.

    >>> of(optax.adamw).name, of(optax.contrib.muon).name
    ('optax.adamw', 'optax.contrib.muon')
    """
    for entry in (*OPTIMIZERS.values(), *_of_optax().values()):
        if factory in (entry.factory, getattr(entry.factory, "__wrapped__", None)):
            return entry
    inner = factory
    while isinstance(inner, functools.partial):
        inner = inner.func
    name = getattr(factory, "__name__", None) or getattr(inner, "__name__", type(inner).__name__)
    if name in OPTIMIZERS:
        name = f"{getattr(inner, '__module__', 'mine')}.{name}"
    return Optimizer(name, factory)


_OPTAX_UNSCHEDULED = ("lbfgs", "polyak_sgd")  # they choose the length of each step
_OPTAX_SCALED = ("sm3", "optimistic_adam")  # their factories take no schedule


@functools.cache
def _of_optax() -> dict[str, Optimizer]:
    """Optax's factories by name, those of `optax.contrib` included."""
    modules = {"optax": optax, "optax.contrib": optax.contrib}
    return {
        f"{module}.{name}": _optax_entry(f"{module}.{name}", name, factory)
        for module, members in modules.items()
        for name, factory in vars(members).items()
        if _is_optimizer(name, factory)
    }


def _optax_entry(name, short, factory):
    if "learning_rate" not in inspect.signature(factory).parameters:
        factory = _with_learning_rate(factory)
    entry = Optimizer(name, factory)
    default = entry.defaults.get("learning_rate")
    if short in OPTIMIZERS:
        entry = dataclasses.replace(entry, search=OPTIMIZERS[short].search)
    elif default is not None:
        entry = dataclasses.replace(entry, search=_decades(default / 100))
    ours = OPTIMIZERS.get(short)
    scheduled = short not in _OPTAX_UNSCHEDULED and (ours is None or ours.scheduled)
    takes_schedule = scheduled and short not in _OPTAX_SCALED
    return dataclasses.replace(entry, scheduled=scheduled, takes_schedule=takes_schedule)


_RATES = ("learning_rate", "max_learning_rate")


def _is_optimizer(name, value):
    public = inspect.isfunction(value) and not name.startswith(("_", "scale_by_"))
    return public and any(rate in inspect.signature(value).parameters for rate in _RATES)


def _with_learning_rate(factory):
    """The factory with `learning_rate` as the name of its `max_learning_rate`."""
    signature = inspect.signature(factory)
    renamed = [
        p.replace(name="learning_rate") if p.name in _RATES else p
        for p in signature.parameters.values()
    ]

    @functools.wraps(factory)
    def build(learning_rate=signature.parameters["max_learning_rate"].default, **others):
        return factory(max_learning_rate=learning_rate, **others)

    vars(build)["__signature__"] = signature.replace(parameters=renamed)
    return build
