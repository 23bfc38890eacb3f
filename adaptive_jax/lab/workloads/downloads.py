"""Published files: read from a folder or the cache, downloaded if missing, always verified."""

from __future__ import annotations

import gzip
import hashlib
import os
import queue
import tempfile
import threading
import urllib.request
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from adaptive_jax.lab.files import one_line

TIMEOUT_SECONDS = 30.0
_SLOWEST = 1000.0  # bytes per second, the minimum average rate over TIMEOUT_SECONDS
_CHUNK_BYTES = 2**16
_GZIP_MAGIC = b"\x1f\x8b"
_DIGEST_SHOWN = 12  # hexadecimal digits of a digest that messages show
_ERROR_SHOWN = 160  # characters of a network error that messages show
_USE_OTHER = "leave out --data-dir to use the cache or download the files"
_USE_FOLDER = "pass a folder with the files as --data-dir"


class DataError(Exception):
    """Raised if data are missing or invalid. The message is one line for the user.

    >>> from adaptive_jax.lab import workloads
    >>> workloads.get("noisy_quadratic").load("folder")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
      ...
    adaptive_jax.lab.workloads.downloads.DataError: noisy_quadratic generates its data ...
    """


@dataclass(frozen=True)
class PublishedFile:
    """A file that mirrors provide.

    Arguments:
      label: the file's name in messages.
      name: the file's name on the mirrors and in the cache.
      aliases: other accepted names.
      limit: the maximum size of a download in bytes.
      read: verifies the file at a path and returns its contents. The path is put before the
        message of a DataError that it raises.
    """

    label: str
    name: str
    aliases: tuple[str, ...]
    limit: int
    read: Callable[[Path], Any]

    def find(self, folder: Path) -> Path | None:
        """Returns the path of the file in a folder under the first accepted name that exists."""
        for name in (self.name, *self.aliases):
            if os.path.isfile(folder / name):
                return folder / name
        return None


@dataclass(frozen=True)
class Publication:
    """The files of a data set.

    Arguments:
      name: the name in messages, and of the folder in the cache.
      mirrors: base URLs that end in "/". A file's name is appended.
      files: the files.
      form: the accepted forms of the files, which messages append to the labels.
    """

    name: str
    mirrors: tuple[str, ...]
    files: Sequence[PublishedFile]
    form: str

    def load(self, data_dir: str | os.PathLike[str] | None = None) -> list[Any]:
        """Reads all files from a folder or the cache, and downloads missing ones.

        Arguments:
          data_dir: the folder to look in. Default None: look in the cache, then download.

        Raises:
          DataError: a file is missing or invalid, or no mirror provides it.
        """
        if data_dir is not None:
            return _from_folder(self, Path(os.path.expanduser(data_dir)))
        folder = cache_dir() / self.name
        return [_from_cache(self, file, folder) for file in self.files]


def cache_dir() -> Path:
    """Returns the cache folder: $ADAPTIVE_JAX_CACHE, or adaptive_jax in the user's cache folder.

    Raises:
      DataError: the environment does not determine the user's home folder.
    """
    if own := os.environ.get("ADAPTIVE_JAX_CACHE"):
        return Path(os.path.expanduser(own))
    user_cache = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(user_cache):  # the XDG specification ignores relative paths
        return Path(user_cache) / "adaptive_jax"
    try:
        return Path.home() / ".cache" / "adaptive_jax"
    except RuntimeError as error:
        raise DataError(
            f"the home folder is unknown: set ADAPTIVE_JAX_CACHE, or {_USE_FOLDER}"
        ) from error


def read_verified(path: Path, size: int, sha256: str, *, unzip: bool = False) -> bytes:
    """Returns the bytes of a file, and verifies its size and digest.

    Arguments:
      path: the file to read. The caller adds its name to errors.
      size: the required number of bytes. Hardly more are ever read.
      sha256: the required hexadecimal digest.
      unzip: whether size and digest are those of the decompressed content of a gzip file. A file
        that is not compressed is then read as it is. Default False.

    Raises:
      DataError: the file cannot be read, or its size or digest differs.
    """
    expected = f"expected {size} bytes with sha256 {sha256[:_DIGEST_SHOWN]}"
    try:
        with path.open("rb") as raw:
            zipped = unzip and raw.peek(len(_GZIP_MAGIC)).startswith(_GZIP_MAGIC)
            with gzip.open(raw) if zipped else raw as stream:
                content = stream.read(size + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"cannot be read ({error}), {expected}") from error
    if len(content) > size:
        raise DataError(f"holds more than {size} bytes, {expected}")
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        found = found[:_DIGEST_SHOWN]
        raise DataError(f"has {len(content)} bytes with sha256 {found}, {expected}")
    return content


