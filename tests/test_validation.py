"""Bad arguments are refused where they are given, with what is allowed."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import adaptive_jax as aj
from adaptive_jax import registry, validation
from tests.families import CASES

BAD = [
    (aj.scale_by_adam, {"b1": 1.0}, "b1 must be in [0, 1), got 1.0"),
    (aj.scale_by_adam, {"b2": -0.1}, "b2 must be in [0, 1), got -0.1"),
    (aj.scale_by_adam, {"eps": -1e-8}, "eps must be in [0, inf), got -1e-08"),
    (aj.scale_by_adam, {"eps": float("nan")}, "eps must be in [0, inf), got nan"),
    (aj.scale_by_adam, {"b2": jnp.asarray(0.999, jnp.bfloat16)}, "b2 must be in [0, 1), got 1.0"),
    (aj.scale_by_adam, {"b1": jnp.zeros(3)}, "b1 must be a scalar in [0, 1), got shape (3,)"),
    (aj.scale_by_adam, {"b1": lambda c: 0.9}, "b1 must be a number in [0, 1), got a schedule"),
    (aj.scale_by_amsgrad, {"eps_hat": float("inf")}, "eps_hat must be in [0, inf), got inf"),
    (aj.scale_by_adagrad, {"initial_accumulator": -1.0}, "initial_accumulator must be in [0, inf)"),
    (aj.scale_by_adadelta, {"eps": 0.0}, "eps must be in (0, inf), got 0.0"),
    (aj.scale_by_rms, {"decay": 1.5}, "decay must be in [0, 1], got 1.5"),
    (aj.momentum, {"decay": 1.1}, "decay must be in [0, 1], got 1.1"),
    (aj.momentum, {"ema": True, "dampening": 0.5}, "dampening must be 0 with ema=True"),
    (aj.sgd, {"learning_rate": float("inf")}, "learning_rate must be in (-inf, inf), got inf"),
    (aj.adamw, {"weight_decay": float("nan")}, "weight_decay must be in (-inf, inf), got nan"),
    (aj.rprop, {"learning_rate": -0.1}, "got -0.1; to ascend, put optax.scale(-1.0) before it"),
    (aj.ftrl, {"learning_rate": -0.1}, "got -0.1; to ascend, put optax.scale(-1.0) before it"),
    (aj.scale_by_rprop, {"eta_plus": 1.0}, "eta_plus must be in (1, inf), got 1.0"),
    (aj.scale_by_rprop, {"min_step": 1.0, "max_step": 0.1}, "min_step must not exceed max_step"),
    (aj.rprop, {"learning_rate": lambda c: 0.1}, "learning_rate must be a number in (0, inf)"),
    (aj.ftrl, {"learning_rate_power": 0.5}, "learning_rate_power must be in (-inf, 0], got 0.5"),
    (aj.clip_by_value, {"max_value": 0.0}, "max_value must be in (0, inf), got 0.0"),
    (aj.clip_by_norm, {"max_norm": -1.0}, "max_norm must be in (0, inf), got -1.0"),
    (aj.clip_by_global_norm, {"max_norm": 0}, "max_norm must be in (0, inf), got 0"),
    (aj.bound_lr, {"base_lr": 0.0}, "base_lr must be in (0, inf), got 0.0"),
    (aj.bound_lr, {"base_lr": lambda c: 1.0}, "base_lr must be a number in (0, inf), got a sched"),
    (aj.bound_lr, {"base_lr": 1.0, "gamma": 0.0}, "gamma must be in (0, inf), got 0.0"),
    (aj.bound_lr, {"base_lr": 1.0, "lower": 0.1}, "both lower and upper, or neither"),
    (aj.bound_lr, {"base_lr": 1.0, "lower": 1.0, "upper": 0.1}, "lower must not exceed upper"),
    (
        aj.bound_lr,
        {"base_lr": 1.0, "lower": 0.1, "upper": 1.0, "gamma": 0.1},
        "final_lr and gamma, or lower and upper, not both",
    ),
    (aj.convergent_bounds, {"final_lr": 0.1, "m": 9.0}, "m must be in [10.0, inf), got 9.0"),
    (aj.adabound, {"learning_rate": lambda c: 0.1}, "needs base_lr"),
    (aj.amsbound, {"learning_rate": lambda c: 0.1}, "adabound(schedule, base_lr=1e-3)"),
    (
        aj.add_proximal_decay,
        {"weight_decay": 2.0, "learning_rate": -0.5},
        "1 + learning_rate * weight_decay must be positive, got learning_rate -0.5",
    ),
    (aj.adopt, {"clip_exponent": -1.0}, "clip_exponent must be in [0, inf), got -1.0"),
    (aj.ademamix_warmup, {"warmup_steps": 0}, "warmup_steps must be a whole number of at least 1"),
    (aj.ademamix_warmup, {"warmup_steps": 9, "b3": 1.0}, "b3 must be in (0, 1), got 1.0"),
    (aj.adashift, {"keep_num": 0}, "keep_num must be a whole number of at least 1, got 0"),
    (aj.adashift, {"reduce": "sum"}, "reduce must be 'max', 'mean' or None, got 'sum'"),
]


@pytest.mark.parametrize(
    ("make", "arguments", "message"), BAD, ids=[f"{m.__name__}-{next(iter(a))}" for m, a, _ in BAD]
)
def test_out_of_range(make, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make(**arguments)


@pytest.mark.parametrize("value", ["0.1", None, True, 1j, [0.1]])
def test_no_number(value):
    with pytest.raises(TypeError, match=r"b1 must be a number in \[0, 1\), got"):
        aj.scale_by_adam(b1=value)


@pytest.mark.parametrize("case", [c for c in CASES if c.hyper], ids=repr)
def test_every_hyperparameter_of_every_case_is_checked(case):
    for name in case.hyper:
        for bad in (float("nan"), -float("inf")):
            with pytest.raises(ValueError, match=f"{name} must be in"):
                case.build(**{name: bad})


def test_traced_values_are_not_checked():
    jax.jit(lambda b1: aj.scale_by_adam(b1=b1).init(jnp.ones(2)))(2.0)


def test_steps():
    for three in (3, 3.0, np.int8(3), np.array(3), jnp.array(3), jnp.array(3.0)):
        assert validation.steps("n", three) == 3
    assert validation.steps("n", 10**12) == 10**12
    with pytest.raises(ValueError, match="known when the program is traced"):
        jax.eval_shape(lambda n: validation.steps("n", n), 3)
    for bad in (0, -1, 1.5, float("nan"), float("inf"), True, "3", 10**400, jnp.arange(3)):
        with pytest.raises(ValueError, match="n must be a whole number of at least 1"):
            validation.steps("n", bad)


def test_registry_entries_are_complete():
    for name, entry in registry.OPTIMIZERS.items():
        assert entry.factory is getattr(aj, name)
        assert "learning_rate" in entry.defaults
        low, high = entry.search["learning_rate"]
        assert high == pytest.approx(1000 * low)
        assert low <= entry.defaults["learning_rate"] <= high
        assert entry.description and entry.reference
        entry.factory()
