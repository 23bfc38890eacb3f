"""Hyperparameters in the state: the same numbers as without, named, checked and changeable."""

import copy
import functools
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training.train_state import TrainState

import adaptive_jax as aj
from adaptive_jax import numerics, schedules
from adaptive_jax.optimizers import registry
from tests.families import RECIPES
from tests.test_contract import assert_close, make_grads, make_params, run, types

every_recipe = pytest.mark.parametrize("case", RECIPES, ids=repr)
ONE_EACH = list({case.make: case for case in RECIPES}.values())  # where programs are costly
STEPS = 30


def tunable(case):
    return aj.tunable(case.make, **case.hyper, **case.extra)


def names(case):
    """The case's hyperparameters by the names that they have in the state."""
    return {f"{case.make.__name__}/{k}": v for k, v in case.hyper.items()}


# Every recipe.


def inputs(dtype):
    """Parameters and gradients whose last digits all count."""
    rng = np.random.default_rng(0)
    params = {name: rng.normal(size=shape) for name, shape in (("w", (4, 15)), ("b", (7,)))}
    grads = {name: rng.normal(size=(STEPS, *p.shape)) for name, p in params.items()}
    return jax.tree.map(lambda x: jnp.asarray(x, dtype), (params, grads))


def walker(txs, params, grads, on_trace=lambda: None):
    """Name -> parameters after each update, from the states given: one program for all."""

    def step(carry, g):
        after = {}
        for name, tx in txs.items():
            p, state = carry[name]
            try:
                updates, state = tx.update(g, state, p)
            except Exception as error:
                error.add_note(f"in the case {name!r}")
                raise
            after[name] = optax.apply_updates(p, updates), state
        return after, {name: p for name, (p, _) in after.items()}

    # The states are arguments: what is closed over, XLA computes with when it compiles.
    @jax.jit
    def walk(states):
        on_trace()
        return jax.lax.scan(step, {name: (params, s) for name, s in states.items()}, grads)[1]

    return walk


def init(txs, params):
    return {name: tx.init(params) for name, tx in txs.items()}


def differences(dtype, x64):
    """Case -> the largest difference between training with and without `tunable`."""
    with jax.enable_x64(x64):
        params, grads = inputs(dtype)
        cases = ONE_EACH if x64 else RECIPES
        plain, live = (
            walker(txs, params, grads)(init(txs, params))
            for txs in ({c.name: c.build() for c in cases}, {c.name: tunable(c) for c in cases})
        )
        largest = jax.tree.map(lambda a, b: float(np.max(np.abs(np.subtract(a, b)))), plain, live)
    return {name: max(by_leaf.values()) for name, by_leaf in largest.items()}


