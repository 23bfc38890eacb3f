"""Every recipe by name, with what a list, a command line or a tuner needs to know of it."""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import optax

from adaptive_jax import trees
from adaptive_jax.optimizers.adabound_family import adabound, adaboundw, amsbound
from adaptive_jax.optimizers.adagrad_family import adadelta, adagrad, rmsprop
from adaptive_jax.optimizers.adam_family import adam, adamw, amsgrad
from adaptive_jax.optimizers.adam_kin_family import (
    adabelief,
    adamax,
    nadam,
    nadamw,
    qhadam,
    radam,
    yogi,
)
from adaptive_jax.optimizers.classic_family import asgd, ftrl, rprop
from adaptive_jax.optimizers.layerwise_family import lamb, lars, novograd
from adaptive_jax.optimizers.memory_family import adafactor, sm3
from adaptive_jax.optimizers.moments_family import adan, adashift, ademamix, adopt, diffgrad, laprop
from adaptive_jax.optimizers.muon_family import muon
from adaptive_jax.optimizers.partial_family import adamod, padam, swats
from adaptive_jax.optimizers.schedule_free_family import schedule_free_adamw, schedule_free_sgd
from adaptive_jax.optimizers.sgd_family import lion, sgd, sign_sgd
from adaptive_jax.transforms import ScheduleFreeState, averaged_params, schedule_free_params
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

    def averages(self, state: State) -> bool:
        """Whether there is a Schedule-Free average, ours or Optax's, in a state of its."""
        return bool(_schedule_free_states(state))

    @property
    def required(self) -> tuple[str, ...]:
        """The names of the arguments that have no default."""
        parameters = inspect.signature(self.factory).parameters.values()
        variadic = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
        return tuple(p.name for p in parameters if p.default is p.empty and p.kind not in variadic)


def _schedule_free_states(state):
    return trees.nodes_of((ScheduleFreeState, optax.contrib.ScheduleFreeState), state)


def evaluation_params(state: State, params: Params) -> Params:
    """The parameters to evaluate a model at: Schedule-Free averages where there are some.

    They are found wherever they lie in the state, and may be of a part of the parameters.

    Args:
      state: the optimizer's, or any that contains it.
      params: the ones that are trained.

    >>> import jax.numpy as jnp
    >>> params = jnp.array(1.0)
    >>> tx = optax.chain(optax.clip(1.0), optax.contrib.schedule_free_sgd(0.1))
    >>> state = tx.init(params)
    >>> for _ in range(2):
    ...     updates, state = tx.update(params, state, params)
    ...     params = optax.apply_updates(params, updates)
    >>> print(f"{params:.4f} {evaluation_params(state, params):.4f}")
    0.8505 0.8550
    """

    def is_hidden(x):
        return isinstance(x, optax.MaskedNode)

    for each in _schedule_free_states(state):
        ours = isinstance(each, ScheduleFreeState)
        averaged = schedule_free_params if ours else optax.contrib.schedule_free_eval_params
        part = jax.tree.map(
            lambda z, p: z if is_hidden(z) else p, each.z, params, is_leaf=is_hidden
        )
        params = jax.tree.map(
            lambda x, p: p if is_hidden(x) else x.astype(p.dtype),
            averaged(each, part),
            params,
            is_leaf=is_hidden,
        )
    return params


def _average(state, params):
    average = trees.like(parameters=params, state=averaged_params(state))
    return jax.tree.map(lambda p, x: x.astype(p.dtype), params, average)


_UNSCHEDULED = ("asgd", "rprop", "ftrl", "schedule_free_sgd", "schedule_free_adamw")
_TAKE_SCHEDULE = ("adan", "lars")  # one decays by a quotient, one has momentum of scaled steps


def _decades(lowest_rate):
    return {"learning_rate": (lowest_rate, float(f"{1000 * lowest_rate:.12g}"))}


def _optimizer(factory, lowest_rate, reference, description):
    name = factory.__name__
    return Optimizer(
        name,
        factory,
        description,
        reference,
        _decades(lowest_rate),
        scheduled=name not in _UNSCHEDULED,
        takes_schedule=name in _TAKE_SCHEDULE,
        evaluated_at=_average if name == "asgd" else None,
    )


