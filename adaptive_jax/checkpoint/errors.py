"""Errors about checkpoints."""


class CheckpointError(Exception):
    """A checkpoint cannot be written or read; the message says why.

    >>> from adaptive_jax import checkpoint
    >>> checkpoint.describe("/nowhere")
    Traceback (most recent call last):
      ...
    adaptive_jax.checkpoint.errors.CheckpointError: there is no checkpoint /nowhere
    """


class DamagedError(CheckpointError):
    """The files differ from what was written: a byte differs, or a file is truncated or missing.

    >>> import tempfile
    >>> from adaptive_jax import checkpoint
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoint.describe(folder)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
      ...
    adaptive_jax.checkpoint.errors.DamagedError: ...: No such file or directory
    """


class MismatchError(CheckpointError):
    """The checkpoint is whole, but does not match the tree or the config it is restored to.

    >>> import tempfile
    >>> import numpy as np
    >>> from adaptive_jax import checkpoint
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoint.save(f"{folder}/last", {"w": np.zeros(2)})
    ...     checkpoint.restore(f"{folder}/last", {"w": np.zeros(3)})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
      ...
    adaptive_jax.checkpoint.errors.MismatchError: ... float64[2] at ['w'], where float64[3] is ...
    """