@pytest.mark.parametrize(("dtype", "x64"), [("float32", False), ("float64", True)])
def test_training_is_the_same_to_the_last_bit(dtype, x64):
    """In a process whose CPU cannot round a·b + c once, only twice.

    Which products XLA contracts so differs between programs in which a weight is a constant and
    in which it is not: m/2 + g/2 becomes (m + g)/2, say. Nothing else does.
    """
    code = (
        "import json, numpy; from tests.test_tunable import differences; "
        f"print(json.dumps(differences(numpy.{dtype}, {x64})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "XLA_FLAGS": "--xla_cpu_max_isa=AVX", "JAX_PLATFORMS": "cpu"},
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert {name: size for name, size in json.loads(done.stdout).items() if size != 0} == {}


def other_values(case):
    """Nine tenths of each hyperparameter, or eleven where that is out of its interval."""

    def other(k, value):
        try:
            case.build(**{k: 0.9 * value})
        except ValueError:
            return np.float32(1.1 * value)
        return np.float32(0.9 * value)

    return {k: other(k, value) for k, value in case.hyper.items()}


def test_changed_values_act_at_once():
    """As a fresh optimizer's that goes on from the same state; a population's members have their
    own; and nothing is compiled again.
    """
    params, grads = inputs(np.float32)
    txs = {case.name: tunable(case) for case in ONE_EACH}
    start, traces = init(txs, params), []
    walk = walker(txs, params, grads, on_trace=lambda: traces.append("traced"))
    unchanged = walk(start)
    changed, fresh = {}, {}
    for case in ONE_EACH:
        new = other_values(case)
        by_name = {f"{case.make.__name__}/{k}": v for k, v in new.items()}
        changed[case.name] = aj.set_hyperparameters(start[case.name], by_name)
        fresh[case.name] = case.build(**{k: float(v) for k, v in new.items()})
    states = init(fresh, params)
    for name, state in changed.items():  # the same initial values; but a 0 may leave a stage out
        if jax.tree.structure(state.inner) == jax.tree.structure(states[name]):
            states[name] = state.inner
    found = walk(changed)
    assert len(traces) == 1
    assert_close(found, walker(fresh, params, grads)(states), rtol=1e-5, atol=1e-6)
    members = jax.tree.map(lambda *leaves: jnp.stack(leaves), start, changed)
    population = jax.vmap(walk)(members)
    for i, alone in enumerate((unchanged, found)):
        member = jax.tree.map(lambda x, i=i: x[i], population)
        assert_close(member, alone, rtol=1e-5, atol=1e-6)


@every_recipe
def test_values_are_shown_and_checked_by_name(case):
    state = tunable(case).init(make_params())
    shown = aj.hyperparameters(state)
    for name, value in names(case).items():
        leaf = shown[name]
        assert leaf.dtype == jnp.float32 and not leaf.weak_type and leaf.shape == ()
        assert leaf == np.float32(value)
        for bad in (float("nan"), -1.0, 1e9):
            try:
                case.build(**{name.split("/")[1]: bad})
            except ValueError as error:  # then it is no better later
                with pytest.raises(ValueError, match=re.escape(str(error))):
                    aj.set_hyperparameters(state, {name: jnp.float32(bad)})
            else:
                assert not np.isnan(bad)
        assert types(aj.set_hyperparameters(state, {name: value})) == types(state)


@every_recipe
def test_values_left_at_their_defaults_are_shown_but_for_zeros(case):
    tx = aj.tunable(case.make, **case.extra)
    shown = {k.split("/")[1] for k in aj.hyperparameters(tx.init(make_params()))}
    values = registry.get(case.make.__name__).defaults | case.extra
    numbers = {k for k, v in values.items() if isinstance(v, float)}
    assert shown == {k for k in numbers if values[k] != 0 or k in case.extra}


@pytest.mark.parametrize("case", ONE_EACH, ids=repr)
@pytest.mark.parametrize(
    "dtype", [jnp.float16, jnp.bfloat16, jnp.float32], ids=lambda d: d.__name__
)
def test_types_never_change(case, dtype):
    params, tx = make_params(dtype), tunable(case)

    def of(tree):
        return jax.tree.map(lambda x: (jnp.shape(x), x.dtype, x.weak_type), tree)

    for x64 in (False, True):
        with jax.enable_x64(x64):
            state = jax.eval_shape(tx.init, params)
            for grads in (params, make_params(jnp.float32)):
                updates, new_state = jax.eval_shape(tx.update, grads, state, params)
                assert of(new_state) == of(state)
                assert of(updates) == of(params)
            for leaf in jax.tree.leaves(state.values):
                assert leaf.dtype == jnp.float32 and not leaf.weak_type


# What is live.


def test_found_by_themselves():
    def make(rate, decay=0.9, depth=3, width=2, off=0.0, on=0.5, flag=True, kind="a", mask=None):
        assert type(depth) is int and type(flag) is bool and kind == "a"
        if on > 0.4:  # structure
            rate = 2 * rate
        return aj.chain(aj.momentum(decay), aj.add_decayed_weights(off, mask), aj.sgd(rate))

    def shown(**hyperparams):
        tx = aj.tunable(make, **hyperparams)
        return set(aj.hyperparameters(tx.init(jnp.zeros(2))))

    def everything(params):
        return jax.tree.map(lambda p: True, params)

    assert shown(rate=0.1) == {"make/rate", "make/decay"}
    assert shown(rate=np.float64(1), off=0.0, mask=everything) == {
        "make/rate",
        "make/decay",
        "make/off",
    }
    assert shown(rate=jnp.float32(1), decay=0, depth=4) == {"make/rate", "make/decay"}
    with pytest.raises(TypeError, match="unexpected keyword argument 'lr'"):
        aj.tunable(make, lr=0.1)


def test_factories_of_every_kind():
    params = jnp.zeros(2)

    class Recipe:
        def __call__(self, rate: float):
            return aj.sgd(rate)

    for factory, name in (
        (functools.partial(aj.sgd, momentum=0.5), "sgd"),
        (lambda rate: aj.sgd(rate), "lambda"),
        (Recipe(), "Recipe"),
    ):
        hyper = {"learning_rate" if name == "sgd" else "rate": 0.1}
        state = aj.tunable(factory, **hyper).init(params)
        assert {k.split("/")[0] for k in aj.hyperparameters(state)} == {name}


def test_errors_of_the_factory_come_at_once():
    with pytest.raises(ValueError, match=r"b1 must be in \[0, 1\), got 1.0"):
        aj.tunable(aj.adam, b1=1.0)
    with pytest.raises(ValueError, match="needs base_lr"):
        aj.tunable(aj.adabound, learning_rate=lambda count: 0.1)
    with pytest.raises(TypeError, match="b1 must be a number"):
        aj.tunable(aj.adam, b1=None)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: schedules.exponential_decay(p, 10, p, staircase=True),
        lambda p: schedules.piecewise_constant([5, 10], [p, 0.1, p]),
        lambda p: schedules.polynomial_decay(p, 20, p / 2, p, cycle=True),
        lambda p: schedules.cosine_decay(p / 2, 20, alpha=p, peak_value=p, warmup_steps=4),
        lambda p: schedules.cosine_restarts(p, 5, m_mul=p, alpha=p),
        lambda p: schedules.one_cycle(20, p),
        lambda p: schedules.inverse_sqrt(p / 2, p, 5),
        lambda p: schedules.warmup_stable_decay(0.0, p, 3, 5, 10, p / 4),
        lambda p: schedules.cyclic(p / 2, p, 5, mode="exp_range", decay_rate=p),
    ],
)
def test_the_numbers_of_a_schedule(make):
    """A factory of one's own may make a schedule of them."""

    def sgd(peak):
        return aj.sgd(make(peak))

    params, grads = jnp.zeros(()), jnp.ones(STEPS)
    tx = aj.tunable(sgd, peak=0.4)
    start = tx.init(params)
    for peak in (0.4, 0.2):
        expected, _, _ = run(sgd(peak), params, grads, STEPS)
        state = aj.set_hyperparameters(start, {"sgd/peak": peak})
        found, _, _ = run(
            optax.GradientTransformation(lambda _, s=state: s, tx.update), params, grads, STEPS
        )
        np.testing.assert_allclose(found, expected, rtol=2e-6)


