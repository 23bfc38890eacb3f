"""The table that the contract is tested over: what to build, and in what it differs."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import optax

import adaptive_jax as aj


@dataclasses.dataclass(frozen=True)
class Case:
    """A transformation under test.

    Attributes:
      name: shown as the test's id.
      make: builds it from keyword arguments.
      hyper: those arguments; each must also work traced and as an array.
      schedulable: names in `hyper` that may also be schedules.
      extra: keyword arguments that are no numbers.
      needs_params: `update` reads the parameters.
      decays: a zero gradient does not mean a zero step.
      scale_free: steps do not grow with the gradient.
      tames_infinity: an infinite gradient rightly gives a finite step.
      by_component: complex numbers are treated by component, so their phase may change.
      joint: a leaf's update depends on the other leaves.
      rounds_between: in half precision a stage hands rounded updates to one that keeps them.
    """

    name: str
    make: Callable[..., optax.GradientTransformationExtraArgs]
    hyper: Mapping[str, float] = dataclasses.field(default_factory=dict)
    schedulable: tuple[str, ...] = ()
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    needs_params: bool = False
    decays: bool = False
    scale_free: bool = False
    tames_infinity: bool = False
    by_component: bool = False
    joint: bool = False
    rounds_between: bool = False

    def build(self, **changes) -> optax.GradientTransformationExtraArgs:
        return self.make(**{**self.hyper, **self.extra, **changes})

    def __repr__(self):
        return self.name


RATE = ("learning_rate",)
ADAM = {"b1": 0.9, "b2": 0.99, "eps": 1e-8}
BOUND = {"b1": 0.9, "b2": 0.99, "eps": 1e-8, "final_lr": 0.1, "gamma": 1e-2, "base_lr": 0.01}


def bounded(base_lr, lower, upper):
    return aj.chain(aj.scale_by_adam(), aj.bound_lr(base_lr=base_lr, lower=lower, upper=upper))


def bounded_convergent(final_lr, m):
    lower, upper = aj.convergent_bounds(final_lr, m)
    return aj.chain(
        aj.scale_by_amsgrad(eps=0.0), aj.bound_lr(base_lr=0.01, lower=lower, upper=upper)
    )


def everything(learning_rate, weight_decay):
    return aj.chain(
        aj.clip_by_global_norm(1.0),
        aj.scale_by_adam(),
        aj.bound_lr(final_lr=0.1, gamma=1e-3, base_lr=1e-3),
        aj.add_decayed_weights(weight_decay),
        aj.scale_by_learning_rate(learning_rate),
    )


RECIPES = [
    Case("sgd", aj.sgd, {"learning_rate": 0.1}, RATE),
    Case(
        "sgd_momentum",
        aj.sgd,
        {"learning_rate": 0.1, "momentum": 0.9, "dampening": 0.1},
        ("learning_rate", "momentum"),
    ),
    Case(
        "sgd_nesterov",
        aj.sgd,
        {"learning_rate": 0.1, "momentum": 0.9},
        ("learning_rate", "momentum"),
        {"nesterov": True},
    ),
    Case(
        "sign_sgd", aj.sign_sgd, {"learning_rate": 0.1}, RATE, scale_free=True, tames_infinity=True
    ),
    Case("adagrad", aj.adagrad, {"learning_rate": 0.1, "eps": 1e-10}, RATE, scale_free=True),
    Case(
        "adagrad_keras",
        aj.adagrad,
        {"learning_rate": 0.1, "initial_accumulator": 0.1, "eps": 0.0, "eps_root": 1e-7},
        RATE,
        scale_free=True,
    ),
    Case(
        "adadelta",
        aj.adadelta,
        {"learning_rate": 1.0, "rho": 0.95, "eps": 1e-6},
        RATE,
        scale_free=True,
    ),
    Case(
        "rmsprop",
        aj.rmsprop,
        {"learning_rate": 0.1, "decay": 0.9, "eps": 1e-8},
        RATE,
        scale_free=True,
    ),
    Case(
        "rmsprop_centered_momentum",
        aj.rmsprop,
        {"learning_rate": 0.1, "decay": 0.9, "eps": 0.0, "eps_root": 1e-7, "momentum": 0.9},
        ("learning_rate", "momentum"),
        {"centered": True, "nesterov": True},
        scale_free=True,
        rounds_between=True,
    ),
    Case("adam", aj.adam, {"learning_rate": 0.1, **ADAM}, RATE, scale_free=True),
    Case(
        "adam_no_eps",
        aj.adam,
        {"learning_rate": 0.1, "b2": 0.99, "eps": 0.0},
        RATE,
        scale_free=True,
    ),
    Case(
        "adam_nesterov",
        aj.adam,
        {"learning_rate": 0.1, "b1": 0.9, "b2": 0.99, "eps": 0.0, "eps_hat": 1e-7},
        RATE,
        {"nesterov": True},
        scale_free=True,
    ),
    Case(
        "adamw",
        aj.adamw,
        {"learning_rate": 0.1, "weight_decay": 0.1, "eps_root": 1e-12},
        ("learning_rate", "weight_decay"),
        needs_params=True,
        decays=True,
        scale_free=True,
    ),
    Case("amsgrad", aj.amsgrad, {"learning_rate": 0.1, **ADAM}, RATE, scale_free=True),
    Case("adabound", aj.adabound, {"learning_rate": 0.01, **BOUND}, RATE),
    Case(
        "adaboundw",
        aj.adaboundw,
        {"learning_rate": 0.01, "weight_decay": 0.01, **BOUND},
        ("learning_rate", "weight_decay"),
        needs_params=True,
        decays=True,
    ),
    Case("amsbound", aj.amsbound, {"learning_rate": 0.01, **BOUND}, RATE),
]

TRANSFORMS = [
    Case("scale_by_adam", aj.scale_by_adam, ADAM),
    Case("scale_by_amsgrad", aj.scale_by_amsgrad, ADAM),
    Case("scale_by_adagrad", aj.scale_by_adagrad, {"initial_accumulator": 0.1, "eps": 1e-10}),
    Case("scale_by_adadelta", aj.scale_by_adadelta, {"rho": 0.9, "eps": 1e-6}),
    Case("scale_by_rms", aj.scale_by_rms, {"decay": 0.9, "eps": 1e-8}),
    Case("scale_by_sign", aj.scale_by_sign, tames_infinity=True),
    Case("momentum", aj.momentum, {"decay": 0.9, "dampening": 0.1}, ("decay",)),
    Case("momentum_ema", aj.momentum, {"decay": 0.9}, ("decay",), {"ema": True, "nesterov": True}),
    Case(
        "bound_lr",
        bounded,
        {"base_lr": 0.01, "lower": 0.001, "upper": 0.1},
        ("lower", "upper"),
    ),
    Case("bound_lr_convergent", bounded_convergent, {"final_lr": 0.1, "m": 200.0}),
    Case("scale_by_learning_rate", aj.scale_by_learning_rate, {"learning_rate": 0.1}, RATE),
    Case(
        "add_decayed_weights",
        aj.add_decayed_weights,
        {"weight_decay": 0.1},
        ("weight_decay",),
        needs_params=True,
        decays=True,
    ),
    Case(
        "clip_by_value",
        aj.clip_by_value,
        {"max_value": 0.5},
        tames_infinity=True,
        by_component=True,
    ),
    Case("clip_by_norm", aj.clip_by_norm, {"max_norm": 0.5}),
    Case("clip_by_global_norm", aj.clip_by_global_norm, {"max_norm": 0.5}, joint=True),
    Case(
        "everything",
        everything,
        {"learning_rate": 1e-3, "weight_decay": 1e-4},
        ("learning_rate", "weight_decay"),
        needs_params=True,
        decays=True,
        joint=True,
    ),
]

CASES = RECIPES + TRANSFORMS
