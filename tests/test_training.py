"""Training: the population equals a plain loop, and records say what happened."""

import csv
import dataclasses
import functools
import math
import os

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import adaptive_jax as aj
from adaptive_jax.lab import workloads
from adaptive_jax.lab.training import (
    Callback,
    Callbacks,
    CsvLogger,
    Member,
    OptimizerSpec,
    Population,
    RunConfig,
    TensorBoardLogger,
    groups,
    records,
    train,
)
from adaptive_jax.lab.training import population as population_module
from adaptive_jax.lab.training.batches import chunks
from adaptive_jax.lab.training.devices import WHOLE, arrange
from adaptive_jax.lab.training.execution import Execution
from adaptive_jax.lab.training.groups import Group, Shape, blocks_of, fitting
from adaptive_jax.lab.training.settings import Choice, Range, parse_settings
from adaptive_jax.lab.workloads import Data, Split, Workload
from adaptive_jax.presets import keras, torch

pytestmark = pytest.mark.relaxed


def load(data_dir):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 5)).astype(np.float32)
    y = (x[:, 0] + 0.5 * x[:, 1] > 0).astype(np.int32)
    return Data(Split(x[:60], y[:60]), Split(x[60:80], y[60:80]), Split(x[80:], y[80:]))


class Net(nnx.Module):
    def __init__(self, rngs):
        # No bias before batch normalization: its gradient is but rounding, which Adam scales up.
        self.dense1 = nnx.Linear(5, 8, use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.dense2 = nnx.Linear(8, 2, rngs=rngs)

    def __call__(self, x):
        return self.dense2(self.dropout(jax.nn.relu(self.norm(self.dense1(x)))))


# 60 examples in batches of 16: the last one has 12.
SMALL = Workload("small", load, Net, batch_size=16, epochs=3)
SGD, ADAM = OptimizerSpec.parse("sgd:momentum=0.9"), OptimizerSpec("adam")


def plain_loop(spec, rate, seed):
    """The same run as a Flax user would write it, step by step."""
    data = load(None)
    model = Net(nnx.Rngs(jax.random.key(seed)))
    steps = 3 * 4
    tx = optax.chain(
        spec.build(learning_rate=rate),
        optax.scale_by_schedule(optax.cosine_decay_schedule(1.0, steps)),
    )
    optimizer = nnx.Optimizer(model, tx, wrt=nnx.Param)

    @nnx.jit
    def loss_fn(model, x, y):
        return optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()

    losses = []
    for epoch in range(3):
        model.train()
        key = jax.random.fold_in(jax.random.key(seed), 1 + epoch)
        order = jax.random.permutation(key, 60)
        total = 0.0
        for start in range(0, 60, 16):
            batch = order[start : start + 16]
            loss, grads = nnx.value_and_grad(loss_fn)(model, *(a[batch] for a in data.train))
            optimizer.update(model, grads)
            total += float(loss) * len(batch)
        losses.append(total / 60)
    # Before an evaluation, the statistics are the mean of those of the first full batches.
    batches = [model.dense1(data.train.inputs[i : i + 16]) for i in (0, 16, 32)]
    model.norm.mean[...] = jnp.mean(jnp.stack([jnp.mean(x, 0) for x in batches]), 0)
    model.norm.var[...] = jnp.mean(jnp.stack([jnp.var(x, 0) for x in batches]), 0)
    model.eval()
    logits = model(data.test.inputs)
    accuracy = float(jnp.mean(jnp.argmax(logits, -1) == data.test.targets))
    thirds = [loss_fn(model, *(a[i : i + 20] for a in data.train)) for i in (0, 20, 40)]
    return losses, accuracy, float(loss_fn(model, *data.test)), float(np.mean(thirds))


class Count(Callback):
    """How many members each epoch had."""

    def __init__(self):
        self.members = []

    def on_epoch(self, epoch):
        self.members.append(len(epoch.members))


@pytest.fixture(scope="module")
def population():
    return Population(SMALL, load(None))


@pytest.fixture(scope="module")
def histories(population):
    members = [
        Member(spec, seed, {"learning_rate": rate})
        for spec, rates in ((SGD, (0.01, 0.1)), (ADAM, (0.003, 0.03)))
        for rate in rates
        for seed in (3, 4)
    ]
    return list(population.run(members))


@pytest.mark.parametrize("index", [0, 3, 5, 6])  # every optimizer, learning rate and seed
def test_every_member_equals_a_plain_loop(histories, index):
    history = histories[index]
    member = history.member
    losses, accuracy, test_loss, train_loss = plain_loop(
        member.optimizer, member.hyperparameters["learning_rate"], member.seed
    )
    np.testing.assert_allclose([point["train_loss"] for point in history.curve], losses, rtol=1e-4)
    np.testing.assert_allclose(history.final["test_loss"], test_loss, rtol=1e-4)
    np.testing.assert_allclose(history.final["train_loss"], train_loss, rtol=1e-4)
    np.testing.assert_allclose(history.final["test_accuracy"], accuracy, rtol=1e-6)


def test_groups_of_any_width_and_one_device_give_the_same_as_all_devices(histories):
    members = [history.member for history in histories]
    count = Count()
    narrow = Population(SMALL, load(None), width=3, devices=jax.devices()[:1])
    for wide, other in zip(histories, narrow.run(members, count), strict=True):
        assert other.member == wide.member
        for name, value in wide.final.items():
            np.testing.assert_allclose(other.final[name], value, rtol=1e-5)
    assert count.members == [3] * 6 + [2] * 3


def test_groups_that_need_too_much_memory_are_halved(histories):
    members = [history.member for history in histories[:3]]
    count = Count()
    poor = Population(SMALL, load(None), max_memory=1, devices=jax.devices()[:2])
    for wide, other in zip(histories, poor.run(members, count), strict=False):
        for name, value in wide.final.items():
            np.testing.assert_allclose(other.final[name], value, rtol=1e-4)
    assert count.members == [2] * 3 + [1] * 3


def test_finished_members_are_left_out_by_groups(population, histories):
    members = [history.member for history in histories]
    narrow = Population(SMALL, load(None), width=1, devices=jax.devices()[:4])
    assert list(narrow.run(members, is_finished=lambda member: True)) == []
    made = list(narrow.run(members, is_finished=lambda member: member.optimizer == SGD))
    assert [history.member for history in made] == members[4:]
    assert narrow.steps == population.steps


def test_logs(tmp_path):
    config = RunConfig(SMALL, "adam", epochs=2, seed=5)
    callback = Callbacks(CsvLogger(tmp_path / "log.csv"), TensorBoardLogger(tmp_path / "events"))
    record = train(config, callback)
    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"] and rows[0]["optimizer"] == "adam"
    for row, point in zip(rows, record.curve, strict=True):
        assert {name: float(row[name]) for name in point} == point
    (folder,) = (tmp_path / "events" / "small").iterdir()
    assert folder.name == "adam,seed=5"
    assert sum(file.stat().st_size for file in folder.iterdir()) > 0


def test_the_same_run_twice_is_the_same_to_the_bit(population, histories):
    members = [history.member for history in histories]
    for again, before in zip(population.run(members), histories, strict=True):
        assert again.curve == before.curve and again.final == before.final
        assert again.compile_seconds == 0


def test_a_member_has_the_same_bits_on_any_device(population, histories):
    """As long as as many others share it; here each has one of SGD's and one of Adam's."""
    members = [history.member for history in histories]
    turned = [3, 0, 1, 2, 7, 4, 5, 6]
    for i, other in zip(turned, population.run([members[i] for i in turned]), strict=True):
        assert other.member == members[i] and other.curve == histories[i].curve
        assert other.final == histories[i].final and other.compile_seconds == 0


def test_an_evaluation_fetches_its_sums_once(population, histories, monkeypatch):
    """The training split has three chunks, whose sums never reach the host."""
    fetched = []

    def on_host(array):
        fetched.append(array.shape)
        return np.asarray(array)

    monkeypatch.setattr(groups, "on_host", on_host)
    list(population.run([history.member for history in histories]))
    epoch = len(("train_loss", "train_accuracy", "first_loss")) + 2  # and two of validation
    assert len(fetched) == 3 * epoch + 3 * 2


def test_chunks_have_one_shape_and_padding_has_no_weight():
    split = Split(np.arange(1.0, 8.0), np.arange(7))
    padded, weights = zip(*chunks(split, 3), strict=True)
    assert [chunk.inputs.tolist() for chunk in padded] == [[1, 2, 3], [4, 5, 6], [7, 7, 7]]
    assert [chunk.targets.shape for chunk in padded] == [(3,)] * 3
    total = sum(w @ chunk.inputs for chunk, w in zip(padded, weights, strict=True))
    assert total == 28 and np.sum(weights) == 7 and weights[0].dtype == np.float32


def test_members_are_dealt_out_in_equal_shares():
    """Each optimizer's; what is lacking is filled up, and never more than the width."""
    members = [Member(SGD, seed) for seed in range(5)] + [Member(ADAM, seed) for seed in range(2)]
    blocks, places = blocks_of(members, 4)
    assert [(block.optimizer, block.count) for block in blocks] == [(SGD, 2), (ADAM, 1)]
    assert places[0].tolist() == [[0, 1], [2, 3], [4, 4], [4, 4]]
    assert places[1].tolist() == [[5], [6], [6], [6]]
    assert [fitting(members, width, 4) for width in (1, 2, 3)] == [4, 5, 7]
    assert [fitting(members, width, 1) for width in (1, 2, 9)] == [1, 2, 7]
    with pytest.raises(ValueError, match=r"devices_per_batch must divide .*, got 3 and 8"):
        Population(SMALL, load(None), devices_per_batch=3)


def test_members_fill_the_room_of_an_earlier_group():
    """Fewer of the same optimizers, or not all of them; else there is no room."""
    members = [Member(SGD, seed) for seed in range(3)] + [Member(ADAM, seed) for seed in range(2)]
    shape = Shape.of(members, 2)
    assert shape.fillers == (members[0], members[3])
    fewer = [Member(SGD, 7), Member(ADAM, 8)]
    assert [x.tolist() for x in shape.places(fewer, 2)] == [[[0, 0], [0, 0]], [[1], [1]]]
    assert [x.tolist() for x in shape.places(fewer[1:], 2)] == [[[1, 1], [1, 1]], [[0], [0]]]
    assert shape.places(fewer[::-1], 2) is None
    assert shape.places([Member(SGD, seed) for seed in range(5)], 2) is None
    assert shape.places([Member(SGD, 0, {"momentum": 0.1})], 2) is None
    group = Group(fewer[1:], shape, True, False, arrange(jax.devices()[:1], 1))
    assert group.seeds.tolist() == [0, 0, 8]
    assert group.by_member({"loss": jnp.arange(3.0)})["loss"].tolist() == [2]
    assert group.rates([None, jnp.array([[5, 6]])]) == [[5, 6]]


@pytest.mark.parametrize(("spare", "widths"), [(1e12, [4, 4, 4]), (0.0, [4, 2, 1])])
def test_programs_are_used_again_where_that_is_cheap(histories, monkeypatch, spare, widths):
    """Also by a run that finds the first group finished, so that it gives the same bits."""
    monkeypatch.setattr(population_module, "_SPARE", (spare, spare))
    members = [history.member for history in histories[:4]]
    found, start = [], Execution.start

    def noted(self, group):
        found.append(group.width)
        return start(self, group)

    monkeypatch.setattr(Execution, "start", noted)
    ends = []
    for is_finished in (lambda _: False, lambda _: True):
        one = Population(SMALL, load(None), width=9, devices=jax.devices()[:1])
        list(one.run(members, is_finished=is_finished))
        ends.append([history.final for history in one.run(members[1:3])])
        ends[-1] += [history.final for history in one.run(members[3:])]
    assert ends[0] == ends[1] and found == [*widths, *widths[1:]]
    for final, history in zip(ends[0], histories[1:4], strict=True):
        assert final == {k: pytest.approx(v, rel=1e-5) for k, v in history.final.items()}


def test_one_device_need_not_be_the_default():
    device = jax.devices()[3]
    one = arrange([device], 1)
    assert one.put(np.zeros(2), WHOLE).devices() == {device}
    assert one.jit(lambda seed: seed + 1, (WHOLE,), WHOLE)(np.int32(1)).devices() == {device}
    record = train(RunConfig(SMALL, "adam", epochs=1), devices=[device])
    assert record.curve == train(RunConfig(SMALL, "adam", epochs=1)).curve


def test_devices_that_share_a_batch_give_the_same_as_one():
    """Eight, by which neither the last batch, of 12, nor the validation split, of 20, divides."""
    config = RunConfig(SMALL, "adam:learning_rate=0.03")
    shared, alone = train(config, devices=jax.devices()), train(config)
    for many, one in zip((shared.final, *shared.curve), (alone.final, *alone.curve), strict=True):
        for name, value in one.items():
            np.testing.assert_allclose(many[name], value, rtol=1e-5)


def test_training_learns():
    record = train(RunConfig(SMALL, "adam:learning_rate=0.03", epochs=40, seed=1))
    assert record.final["test_accuracy"] > 0.8
    assert record.curve[-1]["train_loss"] < 0.5 * record.initial_loss
    assert record.steps == 160 and len(record.curve) == 40 and not record.diverged
    assert record.hyperparameters["b2"] == 0.999  # defaults are on record


def test_an_exploding_run_is_recorded_as_diverged(tmp_path):
    record = train(RunConfig(SMALL, "sgd:learning_rate=1e30", schedule="constant"))
    assert record.diverged
    records.append(tmp_path / "runs.jsonl", record)
    (again,) = records.read(tmp_path / "runs.jsonl")
    assert math.isnan(again.curve[-1]["train_loss"]) or again.curve[-1]["train_loss"] > 1e3


def test_records_survive_the_disk(tmp_path):
    path = tmp_path / "runs.jsonl"
    record = train(RunConfig("digits_mlp", "sgd:nesterov=true,momentum=0.9", epochs=2))
    odd = dataclasses.replace(record, initial_loss=math.inf, final={"test_loss": -math.inf})
    for each in (record, odd):
        records.append(path, each)
    assert list(records.read(path)) == [record, odd]
    with path.open("a") as file:
        file.write('{"workload": "cut sh')
    assert list(records.read(path)) == [record, odd]
    with path.open("a") as file:
        file.write("\n")
    with pytest.raises(ValueError, match="line 3 is not a record"):
        list(records.read(path))


# What one example goes in as and comes out as.
SHAPES = {
    "digits_cnn": ((8, 8, 1), (10,)),
    "digits_mlp": ((16,), ()),
    "mnist_cnn": ((28, 28, 1), (10,)),
    "fashion_mnist_cnn": ((28, 28, 1), (10,)),
    "cifar10_cnn": ((32, 32, 3), (10,)),
    "mnist1d": ((40,), (10,)),
    "char_transformer": ((64,), (64, 256)),
    "noisy_quadratic": ((20,), (20,)),
}
DTYPES = {"cifar10_cnn": np.uint8, "char_transformer": np.int32}
DOWNLOADED = ("mnist_cnn", "fashion_mnist_cnn", "cifar10_cnn")


@pytest.mark.parametrize("name", workloads.WORKLOADS)
def test_registered_workloads_are_sound(name):
    workload = workloads.get(name)
    inputs, outputs = SHAPES[name]
    dtype = np.dtype(DTYPES.get(name, np.float32))
    examples = jax.ShapeDtypeStruct((2, *inputs), dtype)
    made = jax.eval_shape(lambda x: workload.model(nnx.Rngs(0))(x), examples)
    assert made.shape == (2, *outputs)
    assert 0 < len(workload.description) <= 60
    for text in workload.optimizers:
        OptimizerSpec.parse(text)
    if name not in DOWNLOADED:
        for split in workload.load(None):
            assert split.inputs.shape == (len(split.targets), *inputs)
            assert split.inputs.dtype == dtype


@pytest.mark.parametrize("name", ["digits_cnn", "digits_mlp", "mnist1d"])
def test_no_example_is_in_two_splits(name):
    data = workloads.get(name).load(None)
    inputs = np.concatenate([split.inputs.reshape(len(split.inputs), -1) for split in data])
    assert len(np.unique(inputs, axis=0)) == len(inputs)


@pytest.mark.parametrize("name", ["digits_cnn", "digits_mlp"])
def test_pixels_are_scaled(name):
    data = workloads.get(name).load(None)
    assert data.train.inputs.min() == 0 and 0.9 < data.train.inputs.max() <= 1


def test_the_articles_network():
    """320 + 128 + 128 + 18,496 + 256 + 256 + 409,856 + 1,024 + 2,570 parameters in Keras,
    of which batch normalization's running statistics are not trained."""
    model = workloads.get("mnist_cnn").model(nnx.Rngs(0))
    params = sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))
    norms = 2 * (32 + 32 + 64 + 64 + 256)
    assert params == 320 + 18496 + 409856 + 2570 + norms


