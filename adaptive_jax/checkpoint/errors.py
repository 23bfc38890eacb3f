"""What can be wrong with a checkpoint."""


class CheckpointError(Exception):
    """A checkpoint cannot be written, or there is none that this version reads; says which."""


class DamagedError(CheckpointError):
    """The files are not what was written: a byte differs, a file is cut short, or missing."""


class MismatchError(CheckpointError):
    """The checkpoint is whole, but not of the tree or the config that it is restored to."""
