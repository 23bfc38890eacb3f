"""Reading of IDX data sets: look-up order, digests, downloads (only from 127.0.0.1)."""

import gzip
import hashlib
import os
import struct
import threading
import tracemalloc
import urllib.request
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from adaptive_jax.lab.workloads import downloads, idx
from adaptive_jax.lab.workloads.downloads import DataError
from adaptive_jax.lab.workloads.idx import FASHION_MNIST, MNIST, Dataset, IdxFile, IdxSource

TRAIN_IMAGES = "train-images-idx3-ubyte"


def idx_bytes(array):
    header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


def idx_file(filename, content, item_shape):
    digest = hashlib.sha256(content).hexdigest()
    return IdxFile(filename, digest, len(content), item_shape)


def make_arrays(train=5, test=3):
    rng = np.random.default_rng(0)
    return Dataset(
        rng.integers(0, 256, (train, 28, 28), np.uint8),
        rng.integers(0, 10, train, np.uint8),
        rng.integers(0, 256, (test, 28, 28), np.uint8),
        rng.integers(0, 10, test, np.uint8),
    )


def make_source(arrays, mirrors=()):
    files = {
        role: idx_file(MNIST.files[role].filename, idx_bytes(array), array.shape[1:])
        for role, array in arrays._asdict().items()
    }
    return IdxSource("tiny", tuple(mirrors), files)


def write_files(folder, arrays, zipped=True):
    folder.mkdir(parents=True, exist_ok=True)
    for role, array in arrays._asdict().items():
        path = folder / MNIST.files[role].filename
        content = idx_bytes(array)
        if zipped:
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(content))
        else:
            path.write_bytes(content)


def assert_same(found, expected):
    assert isinstance(found, Dataset)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == np.uint8
        np.testing.assert_array_equal(one, other)


