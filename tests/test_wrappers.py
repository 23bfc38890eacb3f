"""Optimizers around optimizers: against Optax's, in half precision, and where one evaluates."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptive_jax as aj


def walk(tx, params, grads):
    """Parameters after each update, and the last state."""

    def step(carry, g):
        params, state = carry
        updates, state = tx.update(g, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    (_, state), path = jax.lax.scan(step, (params, tx.init(params)), grads)
    return path, state


def noise(steps, *shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(steps, *shape)), jnp.float32)


@pytest.mark.relaxed
def test_lookahead_equals_optax_with_its_pairs():
    params, grads = jnp.ones(5), noise(20, 5)
    path, state = walk(aj.lookahead(aj.adam(0.1), 4, 0.3), params, grads)
    theirs = optax.lookahead(optax.adam(0.1), 4, 0.3)
    pair = optax.LookaheadParams.init_synced(params)
    their_state = theirs.init(pair)
    for g, ours in zip(grads, path, strict=True):
        updates, their_state = theirs.update(g, their_state, pair)
        pair = optax.apply_updates(pair, updates)
        np.testing.assert_allclose(pair.fast, ours, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(pair.slow, state.slow, rtol=1e-5, atol=1e-6)


@pytest.mark.relaxed
def test_wrappers_take_optimizers_of_optax():
    params, grads = {"a": jnp.ones((2, 3))}, {"a": noise(10, 2, 3)}
    for wrap in (
        aj.cautious,
        aj.lookahead,
        lambda tx: aj.schedule_free(tx, 0.1),
        lambda tx: aj.chain(aj.centralize_gradients(), tx),
    ):
        theirs, _ = walk(wrap(optax.adam(0.1)), params, grads)
        ours, _ = walk(wrap(aj.adam(0.1)), params, grads)
        np.testing.assert_allclose(theirs["a"], ours["a"], rtol=1e-4, atol=1e-5)


def test_schedule_free_evaluates_at_the_average():
    params, grads = {"a": jnp.ones(4)}, {"a": noise(30, 4)}
    tx = aj.chain(aj.clip_by_global_norm(100.0), aj.schedule_free_sgd(0.1, b1=0.8))
    path, state = walk(tx, params, grads)
    x = aj.schedule_free_params(state, jax.tree.map(lambda p: p[-1], path))
    z = 1 - 0.1 * np.cumsum(grads["a"], axis=0)
    np.testing.assert_allclose(x["a"], z.mean(0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(path["a"][-1], 0.2 * z[-1] + 0.8 * z.mean(0), rtol=1e-5, atol=1e-5)


def test_schedule_free_average_does_not_stand_still_in_bfloat16():
    """That of optax.contrib 0.2.8, whose state is in bfloat16 too, is off by 0.3 here."""
    steps = 3000
    grads = noise(steps, 50).astype(jnp.bfloat16)
    params = jnp.ones(50, jnp.bfloat16)
    tx = aj.schedule_free_sgd(0.01)
    path, state = walk(tx, params, grads)
    z = 1 - 0.01 * np.cumsum(np.asarray(grads, np.float64), axis=0)
    np.testing.assert_allclose(state.z, z[-1], atol=1e-4)
    x = aj.schedule_free_params(state, path[-1])
    assert x.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(x, np.float64), z.mean(0), rtol=2**-8, atol=1e-4)
    assert state.y.dtype == jnp.float32
    assert aj.schedule_free_sgd().init(jnp.ones(3)).y is None


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_schedule_free_is_right_where_differences_of_iterates_overflow(dtype):
    start = jnp.array([3e38, -3e38, 1.0], dtype)
    grads = np.tile([3.3e38, 3e38, -3.3e38, -3e38], 3)[:, None] * np.array([1, -1, 0.5])
    grads = jnp.asarray(grads, dtype)
    path, _ = walk(aj.schedule_free_sgd(1.0), start, grads)
    exact = [np.asarray(x, np.float64) for x in (start, grads)]
    z = exact[0] - np.cumsum(exact[1], axis=0)
    x = np.cumsum(z, axis=0) / np.arange(1, 13)[:, None]
    rounding = 2.0 ** (-8 if dtype == jnp.bfloat16 else -20)
    expected = 0.1 * z + 0.9 * x
    np.testing.assert_allclose(np.asarray(path, np.float64), expected, atol=rounding * 3e38)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_schedule_free_stays_finite_where_iterates_overflow(dtype):
    """z would be 5.38e38 at the third update, where y is 2.34e38, and -1.38e38 at the fifth."""
    signs = jnp.array([1, -1, -1, 1, 1], dtype)
    path, _ = walk(aj.schedule_free_sgd(1.0), jnp.array(2e38, dtype), 3.38e38 * signs)
    path = np.asarray(path, np.float64) / 1e38
    np.testing.assert_allclose(path[:2], [-1.38, 0.479], rtol=2**-7)
    assert (np.abs(path) < 2.34).all()  # between the iterates


@pytest.mark.parametrize(("rate", "power"), [(1e-25, 2.0), (1e25, 2.0), (1e-3, 30.0), (1e3, 30.0)])
def test_weights_of_schedule_free_neither_vanish_nor_overflow(rate, power):
    """They are powers of the learning rate, of which only ratios count."""
    grads = noise(6, 4)
    path, _ = walk(aj.schedule_free_sgd(1.0), jnp.ones(4), grads)
    tx = aj.schedule_free_sgd(rate, weight_lr_power=power)
    scaled, _ = walk(tx, jnp.ones(4), grads / rate)
    np.testing.assert_allclose(scaled, path, rtol=1e-5, atol=1e-6)


def steps_of(tx, start, grads):
    """A float32 parameter after these gradients, and the last state."""
    params, state = jnp.array(start, jnp.float32), tx.init(jnp.array(start, jnp.float32))
    for g in grads:
        updates, state = tx.update(jnp.array(g, jnp.float32), state, params)
        params = params + updates
    return float(params), state


def test_means_of_parameters_as_far_apart_as_they_can_be():
    params, state = steps_of(aj.lookahead(aj.sgd(1.0), 2), -3e38, [-3e38, -3e38])
    assert params == 0 and float(state.slow) == 0  # half the way from -3e38 to 3e38
    params, state = steps_of(aj.polyak_average(), -3e38, [0.0, 3e38, 3e38])
    np.testing.assert_allclose(params, 3e38, rtol=1e-6)
    np.testing.assert_allclose(aj.averaged_params(state), 0, atol=1e32)
    params, _ = steps_of(aj.add_proximal_decay(3.0, 1.0), 3e38, [0.0])
    np.testing.assert_allclose(params, 0.75e38, rtol=1e-6)


def test_schedule_free_needs_one_state():
    params = jnp.ones(3)
    with pytest.raises(ValueError, match="exactly one ScheduleFreeState, found 0"):
        aj.schedule_free_params(aj.adam().init(params), params)
    state = aj.schedule_free_sgd().init({"a": params})
    with pytest.raises(ValueError, match=r"has nothing at \['b'\]"):
        aj.schedule_free_params(state, {"a": params, "b": params})


def test_cautious_moves_only_downhill_and_is_not_fooled_by_small_numbers():
    tx = aj.cautious(aj.sgd(1.0, momentum=0.9), xi=0.0)
    state = tx.init(jnp.zeros(3))
    _, state = tx.update(jnp.array([1e-30, 1e-30, 1.0]), state)
    updates, _ = tx.update(jnp.array([1e-30, -1e-31, 1.0]), state)  # products underflow
    assert updates[0] < 0 and updates[1] == 0 and updates[2] < 0


def test_cautious_keeps_complex_numbers_whole():
    tx = aj.cautious(aj.sgd(1.0, momentum=0.5), xi=0.0)
    state = tx.init(jnp.zeros(2, jnp.complex64))
    _, state = tx.update(jnp.array([2 + 2j, 2 + 2j]), state)
    updates, _ = tx.update(jnp.array([-0.5 + 3j, -0.5 - 0.4j]), state)
    np.testing.assert_allclose(updates, [2 * -(0.5 + 4j), 0], atol=1e-6)


def test_centralized_gradients_of_a_convolution():
    kernel = noise(3, 3, 4, 8)
    tx = aj.centralize_gradients()
    updates, _ = tx.update(kernel, tx.init(kernel))
    np.testing.assert_allclose(jnp.mean(updates, axis=(0, 1, 2)), np.zeros(8), atol=1e-6)
    flax = np.asarray(updates)
    torch = jnp.transpose(kernel, (3, 2, 0, 1))
    updates, _ = aj.centralize_gradients(output_axis=0).update(torch, optax.EmptyState())
    np.testing.assert_allclose(updates, flax.transpose(3, 2, 0, 1), atol=1e-6)
    with pytest.raises(ValueError, match="output_axis must be an axis of every gradient, got 2"):
        aj.centralize_gradients(2).update(jnp.ones((2, 2)), optax.EmptyState())
    largest = jnp.array([[3e38, 3e38], [3e38, -3e38]])
    updates, _ = tx.update(largest, optax.EmptyState())
    np.testing.assert_array_equal(np.isfinite(updates), True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: aj.lookahead(aj.sgd(), 0), "sync_period must be a whole number of at least 1"),
        (lambda: aj.lookahead(aj.sgd(), 5, 0.0), r"slow_step_size must be in \(0, 1\]"),
        (lambda: aj.cautious(aj.sgd(), -1.0), "xi must be in"),
        (lambda: aj.schedule_free(aj.sgd(), 0.1, b1=0.0), r"b1 must be in \(0, 1\]"),
        (lambda: aj.schedule_free_sgd(warmup_steps=-1), "warmup_steps must be a whole number"),
        (
            lambda: aj.scale_by_rms(centered=True, bias_correction=True),
            "does not support bias_correction=True",
        ),
        (lambda: aj.skip_spikes(aj.sgd(), 0.0), r"threshold must be in \(0, inf\)"),
        (lambda: aj.skip_spikes(aj.sgd(), decay=1.1), r"decay must be in \[0, 1\]"),
        (lambda: aj.skip_spikes(aj.sgd(), min_deviation=-1), "min_deviation must be in"),
        (lambda: aj.skip_spikes(aj.sgd(), warmup_steps=0), "warmup_steps must be a whole number"),
        (lambda: aj.skip_spikes(aj.sgd(), max_consecutive=0), "max_consecutive must be a whole"),
        (
            lambda: aj.skip_spikes(aj.sgd(), watch="los"),
            "must be 'gradient' or 'loss', got 'los'",
        ),
    ],
)
def test_arguments_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# skip_spikes


def spiky(norms, tx, losses=None):
    """How far gradients of these norms move the parameters, each one, and the last state."""
    params, moved = jnp.zeros(3), []
    state, update = tx.init(params), jax.jit(tx.update)
    for i, norm in enumerate(norms):
        extra = {} if losses is None else {"value": jnp.float32(losses[i])}
        updates, state = update(norm * jnp.array([0.0, 0.6, 0.8]), state, params, **extra)
        moved.append(float(jnp.linalg.norm(updates)))
    return np.array(moved), state


def steady(steps, level=1.0):
    return level * np.exp(0.2 * np.random.default_rng(0).normal(size=steps))


def test_a_spike_leaves_no_trace():
    norms = steady(60)
    tx = aj.skip_spikes(aj.adam(0.1), warmup_steps=20)
    alone, expected = spiky(norms, tx)
    assert int(expected.skipped) == 0 and int(expected.usual) == 60
    with_spikes = np.insert(norms, [30, 31, 31, 50], [50.0, np.nan, np.inf, 3e38])
    moved, state = spiky(with_spikes, tx)
    at = [30, 32, 33, 53]
    np.testing.assert_array_equal(moved[at], 0)
    np.testing.assert_array_equal(np.delete(moved, at), alone)
    assert int(state.skipped) == 4 and int(state.consecutive) == 0
    jax.tree.map(np.testing.assert_array_equal, state._replace(skipped=expected.skipped), expected)


def test_ordinary_gradients_are_not_skipped():
    """Noisy ones, those that fall by orders of magnitude, and those that are 0 once."""
    rng = np.random.default_rng(1)
    tx = aj.skip_spikes(aj.sgd(1.0))
    falling = np.exp(-np.arange(2000) / 200 + 0.3 * rng.normal(size=2000))
    falling[[100, 500]] = 0
    _, state = spiky(falling, tx)
    assert int(state.skipped) == 0 and int(state.usual) == 1998
    np.testing.assert_allclose(state.deviation, 0.5, atol=0.3)
    _, state = spiky([1.0] * 100 + [1.7], tx)  # without any noise before
    assert int(state.skipped) == 0


def test_a_level_that_has_changed_is_the_new_one_after_some_steps():
    tx = aj.skip_spikes(aj.sgd(1.0), warmup_steps=20, max_consecutive=4)
    norms = np.concatenate([steady(30), steady(30, 1000.0)])
    moved, state = spiky(norms, tx)
    np.testing.assert_array_equal(moved[30:34], 0)
    np.testing.assert_allclose(moved[34:], norms[34:], rtol=1e-5)
    assert int(state.skipped) == 4 and int(state.usual) == 26
    np.testing.assert_allclose(state.mean, np.log(norms[34:]).mean(), rtol=1e-4)
    # Gradients that stay NaN are seen in the end, and the statistics are not spoilt by them.
    moved, state = spiky([*steady(30), *[np.nan] * 5, 1.0], tx)
    assert np.isfinite(moved[:34]).all() and np.isnan(moved[34])
    assert int(state.usual) == 1 and float(state.mean) == 0


def test_a_spike_of_the_loss_is_skipped_if_it_is_watched():
    tx = aj.skip_spikes(aj.sgd(1.0), warmup_steps=20, watch="loss")
    norms, losses = steady(40), -5 + np.random.default_rng(2).normal(size=40)
    norms[35] = np.nan
    losses[[30, 32, 33]] = 30.0, np.inf, -np.inf
    moved, state = spiky(norms, tx, losses)
    np.testing.assert_array_equal(np.flatnonzero(moved == 0), [30, 32, 33, 35])
    assert int(state.skipped) == 4
    _, state = spiky(steady(40), tx, [3.4e38, -3.4e38] * 20)  # squares must not overflow
    assert int(state.usual) == 40 and 1e38 < float(state.deviation) < np.inf
    for extra, got in (({}, "none"), ({"value": jnp.ones(2)}, r"shape \(2,\)")):
        with pytest.raises(ValueError, match=rf"params, value=loss\); got {got}"):
            tx.update(jnp.ones(3), state, None, **extra)
    both = aj.skip_spikes(aj.skip_spikes(aj.sgd(1.0)), watch="loss")
    _, state = spiky([1.0, np.nan], both, [1.0, 1.0])
    assert int(state.skipped) == 1 and int(state.inner.skipped) == 0
