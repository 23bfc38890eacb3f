"""Effective learning rates against closed formulas, and their histogram against NumPy's."""

import copy

import equinox
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import adaptive_jax as aj
from adaptive_jax import registry
from adaptive_jax.diagnostics import RATE_EDGES, effective_learning_rates, rate_histogram

STEPS = 5
LR, B1, B2, EPS = 0.01, 0.9, 0.99, 1e-3
RNG = np.random.default_rng(0)
GRADS = {"w": RNG.normal(size=(STEPS, 3, 2)), "b": 1e-3 * RNG.normal(size=(STEPS, 4))}
PARAMS = {"w": RNG.normal(size=(3, 2)), "b": RNG.normal(size=4)}


def single(tree):
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree)


def rates_of(tx, params=None):
    """The rates at each of the steps, the first axis of every leaf."""
    params = single(PARAMS) if params is None else params

    def step(state, grads):
        rates = effective_learning_rates(tx, grads, state, params)
        return tx.update(grads, state, params)[1], rates

    return jax.lax.scan(step, tx.init(params), single(GRADS))[1]


def second_moment(g, decay, corrected=True):
    """The moving mean of squares after each step, from its sum."""
    t = np.arange(1, STEPS + 1)
    weights = np.where(t[:, None] >= t, (1 - decay) * decay ** (t[:, None] - t), 0.0)
    v = np.tensordot(weights, g**2, 1)
    return v / column(1 - decay**t, g) if corrected else v


def column(by_step, g):
    return np.reshape(by_step, (-1, *[1] * (g.ndim - 1)))


def adam_rates(g, lr=LR):
    t = np.arange(1, STEPS + 1)
    return column(lr / (1 - B1**t), g) / (np.sqrt(second_moment(g, B2)) + EPS)


def adabound_rates(g):
    """With eps beside the uncorrected root, as its authors have it."""
    t = np.arange(1, STEPS + 1)
    root = np.sqrt(second_moment(g, B2, corrected=False)) + EPS
    plain = column(LR * np.sqrt(1 - B2**t) / (1 - B1**t), g) / root
    low, high = 0.1 * (1 - 1 / (0.05 * t + 1)), 0.1 * (1 + 1 / (0.05 * t))
    bounded = np.clip(plain, column(low, g), column(high, g))
    assert (bounded != plain).any()
    return bounded


def adam_step(g):
    """Without the learning rate and the correction of a first moment, which it has none of."""
    return 1 / (np.sqrt(second_moment(g, B2)) + EPS)


def centered(g):
    return g - g.mean(1, keepdims=True) if g.ndim > 2 else g


def falling(count):
    return LR * 0.5 ** count.astype(jnp.float32)


