"""Hyperparameters in the state: the same numbers as without, named, checked and changeable."""

import copy
import functools
import pickle

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training.train_state import TrainState

import adaptive_jax as aj
from adaptive_jax import registry, schedules
from tests.families import RECIPES
from tests.test_contract import assert_close, make_grads, make_params, run, types

every_recipe = pytest.mark.parametrize("case", RECIPES, ids=repr)
ONE_EACH = list({case.make: case for case in RECIPES}.values())  # where programs are costly
STEPS = 30


def tunable(case):
    return aj.tunable(case.make, **case.hyper, **case.extra)


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


@pytest.mark.parametrize("x64", [False, True])
def test_training_is_the_same_to_the_rounding_of_the_numbers(x64):
    """The numbers are rounded to float32 once, so the plain optimizers get rounded ones, too."""
    with jax.enable_x64(x64):
        params, grads = inputs(np.float64 if x64 else np.float32)
        cases = ONE_EACH if x64 else RECIPES
        rounded = {k: {n: float(np.float32(v)) for n, v in k.hyper.items()} for k in cases}
        plain, live = (
            walker(txs, params, grads)(init(txs, params))
            for txs in (
                {c.name: c.build(**rounded[c]) for c in cases},
                {c.name: tunable(c) for c in cases},
            )
        )
        for case in cases:
            assert_close(live[case.name], plain[case.name], rtol=2e-4, atol=2e-6)


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
        changed[case.name] = aj.set_hyperparameters(start[case.name], new)
        fresh[case.name] = case.build(**{k: float(v) for k, v in new.items()})
    states = init(fresh, params)
    for name, state in changed.items():  # the same initial values; but a 0 may leave a stage out
        if jax.tree.structure(state.inner_state) == jax.tree.structure(states[name]):
            states[name] = state.inner_state
    found = walk(changed)
    assert len(traces) == 1
    assert_close(found, walker(fresh, params, grads)(states), rtol=1e-5, atol=1e-6)
    members = jax.tree.map(lambda *leaves: jnp.stack(leaves), start, changed)
    population = jax.vmap(walk)(members)
    for i, alone in enumerate((unchanged, found)):
        member = jax.tree.map(lambda x, i=i: x[i], population)
        assert_close(member, alone, rtol=1e-5, atol=1e-6)


@every_recipe
def test_values_are_shown_and_set_by_name(case):
    tx = tunable(case)
    state = tx.init(make_params())
    assert isinstance(state, optax.InjectStatefulHyperparamsState)
    shown = aj.hyperparameters(state)
    assert shown == state.hyperparams
    for name, value in case.hyper.items():
        leaf = shown[name]
        assert leaf.dtype == jnp.float32 and not leaf.weak_type and leaf.shape == ()
        assert leaf == np.float32(value)
        assert types(aj.set_hyperparameters(state, {name: value})) == types(state)


@every_recipe
def test_values_left_at_their_defaults_are_shown_but_for_zeros(case):
    tx = aj.tunable(case.make, **case.extra)
    shown = set(aj.hyperparameters(tx.init(make_params())))
    values = registry.get(case.make.__name__).defaults | case.extra
    numbers = {k for k, v in values.items() if isinstance(v, float)}
    assert shown == {k for k in numbers if values[k] != 0 or k in case.extra}


@pytest.mark.relaxed  # Optax mixes dtypes
def test_they_are_read_and_set_as_those_of_optax():
    params, grads = jnp.ones(2), jnp.array([1.0, -2.0])
    ours = aj.tunable(aj.adam, learning_rate=0.1)
    theirs = optax.inject_hyperparams(optax.adam)(learning_rate=0.1)
    for change in (
        lambda state: state.hyperparams.update(learning_rate=0.5),
        lambda state: state._replace(hyperparams={**state.hyperparams, "b1": 0.5}),
        lambda state: optax.tree.set(state, learning_rate=5.0),
    ):
        for step in (lambda tx: tx.update, lambda tx: jax.jit(tx.update)):
            updates = []
            for tx in (ours, theirs):
                state = tx.init(params)
                state = change(state) or state
                first, new = step(tx)(grads, state, params)
                updates.append((first, step(tx)(grads, new, params)[0]))
                if tx is ours:
                    assert types(new) == types(tx.init(params))
            assert_close(*updates, rtol=1e-5)


def test_the_state_of_optax_is_read_and_set_by_name():
    tx = optax.chain(optax.inject_hyperparams(optax.sgd)(learning_rate=0.1))
    state = tx.init(jnp.ones(2))
    assert aj.hyperparameters(state)["learning_rate"] == np.float32(0.1)
    state = aj.set_hyperparameters(state, {"learning_rate": 0.5})
    np.testing.assert_allclose(tx.update(jnp.ones(2), state)[0], -0.5)


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
            for leaf in jax.tree.leaves(state.hyperparams):
                assert leaf.dtype == jnp.float32 and not leaf.weak_type


# What is live.


