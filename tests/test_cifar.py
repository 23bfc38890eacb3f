"""Reading of CIFAR-10's archive: verified, in memory, and only its batches."""

import gzip
import hashlib
import io
import tarfile

import numpy as np
import pytest

from adaptive_jax.lab import training
from adaptive_jax.lab.workloads import cifar
from adaptive_jax.lab.workloads.cifar import CIFAR10, CifarSource
from adaptive_jax.lab.workloads.downloads import DataError

BATCHES = [*(f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6))]
TEST = "cifar-10-batches-bin/test_batch.bin"
EXAMPLES = 4  # in a batch


def batch(seed, labels=None):
    """The bytes of a batch, its images (n, 32, 32, 3) and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, EXAMPLES, np.uint8) if labels is None else np.uint8(labels)
    images = rng.integers(0, 256, (len(labels), 32, 32, 3), np.uint8)
    content = bytearray()
    for image, label in zip(images, labels, strict=True):
        content.append(label)
        for channel in range(3):
            content += image[:, :, channel].tobytes()
    return bytes(content), images, labels


def members():
    return {name: batch(seed)[0] for seed, name in enumerate((*BATCHES, TEST))}


def archive(contents):
    """A .tar.gz of name -> bytes, or of name -> prepared TarInfo."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in contents.items():
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                tar.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def link(target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, target
    return info


def source_of(body):
    digest = hashlib.sha256(body).hexdigest()
    return CifarSource("tiny", (), "tiny.tar.gz", digest, len(body), EXAMPLES)


def write(folder, body):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.tar.gz").write_bytes(body)


def load_error(source, folder, match):
    with pytest.raises(DataError, match=match) as caught:
        cifar.load(source, folder)
    assert "\n" not in str(caught.value)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ADAPTIVE_JAX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tiny"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data"


@pytest.mark.parametrize("cached", [False, True])
def test_images_and_labels(folder, cache, cached):
    contents = {"cifar-10-batches-bin/readme.html": b"hello", **members()}
    names = list(contents)
    body = archive({name: contents[name] for name in reversed(names)})  # in whatever order
    write(cache if cached else folder, body)
    train, test = cifar.load(source_of(body), None if cached else folder)
    _, images, labels = zip(*(batch(seed) for seed in range(6)), strict=True)
    np.testing.assert_array_equal(train.inputs, np.concatenate(images[:5]))
    np.testing.assert_array_equal(train.targets, np.concatenate(labels[:5]))
    np.testing.assert_array_equal(test.inputs, images[5])
    np.testing.assert_array_equal(test.targets, labels[5])
    assert train.inputs.dtype == test.inputs.dtype == np.uint8
    assert train.targets.dtype == test.targets.dtype == np.int32


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda body: body[:50] + bytes([body[50] ^ 1]) + body[51:], r"has \d+ bytes with sha256"),
        (lambda body: body[:-9], r"has \d+ bytes with sha256"),
        (lambda body: body + b"\0", "holds more than"),
        (lambda body: b"", "has 0 bytes"),
        (lambda body: archive({TEST: b"another"}), "has"),
    ],
    ids=["flipped", "truncated", "longer", "empty", "another archive"],
)
def test_wrong_bytes(folder, change, match):
    body = archive(members())
    write(folder, change(body))
    match = rf"^tiny: .*tiny.tar.gz {match}.*expected {len(body)} bytes.*leave out --data-dir"
    load_error(source_of(body), folder, match)


def test_missing_folder_and_archive(folder):
    source = source_of(archive(members()))
    load_error(source, folder, "^no folder .*data: expected tiny.tar.gz; or leave out --data-dir")
    folder.mkdir()
    load_error(source, folder, "data has no tiny.tar.gz: expected tiny.tar.gz; or")
    (folder / "cifar-10-batches-bin").mkdir()  # unpacked batches cannot be verified
    load_error(source, folder, "data has no tiny.tar.gz")
    load_error(source, None, "^tiny: cannot get tiny.tar.gz")


