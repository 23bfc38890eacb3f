"""The presets: PyTorch's and Keras's constructor calls, what they mean and what they refuse."""

import functools
import inspect
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptive_jax as aj
from adaptive_jax.presets import keras, torch
from tests.test_contract import assert_close, make_grads, make_params, run
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


def defaults(library, name):
    """Returns the default arguments of a constructor, as keyword arguments."""
    ours = inspect.signature(getattr(LIBRARIES[library], name)).parameters.values()
    return {p.name: p.default for p in ours}


@every_preset
def test_constructors_take_every_argument_by_name(library, name):
    make = getattr(LIBRARIES[library], name)
    tx = make(**defaults(library, name))
    assert isinstance(tx, optax.GradientTransformationExtraArgs)
    params = {"w": jnp.ones((2, 3))}
    plain = make()
    updates, _ = tx.update(params, tx.init(params), params)
    assert_close(updates, plain.update(params, plain.init(params), params)[0], rtol=0, atol=0)


@every_preset
def test_numbers_are_checked_under_the_librarys_names(library, name):
    make = getattr(LIBRARIES[library], name)
    for key, default in defaults(library, name).items():
        if isinstance(default, float) and key != "learning_rate_power":
            with pytest.raises(ValueError, match=rf"{key}.* must be in .*, got nan"):
                make(**{key: float("nan")})
            with pytest.raises(TypeError, match=rf"{key}.* must be a number"):
                make(**{key: "much"})


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("argument", ["foreach", "fused", "capturable", "differentiable", "name"])
def test_ignored_arguments_change_nothing(library, argument):
    if (argument == "name") == (library == "torch"):
        with pytest.raises(TypeError, match=f"has no '{argument}'"):
            LIBRARIES[library].Adam(**{argument: True})
    else:
        updates = [
            tx.update(jnp.ones(2), tx.init(jnp.ones(2)))[0]
            for tx in (LIBRARIES[library].Adam(), LIBRARIES[library].Adam(**{argument: "x"}))
        ]
        assert_close(*updates, rtol=0, atol=0)


MISNAMED = [
    ("torch", "Adam", "beta1", "'betas'"),
    ("torch", "Adam", "learning_rate", "'lr'"),
    ("torch", "Adam", "epsilon", "'eps'"),
    ("torch", "Adam", "beta_1", "'betas'"),
    ("torch", "RMSprop", "rho", "'alpha'"),
    ("torch", "Adagrad", "initial_accumulator", "'initial_accumulator_value'"),
    ("torch", "SGD", "wieght_decay", "'weight_decay'"),
    ("torch", "SGD", "params", "are passed to init"),
    ("keras", "Adam", "lr", "'learning_rate'"),
    ("keras", "Adam", "betas", "'beta_1'"),
    ("keras", "Adam", "eps", "'epsilon'"),
    ("keras", "RMSprop", "alpha", "'rho'"),
    ("keras", "SGD", "clip_norm", "'clipnorm'"),
    ("keras", "SGD", "decay", "InverseTimeDecay"),
]


@pytest.mark.parametrize(("library", "name", "argument", "meant"), MISNAMED)
def test_an_unknown_argument_is_told_what_was_meant(library, name, argument, meant):
    with pytest.raises(
        TypeError, match=rf"presets.{library}.{name} has no '{argument}': .*{meant}"
    ):
        getattr(LIBRARIES[library], name)(**{argument: 0.9})


@pytest.mark.parametrize(
    "params",
    [[], iter([]), {"w": 1.0}, jnp.ones(3), None],
    ids=lambda params: type(params).__name__,
)
def test_parameters_do_not_come_first(params):
    with pytest.raises(TypeError, match=r"model\.parameters\(\) first; here leave it out"):
        torch.Adam(params, lr=0.1)
    with pytest.raises(TypeError, match="expected the learning rate"):
        keras.Adam(params)
    with pytest.raises(TypeError, match="the optimizer first; here pass its learning rate"):
        torch.lr_scheduler.StepLR(params, step_size=3)


POSITIONAL = {
    "RMSprop": ["capturable", "foreach", "maximize", "differentiable"],
    "ASGD": ["foreach", "maximize", "differentiable", "capturable"],
    "Adagrad": ["foreach"],
    "Adadelta": ["foreach"],
    "Adamax": ["foreach"],
}


@pytest.mark.parametrize("name", POSITIONAL)
def test_what_torch_takes_by_position_is_taken(name):
    recorded, last = TORCH["arguments"].get(name), POSITIONAL[name]
    given = [recorded[key] for key in recorded if key not in [*last, "maximize"]]
    given = given[: list(recorded).index(last[0])]
    given = [tuple(value) if isinstance(value, list) else value for value in given]
    make = getattr(torch, name)
    tx = make(*given, *[key == "maximize" for key in last])
    plain = make(maximize="maximize" in last)
    params = jnp.ones(2)
    updates = [t.update(params, t.init(params), params)[0] for t in (tx, plain)]
    assert_close(*updates, rtol=0, atol=0)


