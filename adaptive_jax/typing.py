"""Names for the types that public signatures share."""

from collections.abc import Callable
from typing import Any

import jax

PyTree = Any
Params = PyTree
"""A tree of floating-point or complex arrays: what is trained."""
Updates = PyTree
"""A tree like the parameters: gradients, or what is added to the parameters."""
State = PyTree

Device = Any
"""A `jax.Device`, whose type jaxlib does not tell type checkers."""

Scalar = float | int | jax.Array
"""A number: Python's, a 0-d array, or a value traced by `jit`, `vmap` or `grad`."""
Schedule = Callable[[Any], Any]
"""Number of updates already made (0 at the first) -> scalar, as in Optax."""
ScalarOrSchedule = Scalar | Schedule