# What follows can only be if the pinned archive itself is odd.


@pytest.mark.parametrize(
    "odd",
    [
        {TEST: members()[TEST][:-1]},
        {TEST: members()[TEST] + b"\0"},
        {TEST: b""},
        {TEST: link(BATCHES[0])},
        {TEST: link("../../outside.bin")},
        {TEST: link("outside.bin", tarfile.LNKTYPE)},
        {TEST: link("", tarfile.DIRTYPE)},
    ],
    ids=["short", "long", "empty", "symlink", "symlink outside", "hard link", "folder"],
)
def test_members_that_are_no_batches(folder, odd):
    (folder.parent / "outside.bin").write_bytes(members()[TEST])
    body = archive({**members(), **odd})
    write(folder, body)
    match = rf"tiny.tar.gz has no {TEST} of {EXAMPLES * 3073} bytes; replace the file"
    load_error(source_of(body), folder, match)


@pytest.mark.parametrize(
    ("body", "match"),
    [
        (b"no archive at all", r"is not a gzip-compressed tar archive \(not a gzip file"),
        (gzip.compress(b"no tar" * 200), "is not a gzip-compressed tar archive"),
        (archive(members())[:-300], "is not a gzip-compressed tar archive"),
        (archive(members())[:20], "is not a gzip-compressed tar archive"),
        (b"", "is not a gzip-compressed tar archive"),
        (gzip.compress(b""), "is not a gzip-compressed tar archive|has no cifar"),
    ],
    ids=["no gzip", "no tar", "cut", "cut in the first block", "empty", "empty gzip"],
)
def test_a_pinned_file_that_is_no_archive(folder, body, match):
    write(folder, body)
    load_error(source_of(body), folder, f"^tiny: .*tiny.tar.gz ({match})")


@pytest.mark.parametrize("name", [f"/{TEST}", f"../{TEST}", f"./{TEST}", f"x/../{TEST}"])
def test_names_are_exact_and_nothing_is_unpacked(folder, name):
    contents = members()
    body = archive({**{n: contents[n] for n in BATCHES}, name: contents[TEST]})
    write(folder, body)
    load_error(source_of(body), folder, f"has no {TEST} of")
    absolute = str(folder.parent / "escaped.bin")
    unpacked = archive({**contents, "../escaped.bin": b"out", absolute: b"out"})
    write(folder, unpacked)
    cifar.load(source_of(unpacked), folder)
    everything = [path.name for path in folder.parent.rglob("*") if path.is_file()]
    assert everything == ["tiny.tar.gz"]


def test_labels_beyond_nine(folder):
    body = archive({**members(), BATCHES[2]: batch(2, [0, 9, 10, 3])[0]})
    write(folder, body)
    load_error(source_of(body), folder, "gz has the label 10: labels must be 0 to 9; replace")


@pytest.mark.relaxed
def test_the_workload_learns_its_images_by_heart(folder, monkeypatch):
    body = archive(members())
    write(folder, body)
    monkeypatch.setattr(cifar, "CIFAR10", source_of(body))
    data = cifar.CIFAR10_CNN.load(str(folder))
    assert [split.inputs.shape for split in data] == [(n, 32, 32, 3) for n in (18, 2, 4)]
    config = training.RunConfig(
        cifar.CIFAR10_CNN, "adam", epochs=8, batch_size=6, data_dir=str(folder)
    )
    record = training.train(config)
    assert record.steps == 24
    assert record.curve[-1]["train_loss"] < 0.3 * record.initial_loss


def test_cifar10_constant():
    assert CIFAR10.mirrors == ("https://www.cs.toronto.edu/~kriz/",)
    assert len(bytes.fromhex(CIFAR10.sha256)) == 32
    raw = 6 * CIFAR10.batch_examples * 3073
    assert raw * 0.9 < CIFAR10.size < raw
