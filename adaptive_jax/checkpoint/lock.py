"""The lock that leaves a folder to one writer."""

import contextlib
import datetime
import errno
import fcntl
import json
import os
import socket
import warnings
import weakref
from pathlib import Path

import jax

from adaptive_jax.checkpoint.errors import CheckpointError
from adaptive_jax.distributed.hosts import told_by_first

FILE = ".writer.lock"
_UNSUPPORTED = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL}


class WriterLock:
    """An exclusive lock on a folder, held by one object at a time.

    It is a lock of the kernel (`flock`). So it ends with its process, even with a killed one, and
    on NFS it holds between hosts. The text of the file only names the owner: whether the lock is
    held does not depend on it. In a run of several processes, the first holds it for all.

    Args:
      folder: to lock; it must exist.
    """

    def __init__(self, folder: Path):
        self._path = folder / FILE
        self._descriptor: int | None = None
        self.held: bool = False
        _locks.add(self)

    def acquire(self) -> None:
        """Takes the lock, in all processes or in none.

        Raises:
          CheckpointError: somebody else holds it, or its file cannot be written.
        """
        message = ""
        if jax.process_index() == 0:
            try:
                self._take()
            except OSError as error:
                message = f"cannot write {self._path}: {error.strerror}"
            except CheckpointError as error:
                message = str(error)
        message = told_by_first(message)
        if message:
            raise CheckpointError(message)
        self.held = True

    def release(self) -> None:
        """Releases the lock and removes its file."""
        descriptor, self._descriptor, self.held = self._descriptor, None, False
        if descriptor is None:
            return
        with contextlib.suppress(OSError):  # the folder may be gone
            if self._is_file(descriptor):
                self._path.unlink()
        os.close(descriptor)

    def _take(self):
        while self._descriptor is None:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
            try:
                self._lock(descriptor)
                if self._is_file(descriptor):
                    text = json.dumps(_owner()).encode()
                    with contextlib.suppress(PermissionError):  # of a file that another user left
                        os.fchmod(descriptor, 0o666)  # so that whoever may write here may lock
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, text, 0)
                    self._descriptor = descriptor
            finally:
                if self._descriptor is None:  # locked by another, or just removed by its last owner
                    os.close(descriptor)

    def _lock(self, descriptor):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CheckpointError(
                f"{self._path.parent} is being written by {_who(descriptor)}: wait until that "
                "ends (or close its Checkpoints), or name another folder"
            ) from error
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            warnings.warn(
                f"{self._path.parent} is on a file system without locks: let only one process "
                "write to it",
                stacklevel=2,
            )

    def _is_file(self, descriptor):
        """Whether the path still leads to the file that was opened."""
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self._path))
        except FileNotFoundError:
            return False


def _owner():
    now = datetime.datetime.now().astimezone()
    return {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "since": now.isoformat(" ", "seconds"),
    }


def _who(descriptor):
    try:
        owner = json.loads(os.pread(descriptor, 1000, 0))
        who = f"process {owner['pid']} on {owner['host']}, since {owner['since']}"
    except (OSError, ValueError, KeyError, TypeError):  # it has not written its name yet
        return "another process"
    here = _owner()
    is_this = (owner["pid"], owner["host"]) == (here["pid"], here["host"])
    return f"another Checkpoints of this process ({who})" if is_this else who


_locks: weakref.WeakSet[WriterLock] = weakref.WeakSet()


def _forget() -> None:
    """Lets no forked child keep the lock of its parent."""
    for lock in _locks:
        descriptor, lock._descriptor, lock.held = lock._descriptor, None, False
        if descriptor is not None:
            os.close(descriptor)


os.register_at_fork(after_in_child=_forget)
