"""Gradient descent, Adagrad and related methods, and FTRL, from `keras.optimizers`."""

import jax.numpy as jnp
import optax

from adaptive_jax.algebra import chain
from adaptive_jax.methods.adadelta import scale_by_adadelta
from adaptive_jax.methods.adagrad import scale_by_adagrad
from adaptive_jax.methods.ftrl import ftrl_proximal
from adaptive_jax.methods.rmsprop import scale_by_rms
from adaptive_jax.presets.arguments import is_zero
from adaptive_jax.presets.keras.constructor import constructor, optimizer
from adaptive_jax.presets.scheduled import scheduled
from adaptive_jax.stages import moments
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import Scalar, ScalarOrSchedule
from adaptive_jax.validation import number


@optimizer
def SGD(
    learning_rate: ScalarOrSchedule = 0.01, momentum: Scalar = 0.0, nesterov: bool = False
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.SGD`: momentum accumulates steps, which include the learning rate.

    It is otherwise `adaptive_jax.sgd`; a `momentum` of 0 means none.

    >>> tx = SGD(learning_rate=0.1, momentum=0.9, clipvalue=1.0)
    >>> print(tx.update(5.0, tx.init(0.0))[0])
    -0.1
    """
    rate = scale_by_learning_rate(learning_rate)
    if is_zero(momentum):
        return rate
    return chain(rate, moments.momentum(momentum, nesterov))


@optimizer
def RMSprop(
    learning_rate: ScalarOrSchedule = 0.001,
    rho: Scalar = 0.9,
    momentum: Scalar = 0.0,
    epsilon: Scalar = 1e-7,
    centered: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.RMSprop`: epsilon inside the root, the learning rate before momentum.

    It is otherwise `adaptive_jax.rmsprop`, with `rho` as `decay`; a `momentum` of 0 means none.

    >>> tx = RMSprop(learning_rate=0.01, rho=0.75)
    >>> print(f"{tx.update(5.0, tx.init(0.0))[0]:.3f}")
    -0.020
    """
    rate = scale_by_learning_rate(learning_rate)
    trace = [] if is_zero(momentum) else [moments.momentum(momentum)]
    scale = scale_by_rms(rho, eps=0.0, eps_root=epsilon, centered=centered)
    return chain(scale, rate, *trace)


@constructor(epsilon="(0, inf)")
def Adadelta(
    learning_rate: ScalarOrSchedule = 0.001, rho: Scalar = 0.95, epsilon: Scalar = 1e-7
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.Adadelta`: `adaptive_jax.adadelta`; the paper's learning rate is 1.

    `epsilon` is `eps`, which is 1e-6 in the paper.

    >>> tx = Adadelta(learning_rate=1.0)
    >>> print(f"{tx.update(5.0, tx.init(0.0))[0]:.5f}")
    -0.00141
    """
    return chain(
        scale_by_adadelta(rho, epsilon),
        scale_by_learning_rate(learning_rate),
    )


@optimizer
def Adagrad(
    learning_rate: ScalarOrSchedule = 0.001,
    initial_accumulator_value: Scalar = 0.1,
    epsilon: Scalar = 1e-7,
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.Adagrad`: epsilon is inside the root, and the sum starts at 0.1.

    It is otherwise `adaptive_jax.adagrad`, with `initial_accumulator_value` as
    `initial_accumulator`.

    >>> tx = Adagrad(learning_rate=0.1, initial_accumulator_value=3.0)
    >>> print(f"{tx.update(1.0, tx.init(0.0))[0]:.3f}")
    -0.050
    """
    return chain(
        scale_by_adagrad(initial_accumulator_value, eps=0.0, eps_root=epsilon),
        scale_by_learning_rate(learning_rate),
    )


@constructor(learning_rate="(0, inf)")
def Ftrl(
    learning_rate: ScalarOrSchedule = 0.001,
    learning_rate_power: Scalar = -0.5,
    initial_accumulator_value: Scalar = 0.1,
    l1_regularization_strength: Scalar = 0.0,
    l2_regularization_strength: Scalar = 0.0,
    l2_shrinkage_regularization_strength: Scalar = 0.0,
    beta: Scalar = 0.0,
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.Ftrl`: `adaptive_jax.ftrl` with half the paper's L2 strengths.

    Args:
      learning_rate: positive. The accumulated sums are divided by the current value of a schedule,
        so a falling schedule pulls the parameters towards 0.
      learning_rate_power, beta: as in `ftrl_proximal`.
      initial_accumulator_value: `initial_accumulator` of `ftrl_proximal`.
      l1_regularization_strength: `l1` of `ftrl_proximal`.
      l2_regularization_strength, l2_shrinkage_regularization_strength: half of `l2` and
        `l2_shrinkage` of `ftrl_proximal`.

    >>> tx = Ftrl(learning_rate=0.1, initial_accumulator_value=0.0, l1_regularization_strength=1.0)
    >>> print(f"{tx.update(4.0, tx.init(0.0), 0.0)[0]:.3f}")
    -0.075
    """

    def at_rate(rate):
        rate = number("learning_rate", rate, "(0, inf)")
        tx = ftrl_proximal(
            rate,
            learning_rate_power,
            initial_accumulator_value,
            l1_regularization_strength,
            2 * l2_regularization_strength,
            2 * l2_shrinkage_regularization_strength,
            beta,
        )

        def update(updates, state, params=None, **extra):
            # Keras uses the current rate for the last step, too.
            per_rate = jnp.asarray(1 / rate, state.per_rate.dtype)
            return tx.update(updates, state._replace(per_rate=per_rate), params, **extra)

        return optax.GradientTransformationExtraArgs(tx.init, update)

    return scheduled(at_rate, learning_rate)
