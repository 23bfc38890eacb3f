"""The checkpoints of a training run: written in the background, with the last few kept."""

import contextlib
import itertools
import os
import shutil
import uuid
import warnings
import weakref
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, Self

import jax
from orbax.checkpoint import v1 as ocp

from adaptive_jax.checkpoint import backend, files
from adaptive_jax.checkpoint import manifest as manifest_lib
from adaptive_jax.checkpoint.errors import CheckpointError, DamagedError
from adaptive_jax.checkpoint.lock import WriterLock
from adaptive_jax.checkpoint.manifest import UNFINISHED
from adaptive_jax.distributed.hosts import told_by_first
from adaptive_jax.typing import PyTree
from adaptive_jax.validation import steps as whole_number


class Checkpoints:
    """The checkpoints of a run, each in a subfolder named by its step.

    `save` returns when it has copied the arrays to the host. Orbax writes that copy while training
    continues. An error in the background is raised by the next call, at the latest by `close`,
    which the `with` statement calls.

    A folder has one writer. The first `save` (or `lock`) takes a lock and removes unfinished
    checkpoints of interrupted runs. `close` or the end of the process releases the lock. Readers
    need no lock, change nothing, and may restore while another process writes.

    A folder has one run. If it already has checkpoints, `restore` continues their run; calling
    `save` without `restore` is an error.

    Args:
      folder: the folder of the run; it is created if it does not exist.
      keep: the number of checkpoints to keep. After a new one is written, the oldest ones are
        removed, whatever their steps. Default 3, so that others remain if one is damaged.
      config, optimizer: recorded in each checkpoint and compared by `restore`; see `save`.
        Default: none.

    Raises:
      CheckpointError: the folder cannot be created.
      TypeError: the repr of `optimizer` has a memory address.
      ValueError: `keep` is not a whole number of at least 1.

    >>> import tempfile
    >>> import jax.numpy as jnp
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Checkpoints(folder, keep=2) as checkpoints:
    ...         for step in (10, 20, 30):
    ...             checkpoints.save(step, {"w": jnp.zeros(2) + step})
    ...     with Checkpoints(folder) as checkpoints:
    ...         checkpoints.steps, checkpoints.restore({"w": jnp.zeros(2)})
    ((20, 30), (30, {'w': Array([30., 30.], dtype=float32)}))
    """

    def __init__(
        self,
        folder: str | PathLike[str],
        *,
        keep: int = 3,
        config: Mapping[str, Any] | None = None,
        optimizer: Any = None,
    ):
        self.folder: Path = files.absolute(folder)
        self.config = config
        self.optimizer: str | None = manifest_lib.optimizer_text(optimizer)
        self._keep = whole_number("keep", keep)
        with backend.writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = WriterLock(self.folder)
        self._pending: list[tuple[int, Any]] = []  # the step that is being written, if any
        self._run: str | None = None  # the run that was restored or started
        self._order = 0  # the order of the newest checkpoint at that time
        self._kept: list[int] | None = None  # the run's steps by age, once this object saves
        self._damaged: set[int] = set()  # damaged steps that `restore` found, not yet renamed
        weakref.finalize(self, _finish, self._pending, self._lock)

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps of the existing checkpoints, the newest last."""
        return tuple(found.step for found in _find(self.folder)[0])

    def path(self, step: int) -> Path:
        """Returns the folder of one checkpoint, for `restore`, `verify` and `describe`."""
        return self.folder / str(step)

    def lock(self) -> None:
        """Makes this object the folder's only writer, as the first `save` does.

        Raises:
          CheckpointError: another process or object is the writer; the error names its host, its
            process id and the time since when.
        """
        if self._lock.held:
            return
        with backend.writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
            self._remove_unfinished()
        for step in sorted(self._damaged):  # another writer may have replaced some of them
            try:
                files.verify(self.path(step))
            except DamagedError:
                self._set_aside(step)
            except CheckpointError:
                pass
        self._damaged.clear()

    def save(self, step: int, tree: PyTree) -> None:
        """Starts writing a tree, after waiting for the previous one.

        Raises:
          CheckpointError: the step exists already, a checkpoint could not be written, another
            process writes to the folder, or the folder has checkpoints of a run that was not
            restored.
        """
        step = whole_number("step", step, minimum=0)
        self.wait()
        if self._kept is None or not self._lock.held:
            self._begin()
        if os.path.lexists(self.path(step)):
            raise CheckpointError(f"{self.path(step)} exists already: save another step")
        more = {"optimizer": self.optimizer, "run": self._run, "order": self._order + 1}
        items = backend.items(tree, step, self.config, **more)
        with backend.writing(self.path(step)), self._cleaning_up(), backend.context():
            response = ocp.save_checkpointables_async(str(self.path(step)), items)
        self._order += 1
        self._pending.append((step, response))

    def wait(self) -> None:
        """Waits until everything is written.

        Raises:
          CheckpointError: a checkpoint could not be written. Its files are removed.
        """
        if not self._pending:
            return
        step, response = self._pending[0]  # it stays there if an interrupt comes
        with backend.writing(self.folder):
            with self._cleaning_up():
                response.result()
            self._pending.clear()
            self._kept = [*(self._kept or ()), step]
            self._remove_old()

    def restore(
        self, like: PyTree, *, step: int | None = None, **options: Any
    ) -> tuple[int, PyTree]:
        """Restores the newest intact checkpoint, and returns its step and tree.

        The newest checkpoint is the one saved last, whatever its step. If it is damaged, a warning
        says so and the one before it is restored; the next `save` renames the damaged one. In a run
        of several processes damage is an error, because the processes could choose differently.

        Args:
          like: a tree like the one that was saved; see `checkpoint.restore`.
          step: the step to restore. Default: the newest.
          **options: other arguments of `checkpoint.restore`.

        Raises:
          CheckpointError: there is no intact checkpoint, or there are checkpoints of several runs.
          DamagedError: the checkpoint of `step` is damaged.
          MismatchError: the tree, the config or the optimizer differs.
        """
        self.wait()
        options = {"config": self.config, "optimizer": self.optimizer, **options}
        found, misnamed = _find(self.folder)
        if misnamed:
            told = f"{self.folder} has renamed or copied checkpoints, which are ignored"
            warnings.warn(told + _hint(misnamed), stacklevel=2)
        if step is None:
            chosen = self._of_one_run(found)[::-1]
        else:
            chosen = [each for each in found if each.step == step]
        for candidate in chosen:
            path = self.path(candidate.step)
            try:
                tree = files.restore(path, like, **options)
            except CheckpointError as error:
                if not path.exists():  # its writer has removed it in the meantime
                    return self.restore(like, step=step, **options)
                goes_on = step is None and jax.process_count() == 1
                if not (isinstance(error, DamagedError) and goes_on):
                    raise
                self._leave_out(candidate.step, error)
                continue
            if self._kept is None:
                self._run = candidate.run
                self._order = max(each.order for each in found)
            return candidate.step, tree
        what = "no intact checkpoint" if step is None else f"no checkpoint of step {step}"
        raise CheckpointError(f"{self.folder} has {what}{_hint(misnamed)}")

    def close(self) -> None:
        """Waits until everything is written and releases the lock; raises the errors of `wait`."""
        try:
            self.wait()
        finally:
            self._kept = None
            self._lock.release()

    def _begin(self):
        """Makes this object the writer, if the folder is empty or has the run that was restored."""
        self.lock()
        found, _ = _find(self.folder)
        others = [f"{each.step}" for each in found if not each.is_of(self._run)]
        newer = [f"{each.step}" for each in found if each.order > self._order]
        message = ""
        if others:
            message = (
                f"{self.folder} has checkpoints of another run (steps {', '.join(others)}): to "
                "continue that run, call restore() first; to start a new run, use another folder, "
                "or move those checkpoints away"
            )
        elif newer:
            message = (
                f"{self.folder} has checkpoints that were saved after this run was restored (steps "
                f"{', '.join(newer)}): call restore() again, or move those checkpoints away"
            )
        message = told_by_first(message)
        if message:
            self._lock.release()
            raise CheckpointError(message)
        self._run = told_by_first(uuid.uuid4().hex) if self._run is None else self._run
        self._kept = [each.step for each in found]

    def _of_one_run(self, found):
        """Returns the checkpoints of this object's run; if it has none, all of the only run."""
        if self._kept is not None:
            return [each for each in found if each.is_of(self._run)]
        runs = {}
        for each in found:
            if each.run is not None:
                runs.setdefault(each.run, []).append(str(each.step))
        if len(runs) > 1:
            steps = " and ".join(f"steps {', '.join(steps)}" for steps in runs.values())
            raise CheckpointError(
                f"{self.folder} has checkpoints of {len(runs)} runs, {steps}: move those of one "
                "run elsewhere, or pass the step to restore"
            )
        return found

    def _leave_out(self, step, error):
        aside = ""
        if self._lock.held:
            aside = f"; it is now {self._set_aside(step)}"
        else:
            self._damaged.add(step)
        warnings.warn(f"{error}{aside}; trying the one before it", stacklevel=3)

    def _set_aside(self, step):
        aside = next(
            path
            for i in itertools.count(1)
            if not (path := self.folder / f"{step}.damaged-{i}").exists()
        )
        with backend.writing(aside), contextlib.suppress(FileNotFoundError):
            self.path(step).rename(aside)
        if self._kept is not None and step in self._kept:
            self._kept.remove(step)
        return aside

    @contextlib.contextmanager
    def _cleaning_up(self):
        """Removes the files of a failed write, which may be what fills the disk."""
        try:
            yield
        except Exception:
            self._pending.clear()
            with contextlib.suppress(OSError):
                self._remove_unfinished()
            raise

    def _remove_unfinished(self):
        for path in self.folder.iterdir() if jax.process_index() == 0 else ():
            name = path.name.removesuffix(UNFINISHED)
            if name != path.name and manifest_lib.step_of(name) is not None:
                shutil.rmtree(path)

    def _remove_old(self):
        kept = self._kept or []
        while len(kept) > self._keep:
            step = kept.pop(0)
            if jax.process_index() == 0 and self.path(step).exists():
                # Rename it first: a kill during the removal would leave half of a checkpoint.
                unfinished = self.folder / f"{step}{UNFINISHED}"
                self.path(step).rename(unfinished)
                shutil.rmtree(unfinished)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if error is None:
            self.close()
        else:
            with contextlib.suppress(CheckpointError):  # the first error matters more
                self.close()


