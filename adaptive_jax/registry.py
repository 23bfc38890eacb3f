"""Every recipe by name, with what a list, a command line or a tuner needs to know of it."""

import dataclasses
import functools
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import optax

from adaptive_jax.algebra import P, T, constructor
from adaptive_jax.calls import shown
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
        learning rates have a range of three decades, so that equal grids are equal effort; that of
        methods that find the rate themselves is one decade around 1.
      scheduled: whether its learning rate may follow a schedule. Not if the method has one
        itself, searches along a line, or keeps the rate in what it has accumulated. A
        Schedule-Free average in its state means no as well.
      takes_schedule: whether the factory takes a schedule as `learning_rate`, and must be given
        one, since the method uses the rate for more than a last multiplication. If not (default),
        updates are multiplied by the schedule.
      evaluated_at: `(state, params) -> params` to evaluate the model with, where these are not
        the ones that are trained. None (default) means `evaluation_params`.

    Raises:
      ValueError: the factory does not take what there is to tune, such as `learning_rate`.

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
    scheduled: bool = True
    takes_schedule: bool = False
    evaluated_at: Callable[[State, Params], Params] | None = None

    def __post_init__(self) -> None:
        for name in self.search:
            if name not in self.hyperparameters:
                raise ValueError(
                    f"{self.name}: the factory must take an argument {name}; wrap it: "
                    f"lambda {name}: my_optimizer(lr={name}), or pass what it builds, as it is"
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
    if weight_decay is not None:
        search["weight_decay"] = weight_decay

    def decorate(recipe: Callable[P, T]) -> Callable[P, T]:
        built: Any = constructor(recipe)
        name = recipe.__name__
        OPTIMIZERS[name] = Optimizer(
            name,
            built,
            description,
            reference,
            search,
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

    An optimizer of Optax has the search ranges of ours of the same name. If there is none, it has
    Adam's, three decades around its own default, or one around the rate 1 if it finds its rate
    itself. A weight decay is tuned if ours is, or if it is not 0 by default.

    Args:
      name: such as "adam", "optax.adam" or "optax.contrib.prodigy".

    Raises:
      ValueError: there is none; the near misses are named.

    >>> get("adam").defaults["b1"]
    0.9
    >>> get("optax.adamw").search
    {'learning_rate': (0.0001, 0.1), 'weight_decay': (0.0001, 1.0)}
    >>> get("optax.contrib.prodigy").search
    {'learning_rate': (0.3, 3.0)}
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


def of(
    given: Callable[..., optax.GradientTransformation] | optax.GradientTransformation,
) -> Optimizer:
    """The entry of a factory or of a transformation.

    Args:
      given: a factory: a recipe, one of Optax, a preset (such as "torch.Adam"), or your own
        by its `__name__`; if a recipe has the same name, the module's name is put before yours.
        Its learning rate may be called `lr` or `max_learning_rate`, too. Or a transformation that
        is already built, whose name is its repr. It runs as it is: nothing is tuned, and its
        learning rate follows no other schedule.

    Raises:
      ValueError: the factory takes no learning rate.

    >>> of(optax.adamw).name, of(optax.contrib.muon).name
    ('optax.adamw', 'optax.contrib.muon')
    >>> of(optax.sgd(0.1)).name
    'chain(identity(), scale(step_size=-0.1))'
    """
    if isinstance(given, optax.GradientTransformation):
        return Optimizer(shown(given), _Built(given), search={}, scheduled=False)
    for entry in (*OPTIMIZERS.values(), *_of_optax().values()):
        if given in (entry.factory, getattr(entry.factory, "__wrapped__", None)):
            return entry
    inner = given
    while isinstance(inner, functools.partial):
        inner = inner.func
    name = getattr(given, "__name__", None) or getattr(inner, "__name__", type(inner).__name__)
    module = getattr(inner, "__module__", None) or "mine"
    if module.startswith(_PRESETS):
        library = module.removeprefix(_PRESETS).partition(".")[0]
        entry = Optimizer(f"{library}.{name}", _with_learning_rate(given))
        ours = OPTIMIZERS.get(name.lower())
        return dataclasses.replace(entry, search=_rates_of(entry, ours))
    return Optimizer(f"{module}.{name}" if name in OPTIMIZERS else name, _with_learning_rate(given))


_PRESETS = "adaptive_jax.presets."


@dataclasses.dataclass(frozen=True)
class _Built:
    """A factory without arguments, of a transformation that is already built."""

    transformation: optax.GradientTransformation

    def __call__(self) -> optax.GradientTransformation:
        return self.transformation


def imported(text: str) -> Any:
    """Imports the object that `module:name` means.

    The folder in which the program was started counts, as with `python -m`.

    Args:
      text: such as "my_package.my_module:my_optimizer".

    Raises:
      ValueError: the module cannot be imported, or has no such name.

    >>> imported("optax:adam") is optax.adam
    True
    >>> imported("optax:adm")
    Traceback (most recent call last):
      ...
    ValueError: 'optax' has no 'adm': did you mean 'adam' or 'radam' or 'nadam'?
    """
    module, _, path = text.partition(":")
    if (here := os.getcwd()) not in sys.path:  # a console script has its own folder there
        sys.path.append(here)
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if module.partition(".")[0] != (error.name or "").partition(".")[0]:
            raise ValueError(f"cannot import {module!r} of {text!r}: {error}") from error
        near = near_misses(module, OPTIMIZERS)
        hint = f". As an optimizer, {near}" if near.startswith("did") else ""
        raise ValueError(f"no module {module!r}, of {text!r}{hint}") from error
    except Exception as error:  # whatever the module does when it is imported
        message = f"{type(error).__name__}: {error}"
        raise ValueError(f"cannot import {module!r} of {text!r}: {message}") from error
    for name in path.split("."):
        if not hasattr(found, name):
            raise ValueError(f"{module!r} has no {path!r}: {near_misses(name, vars(found))}")
        found = getattr(found, name)
    return found


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
    entry = Optimizer(name, _with_learning_rate(factory))
    ours = OPTIMIZERS.get(short)
    scheduled = short not in _OPTAX_UNSCHEDULED and (ours is None or ours.scheduled)
    takes_schedule = scheduled and short not in _OPTAX_SCALED
    search = {"learning_rate": (0.3, 3.0)} if short in _RATE_FREE else _rates_of(entry, ours)
    return dataclasses.replace(
        entry, search=search, scheduled=scheduled, takes_schedule=takes_schedule
    )


# They estimate the rate, of which `learning_rate` is a factor near 1, or find it by a line search.
_RATE_FREE = ("cocob", "dadapt_adamw", "dog", "dowg", "momo", "polyak_sgd", "prodigy")


def _rates_of(entry, ours):
    """The search ranges of an entry: those of our method, if there is one, or by its defaults."""
    default = entry.defaults.get("learning_rate")
    if ours is not None:
        search = ours.search
    elif default is not None:
        search = _decades(default / 100)
    else:
        search = entry.search
    if ours is None and entry.defaults.get("weight_decay"):
        search = {**search, "weight_decay": (1e-4, 1.0)}
    return {name: ends for name, ends in search.items() if name in entry.hyperparameters}


_RATES = ("learning_rate", "max_learning_rate", "lr")


def _is_optimizer(name, value):
    public = inspect.isfunction(value) and not name.startswith(("_", "scale_by_"))
    return public and any(rate in inspect.signature(value).parameters for rate in _RATES)


def _with_learning_rate(factory):
    """The factory with `learning_rate` as the name of its learning rate, whatever it calls it."""
    parameters = inspect.signature(factory).parameters
    name = next((name for name in _RATES if name in parameters), "learning_rate")
    return factory if name == "learning_rate" else _Renamed(factory, name)


@dataclasses.dataclass(frozen=True)
class _Renamed:
    """A factory that calls its learning rate `learning_rate`, not `rate`."""

    factory: Callable[..., optax.GradientTransformation]
    rate: str

    @property
    def __wrapped__(self) -> Callable[..., optax.GradientTransformation]:
        return self.factory

    @property
    def __signature__(self) -> inspect.Signature:
        signature = inspect.signature(self.factory)
        parameters = [
            p.replace(name="learning_rate") if p.name == self.rate else p
            for p in signature.parameters.values()
        ]
        return signature.replace(parameters=parameters)

    def __call__(self, *args: Any, **kwargs: Any) -> optax.GradientTransformation:
        values = self.__signature__.bind(*args, **kwargs).arguments
        rate = {self.rate: values.pop("learning_rate")} if "learning_rate" in values else {}
        return self.factory(**rate, **values)