@pytest.mark.parametrize(
    "rate", [0.1, 1, np.array(0.1), np.float32(0.1), jnp.array(0.1), lambda count: 0.1]
)
def test_the_rate_may_come_first(rate):
    for tx in (torch.SGD(rate), keras.SGD(rate)):
        assert tx.update(jnp.ones(2), tx.init(jnp.ones(2)))[0].shape == (2,)


def test_a_function_without_arguments_is_a_rate_in_keras():
    def rate(*, scale=0.1):
        return scale

    for given in (lambda: 0.1, rate):
        for tx in (keras.SGD(given), keras.SGD(given, gradient_accumulation_steps=2)):
            state = tx.init(0.0)
            for _ in range(2):
                update, state = tx.update(1.0, state)
            np.testing.assert_allclose(update, -0.1, rtol=1e-6)
    # Keras would call this one without the count.
    tx = keras.SGD(lambda count=5: jnp.where(count == 5, 1.0, 0.0))
    assert tx.update(1.0, tx.init(0.0))[0] == 0


def test_keras_clips_by_positive_numbers_alone():
    for limit in ("clipnorm", "clipvalue", "global_clipnorm"):
        tx = keras.SGD(1.0, **{limit: -1.0})
        assert tx.update(5.0, tx.init(0.0))[0] == -5


@every_preset
def test_what_a_method_refuses_it_calls_by_the_librarys_name(library, name):
    """Also where it is a transform that refuses the value."""
    make = getattr(LIBRARIES[library], name)
    for key, default in defaults(library, name).items():
        for value in (-1.0, 0.0, 1.0, 1.5) if isinstance(default, (float, tuple)) else ():
            given = value if isinstance(default, float) else (value,) * len(default)
            try:
                make(**{key: given})
            except ValueError as error:
                assert str(error).startswith(key), error


def test_what_is_not_here_says_what_to_use():
    for module, name, message in [
        (torch, "LBFGS", r"use optax\.lbfgs"),
        (torch, "SparseAdam", "use Adam"),
        (torch, "adam", "did you mean 'Adam'"),
        (keras, "LossScaleOptimizer", "apply_if_finite"),
        (keras, "MultiOptimizer", r"optax\.partition"),
        (keras, "Adams", "did you mean 'Adam'"),
        (torch.lr_scheduler, "CosineLR", "did you mean"),
        (keras.schedules, "CosineDecays", "did you mean 'CosineDecay'"),
    ]:
        assert not hasattr(module, name)
        with pytest.raises(AttributeError, match=message):
            getattr(module, name)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: torch.SGD(nesterov=True), "Nesterov momentum requires a momentum and zero damp"),
        (lambda: torch.SGD(momentum=0.9, dampening=0.1, nesterov=True), "zero dampening"),
        (lambda: torch.Adam(betas=(0.9, 1.0)), r"betas\[1\] must be in \[0, 1\), got 1.0"),
        (lambda: torch.Adam(weight_decay=-1), r"weight_decay must be in \[0, inf\), got -1"),
        (lambda: torch.Rprop(lr=lambda count: 0.1), "lr must be a number .*, got a schedule"),
        (lambda: torch.Muon(adjust_lr_fn="none"), "adjust must be one of"),
        (lambda: keras.Adam(clipnorm=1.0, clipvalue=1.0), "Only one of `clipnorm`, `clipvalue`"),
        (lambda: keras.Adam(gradient_accumulation_steps=1), "gradient_accumulation_steps must be"),
        (
            lambda: keras.Adam(use_ema=True, ema_overwrite_frequency=0.5),
            "ema_overwrite_frequency must be a whole number",
        ),
        (lambda: keras.Adam(ema_momentum=2.0), r"ema_momentum must be in \[0, 1\]"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: torch.Adam(betas=0.9), "betas must be 2 numbers, got 0.9"),
        (lambda: torch.Adam(betas=(0.9,)), "betas must be 2 numbers"),
        (lambda: keras.AdamW(weight_decay=None), "weight_decay must be a number"),
        (lambda: torch.Adam(0.1, (0.9, 0.99), 1e-8, 0.0, False, True), "too many positional"),
    ],
)
def test_arguments_of_the_wrong_kind_are_refused(make, message):
    with pytest.raises(TypeError, match=message):
        make()


# In use.


@pytest.mark.parametrize("make", [torch.SGD, torch.RMSprop, torch.Adam])
def test_hyperparameters_can_be_injected(make):
    """So what a constructor leaves out for a 0 must not depend on whether that is traced."""
    tx = optax.inject_hyperparams(make)(lr=0.1)
    params, grads = make_params(), make_grads()
    expected, _, _ = run(make(lr=0.1), params, grads)
    assert_close(run(tx, params, grads)[0], expected)


