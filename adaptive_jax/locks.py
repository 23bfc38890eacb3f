"""File locks that end with the process that holds them."""

import contextlib
import datetime
import errno
import json
import os
import socket
import warnings
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows, where nothing is locked
    fcntl = None

_UNSUPPORTED = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL}


class LockedError(Exception):
    """Another writer holds the lock; the message names its process, its host and since when."""


class WriterLock:
    """An exclusive lock on a folder, held by one object at a time.

    It is a lock of the kernel (`flock`). It therefore ends with its process, even with a killed
    one, and on NFS it holds between hosts. The text in the file only names the owner; whether the
    lock is held does not depend on it. Readers need no lock.

    Args:
      path: the file to lock. Its folder, which must exist, is what the lock protects.
    """

    def __init__(self, path: Path):
        self._path = path
        self._descriptor: int | None = None
        self.held: bool = False
        _locks.add(self)

    def acquire(self) -> None:
        """Takes the lock.

        Raises:
          LockedError: another writer holds it.
          OSError: the file cannot be written.
        """
        if self._descriptor is None:
            # The path of a lock is known in advance: a link there could lead to any file.
            no_link = getattr(os, "O_NOFOLLOW", 0)
            self._descriptor = _open_locked(self._path, wait=False, flags=no_link)
            _write_owner(self._descriptor)
        self.held = True

    def release(self) -> None:
        """Releases the lock and removes its file."""
        descriptor, self._descriptor, self.held = self._descriptor, None, False
        if descriptor is None:
            return
        with contextlib.suppress(OSError):  # the folder may be gone
            if _is_at(descriptor, self._path):
                self._path.unlink()
        os.close(descriptor)


_locks: weakref.WeakSet[WriterLock] = weakref.WeakSet()


def _forget() -> None:
    """Closes a forked child's copies, which would keep the locks of its parent."""
    for lock in _locks:
        descriptor, lock._descriptor, lock.held = lock._descriptor, None, False
        if descriptor is not None:
            os.close(descriptor)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[BinaryIO]:
    """Opens a file for reading and appending, once no other process has it locked.

    Args:
      path: the file; it is created if it does not exist.
    """
    with os.fdopen(_open_locked(path, wait=True), "a+b") as file:
        yield file


def _open_locked(path: Path, wait: bool, flags: int = 0) -> int:
    """Returns a descriptor of the file at `path`, locked."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | flags, 0o666)
        try:
            _lock(descriptor, path, wait)
            if _is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its last owner has removed or replaced the file since it was opened


def _lock(descriptor, path, wait):
    if fcntl is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError as error:
        raise LockedError(f"{path.parent} is being written by {_owner(descriptor)}") from error
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        warnings.warn(
            f"{path.parent} is on a file system without locks: let only one process write to it",
            stacklevel=2,
        )


def _is_at(descriptor, path):
    """Returns True if `path` still leads to the file that was opened."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _write_owner(descriptor):
    # The file of a killed process stays, and everybody who may write to the folder can lock it.
    with contextlib.suppress(OSError, AttributeError):  # another user's file; Windows
        os.fchmod(descriptor, 0o666)
    with contextlib.suppress(OSError):  # on a full disk the lock holds without a name
        now = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
        owner = {"host": socket.gethostname(), "pid": os.getpid(), "since": now}
        os.ftruncate(descriptor, 0)
        os.write(descriptor, json.dumps(owner).encode())


def _owner(descriptor):
    try:
        owner = json.loads(os.pread(descriptor, 1000, 0))
        process = f"process {owner['pid']} on {owner['host']}, since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):  # it has not written its name yet
        return "another process"
    is_this = (owner["pid"], owner["host"]) == (os.getpid(), socket.gethostname())
    return f"another writer in this process ({process})" if is_this else process