FALLING = LR * 0.5 ** np.arange(STEPS)
MOMENTS = {"b1": B1, "b2": B2, "eps": EPS}
CLOSED = {
    "adam": (aj.adam(LR, **MOMENTS), adam_rates),
    "adamw": (aj.adamw(LR, **MOMENTS, weight_decay=0.3), adam_rates),
    "schedule": (
        aj.adamw(falling, **MOMENTS, weight_decay=falling),
        lambda g: adam_rates(g, FALLING),
    ),
    "adagrad": (
        aj.adagrad(LR, initial_accumulator=0.0, eps=EPS),
        lambda g: LR / (np.sqrt(np.cumsum(g**2, 0)) + EPS),
    ),
    "rmsprop": (
        aj.rmsprop(LR, decay=B2, eps=EPS),
        lambda g: LR / (np.sqrt(second_moment(g, B2, corrected=False)) + EPS),
    ),
    "momentum after": (
        aj.chain(aj.scale_by_rms(B2, EPS), aj.momentum(B1), aj.scale_by_learning_rate(LR)),
        lambda g: LR / (np.sqrt(second_moment(g, B2, corrected=False)) + EPS),
    ),
    "sign": (aj.sign_sgd(LR), lambda g: np.full_like(g, LR)),
    "adabound": (
        aj.adabound(LR, final_lr=0.1, gamma=0.05, b1=B1, b2=B2, eps=EPS),
        adabound_rates,
    ),
    "bare, which ascends": (
        aj.scale_by_rms(B2, EPS, bias_correction=True),
        lambda g: -adam_step(g),
    ),
    "nested": (
        aj.chain(
            aj.centralize_gradients(),
            aj.chain(aj.chain(aj.scale_by_adam(**MOMENTS)), optax.scale(0.5)),
            aj.add_decayed_weights(0.1),
            aj.chain(aj.scale_by_learning_rate(2 * LR)),
        ),
        lambda g: adam_rates(centered(g)),
    ),
    "last one": (
        aj.chain(aj.scale_by_sign(), aj.scale_by_rms(B2, EPS, bias_correction=True), aj.sgd(LR)),
        lambda g: np.full_like(g, LR / (1 + EPS)),
    ),
    "tunable": (
        aj.tunable(aj.adamw, learning_rate=falling, **MOMENTS),
        lambda g: adam_rates(g, FALLING),
    ),
    "tunable stages": (
        aj.chain(
            aj.tunable(aj.scale_by_adam, **MOMENTS),
            aj.tunable(aj.scale_by_learning_rate, learning_rate=LR),
        ),
        adam_rates,
    ),
}


@pytest.mark.parametrize("name", CLOSED)
def test_closed_formulas(name):
    tx, formula = CLOSED[name]
    rates = rates_of(tx)
    for key, g in GRADS.items():
        assert rates[key].dtype == jnp.float32
        np.testing.assert_allclose(rates[key], formula(g), rtol=2e-5)


def test_a_mask_is_of_the_stage_it_is_for():
    half = optax.masked(optax.scale(0.5), {"w": True, "b": False})
    rates = rates_of(aj.chain(aj.scale_by_adam(**MOMENTS), half, aj.scale_by_learning_rate(LR)))
    np.testing.assert_allclose(rates["w"], 0.5 * adam_rates(GRADS["w"]), rtol=2e-5)
    np.testing.assert_allclose(rates["b"], adam_rates(GRADS["b"]), rtol=2e-5)


# Of the rest no stage has a memory or looks at whole arrays.
NOT_BY_COORDINATE = {"adafactor", "lamb", "novograd", "sm3"}
BY_COORDINATE = {
    name: entry.factory(**{k: 0.0 for k in entry.defaults if k == "weight_decay"})
    for name, entry in registry.OPTIMIZERS.items()
    if name not in NOT_BY_COORDINATE
    and isinstance(getattr(entry.factory(), "stages", (None,))[0], aj.Preconditioner)
}


def test_without_decay_the_update_is_minus_rate_times_direction():
    params = single(PARAMS)

    @jax.jit
    def step(states, grads):
        products, updates, smallest = {}, {}, {}
        for name, tx in BY_COORDINATE.items():
            rates = effective_learning_rates(tx, grads, states[name], params)
            updates[name], new = tx.update(grads, states[name], params)
            direction = tx.stages[0].step(grads, states[name][0], params).direction
            products[name] = jax.tree.map(lambda r, d: -r * d, rates, direction)
            smallest[name] = optax.tree.min(rates)
            states[name] = new
        return states, products, updates, smallest

    assert len(BY_COORDINATE) >= 24
    states = {name: tx.init(params) for name, tx in BY_COORDINATE.items()}
    for t in range(STEPS):
        grads = jax.tree.map(lambda g, t=t: g[t], single(GRADS))
        states, products, updates, smallest = step(states, grads)
        assert all(
            rate > 0 or (rate == 0 and name == "adashift") for name, rate in smallest.items()
        )
        for name, product in products.items():
            for found, expected in zip(
                *map(jax.tree.leaves, (product, updates[name])), strict=True
            ):
                np.testing.assert_allclose(found, expected, rtol=1e-5, err_msg=name)