# Schedules.


def test_a_rate_changed_by_hand_does_to_ftrl_what_the_same_schedule_does():
    """Where the rate of the last step counts too: the paper's sigma is a difference of 1 / rate."""
    rates = [0.2, 0.2, 0.05, 0.05, 0.1]
    by_hand = aj.tunable(aj.ftrl, learning_rate=rates[0], l1=0.1)
    by_schedule = aj.ftrl(lambda count: jnp.asarray(rates, jnp.float32)[count], l1=0.1)
    params = {"by hand": jnp.ones(3), "by schedule": jnp.ones(3)}
    states = {"by hand": by_hand.init(jnp.ones(3)), "by schedule": by_schedule.init(jnp.ones(3))}
    (name_of_rate,) = (
        name for name in aj.hyperparameters(states["by hand"]) if name.endswith("learning_rate")
    )
    for t, rate in enumerate(rates):
        states["by hand"] = aj.set_hyperparameters(states["by hand"], {name_of_rate: rate})
        for name, tx in (("by hand", by_hand), ("by schedule", by_schedule)):
            g = jnp.array([1.0, -0.5, 0.2 * t])
            updates, states[name] = tx.update(g, states[name], params[name])
            params[name] = params[name] + updates
        np.testing.assert_allclose(params["by hand"], params["by schedule"], rtol=1e-5)


def test_a_schedule_is_shown_and_cannot_be_set():
    def falling(count):
        return 0.1 * 0.5 ** jnp.asarray(count, jnp.float32)

    params = {"w": jnp.ones(2)}
    tx = aj.tunable(aj.adamw, learning_rate=falling, weight_decay=falling)
    state = tx.init(params)
    for used in (0.1, 0.1, 0.05, 0.025):  # at first, what the first update will use
        shown = aj.hyperparameters(state)
        np.testing.assert_allclose(shown["adamw/learning_rate"], used, rtol=1e-6)
        np.testing.assert_allclose(shown["adamw/weight_decay"], used, rtol=1e-6)
        _, state = jax.jit(tx.update)(params, state, params)
    with pytest.raises(ValueError, match="adamw/learning_rate is driven by a schedule"):
        aj.set_hyperparameters(state, {"adamw/learning_rate": 0.1})
    plain = aj.adamw(falling, weight_decay=falling)
    expected, _, _ = run(plain, params, {"w": jnp.ones((STEPS, 2))}, STEPS)
    assert_close(run(tx, params, {"w": jnp.ones((STEPS, 2))}, STEPS)[0], expected, 0, 0)


