"""The schedulers of PyTorch and the schedules of Keras, against recorded numbers."""

import inspect
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptive_jax as aj
from adaptive_jax.presets import keras, torch
from adaptive_jax.presets.torch import lr_scheduler

FOLDER = Path(__file__).parent / "reference"
RECORDED = json.loads((FOLDER / "torch.json").read_text())
OWN_RATE = {"CyclicLR", "OneCycleLR", "SequentialLR", "ChainedScheduler"}


def build(name, arguments, **changed):
    """Our scheduler from what torch's was given."""
    arguments = {
        key: eval(value) if isinstance(value, str) and value.startswith("lambda") else value
        for key, value in arguments.items()
    }
    if "schedulers" in arguments:
        arguments["schedulers"] = [build(*part) for part in arguments["schedulers"]]
    base = {} if name in OWN_RATE else {"lr": RECORDED["lr"]}
    return getattr(lr_scheduler, name)(**{**base, **arguments, **changed})


def label(case):
    parts = case["arguments"].get("schedulers", [])
    return "-".join([case["name"], *(part[0] for part in parts)])


every_case = pytest.mark.parametrize("case", RECORDED["schedulers"], ids=label)


def values(schedule, counts):
    return jax.jit(jax.vmap(schedule))(jnp.asarray(counts, jnp.int32))


@every_case
def test_schedulers_equal_torch(case):
    counts = np.arange(len(case["lr"]))
    with jax.enable_x64(True):
        schedule = build(case["name"], case["arguments"])
        rates = values(schedule, counts)
        assert rates.dtype == jnp.float64
        np.testing.assert_allclose(rates, case["lr"], rtol=1e-12, atol=1e-14)
        if "momentum" in case:
            np.testing.assert_allclose(values(schedule.momentum, counts), case["momentum"], 1e-12)
    single = values(build(case["name"], case["arguments"]), counts)
    np.testing.assert_allclose(single, case["lr"], rtol=2e-6, atol=1e-7 * max(case["lr"]))


@pytest.mark.parametrize("case", RECORDED["further schedulers"], ids=label)
def test_compositions_are_what_torch_makes_of_them(case):
    with jax.enable_x64(True):
        rates = values(build(case["name"], case["arguments"]), np.arange(len(case["lr"])))
    np.testing.assert_allclose(rates, case["lr"], rtol=1e-11, atol=1e-14)


def test_every_scheduler_of_torch_is_here():
    recorded = {case["name"] for case in RECORDED["schedulers"]} | {"ReduceLROnPlateau"}
    here = {name for name in vars(lr_scheduler) if name[0].isupper()}
    assert recorded == here - {"Scheduler"}


