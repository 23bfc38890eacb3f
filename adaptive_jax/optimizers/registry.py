"""Every recipe by name, with what a list, a command line or a tuner needs to know of it."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import optax

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
from adaptive_jax.optimizers.moments_family import adan, adashift, ademamix, adopt, diffgrad, laprop
from adaptive_jax.optimizers.classic_family import asgd, ftrl, rprop
from adaptive_jax.optimizers.memory_family import sm3
from adaptive_jax.optimizers.muon_family import muon
from adaptive_jax.optimizers.sgd_family import sgd, sign_sgd
from adaptive_jax.optimizers.layerwise_family import lamb, lars, novograd
from adaptive_jax.optimizers.partial_family import adamod, padam
from adaptive_jax.optimizers.sgd_family import lion, sgd, sign_sgd
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
    _optimizer(adamax, "mean gradient over the largest recent one", "arXiv 1412.6980", 1e-4, 1e-1),
    _optimizer(
        nadam, "Adam with Nesterov's look-ahead and a rising momentum", "Dozat 2016", 1e-4, 1e-1
    ),
    _optimizer(nadamw, "NAdam with decoupled weight decay", "Dozat 2016", 1e-4, 1e-1),
    _optimizer(radam, "Adam with its first steps rectified", "arXiv 1908.03265", 1e-4, 1e-1),
    _optimizer(
        adabelief,
        "mean gradient over the mean size of its error",
        "arXiv 2010.07468",
    _optimizer(
        rprop,
        "step sizes that grow while the gradient keeps its sign",
        "Riedmiller & Braun 1993",
    _optimizer(
        lion, "sign of a mean that favors the newest gradient", "arXiv 2302.06675", 1e-5, 1e-2
    ),
    _optimizer(
        lars,
        "momentum, each array moving in proportion to its length",
        "arXiv 1708.03888",
        0.1,
        100.0,
    ),
    _optimizer(
        lamb, "Adam, each array moving in proportion to its length", "arXiv 1904.00962", 1e-4, 1e-1
    ),
    _optimizer(
        novograd,
        "momentum of gradients over their arrays' mean norms",
        "arXiv 1905.11286",
        1e-4,
        1e-1,
    ),
    _optimizer(
        yogi, "Adam with a second moment that moves additively", "Zaheer et al. 2018", 1e-3, 1.0
    ),
    _optimizer(
        qhadam,
        "Adam's moments mixed with the gradient of the step",
        "arXiv 1810.06801",
        1e-4,
        1e-1,
    _optimizer(
        adan, "Adam looking ahead by the gradients' mean difference", "arXiv 2208.06677", 1e-4, 1e-1
    ),
    _optimizer(
        adopt, "gradients over the root mean square before them", "arXiv 2411.02853", 1e-4, 1e-1
    ),
    _optimizer(
        laprop, "momentum of gradients that are normalized first", "arXiv 2002.04839", 1e-4, 1e-1
    ),
    _optimizer(
        ademamix, "Adam with a second, slow mean of the gradients", "arXiv 2409.03137", 1e-4, 1e-1
    ),
    _optimizer(
        diffgrad, "Adam with friction where gradients hardly change", "arXiv 1909.11015", 1e-4, 1e-1
    ),
    _optimizer(
        adashift,
        "mean gradient over the root mean square of older ones",
        "arXiv 1810.00143",
        1e-3,
        1.0,
    ),
        asgd,
        "SGD with a falling rate, and the mean of its parameters",
        "Polyak & Juditsky 1992",
        1e-3,
        1.0,
    ),
    _optimizer(
        ftrl, "Adagrad with sparse parameters, for linear models", "McMahan et al. 2013", 1e-3, 1.0
    ),
    _optimizer(sm3, "Adagrad with memory for rows and columns", "arXiv 1901.11150", 1e-3, 1.0),
        adamod, "Adam with each scale bounded by its own mean", "arXiv 1910.12249", 1e-4, 1e-1
    ),
    _optimizer(
        padam, "AMSGrad with a power of its scale, nearer to SGD", "arXiv 1806.06763", 1e-2, 10.0
    ),
    _optimizer(
        muon,
        "orthogonalized momentum for matrices, AdamW for the rest",
        "arXiv 2502.16982",
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
    >>> get("adabond")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
      ...
    ValueError: no optimizer 'adabond': did you mean 'adabound' or 'adaboundw' or ...?
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"no optimizer {name!r}: {near_misses(name, OPTIMIZERS)}")
    return OPTIMIZERS[name]
