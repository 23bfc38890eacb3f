"""What schedules are made of: Optax's own where they are right, fed with a float count.

Optax's schedules divide an int32 count, which yields float32 even where JAX computes in float64,
and `cosine_decay_schedule` rejects one under strict dtype promotion. A float count avoids both.
Boundaries and staircases compare integers: float32 cannot tell counts beyond 2^24 apart.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics
from adaptive_jax.typing import Scalar, Schedule


def as_float(count: Any) -> jax.Array:
    """The count in JAX's default float: float32, or float64 with `jax_enable_x64`."""
    return jnp.asarray(count, jnp.result_type(float))


def geometric(rate: Scalar, exponent: jax.Array) -> jax.Array:
    """`rate^exponent` for a rate in (0, 1].

    A rate such as 0.9999 loses a thousandth of its distance to 1 in float32. So the logarithm is
    taken in double precision where `rate` is a Python number.
    """
    return jnp.exp(exponent * numerics.log(rate))


def half_cosine(completed: jax.Array) -> jax.Array:
    """From 1 to 0 along half a period of the cosine, as `completed` goes from 0 to 1."""
    return (1 + jnp.cos(jnp.pi * completed)) / 2


def linear(init_value: Scalar, end_value: Scalar, transition_steps: int) -> Schedule:
    """`optax.linear_schedule` on a float count."""
    schedule = optax.linear_schedule(init_value, end_value, transition_steps)
    return lambda count: schedule(as_float(count))


def cosine(init_value: Scalar, decay_steps: int, alpha: Scalar) -> Schedule:
    """`optax.cosine_decay_schedule` on a float count."""
    schedule = optax.cosine_decay_schedule(init_value, decay_steps, alpha)
    return lambda count: schedule(as_float(count))