def test_mnist_cnn_trains_on_mnist():
    folder = os.environ.get("ADAPTIVE_JAX_MNIST")
    if not folder:
        pytest.skip("ADAPTIVE_JAX_MNIST names no folder with the MNIST files")
    mnist = workloads.get("mnist_cnn")
    data = mnist.load(folder)
    assert [len(split.targets) for split in data] == [48000, 12000, 10000]
    assert data.train.inputs.shape[1:] == (28, 28, 1) and data.train.inputs.max() == 1

    def load_part(data_dir):
        return jax.tree.map(lambda x: x[:2000], data)

    part = dataclasses.replace(mnist, load=load_part, epochs=2)
    record = train(RunConfig(part, "adam:learning_rate=0.003"))
    assert record.steps == 16
    assert record.curve[1]["train_accuracy"] > 0.85 > record.curve[0]["train_accuracy"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workload": "digit_cnn"}, "no workload 'digit_cnn': did you mean 'digits_cnn'"),
        ({"optimizer": "adm"}, "no optimizer 'adm': did you mean 'adam'"),
        (
            {"optimizer": "adam:lr=0.1"},
            "adam has no hyperparameter 'lr': did you mean 'learning_rate'",
        ),
        ({"optimizer": "optax.adam"}, "optax.adam has no default learning_rate: give it one"),
        ({"optimizer": "adam:b1=2"}, r"adam: b1 must be in \[0, 1\), got 2"),
        ({"optimizer": "adam:b1"}, "a setting is written key=value"),
        ({"optimizer": "adam:b1=a"}, "adam: b1 must be a number, got 'a'"),
        ({"optimizer": "adam:b1=0.1,b1=0.2"}, "b1 is set twice"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1, got 0"),
        ({"batch_size": 1.5}, "batch_size must be a whole number"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"seed": 2**31}, "seed must be at most 2147483647"),
        ({"schedule": "cosin"}, "no schedule 'cosin': did you mean 'cosine'"),
    ],
)
def test_bad_configurations_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        RunConfig(**{"workload": "digits_mlp", "optimizer": "adam", **arguments})


