"""Published files: found in a folder or the cache, else downloaded, and always verified."""

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
_SLOWEST = 1000.0  # bytes a second, over TIMEOUT_SECONDS, of a server that is waited for
_CHUNK_BYTES = 2**16
_GZIP_MAGIC = b"\x1f\x8b"
_DIGEST_SHOWN = 12  # hexadecimal digits of a digest in messages
_ERROR_SHOWN = 160  # characters of a network error in messages
_USE_OTHER = "leave out --data-dir to use the cache or download the files"
_USE_FOLDER = "give a folder that holds the files by --data-dir"


class DataError(Exception):
    """Data are missing or wrong; the message is one line meant for the user.

    >>> from adaptive_jax.lab import workloads
    >>> workloads.get("noisy_quadratic").load("folder")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
      ...
    adaptive_jax.lab.workloads.downloads.DataError: noisy_quadratic draws its data, it reads no ...
    """


@dataclass(frozen=True)
class PublishedFile:
    """A file that mirrors offer.

    Arguments:
      label: what messages call it.
      name: what mirrors call it, and the cache.
      aliases: other names under which it is accepted.
      limit: bytes of which a download may have no more.
      read: returns what the file at a path holds, once that is verified; a DataError's message
        goes on after the path.
    """

    label: str
    name: str
    aliases: tuple[str, ...]
    limit: int
    read: Callable[[Path], Any]

    def find(self, folder: Path) -> Path | None:
        """Return the first path in folder by which the file goes."""
        for name in (self.name, *self.aliases):
            if os.path.isfile(folder / name):
                return folder / name
        return None


@dataclass(frozen=True)
class Publication:
    """The files of a data set.

    Arguments:
      name: name in messages and of the folder in the cache.
      mirrors: URLs, each ending in "/", to which a file's name is added.
      files: what it consists of.
      form: in which form a folder may hold the files, added to their labels in messages.
    """

    name: str
    mirrors: tuple[str, ...]
    files: Sequence[PublishedFile]
    form: str

    def load(self, data_dir: str | os.PathLike[str] | None = None) -> list[Any]:
        """Read all files from a folder, or else from the cache, filled from the mirrors if need be.

        Arguments:
          data_dir: the only folder to look in; None means cache, then download.

        Raises:
          DataError: a file is missing or wrong, or no mirror gave it.
        """
        if data_dir is not None:
            return _from_folder(self, Path(os.path.expanduser(data_dir)))
        folder = cache_dir() / self.name
        return [_from_cache(self, file, folder) for file in self.files]


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


def read_verified(path: Path, size: int, sha256: str, *, unzip: bool = False) -> bytes:
    """Return a file's bytes if they are so many and have that digest.

    Arguments:
      path: what to read; errors leave its name to the caller.
      size: how many bytes there must be; hardly more are ever read.
      sha256: their hexadecimal digest.
      unzip: whether it is the content of a gzip file that must be so. A file that is not in gzip
        form is then taken as it is.

    Raises:
      DataError: the file cannot be read, or is another.
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
    """Read all files from a folder the user named."""
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
    """Read one file from the cache, downloading it where it is missing or wrong."""
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
            f"set ADAPTIVE_JAX_CACHE to another, or {_USE_FOLDER}"
        ) from error


def _download(
    publication: Publication, file: PublishedFile, folder: Path, scratch: Path, problems: list[str]
) -> Any:
    """Move the first verified download of a file from scratch to folder and return its content."""
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
    """Download url to path with a progress bar on stderr, at most limit bytes.

    A thread waits for the server, since a timeout of the socket begins anew with every byte: a
    server that sends one now and then, of its headers too, would be waited for without end.
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
            del error  # whose traceback has this frame: the two would keep the response open


def _wait(
    ended: queue.SimpleQueue[BaseException | None], received: Callable[[], float]
) -> BaseException | None:
    """Return how a download has ended, or raise if in TIMEOUT_SECONDS hardly a byte arrives."""
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
    """Return the text of an error, which a server may have worded, as one short line."""
    return one_line(str(error)).strip()[:_ERROR_SHOWN]
