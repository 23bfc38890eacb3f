"""Adam and its variants, from `keras.optimizers`."""

import optax

from adaptive_jax.algebra import chain
from adaptive_jax.methods.adam import scale_by_adam
from adaptive_jax.methods.adamax import scale_by_adamax
from adaptive_jax.methods.amsgrad import scale_by_amsgrad
from adaptive_jax.methods.lion import scale_by_lion
from adaptive_jax.methods.nadam import scale_by_nadam
from adaptive_jax.presets.keras.constructor import constructor, optimizer
from adaptive_jax.stages.decay import add_decayed_weights
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.stages.trust_ratio import scale_by_trust_ratio
from adaptive_jax.typing import Scalar, ScalarOrSchedule
from adaptive_jax.wrappers.schedule_free import schedule_free_adamw


@optimizer
def Adam(
    learning_rate: ScalarOrSchedule = 0.001,
    beta_1: Scalar = 0.9,
    beta_2: Scalar = 0.999,
    epsilon: Scalar = 1e-7,
    amsgrad: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.Adam`: epsilon is added to the uncorrected root (the "epsilon hat").

    It is otherwise `adaptive_jax.adam`, or `adaptive_jax.amsgrad` with `amsgrad`.

    >>> tx = Adam(learning_rate=0.1, epsilon=1.0)
    >>> print(f"{tx.update(1.0, tx.init(0.0))[0]:.4f}")  # 0.1 √0.001 / (√0.001 + 1)
    -0.0031
    """
    return chain(
        scale_by_adam_or_amsgrad(beta_1, beta_2, epsilon, amsgrad),
        scale_by_learning_rate(learning_rate),
    )


@optimizer
def AdamW(
    learning_rate: ScalarOrSchedule = 0.001,
    weight_decay: Scalar = 0.004,
    beta_1: Scalar = 0.9,
    beta_2: Scalar = 0.999,
    epsilon: Scalar = 1e-7,
    amsgrad: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.AdamW`: `Adam` with a default weight decay.

    It is otherwise `adaptive_jax.adamw`; `amsgrad` is as in `Adam`.

    >>> tx = AdamW(learning_rate=0.1, weight_decay=0.5)
    >>> print(f"{tx.update(1.0, tx.init(2.0), 2.0)[0]:.3f}")
    -0.200
    """
    return chain(
        scale_by_adam_or_amsgrad(beta_1, beta_2, epsilon, amsgrad),
        add_decayed_weights(weight_decay),
        scale_by_learning_rate(learning_rate),
    )


def scale_by_adam_or_amsgrad(beta_1, beta_2, epsilon, amsgrad):
    """Adam's transformation or AMSGrad's, with Keras's epsilon."""
    scale_by = scale_by_amsgrad if amsgrad else scale_by_adam
    return scale_by(beta_1, beta_2, eps=0.0, eps_hat=epsilon)


@constructor(beta_2="[0, 1]")
def Adamax(
    learning_rate: ScalarOrSchedule = 0.001,
    beta_1: Scalar = 0.9,
    beta_2: Scalar = 0.999,
    epsilon: Scalar = 1e-7,
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.Adamax`: `adaptive_jax.adamax`, with epsilon added to the maximum.

    >>> tx = Adamax(learning_rate=0.1, epsilon=4.0)
    >>> print(f"{tx.update(1.0, tx.init(0.0))[0]:.3f}")
    -0.020
    """
    return chain(
        scale_by_adamax(beta_1, beta_2, eps=epsilon),
        scale_by_learning_rate(learning_rate),
    )


@optimizer
def Nadam(
    learning_rate: ScalarOrSchedule = 0.001,
    beta_1: Scalar = 0.9,
    beta_2: Scalar = 0.999,
    epsilon: Scalar = 1e-7,
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.Nadam`: `adaptive_jax.nadam`, with momentum that rises 250 times as fast.

    It has `momentum_decay=1`; `epsilon` is added to the corrected root.

    >>> tx = Nadam(learning_rate=0.1)
    >>> print(f"{tx.update(1.0, tx.init(0.0))[0]:.3f}")
    -0.106
    """
    return chain(
        scale_by_nadam(beta_1, beta_2, epsilon, momentum_decay=1.0),
        scale_by_learning_rate(learning_rate),
    )


@optimizer
def Lamb(
    learning_rate: ScalarOrSchedule = 0.001,
    beta_1: Scalar = 0.9,
    beta_2: Scalar = 0.999,
    epsilon: Scalar = 1e-7,
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.Lamb`: `adaptive_jax.lamb`, with the decay outside the trust ratio.

    `epsilon` is added to the corrected root.

    >>> tx = Lamb(learning_rate=0.1)
    >>> print(f"{tx.update(1.0, tx.init(5.0), 5.0)[0]:.3f}")
    -0.500
    """
    return chain(
        scale_by_adam(beta_1, beta_2, epsilon),
        scale_by_trust_ratio(),
        scale_by_learning_rate(learning_rate),
    )


@constructor(beta_1="[0, 1]", beta_2="[0, 1]")
def Lion(
    learning_rate: ScalarOrSchedule = 0.001, beta_1: Scalar = 0.9, beta_2: Scalar = 0.99
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.Lion`: `adaptive_jax.lion`.

    >>> tx = Lion(learning_rate=0.1)
    >>> print(tx.update(5.0, tx.init(0.0))[0])
    -0.1
    """
    return chain(
        scale_by_lion(beta_1, beta_2),
        scale_by_learning_rate(learning_rate),
    )


@constructor(beta_1="(0, 1]")
def ScheduleFreeAdamW(
    learning_rate: ScalarOrSchedule = 0.0025,
    beta_1: Scalar = 0.9,
    beta_2: Scalar = 0.999,
    epsilon: Scalar = 1e-8,
    warmup_steps: int = 0,
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.ScheduleFreeAdamW`: `schedule_free_adamw` with equal weights.

    Equal weights are `weight_lr_power=0`. `beta_2` and `epsilon` are `b2` and `eps`.
    `schedule_free_params(state, params)` returns the parameters to evaluate at, which Keras does
    not provide.

    Args:
      beta_1: `b1`, positive.
      warmup_steps: as in `schedule_free_adamw`.

    >>> tx = ScheduleFreeAdamW(learning_rate=0.1, warmup_steps=2)
    >>> print(f"{tx.update(1.0, tx.init(0.0), 0.0)[0]:.3f}")
    -0.050
    """
    return schedule_free_adamw(
        learning_rate, beta_1, beta_2, epsilon, warmup_steps=warmup_steps, weight_lr_power=0.0
    )