def test_whole_numbers_may_be_written_as_floats():
    config = RunConfig("digits_mlp", "adam", epochs=2.0, seed=3.0)
    assert (config.epochs, config.seed) == (2, 3)
    assert type(config.epochs) is int and type(config.seed) is int


def test_labels_are_exact():
    spec = OptimizerSpec("sgd", {"learning_rate": 0.1 + 0.2, "nesterov": True, "momentum": 1e-17})
    assert OptimizerSpec.parse(spec.label) == spec
    odd = parse_settings(["a='x,y=1'", "b=none", "c=-inf"])
    assert odd == {"a": "x,y=1", "b": None, "c": -math.inf}
    assert parse_settings(["a=1", "b=-2.5e-3", "c=False"]) == {"a": 1, "b": -0.0025, "c": False}


@pytest.mark.parametrize(
    ("text", "searched"),
    [
        ("adam:learning_rate=1e-4..1e-2", Range(1e-4, 1e-2, "log")),
        ("adam:learning_rate=linear:0..1", Range(0.0, 1.0, "linear")),
        ("muon:ns_steps=int:3..6", Range(3, 6, "int")),
        ("adamw:weight_decay=0|1e-4|1e-2", Choice([0.0, 1e-4, 1e-2])),
        ("sgd:nesterov=true|false", Choice([True, False])),
        ("muon:adjust=original|'match_rms_adamw'", Choice(["original", "match_rms_adamw"])),
    ],
)
def test_ranges_are_read_and_written_alike(text, searched):
    spec = OptimizerSpec.parse(text)
    (name,) = spec.ranges
    assert spec.ranges[name] == searched and type(spec.ranges[name]) is type(searched)
    again = OptimizerSpec.parse(spec.label)
    assert again == spec and again.ranges == spec.ranges
    given = OptimizerSpec(spec.entry, ranges={name: text.partition("=")[2]})
    assert given == spec
    for share in np.linspace(0, 0.999, 7):
        value = searched.at(share)
        if isinstance(searched, Choice):
            assert value in searched
        else:
            assert searched.low <= value <= searched.high
            width = 1 / (searched.high - searched.low + 1) if searched.scale == "int" else 1e-3
            assert searched.share(value) == pytest.approx(share, abs=width)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("adam:b1=0..0.9", "From 0, write linear:0..0.9"),
        ("adam:b1=linear:0.9..0.1", "must be low..high with low < high"),
        ("muon:ns_steps=int:1.5..3", "must have whole ends"),
        ("adam:b1=cubic:0.1..0.9", "the range of b1 must be log, linear or int, got 'cubic'"),
        ("adam:b1=0.9|0.9", "must have two or more different values"),
        ("adam:b1=0.9|", "b1 must be a number, true or false"),
        ("adam:b1=0.9|2.0", "b1 must be in"),
        ("adam:b1=high", "adam: b1 must be a number, got 'high'"),
        ("sgd:nesterov=ture", "sgd: nesterov must be true or false, got 'ture'"),
        ("optax.adam:learning_rate=fast", "learning_rate must be a number, got 'fast'"),
        ("adamw:mask=ndims", "mask must be a mask, or ndim2 for arrays of 2 axes, got 'ndims'"),
        ("muon:adjust=origin", "adjust"),
    ],
)
def test_bad_settings_say_what_is_allowed(text, message):
    with pytest.raises(ValueError, match=message):
        OptimizerSpec.parse(text)


