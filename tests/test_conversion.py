"""States are Optax's own classes, or are converted from them."""

import jax
import jax.numpy as jnp
import optax
import pytest

import adaptive_jax as aj
from adaptive_jax.registry import OPTIMIZERS
from tests.test_contract import assert_close, make_grads, make_params, types

pytestmark = pytest.mark.relaxed  # Optax mixes dtypes
RATE = 0.01
SAME = ["adam", "adamw", "amsgrad", "adagrad", "adabelief", "lamb", "lion"]


def of_optax(name):
    return getattr(optax, name, None) or getattr(optax.contrib, name, None)


def steps(tx, params, state, grads):
    for i in range(len(jax.tree.leaves(grads)[0])):
        updates, state = tx.update(jax.tree.map(lambda g, i=i: g[i], grads), state, params)
        params = optax.apply_updates(params, updates)
    return params, state


@pytest.mark.parametrize("name", SAME)
def test_states_are_those_of_optax(name):
    params = make_params()
    for rate in (RATE, optax.constant_schedule(RATE)):
        ours, theirs = OPTIMIZERS[name].factory(rate), of_optax(name)(rate)
        state = jax.eval_shape(ours.init, params)
        assert types(state) == types(jax.eval_shape(theirs.init, params))


def test_momentum_and_its_schedule():
    params = make_params()
    ours, theirs = (lib.sgd(RATE, momentum=0.9).init(params) for lib in (aj, optax))
    assert types(ours) == types(theirs)
    scheduled = aj.momentum(optax.constant_schedule(0.9)).init(params)
    assert scheduled._fields == ("count", "trace")


@pytest.mark.parametrize("name", ["radam", "adamax", "yogi", "qhadam"])
def test_states_of_other_methods_are_found_as_adams_but_are_not_adams(name):
    state = jax.eval_shape(OPTIMIZERS[name].factory(RATE).init, make_params())[0]
    assert isinstance(state, optax.ScaleByAdamState)
    assert type(state) is not optax.ScaleByAdamState


def is_single(state, key="count"):
    try:
        optax.tree.get(state, key)
    except KeyError:
        return False
    return True


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if of_optax(name)])
def test_a_count_is_found_where_optax_finds_one(name):
    params = make_params()
    ours, theirs = OPTIMIZERS[name].factory, of_optax(name)
    unlike = ("adan", "rprop", "schedule_free_sgd", "sm3")
    for rate in [RATE] if name in unlike else [RATE, lambda count: RATE]:
        found = is_single(theirs(rate).init(params))
        assert is_single(ours(rate).init(params)) or not found


@pytest.mark.parametrize(
    "tx",
    [
        aj.with_storage(aj.adam(), mu="bfloat16"),
        aj.with_master_weights(aj.adam()),
        aj.lookahead(aj.adam()),
        aj.cautious(aj.adam()),
        aj.skip_spikes(aj.adam()),
        aj.novograd(),
        aj.sgd(momentum=0.9),
    ],
    ids=lambda tx: tx.call.function.__name__,
)
def test_wrappers_do_not_hide_the_count(tx):
    assert is_single(tx.init(make_params()))


CONVERTED = {
    "adadelta": (aj.adadelta, optax.adadelta, {"eps": 1e-6, "rho": 0.9}),
    "adamax": (aj.adamax, optax.adamax, {}),
    "ademamix": (aj.ademamix, optax.contrib.ademamix, {"weight_decay": 0.0}),
    "adam": (aj.adam, optax.adam, {}),
    "adam with a schedule": (aj.adam, optax.adam, {"learning_rate": lambda count: RATE}),
    "adopt": (aj.adopt, optax.contrib.adopt, {}),
    "lion": (aj.lion, optax.lion, {"weight_decay": 0.0}),
    "radam": (aj.radam, optax.radam, {}),
    "rmsprop": (aj.rmsprop, optax.rmsprop, {"decay": 0.9}),
    "schedule_free_sgd": (
        lambda learning_rate, **kw: aj.schedule_free_sgd(learning_rate),
        lambda learning_rate, **kw: optax.contrib.schedule_free_sgd(learning_rate),
        {},
    ),
    "sgd": (aj.sgd, optax.sgd, {"momentum": 0.9}),
    "yogi": (lambda **hyper: aj.yogi(eps=1e-3, eps_hat=0.0, **hyper), optax.yogi, {}),
}


@pytest.mark.parametrize("name", CONVERTED)
def test_training_goes_on_from_a_converted_state(name):
    ours, theirs, hyper = CONVERTED[name]
    hyper = {"learning_rate": RATE, **hyper}
    shared = {k: v for k, v in hyper.items() if k != "weight_decay"}
    ours, theirs = ours(**shared), theirs(**hyper)
    params, grads = make_params(), make_grads(3)
    params, state = steps(theirs, params, theirs.init(params), grads)
    converted = aj.from_optax_state(ours, params, state)
    assert types(converted) == types(ours.init(params))
    tolerance = 1e-4 if name in ("adadelta", "radam", "adopt", "yogi") else 1e-5
    expected, _ = steps(theirs, params, state, grads)
    assert_close(steps(ours, params, converted, grads)[0], expected, rtol=tolerance, atol=1e-6)


def test_schedule_free_is_evaluated_by_optax():
    params, tx = make_params(), aj.schedule_free_sgd(0.1)
    params, state = steps(tx, params, tx.init(params), make_grads(3))
    assert_close(
        optax.contrib.schedule_free_eval_params(state, params),
        aj.schedule_free_params(state, params),
        rtol=1e-5,
    )


def test_what_cannot_be_converted_is_named():
    params = make_params()
    for ours, theirs, message in (
        (aj.adam(), optax.sgd(0.1, momentum=0.9), "TraceState in Optax's optimizer, ScaleByAdamS"),
        (aj.adam(), optax.sgd(0.1), "stages that have a state: none in Optax's optimizer, "),
        (aj.nadam(), optax.nadam(0.1), "ScaleByAdamState in Optax's optimizer, ScaleByNadamState"),
        (
            aj.rmsprop(momentum=0.9),
            optax.rmsprop(0.1, momentum=0.9),
            "stage 2 of the state is the momentum of steps in Optax's optimizer",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            aj.from_optax_state(ours, params, theirs.init(params))
    other = {**params, "w": jnp.ones((3, 3))}
    with pytest.raises(ValueError, match=r"mu of .* has shape \(3, 3\) in Optax's state, \(2, 3\)"):
        aj.from_optax_state(aj.adam(), params, optax.adam(0.1).init(other))