@pytest.mark.parametrize("name", names("torch"))
def test_a_sweep_over_torchs_rates_is_one_vmap(name):
    params = {"w": jnp.linspace(-1, 1, 6).reshape(2, 3)}
    grads = {"w": jnp.stack([params["w"], -params["w"] + 0.1])}
    rates = jnp.array([0.01, 0.1])
    make = getattr(torch, name)
    swept = jax.vmap(lambda rate: run(make(lr=rate), params, grads, 2)[0]["w"])(rates)
    for rate, found in zip(rates, swept, strict=True):
        expected, _, _ = run(make(lr=float(rate)), params, grads, 2)
        assert_close(found, expected["w"], rtol=1e-4, atol=1e-5)


def test_accumulated_gradients_are_averaged_and_clipped_together():
    params, grads = make_params(), make_grads(6)
    tx = keras.SGD(0.1, momentum=0.9, global_clipnorm=0.5, gradient_accumulation_steps=3)
    _, _, updates = run(tx, params, grads, 6)
    for leaf in jax.tree.leaves(updates):
        assert not np.any(leaf[:2]) and not np.any(leaf[3:5])
    means = jax.tree.map(lambda g: g.reshape(2, 3, *g.shape[1:]).mean(1), grads)
    plain = keras.SGD(0.1, momentum=0.9, global_clipnorm=0.5)
    expected, _, _ = run(plain, params, means, 2)
    assert_close(run(tx, params, grads, 6)[0], expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.complex64])
def test_gradients_are_accumulated_in_full_precision(dtype):
    params = {"w": jnp.ones(2, dtype)}
    tx = keras.SGD(1.0, gradient_accumulation_steps=300)
    grads = {"w": jnp.full((300, 2), 0.01, dtype)}
    after, state, updates = run(tx, params, grads, 300)
    assert after["w"].dtype == dtype
    assert {x.dtype for x in jax.tree.leaves(state)} <= {
        jnp.dtype(d) for d in (jnp.int32, jnp.float32, jnp.complex64)
    }
    np.testing.assert_allclose(np.asarray(updates["w"][-1], complex), -0.01, rtol=3e-3)


@pytest.mark.parametrize("bad", [jnp.nan, jnp.inf])
def test_a_bad_gradient_is_not_kept_back(bad):
    tx = optax.apply_if_finite(keras.SGD(1.0, gradient_accumulation_steps=3), 5)
    params = jnp.array(0.0)
    state = tx.init(params)
    for grad in (1.0, bad, 1.0, 1.0):
        updates, state = tx.update(jnp.array(grad), state, params)
    assert int(state.total_notfinite) == 1
    np.testing.assert_allclose(updates, -1.0, rtol=1e-6)


def test_the_mean_is_found_wherever_it_is():
    params = {"w": jnp.ones(2, jnp.bfloat16)}
    tx = optax.apply_if_finite(keras.Adam(0.1, use_ema=True, ema_momentum=0.5), 3)
    state = tx.init(params)
    assert_close(keras.finalize_variable_values(params, state), params, rtol=0, atol=0)
    after, state, _ = run(tx, params, {"w": jnp.ones((3, 2), jnp.bfloat16)}, 3)
    final = keras.finalize_variable_values(after, state)
    assert final["w"].dtype == jnp.bfloat16
    assert np.all(final["w"] > after["w"])
    plain = keras.Adam(0.1).init(params)
    assert keras.finalize_variable_values(params, plain) is params
    with pytest.raises(ValueError, match="2 averages of parameters"):
        keras.finalize_variable_values(params, (state, state))
    with pytest.raises(ValueError, match="do not match"):
        keras.finalize_variable_values({"v": params["w"]}, state)


def test_averaged_parameters_of_asgd_can_be_read():
    params = {"w": jnp.zeros(2)}
    _, state, _ = run(torch.ASGD(lr=0.1, t0=0), params, {"w": jnp.ones((4, 2))}, 4)
    assert np.all(aj.averaged_params(state)["w"] < 0)


def test_kerass_muon_tells_matrices_apart_by_name():
    params = {"dense": {"kernel": jnp.eye(2)}, "Embedding_1": {"table": jnp.eye(2)}}
    grads = jax.tree.map(lambda p: 3 * p + 1, params)
    for arguments, adams in [
        ({}, {"Embedding_1"}),
        ({"exclude_embeddings": False}, set()),
        ({"exclude_layers": ["dense/ker"]}, {"Embedding_1", "dense"}),
    ]:
        tx = keras.Muon(0.1, weight_decay=None, adam_weight_decay=None, **arguments)
        updates, _ = tx.update(grads, tx.init(params), params)
        for name, (update,) in {k: tuple(v.values()) for k, v in updates.items()}.items():
            assert (np.ptp(update) < 1e-3) == (name in adams)
