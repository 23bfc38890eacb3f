"""Optax's own test suites, as they ship in its wheel, with our factories in place of Optax's.

The modules are loaded anew from the installed package, and their look-ups of an optimizer by name
lead here. What is left out of them is written down below, and nothing else is.
"""

import functools
import importlib.util
import os
import re
import warnings
from unittest import mock

import jax
import optax
import pytest

import adaptive_jax as aj
from adaptive_jax.registry import OPTIMIZERS

pytestmark = pytest.mark.relaxed


def adafactor(learning_rate=1e-2, min_dim_size_to_factor=2):
    """With an argument that the suites name; ours factors matrices of any size."""
    return aj.adafactor(learning_rate)


def adamaxw(learning_rate=2e-3, b1=0.9, b2=0.999, eps=1e-8, weight_decay=1e-4):
    """Optax's alias, which is a chain here."""
    return aj.chain(
        aj.scale_by_adamax(b1, b2, eps),
        aj.add_decayed_weights(weight_decay),
        aj.scale_by_learning_rate(learning_rate),
    )


# Where our arguments are a paper's or PyTorch's and the suites count on Optax's.
AS_OPTAX = {
    "adafactor": adafactor,
    "adamaxw": adamaxw,
    "adadelta": functools.partial(aj.adadelta, rho=0.9),
    "adamw": functools.partial(aj.adamw, weight_decay=1e-4),
    "adan": functools.partial(aj.adan, weight_decay=None),
    "lamb": functools.partial(aj.lamb, weight_decay=0.0),
    "muon": functools.partial(aj.muon, weight_decay=0.0),
    "nadamw": functools.partial(aj.nadamw, weight_decay=1e-4),
}
OURS = {name: entry.factory for name, entry in OPTIMIZERS.items()} | AS_OPTAX
# Optimizers that Optax's suites name and this library does not have.
NOT_HERE = {
    *("fromage", "noisy_sgd", "optimistic_adam", "optimistic_adam_v2"),
    *("optimistic_gradient_descent", "polyak_sgd", "signum"),
    *("acprop", "simplified_ademamix", "cocob", "dadapt_adamw", "dog", "dowg", "madgrad", "momo"),
    *("momo_adam", "prodigy", "sophia", "galore"),
    "sgd_mom",  # a name of `test_explicit_dtype` for SGD
}
# Tests of what this library does otherwise on purpose.
LEFT_OUT = {
    "test_explicit_dtype": "state is float32 or wider, and no recipe has an argument for its dtype",
    "test_microbatch_with_explicit_sharding": "is about no optimizer",
}


def load(name):
    """A copy of the module of its own, apart from the one that Optax may import."""
    spec = importlib.util.find_spec(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def keep(test_case, name_of):
    """Takes out of the suite what is left out; returns the names of the optimizers it had."""
    named = set()
    for test in [name for name in dir(test_case) if name.startswith("test_")]:
        function = getattr(test_case, test)
        optimizer = name_of(test, function)
        named |= {optimizer} - {None}
        if test.startswith(tuple(LEFT_OUT)) or optimizer not in OURS or repeats(test, function):
            delattr(test_case, test)
    return named


def repeats(test, function):
    """Whether it is alias_test's again: of a wrapped optimizer this test leaves out the wrapper."""
    of_wrapper = "wrapper_name='" in getattr(function, "__x_params_repr__", "")
    return of_wrapper and test.startswith("test_state_shape_dtype_shard_stability")


def last_words(test, function):
    named = [name for name in sharding_suite.OPTIMIZERS if test.endswith(f"_{name}")]
    return max(named, key=len, default="").removesuffix("2")


def parameter(test, function):
    found = re.search(r"opt_name='(\w+)'", getattr(function, "__x_params_repr__", ""))
    return found and found[1]


alias_suite = load("optax._src.alias_test")
alias_suite._get_opt = lambda self, name: OURS[name]
AliasTest = alias_suite.AliasTest
NAMED = keep(AliasTest, parameter)

common_suite = load("optax.contrib._common_test")
common_suite._get_opt_factory = lambda name: OURS[name]
ContribTest = common_suite.ContribTest
NAMED |= keep(ContribTest, parameter)

with (
    mock.patch.multiple(optax, **{name: f for name, f in OURS.items() if hasattr(optax, name)}),
    mock.patch.dict(os.environ),  # it asks for 8 devices there; tests/conftest.py already has
    warnings.catch_warnings(action="ignore"),  # of Optax's about Optax's noisy_sgd
):
    sharding_suite = load("optax._src.sharding_test")
keep(sharding_suite.ShardingTest, last_words)


class ShardingTest(sharding_suite.ShardingTest):
    def setUp(self):
        super().setUp()
        # It skips itself if jax.__version__ < "0.7.2", and as texts "0.10" is before "0.7".
        self.enterContext(mock.patch.object(jax, "__version__", "1"))


def test_what_is_left_out_is_written_down():
    assert NAMED - set(OURS) == NOT_HERE