def test_under_jit_and_vmap_over_a_hyperparameter():
    grads, params = (jax.tree.map(lambda x: x[0], single(GRADS)), single(PARAMS))

    def rates(learning_rate):
        tx = aj.adamw(learning_rate, **MOMENTS)
        return effective_learning_rates(tx, grads, tx.init(params), params)

    many = jax.jit(jax.vmap(rates))(jnp.array([LR, 3 * LR]))
    for key, g in GRADS.items():
        expected = adam_rates(g)[0]
        np.testing.assert_allclose(many[key], [expected, 3 * expected], rtol=2e-5)


def test_half_precision_and_complex_numbers():
    """The scale of a gradient of 1e-7 is too large for float16, and its rate of 5 is not."""
    tx = aj.adam(1e-6, b1=0.5, eps=0.0)
    rates = effective_learning_rates(
        tx, jnp.full(1, 1e-7, jnp.float16), tx.init(params := jnp.ones(1, jnp.float16)), params
    )
    assert rates.dtype == jnp.float32
    np.testing.assert_allclose(rates, 2e-6 / np.float32(np.float16(1e-7)), rtol=1e-5)
    params = jnp.ones(1, jnp.complex64)
    rates = effective_learning_rates(tx, jnp.full(1, 3 + 4j, params.dtype), tx.init(params), params)
    assert rates.dtype == jnp.float32
    np.testing.assert_allclose(rates, 2e-6 / 5, rtol=1e-5)


def test_extra_arguments_reach_the_stages():
    def init(params):
        return optax.EmptyState()

    def update(updates, state, params=None, *, factor, **extra):
        return jax.tree.map(lambda u: factor * u, updates), state

    by_factor = optax.GradientTransformationExtraArgs(init, update)
    tx = aj.chain(aj.scale_by_sign(), by_factor, aj.scale_by_learning_rate(LR))
    grads = jnp.array([2.0, -1.0])
    rates = effective_learning_rates(tx, grads, tx.init(grads), factor=4.0)
    np.testing.assert_allclose(rates, [4 * LR, 4 * LR], rtol=1e-6)


@pytest.mark.parametrize(
    ("tx", "what"),
    [
        (aj.sgd(0.1, momentum=0.9), "this Chain of 2 stages"),
        (optax.chain(aj.scale_by_adam(), aj.sgd(0.1)), "this GradientTransformationExtraArgs"),
        (aj.schedule_free_adamw(0.1), "this Transformation"),
        (aj.tunable(aj.sgd, learning_rate=0.1), "this Tunable"),
    ],
    ids=["sgd", "optax.chain", "wrapped", "tunable"],
)
def test_an_optimizer_without_a_visible_preconditioner_is_an_error(tx, what):
    params = jnp.ones(2)
    with pytest.raises(ValueError, match=f"no Preconditioner .* in {what}: .* adaptive_jax.chain"):
        effective_learning_rates(tx, params, tx.init(params), params)


def ascending_sign():
    return optax.stateless(lambda updates, params: jax.tree.map(jnp.sign, updates))


