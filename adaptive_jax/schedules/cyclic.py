"""Schedules that cycle between two values indefinitely."""

import jax.numpy as jnp

from adaptive_jax import numerics
from adaptive_jax.schedules.pieces import (
    as_count,
    blend,
    completed,
    geometric,
    is_reachable,
    left,
    periods,
)
from adaptive_jax.typing import Scalar, Schedule
from adaptive_jax.validation import number, steps


def cyclic(
    init_value: Scalar,
    peak_value: Scalar,
    transition_steps: int,
    mode: str = "triangular",
    decay_rate: Scalar | None = None,
) -> Schedule:
    r"""Cycles linearly between two values (cyclical learning rate).

    .. math::
        lr(t) = init\_value + (peak\_value - init\_value)\, s(t)\,
            \min(r, 2n - r) / n, \qquad n = transition\_steps,\quad r = t \bmod 2n

    with the scale s(t) = 1 for `"triangular"`, :math:`2^{-\lfloor t/2n \rfloor}` for
    `"triangular2"` (each cycle is half as high) and :math:`decay\_rate^{\,t}` for `"exp_range"`.

    Args:
      init_value: the learning rate at the start of every cycle.
      peak_value: the learning rate in the middle of the first cycle.
      transition_steps: the number of updates in half a cycle, from one value to the other. The
        paper recommends 2 to 10 epochs.
      mode: `"triangular"` (default, as in PyTorch), `"triangular2"` or `"exp_range"`.
      decay_rate: the factor per update, positive. `"exp_range"` requires it, and the other modes do
        not accept it.

    Raises:
      ValueError: an argument is out of range, or `decay_rate` does not fit `mode`.

    Reference: Smith 2017, arXiv 1506.01186.

    >>> lr = cyclic(0.1, peak_value=0.5, transition_steps=10, mode="triangular2")
    >>> print(f"{lr(0):.2f} {lr(5):.2f} {lr(10):.2f} {lr(20):.2f} {lr(30):.2f}")
    0.10 0.30 0.50 0.10 0.30
    """
    init_value = number("init_value", init_value, "(-inf, inf)")
    peak_value = number("peak_value", peak_value, "(-inf, inf)")
    transition_steps = steps("transition_steps", transition_steps)
    if mode not in ("triangular", "triangular2", "exp_range"):
        raise ValueError(f"mode must be 'triangular', 'triangular2' or 'exp_range', got {mode!r}")
    if (mode == "exp_range") != (decay_rate is not None):
        raise ValueError(
            "decay_rate must be given for mode 'exp_range' and for no other mode, got "
            f"{decay_rate} for {mode!r}"
        )
    if decay_rate is not None:
        decay_rate = number("decay_rate", decay_rate, "(0, inf)")

    def schedule(count):
        count = as_count(count)
        cycle, past = periods(count, 2 * transition_steps)
        above = jnp.minimum(completed(past, transition_steps), 2 * left(past, 2 * transition_steps))
        below = left(past, transition_steps)
        if is_reachable(count, transition_steps):
            below += completed(jnp.maximum(past - transition_steps, 0), transition_steps)
        if mode == "triangular2":
            scale = geometric(0.5, cycle)
            below += above * (1 - scale)
            above *= scale
        elif decay_rate is not None:
            below += above * numerics.bias_correction(decay_rate, count)
            above *= geometric(decay_rate, count)
        return blend(init_value, peak_value, below, above)

    return schedule
