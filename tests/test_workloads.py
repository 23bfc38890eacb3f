"""The workloads that make their own data: what they hold, and that they can be learned."""

import dataclasses
import itertools
import math
import os
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.ndimage import gaussian_filter1d

from adaptive_jax.lab import workloads
from adaptive_jax.lab.training import Member, OptimizerSpec, Population, RunConfig, train
from adaptive_jax.lab.workloads import DataError, mnist1d, noisy_quadratic, text
from adaptive_jax.lab.workloads.char_transformer import CONTEXT, CharTransformer

pytestmark = [pytest.mark.optimized, pytest.mark.relaxed]


@pytest.mark.parametrize("name", ["mnist1d", "char_transformer", "noisy_quadratic"])
def test_data_are_always_the_same(name):
    workload = workloads.get(name)
    jax.tree.map(np.testing.assert_array_equal, workload.load(None), workload.load(None))


@pytest.mark.parametrize("name", ["digits_cnn", "mnist1d", "noisy_quadratic"])
def test_data_that_are_made_need_no_folder(name, tmp_path):
    with pytest.raises(DataError, match="drop --data-dir"):
        workloads.get(name).load(str(tmp_path))


# --- MNIST-1D


def plain_signal(rng, template):
    """The paper's steps, one after the other on one signal."""
    x = (template - template.mean()) / template.std()
    x = (x - x[0]) / 6
    x = np.concatenate([x + 1e-8, np.zeros(rng.integers(36, 61))])
    x = np.interp(np.linspace(0, 1, 72), np.linspace(0, 1, len(x)), x)
    x *= 1 + 0.4 * (rng.random() - 0.5)
    x = np.roll(x, rng.integers(48))
    noise = gaussian_filter1d(0.25 * rng.normal(size=72), 2)
    x = np.where(x != 0, x, noise) + 0.02 * rng.normal(size=72)
    x -= 0.75 * (rng.random() - 0.5) * np.linspace(-0.5, 0.5, 72)
    return np.interp(np.linspace(0, 1, 40), np.linspace(0, 1, 72), x)


def features(signals):
    """What depends on every step of the recipe: size, smoothness, slope and place."""
    lagged = [np.mean(signals[:, k:] * signals[:, : 40 - k], 1) for k in (0, 1, 2, 4, 8)]
    slopes = signals @ np.linspace(-1, 1, 40)
    return np.stack([*lagged, signals.mean(1), slopes**2, np.abs(signals).max(1)], 1)


def test_mnist1d_equals_the_recipe_in_distribution():
    rng = np.random.default_rng(1)
    data = mnist1d.MNIST1D.load(None)
    inputs, labels = (np.concatenate(parts) for parts in zip(*data, strict=True))
    for label, template in enumerate(mnist1d._TEMPLATES):
        ours = features(inputs[labels == label])
        theirs = features(np.stack([plain_signal(rng, template) for _ in range(500)]))
        error = np.sqrt(ours.var(0) / len(ours) + theirs.var(0) / len(theirs))
        assert np.all(np.abs(ours.mean(0) - theirs.mean(0)) < 4 * error)


def test_mnist1d_splits():
    data = mnist1d.MNIST1D.load(None)
    assert [len(split.targets) for split in data] == [3200, 800, 1000]
    assert np.all(np.bincount(np.concatenate([split.targets for split in data])) == 500)


def test_mnist1d_can_be_learned():
    record = train(RunConfig("mnist1d", "adam:learning_rate=0.01", epochs=6))
    assert record.final["test_accuracy"] > 0.7


# --- text