def load_error(source, data_dir=None, match=""):
    """The text of the DataError that load must raise, one line that matches."""
    with pytest.raises(DataError, match=match) as caught:
        idx.load(source, data_dir)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache of its own; the folder of the source named tiny in it."""
    monkeypatch.setenv("ADAPTIVE_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path / "cache" / "tiny"


@pytest.fixture
def arrays():
    return make_arrays()


@pytest.fixture
def folder(tmp_path, arrays):
    """A data_dir with four good gzip files."""
    write_files(tmp_path / "data", arrays)
    return tmp_path / "data"


class Handler(BaseHTTPRequestHandler):
    """Serves server.bodies, but badly under /stall/, /garbled/, /short/, /drip/ and /trickle/."""

    def do_GET(self):
        self.server.requests.append((self.path, self.headers["User-Agent"]))
        if self.path.startswith("/stall/"):
            self.server.release.wait()
        if self.path.startswith("/trickle/"):
            return self.drip(b"HTTP/1.0 200 OK\r\n" + b"X-Endless: " + b"a" * 50_000)
        if self.path.startswith("/garbled/"):
            return self.wfile.write(b"this is\x1b[31m no HTTP" + b"!" * 5000 + b"\r\n\r\n")
        body = self.server.bodies.get(self.path)
        if body is None:
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.path.startswith("/drip/"):
            return self.drip(body)
        self.wfile.write(body[: len(body) // 2] if self.path.startswith("/short/") else body)

    def drip(self, content):
        """A byte at a time, until the client hangs up or the test is over."""
        for i in range(len(content)):
            self.wfile.write(content[i : i + 1])
            if self.server.release.wait(0.02):
                return
        self.server.dripped.append(self.path)

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies, self.requests, self.dripped = {}, [], []
        self.release = threading.Event()

    def handle_error(self, request, client_address):
        pass  # a client that hangs up early is part of some tests

    def mirror(self, name, arrays=None, change=lambda body: body):
        """The URL of a mirror; without arrays all its files are missing."""
        for role, array in (arrays._asdict() if arrays else {}).items():
            path = f"/{name}/{MNIST.files[role].filename}.gz"
            self.bodies[path] = change(gzip.compress(idx_bytes(array)))
        return f"http://127.0.0.1:{self.server_port}/{name}/"

    def paths(self):
        return [path for path, _ in self.requests]


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.release.set()
        server.shutdown()
        thread.join()


# --- a folder that the user names


def test_folder_of_gzip_files(folder, arrays):
    assert_same(idx.load(make_source(arrays), folder), arrays)


def test_folder_of_plain_files_named_by_str(tmp_path, arrays):
    write_files(tmp_path, arrays, zipped=False)
    assert_same(idx.load(make_source(arrays), str(tmp_path)), arrays)


@pytest.mark.parametrize("zipped", [True, False])
def test_folder_with_variant_names(tmp_path, arrays, zipped):
    write_files(tmp_path, arrays, zipped)
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert (tmp_path / f"train-images.idx3-ubyte{'.gz' * zipped}").exists()
    assert_same(idx.load(make_source(arrays), tmp_path), arrays)


def test_recompressed_and_unzipped_under_gz_name_pass(folder, arrays):
    content = idx_bytes(arrays.train_images)
    path = folder / f"{TRAIN_IMAGES}.gz"
    for body in (gzip.compress(content, 0), content):
        path.write_bytes(body)
        assert_same(idx.load(make_source(arrays), folder), arrays)


def test_home_in_folder_is_expanded(folder, arrays, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    monkeypatch.setenv("USERPROFILE", str(folder.parent))
    assert_same(idx.load(make_source(arrays), "~/data"), arrays)


def test_arrays_are_read_only(folder, arrays):
    data = idx.load(make_source(arrays), folder)
    with pytest.raises(ValueError, match="read-only"):
        data.train_images[0] = 0


def test_missing_folder(tmp_path, arrays):
    text = load_error(make_source(arrays), tmp_path / "none", r"^no folder .*none: expected ")
    assert all(file.filename in text for file in MNIST.files.values())
    assert "leave out --data-dir to use the cache or download" in text


def test_missing_files_are_named_and_not_found_elsewhere(folder, arrays, cache, server):
    write_files(cache, arrays)
    source = make_source(arrays, [server.mirror("good", arrays)])
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    absent = "data has no train-labels-idx1-ubyte, t10k-labels-idx1-ubyte: expected train-images"
    assert "leave out --data-dir" in load_error(source, folder, absent)
    assert server.requests == []


def test_flipped_byte(folder, arrays, server):
    source = make_source(arrays, [server.mirror("good", arrays)])
    wrong = bytearray(idx_bytes(arrays.train_images))
    wrong[-1] ^= 1
    (folder / f"{TRAIN_IMAGES}.gz").write_bytes(gzip.compress(wrong))
    text = load_error(source, folder, rf"{TRAIN_IMAGES}\.gz has 3936 bytes with sha256")
    assert hashlib.sha256(wrong).hexdigest()[:12] in text
    assert source.files["train_images"].sha256[:12] in text
    assert "replace the file, or leave out --data-dir" in text
    assert server.requests == []


def test_swapped_files(folder, arrays):
    labels, images = folder / "train-labels-idx1-ubyte.gz", folder / f"{TRAIN_IMAGES}.gz"
    images.write_bytes(labels.read_bytes())
    load_error(make_source(arrays), folder, f"{TRAIN_IMAGES}.gz has 13 bytes with sha256")


def test_truncated_plain_file(tmp_path, arrays):
    write_files(tmp_path, arrays, zipped=False)
    (tmp_path / TRAIN_IMAGES).write_bytes(idx_bytes(arrays.train_images)[:-10])
    match = f"{TRAIN_IMAGES} has 3926 bytes with sha256 .*expected 3936 bytes"
    load_error(make_source(arrays), tmp_path, match)


def test_truncated_gzip(folder, arrays):
    path = folder / f"{TRAIN_IMAGES}.gz"
    path.write_bytes(path.read_bytes()[:-100])
    match = rf"{TRAIN_IMAGES}\.gz cannot be read \(Compressed file ended.*expected 3936 bytes"
    load_error(make_source(arrays), folder, match)


@pytest.mark.parametrize(
    ("position", "value", "reason"),
    [(2, 99, "Unknown compression method"), (10, 7, "invalid block type"), (-8, 99, "CRC check")],
)
def test_broken_gzip(folder, arrays, position, value, reason):
    path = folder / f"{TRAIN_IMAGES}.gz"
    body = bytearray(path.read_bytes())
    body[position] = value
    path.write_bytes(body)
    match = rf"{TRAIN_IMAGES}\.gz cannot be read \(.*{reason}.*expected 3936 bytes"
    load_error(make_source(arrays), folder, match)


def test_empty_file(folder, arrays):
    (folder / f"{TRAIN_IMAGES}.gz").write_bytes(b"")
    load_error(make_source(arrays), folder, f"{TRAIN_IMAGES}.gz has 0 bytes")


def test_folder_in_place_of_a_file(folder, arrays):
    (folder / f"{TRAIN_IMAGES}.gz").unlink()
    (folder / f"{TRAIN_IMAGES}.gz").mkdir()
    load_error(make_source(arrays), folder, f"has no {TRAIN_IMAGES}:")


def test_huge_gzip_is_not_unpacked(folder, arrays):
    (folder / f"{TRAIN_IMAGES}.gz").write_bytes(gzip.compress(bytes(2**25)))
    tracemalloc.start()
    try:
        load_error(make_source(arrays), folder, f"{TRAIN_IMAGES}.gz holds more than 3936 bytes")
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_counts_that_differ(tmp_path, arrays):
    arrays = arrays._replace(test_labels=arrays.test_labels[:2])
    write_files(tmp_path, arrays)
    load_error(make_source(arrays), tmp_path, "^tiny: 3 test images but 2 labels$")


def test_verified_file_of_wrong_shape_is_named(folder, arrays):
    source = make_source(arrays)
    file = replace(source.files["train_images"], item_shape=(14, 56))
    source = replace(source, files={**source.files, "train_images": file})
    match = rf"{TRAIN_IMAGES}.gz has items of shape \(28, 28\) instead of \(14, 56\)"
    load_error(source, folder, match)


# --- files pinned as they were published


@pytest.fixture
def published(arrays):
    """A source pinned by its .gz files, and those files by name."""
    bodies, files = {}, {}
    for role, array in arrays._asdict().items():
        filename = MNIST.files[role].filename
        body = gzip.compress(idx_bytes(array), mtime=0)
        bodies[f"{filename}.gz"] = body
        file = idx_file(filename, body, array.shape[1:])
        files[role] = replace(file, zipped=True)
    return IdxSource("tiny", (), files), bodies


def write_bodies(folder, bodies):
    folder.mkdir(parents=True)
    for name, body in bodies.items():
        (folder / name).write_bytes(body)


def test_published_files_pass(tmp_path, arrays, published):
    source, bodies = published
    write_bodies(tmp_path / "data", bodies)
    assert_same(idx.load(source, tmp_path / "data"), arrays)


def test_published_files_are_downloaded(server, arrays, published, cache):
    source, bodies = published
    server.bodies.update({f"/good/{name}": body for name, body in bodies.items()})
    mirrors = (server.mirror("good"),)
    assert_same(idx.load(replace(source, mirrors=mirrors)), arrays)
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == bodies


@pytest.mark.parametrize(
    "change",
    [
        lambda body: gzip.compress(gzip.decompress(body), 1, mtime=0),
        gzip.decompress,
        lambda body: body[:-1],
        lambda body: body[:20] + bytes([body[20] ^ 1]) + body[21:],
    ],
    ids=["compressed again", "plain", "truncated", "flipped"],
)
def test_other_forms_of_published_files_are_refused(tmp_path, published, change):
    source, bodies = published
    name = f"{TRAIN_IMAGES}.gz"
    write_bodies(tmp_path / "data", {**bodies, name: change(bodies[name])})
    size = len(bodies[name])
    match = rf"^tiny: .*{name} (has|holds more than) \d+ bytes.*, expected {size} bytes with sha256"
    load_error(source, tmp_path / "data", match)


def test_plain_files_do_not_count_as_published(tmp_path, arrays, published):
    write_files(tmp_path / "data", arrays, zipped=False)
    match = rf"has no {TRAIN_IMAGES}.gz, .*: expected {TRAIN_IMAGES}.gz, .* as published; or leave"
    load_error(published[0], tmp_path / "data", match)


def test_a_verified_file_that_is_no_gzip(tmp_path, published):
    source, bodies = published
    wrong = idx_file(TRAIN_IMAGES, b"no gzip", (28, 28))
    source = replace(source, files={**source.files, "train_images": replace(wrong, zipped=True)})
    write_bodies(tmp_path / "data", {**bodies, f"{TRAIN_IMAGES}.gz": b"no gzip"})
    load_error(
        source, tmp_path / "data", rf"{TRAIN_IMAGES}.gz is not a gzip file \(Not a gzipped file"
    )


def test_another_data_set_under_the_same_names(folder):
    """MNIST's files are refused as Fashion-MNIST's."""
    match = rf"^fashion_mnist: .*{TRAIN_IMAGES}.gz has .*expected 26421880 bytes with sha256 3aede3"
    load_error(FASHION_MNIST, folder, match)


# --- the format


@pytest.mark.parametrize("shape", [(2, 3, 4), (6,), (0,), (0, 3, 4)])
def test_parse(shape):
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    parsed = idx.parse_idx(idx_bytes(array), shape[1:])
    assert parsed.dtype == np.uint8
    np.testing.assert_array_equal(parsed, array)


def test_dimensions_are_big_endian():
    content = bytes((0, 0, 8, 1, 0, 0, 1, 2)) + bytes(258)
    assert idx.parse_idx(content, ()).shape == (258,)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "starts with nothing instead of 00000803"),
        (bytes((0, 0, 8, 3, 0, 0, 0, 1)), "is not an IDX file of 3-dimensional"),
        (bytes((0, 0, 8, 1)) + bytes(12), "starts with 00000801 instead of 00000803"),
        (bytes((0, 0, 13, 3)) + bytes(12), "starts with 00000d03"),
        (bytes((1, 0, 8, 3)) + bytes(12), "starts with 01000803"),
        (idx_bytes(np.zeros((2, 4, 3), np.uint8)), r"shape \(4, 3\) instead of \(3, 4\)"),
        (idx_bytes(np.zeros((2, 3, 4), np.uint8))[:-1], "39 bytes, but .* calls for 40"),
        (idx_bytes(np.zeros((2, 3, 4), np.uint8)) + b"0", "41 bytes, but .* calls for 40"),
        (bytes((0, 0, 8, 3)) + struct.pack(">3I", 2**32 - 1, 3, 4), "calls for 51539607556"),
    ],
)
def test_parse_refuses(content, match):
    with pytest.raises(DataError, match=match):
        idx.parse_idx(content, (3, 4))


# --- cache and download


def test_download_fills_the_cache_once(server, arrays, cache, capsys):
    source = make_source(arrays, [server.mirror("good", arrays), server.mirror("spare", arrays)])
    assert_same(idx.load(source), arrays)
    names = [f"{file.filename}.gz" for file in source.files.values()]
    assert server.paths() == [f"/good/{name}" for name in names]
    assert {agent for _, agent in server.requests} == {"adaptive_jax"}
    assert sorted(os.listdir(cache)) == sorted(names)
    for name in names:
        assert (cache / name).read_bytes() == server.bodies[f"/good/{name}"]
    shown = capsys.readouterr()
    assert shown.out == ""
    assert all(name in shown.err for name in names)
    kilobytes = len(server.bodies[f"/good/{names[0]}"]) / 1000
    assert f"{kilobytes:.1f}/{kilobytes:.1f} kB" in shown.err  # done and total

    assert_same(idx.load(source), arrays)
    assert len(server.requests) == 4
    assert capsys.readouterr().err == ""


def test_only_missing_files_are_downloaded(server, arrays, cache):
    write_files(cache, arrays, zipped=False)
    (cache / "t10k-labels-idx1-ubyte").unlink()
    assert_same(idx.load(make_source(arrays, [server.mirror("good", arrays)])), arrays)
    assert server.paths() == ["/good/t10k-labels-idx1-ubyte.gz"]


def flip_last_data_byte(body):
    content = bytearray(gzip.decompress(body))
    content[-1] ^= 1
    return gzip.compress(content)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("wrong", flip_last_data_byte),
        ("cut", lambda body: body[:-5]),
        ("page", lambda body: b"<html>sign in first</html>"),
        ("short", lambda body: body),
        ("endless", lambda body: bytes(2**18)),
    ],
)
def test_bad_mirror_is_refused_and_the_next_used(server, arrays, cache, name, change):
    bad = server.mirror(name, arrays, change)
    load_error(make_source(arrays, [bad]), match=f"/{name}/{TRAIN_IMAGES}.gz (has|cannot|sends)")
    assert os.listdir(cache) == []

    server.requests.clear()
    assert_same(idx.load(make_source(arrays, [bad, server.mirror("good", arrays)])), arrays)
    tried = [path.split("/")[1] for path in server.paths()]
    assert tried == [name, "good"] * 4
    for path in cache.iterdir():
        assert path.read_bytes() == server.bodies[f"/good/{path.name}"]


def test_first_mirror_without_the_files(server, arrays):
    source = make_source(arrays, [server.mirror("absent"), server.mirror("good", arrays)])
    assert_same(idx.load(source), arrays)
    assert server.paths()[:2] == [f"/absent/{TRAIN_IMAGES}.gz", f"/good/{TRAIN_IMAGES}.gz"]


def test_all_mirrors_fail(server, arrays, cache):
    wrong = server.mirror("wrong", arrays, flip_last_data_byte)
    closed = "http://127.0.0.1:1/closed/"
    source = make_source(arrays, [server.mirror("absent"), wrong, closed])
    text = load_error(source, match=f"^tiny: cannot get {TRAIN_IMAGES}.gz: http://127")
    assert f"absent/{TRAIN_IMAGES}.gz failed (HTTP Error 404" in text
    assert f"wrong/{TRAIN_IMAGES}.gz has 3936 bytes with sha256" in text
    assert f"{closed}{TRAIN_IMAGES}.gz failed (" in text
    assert text.endswith("or pass a folder with the files as --data-dir")
    assert os.listdir(cache) == []


@pytest.mark.parametrize("name", ["stall", "drip", "trickle"])
def test_silent_and_dripping_mirrors_time_out(server, arrays, cache, monkeypatch, name):
    """A server that is silent or sends a byte now and then, of its headers or of the file."""
    bad, good = server.mirror(name, arrays), server.mirror("good", arrays)
    monkeypatch.setattr(downloads, "TIMEOUT_SECONDS", 0.2)
    load_error(make_source(arrays, [bad]), match=r"failed \(.*timed out")

    wait, patient = downloads._wait, iter([False, True])

    def wait_longer_for_the_second(*args):
        monkeypatch.setattr(downloads, "TIMEOUT_SECONDS", 60 if next(patient) else 0.2)
        return wait(*args)

    write_files(cache, arrays)
    (cache / f"{TRAIN_IMAGES}.gz").unlink()
    monkeypatch.setattr(downloads, "_wait", wait_longer_for_the_second)
    assert_same(idx.load(make_source(arrays, [bad, good])), arrays)
    assert server.paths()[-1] == f"/good/{TRAIN_IMAGES}.gz" and not server.dripped


def test_mirror_that_speaks_no_http(server, arrays):
    source = make_source(arrays, [server.mirror("garbled")])
    text = load_error(source, match=r"failed \(this is \[31m no HTTP!+\); try again")
    assert text.isprintable()
    assert len(text) < 500


def test_wrong_file_in_the_cache_is_replaced(server, arrays, cache):
    write_files(cache, arrays)
    (cache / f"{TRAIN_IMAGES}.gz").write_bytes(b"wrong")
    assert_same(idx.load(make_source(arrays, [server.mirror("good", arrays)])), arrays)
    good = f"/good/{TRAIN_IMAGES}.gz"
    assert server.paths() == [good]
    assert (cache / f"{TRAIN_IMAGES}.gz").read_bytes() == server.bodies[good]


def test_wrong_file_in_the_cache_is_named_if_no_mirror_helps(server, arrays, cache):
    write_files(cache, arrays)
    (cache / f"{TRAIN_IMAGES}.gz").write_bytes(b"wrong")
    source = make_source(arrays, [server.mirror("absent")])
    load_error(source, match=rf"tiny.{TRAIN_IMAGES}\.gz has 5 bytes .*absent.*404.*--data-dir")


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_interrupted_download_leaves_nothing(server, arrays, cache, monkeypatch, error):
    seen = []

    def urlopen(*args, **kwargs):
        response = real(*args, **kwargs)
        read = response.read1

        def read_then_stop(amount):
            if seen:
                raise error
            seen.extend(path for path in cache.rglob("*") if path.is_file())
            return read(10)

        response.read1 = read_then_stop
        return response

    real = urllib.request.urlopen
    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    with pytest.raises(error):
        idx.load(make_source(arrays, [server.mirror("good", arrays)]))
    assert len(seen) == 1  # a part was there
    assert seen[0].parent != cache  # though never under its own name
    assert os.listdir(cache) == []


def test_cache_that_cannot_be_written(server, arrays, cache):
    cache.parent.parent.mkdir(exist_ok=True)
    cache.parent.write_text("a file where the folder should be")
    source = make_source(arrays, [server.mirror("good", arrays)])
    load_error(source, match=r"cannot write to the cache folder .*ADAPTIVE_JAX_CACHE.*--data-dir")
    assert server.requests == []


def test_place_of_the_cache(tmp_path, monkeypatch):
    assert downloads.cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("ADAPTIVE_JAX_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert downloads.cache_dir() == tmp_path / "xdg" / "adaptive_jax"
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    for ignored in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert downloads.cache_dir() == tmp_path / ".cache" / "adaptive_jax"


def test_no_home_for_the_cache(monkeypatch):
    def home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("ADAPTIVE_JAX_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", home)
    with pytest.raises(DataError, match=r"home folder is unknown.*ADAPTIVE_JAX_CACHE.*--data-dir"):
        downloads.cache_dir()


# --- MNIST itself, and Fashion-MNIST


def test_mnist_constant():
    assert all(url.startswith("https://") and url.endswith("/") for url in MNIST.mirrors)
    assert tuple(MNIST.files) == Dataset._fields
    sizes = {role: file.size for role, file in MNIST.files.items()}
    assert sizes == {
        "train_images": 16 + 60_000 * 28 * 28,
        "train_labels": 8 + 60_000,
        "test_images": 16 + 10_000 * 28 * 28,
        "test_labels": 8 + 10_000,
    }
    assert all(len(bytes.fromhex(file.sha256)) == 32 for file in MNIST.files.values())


def test_fashion_mnist_constant():
    assert all(url.endswith("/") for url in FASHION_MNIST.mirrors)
    assert tuple(FASHION_MNIST.files) == Dataset._fields
    for role, file in FASHION_MNIST.files.items():
        same = MNIST.files[role]
        assert (file.filename, file.item_shape) == (same.filename, same.item_shape)
        assert file.zipped and file.size < same.size
        assert len(bytes.fromhex(file.sha256)) == 32 and file.sha256 != same.sha256


@pytest.mark.skipif(
    not os.environ.get("ADAPTIVE_JAX_MNIST"), reason="ADAPTIVE_JAX_MNIST names no folder of MNIST"
)
def test_real_mnist():
    data = idx.load(MNIST, os.environ["ADAPTIVE_JAX_MNIST"])
    shapes = [(60000, 28, 28), (60000,), (10000, 28, 28), (10000,)]
    assert [array.shape for array in data] == shapes
    train = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    test = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert np.bincount(data.train_labels).tolist() == train
    assert np.bincount(data.test_labels).tolist() == test
