"""Negative rates do what they do in Optax: ascend, and push parameters away from 0."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptive_jax as adaptive
from adaptive_jax import registry, tunable

PARAMS = {"w": jnp.array([[1.0, -2.0], [0.5, 3.0]]), "b": jnp.array([1.0, 2.0])}
GRADS = {"w": jnp.array([[1.0, -0.2], [0.3, 2.0]]), "b": jnp.array([-1.0, 0.2])}


def trained(tx, steps=3):
    params, state = PARAMS, tx.init(PARAMS)
    with jax.numpy_dtype_promotion("standard"):  # which Optax needs
        for _ in range(steps):
            updates, state = tx.update(GRADS, state, params)
            params = optax.apply_updates(params, updates)
    return params


def assert_equal(actual, expected, sign=1.0, **tolerance):
    jax.tree.map(
        lambda a, e: np.testing.assert_allclose(a, sign * e, **tolerance), actual, expected
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda m: m.sgd(-0.1, momentum=0.9),
        lambda m: m.adam(-0.1),
        lambda m: m.adamw(-0.1, weight_decay=-0.3),
        lambda m: m.lion(lambda count: -0.1 / (count + 1), weight_decay=0.2),
        lambda m: m.rmsprop(None, decay=0.9, eps=1e-8),
        lambda m: m.adam(None),
    ],
    ids=["sgd", "adam", "adamw", "lion", "rmsprop-None", "adam-None"],
)
def test_as_in_optax(make):
    assert_equal(trained(make(adaptive)), trained(make(optax)), rtol=1e-5, atol=1e-6)


# Those that use the rate elsewhere, too, than in the last stage.
@pytest.mark.parametrize(
    "name", ["adabound", "adafactor", "adan", "asgd", "muon", "schedule_free_adamw"]
)
def test_the_first_step_is_the_opposite_one(name):
    entry = registry.OPTIMIZERS[name]
    no_decay = {"weight_decay": 0.0} if "weight_decay" in entry.defaults else {}
    up, down = (entry.factory(learning_rate=rate, **no_decay) for rate in (-0.01, 0.01))
    (up, _), (down, _) = (tx.update(GRADS, tx.init(PARAMS), PARAMS) for tx in (up, down))
    assert_equal(up, down, sign=-1.0, rtol=1e-4)


@pytest.mark.parametrize("make", [adaptive.ftrl, adaptive.rprop])
def test_what_to_write_where_rates_must_be_positive(make):
    with pytest.raises(ValueError, match=r"to ascend, put optax.scale\(-1.0\) before it"):
        make(-0.1)
    opposite = jax.tree.map(jnp.negative, GRADS)
    tx = adaptive.chain(optax.scale(-1.0), make(0.1))
    (up, _), (expected, _) = (
        t.update(g, t.init(PARAMS), PARAMS) for t, g in ((tx, GRADS), (make(0.1), opposite))
    )
    assert_equal(up, expected)


def test_schedule_free_averages_while_it_ascends():
    make = adaptive.schedule_free_sgd
    up, down = make(-0.1), make(0.1)
    opposite = jax.tree.map(jnp.negative, GRADS)
    up_state, down_state = up.init(PARAMS), down.init(PARAMS)
    params = PARAMS
    for _ in range(3):
        updates, up_state = up.update(GRADS, up_state, params)
        expected, down_state = down.update(opposite, down_state, params)
        assert_equal(updates, expected, rtol=1e-6)
        params = optax.apply_updates(params, updates)
    averages = [adaptive.schedule_free_params(s, params) for s in (up_state, down_state)]
    assert_equal(*averages, rtol=1e-6)


def test_a_tunable_rate_may_be_negative():
    tx = tunable(adaptive.adabound, learning_rate=-0.01)
    assert_equal(trained(tx), trained(adaptive.adabound(-0.01)), rtol=1e-6)


def test_proximal_decay_away_from_0():
    params = jnp.array(5.0)
    tx = adaptive.add_proximal_decay(weight_decay=-1.0, learning_rate=0.5)
    update, _ = tx.update(jnp.array(0.0), tx.init(params), params)
    np.testing.assert_allclose(params + update, 10.0)
