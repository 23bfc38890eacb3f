"""The same model through every framework and as plain functions, and what each adapter does."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

from adaptive_jax.lab import Model, compare, workload
from adaptive_jax.lab.training import Member, OptimizerSpec, Population, RunConfig, train
from adaptive_jax.lab.training.digests import digest
from adaptive_jax.lab.training.network import Network
from adaptive_jax.lab.workloads import DataError, Split, Workload
from adaptive_jax.lab.workloads.models import as_model

try:
    import haiku as hk
except ModuleNotFoundError:
    hk = None

pytestmark = pytest.mark.relaxed
needs_haiku = pytest.mark.skipif(hk is None, reason="Haiku is not installed")

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
Y = (X[:, 0] * X[:, 1] > 0).astype(np.int32)
SPLITS = [(X[part], Y[part]) for part in (slice(36), slice(36, 48), slice(48, 60))]
FIRST, SECOND = (jnp.asarray(RNG.normal(size=shape) / 2, jnp.float32) for shape in ((4, 8), (8, 2)))


# The MLP 4 -> 8 -> 2 with these kernels and biases of 0.


class InNnx(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Linear(4, 8, kernel_init=lambda *_: FIRST, rngs=rngs)
        self.second = nnx.Linear(8, 2, kernel_init=lambda *_: SECOND, rngs=rngs)

    def __call__(self, x):
        return self.second(nnx.relu(self.first(x)))


class InLinen(linen.Module):
    @linen.compact
    def __call__(self, x):
        x = linen.relu(linen.Dense(8, kernel_init=lambda *_: FIRST)(x))
        return linen.Dense(2, kernel_init=lambda *_: SECOND)(x)


def in_equinox(key):
    model = eqx.nn.MLP(4, 2, 8, depth=1, key=key)
    layers = [eqx.tree_at(lambda m: m.bias, layer, 0 * layer.bias) for layer in model.layers]
    weights = zip(layers, (FIRST, SECOND), strict=True)
    layers = tuple(eqx.tree_at(lambda m: m.weight, layer, w.T) for layer, w in weights)
    return eqx.tree_at(lambda m: m.layers, model, layers)


def in_haiku():
    def network(x):
        x = jax.nn.relu(hk.Linear(8, w_init=lambda *_: FIRST)(x))
        return hk.Linear(2, w_init=lambda *_: SECOND)(x)

    return hk.transform(network)


def init(key):
    return [(FIRST, jnp.zeros(8)), (SECOND, jnp.zeros(2))], ()


def apply(params, state, inputs, key, train):
    (first, b), (second, c) = params
    return jax.nn.relu(inputs @ first + b) @ second + c, state


MODELS = {
    "nnx": lambda: InNnx,
    "linen": InLinen,
    "equinox": lambda: in_equinox,
    "haiku": in_haiku,
}


@pytest.fixture(scope="module")
def plain():
    return trained(Model(init, apply))


def trained(model):
    mine = workload(model, *SPLITS, batch_size=16, epochs=2)
    return train(RunConfig(mine, "adam:learning_rate=0.03", seed=3))


@pytest.mark.parametrize("kind", [*list(MODELS)[:3], pytest.param("haiku", marks=needs_haiku)])
def test_every_framework_gives_the_same_numbers(plain, kind):
    record = trained(MODELS[kind]())
    assert record.parameters == plain.parameters == 58
    assert record.final["test_accuracy"] == plain.final["test_accuracy"]
    for ours, theirs in zip(
        (record.final, *record.curve), (plain.final, *plain.curve), strict=True
    ):
        assert {k: pytest.approx(v, rel=1e-5) for k, v in ours.items()} == theirs
    assert not any(part.startswith("unidentified") for part in record.identity.values())


# Modes, random keys and statistics. The functions are called as they are, without a compiler.


class Noisy(nnx.Module):
    def __init__(self, rngs):
        self.norm, self.dropout = nnx.BatchNorm(4, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x):
        return self.dropout(self.norm(x))


class NoisyLinen(linen.Module):
    @linen.compact
    def __call__(self, x, train):
        x = linen.BatchNorm(use_running_average=not train)(x)
        return linen.Dropout(0.5, deterministic=not train)(x)


class NoisyEquinox(eqx.Module):
    norm: eqx.nn.BatchNorm
    dropout: eqx.nn.Dropout

    def __init__(self, key):
        self.norm, self.dropout = eqx.nn.BatchNorm(4, "batch", mode="batch"), eqx.nn.Dropout(0.5)

    def __call__(self, x, state, key):
        x, state = self.norm(x, state)
        return self.dropout(x, key=key), state


def noisy_equinox(key):
    return eqx.nn.make_with_state(NoisyEquinox)(key)


def noisy_haiku():
    def network(x, is_training):
        x = hk.BatchNorm(True, True, 0.99)(x, is_training)
        return hk.dropout(hk.next_rng_key(), 0.5, x) if is_training else x

    return hk.transform_with_state(network)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Noisy,
        NoisyLinen,
        lambda: noisy_equinox,
        pytest.param(noisy_haiku, marks=needs_haiku),
    ],
    ids=["nnx", "linen", "equinox", "haiku"],
)
def test_models_know_their_mode_and_keep_their_state(make):
    model = as_model(make(), X)
    params, state = model.init(jax.random.key(0))
    step = jax.jit(lambda state, key: model.apply(params, state, X, key, True))
    outputs, new = step(state, jax.random.key(1))
    assert jax.tree.structure(new) == jax.tree.structure(state)
    assert 0.3 < np.mean(np.asarray(outputs) == 0) < 0.7
    kept = np.asarray(outputs) != 0
    normal = 2 * (X - X.mean(0)) / np.sqrt(X.var(0) + 1e-5)
    np.testing.assert_allclose(np.asarray(outputs)[kept], normal[kept], rtol=1e-3, atol=1e-4)
    other, _ = step(new, jax.random.key(2))
    assert np.any((np.asarray(other) == 0) != (np.asarray(outputs) == 0))
    evaluated, same = model.apply(params, new, X, jax.random.key(1), False)
    assert np.all(np.asarray(evaluated) != 0)
    jax.tree.map(
        lambda a, b: np.testing.assert_array_equal(*map(np.asarray, map(raw, (a, b)))), same, new
    )


def raw(x):
    return jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x


@pytest.mark.parametrize("make", [Noisy, NoisyLinen()], ids=["nnx", "linen"])
@pytest.mark.parametrize("size", [1e-3, 1.0])
def test_batch_statistics_are_renewed(make, size):
    """Whatever the moving average was, it becomes the mean over the batches."""
    x = np.asarray(X * size + 3 * size, np.float32)
    model = as_model(make, x)
    network = Network(workload(make, *SPLITS), model, lambda batch: batch)
    state = network.init(0)
    batches = Split(x[:48].reshape(4, 12, 4), Y[:48].reshape(4, 12) % 2)
    rest = jax.jit(network.renewed)(state, batches)
    averages = [
        leaf
        for leaf, chosen in zip(jax.tree.leaves(rest), jax.tree.leaves(model.averages), strict=True)
        if chosen
    ]
    means, variances = batches.inputs.mean(1).mean(0), batches.inputs.var(1).mean(0)
    assert len(averages) == 2
    np.testing.assert_allclose(averages[0], means, rtol=1e-2)
    np.testing.assert_allclose(averages[1], variances, rtol=1e-2)
    trees = rest, state.rest, model.averages
    others = zip(*map(jax.tree.leaves, trees), strict=True)
    assert all(np.all(raw(a) == raw(b)) for a, b, chosen in others if not chosen)


class Power(nnx.Module):
    """Power iteration, whose vector is kept in `nnx.BatchStat` and is no moving average."""

    def __init__(self, rngs):
        self.dense = nnx.Linear(4, 2, rngs=rngs)
        self.u = nnx.BatchStat(jnp.ones(2))

    def __call__(self, x):
        u = self.u[...] @ self.dense.kernel[...].T @ self.dense.kernel[...]
        self.u[...] = u / jnp.linalg.norm(u)
        return self.dense(x)


def test_statistics_that_are_no_moving_average_follow_their_own_rule():
    network = Network(workload(Power, *SPLITS), as_model(Power, X), lambda batch: batch)
    state = network.init(0)
    batches = Split(X[:48].reshape(4, 12, 4), Y[:48].reshape(4, 12))
    renewed = np.asarray(jax.jit(network.renewed)(state, batches)["u"])
    kernel = np.asarray(state.params["dense"]["kernel"])
    steps, u = [], np.ones(2)
    for _ in range(4):
        u = u @ kernel.T @ kernel
        u /= np.linalg.norm(u)
        steps.append(u)
    np.testing.assert_allclose(renewed, np.mean(steps, 0), rtol=1e-5)


def test_members_of_a_seed_share_the_keys_of_model_and_augmentation():
    """Two rates of 0, so that only seed and step matter, in one population."""
    seen = []

    def noise(inputs, key):
        seen.append(inputs.shape)
        return inputs + jax.random.normal(key, inputs.shape)

    mine = workload(Model(init, apply), *SPLITS, batch_size=18, epochs=1, augment=noise)
    sgd = OptimizerSpec("sgd")
    members = [Member(sgd, seed, {"learning_rate": 0.0}) for seed in (0, 0, 1)]
    population = Population(mine, mine.load(None), devices=jax.devices()[:1])
    same, again, other = (history.curve[0]["train_loss"] for history in population.run(members))
    assert same == again != other and seen
    clean = dataclasses.replace(mine, augment=None)
    population = Population(clean, mine.load(None), devices=jax.devices()[:1])
    (bare,) = population.run(members[:1])
    assert abs(bare.curve[0]["train_loss"] - same) > 0.01
    assert bare.curve[0]["validation_loss"] == pytest.approx(
        next(population.run(members[:1])).curve[0]["validation_loss"]
    )


# What is refused.


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (3, "model must be a Model(init, apply), a function `rngs -> nnx.Module`"),
        (InLinen, "model must be a Linen module, got its class: pass InLinen()"),
        (InNnx(nnx.Rngs(0)), "pass the class, `lambda rngs: …` for an NNX module"),
        (in_equinox(jax.random.key(0)), "pass the class, `lambda rngs: …` for an NNX module"),
        (lambda rngs: 3, "got a function that returns 3"),
        (lambda key: 3, "got a function that returns 3"),
        (
            Model(lambda key: ((), jnp.zeros(2)), lambda p, s, x, k, t: (x[:, :2], s[:1])),
            "the model must return a state of the structure, shapes and dtypes that init returns",
        ),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
def test_other_models_are_refused(model, message):
    with pytest.raises(ValueError) as refused:
        train(RunConfig(workload(model, *SPLITS, name="mine"), "adam"))
    assert message in str(refused.value) and str(refused.value).startswith("mine: ")


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"train": 3}, DataError, "train must be a pair (x, y) of arrays, a dict of arrays, or a"),
        ({"train": (X, X)}, ValueError, "loss must be given for targets that are float32 and no"),
        ({"train": {"x": X}}, ValueError, "loss must be given for targets that are dict and no"),
        ({"epoch": 3}, ValueError, "workload has no setting 'epoch': did you mean 'epochs'"),
        ({"metric": "acc"}, ValueError, "metric must be 'accuracy' or 'loss', got 'acc'"),
    ],
)
def test_other_workloads_are_refused(changes, error, message):
    arguments = dict(zip(("train", "validation", "test"), SPLITS, strict=True)) | changes
    with pytest.raises(error) as refused:
        workload(InNnx, **arguments)
    assert message in str(refused.value)


def test_no_folder_is_read():
    mine = workload(InNnx, *SPLITS)
    with pytest.raises(DataError, match="has its data in memory and reads no folder"):
        mine.load("folder")


def test_a_regression_is_not_judged_by_accuracy():
    splits = [(x, x[:, :2]) for x, _ in SPLITS]
    squares = lambda outputs, targets: jnp.sum((outputs - targets) ** 2, -1)  # noqa: E731
    mine = workload(Model(init, apply), *splits, loss=squares, batch_size=36, epochs=1, name="mine")
    assert (mine.metric, mine.accuracy) == ("loss", None)
    by_hand = Workload("mine", mine.load, mine.model, squares)
    message = r"^mine: the default accuracy .* set accuracy=None and metric='loss', or an accuracy"
    with pytest.raises(ValueError, match=message):
        train(RunConfig(by_hand, "adam"))
    result = compare(mine, ["sgd:learning_rate=0.01", "sgd:learning_rate=1e-9"], seeds=3)
    assert "sgd" in result.verdict and "accuracy" not in str(result.records[0].final)


@needs_haiku
def test_a_digest_changes_with_a_function_inside_of_haiku():
    def made(factor):
        return hk.transform(lambda x: factor * hk.Linear(2)(x))

    assert digest(made(2)) == digest(made(2)) != digest(made(3))


def test_an_optax_mask_finds_the_names_of_any_model():
    """Decay for arrays whose name has a kernel alone."""

    def mask(params):
        return jax.tree_util.tree_map_with_path(
            lambda path, _: "kernel" in jax.tree_util.keystr(path), params
        )

    params, _ = as_model(InLinen(), X).init(jax.random.key(0))
    tx = optax.masked(optax.set_to_zero(), mask)
    updates, _ = tx.update(params, tx.init(params))
    assert not np.any(updates["Dense_0"]["kernel"])
