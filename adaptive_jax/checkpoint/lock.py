"""The lock that gives a folder of checkpoints one writer."""

from pathlib import Path

import jax

from adaptive_jax import locks
from adaptive_jax.checkpoint.errors import CheckpointError
from adaptive_jax.distributed.hosts import told_by_first

FILE = ".writer.lock"


class WriterLock(locks.WriterLock):
    """A lock on a folder; in a run of several processes, the first holds it for all of them.

    Args:
      folder: the folder to lock; it must exist.
    """

    def __init__(self, folder: Path):
        super().__init__(folder / FILE)

    def acquire(self) -> None:
        """Takes the lock, in all processes or in none.

        Raises:
          CheckpointError: another writer holds it, or its file cannot be written.
        """
        message = ""
        if jax.process_index() == 0:
            try:
                super().acquire()
            except locks.LockedError as error:
                message = (
                    f"{error}: wait until that finishes (or close its Checkpoints), or use another "
                    "folder"
                )
            except OSError as error:
                message = f"cannot write {self._path}: {error.strerror}"
        message = told_by_first(message)
        if message:
            raise CheckpointError(message)
        self.held = True