_ENTRIES = (
    (sgd, 1e-3, "Polyak 1964", "gradient descent, with momentum if wanted"),
    (sign_sgd, 1e-5, "arXiv 1802.04434", "the gradient's sign: every coordinate moves as far"),
    (lion, 1e-5, "arXiv 2302.06675", "sign of a mean that favors the newest gradient"),
    (asgd, 1e-3, "Polyak & Juditsky 1992", "SGD with a falling rate, and the mean of its path"),
    (rprop, 1e-3, "Riedmiller & Braun 1993", "steps that grow while a gradient keeps its sign"),
    (ftrl, 1e-3, "McMahan et al. 2013", "Adagrad with sparse parameters, for linear models"),
    (adagrad, 1e-3, "Duchi et al. 2011", "gradient over the root of the sum of its squares"),
    (adafactor, 1e-3, "arXiv 1804.04235", "RMSprop with memory for rows and columns"),
    (sm3, 1e-3, "arXiv 1901.11150", "Adagrad with memory for rows and columns"),
    (adadelta, 0.1, "arXiv 1212.5701", "steps measured in units of the steps before them"),
    (rmsprop, 1e-4, "Tieleman & Hinton 2012", "gradient over the root of its recent mean square"),
    (adam, 1e-4, "arXiv 1412.6980", "mean gradient over the root of the mean square"),
    (adamw, 1e-4, "arXiv 1711.05101", "Adam with weight decay decoupled from the gradient"),
    (amsgrad, 1e-4, "arXiv 1904.09237", "Adam with the largest mean square so far"),
    (adamax, 1e-4, "arXiv 1412.6980", "mean gradient over the largest recent one"),
    (nadam, 1e-4, "Dozat 2016", "Adam with Nesterov's look-ahead and rising momentum"),
    (nadamw, 1e-4, "Dozat 2016", "NAdam with decoupled weight decay"),
    (radam, 1e-4, "arXiv 1908.03265", "Adam with its first steps rectified"),
    (adabelief, 1e-4, "arXiv 2010.07468", "mean gradient over the mean size of its error"),
    (yogi, 1e-3, "Zaheer et al. 2018", "Adam with a second moment that moves additively"),
    (qhadam, 1e-4, "arXiv 1810.06801", "Adam's moments mixed with the gradient of the step"),
    (adan, 1e-4, "arXiv 2208.06677", "Adam looking ahead by the gradients' mean difference"),
    (adopt, 1e-4, "arXiv 2411.02853", "gradients over the root mean square before them"),
    (laprop, 1e-4, "arXiv 2002.04839", "momentum of gradients that are normalized first"),
    (ademamix, 1e-4, "arXiv 2409.03137", "Adam with a second, slow mean of the gradients"),
    (diffgrad, 1e-4, "arXiv 1909.11015", "Adam with friction where gradients hardly change"),
    (adashift, 1e-3, "arXiv 1810.00143", "mean gradient over the root mean square of old ones"),
    (adamod, 1e-4, "arXiv 1910.12249", "Adam with each scale bounded by its own mean"),
    (padam, 1e-2, "arXiv 1806.06763", "AMSGrad with a power of its scale, nearer to SGD"),
    (swats, 1e-4, "arXiv 1712.07628", "Adam, then SGD at the rate that it has settled on"),
    (adabound, 1e-4, "arXiv 1902.09843", "Adam within bounds that close on SGD's rate"),
    (adaboundw, 1e-4, "arXiv 1902.09843", "AdaBound with decoupled weight decay"),
    (amsbound, 1e-4, "arXiv 1902.09843", "AMSGrad within AdaBound's bounds"),
    (lars, 0.1, "arXiv 1708.03888", "momentum, each array moving by a share of its length"),
    (lamb, 1e-4, "arXiv 1904.00962", "Adam, each array moving by a share of its length"),
    (novograd, 1e-4, "arXiv 1905.11286", "momentum of gradients over their arrays' mean norms"),
    (muon, 1e-4, "arXiv 2502.16982", "orthogonalized momentum of matrices, AdamW elsewhere"),
    (schedule_free_sgd, 1e-2, "arXiv 2405.15682", "SGD, averaging its path in place of a schedule"),
    (
        schedule_free_adamw,
        1e-4,
        "arXiv 2405.15682",
        "AdamW, averaging its path in place of a schedule",
    ),
)

OPTIMIZERS: Mapping[str, Optimizer] = {
    factory.__name__: _optimizer(factory, *entry) for factory, *entry in _ENTRIES
}
"""Name -> registered recipe, an `Optimizer`."""


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
    scheduled = short not in (*_UNSCHEDULED, *_OPTAX_UNSCHEDULED)
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