def test_a_mask_by_name_is_the_function():
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    grads = jax.tree.map(jnp.zeros_like, params)
    for name in ("adamw", "optax.adamw"):
        tx = OptimizerSpec.parse(f"{name}:learning_rate=1.0,weight_decay=0.1,mask=ndim2").build()
        updates, _ = tx.update(grads, tx.init(params), params)
        assert jnp.all(updates["kernel"] != 0) and jnp.all(updates["bias"] == 0)


def test_optimizers_of_every_kind(tmp_path, monkeypatch):
    (tmp_path / "my_optimizers.py").write_text(
        "import optax\n"
        "from adaptive_jax.lab import Workload, workloads\n"
        "def mine(learning_rate=0.1, power=1.0):\n"
        "    return optax.sgd(learning_rate * power)\n"
        "built = optax.sgd(0.1)\n"
        "class nested:\n"
        "    workload = workloads.get('noisy_quadratic')\n"
    )
    (tmp_path / "my_broken.py").write_text("1 / 0\n")
    monkeypatch.chdir(tmp_path)
    spec = OptimizerSpec.parse("my_optimizers:mine:power=0.5..2.0")
    assert spec.label == "my_optimizers:mine:power=0.5..2.0" and spec.defaults["power"] == 1.0
    assert list(spec.search) == ["learning_rate", "power"]
    assert OptimizerSpec.parse("my_optimizers:built").search == {}
    config = RunConfig("my_optimizers:nested.workload", "my_optimizers:built")
    assert config.workload.name == "my_optimizers:nested.workload"
    with pytest.raises(ValueError, match=r"cannot import 'my_broken'.*ZeroDivisionError"):
        OptimizerSpec.parse("my_broken:adam")
    with pytest.raises(ValueError, match="'my_optimizers' has no 'mein': did you mean 'mine'"):
        OptimizerSpec.parse("my_optimizers:mein")
    with pytest.raises(ValueError, match="it runs as it was built"):
        OptimizerSpec.parse("my_optimizers:built:b1=0.9")
    # Built transformations run as they are, under their repr.
    for tx, label in (
        (aj.adam(1e-3, b1=0.8), "adam(learning_rate=0.001, b1=0.8)"),
        (optax.sgd(0.1), "chain(identity(), scale(step_size=-0.1))"),
    ):
        built = OptimizerSpec.of(tx)
        assert built.label == label and built.build() is tx and not built.search
        assert built == OptimizerSpec.of(tx) and not built.entry.scheduled
        assert OptimizerSpec.of(tx, "mine").label == "mine"
        assert OptimizerSpec.of(tx, "mine") != OptimizerSpec.of(optax.sgd(0.1), "mine")
    # A learning rate by another name, and one that is given by its position.
    for preset, ours in ((torch.SGD, "sgd"), (keras.AdamW, "adamw")):
        named = OptimizerSpec.of(preset)
        assert OptimizerSpec.parse(named.label) == named
        assert named.search == OptimizerSpec(ours).search
        params = {"w": jnp.ones(2)}
        tx, theirs = named.build(learning_rate=0.5), preset(0.5)
        one, other = (t.update(params, t.init(params), params)[0] for t in (tx, theirs))
        np.testing.assert_array_equal(one["w"], other["w"])
    partial = OptimizerSpec.of(functools.partial(optax.adam, 1e-3, b2=0.99))
    assert partial.label == "optax.adam:learning_rate=0.001,b2=0.99"


def test_what_is_tuned_by_default():
    def names(text):
        return list(OptimizerSpec.parse(text).search)

    assert names("adamw") == names("optax.lion") == ["learning_rate", "weight_decay"]
    assert names("adam") == names("optax.adam") == names("adamw:weight_decay=0.1")
    assert names("adamw:learning_rate=0.1") == []
    assert names("adamw:learning_rate=0.1,b1=0.8..0.9") == ["b1"]
    for free in ("prodigy", "dog", "dowg", "cocob", "dadapt_adamw", "momo"):
        low, high, _ = OptimizerSpec(f"optax.contrib.{free}").search["learning_rate"]
        assert low < 1 < high <= 10 * low
