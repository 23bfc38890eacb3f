"""Cosine schedules: a single decay, decay with restarts, and one cycle up and down."""

import math

import jax.numpy as jnp
import numpy as np

from adaptive_jax.schedules.pieces import (
    LAST_COUNT,
    as_count,
    as_float,
    cosine,
    geometric,
    join,
    left,
    linear,
    periods,
    rise,
)
from adaptive_jax.typing import Scalar, Schedule
from adaptive_jax.validation import number, steps


def cosine_decay(
    init_value: Scalar,
    decay_steps: int,
    alpha: Scalar = 0.0,
    peak_value: Scalar | None = None,
    warmup_steps: int = 0,
) -> Schedule:
    r"""Cosine decay to a fraction `alpha` of the peak, with an optional linear warm-up.

    .. math::
        lr(t) = peak\_value\,\Big(\alpha + (1 - \alpha)\,
            \frac{1 + \cos(\pi\,(t - warmup\_steps)/decay\_steps)}{2}\Big)

    for `decay_steps` updates from t = `warmup_steps`, and constant afterwards. During the warm-up,
    the rate changes linearly from `init_value` to `peak_value`. Unlike in
    `optax.warmup_cosine_decay_schedule`, `decay_steps` does not include the warm-up.

    Args:
      init_value: the learning rate at t = 0.
      decay_steps: the number of updates from the end of the warm-up to the end of the decay.
      alpha: the final value as a fraction of the peak; default 0 (Keras). Above 1 the rate rises.
      peak_value: the learning rate after the warm-up. Default `init_value`, without a warm-up.
      warmup_steps: the number of warm-up updates; a warm-up requires `peak_value`. Default 0: the
        rate starts at the peak.

    Raises:
      ValueError: an argument is out of range, or `peak_value` is missing although there is a
        warm-up.

    Reference: Loshchilov & Hutter 2017, arXiv 1608.03983; Keras's `CosineDecay`.

    >>> lr = cosine_decay(0.0, decay_steps=100, peak_value=0.1, warmup_steps=10)
    >>> print(f"{lr(5):.2f} {lr(10):.2f} {lr(60):.2f} {lr(110):.2f}")
    0.05 0.10 0.05 0.00
    """
    init_value = number("init_value", init_value, "(-inf, inf)")
    decay_steps = steps("decay_steps", decay_steps)
    alpha = number("alpha", alpha, "(-inf, inf)")
    warmup_steps = steps("warmup_steps", warmup_steps, minimum=0)
    if peak_value is None and warmup_steps > 0:
        raise ValueError(
            f"cosine_decay needs peak_value for a warm-up: warmup_steps is {warmup_steps}"
        )
    if peak_value is None:
        return cosine(init_value, alpha * init_value, decay_steps)
    peak_value = number("peak_value", peak_value, "(-inf, inf)")
    return join(
        [
            linear(init_value, peak_value, max(warmup_steps, 1)),
            cosine(peak_value, alpha * peak_value, decay_steps),
        ],
        [warmup_steps],
    )


def cosine_restarts(
    init_value: Scalar,
    first_decay_steps: int,
    t_mul: float = 2.0,
    m_mul: Scalar = 1.0,
    alpha: Scalar = 0.0,
) -> Schedule:
    r"""Cosine decay with warm restarts; the cycles may grow longer and lower.

    .. math::
        lr(t) = init\_value\,\Big(\alpha + (1 - \alpha)\, m\_mul^{\,i}\,
            \frac{1 + \cos(\pi\,(t - t_i) / T_i)}{2}\Big), \qquad
        T_i = first\_decay\_steps \cdot t\_mul^{\,i}, \quad t_{i+1} = t_i + T_i

    where i is the cycle that contains t. The restart is at the first whole t that is not before
    :math:`t_i`.

    Args:
      init_value: the learning rate at t = 0.
      first_decay_steps: the number of updates in the first cycle.
      t_mul: the ratio of a cycle's length to the one before it, 1 or at least 1.001. It must be a
        Python number, because it determines where the restarts are. Default 2 (Keras).
      m_mul: the ratio of a cycle's height to the one before it, nonnegative; default 1 (Keras).
      alpha: the value at the end of a cycle as a fraction of `init_value`; default 0 (Keras).

    Raises:
      ValueError: an argument is out of range.

    Reference: Loshchilov & Hutter 2017, arXiv 1608.03983; Keras's `CosineDecayRestarts`.

    >>> lr = cosine_restarts(0.1, first_decay_steps=10, m_mul=0.5)
    >>> print(f"{lr(5):.3f} {lr(10):.3f} {lr(20):.3f} {lr(30):.3f}")
    0.050 0.050 0.025 0.025
    """
    init_value = number("init_value", init_value, "(-inf, inf)")
    first_decay_steps = steps("first_decay_steps", first_decay_steps)
    t_mul = float(number("t_mul", t_mul, "[1, inf)"))
    m_mul = number("m_mul", m_mul, "[0, inf)")
    alpha = number("alpha", alpha, "(-inf, inf)")
    if 1 < t_mul < 1.001:
        raise ValueError(f"t_mul must be 1 or at least 1.001, got {t_mul}")
    locate = (
        _cycles_of_equal_length(first_decay_steps)
        if t_mul == 1
        else _cycles_of_growing_length(first_decay_steps, t_mul)
    )

    def schedule(count):
        cycle, passed, to_go = locate(as_count(count))
        height, falling = geometric(m_mul, cycle), rise(to_go)
        below = rise(passed) + falling * (1 - height)
        return init_value * (height * falling + alpha * below)

    return schedule


