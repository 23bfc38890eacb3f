"""Text as bytes: from a file of the user's, or made by a small grammar."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adaptive_jax.lab.files import read_at_most
from adaptive_jax.lab.workloads.downloads import DataError
from adaptive_jax.lab.workloads.workload import Data, Split

_LIMIT = 2**31  # bytes of a text file
_STREAM_LIMIT = 2**28  # bytes of a pipe or a device, which may have no end
_BYTES = 80_000  # of the text that the grammar makes
# Singular and plural.
_NOUNS = (
    ("fox", "foxes"),
    ("crow", "crows"),
    ("child", "children"),
    ("mouse", "mice"),
    ("farmer", "farmers"),
    ("wolf", "wolves"),
)
_VERBS = (
    ("sees", "see"),
    ("follows", "follow"),
    ("watches", "watch"),
    ("carries", "carry"),
    ("finds", "find"),
    ("fears", "fear"),
)
_ADJECTIVES = ("old", "young", "quick", "quiet", "hungry", "brave")
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def generated() -> bytes:
    """The grammar's text, always the same.

    What comes next can partly be known: a verb and a pronoun have the number of their subject, a
    noun that of its numeral, and sums are right.
    """
    rng = np.random.default_rng(0)
    sentences = []
    length = 0
    while length < _BYTES:
        sentences.append(_sum(rng) if rng.random() < 0.2 else _story(rng))
        length += len(sentences[-1]) + 1
    return "\n".join(sentences).encode()[:_BYTES]


def _sum(rng):
    count = rng.integers(2, len(_NUMBERS))
    first = rng.integers(1, count)
    words = _NUMBERS[first], _NUMBERS[count - first], rng.choice(_NOUNS)[1], _NUMBERS[count]
    return "{} and {} {} are {}.".format(*words)


def _story(rng):
    subject, plural = _noun_phrase(rng)
    verb, other = rng.choice(_VERBS)[plural], rng.choice(_VERBS)[plural]
    pronoun = ("it", "they")[plural]
    thing, further = _noun_phrase(rng)[0], _noun_phrase(rng)[0]
    return f"{subject} {verb} {thing}, and {pronoun} {other} {further}."


def _noun_phrase(rng):
    """Words, and whether they are plural."""
    count = rng.integers(1, 5)
    plural = int(count > 1)
    noun = rng.choice(_NOUNS)[plural]
    determiner = _NUMBERS[count] if rng.random() < 0.5 else ("this", "these")[plural]
    return f"{determiner} {rng.choice(_ADJECTIVES)} {noun}", plural


def read(path: str | os.PathLike[str], minimum: int) -> bytes:
    """Returns the bytes of a text file in UTF-8.

    Raises:
      DataError: there is no such file, it is no text, or it has fewer than `minimum` bytes or
        too many to be a text.
    """
    path = Path(os.path.expanduser(path))
    try:
        limit = _LIMIT if stat.S_ISREG(os.stat(path).st_mode) else _STREAM_LIMIT
        content = read_at_most(path, limit)
        content.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is no text in UTF-8 (byte {error.start}): give a text file, or convert it"
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(
            f"cannot read {path} ({getattr(error, 'strerror', error)}): name a text file by "
            "--data-dir, or leave it out for a generated text"
        ) from error
    if len(content) < minimum:
        raise DataError(f"{path} has {len(content)} bytes: give a text of at least {minimum}")
    return content


def next_bytes(content: bytes, length: int) -> Data:
    """Sequences of `length` bytes one after another, each with the bytes that follow its own.

    The first 80 % of the text are for training, the next 10 % for validation, the last for testing.

    Returns:
      Data with inputs and targets (n, length), int32. A rest shorter than a sequence is dropped.

    >>> train, _, _ = next_bytes(b"abcdefghijklmnopqrstuvwxyz" * 2, 4)
    >>> bytes(train.inputs[1].tolist()), bytes(train.targets[1].tolist())
    (b'efgh', b'fghi')
    """
    tokens = np.frombuffer(content, np.uint8).astype(np.int32)
    cuts = [len(tokens) * percent // 100 for percent in (80, 90)]
    return Data(*(_split(part, length) for part in np.split(tokens, cuts)))


def _split(tokens: NDArray[np.int32], length: int) -> Split:
    count = (len(tokens) - 1) // length
    inputs, targets = (
        tokens[start : start + count * length].reshape(count, length) for start in (0, 1)
    )
    return Split(inputs, targets)