def test_the_text_follows_its_grammar():
    numbers = {word: i for i, word in enumerate(text._NUMBERS)}
    plurals = {noun: i for pair in text._NOUNS for i, noun in enumerate(pair)}
    verbs = {verb: i for pair in text._VERBS for i, verb in enumerate(pair)}
    content = text.generated().decode()
    assert len(content) == 80_000
    seen = set()
    for line in content.split("\n")[:-1]:  # the last one is cut short
        words = re.findall(r"\w+", line)
        if words[1] == "and":
            first, _, second, noun, _, total = words
            assert numbers[first] + numbers[second] == numbers[total] and plurals[noun] == 1
            seen.add("sum")
        else:
            noun, verb, *thing, _, pronoun, other = words[2:10]
            plural = plurals[noun]
            assert verbs[verb] == verbs[other] == plural == ("it", "they").index(pronoun)
            for first, _, last in (words[:3], thing, words[10:]):
                assert plurals[last] == (first not in ("this", "one"))
            seen.add(plural)
    assert seen == {"sum", 0, 1}


def test_a_text_of_ones_own(tmp_path):
    path = tmp_path / "own.txt"
    content = "Größe und Maß, 1 € für 7 Äpfel.\n".encode() * 100
    path.write_bytes(content)
    data = workloads.get("char_transformer").load(str(path))
    for split, start, share in zip(data, (0, 0.8, 0.9), (0.8, 0.1, 0.1), strict=True):
        part = content[round(start * len(content)) :][: round(share * len(content))]
        count = (len(part) - 1) // CONTEXT
        assert split.inputs.shape == split.targets.shape == (count, CONTEXT)
        assert bytes(split.inputs.ravel().tolist()) == part[: count * CONTEXT]
        assert bytes(split.targets.ravel().tolist()) == part[1 : 1 + count * CONTEXT]


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "has 0 bytes: pass a text with at least 650"),
        (b"too short\n", "has 10 bytes: pass a text with at least 650"),
        (b"x" * 649, "has 649 bytes"),
        (b"PNG" + bytes(range(256)) * 9, r"is not UTF-8 text \(byte 131\): pass a text file"),
        (None, "No such file.*pass a text file as --data-dir, or leave it out for a generated"),
    ],
)
def test_texts_that_cannot_be(tmp_path, content, match):
    path = tmp_path / "own.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=match) as caught:
        workloads.get("char_transformer").load(str(path))
    assert "\n" not in str(caught.value) and "own.txt" in str(caught.value)


def test_a_folder_is_no_text(tmp_path):
    with pytest.raises(DataError, match=r"Is a directory.*pass a text file"):
        workloads.get("char_transformer").load(str(tmp_path))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_has_no_end_is_read_to_a_limit_only(tmp_path, monkeypatch):
    load = workloads.get("char_transformer").load
    monkeypatch.setattr(text, "_STREAM_LIMIT", 2**16)
    monkeypatch.setattr(text, "_LIMIT", 2**17)
    with pytest.raises(DataError, match=r"cannot read /dev/zero \(more than 65536 bytes\)"):
        load("/dev/zero")
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 2**40)
    with pytest.raises(DataError, match=r"sparse \(more than 131072 bytes\)"):
        load(str(tmp_path / "sparse"))
    (tmp_path / "large").write_bytes(b"x" * 2**17)
    assert len(load(str(tmp_path / "large")).train.targets) == 2**17 * 8 // 10 // CONTEXT
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="pipe has 0 bytes"):  # nobody writes to it
        load(str(tmp_path / "pipe"))
    reader, writer = os.pipe()  # as a shell's <(command) gives it
    os.write(writer, b"x" * 650)
    os.close(writer)
    assert len(load(f"/dev/fd/{reader}").test.targets) == 1
    with pytest.raises(DataError, match=r"cannot read .*null"):
        load("a\0b")


def test_the_shortest_text_has_a_sequence_in_each_split(tmp_path):
    (tmp_path / "own.txt").write_bytes(b"x" * 650)
    data = workloads.get("char_transformer").load(str(tmp_path / "own.txt"))
    assert [len(split.targets) for split in data] == [8, 1, 1]


def test_the_transformer_sees_no_future():
    graph, state = nnx.split(CharTransformer(nnx.Rngs(0)))
    model = jax.jit(lambda tokens: nnx.merge(graph, state)(tokens))
    before = jax.random.randint(jax.random.key(0), (2, CONTEXT), 0, 256)
    after = before.at[:, 40].add(1)
    changed = jnp.any(model(before) != model(after), (0, 2))
    assert not changed[:40].any() and changed[40:].all()


