"""Reads and verifies MNIST and data sets with the same layout (IDX files).

MNIST: Yann LeCun, Corinna Cortes and Christopher J. C. Burges, "The MNIST database of
handwritten digits", 1998. Sources differ on its license; most state CC BY-SA 3.0.

Fashion-MNIST: Han Xiao, Kashif Rasul and Roland Vollgraf, "Fashion-MNIST: a novel image dataset
for benchmarking machine learning algorithms", 2017, arXiv 1708.07747; MIT license.
"""

from __future__ import annotations

import functools
import gzip
import math
import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adaptive_jax.lab.workloads.downloads import (
    DataError,
    Publication,
    PublishedFile,
    read_verified,
)

_GZIP_ALLOWANCE = 2**16  # bytes that gzip may add to an incompressible file


@dataclass(frozen=True)
class IdxFile:
    """One IDX file of unsigned bytes.

    Arguments:
      filename: the published name without ".gz".
      sha256: the hexadecimal digest of the decompressed content. A file is then accepted
        uncompressed, as published, or compressed again.
      size: the number of bytes that the digest covers.
      item_shape: the shape of one item: (28, 28) for an image, () for a label.
      zipped: whether digest and size are those of the published .gz file instead. Then only this
        file is accepted. Default False.
    """

    filename: str
    sha256: str
    size: int
    item_shape: tuple[int, ...]
    zipped: bool = False


@dataclass(frozen=True)
class IdxSource:
    """A data set of four IDX files, each pinned by size and digest.

    Arguments:
      name: the name in messages, and of the folder in the cache.
      mirrors: base URLs that end in "/". `filename + ".gz"` is appended.
      files: the file for each field of `Dataset`.
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


# These are digests of the .gz files, because no others are published. They are from TensorFlow
# Datasets (url_checksums/fashion_mnist.txt), for the files whose MD5 digests are in Fashion-MNIST's
# README.
FASHION_MNIST = IdxSource(
    name="fashion_mnist",
    mirrors=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    files={
        "train_images": IdxFile(
            filename="train-images-idx3-ubyte",
            sha256="3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            size=26_421_880,
            item_shape=(28, 28),
            zipped=True,
        ),
        "train_labels": IdxFile(
            filename="train-labels-idx1-ubyte",
            sha256="a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            size=29_515,
            item_shape=(),
            zipped=True,
        ),
        "test_images": IdxFile(
            filename="t10k-images-idx3-ubyte",
            sha256="346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            size=4_422_102,
            item_shape=(28, 28),
            zipped=True,
        ),
        "test_labels": IdxFile(
            filename="t10k-labels-idx1-ubyte",
            sha256="67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            size=5_148,
            item_shape=(),
            zipped=True,
        ),
    },
)


def load(source: IdxSource, data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """Reads a data set from a folder or the cache, and downloads missing files.

    Arguments:
      source: the data set to read, such as `MNIST`.
      data_dir: the folder to look in. Default None: look in the cache, then download.

    Raises:
      DataError: a file is missing or invalid, or no mirror provides it.
    """
    files = [source.files[role] for role in Dataset._fields]
    form = " as published" if all(file.zipped for file in files) else ", each plain or .gz"
    publication = Publication(source.name, source.mirrors, [_published(f) for f in files], form)
    data = Dataset(*publication.load(data_dir))
    for split, images, labels in (("train", *data[:2]), ("test", *data[2:])):
        if len(images) != len(labels):
            raise DataError(f"{source.name}: {len(images)} {split} images but {len(labels)} labels")
    return data


def parse_idx(content: bytes, item_shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Parses the contents of an IDX file into a read-only array of shape (n, *item_shape).

    Arguments:
      content: the bytes of a decompressed file.
      item_shape: the required shape of each item.

    Raises:
      DataError: the header does not describe such an array, or does not match the length.
    """
    ndim = 1 + len(item_shape)
    start = 4 + 4 * ndim
    magic = bytes((0, 0, 8, ndim))  # 8: unsigned bytes
    if len(content) < start or content[:4] != magic:
        raise DataError(
            f"is not an IDX file of {ndim}-dimensional unsigned bytes: "
            f"it starts with {content[:4].hex() or 'nothing'} instead of {magic.hex()}"
        )
    count, *shape = struct.unpack_from(f">{ndim}I", content, 4)
    if tuple(shape) != item_shape:
        raise DataError(f"has items of shape {tuple(shape)} instead of {item_shape}")
    expected = start + count * math.prod(item_shape)
    if len(content) != expected:
        raise DataError(f"has {len(content)} bytes, but its header calls for {expected}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(count, *item_shape)


def _published(file: IdxFile) -> PublishedFile:
    """Returns the file with its accepted names and its reader."""
    name, variant = f"{file.filename}.gz", file.filename.replace("-idx", ".idx")
    read = functools.partial(_read, file=file)
    if file.zipped:
        return PublishedFile(name, name, (f"{variant}.gz",), file.size, read)
    aliases = (file.filename, f"{variant}.gz", variant)
    return PublishedFile(file.filename, name, aliases, file.size + _GZIP_ALLOWANCE, read)


def _read(path: Path, file: IdxFile) -> NDArray[np.uint8]:
    """Verifies a plain or gzip file and returns its array. The caller adds its name to errors."""
    content = read_verified(path, file.size, file.sha256, unzip=not file.zipped)
    if file.zipped:
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"is not a gzip file ({error})") from error
    return parse_idx(content, file.item_shape)