def test_found_by_themselves():
    def make(rate, decay=0.9, depth=3, width=2, off=0.0, on=0.5, flag=True, kind="a", mask=None):
        assert type(depth) is int and type(flag) is bool and kind == "a"
        if on > 0.4:  # structure
            rate = 2 * rate
        return aj.chain(aj.momentum(decay), aj.add_decayed_weights(off, mask), aj.sgd(rate))

    def shown(**hyperparams):
        tx = aj.tunable(make, static_args="on", **hyperparams)
        state = tx.init(jnp.zeros(2))
        jax.eval_shape(tx.update, jnp.zeros(2), state, jnp.zeros(2))
        return set(state.hyperparams)

    def everything(params):
        return jax.tree.map(lambda p: True, params)

    assert shown(rate=0.1) == {"rate", "decay"}
    assert shown(rate=np.float64(1), off=0.0, mask=everything) == {
        "rate",
        "decay",
        "off",
    }
    assert shown(rate=jnp.float32(1), decay=0, depth=4) == {"rate", "decay"}
    with pytest.raises(TypeError, match="unexpected keyword argument 'lr'"):
        aj.tunable(make, lr=0.1)
    with pytest.raises(ValueError, match="not an argument of the factory: did you mean 'on'"):
        aj.tunable(make, static_args=["no"], rate=0.1)
    branches = aj.tunable(make, rate=0.1)
    with pytest.raises(TypeError, match="name it in static_args: one of decay, on, rate"):
        jax.eval_shape(branches.update, jnp.zeros(2), branches.init(jnp.zeros(2)), jnp.zeros(2))


def test_factories_of_every_kind():
    class Recipe:
        def __call__(self, learning_rate: float):
            return aj.sgd(learning_rate)

    for factory in (
        functools.partial(aj.sgd, momentum=0.5),
        lambda learning_rate: aj.sgd(learning_rate),
        Recipe(),
    ):
        state = aj.tunable(factory, learning_rate=0.1).init(jnp.zeros(2))
        assert state.hyperparams["learning_rate"] == np.float32(0.1)


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
        state = aj.set_hyperparameters(start, {"peak": peak})
        found, _, _ = run(
            optax.GradientTransformation(lambda _, s=state: s, tx.update), params, grads, STEPS
        )
        np.testing.assert_allclose(found, expected, rtol=2e-6)


# Schedules.


def test_a_rate_changed_by_hand_does_to_ftrl_what_the_same_schedule_does():
    """Here the rate of the last step counts too: the paper's sigma is a difference of 1 / rate."""
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
        np.testing.assert_allclose(shown["learning_rate"], used, rtol=1e-6)
        np.testing.assert_allclose(shown["weight_decay"], used, rtol=1e-6)
        _, state = jax.jit(tx.update)(params, state, params)
    with pytest.raises(ValueError, match="learning_rate is driven by a schedule"):
        aj.set_hyperparameters(state, {"learning_rate": 0.1})
    plain = aj.adamw(falling, weight_decay=falling)
    expected, _, _ = run(plain, params, {"w": jnp.ones((STEPS, 2))}, STEPS)
    assert_close(run(tx, params, {"w": jnp.ones((STEPS, 2))}, STEPS)[0], expected, 1e-6, 0)


# Names, and where a state may stand.


def adam(rate=0.1):
    return aj.tunable(aj.adam, learning_rate=rate, b1=0.8)


ADAM = {"b1", "b2", "eps", "learning_rate"}
MOMENTS = ADAM - {"learning_rate"}


def at(place, names):
    return {f"{place}/{name}" for name in names}


WRAPPED = {
    "chain": (aj.chain(aj.clip_by_global_norm(1.0), adam()), ADAM),
    "two in a chain": (aj.chain(adam(), adam()), at("0", ADAM) | at("1", ADAM)),
    "others in a chain": (
        aj.chain(aj.tunable(aj.scale_by_adam), aj.tunable(aj.sgd)),
        MOMENTS | {"learning_rate"},
    ),
    "partition": (
        optax.partition({"head": adam(), "body": adam()}, {"w": "body", "b": "head", "s": "head"}),
        at("body", ADAM) | at("head", ADAM),
    ),
    "masked": (optax.masked(adam(), {"w": True, "b": False, "s": True}), ADAM),
    "MultiSteps": (optax.MultiSteps(adam(), 1).gradient_transformation(), ADAM),
    "apply_if_finite": (optax.apply_if_finite(adam(), 3), ADAM),
    "bound": (
        aj.chain(
            aj.tunable(aj.scale_by_adam, b1=0.8),
            aj.tunable(aj.bound_lr, base_lr=0.1, final_lr=0.5),
            aj.tunable(aj.scale_by_learning_rate, learning_rate=0.1),
        ),
        MOMENTS | {"learning_rate", "base_lr", "final_lr"},
    ),
    "one in itself": (
        aj.tunable(
            lambda rate: aj.chain(adam(), aj.tunable(lambda x: aj.sgd(x), x=rate)), rate=0.1
        ),
        ADAM | {"rate", "x"},
    ),
}


