"""Schedules without warm-up: exponential, inverse-time, piecewise constant, polynomial."""

import itertools
from collections.abc import Sequence

import jax.numpy as jnp

from adaptive_jax.schedules.pieces import (
    as_count,
    as_float,
    blend,
    completed,
    geometric,
    is_reachable,
    left,
    periods,
)
from adaptive_jax.typing import Scalar, Schedule
from adaptive_jax.validation import number, steps


# We do not call optax.exponential_decay: its staircase takes the floor of a float32 quotient. Under
# jit that is a product with 1/transition_steps, so with 41 steps the first drop comes at count 42,
# and beyond 2^24 drops come early. It also rejects a traced decay_rate.
def exponential_decay(
    init_value: Scalar, transition_steps: int, decay_rate: Scalar, *, staircase: bool = False
) -> Schedule:
    r"""Exponential decay: multiplies by `decay_rate` every `transition_steps` updates.

    .. math::
        lr(t) = init\_value \cdot decay\_rate^{\,t / transition\_steps}

    Args:
      init_value: the learning rate at t = 0.
      transition_steps: the number of updates per factor of `decay_rate`.
      decay_rate: nonnegative; above 1 the rate grows. With 0, the rate is 0 from the second value
        on, whereas `optax.exponential_decay` returns a constant rate.
      staircase: whether to round the exponent down to a whole number, so that the rate drops at
        once rather than smoothly; default False (Keras).

    Raises:
      ValueError: an argument is out of range.

    Reference: Keras's `ExponentialDecay`.

    >>> lr = exponential_decay(0.1, transition_steps=10, decay_rate=0.5, staircase=True)
    >>> print(lr(9), lr(10))
    0.1 0.05
    """
    init_value = number("init_value", init_value, "(-inf, inf)")
    transition_steps = steps("transition_steps", transition_steps)
    decay_rate = number("decay_rate", decay_rate, "[0, inf)")

    def schedule(count):
        count = as_count(count)
        if staircase:
            return init_value * geometric(decay_rate, periods(count, transition_steps)[0])
        return init_value * geometric(decay_rate, count, transition_steps)

    return schedule


def inverse_time_decay(
    init_value: Scalar, transition_steps: int, decay_rate: Scalar, *, staircase: bool = False
) -> Schedule:
    r"""Inverse-time decay: the divisor grows by `decay_rate` every `transition_steps` updates.

    .. math::
        lr(t) = \frac{init\_value}{1 + decay\_rate \cdot t / transition\_steps}

    Args:
      init_value: the learning rate at t = 0.
      transition_steps: the number of updates over which the divisor grows by `decay_rate`.
      decay_rate: nonnegative.
      staircase: whether to round `t / transition_steps` down to a whole number; default False
        (Keras).

    Raises:
      ValueError: an argument is out of range.

    Reference: Keras's `InverseTimeDecay`.

    >>> lr = inverse_time_decay(0.1, transition_steps=10, decay_rate=1.0)
    >>> print(lr(0), lr(10), lr(30))
    0.1 0.05 0.025
    """
    init_value = number("init_value", init_value, "(-inf, inf)")
    transition_steps = steps("transition_steps", transition_steps)
    decay_rate = number("decay_rate", decay_rate, "[0, inf)")

    def schedule(count):
        count = as_count(count)
        if staircase:
            passed = as_float(periods(count, transition_steps)[0])
        else:
            passed = as_float(count) / float(transition_steps)
        return init_value / (1 + decay_rate * passed)

    return schedule


