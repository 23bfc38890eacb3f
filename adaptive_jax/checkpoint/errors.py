"""What can be wrong with a checkpoint."""


class CheckpointError(Exception):
    """A checkpoint cannot be written, or there is none that this version reads; says which.

    >>> from adaptive_jax import checkpoint
    >>> checkpoint.describe("/nowhere")
    Traceback (most recent call last):
      ...
    adaptive_jax.checkpoint.errors.CheckpointError: there is no checkpoint /nowhere
    """


class DamagedError(CheckpointError):
    """The files are not what was written: a byte differs, a file is cut short, or missing.

    >>> import tempfile
    >>> from adaptive_jax import checkpoint
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoint.describe(folder)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
      ...
    adaptive_jax.checkpoint.errors.DamagedError: ...: No such file or directory
    """


class MismatchError(CheckpointError):
    """The checkpoint is whole, but not of the tree or the config that it is restored to.

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
