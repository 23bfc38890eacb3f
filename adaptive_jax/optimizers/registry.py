"""Every recipe by name, with what a list, a command line or a tuner needs to know of it."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import optax

from adaptive_jax.optimizers.adabound_family import adabound, adaboundw, amsbound
from adaptive_jax.optimizers.adagrad_family import adadelta, adagrad, rmsprop
from adaptive_jax.optimizers.adam_family import adam, adamw, amsgrad
from adaptive_jax.optimizers.muon_family import muon
from adaptive_jax.optimizers.schedule_free_family import schedule_free_adamw, schedule_free_sgd
from adaptive_jax.optimizers.sgd_family import sgd, sign_sgd
from adaptive_jax.validation import near_misses


@dataclasses.dataclass(frozen=True)
class Optimizer:
    """A registered recipe.

    Attributes:
      name: the recipe's name.
      factory: the recipe, e.g. `adaptive_jax.adam`.
      description: one line.
      reference: the paper.
      search: hyperparameter -> (low, high), the range in which to tune it on a log scale. All
        learning rates have a range of three decades, so that equal grids are equal effort.
    """

    name: str
    factory: Callable[..., optax.GradientTransformationExtraArgs]
    description: str
    reference: str
    search: Mapping[str, tuple[float, float]]

    @property
    def defaults(self) -> dict[str, Any]:
        """Hyperparameter -> default, read off the factory's signature."""
        parameters = inspect.signature(self.factory).parameters.values()
        return {parameter.name: parameter.default for parameter in parameters}


def _optimizer(factory, description, reference, low, high):
    search = {"learning_rate": (low, high)}
    return Optimizer(factory.__name__, factory, description, reference, search)


_ENTRIES = (
    _optimizer(sgd, "gradient descent, with momentum if wanted", "Polyak 1964", 1e-3, 1.0),
    _optimizer(
        sign_sgd,
        "the gradient's sign: every coordinate moves as far",
        "arXiv 1802.04434",
        1e-5,
        1e-2,
    ),
    _optimizer(
        adagrad,
        "gradient over the root of the sum of its squares",
        "Duchi et al. 2011",
        1e-3,
        1.0,
    ),
    _optimizer(
        adadelta,
        "steps measured in units of the steps before them",
        "arXiv 1212.5701",
        0.1,
        100.0,
    ),
    _optimizer(
        rmsprop,
        "gradient over the root of its recent mean square",
        "Tieleman & Hinton 2012",
        1e-4,
        1e-1,
    ),
    _optimizer(
        adam,
        "mean gradient over the root of the mean square",
        "arXiv 1412.6980",
        1e-4,
        1e-1,
    ),
    _optimizer(
        adamw, "Adam with weight decay decoupled from the gradient", "arXiv 1711.05101", 1e-4, 1e-1
    ),
    _optimizer(
        amsgrad,
        "Adam with the largest mean square so far",
        "arXiv 1904.09237",
        1e-4,
        1e-1,
    ),
    _optimizer(
        adabound,
        "Adam within bounds that close on SGD's rate",
        "arXiv 1902.09843",
        1e-4,
        1e-1,
    ),
    _optimizer(adaboundw, "AdaBound with decoupled weight decay", "arXiv 1902.09843", 1e-4, 1e-1),
    _optimizer(amsbound, "AMSGrad within AdaBound's bounds", "arXiv 1902.09843", 1e-4, 1e-1),
    _optimizer(
        muon,
        "orthogonalized momentum for matrices, AdamW for the rest",
        "arXiv 2502.16982",
        1e-4,
        1e-1,
    ),
    _optimizer(
        schedule_free_sgd,
        "SGD with an average for a schedule",
        "arXiv 2405.15682",
        1e-2,
        10.0,
    ),
    _optimizer(
        schedule_free_adamw,
        "AdamW with an average for a schedule",
        "arXiv 2405.15682",
        1e-4,
        1e-1,
    ),
)

OPTIMIZERS: Mapping[str, Optimizer] = {entry.name: entry for entry in _ENTRIES}
"""Name -> registered recipe."""


def get(name: str) -> Optimizer:
    """The registered recipe of that name; a ValueError that names the near misses if none is.

    >>> get("adam").defaults["b1"]
    0.9
    >>> get("adabond")
    Traceback (most recent call last):
      ...
    ValueError: no optimizer 'adabond': did you mean 'adabound' or 'adaboundw' or 'amsbound'?
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"no optimizer {name!r}: {near_misses(name, OPTIMIZERS)}")
    return OPTIMIZERS[name]