# Names, and where a state may stand.


def adam(rate=0.1):
    return aj.tunable(aj.adam, learning_rate=rate, b1=0.8)


WRAPPED = {
    "chain": (aj.chain(aj.clip_by_global_norm(1.0), adam()), ["adam"]),
    "two in a chain": (aj.chain(adam(), adam()), ["0/adam", "1/adam"]),
    "others in a chain": (
        aj.chain(aj.tunable(aj.scale_by_adam), aj.tunable(aj.sgd)),
        ["scale_by_adam", "sgd"],
    ),
    "partition": (
        optax.partition({"head": adam(), "body": adam()}, {"w": "body", "b": "head", "s": "head"}),
        ["body/adam", "head/adam"],
    ),
    "masked": (optax.masked(adam(), {"w": True, "b": False, "s": True}), ["adam"]),
    "MultiSteps": (optax.MultiSteps(adam(), 1).gradient_transformation(), ["adam"]),
    "apply_if_finite": (optax.apply_if_finite(adam(), 3), ["adam"]),
    "bound": (
        aj.chain(
            aj.tunable(aj.scale_by_adam, b1=0.8),
            aj.tunable(aj.bound_lr, base_lr=0.1, final_lr=0.5),
            aj.tunable(aj.scale_by_learning_rate, learning_rate=0.1),
        ),
        ["bound_lr", "scale_by_adam", "scale_by_learning_rate"],
    ),
    "one in itself": (
        aj.tunable(
            lambda rate: aj.chain(adam(), aj.tunable(lambda x: aj.sgd(x), x=rate)), rate=0.1
        ),
        ["1/lambda", "adam", "lambda"],
    ),
}


@pytest.mark.relaxed
@pytest.mark.parametrize("kind", WRAPPED)
def test_names_are_short_and_unique_wherever_the_state_stands(kind):
    tx, expected = WRAPPED[kind]
    params, grads = make_params(), make_grads(4)
    state = tx.init(params)
    shown = aj.hyperparameters(state)
    assert sorted({name.rsplit("/", 1)[0] for name in shown}) == expected
    new = {name: 0.5 * value for name, value in shown.items()}
    changed = aj.set_hyperparameters(state, new)
    assert types(changed) == types(state)
    assert_close(aj.hyperparameters(changed), new, 0, 0)
    _, after, _ = run(
        optax.GradientTransformationExtraArgs(lambda _: changed, tx.update), params, grads, 4
    )
    assert_close(aj.hyperparameters(after), new, 0, 0)


def test_a_stage_of_a_chain_is_the_stage():
    """A Preconditioner and a ScaleModifier remain what they are, and bind."""
    params, grads = make_params(), make_grads()
    tx, _ = WRAPPED["bound"]
    plain = aj.chain(
        aj.scale_by_adam(b1=0.8), aj.bound_lr(0.5, base_lr=0.1), aj.scale_by_learning_rate(0.1)
    )
    assert isinstance(aj.tunable(aj.scale_by_adam), aj.Preconditioner)
    assert isinstance(aj.tunable(aj.bound_lr, base_lr=0.1), aj.ScaleModifier)
    assert_close(run(tx, params, grads)[0], run(plain, params, grads)[0], 0, 0)
    with pytest.raises(ValueError, match="of a Preconditioner such as"):
        aj.tunable(aj.bound_lr, base_lr=0.1)(aj.sgd())
    with pytest.raises(ValueError, match=r"adaptive_jax\.chain"):
        optax.chain(aj.scale_by_adam(), aj.tunable(aj.bound_lr, base_lr=0.1))