@pytest.mark.relaxed
@pytest.mark.parametrize("kind", WRAPPED)
def test_names_are_short_and_unique_wherever_the_state_stands(kind):
    tx, expected = WRAPPED[kind]
    params, grads = make_params(), make_grads(4)
    state = tx.init(params)
    shown = aj.hyperparameters(state)
    assert set(shown) == expected
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
    assert_close(run(tx, params, grads)[0], run(plain, params, grads)[0], 1e-5, 1e-7)
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
        new = {"learning_rate": rate}
        optimizer.opt_state = nnx.data(aj.set_hyperparameters(optimizer.opt_state, new))
        state = aj.set_hyperparameters(state, new)
        for tree in (optimizer, optimizer.opt_state, state):
            assert aj.hyperparameters(tree)["learning_rate"] == np.float32(rate)
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
    with pytest.raises(ValueError, match="hyperparameter 'learningrate': did you mean 'learning_r"):
        aj.set_hyperparameters(state, {"learningrate": 0.1})
    with pytest.raises(ValueError, match=r"b1 has shape \(\) in this state, got \(2,\)"):
        aj.set_hyperparameters(state, {"b1": jnp.array([0.1, 0.2])})
    with pytest.raises(ValueError, match="no hyperparameter 'b1'"):
        aj.set_hyperparameters(aj.adam().init(jnp.zeros(2)), {"b1": 0.1})
    assert aj.hyperparameters(aj.adam().init(jnp.zeros(2))) == {}


def test_values_out_of_range_raise_at_the_next_update():
    tx = adam()
    state = aj.set_hyperparameters(tx.init(jnp.zeros(2)), {"b2": 1.5})
    with pytest.raises(ValueError, match=r"b2 must be in \[0, 1\), got 1.5"):
        tx.update(jnp.ones(2), state)


def test_a_value_that_float32_rounds_out_of_its_interval():
    with pytest.raises(ValueError, match=r"keeps numbers in float32: b2 must be in .* got 1.0"):
        aj.tunable(aj.adam, b2=1 - 1e-9)
    aj.tunable(aj.adam, static_args="b2", b2=1 - 1e-9)


# Under JAX's transformations.


def test_a_population_is_one_state():
    params = jnp.ones((3, 2))
    tx = adam()
    state = jax.vmap(tx.init)(params)
    state = aj.set_hyperparameters(state, {"learning_rate": [0.1, 0.2, 0.3], "b1": 0.5})
    assert aj.hyperparameters(state)["b1"].shape == (3,)
    updates, _ = jax.jit(jax.vmap(tx.update))(params, state, params)
    np.testing.assert_allclose(updates[:, 0], [-0.1, -0.2, -0.3], rtol=1e-6)


def test_traced_values_at_construction_and_in_a_step():
    params = jnp.ones(2)
    built = jax.vmap(lambda rate: adam(rate).update(params, adam(rate).init(params))[0])
    rates = jnp.array([0.1, 0.2])
    np.testing.assert_allclose(built(rates)[:, 0], -rates, rtol=1e-6)

    @jax.jit
    def step(state, rate):
        state = aj.set_hyperparameters(state, {"learning_rate": rate, "b2": 0.9})
        return adam().update(params, state)

    updates, state = step(adam().init(params), 0.3)
    np.testing.assert_allclose(updates, -0.3, rtol=1e-6)
    assert aj.hyperparameters(state)["b2"] == np.float32(0.9)


def test_derivatives_are_those_of_the_value():
    params, grads = jnp.ones(2), jnp.array([[1.0, -0.5], [-3.0, 0.1], [0.5, 0.5]])
    tx = adam()

    def end(values):
        state = aj.set_hyperparameters(tx.init(params), values)
        live = optax.GradientTransformation(lambda _: state, tx.update)
        return jnp.sum(run(live, params, grads, 3)[0] ** 2)

    def expected(values):
        return jnp.sum(run(aj.adam(**values), params, grads, 3)[0] ** 2)

    at = {"learning_rate": 0.1, "b1": 0.8}
    assert_close(jax.grad(end)(at), jax.grad(expected)(at), rtol=1e-4)
    assert jax.grad(end)(at)["learning_rate"] != 0


def test_donated_states_and_copies():
    tx = adam()
    params = jnp.ones(2)
    step = jax.jit(lambda s: tx.update(params, s)[1], donate_argnums=0)
    state = step(tx.init(params))
    same = jnp.float32(0.5)
    state = step(aj.set_hyperparameters(state, {"b1": same, "b2": same}))
    assert same == 0.5
    for other in (copy.deepcopy(state), pickle.loads(pickle.dumps(state))):
        assert jax.tree.structure(other) == jax.tree.structure(state)
        aj.set_hyperparameters(other, {"b1": 0.1})
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
    updates, after = tx.update(params, state, params)
    assert types(after) == types(state)
    assert types(updates) == types(params)
    smaller = aj.set_hyperparameters(state, {"learning_rate": 0.05})
    half, _ = tx.update(params, smaller, params)
    assert_close(jax.tree.map(lambda u: u / 2, updates), half, rtol=1e-2)
    if dtype == jnp.float32:
        plain = factory(learning_rate=0.1)
        assert_close(updates, plain.update(params, plain.init(params), params)[0], rtol=1e-4)