@every_case
def test_steps_by_epochs_and_from_later_on(case):
    # MultiplicativeLR calls its function once a step: 2^31 of them would take half a minute.
    last = 10_000 if "MultiplicativeLR" in label(case) else 2**31 - 1
    counts = np.array([0, 1, 5, 6, 17, 18, 40, last])
    plain = build(case["name"], case["arguments"])
    per_epoch = build(case["name"], case["arguments"], updates_per_step=6)
    later = build(case["name"], case["arguments"], last_epoch=4)
    shifted = np.minimum(counts.astype(np.int64) + 5, 2**31 - 1)

    @jax.jit
    @jax.vmap
    def both(count, epoch, shifted):  # one program, which compiles sooner than four
        return (per_epoch(count), plain(epoch)), (later(count), plain(shifted))

    inputs = (jnp.asarray(n, jnp.int32) for n in (counts, counts // 6, shifted))
    by_epoch, by_place = both(*inputs)
    np.testing.assert_array_equal(*by_epoch)
    np.testing.assert_allclose(*by_place, rtol=1e-6)


@every_case
def test_takes_any_integer_and_gives_a_float(case):
    schedule = build(case["name"], case["arguments"])
    for count in (3, np.int32(3), jnp.int32(3)):
        value = schedule(count)
        assert jnp.shape(value) == () and jnp.result_type(value) == jnp.float32
        np.testing.assert_allclose(value, case["lr"][3], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["StepLR", "CosineAnnealingLR", "LinearLR", "OneCycleLR"])
def test_rates_may_be_swept_and_differentiated(name):
    case = next(case for case in RECORDED["schedulers"] if case["name"] == name)
    rate = "max_lr" if name == "OneCycleLR" else "lr"

    def at_three(value):
        return build(name, case["arguments"], **{rate: value})(3)

    rates = jnp.array([0.1, 0.2])
    one, two = jax.vmap(at_three)(rates)
    np.testing.assert_allclose(two, 2 * one, rtol=1e-6)
    np.testing.assert_allclose(jax.grad(at_three)(0.1), one / 0.1, rtol=1e-5)


@pytest.mark.parametrize(
    "case", RECORDED["plateau"]["cases"], ids=lambda case: str(case["arguments"])
)
@pytest.mark.parametrize("updates_per_step", [1, 3])
def test_plateau_equals_torch(case, updates_per_step):
    base, given = RECORDED["lr"], RECORDED["plateau"]["values"]
    with jax.enable_x64(True):
        tx = aj.chain(
            aj.presets.torch.SGD(lr=base),
            lr_scheduler.ReduceLROnPlateau(
                base, **case["arguments"], updates_per_step=updates_per_step
            ),
        )
        # What is given between the calls of torch's step() is not looked at.
        looked_at = np.repeat([np.nan, *given], updates_per_step)
        unseen = np.arange(len(looked_at)) % updates_per_step != 0
        looked_at = jnp.asarray(np.where(unseen, -100.0, looked_at))

        def step(state, value):
            update, state = tx.update(jnp.ones((), jnp.float64), state, value=value)
            return state, -update

        state, rates = jax.lax.scan(step, tx.init(jnp.zeros((), jnp.float64)), looked_at)
        expected = np.repeat(case["lr"], updates_per_step)
        np.testing.assert_allclose(rates, expected, rtol=1e-12)
        np.testing.assert_allclose(state[1].lr, case["lr"][-1], rtol=1e-12)


def test_plateau_in_half_precision_and_without_a_value():
    tx = lr_scheduler.ReduceLROnPlateau(0.1)
    params = {"w": jnp.ones(2, jnp.bfloat16)}
    state = tx.init(params)
    updates, after = jax.jit(tx.update)(params, state, params, value=jnp.float16(1.0))
    assert updates["w"].dtype == jnp.bfloat16
    assert jax.tree.map(lambda x: x.dtype, after) == jax.tree.map(lambda x: x.dtype, state)
    with pytest.raises(ValueError, match=r"update\(gradients, state, params, value=loss\)"):
        tx.update(params, state, params)


CYCLIC = {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 4}
BAD = [
    ("StepLR", {"lr": -1.0, "step_size": 3}, r"lr must be in \[0, inf\)"),
    ("StepLR", {"lr": 0.1, "step_size": 0}, "step_size must be a whole number"),
    ("StepLR", {"lr": 0.1, "step_size": 3, "gamma": -0.1}, r"gamma must be in \[0, inf\)"),
    ("StepLR", {"lr": 0.1, "step_size": 3, "last_epoch": -2}, "last_epoch must be"),
    ("StepLR", {"lr": 0.1, "step_size": 3, "updates_per_step": 0}, "updates_per_step must be"),
    ("MultiStepLR", {"lr": 0.1, "milestones": [3, -1]}, r"milestones\[1\] must be"),
    ("ConstantLR", {"lr": 0.1, "factor": 0.0}, r"factor must be in \(0, 1\]"),
    ("ConstantLR", {"lr": 0.1, "total_iters": -1}, "total_iters must be"),
    ("LinearLR", {"lr": 0.1, "start_factor": 2.0}, r"start_factor must be in \(0, 1\]"),
    ("CosineAnnealingWarmRestarts", {"lr": 0.1, "T_0": 5, "T_mult": 0}, "T_mult must be"),
    ("SWALR", {"lr": 0.1, "swa_lr": 0.1, "anneal_strategy": "cosine"}, "'cos' or 'linear'"),
    ("CyclicLR", {**CYCLIC, "mode": "square"}, "mode must be 'triangular' or"),
    ("CyclicLR", {**CYCLIC, "scale_mode": "cycles"}, "scale_mode must be"),
    ("OneCycleLR", {"max_lr": 0.1}, "needs total_steps, or epochs and steps_per_epoch"),
    ("OneCycleLR", {"max_lr": 0.1, "total_steps": 10, "pct_start": 0.1}, "must not be 1"),
    ("OneCycleLR", {"max_lr": 0.1, "total_steps": 10, "pct_start": 2.0}, "pct_start must be in"),
    ("ReduceLROnPlateau", {"lr": 0.1, "mode": "least"}, "mode must be 'min' or 'max'"),
    ("ReduceLROnPlateau", {"lr": 0.1, "factor": 1.0}, r"factor must be in \[0, 1\)"),
    ("ReduceLROnPlateau", {"lr": 0.1, "threshold_mode": "x"}, "threshold_mode must be"),
    ("ReduceLROnPlateau", {"lr": 0.1, "patience": -1}, "patience must be"),
]


@pytest.mark.parametrize(("name", "arguments", "message"), BAD, ids=str)
def test_bad_arguments_are_named(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(lr_scheduler, name)(**arguments)


def test_numbers_may_be_arrays_of_any_library():
    expected = lr_scheduler.StepLR(0.1, 3, 0.5)(4)
    for one, many in [(np.array, np.array), (np.float64, np.int64), (Tensor, Tensor)]:
        lr = lr_scheduler.StepLR(one(0.1), step_size=many(3), gamma=one(0.5))
        np.testing.assert_allclose(lr(4), expected, rtol=1e-6)
    lr = lr_scheduler.StepLR(jnp.array(0.1), jnp.array(3), jnp.array(0.5))
    np.testing.assert_allclose(lr(4), expected, rtol=1e-6)


class Tensor:
    """An array with the methods of PyTorch's tensors that schedulers use."""

    def __init__(self, value):
        self.value, self.shape, self.ndim = value, (), 0

    def item(self):
        return self.value


def test_a_list_for_the_groups_of_torch_has_one_value():
    tx = lr_scheduler.ReduceLROnPlateau(0.1, factor=0.5, patience=0, min_lr=[0.04])
    state = tx.init(jnp.zeros(()))
    for _ in range(5):
        _, state = tx.update(jnp.ones(()), state, value=1.0)
    np.testing.assert_allclose(state.lr, 0.04, rtol=1e-6)
    assert lr_scheduler.CyclicLR([0.1], [0.5], step_size_up=5)(5) == jnp.float32(0.5)
    assert lr_scheduler.LambdaLR(0.1, [lambda epoch: 2.0])(0) == jnp.float32(0.2)
    for name, make in [
        ("min_lr", lambda two: lr_scheduler.ReduceLROnPlateau(0.1, min_lr=two)),
        ("max_lr", lambda two: lr_scheduler.OneCycleLR(two, total_steps=9)),
    ]:
        with pytest.raises(TypeError, match=rf"{name} must be one value, got 2: .*partition"):
            make([0.1, 0.2])


def test_misnamed_arguments_and_wrong_kinds():
    with pytest.raises(TypeError, match="StepLR has no 'optimizer': pass the learning rate"):
        lr_scheduler.StepLR(optimizer=0.1, step_size=3)
    with pytest.raises(TypeError, match="StepLR has no 'learning_rate': did you mean 'lr'"):
        lr_scheduler.StepLR(learning_rate=0.1, step_size=3)
    with pytest.raises(TypeError, match="has no 'decay_rate': did you mean 'gamma'"):
        lr_scheduler.ExponentialLR(0.1, decay_rate=0.5)
    with pytest.raises(TypeError, match="'initial_learning_rate'"):
        keras.schedules.ExponentialDecay(learning_rate=0.1, decay_steps=3, decay_rate=0.5)
    with pytest.raises(TypeError, match="lr_lambda must be a function"):
        lr_scheduler.LambdaLR(0.1, 0.5)
    with pytest.raises(TypeError, match="needs schedules, got GradientTransformationExtraArgs at"):
        lr_scheduler.SequentialLR([lr_scheduler.ReduceLROnPlateau(0.1)], milestones=[])


def test_a_function_that_cannot_be_traced_is_told_why():
    schedule = lr_scheduler.LambdaLR(0.1, lambda epoch: 1.0 if epoch < 3 else 0.5)
    np.testing.assert_allclose(schedule(5), 0.05, rtol=1e-6)
    with pytest.raises(jax.errors.TracerBoolConversionError) as caught:
        jax.jit(schedule)(5)
    assert "write jnp.where for if" in caught.value.__notes__[0]


STEP = lr_scheduler.StepLR(0.1, step_size=3)
CHAIN = lr_scheduler.ChainedScheduler([STEP])
COSINE = lr_scheduler.CosineAnnealingLR(0.1, T_max=5)
PAIR = lr_scheduler.SequentialLR([STEP, STEP], milestones=[5])
PARTS = [
    ("SequentialLR", [STEP, STEP], [3, 4], "there must be one milestone fewer than the 2"),
    ("SequentialLR", [], [], "needs at least one scheduler"),
    ("ChainedScheduler", [], None, "needs at least one scheduler"),
    ("SequentialLR", [STEP, CHAIN], [4], "put its schedulers into the outer one"),
    ("SequentialLR", [PAIR, STEP, PAIR], [4, 9], "put its schedulers into the outer one"),
    ("SequentialLR", [STEP, lr_scheduler.LinearLR(0.1, total_iters=0)], [4], "total_iters=0"),
    ("SequentialLR", [lr_scheduler.CyclicLR(0.1, 0.5), STEP], [4], "pass cycle_momentum=False"),
    (
        "SequentialLR",
        [lr_scheduler.StepLR(0.1, 3, updates_per_step=2), STEP],
        [4],
        "pass updates_per_step and last_epoch to SequentialLR, not to the StepLR at index 0",
    ),
    (
        "ChainedScheduler",
        [STEP, lr_scheduler.StepLR(0.2, 3)],
        None,
        r"the same learning rate, got \[0.1",
    ),
]


@pytest.mark.parametrize(
    ("name", "parts", "milestones", "message"),
    PARTS,
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_parts_that_do_not_fit_are_refused(name, parts, milestones, message):
    others = {} if milestones is None else {"milestones": milestones}
    with pytest.raises(ValueError, match=message):
        getattr(lr_scheduler, name)(parts, **others)


@pytest.mark.parametrize("steps", [2**30, 2**31, 10**12])
def test_steps_beyond_int32_are_taken(steps):
    """At most half of these steps can ever be made."""
    for lr, expected in [
        (lr_scheduler.CosineAnnealingLR(0.1, T_max=steps), 0.1),
        (lr_scheduler.StepLR(0.1, step_size=steps), 0.1),
        (lr_scheduler.MultiStepLR(0.1, milestones=[2, steps]), 0.01),
        (lr_scheduler.ConstantLR(0.1, 0.5, total_iters=steps), 0.05),
        (lr_scheduler.LinearLR(0.1, 0.5, total_iters=steps), 0.05),
        (lr_scheduler.PolynomialLR(0.1, total_iters=steps), 0.1),
        (lr_scheduler.SWALR(0.1, 0.5, anneal_epochs=steps), 0.1),
        (lr_scheduler.CyclicLR(0.1, 0.5, step_size_up=steps), 0.1),
        (lr_scheduler.OneCycleLR(0.1, total_steps=steps), 0.004),
        (lr_scheduler.SequentialLR([STEP, COSINE], milestones=[steps]), 0.01),
        (lr_scheduler.StepLR(0.1, 3, updates_per_step=steps), 0.1),
        (lr_scheduler.StepLR(0.1, 3, gamma=0.0, last_epoch=steps), 0.0),
    ]:
        np.testing.assert_allclose(lr(4), expected, rtol=1e-6)


def test_any_schedule_may_be_part_of_a_sequence():
    schedule = lr_scheduler.SequentialLR(
        [aj.schedules.linear_warmup(0.1, 4), optax.constant_schedule(0.2)], milestones=[4]
    )
    np.testing.assert_allclose(values(schedule, range(6)), [0.025, 0.05, 0.075, 0.1, 0.2, 0.2])


def test_a_cycled_momentum_must_be_given():
    lr = lr_scheduler.OneCycleLR(0.1, total_steps=10)
    torch.SGD(lr=lr, momentum=lr.momentum)
    torch.Adam(lr=lr, betas=(lr.momentum, 0.999))
    for make, advice in [
        (lambda: torch.SGD(lr=lr, momentum=0.9), "pass momentum=lr.momentum to SGD, or pass cycle"),
        (lambda: torch.Adam(lr=lr), r"pass betas=\(lr.momentum, ...\) to Adam"),
        (lambda: torch.Adagrad(lr=lr), "as in torch: pass cycle_momentum=False"),
    ]:
        with pytest.raises(ValueError, match=advice):
            make()
    torch.SGD(lr=lr_scheduler.OneCycleLR(0.1, total_steps=10, cycle_momentum=False), momentum=0.9)


KERAS = json.loads((FOLDER / "keras.json").read_text())["schedules"]


@pytest.mark.parametrize("case", KERAS, ids=lambda case: case["name"])
def test_schedules_equal_keras(case):
    counts = np.arange(len(case["values"]))
    with jax.enable_x64(True):
        schedule = getattr(keras.schedules, case["name"])(**case["arguments"], name="any")
        np.testing.assert_allclose(values(schedule, counts), case["values"], rtol=1e-12, atol=1e-15)


def test_schedules_may_rise_and_be_negative_as_in_keras():
    lr = keras.schedules.ExponentialDecay(1e-5, 10, 2.0)
    np.testing.assert_allclose(lr(30), 8e-5, rtol=1e-6)
    lr = keras.schedules.PolynomialDecay(-0.1, 10, end_learning_rate=0.1)
    np.testing.assert_allclose([lr(0), lr(10)], [-0.1, 0.1], rtol=1e-6)
    lr = keras.schedules.CosineDecay(0.1, 10, alpha=2.0)
    np.testing.assert_allclose(lr(10), 0.2, rtol=1e-6)


@pytest.mark.parametrize("name", sorted({case["name"] for case in KERAS}))
def test_schedules_have_kerass_arguments(name):
    recorded = json.loads((FOLDER / "keras.json").read_text())["arguments"][name]
    ours = inspect.signature(getattr(keras.schedules, name)).parameters
    empty = inspect.Parameter.empty
    found = {key: None if p.default is empty else p.default for key, p in ours.items()}
    assert list(found.items()) == list(recorded.items())
