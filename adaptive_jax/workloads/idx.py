"""Verified reading of MNIST and of data sets laid out like it (IDX files).

MNIST: Yann LeCun, Corinna Cortes and Christopher J. C. Burges, "The MNIST database of
handwritten digits", 1998. Its license is stated variously, most often as CC BY-SA 3.0.

A file counts only if its decompressed bytes have the SHA-256 digest of its source, wherever it
came from, so a copy that was compressed again is as good as the published one.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import tempfile
import urllib.request
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

TIMEOUT_SECONDS = 30.0
_CHUNK_BYTES = 2**16
_GZIP_ALLOWANCE = 2**16  # bytes by which gzip may make an incompressible file longer
_GZIP_MAGIC = b"\x1f\x8b"
_DIGEST_SHOWN = 12  # hexadecimal digits of a digest in messages
_ERROR_SHOWN = 160  # characters of a network error in messages
_USE_OTHER = "leave out --data-dir to use the cache or download the files"
_USE_FOLDER = "give a folder that holds the files by --data-dir"


class DataError(Exception):
    """Data are missing or wrong; the message is one line meant for the user."""


@dataclass(frozen=True)
class IdxFile:
    """One IDX file of unsigned bytes.

    Arguments:
      filename: its published name without ".gz".
      sha256: hexadecimal digest of the decompressed content.
      size: bytes of the decompressed content.
      item_shape: shape of one item: (28, 28) for an image, () for a label.
    """

    filename: str
    sha256: str
    size: int
    item_shape: tuple[int, ...]


@dataclass(frozen=True)
class IdxSource:
    """A data set of four IDX files.

    Arguments:
      name: name in messages and of the folder in the cache.
      mirrors: URLs, each ending in "/", to which filename + ".gz" is added.
      files: the file of every field of `Dataset`.
    """

    name: str
    mirrors: tuple[str, ...]
    files: Mapping[str, IdxFile]


class Dataset(NamedTuple):
    """Read-only images (n, 28, 28) and labels (n,), all uint8."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.uint8]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]


MNIST = IdxSource(
    name="mnist",
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    files={
        "train_images": IdxFile(
            filename="train-images-idx3-ubyte",
            sha256="ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            size=47_040_016,
            item_shape=(28, 28),
        ),
        "train_labels": IdxFile(
            filename="train-labels-idx1-ubyte",
            sha256="65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            size=60_008,
            item_shape=(),
        ),
        "test_images": IdxFile(
            filename="t10k-images-idx3-ubyte",
            sha256="0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            size=7_840_016,
            item_shape=(28, 28),
        ),
        "test_labels": IdxFile(
            filename="t10k-labels-idx1-ubyte",
            sha256="ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            size=10_008,
            item_shape=(),
        ),
    },
)


