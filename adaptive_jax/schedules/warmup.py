"""Schedules with a warm-up: linear warm-up, inverse square root, warmup-stable-decay."""

import jax.numpy as jnp

from adaptive_jax import numerics
from adaptive_jax.schedules.pieces import as_count, as_float, blend, completed, join, left, linear
from adaptive_jax.typing import Scalar, ScalarOrSchedule, Schedule
from adaptive_jax.validation import number, number_or_schedule, steps


def linear_warmup(peak_value: ScalarOrSchedule, warmup_steps: int) -> Schedule:
    r"""Linear warm-up: :math:`peak\_value\,\min(1, (t + 1) / warmup\_steps)`.

    The first update has 1/warmup_steps of the peak rather than 0, and update number `warmup_steps`
    has all of it.

    Args:
      peak_value: a number or a schedule. A schedule runs from t = 0, also during the warm-up.
      warmup_steps: the number of warm-up updates; 0 means no warm-up.

    Raises:
      ValueError: an argument is out of range.

    Reference: Goyal et al. 2017, arXiv 1706.02677.

    >>> lr = linear_warmup(0.1, warmup_steps=4)
    >>> print(f"{lr(0):.3f} {lr(1):.3f} {lr(3):.3f} {lr(9):.3f}")
    0.025 0.050 0.100 0.100
    """
    peak_value = number_or_schedule("peak_value", peak_value, "(-inf, inf)")
    warmup_steps = steps("warmup_steps", warmup_steps, minimum=0)

    def schedule(count):
        now = numerics.at_step(peak_value, count)
        update = as_float(as_count(count)) + 1
        return now * jnp.minimum(update / float(max(warmup_steps, 1)), 1)

    return schedule


def inverse_sqrt(init_value: Scalar, peak_value: Scalar, warmup_steps: int) -> Schedule:
    r"""Inverse-square-root decay after a linear warm-up.

    .. math::
        lr(t) = peak\_value\,\sqrt{warmup\_steps / t} \quad\text{for } t \ge warmup\_steps

    During the warm-up, the rate changes linearly from `init_value` to `peak_value`. The
    transformer's schedule ("Noam") has an `init_value` of 0 and a `peak_value` of
    1/√(d·warmup_steps) for model dimension d. It counts updates from 1, so pass
    `lambda count: schedule(count + 1)`. T5's schedule has `init_value` = `peak_value` =
    1/√warmup_steps: it is constant at first.

    Args:
      init_value: the learning rate at t = 0.
      peak_value: the learning rate at t = `warmup_steps`.
      warmup_steps: the number of warm-up updates, at least 1.

    Raises:
      ValueError: an argument is out of range.

    Reference: Vaswani et al. 2017, arXiv 1706.03762, section 5.3; for T5, Raffel et al. 2020,
    arXiv 1910.10683, section 3.1.2.

    >>> lr = inverse_sqrt(0.0, peak_value=0.1, warmup_steps=100)
    >>> print(f"{lr(50):.3f} {lr(100):.3f} {lr(400):.3f}")
    0.050 0.100 0.050
    """
    init_value = number("init_value", init_value, "(-inf, inf)")
    peak_value = number("peak_value", peak_value, "(-inf, inf)")
    warmup_steps = steps("warmup_steps", warmup_steps)

    def fall(count):
        return peak_value * jnp.sqrt(warmup_steps / (as_float(count) + warmup_steps))

    return join([linear(init_value, peak_value, warmup_steps), fall], [warmup_steps])


def warmup_stable_decay(
    init_value: Scalar,
    peak_value: Scalar,
    warmup_steps: int,
    stable_steps: int,
    decay_steps: int,
    end_value: Scalar = 0.0,
    decay: str = "1-sqrt",
) -> Schedule:
    r"""Warmup-stable-decay (WSD): linear warm-up, a constant rate, then decay to `end_value`.

    .. math::
        lr(t) = end\_value + (peak\_value - end\_value)\, f\Big(
            \frac{t - warmup\_steps - stable\_steps}{decay\_steps}\Big), \qquad
        f(x) = 1 - \sqrt{x} \;\text{ or }\; 1 - x

    during the decay, and constant afterwards.

    Args:
      init_value: the learning rate at t = 0.
      peak_value: the learning rate between warm-up and decay.
      warmup_steps: the number of warm-up updates, may be 0.
      stable_steps: the number of updates at the peak, may be 0.
      decay_steps: the number of updates in the decay, at least 1.
      end_value: the final learning rate; default 0.
      decay: `"1-sqrt"` (default; Hägele et al. found it better) or `"linear"`.

    Raises:
      ValueError: an argument is out of range.

    Reference: Hu et al. 2024, arXiv 2404.06395; for 1-sqrt, Hägele et al. 2024,
    arXiv 2405.18392.

    >>> lr = warmup_stable_decay(0.0, 0.1, warmup_steps=10, stable_steps=70, decay_steps=20)
    >>> print(f"{lr(5):.3f} {lr(10):.3f} {lr(80):.3f} {lr(85):.3f} {lr(100):.3f}")
    0.050 0.100 0.100 0.050 0.000
    """
    init_value = number("init_value", init_value, "(-inf, inf)")
    peak_value = number("peak_value", peak_value, "(-inf, inf)")
    warmup_steps = steps("warmup_steps", warmup_steps, minimum=0)
    stable_steps = steps("stable_steps", stable_steps, minimum=0)
    decay_steps = steps("decay_steps", decay_steps)
    end_value = number("end_value", end_value, "(-inf, inf)")
    if decay not in ("1-sqrt", "linear"):
        raise ValueError(f"decay must be '1-sqrt' or 'linear', got {decay!r}")

    def one_minus_sqrt(count):
        root = jnp.sqrt(completed(count, decay_steps))
        height = left(count, decay_steps) / (1 + root)  # 1 − root without a subtraction
        return blend(peak_value, end_value, height, root)

    return join(
        [
            linear(init_value, peak_value, max(warmup_steps, 1)),
            lambda count: as_float(peak_value),
            linear(peak_value, end_value, decay_steps) if decay == "linear" else one_minus_sqrt,
        ],
        [warmup_steps, warmup_steps + stable_steps],
    )
