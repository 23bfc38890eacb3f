"""The presets: PyTorch's and Keras's constructor calls, what they mean and what they refuse."""

import functools
import inspect
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptive_jax.presets import keras, torch
from tests.test_contract import run
from tests.test_exactness import FOLDER, TRAJECTORIES, shared_inputs
from tests.test_exactness import run as run_all
from tests.test_presets_schedulers import build

TORCH = json.loads((FOLDER / "torch.json").read_text())
KERAS = json.loads((FOLDER / "keras.json").read_text())
LIBRARIES = {"torch": torch, "keras": keras}


def names(library):
    """Its optimizers among the presets."""
    module = LIBRARIES[library]
    return [name for name in vars(module) if name[0].isupper()]


every_preset = pytest.mark.parametrize(
    ("library", "name"), [(library, name) for library in LIBRARIES for name in names(library)]
)


# Recorded trajectories of what the libraries do around and between their optimizers.


def make_torch(case):
    arguments = dict(case["arguments"])
    if case["scheduler"]:
        name, others = case["scheduler"]
        base = {} if "base_lr" in others or "max_lr" in others else {"lr": arguments["lr"]}
        rate = arguments["lr"] = build(name, others, **base)
        if rate.momentum is not None and "momentum" in TORCH["arguments"][case["name"]]:
            arguments["momentum"] = rate.momentum
        elif rate.momentum is not None:
            arguments["betas"] = (rate.momentum, TORCH["arguments"][case["name"]]["betas"][1])
    return getattr(torch, case["name"])(**arguments)


def make_keras(case):
    arguments = dict(case["arguments"])
    if isinstance(arguments.get("learning_rate"), list):
        name, others = arguments["learning_rate"]
        arguments["learning_rate"] = getattr(keras.schedules, name)(**others)
    return getattr(keras, case["name"])(**arguments)


RECORDED = [
    (f"{library}/{case['name']}/{i}", make, case)
    for library, make, cases in (
        ("torch", make_torch, TORCH["optimizers"]),
        ("keras", make_keras, KERAS["optimizers"]),
    )
    for i, case in enumerate(cases)
]


@functools.cache
def recorded_paths(leaves):
    params, grads = shared_inputs()
    return run_all(
        {
            label: functools.partial(make, case)
            for label, make, case in RECORDED
            if tuple(case["after"]["1"]) == leaves
        },
        {leaf: params[leaf] for leaf in leaves},
        {leaf: grads[leaf][:24] for leaf in leaves},
    )


@pytest.mark.parametrize(("label", "make", "case"), RECORDED, ids=[label for label, *_ in RECORDED])
def test_equals_what_was_recorded(label, make, case):
    path = recorded_paths(tuple(case["after"]["1"]))[label]
    for step, expected in case["after"].items():
        for leaf, value in expected.items():
            difference = np.max(np.abs(path[leaf][int(step) - 1] - np.array(value)))
            assert difference <= (1e-9 if case["name"] == "Muon" else 1e-12), (step, leaf)


@pytest.mark.parametrize(
    "case", [case for case in KERAS["optimizers"] if "final" in case], ids=lambda case: case["name"]
)
def test_the_mean_at_the_end_is_kerass(case):
    with jax.enable_x64(True):
        tx = make_keras(case)
        params, grads = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), shared_inputs())
        params, state, _ = run(tx, params, jax.tree.map(lambda g: g[:24], grads), 24)
        final = keras.finalize_variable_values(params, (state, {"other": 1}))
        for leaf, value in case["final"].items():
            np.testing.assert_allclose(final[leaf], value, rtol=0, atol=1e-12)


# The constructors.


@every_preset
def test_defaults_are_the_librarys(library, name):
    recorded = {"torch": TORCH, "keras": KERAS}[library]["arguments"][name]
    ours = inspect.signature(getattr(LIBRARIES[library], name)).parameters
    assert not recorded.keys() - ours.keys() - {"foreach"}
    for key, default in recorded.items():
        if key in ours:
            assert ours[key].default == (tuple(default) if isinstance(default, list) else default)


@every_preset
def test_positional_arguments_have_the_librarys_order(library, name):
    recorded = list({"torch": TORCH, "keras": KERAS}[library]["arguments"][name])
    ours = inspect.signature(getattr(LIBRARIES[library], name)).parameters.values()
    positional = [p.name for p in ours if p.kind is not p.KEYWORD_ONLY]
    assert positional == recorded[: len(positional)]


def test_every_dense_optimizer_has_a_preset():
    recorded = {
        library: {c["name"] for c in TRAJECTORIES if c["source"] == library}
        for library in LIBRARIES
    }
    assert set(names("torch")) == recorded["torch"]
    assert set(names("keras")) == recorded["keras"] | {"Muon", "ScheduleFreeAdamW"}