class _Found(NamedTuple):
    """A checkpoint in a folder; its run is None if its manifest cannot be read."""

    step: int
    run: str | None
    order: int

    def is_of(self, run):
        """Returns True if the checkpoint may belong to `run`; None means no run yet."""
        return run is not None and self.run in (run, None)


def _find(folder: Path) -> tuple[list[_Found], dict[str, int]]:
    """Returns the checkpoints in a folder by age, and the steps of those with a wrong name."""
    found, unreadable, misnamed = [], [], {}
    for path in _numbered(folder):
        step = manifest_lib.step_of(path.name)
        try:
            manifest = manifest_lib.read(path)
        except CheckpointError:
            if step is not None and path.exists():
                unreadable.append(step)
            continue
        if manifest.step == step:
            found.append(_Found(manifest.step, manifest.run, manifest.order))
        else:
            misnamed[path.name] = manifest.step
    # A checkpoint that cannot be read is as old as the newest one with a smaller step.
    for step in unreadable:
        order = max((each.order for each in found if each.step < step), default=0)
        found.append(_Found(step, None, order))
    return sorted(found, key=lambda each: (each.order, each.step)), misnamed


def _numbered(folder):
    try:
        return [path for path in folder.iterdir() if path.name.isdigit() and path.is_dir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CheckpointError(f"cannot read {folder}: {error.strerror}") from error


def _hint(misnamed):
    told = (f"{name} was saved as step {step}" for name, step in sorted(misnamed.items()))
    return f"; {', '.join(told)}: rename it, or restore it by its path" if misnamed else ""


def _finish(pending, lock):
    """Finishes the writes of a `Checkpoints` that was never closed, and releases its lock."""
    for _, response in pending:
        with contextlib.suppress(Exception):
            response.result()
    lock.release()