def load(source: IdxSource, data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """Read a data set from a folder, or else from the cache, filled from the mirrors if need be.

    Arguments:
      source: what to read, such as `MNIST`.
      data_dir: the only folder to look in; None means cache, then download.

    Raises:
      DataError: a file is missing or wrong, or no mirror gave it.
    """
    if data_dir is not None:
        arrays = _from_folder(source, Path(os.path.expanduser(data_dir)))
    else:
        folder = cache_dir() / source.name
        arrays = {role: _from_cache(source, source.files[role], folder) for role in Dataset._fields}
    data = Dataset(**arrays)
    for split, images, labels in (("train", *data[:2]), ("test", *data[2:])):
        if len(images) != len(labels):
            raise DataError(f"{source.name}: {len(images)} {split} images but {len(labels)} labels")
    return data


def cache_dir() -> Path:
    """Return the cache folder: $ADAPTIVE_JAX_CACHE, or adaptive_jax in the user's cache folder.

    Raises:
      DataError: the environment does not say where the user's home is.
    """
    if own := os.environ.get("ADAPTIVE_JAX_CACHE"):
        return Path(os.path.expanduser(own))
    user_cache = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(user_cache):  # the XDG specification voids relative paths
        return Path(user_cache) / "adaptive_jax"
    try:
        return Path.home() / ".cache" / "adaptive_jax"
    except RuntimeError as error:
        raise DataError(
            f"no home folder to cache in: set ADAPTIVE_JAX_CACHE, or {_USE_FOLDER}"
        ) from error


def parse_idx(content: bytes, item_shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the array of shape (n, *item_shape) that IDX bytes hold, read-only.

    Arguments:
      content: a whole decompressed file.
      item_shape: shape that each item must have.

    Raises:
      DataError: the header is not that of such an array, or the length differs from it.
    """
    ndim = 1 + len(item_shape)
    start = 4 + 4 * ndim
    magic = bytes((0, 0, 8, ndim))  # 8: unsigned bytes
    if len(content) < start or content[:4] != magic:
        raise DataError(
            f"is no IDX file of {ndim}-dimensional unsigned bytes: "
            f"starts with {content[:4].hex() or 'nothing'} instead of {magic.hex()}"
        )
    count, *shape = struct.unpack_from(f">{ndim}I", content, 4)
    if tuple(shape) != item_shape:
        raise DataError(f"has items of shape {tuple(shape)} instead of {item_shape}")
    expected = start + count * math.prod(item_shape)
    if len(content) != expected:
        raise DataError(f"has {len(content)} bytes, but its header calls for {expected}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(count, *item_shape)


def _from_folder(source: IdxSource, folder: Path) -> dict[str, NDArray[np.uint8]]:
    """Read all files from a folder the user named."""
    names = ", ".join(source.files[role].filename for role in Dataset._fields)
    expected = f"expected {names}, each plain or .gz; or {_USE_OTHER}"
    if not os.path.isdir(folder):
        raise DataError(f"no folder {folder}: {expected}")
    paths = {r: path for r in Dataset._fields if (path := _find(folder, source.files[r]))}
    missing = [source.files[r].filename for r in Dataset._fields if r not in paths]
    if missing:
        raise DataError(f"{folder} has no {', '.join(missing)}: {expected}")
    arrays = {}
    for role, path in paths.items():
        try:
            arrays[role] = _read(path, source.files[role])
        except DataError as error:
            raise DataError(f"{path} {error}; replace the file, or {_USE_OTHER}") from error
    return arrays


def _from_cache(source: IdxSource, file: IdxFile, folder: Path) -> NDArray[np.uint8]:
    """Read one file from the cache, downloading it where it is missing or wrong."""
    problems = []
    if path := _find(folder, file):
        try:
            return _read(path, file)
        except DataError as error:
            problems.append(f"{path} {error}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as scratch:
            return _download(source, file, folder, Path(scratch), problems)
    except OSError as error:
        raise DataError(
            f"cannot write to the cache folder {folder} ({error}): "
            f"set ADAPTIVE_JAX_CACHE to another, or {_USE_FOLDER}"
        ) from error


def _download(
    source: IdxSource, file: IdxFile, folder: Path, scratch: Path, problems: list[str]
) -> NDArray[np.uint8]:
    """Move the first verified download of a file from scratch to folder and return its array."""
    name = f"{file.filename}.gz"
    for mirror in source.mirrors:
        url = mirror + name
        try:
            _fetch(url, scratch / name, limit=file.size + _GZIP_ALLOWANCE)
            array = _read(scratch / name, file)
        except DataError as error:
            problems.append(f"{url} {error}")
        except (OSError, HTTPException) as error:
            problems.append(f"{url} failed ({_printable(error)})")
        else:
            os.replace(scratch / name, folder / name)
            return array
    raise DataError(
        f"{source.name}: cannot get {name}: {'; '.join(problems)}; "
        f"try again later, or {_USE_FOLDER}"
    )


def _fetch(url: str, path: Path, limit: int) -> None:
    """Download url to path with a progress bar on stderr, at most limit bytes."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    request = urllib.request.Request(url, headers={"User-Agent": "adaptive_jax"})
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn()
    with (
        urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response,
        path.open("wb") as out,
        Progress(*columns, console=Console(stderr=True)) as progress,
    ):
        task = progress.add_task(path.name, total=response.length)
        while chunk := response.read(_CHUNK_BYTES):
            out.write(chunk)
            progress.advance(task, len(chunk))
            if out.tell() > limit:
                raise DataError(f"sends more than {limit} bytes")


def _printable(error: Exception) -> str:
    """Return the text of an error, which a server may have worded, as one short line."""
    text = "".join(char if char.isprintable() else " " for char in str(error))
    return text.strip()[:_ERROR_SHOWN]


def _find(folder: Path, file: IdxFile) -> Path | None:
    """Return the first path in folder by which a file commonly goes."""
    for stem in (file.filename, file.filename.replace("-idx", ".idx")):
        for name in (f"{stem}.gz", stem):
            if os.path.isfile(folder / name):
                return folder / name
    return None


def _read(path: Path, file: IdxFile) -> NDArray[np.uint8]:
    """Return the verified array of a plain or gzip file; errors leave its name to the caller."""
    expected = f"expected {file.size} bytes with sha256 {file.sha256[:_DIGEST_SHOWN]}"
    try:
        with path.open("rb") as raw:
            zipped = raw.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC)
            with gzip.open(raw) if zipped else raw as stream:
                content = stream.read(file.size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot be read ({error}), {expected}") from error
    if len(content) > file.size:
        raise DataError(f"holds more than {file.size} bytes, {expected}")
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        found = found[:_DIGEST_SHOWN]
        raise DataError(f"has {len(content)} bytes with sha256 {found}, {expected}")
    return parse_idx(content, file.item_shape)