def test_the_transformer_learns():
    workload = workloads.get("char_transformer")

    def load_part(data_dir):
        return jax.tree.map(lambda x: x[:100], workload.load(data_dir))

    part = dataclasses.replace(workload, load=load_part, epochs=4)
    record = train(RunConfig(part, "adam:learning_rate=0.01"))
    assert record.initial_loss == pytest.approx(math.log(256), rel=0.2)  # nats for a byte
    assert record.final["test_loss"] < 2.5 and record.final["test_accuracy"] > 0.25


# --- the noisy quadratic


def test_expected_loss_is_the_mean_over_all_orders(monkeypatch):
    """Every order of two epochs of six examples in batches of two, with two curvatures."""
    curvatures = np.array([1.0, 0.3])
    monkeypatch.setattr(noisy_quadratic, "CURVATURES", curvatures)
    monkeypatch.setattr(noisy_quadratic, "EXAMPLES", 6)
    monkeypatch.setattr(noisy_quadratic, "BATCH_SIZE", 2)
    noise = np.random.default_rng(0).normal(size=(6, 2))
    noise = (noise - noise.mean(0)) / noise.std(0) / np.sqrt(curvatures)
    orders = np.array(list(itertools.permutations(range(6))))
    batches = noise[orders].reshape(len(orders), 3, 2, 2).mean(2)

    def epoch(theta, rate):
        theta = np.broadcast_to(theta[:, None], (len(theta), len(orders), 2))
        for step in range(3):
            theta = theta - rate * curvatures * (theta - batches[:, step])
        return theta.reshape(-1, 2)

    for rate in (0.0, 0.4, 1.0, 1.7):
        theta = np.ones((1, 2))
        for epochs in (1, 2):
            theta = epoch(theta, rate)
            loss = np.mean(theta**2 @ curvatures) / 2
            np.testing.assert_allclose(noisy_quadratic.expected_loss(rate, epochs), loss)


@pytest.fixture(scope="module")
def quadratic_losses():
    """Test losses of SGD, for each of the learning rates one of each seed."""
    workload = workloads.get("noisy_quadratic")
    population = Population(workload, workload.load(None), width=512)
    sgd, rates = OptimizerSpec("sgd"), 2.0 ** np.arange(-6, 0)
    members = [
        Member(sgd, seed, {"learning_rate": rate}) for rate in rates.tolist() for seed in range(80)
    ]
    losses = [history.final["test_loss"] for history in population.run(members)]
    return rates, np.reshape(losses, (len(rates), -1))


def test_runs_end_at_the_expected_loss(quadratic_losses):
    rates, losses = quadratic_losses
    errors = losses.std(1, ddof=1) / math.sqrt(losses.shape[1])
    deviations = losses.mean(1) - noisy_quadratic.expected_loss(rates)
    assert np.all(np.abs(deviations) < 4 * errors), deviations / errors
    # The check says something: no standard error is more than a tenth of what it checks.
    assert np.all(errors < 0.1 * losses.mean(1))


def test_the_best_rate_of_a_grid_is_the_one_that_theory_names(quadratic_losses):
    rates, losses = quadratic_losses
    best = rates[np.argmin(losses.mean(1))]
    assert best == rates[np.argmin(noisy_quadratic.expected_loss(rates))]
    assert best / 2 < noisy_quadratic.best_learning_rate() < best * 2


@pytest.mark.parametrize("epochs", [1, 3])
def test_no_rate_is_better_than_the_best(epochs):
    grid = np.geomspace(1e-3, 1.9, 2000)
    least = noisy_quadratic.expected_loss(grid, epochs).min()
    rate = noisy_quadratic.best_learning_rate(epochs)
    assert noisy_quadratic.expected_loss(rate, epochs) <= least * (1 + 1e-5)


def test_epochs_are_checked():
    with pytest.raises(ValueError, match="epochs must be a whole number of at least 1, got 0"):
        noisy_quadratic.expected_loss(0.1, epochs=0)