def one_cycle(
    transition_steps: int,
    peak_value: Scalar,
    pct_start: float = 0.3,
    div_factor: Scalar = 25.0,
    final_div_factor: Scalar = 1e4,
) -> Schedule:
    r"""The one-cycle policy: cosine increase to a peak, then cosine decay to almost 0.

    .. math::
        \frac{peak\_value}{div\_factor} \;\to\; peak\_value \;\to\;
        \frac{peak\_value}{div\_factor \cdot final\_div\_factor}

    at t = 0, at :math:`t = \lfloor pct\_start \cdot transition\_steps \rfloor`, and from
    t = `transition_steps` on. In PyTorch's `OneCycleLR`, the peak and the end are one update
    earlier, at pct_start·total_steps − 1 and total_steps − 1.

    Args:
      transition_steps: the number of updates in the whole cycle.
      peak_value: the learning rate at the peak.
      pct_start: the fraction of the steps before the peak, in [0, 1]. It must be a Python number,
        because it determines where the peak is. The peak is at least one update before the end.
        Default 0.3 (as in Optax and PyTorch).
      div_factor: the ratio of the peak to the first value, positive; default 25 (as in Optax and
        PyTorch).
      final_div_factor: the ratio of the first to the last value, positive; default 1e4 (as in Optax
        and PyTorch).

    Raises:
      ValueError: an argument is out of range.

    Reference: Smith & Topin 2018, arXiv 1708.07120.

    >>> lr = one_cycle(100, peak_value=1.0)
    >>> print(f"{lr(0):.2f} {lr(30):.2f} {lr(65):.2f} {lr(100):.6f}")
    0.04 1.00 0.50 0.000004
    """
    # We do not call optax.cosine_onecycle_schedule: its int(0.29 * 100) puts the peak at 28 instead
    # of 29, and it mixes bool and float32, which strict dtype promotion rejects.
    transition_steps = steps("transition_steps", transition_steps)
    peak_value = number("peak_value", peak_value, "(-inf, inf)")
    pct_start = float(number("pct_start", pct_start, "[0, 1]"))
    div_factor = number("div_factor", div_factor, "(0, inf)")
    final_div_factor = number("final_div_factor", final_div_factor, "(0, inf)")
    peak_step = math.floor(pct_start * transition_steps * (1 + 1e-12))  # 29, not 28.999999999999996
    peak_step = min(peak_step, transition_steps - 1)
    init_value = peak_value / div_factor

    up = cosine(init_value, peak_value, max(peak_step, 1))
    down = cosine(peak_value, init_value / final_div_factor, transition_steps - peak_step)
    return join([up, down], [peak_step])


def _cycles_of_equal_length(length: int):
    def locate(count):
        cycle, past = periods(count, length)
        return cycle, as_float(past) / float(length), left(past, length)

    return locate


def _cycles_of_growing_length(first_length: int, growth: float):
    """Returns a function from a count to its cycle and that cycle's completed and remaining parts.

    The function looks the cycle up in a table.
    """
    starts, lengths = [0.0], [float(first_length)]
    while starts[-1] + lengths[-1] <= LAST_COUNT:
        starts.append(starts[-1] + lengths[-1])
        lengths.append(first_length * growth ** len(lengths))
    ends = np.add(starts, lengths)
    # With growth 3.2, 25 + 80 + 256 becomes 361.00000000000006; the margin keeps the restart at
    # 361.
    first = np.ceil(np.array(starts) * (1 - 1e-12))
    last = np.minimum(np.ceil(ends * (1 - 1e-12)) - 1, LAST_COUNT)
    before, after = np.maximum(first - starts, 0), np.maximum(ends - last, 0)

    def locate(count):
        firsts, lasts = jnp.asarray(first, count.dtype), jnp.asarray(last, count.dtype)
        cycle = jnp.searchsorted(firsts, count, side="right", method="compare_all") - 1
        passed = as_float(count - firsts[cycle]) + as_float(before)[cycle]
        to_go = as_float(lasts[cycle] - count) + as_float(after)[cycle]
        length = as_float(lengths)[cycle]
        return cycle, passed / length, to_go / length

    return locate
