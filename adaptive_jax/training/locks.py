"""One writer at a time: locks on files, which end with the process that holds them."""

import contextlib
import json
import os
import socket
import time
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


@contextlib.contextmanager
def one_writer(folder: Path) -> Iterator[None]:
    """Holds the folder, with a file in it that says who does: host, process, and since when.

    Raises:
      ValueError: another process holds it; the message names it.
    """
    path = folder / "lock.json"
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(locked(path, wait=False))
        except BlockingIOError as error:
            raise ValueError(
                f"{folder} is written to by another process{_owner(path)}: wait until it ends, or "
                "name another folder"
            ) from error
        owner = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        }
        with contextlib.suppress(OSError):  # of a full disk who writes results will say more
            file.truncate(0)
            file.write(json.dumps(owner).encode())
            file.flush()
        stack.callback(_remove, path)
        yield


def _remove(path):
    with contextlib.suppress(OSError):
        path.unlink()


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


def _owner(path):
    try:
        owner = json.loads(path.read_text(encoding="utf-8"))
        return f", {owner['pid']} on {owner['host']} since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
