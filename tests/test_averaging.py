"""The mean of the parameters beside an optimizer: right, and found wherever it stands."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptive_jax as aj
from tests.families.asgd import asgd, mean_after

STEPS = 30


def inputs():
    rng = np.random.default_rng(0)
    params = {"w": rng.normal(size=(3, 2)), "s": rng.normal()}
    grads = {"w": rng.normal(size=(STEPS, 3, 2)), "s": rng.normal(size=STEPS)}
    return params, grads


def averages(tx, params, grads):
    """Returns what `averaged_params` reads after each update."""
    params = jax.tree.map(jnp.asarray, params)

    def step(carry, g):
        params, state = carry
        updates, state = tx.update(g, state, params)
        return (optax.apply_updates(params, updates), state), aj.averaged_params(state)

    return jax.lax.scan(step, (params, tx.init(params)), jax.tree.map(jnp.asarray, grads))[1]


@pytest.mark.parametrize("t0", [0, 7, 1000])
def test_mean_of_asgd(t0):
    params, grads = inputs()
    with jax.enable_x64(True):
        found = averages(aj.asgd(0.1, 0.01, 0.75, t0), params, grads)
    steps = [{name: array[t] for name, array in grads.items()} for t in range(STEPS)]
    expected = mean_after(asgd(params, steps, lr=0.1, lambd=0.01), t0 + 1)
    for name in params:
        np.testing.assert_allclose(found[name], [p[name] for p in expected], rtol=1e-12)


def test_mean_is_kept_in_full_precision():
    """1 + 2^-8 is no bfloat16, but it is the mean of 1 and 1 + 2^-7, which are."""
    tx = aj.polyak_average()
    params = jnp.array(1.0, jnp.bfloat16)
    state = tx.init(params)
    for update in (0.0, 2.0**-7):
        updates, state = tx.update(jnp.array(update, jnp.bfloat16), state, params)
        params = optax.apply_updates(params, updates)
    assert float(aj.averaged_params(state)) == 1 + 2.0**-8


@pytest.mark.relaxed
@pytest.mark.parametrize(
    "wrap",
    [
        lambda tx: tx,
        lambda tx: optax.chain(optax.identity(), optax.chain(tx)),
        lambda tx: optax.masked(tx, True),
        lambda tx: optax.apply_if_finite(tx, 3),
        lambda tx: optax.MultiSteps(tx, every_k_schedule=1).gradient_transformation(),
        lambda tx: optax.partition({"all": tx}, "all"),
    ],
)
def test_mean_is_found_in_any_state(wrap):
    tx = wrap(aj.chain(aj.sgd(0.5), aj.polyak_average()))
    params = {"w": jnp.array([1.0, 2.0])}
    _, state = tx.update({"w": jnp.array([1.0, -1.0])}, tx.init(params), params)
    np.testing.assert_allclose(aj.averaged_params(state)["w"], [0.5, 2.5])


def test_missing_and_ambiguous_means_are_errors():
    params = jnp.ones(2)
    with pytest.raises(ValueError, match="found 0"):
        aj.averaged_params(aj.adam().init(params))
    with pytest.raises(ValueError, match="found 2"):
        aj.averaged_params(aj.chain(aj.asgd(), aj.polyak_average()).init(params))
