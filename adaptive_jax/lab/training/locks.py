"""Locks on files, which end with the process that holds them."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # not on Windows, where nothing is locked
    fcntl = None


@contextlib.contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[BinaryIO]:
    """The file, open for reading and appending, which no other process has locked meanwhile.

    The system releases the lock of a process that dies. Where the file system has no locks, there
    is none.

    Args:
      path: made, if there is no such file.
      wait: for whoever has it.

    Raises:
      BlockingIOError: somebody has it, and `wait` is False.
    """
    while True:
        file = path.open("a+b")
        try:
            _lock(file, wait)
            if _is_at(file, path):
                break
        except BaseException:
            file.close()
            raise
        file.close()  # it was replaced by another since it was opened
    with file:
        yield file


def _lock(file, wait):
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks
        return


def _is_at(file, path):
    """Whether the open file is the one that the path leads to."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
