"""Checkpoints of any tree, written by Orbax together with a digest of every leaf.

This package checks what Orbax 0.12 alone does not. Orbax loads a flipped byte as another number and
casts to a different dtype, both silently, and it rejects arrays without elements. Nothing is ever
pickled or unpickled.
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