def test_in_flax():
    model = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    x = jnp.linspace(-1, 1, 12).reshape(4, 3)
    optimizer = nnx.Optimizer(model, adam(), wrt=nnx.Param)
    start = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    state = TrainState.create(apply_fn=None, params=start, tx=adam())
    plain, params = aj.adam(0.1, b1=0.8), start
    plain_state = plain.init(params)
    for rate in (0.1, 0.01):
        new = {"adam/learning_rate": rate}
        optimizer.opt_state = nnx.data(aj.set_hyperparameters(optimizer.opt_state, new))
        state = aj.set_hyperparameters(state, new)
        for tree in (optimizer, optimizer.opt_state, state):
            assert aj.hyperparameters(tree)["adam/learning_rate"] == np.float32(rate)
        grads = nnx.grad(lambda model: jnp.mean((model(x) - 1.0) ** 2))(model)
        pure = nnx.to_pure_dict(nnx.state(grads))
        optimizer.update(model, grads)
        state = state.apply_gradients(grads=pure)
        plain = aj.adam(rate, b1=0.8)
        updates, plain_state = plain.update(pure, plain_state, params)
        params = optax.apply_updates(params, updates)
    assert_close(nnx.to_pure_dict(nnx.state(model, nnx.Param)), params)
    assert_close(state.params, params)


def test_wrong_names_and_shapes():
    state = adam().init(jnp.zeros(2))
    with pytest.raises(ValueError, match="'adam/learningrate' here: did you mean 'adam/learning_r"):
        aj.set_hyperparameters(state, {"adam/learningrate": 0.1})
    with pytest.raises(ValueError, match=r"adam/b1 has shape \(\) in this state, got \(2,\)"):
        aj.set_hyperparameters(state, {"adam/b1": jnp.array([0.1, 0.2])})
    with pytest.raises(ValueError, match="no hyperparameter 'adam/b1' here"):
        aj.set_hyperparameters(aj.adam().init(jnp.zeros(2)), {"adam/b1": 0.1})
    assert aj.hyperparameters(aj.adam().init(jnp.zeros(2))) == {}


def test_values_that_belong_together_are_checked_together():
    def bounded(lower, upper):
        return aj.bound_lr(base_lr=1.0, lower=lower, upper=upper)(aj.scale_by_adam())

    state = aj.tunable(bounded, lower=0.1, upper=1.0).init(jnp.zeros(2))
    state = aj.set_hyperparameters(state, {"bounded/upper": 5.0})
    state = aj.set_hyperparameters(state, {"bounded/lower": 2.0})
    with pytest.raises(ValueError, match="lower must not exceed upper, got 2"):
        aj.set_hyperparameters(state, {"bounded/upper": 1.0})


def test_a_value_that_float32_rounds_out_of_its_interval():
    tx = aj.tunable(aj.adam, b2=1 - 1e-9)
    state = aj.set_hyperparameters(tx.init(jnp.zeros(2)), {"adam/learning_rate": 0.1})
    updates, _ = tx.update(jnp.ones(2), state)
    np.testing.assert_allclose(updates, -0.1, rtol=1e-6)
    with pytest.raises(ValueError, match=r"b2 must be in \[0, 1\), got 1.0"):
        aj.set_hyperparameters(adam().init(jnp.zeros(2)), {"adam/b2": 1 - 1e-9})


# Under JAX's transformations.


def test_a_population_is_one_state():
    params = jnp.ones((3, 2))
    tx = adam()
    state = jax.vmap(tx.init)(params)
    state = aj.set_hyperparameters(state, {"adam/learning_rate": [0.1, 0.2, 0.3], "adam/b1": 0.5})
    assert aj.hyperparameters(state)["adam/b1"].shape == (3,)
    updates, _ = jax.jit(jax.vmap(tx.update))(params, state, params)
    np.testing.assert_allclose(updates[:, 0], [-0.1, -0.2, -0.3], rtol=1e-6)
    with pytest.raises(ValueError, match="learning_rate must be in"):
        aj.set_hyperparameters(state, {"adam/learning_rate": [0.1, -0.2, 0.3]})


def test_traced_values_at_construction_and_in_a_step():
    params = jnp.ones(2)
    built = jax.vmap(lambda rate: adam(rate).update(params, adam(rate).init(params))[0])
    rates = jnp.array([0.1, 0.2])
    np.testing.assert_allclose(built(rates)[:, 0], -rates, rtol=1e-6)

    @jax.jit
    def step(state, rate):
        state = aj.set_hyperparameters(state, {"adam/learning_rate": rate, "adam/b2": 0.9})
        return adam().update(params, state)

    updates, state = step(adam().init(params), 0.3)
    np.testing.assert_allclose(updates, -0.3, rtol=1e-6)
    assert aj.hyperparameters(state)["adam/b2"] == np.float32(0.9)
    with pytest.raises(ValueError, match="b1 must be in"):  # the check comes along
        aj.set_hyperparameters(state, {"adam/b1": 2.0})


