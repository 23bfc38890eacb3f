"""Bounds on learning rates per coordinate, as in AdaBound, that turn Adam into SGD."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from adaptive_jax import numerics
from adaptive_jax.algebra import ScaleModifier, constructor
from adaptive_jax.schedules.pieces import LAST_COUNT, as_count, as_float
from adaptive_jax.typing import Scalar, ScalarOrSchedule, Schedule
from adaptive_jax.validation import number, number_or_schedule

__all__ = ["BoundLrState", "adabound_bounds", "bound_lr", "convergent_bounds"]


class BoundLrState(NamedTuple):
    """State of `bound_lr`: the number of updates so far."""

    count: jax.Array


@constructor
def bound_lr(
    final_lr: Scalar | None = None,
    gamma: Scalar | None = None,
    *,
    base_lr: Scalar,
    lower: ScalarOrSchedule | None = None,
    upper: ScalarOrSchedule | None = None,
) -> ScaleModifier:
    r"""Clips the learning rate of each coordinate to bounds that converge to `final_lr`.

    .. math::
        s_t \leftarrow \mathrm{clip}(s_t,\ lower(t) / base\_lr,\ upper(t) / base\_lr)

    where :math:`s_t` is the scale of the stage before it, and the bounds are by default those of
    `adabound_bounds(final_lr, gamma)`. Put it before `scale_by_learning_rate`. Bounds then follow
    the learning rate, as in the authors' code: with a rate lr, coordinates move by lr/base_lr times
    a rate between the bounds.

    Args:
      final_lr: step size of SGD, to which both bounds converge; positive. Default None, which
        stands for 0.1 (paper).
      gamma: speed at which the bounds converge, positive. Default None, which stands for
        1e-3 (paper).
      base_lr: the learning rate for which the bounds are meant, positive: the first, undecayed
        value of the rate in `scale_by_learning_rate`. It is required.
      lower: replaces the lower bound of AdaBound, a number or a schedule, not negative. Default
        None; give it together with `upper`, and without `final_lr` and `gamma`.
      upper: replaces the upper bound likewise; positive, may be infinite. Default None.

    State: `BoundLrState` with `count` (int32).

    Raises:
      ValueError: a hyperparameter is out of range, `base_lr` is a schedule, only one of `lower` and
        `upper` is given, or they are given along with `final_lr` or `gamma`. `chain` raises it if
        the stage before this one is not a Preconditioner.

    Reference: Luo et al. 2019, arXiv 1902.09843.

    >>> import jax.numpy as jnp
    >>> from adaptive_jax import chain, scale_by_adam, scale_by_learning_rate
    >>> tx = chain(scale_by_adam(), bound_lr(final_lr=0.1, base_lr=1e-3),
    ...            scale_by_learning_rate(1e-3))
    >>> state = tx.init(jnp.zeros(()))
    >>> update, state = tx.update(jnp.array(2.0), state)
    """
    per_base_lr = 1 / number("base_lr", base_lr, "(0, inf)")
    if lower is None and upper is None:
        lower, upper = adabound_bounds(
            0.1 if final_lr is None else final_lr, 1e-3 if gamma is None else gamma
        )
    elif lower is None or upper is None:
        raise ValueError("bound_lr needs both lower and upper, or neither for AdaBound's bounds")
    elif not (final_lr is None and gamma is None):
        raise ValueError("bound_lr takes final_lr and gamma, or lower and upper, not both")
    else:
        lower = number_or_schedule("lower", lower, "[0, inf]")
        upper = number_or_schedule("upper", upper, "(0, inf]")
        if isinstance(lower, float) and isinstance(upper, float) and lower > upper:
            raise ValueError(f"lower must not exceed upper, got {lower} and {upper}")

    def init(params):
        return BoundLrState(numerics.count_zero())

    def modify(scale, state):
        low, high = (_in_units(bound, state.count, per_base_lr) for bound in (lower, upper))
        scale = jax.tree.map(
            lambda s: jnp.clip(s, jnp.asarray(low, s.dtype), jnp.asarray(high, s.dtype)), scale
        )
        return scale, BoundLrState(numerics.count_next(state.count))

    return ScaleModifier(init, modify)


def _in_units(bound, count, factor):
    """The bound times a factor.

    Bounds are not negative, but the maximum keeps XLA from first multiplying two constants, the
    last factor of a schedule and this one. Their product would round differently from the product
    with a factor that is read from a state.
    """
    bound = jnp.asarray(numerics.at_step(bound, count), jnp.result_type(float))
    return jnp.maximum(bound, 0) * factor


def adabound_bounds(final_lr: Scalar = 0.1, gamma: Scalar = 1e-3) -> tuple[Schedule, Schedule]:
    r"""The bounds of the AdaBound paper, as two schedules.

    .. math::
        lower(t) = final\_lr\,\Big(1 - \frac{1}{\gamma t + 1}\Big), \qquad
        upper(t) = final\_lr\,\Big(1 + \frac{1}{\gamma t}\Big)

    with t = 1 at the first update. They satisfy the condition of `convergent_bounds` with
    M = (1 + 2/γ) / final_lr.

    Args:
      final_lr: step size to which both bounds converge, positive. Default 0.1 (paper).
      gamma: speed at which the bounds converge, positive. Default 1e-3 (paper).

    Raises:
      ValueError: an argument is not positive.

    Reference: Luo et al. 2019, arXiv 1902.09843, section 4.

    >>> lower, upper = adabound_bounds(0.1, gamma=1e-3)
    >>> print(f"{lower(999):.4f} {upper(999):.4f}")
    0.0500 0.2000
    """
    final_lr, gamma = number("final_lr", final_lr, "(0, inf)"), number("gamma", gamma, "(0, inf)")

    def lower(count):  # x / (x + 1) rather than 1 − 1/(x + 1), which cancels for small x
        x = gamma * (as_float(count) + 1)
        return final_lr * (x / (x + 1))

    def upper(count):
        x = gamma * (as_float(count) + 1)
        return final_lr * (1 + 1 / x)

    return lower, upper


def convergent_bounds(final_lr: Scalar, m: Scalar) -> tuple[Schedule, Schedule]:
    r"""Bounds for which AdaBound converges, as two schedules symmetric in 1/lr.

    .. math::
        \frac{t}{lower(t)} - \frac{t - 1}{upper(t - 1)} \le M \quad\text{for all } t

    is Savarese's condition for a regret of order √T (with a learning rate that falls as 1/√t). It
    replaces the condition of the AdaBound paper, to which he gives a counterexample. With
    c = (M·final_lr − 1) / 2, the bounds

    .. math::
        lower(t) = final\_lr\,\frac{t}{t + c}, \qquad
        upper(t) = final\_lr\,\frac{t}{t - c}\ (t > c),\ \infty\ (t \le c)

    meet it with equality from t = c + 1 on. So c is the number of updates without an upper bound.

    Args:
      final_lr: step size to which both bounds converge, positive.
      m: the constant M, at least 1/final_lr, in units of 1/learning rate. The smaller, the closer
        to SGD.

    Raises:
      ValueError: an argument is out of range.

    Reference: Savarese 2019, arXiv 1908.04457.

    >>> lower, upper = convergent_bounds(final_lr=0.1, m=210.0)  # c = 10 updates
    >>> print(f"{lower(9):.3f} {upper(9):.3f} {upper(19):.3f}")
    0.050 inf 0.200
    """
    final_lr = number("final_lr", final_lr, "(0, inf)")
    if isinstance(final_lr, float):
        m = number("m", m, f"[{1 / final_lr}, inf)")
    c = (m * final_lr - 1) / 2

    def lower(count):
        t = as_float(count) + 1
        return final_lr * (t / (t + c))

    def upper(count):
        t = as_float(count) + 1
        past = _past(count, c)
        return jnp.where(past > 0, final_lr * (t / jnp.where(past > 0, past, 1)), jnp.inf)

    return lower, upper


def _past(count, c: Scalar):
    """`count + 1 - c`, exact where c is a Python number that float32 cannot represent."""
    if not isinstance(c, float):
        return as_float(count) + 1 - c
    whole = min(math.floor(c), LAST_COUNT)
    return as_float(as_count(count) - whole) + (whole + 1 - c)
