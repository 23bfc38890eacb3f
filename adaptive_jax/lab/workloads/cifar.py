"""CIFAR-10: reads and verifies the binary archive, and defines a small CNN.

Alex Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
"""

from __future__ import annotations

import functools
import io
import os
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from flax import nnx

from adaptive_jax.lab.workloads.downloads import (
    DataError,
    Publication,
    PublishedFile,
    read_verified,
)
from adaptive_jax.lab.workloads.layers import BatchNorm, Conv, max_pool_2x2
from adaptive_jax.lab.workloads.workload import Data, Split, Workload

_MEMBERS = tuple(
    f"cifar-10-batches-bin/{name}.bin"
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
)
_EXAMPLE_BYTES = 1 + 3 * 32 * 32  # a label, then the red, green and blue planes
_CLASSES = 10


@dataclass(frozen=True)
class CifarSource:
    """An archive with the layout of CIFAR-10's binary version: five training and one test batch.

    Arguments:
      name: the name in messages, and of the folder in the cache.
      mirrors: base URLs that end in "/". The file's name is appended.
      filename: the archive's published name.
      sha256: the hexadecimal digest of the archive.
      size: the size of the archive in bytes.
      batch_examples: the number of examples in each batch.
    """

    name: str
    mirrors: tuple[str, ...]
    filename: str
    sha256: str
    size: int
    batch_examples: int


# Size and digest are from TensorFlow Datasets, url_checksums/cifar10.txt.
CIFAR10 = CifarSource(
    name="cifar10",
    mirrors=("https://www.cs.toronto.edu/~kriz/",),
    filename="cifar-10-binary.tar.gz",
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    size=170_052_171,
    batch_examples=10_000,
)


def load(
    source: CifarSource, data_dir: str | os.PathLike[str] | None = None
) -> tuple[Split, Split]:
    """Reads the archive from a folder or the cache, and downloads it if necessary.

    Nothing is unpacked to the disk. The batches are read from the verified archive in memory, by
    their exact names.

    Arguments:
      source: the archive to read, such as `CIFAR10`.
      data_dir: the folder to look in. Default None: look in the cache, then download.

    Returns:
      The training and the test examples: images (n, 32, 32, 3) of uint8 and labels (n,) of int32.

    Raises:
      DataError: the archive is missing or invalid, or no mirror provides it.
    """
    name = source.filename
    read = functools.partial(_read, source=source)
    archive = PublishedFile(name, name, (), source.size, read)
    (splits,) = Publication(source.name, source.mirrors, [archive], "").load(data_dir)
    return splits


def _read(path: Path, source: CifarSource) -> tuple[Split, Split]:
    """Verifies the archive and returns its contents. The caller adds its name to errors."""
    content = read_verified(path, source.size, source.sha256)
    size = source.batch_examples * _EXAMPLE_BYTES
    batches = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r|gz") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isreg() else None
                if file is not None and member.name in _MEMBERS and member.size == size:
                    batches[member.name] = file.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"is not a gzip-compressed tar archive ({error})") from error
    missing = [name for name in _MEMBERS if name not in batches]
    if missing:
        raise DataError(f"has no {', '.join(missing)} of {size} bytes")
    examples = np.concatenate([np.frombuffer(batches[name], np.uint8) for name in _MEMBERS])
    examples = examples.reshape(-1, _EXAMPLE_BYTES)
    images = np.ascontiguousarray(examples[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    labels = examples[:, 0].astype(np.int32)
    if labels.max() >= _CLASSES:
        raise DataError(f"has the label {labels.max()}: labels must be 0 to {_CLASSES - 1}")
    cut = len(labels) - source.batch_examples
    return Split(images[:cut], labels[:cut]), Split(images[cut:], labels[cut:])


def _load(data_dir):
    # Images remain uint8, and the model scales them: in float32 they would take 737 MB.
    images, test = load(CIFAR10, data_dir)
    cut = len(images.targets) * 9 // 10  # the last 5,000 of 50,000 are for validation
    train, validation = (
        Split(images.inputs[part], images.targets[part]) for part in (slice(cut), slice(cut, None))
    )
    return Data(train, validation, test)


# Mean and standard deviation of each channel over the 50,000 training images, from the code of
# "Aggregated residual transformations for deep neural networks" (facebookresearch/ResNeXt,
# datasets/cifar10.lua).
_MEAN = np.array([125.3, 123.0, 113.9], np.float32)
_STD = np.array([63.0, 62.1, 66.7], np.float32)


class Cifar10CNN(nnx.Module):
    """Three Conv-MaxPool-BN stages with 32, 64 and 128 channels, Dense(128)-Dense(10), 3x3, ReLU.

    Maps uint8 images (batch, 32, 32, 3) to logits.
    """

    def __init__(self, rngs: nnx.Rngs):
        # As in digits_cnn, pooling comes first, and there is no bias before a normalization.
        self.conv1 = Conv(3, 32, use_bias=False, rngs=rngs)
        self.norm1 = BatchNorm(32, rngs=rngs)
        self.conv2 = Conv(32, 64, use_bias=False, rngs=rngs)
        self.norm2 = BatchNorm(64, rngs=rngs)
        self.conv3 = Conv(64, 128, use_bias=False, rngs=rngs)
        self.norm3 = BatchNorm(128, rngs=rngs)
        self.dense1 = nnx.Linear(4 * 4 * 128, 128, rngs=rngs)
        self.dense2 = nnx.Linear(128, 10, rngs=rngs)

    def __call__(self, x):
        x = (x.astype(_MEAN.dtype) - _MEAN) / _STD
        x = jax.nn.relu(self.norm1(max_pool_2x2(self.conv1(x))))
        x = jax.nn.relu(self.norm2(max_pool_2x2(self.conv2(x))))
        x = jax.nn.relu(self.norm3(max_pool_2x2(self.conv3(x))))
        x = jax.nn.relu(self.dense1(x.reshape(x.shape[0], -1)))
        return self.dense2(x)


CIFAR10_CNN = Workload(
    name="cifar10_cnn",
    description="CIFAR-10, a CNN of three stages",
    load=_load,
    model=Cifar10CNN,
    batch_size=125,  # 360 full batches
    epochs=5,
    optimizers=("sgd:momentum=0.9", "rmsprop", "adam", "adamw", "adabound"),
    seeds=3,
    width=1,
)
