"""Data of any shape and size: pytrees, memory-mapped arrays, streams, and what has no room."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptive_jax.lab import Data, Model, Split, Stream, compare, workload
from adaptive_jax.lab.training import Member, OptimizerSpec, Population, RunConfig, train
from adaptive_jax.lab.training import batches as host
from adaptive_jax.lab.training.batches import HostSplit, sent
from adaptive_jax.lab.training.execution import Execution
from adaptive_jax.lab.training.identity import identified
from adaptive_jax.lab.workloads import DataError
from adaptive_jax.lab.workloads.checks import check_workload

pytestmark = pytest.mark.relaxed

RNG = np.random.default_rng(0)
X = RNG.normal(size=(76, 3)).astype(np.float32)
Y = X @ RNG.normal(size=(3, 2)).astype(np.float32)
PARTS = slice(44), slice(44, 60), slice(60, 76)
SPLITS = [(X[part], Y[part]) for part in PARTS]


def init(key):
    return 0.1 * jax.random.normal(key, (3, 2)), ()


def apply(params, state, inputs, key, train):
    return inputs @ params, state


def squares(outputs, targets):
    return jnp.sum((outputs - targets) ** 2, -1)


# 44 examples in batches of 8: the last one has 4.
LINEAR = workload(Model(init, apply), *SPLITS, loss=squares, batch_size=8, epochs=2, name="linear")
SGD, ADAM = OptimizerSpec("sgd"), OptimizerSpec("adam")
MEMBERS = [
    Member(spec, seed, {"learning_rate": rate}) for spec, rate in ((SGD, 0.1), (ADAM, 0.03))
    for seed in (4, 5)
]  # fmt: skip


def histories(workload, **options):
    options = {"devices": jax.devices()[:1], **options}
    return list(Population(workload, workload.load(None), **options).run(MEMBERS))


@pytest.fixture(scope="module")
def in_memory():
    return histories(LINEAR)


def assert_same(ours, theirs, tolerance=1e-6):
    for one, other in zip(ours, theirs, strict=True):
        assert one.member == other.member
        for a, b in zip((one.final, *one.curve), (other.final, *other.curve), strict=True):
            assert a == {name: pytest.approx(value, rel=tolerance) for name, value in b.items()}


# Larger than the memory.


def test_data_without_room_are_sent_and_give_the_same(in_memory, monkeypatch, tmp_path):
    """1 kB for programs, where the data take 1.5 kB, from memory-mapped files."""
    for name, array in (("x", X), ("y", Y)):
        np.save(tmp_path / name, array)
    x, y = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("x", "y"))
    data = Data(*(Split(x[part], y[part]) for part in PARTS))
    mapped = dataclasses.replace(LINEAR, load=lambda data_dir: data)
    largest, steps = [], Execution._steps_args

    def noted(self, group, model, optimizers, batches, is_last):
        largest.append(sum(leaf.nbytes for leaf in jax.tree.leaves(batches)))
        return steps(self, group, model, optimizers, batches, is_last)

    monkeypatch.setattr(Execution, "_steps_args", noted)
    monkeypatch.setattr(host, "_SENT_BYTES", 700)  # two steps of two seeds
    memory = 1000
    assert sum(a.nbytes for split in data for a in split) > memory / 2
    assert_same(histories(mapped, max_memory=memory, width=4), in_memory)
    assert 0 < max(largest) <= 700


@pytest.mark.parametrize("devices", [2, 4])
def test_sent_data_are_the_same_on_several_devices(in_memory, devices):
    assert_same(histories(LINEAR, max_memory=1000, devices=jax.devices()[:devices]), in_memory)


def test_what_is_sent_is_the_order_of_each_seed():
    split = Split(np.arange(7), {"a": np.arange(7.0)})
    source = HostSplit(split, 3, 5)
    assert (source.steps, source.batch_size, source.bytes) == (3, 3, 112)
    parts = list(sent(source, 1, [8, 9]))
    assert [part.inputs.shape for part in parts] == [(2, 2, 3), (1, 2, 1)]
    for i, seed in enumerate((8, 9)):
        seen = np.concatenate([part.inputs[:, i].ravel() for part in parts])
        key = jax.random.fold_in(jax.random.key(seed), 2)
        assert seen.tolist() == jax.random.permutation(key, 7).tolist()
    np.testing.assert_array_equal(parts[0].inputs, parts[0].targets["a"])


# Pytrees.


def test_batches_may_be_pytrees(in_memory):
    """The same numbers in dicts and tuples: as two trees, and as one for both."""

    def of_dict(params, state, inputs, key, train):
        return {"all": jnp.concatenate([inputs["a"], inputs["b"][0]], 1) @ params}, state

    def loss(outputs, targets):
        return squares(outputs["all"], targets["y"])

    pairs = [({"a": x[:, :1], "b": (x[:, 1:],)}, {"y": y}) for x, y in SPLITS]
    settings = {"loss": loss, "batch_size": 8, "epochs": 2, "name": "linear"}
    model = Model(init, of_dict)
    assert_same(histories(workload(model, *pairs, **settings)), in_memory)
    whole = [{**x, **y} for x, y in pairs]
    assert_same(histories(workload(model, *whole, **settings)), in_memory)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (({"a": X, "b": X[:3]}, Y), "got 3 or 76 inputs and 76 targets"),
        (({"a": X, "b": np.array(["c"] * 76)}, Y), "must have a numeric dtype for inputs, got <U1"),
        (({"a": np.where(X > 2, np.nan, X)}, Y), "train has an input nan at"),
    ],
)
def test_unsound_pytrees_are_refused(split, message):
    data = Data(*3 * [Split(*split)])
    with pytest.raises(DataError, match=r"^linear: train") as refused:
        check_workload(LINEAR, data)
    assert message in str(refused.value)


# Streams.


class Loader:
    """Batches of the training split in the order of an epoch and seed, as a `DataLoader`."""

    def __init__(self, epoch, seed, kind=tuple):
        key = jax.random.fold_in(jax.random.key(seed), 1 + epoch)
        self._order, self._kind = np.asarray(jax.random.permutation(key, 44)), kind

    def __len__(self):
        return 6

    def __iter__(self):
        for start in range(0, 44, 8):
            rows = self._order[start : start + 8]
            yield self._kind((SPLITS[0][0][rows], SPLITS[0][1][rows]))


def in_two(split):
    def batches(epoch, seed):
        for part in (slice(12), slice(12, None)):
            yield tuple(array[part] for array in split)

    return batches


@pytest.mark.parametrize("kind", [tuple, list])
def test_a_stream_gives_what_its_arrays_give(in_memory, kind):
    train = Stream(lambda epoch, seed: Loader(epoch, seed, kind))
    settings = {"loss": squares, "epochs": 2, "name": "linear"}
    streamed = workload(
        Model(init, apply), train, in_two(SPLITS[1]), Stream(in_two(SPLITS[2])), **settings
    )
    assert streamed.metric == "loss"
    population = Population(streamed, streamed.load(None))
    assert (population.steps, population.batch_size) == (12, 8)
    assert population.examples == {"train": 48, "validation": 16, "test": 16}  # no length: counted
    ours = list(population.run(MEMBERS))
    for one, other in zip(ours, in_memory, strict=True):
        assert [point["train_loss"] for point in one.curve] == pytest.approx(
            [point["train_loss"] for point in other.curve], rel=1e-6
        )
        assert one.final["validation_loss"] == pytest.approx(
            other.final["validation_loss"], rel=1e-6
        )


def test_runs_of_a_seed_see_the_same_batches_in_any_group():
    """Three runs of one seed, one after another and side by side: a rate of 0 shows the batches."""
    calls = []

    def batches(epoch, seed):
        calls.append((epoch, seed))
        rng = np.random.default_rng((epoch, seed))
        for _ in range(2):
            rows = rng.integers(0, 44, 8)
            yield X[rows] + rng.normal(size=(8, 3)).astype(np.float32), Y[rows]

    streamed = workload(Model(init, apply), batches, *SPLITS[1:], loss=squares, epochs=1)
    members = [Member(SGD, seed, {"learning_rate": 0.0}) for seed in (7, 7, 8)]
    losses = []
    for width in (3, 1):
        population = Population(
            streamed, streamed.load(None), width=width, devices=jax.devices()[:1]
        )
        calls.clear()
        losses.append([h.curve[0]["train_loss"] for h in population.run(members)])
        assert {seed for _, seed in calls} >= {7, 8}
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)
    assert losses[0][0] == losses[0][1] != losses[0][2]


def short(epoch, seed):
    yield from list(Loader(epoch, seed))[: 6 - epoch]


def unseeded(epoch, seed, rng=np.random.default_rng(0)):  # noqa: B008
    yield rng.normal(size=(8, 3)).astype(np.float32), Y[:8]


def growing(epoch, seed):
    yield from ((X[:size], Y[:size]) for size in (8, 12))


@pytest.mark.parametrize(
    ("train_on", "validate_on", "message"),
    [
        (lambda epoch, seed: [], None, "train is a stream without batches"),
        (
            unseeded,
            None,
            "gives other batches when it is called again with the same epoch and seed",
        ),
        (
            Stream(short, steps=6),
            None,
            "6 batches, but epoch 1 of seed 0 ended after 5: set steps=",
        ),
        (None, growing, "whose first batch has 8 examples, and a later one 12"),
        (None, lambda epoch, seed: [(X[:8, :2], Y[:8])], "validation has inputs of (n, 2) float32"),
    ],
)
def test_unsound_streams_are_refused(train_on, validate_on, message):
    splits = [train_on or SPLITS[0], validate_on or SPLITS[1], SPLITS[2]]
    splits = [Stream(split) if callable(split) else split for split in splits]
    data = Data(*(Split.of(s) if isinstance(s, tuple) else s for s in splits))
    streamed = dataclasses.replace(LINEAR, load=lambda data_dir: data)
    with pytest.raises(DataError, match=r"^linear: ") as refused:
        train(RunConfig(streamed, "sgd:learning_rate=0.1"))
    assert message in str(refused.value)


def test_a_stream_is_a_function():
    with pytest.raises(ValueError, match="an iterator would be used up after an epoch"):
        Stream(iter([]))
    with pytest.raises(ValueError, match="steps must be a whole number of at least 1, got 0"):
        Stream(short, steps=0)


def test_streams_are_identified_by_their_code_and_first_batch(tmp_path):
    def made(offset):
        return lambda epoch, seed: [(X[:8] + offset, Y[:8])] * 2

    mine = workload(Model(init, apply), made(0), *SPLITS[1:], loss=squares, epochs=1, name="mine")
    rate = ["sgd:learning_rate=0.1"]
    first = compare(mine, rate, seeds=1, out=tmp_path)
    same = workload(Model(init, apply), made(0), *SPLITS[1:], loss=squares, epochs=1, name="mine")
    assert compare(same, rate, seeds=1, out=tmp_path).records == first.records
    other = workload(Model(init, apply), made(1), *SPLITS[1:], loss=squares, epochs=1, name="mine")
    assert compare(other, rate, seeds=1, out=tmp_path).records != first.records


def test_large_arrays_are_hashed_in_parts(monkeypatch):
    from adaptive_jax.lab.training import digests

    whole = identified("array", X)
    monkeypatch.setattr(digests, "_HASHED_BYTES", 100)
    assert identified("array", X) == whole != identified("array", X + 1)


def test_grain():
    """The example of the documentation."""
    grain = pytest.importorskip("grain", reason="Grain is not installed")

    def batches(epoch, seed):
        (number,) = np.random.SeedSequence((epoch, seed)).generate_state(1)
        examples = grain.MapDataset.source(np.arange(44)).seed(int(number)).shuffle()
        examples = examples.random_map(
            lambda i, rng: (X[i] + rng.normal(size=3).astype(np.float32), Y[i])
        )
        return examples.batch(8, drop_remainder=True)

    mine = workload(Model(init, apply), batches, *SPLITS[1:], loss=squares, epochs=2, name="mine")
    record = train(RunConfig(mine, "sgd:learning_rate=0.05"))
    assert record.steps == 10 and record.examples["train"] == 40
    assert record.curve[1]["train_loss"] < record.curve[0]["train_loss"]
