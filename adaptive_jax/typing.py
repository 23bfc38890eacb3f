"""Type aliases shared by the public signatures."""

from collections.abc import Callable
from typing import Any

import jax

PyTree = Any
Params = PyTree
"""A tree of floating-point or complex arrays: the trained parameters."""
Updates = PyTree
"""A tree like the parameters: gradients, or the updates that are added to the parameters."""
State = PyTree

Device = Any
"""A `jax.Device`; jaxlib does not expose its type to type checkers."""

Scalar = float | int | jax.Array
"""A Python number, a 0-d array, or a value traced by `jit`, `vmap` or `grad`."""
Schedule = Callable[[Any], Any]
"""A function from the number of updates made so far (0 at the first) to a scalar, as in Optax."""
ScalarOrSchedule = Scalar | Schedule