def _from_folder(publication: Publication, folder: Path) -> list[Any]:
    """Reads all files from a folder that the user specified."""
    labels = ", ".join(file.label for file in publication.files)
    expected = f"expected {labels}{publication.form}; or {_USE_OTHER}"
    if not os.path.isdir(folder):
        raise DataError(f"no folder {folder}: {expected}")
    paths = [file.find(folder) for file in publication.files]
    missing = [f.label for f, path in zip(publication.files, paths, strict=True) if path is None]
    if missing:
        raise DataError(f"{folder} has no {', '.join(missing)}: {expected}")
    contents = []
    for file, path in zip(publication.files, filter(None, paths), strict=True):
        try:
            contents.append(file.read(path))
        except DataError as error:
            raise DataError(
                f"{publication.name}: {path} {error}; replace the file, or {_USE_OTHER}"
            ) from error
    return contents


def _from_cache(publication: Publication, file: PublishedFile, folder: Path) -> Any:
    """Reads a file from the cache, and downloads it if it is missing or invalid."""
    problems = []
    if path := file.find(folder):
        try:
            return file.read(path)
        except DataError as error:
            problems.append(f"{path} {error}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as scratch:
            return _download(publication, file, folder, Path(scratch), problems)
    except OSError as error:
        raise DataError(
            f"cannot write to the cache folder {folder} ({error}): "
            f"set ADAPTIVE_JAX_CACHE to another folder, or {_USE_FOLDER}"
        ) from error


def _download(
    publication: Publication, file: PublishedFile, folder: Path, scratch: Path, problems: list[str]
) -> Any:
    """Moves the first verified download of a file from scratch to folder; returns its contents."""
    for mirror in publication.mirrors:
        url = mirror + file.name
        try:
            _fetch(url, scratch / file.name, file.limit)
            content = file.read(scratch / file.name)
        except DataError as error:
            problems.append(f"{url} {error}")
        except (OSError, HTTPException) as error:
            problems.append(f"{url} failed ({_printable(error)})")
        else:
            os.replace(scratch / file.name, folder / file.name)
            return content
    raise DataError(
        f"{publication.name}: cannot get {file.name}: {'; '.join(problems)}; "
        f"try again later, or {_USE_FOLDER}"
    )


def _fetch(url: str, path: Path, limit: int) -> None:
    """Downloads at most `limit` bytes from a URL to a path, with a progress bar on stderr.

    A thread waits for the server, because a socket's timeout restarts with every byte: a server
    that sends a byte now and then, even in its headers, would never time out.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn()
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(path.name, total=None)
        ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        given_up = threading.Event()

        def receive():
            try:
                request = urllib.request.Request(url, headers={"User-Agent": "adaptive_jax"})
                with (
                    urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response,
                    path.open("wb") as out,
                ):
                    progress.update(task, total=response.length)
                    while not given_up.is_set() and (chunk := response.read1(_CHUNK_BYTES)):
                        out.write(chunk)
                        progress.advance(task, len(chunk))
                        if out.tell() > limit:
                            raise DataError(f"sends more than {limit} bytes")
            except BaseException as error:
                ended.put(error)
            else:
                ended.put(None)

        threading.Thread(target=receive, daemon=True).start()
        error = None
        try:
            error = _wait(ended, lambda: progress.tasks[task].completed)
            if error is not None:
                raise error
        finally:
            given_up.set()
            del error  # its traceback refers to this frame: the cycle would keep the response open


def _wait(
    ended: queue.SimpleQueue[BaseException | None], received: Callable[[], float]
) -> BaseException | None:
    """Returns a finished download's error or None; raises TimeoutError if it is too slow."""
    before = received()
    while True:
        try:
            return ended.get(timeout=TIMEOUT_SECONDS)
        except queue.Empty:
            now = received()
            if now - before < _SLOWEST * TIMEOUT_SECONDS:
                raise TimeoutError(
                    f"timed out: {now - before:.0f} bytes in {TIMEOUT_SECONDS:g} s"
                ) from None
            before = now


def _printable(error: Exception) -> str:
    """Returns the text of an error, which may come from a server, as one short line."""
    return one_line(str(error)).strip()[:_ERROR_SHOWN]
