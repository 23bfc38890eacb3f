"""The schedules of `keras.optimizers.schedules`: this library's, under Keras's argument names.

`initial_learning_rate` is our `init_value`. `name`, which names a scope of a TensorFlow graph, is
accepted and ignored. Each schedule raises a ValueError for a value out of range, and a TypeError
for an argument that Keras does not have.
"""

import typing
from collections.abc import Sequence

from adaptive_jax import schedules
from adaptive_jax.presets.arguments import explain_missing as _explain_missing
from adaptive_jax.presets.arguments import verbatim
from adaptive_jax.typing import Scalar, Schedule

_schedule = verbatim(
    "presets.keras.schedules",
    {
        "initial_learning_rate": "(-inf, inf)",
        "end_learning_rate": "(-inf, inf)",
        "warmup_target": "(-inf, inf)",
        "decay_rate": "[0, inf)",
        "power": "[0, inf)",
        "alpha": "(-inf, inf)",
        "t_mul": "[1, inf)",
        "m_mul": "[0, inf)",
    },
)


@_schedule
def ExponentialDecay(
    initial_learning_rate: Scalar,
    decay_steps: int,
    decay_rate: Scalar,
    staircase: bool = False,
    name: str = "ExponentialDecay",
) -> Schedule:
    """`schedules.exponential_decay`; its `transition_steps` is `decay_steps`.

    >>> lr = ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5, staircase=True)
    >>> print(lr(9), lr(10))
    0.1 0.05
    """
    return schedules.exponential_decay(
        initial_learning_rate, decay_steps, decay_rate, staircase=staircase
    )


@_schedule
def PiecewiseConstantDecay(
    boundaries: Sequence[int], values: Sequence[Scalar], name: str = "PiecewiseConstant"
) -> Schedule:
    """`schedules.piecewise_constant`: a boundary still has the value before it.

    >>> lr = PiecewiseConstantDecay(boundaries=[100, 200], values=[0.1, 0.01, 0.001])
    >>> print(lr(100), lr(101))
    0.1 0.01
    """
    return schedules.piecewise_constant(boundaries, values)


@_schedule
def PolynomialDecay(
    initial_learning_rate: Scalar,
    decay_steps: int,
    end_learning_rate: Scalar = 1e-4,
    power: Scalar = 1.0,
    cycle: bool = False,
    name: str = "PolynomialDecay",
) -> Schedule:
    """`schedules.polynomial_decay`; its `end_value` is `end_learning_rate`.

    >>> lr = PolynomialDecay(0.1, decay_steps=10, end_learning_rate=0.02, power=2.0)
    >>> print(f"{lr(5):.2f} {lr(20):.2f}")
    0.04 0.02
    """
    return schedules.polynomial_decay(
        initial_learning_rate, decay_steps, end_learning_rate, power, cycle=cycle
    )


@_schedule
def InverseTimeDecay(
    initial_learning_rate: Scalar,
    decay_steps: int,
    decay_rate: Scalar,
    staircase: bool = False,
    name: str = "InverseTimeDecay",
) -> Schedule:
    """`schedules.inverse_time_decay`; its `transition_steps` is `decay_steps`.

    >>> lr = InverseTimeDecay(0.1, decay_steps=10, decay_rate=1.0)
    >>> print(lr(10), lr(30))
    0.05 0.025
    """
    return schedules.inverse_time_decay(
        initial_learning_rate, decay_steps, decay_rate, staircase=staircase
    )


@_schedule
def CosineDecay(
    initial_learning_rate: Scalar,
    decay_steps: int,
    alpha: Scalar = 0.0,
    name: str = "CosineDecay",
    warmup_target: Scalar | None = None,
    warmup_steps: int = 0,
) -> Schedule:
    """`schedules.cosine_decay`; its `peak_value` is `warmup_target`.

    Without a `warmup_target` there is no warm-up.

    >>> lr = CosineDecay(0.0, decay_steps=100, warmup_target=0.1, warmup_steps=10)
    >>> print(f"{lr(5):.2f} {lr(10):.2f} {lr(60):.2f} {lr(110):.2f}")
    0.05 0.10 0.05 0.00
    """
    if warmup_target is None:
        return schedules.cosine_decay(initial_learning_rate, decay_steps, alpha)
    if warmup_steps == 0:
        return schedules.cosine_decay(warmup_target, decay_steps, alpha)
    return schedules.cosine_decay(
        initial_learning_rate, decay_steps, alpha, warmup_target, warmup_steps
    )


@_schedule
def CosineDecayRestarts(
    initial_learning_rate: Scalar,
    first_decay_steps: int,
    t_mul: float = 2.0,
    m_mul: Scalar = 1.0,
    alpha: Scalar = 0.0,
    name: str = "SGDRDecay",
) -> Schedule:
    """`schedules.cosine_restarts`.

    >>> lr = CosineDecayRestarts(0.1, first_decay_steps=10, m_mul=0.5)
    >>> print(f"{lr(5):.3f} {lr(10):.3f} {lr(20):.3f}")
    0.050 0.050 0.025
    """
    return schedules.cosine_restarts(initial_learning_rate, first_decay_steps, t_mul, m_mul, alpha)


if not typing.TYPE_CHECKING:  # with __getattr__, a type checker would accept every name

    def __getattr__(name):
        known = [key for key in globals() if key[0].isupper()]
        raise _explain_missing("adaptive_jax.presets.keras.schedules", name, known, {})