REFUSED = {
    "lamb": (aj.lamb(0.1), "stage 2 of this Chain of 4"),
    "adafactor": (aj.adafactor(0.1), "stage 1 of this Chain of 5"),
    "trust ratio": (aj.chain(aj.scale_by_adam(), aj.scale_by_trust_ratio()), "stage 1"),
    "norm": (aj.chain(aj.scale_by_adam(), aj.clip_by_global_norm(1.0)), "stage 1"),
    "value": (aj.chain(aj.scale_by_adam(), optax.clip(1.0)), "stage 1"),
    "sign": (aj.chain(aj.scale_by_adam(), aj.chain(ascending_sign())), "stage 0"),
    "center": (aj.chain(aj.scale_by_adam(), aj.centralize_gradients()), "stage 1"),
    "square": (
        aj.chain(
            aj.scale_by_adam(), optax.stateless(lambda u, p: jax.tree.map(lambda x: x * x, u))
        ),
        "stage 1",
    ),
    "another leaf": (
        aj.chain(
            aj.scale_by_adam(), optax.stateless(lambda u, p: {"w": u["w"] + u["v"], "v": u["v"]})
        ),
        "stage 1",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_stage_that_rates_cannot_be_followed_through_is_an_error(name):
    """The derivative is not the rate of the step here: that of `lamb` may be negative."""
    tx, where = REFUSED[name]
    params = {"w": jnp.ones((2, 2)), "v": jnp.ones((2, 2))}
    with pytest.raises(ValueError, match=f"cannot follow rates through {where}.* masks, momentum"):
        jax.eval_shape(lambda: effective_learning_rates(tx, params, tx.init(params), params))


def test_rates_are_followed_through_stages_of_optax():
    stages = [
        optax.trace(0.5),
        optax.add_decayed_weights(0.1),
        optax.scale_by_schedule(lambda count: 0.5),
        optax.masked(optax.scale(4.0), {"w": True, "b": True}),
    ]
    tx = aj.chain(aj.scale_by_adam(**MOMENTS), *stages, optax.scale_by_learning_rate(LR))
    for key, rates in rates_of(tx).items():
        np.testing.assert_allclose(rates, 2 * adam_rates(GRADS[key]), rtol=2e-5)


def test_trees_that_do_not_match_are_an_error():
    tx = aj.adam()
    state = tx.init({"w": jnp.ones(2)})
    with pytest.raises(ValueError, match=r"nothing at \[0\].mu\['v'\]"):
        effective_learning_rates(tx, {"v": jnp.ones(2)}, state)


@pytest.mark.parametrize(
    "tx", [aj.adam(), aj.scale_by_adam(), aj.tunable(aj.adam)], ids=["chain", "bare", "tunable"]
)
def test_optimizers_that_show_their_parts_are_values_in_trees(tx):
    """Copied, mapped over or passed to a transformed function, they keep them."""
    grads = jnp.array([2.0, -1.0])

    @equinox.filter_jit
    def rates(tx, state):
        return effective_learning_rates(tx, grads, state)

    expected = effective_learning_rates(tx, grads, tx.init(grads))
    for same in (tx, copy.copy(tx), copy.deepcopy(tx), jax.tree.map(lambda x: x, tx)):
        assert type(same) is type(tx)
        np.testing.assert_allclose(rates(same, same.init(grads)), expected, rtol=1e-6)


# The histogram.


def test_edges_are_four_a_decade():
    assert RATE_EDGES.shape == (41,)
    np.testing.assert_allclose(RATE_EDGES[::4], [float(f"1e{k}") for k in range(-6, 5)])


def test_histogram_counts_as_numpy_does():
    rng = np.random.default_rng(1)
    rates = {
        "w": np.exp(6 * rng.normal(size=(3, 50, 7)) - 5).astype(np.float32),
        "b": np.exp(6 * rng.normal(size=(3, 9)) - 5).astype(np.float32),
    }
    counts = jax.jit(jax.vmap(rate_histogram))(jax.tree.map(jnp.asarray, rates))
    assert counts.dtype == jnp.int32 and counts.shape == (3, 40)
    for member in range(3):
        flat = np.concatenate([rates["w"][member].ravel(), rates["b"][member]])
        assert flat.min() < 1e-6 and flat.max() > 1e4
        expected, _ = np.histogram(np.clip(flat.astype(np.float64), 1e-6, 1e4), RATE_EDGES)
        np.testing.assert_array_equal(counts[member], expected)


def test_histogram_of_numbers_at_the_edges_and_beyond():
    edges = jnp.asarray(RATE_EDGES, jnp.float32)
    np.testing.assert_array_equal(rate_histogram(edges), [1] * 39 + [2])
    beyond = jnp.array([-jnp.inf, -1.0, 0.0, 1e-12, 1e12, jnp.inf, jnp.nan])
    np.testing.assert_array_equal(rate_histogram(beyond), [4] + [0] * 38 + [2])
    np.testing.assert_array_equal(rate_histogram({}), [0] * 40)