def test_derivatives_are_those_of_the_value_also_while_it_is_unchanged():
    params, grads = jnp.ones(2), jnp.array([[1.0, -0.5], [-3.0, 0.1], [0.5, 0.5]])
    tx = adam()

    def end(values):
        state = aj.set_hyperparameters(tx.init(params), values)
        live = optax.GradientTransformation(lambda _: state, tx.update)
        return jnp.sum(run(live, params, grads, 3)[0] ** 2)

    def expected(values):
        hyper = {k.split("/")[1]: v for k, v in values.items()}
        return jnp.sum(run(aj.adam(**hyper), params, grads, 3)[0] ** 2)

    at = {"adam/learning_rate": 0.1, "adam/b1": 0.8}
    assert_close(jax.grad(end)(at), jax.grad(expected)(at), rtol=1e-4)
    assert jax.grad(end)(at)["adam/learning_rate"] != 0


def test_donated_states_and_copies():
    tx = adam()
    params = jnp.ones(2)
    step = jax.jit(lambda s: tx.update(params, s)[1], donate_argnums=0)
    state = step(tx.init(params))
    same = jnp.float32(0.5)
    state = step(aj.set_hyperparameters(state, {"adam/b1": same, "adam/b2": same}))
    assert same == 0.5
    for other in (copy.deepcopy(state), pickle.loads(pickle.dumps(state))):
        assert jax.tree.structure(other) == jax.tree.structure(state)
        aj.set_hyperparameters(other, {"adam/b1": 0.1})
    restored = flax.serialization.from_bytes(tx.init(params), flax.serialization.to_bytes(state))
    assert_close(restored, state, 0, 0)


# Other people's factories.


@pytest.mark.relaxed
@pytest.mark.parametrize(
    "dtype", [jnp.float16, jnp.bfloat16, jnp.float32], ids=lambda d: d.__name__
)
@pytest.mark.parametrize(
    "factory",
    [optax.adam, optax.adamw, optax.sgd, optax.lion, optax.yogi, optax.lamb, optax.rmsprop],
)
def test_optax(factory, dtype):
    params = make_params(dtype)
    tx = aj.tunable(factory, learning_rate=0.1)
    state = tx.init(params)
    name = f"{factory.__name__}/learning_rate"
    updates, after = tx.update(params, state, params)
    assert types(after) == types(state)
    assert types(updates) == types(params)
    smaller = aj.set_hyperparameters(state, {name: 0.05})
    half, _ = tx.update(params, smaller, params)
    assert_close(jax.tree.map(lambda u: u / 2, updates), half, rtol=1e-2)
    if dtype == jnp.float32:
        plain = factory(learning_rate=0.1)
        assert_close(updates, plain.update(params, plain.init(params), params)[0], rtol=1e-4)


# The number itself.


def test_live_arithmetic_is_done_on_the_float_and_on_the_leaf():
    def of(x):
        a = numerics.Live(0.999, x)
        values = (
            1 - a,
            a - 1,
            a + a,
            2 * a,
            a / 3,
            3 / a,
            a**2,
            2**a,
            -a,
            numerics.log(a),
            1 / (1 - a),
        )
        arrays = (x * a, a * x, x - a, a - x, x / a, a / x)
        return jnp.stack([jnp.asarray(v) for v in (*values, *arrays)])

    for x, b in ((np.float32(0.999), 0.999), (np.float32(0.5), 0.5)):
        values = [1 - b, b - 1, b + b, 2 * b, b / 3, 3 / b, b**2, 2**b, -b, np.log(b), 1 / (1 - b)]
        arrays = [x * b, b * x, x - b, b - x, x / b, b / x]
        np.testing.assert_allclose(jax.jit(of)(x)[:11], np.float32(values), rtol=1e-7)
        np.testing.assert_allclose(jax.jit(of)(x)[11:], np.float32(arrays), rtol=1e-6, atol=1e-7)


def test_live_decides_nothing_under_jit():
    with pytest.raises(jax.errors.TracerBoolConversionError):
        jax.jit(lambda x: 1.0 if numerics.Live(0.5, x) else 0.0)(jnp.float32(0.5))
    with pytest.raises(jax.errors.TracerBoolConversionError):
        jax.jit(lambda x: 1.0 if numerics.Live(0.5, x) == 0 else 0.0)(jnp.float32(0.5))
