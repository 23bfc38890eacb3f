"""File locks that the system releases when the process that holds them ends."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows, where nothing is locked
    fcntl = None


@contextlib.contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[BinaryIO]:
    """Opens a file for reading and appending, locked against other processes.

    The system releases the lock of a process that dies. On a file system without locks the file
    is opened unlocked.

    Args:
      path: The path of the file, which is created if it does not exist.
      wait: Whether to wait for another process that holds the lock.

    Raises:
      BlockingIOError: Another process holds the lock, and `wait` is False.
    """
    # While this waits, the holder of the lock may replace or remove the file, as
    # `records.set_aside` does. The lock is then on the old file and excludes nobody, so the
    # path is opened again.
    while True:
        file = path.open("a+b")
        try:
            _lock(file, wait)
            if _is_at(file, path):
                break
        except BaseException:
            file.close()
            raise
        file.close()
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
    """Returns whether the path still leads to the open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
