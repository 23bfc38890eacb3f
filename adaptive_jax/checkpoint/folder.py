"""The checkpoints of one training run: written while it goes on, and the last few kept."""

import contextlib
import itertools
import shutil
import warnings
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Self

import jax
from orbax.checkpoint import v1 as ocp

from adaptive_jax.checkpoint import backend, files
from adaptive_jax.checkpoint.errors import CheckpointError, DamagedError
from adaptive_jax.checkpoint.manifest import UNFINISHED
from adaptive_jax.typing import PyTree
from adaptive_jax.validation import steps as whole_number


class Checkpoints:
    """The checkpoints of a run, in a folder with one of its own for each, named by its step.

    `save` returns when it has copied the arrays to the host; Orbax writes that copy while
    training goes on, and the digests are of it as well. An error of that is raised by the next
    call, of `close` at the latest, which a `with` statement calls.

    Args:
      folder: of the run, made if there is none. What an interrupted run left unfinished in it
        is removed.
      keep: how many of the last checkpoints to keep; an older one is removed once a newer one
        is there. Default 3: one that turns out damaged is no disaster.
      config: of each checkpoint, see `save`; those with another are not restored. Default: none.

    Raises:
      CheckpointError: the folder cannot be made.
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
    ):
        self.folder: Path = Path(folder).absolute()
        self.config = config
        self._keep = whole_number("keep", keep)
        with backend.writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._checkpointer = self._open()
        self._pending = None

    def _open(self):
        return ocp.training.Checkpointer(
            str(self.folder), context=backend.context(), cleanup_tmp_directories=True
        )

    @property
    def steps(self) -> tuple[int, ...]:
        """Of the checkpoints that are there, in order."""
        names = [path.name for path in self.folder.iterdir() if path.is_dir()]
        return tuple(sorted(int(name) for name in names if name.isdecimal()))

    def path(self, step: int) -> Path:
        """The folder of one checkpoint, for `restore`, `verify` and `describe`."""
        return self.folder / str(step)

    def save(self, step: int, tree: PyTree) -> None:
        """Begins to write a tree; what the one before it met is raised first.

        Raises:
          CheckpointError: there is a checkpoint of that step, or one could not be written.
        """
        step = whole_number("step", step, minimum=0)
        self.wait()
        if step in self.steps:
            raise CheckpointError(f"{self.path(step)} exists already: save another step")
        items = backend.items(tree, step, self.config)
        with backend.writing(self.path(step)):
            self._pending = self._checkpointer.save_checkpointables_async(step, items, force=True)

    def wait(self) -> None:
        """Returns when all is written.

        Raises:
          CheckpointError: something could not be.
        """
        pending, self._pending = self._pending, None
        if pending is None:
            return
        with backend.writing(self.folder):
            try:
                pending.result()
            except Exception:  # which Orbax would raise at every later save, too
                with contextlib.suppress(Exception):
                    self._checkpointer.close()
                self._checkpointer = self._open()
                raise
            self._remove_old()

    def restore(self, like: PyTree, **options: Any) -> tuple[int, PyTree]:
        """The step and the tree of the last whole checkpoint, with the arguments of `restore`.

        A damaged one is renamed and told in a warning, and the one before it is restored; in a run
        of several processes, which could disagree on that, it is an error.

        Raises:
          CheckpointError: there is none, or none that is whole.
          MismatchError: it is not of such a tree, or the config differs.
        """
        self.wait()
        options = {"config": self.config, **options}
        for step in reversed(self.steps):
            try:
                return step, files.restore(self.path(step), like, **options)
            except DamagedError as error:
                if jax.process_count() > 1:
                    raise
                aside = self._set_aside(step)
                warnings.warn(
                    f"{error}; it is now {aside}, and the one before is tried", stacklevel=2
                )
        raise CheckpointError(f"{self.folder} has no whole checkpoint")

    def _set_aside(self, step):
        aside = next(
            path
            for i in itertools.count(1)
            if not (path := self.folder / f"{step}.damaged-{i}").exists()
        )
        with backend.writing(aside):
            self.path(step).rename(aside)
            self._checkpointer.reload()
        return aside

    def _remove_old(self):
        # Orbax would do so too, but a kill while it does leaves half of a checkpoint.
        for step in self.steps[: -self._keep] if jax.process_index() == 0 else ():
            unfinished = self.folder / f"{step}{UNFINISHED}"
            self.path(step).rename(unfinished)
            shutil.rmtree(unfinished)

    def close(self) -> None:
        """Waits until all is written, and ends Orbax's threads; raises as `wait` does."""
        try:
            self.wait()
        finally:
            with backend.writing(self.folder):
                self._checkpointer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if error is None:
            self.close()
        else:
            with contextlib.suppress(CheckpointError):  # that a write failed as well is less news
                self.close()
