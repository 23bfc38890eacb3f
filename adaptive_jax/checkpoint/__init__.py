"""Checkpoints: any tree on disk, written by Orbax, and a digest of every leaf beside it.

What Orbax 0.12 alone lets pass, and what is checked here: a byte that flips in a file is loaded as
another number, a dtype that differs is cast, both silently, and arrays without an element are
refused. Nothing is ever pickled or unpickled.
"""

from adaptive_jax.checkpoint.errors import CheckpointError as CheckpointError
from adaptive_jax.checkpoint.errors import DamagedError as DamagedError
from adaptive_jax.checkpoint.errors import MismatchError as MismatchError
from adaptive_jax.checkpoint.files import describe as describe
from adaptive_jax.checkpoint.files import restore as restore
from adaptive_jax.checkpoint.files import save as save
from adaptive_jax.checkpoint.files import verify as verify
from adaptive_jax.checkpoint.folder import Checkpoints as Checkpoints
from adaptive_jax.checkpoint.manifest import Manifest as Manifest