def piecewise_constant(boundaries: Sequence[int], values: Sequence[Scalar]) -> Schedule:
    r"""Piecewise constant: one value up to and including each boundary, and one after the last.

    .. math::
        lr(t) = values_i \quad\text{for}\quad boundaries_{i-1} < t \le boundaries_i

    Unlike `optax.piecewise_constant_schedule`, it takes the values instead of factors, and each
    boundary is the last count with its value.

    Args:
      boundaries: counts of updates, strictly increasing.
      values: the learning rates; there must be one more than boundaries.

    Raises:
      ValueError: an argument is out of range, the lengths do not match, or the boundaries are not
        increasing.

    Reference: Keras's `PiecewiseConstantDecay`.

    >>> lr = piecewise_constant(boundaries=[100, 200], values=[0.1, 0.01, 0.001])
    >>> print(lr(100), lr(101), lr(201))
    0.1 0.01 0.001
    """
    boundaries = [steps(f"boundaries[{i}]", b, minimum=0) for i, b in enumerate(boundaries)]
    values = [number(f"values[{i}]", v, "(-inf, inf)") for i, v in enumerate(values)]
    if len(values) != len(boundaries) + 1:
        raise ValueError(
            f"there must be one more value than boundaries, got {len(values)} values "
            f"and {len(boundaries)} boundaries"
        )
    if any(a >= b for a, b in itertools.pairwise(boundaries)):
        raise ValueError(f"boundaries must be strictly increasing, got {boundaries}")

    def schedule(count):
        count = as_count(count)
        value = jnp.broadcast_to(as_float(values[0]), count.shape)
        for boundary, after in zip(boundaries, values[1:], strict=True):
            if is_reachable(count, boundary):
                value = jnp.where(count > boundary, as_float(after), value)
        return value

    return schedule


def polynomial_decay(
    init_value: Scalar,
    decay_steps: int,
    end_value: Scalar = 1e-4,
    power: Scalar = 1.0,
    *,
    cycle: bool = False,
) -> Schedule:
    r"""Polynomial decay to `end_value`, once or in ever longer cycles.

    .. math::
        lr(t) = end\_value + (init\_value - end\_value)\,(1 - t/T)^{power}

    with :math:`T = decay\_steps`, and constant after T. With `cycle`, T is the first multiple of
    `decay_steps` that is at least t: a cycle ends at each multiple, and the next update starts a
    new cycle, at a height that grows towards `init_value`.

    Args:
      init_value: the learning rate at t = 0.
      decay_steps: the number of updates until `end_value`.
      end_value: the final learning rate; default 1e-4 (Keras).
      power: the exponent, nonnegative; 1 is linear (default, as in Keras), 0.5 is a square root.
      cycle: whether to start a new cycle after `decay_steps`; default False (Keras).

    Raises:
      ValueError: an argument is out of range.

    Reference: Keras's `PolynomialDecay`.

    >>> lr = polynomial_decay(1.0, decay_steps=10, end_value=0.0, cycle=True)
    >>> print(f"{lr(0):.2f} {lr(5):.2f} {lr(10):.2f} {lr(11):.2f}")
    1.00 0.50 0.00 0.45
    """
    init_value = number("init_value", init_value, "(-inf, inf)")
    decay_steps = steps("decay_steps", decay_steps)
    end_value = number("end_value", end_value, "(-inf, inf)")
    power = number("power", power, "[0, inf)")

    def schedule(count):
        count = as_count(count)
        if cycle and is_reachable(count, decay_steps):
            cycles = as_float(jnp.maximum(-(-count // decay_steps), 1))
            to_go = jnp.where(count == 0, decay_steps, -count % decay_steps)
            below = as_float(to_go) / (decay_steps * cycles)
            above = as_float(count) / (decay_steps * cycles)
        else:
            below, above = left(count, decay_steps), completed(count, decay_steps)
        return blend(init_value, end_value, below**power, _one_minus_power(below, above, power))

    return schedule


def _one_minus_power(below, above, power: Scalar):
    """Returns `1 - below^power`, accurate near 0 and 1; `above` must be `1 - below`."""
    known = jnp.where(below > 0, below, 1)
    log = jnp.where(above < 0.5, jnp.log1p(-jnp.minimum(above, 0.5)), jnp.log(known))
    return jnp.where(below > 0, -jnp.expm1(power * log), 1 - below**power)
