"""The optimizers of `keras.optimizers`: see `adaptive_jax.presets.keras` for what they share."""

import functools
import inspect
import math
import re
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import optimizers, transforms
from adaptive_jax.presets.arguments import is_zero, verbatim
from adaptive_jax.presets.keras.wrapping import (
    accumulate,
    average_parameters,
    decay_first,
    in_full_precision,
)
from adaptive_jax.presets.scheduled import scheduled
from adaptive_jax.typing import Scalar, ScalarOrSchedule
from adaptive_jax.validation import steps

_INTERVALS = {
    "learning_rate": "[0, inf)",
    "beta_1": "[0, 1)",
    "beta_2": "[0, 1)",
    "rho": "[0, 1)",
    "epsilon": "[0, inf)",
    "momentum": "[0, 1]",
    "initial_accumulator_value": "[0, inf)",
    "beta_2_decay": "(-inf, 0]",
    "epsilon_1": "[0, inf)",
    "epsilon_2": "[0, inf)",
    "clip_threshold": "(0, inf)",
    "adam_beta_1": "[0, 1)",
    "adam_beta_2": "[0, 1)",
    "adam_weight_decay": "[0, inf)",
    "adam_lr_ratio": "[0, inf)",
    "rms_rate": "[0, inf)",
    "learning_rate_power": "(-inf, 0]",
    "l1_regularization_strength": "[0, inf)",
    "l2_regularization_strength": "[0, inf)",
    "l2_shrinkage_regularization_strength": "[0, inf)",
    "beta": "[0, inf)",
    "weight_decay": "[0, inf)",
    "clipnorm": "[0, inf)",
    "clipvalue": "[0, inf)",
    "global_clipnorm": "[0, inf)",
    "ema_momentum": "[0, 1]",
    "loss_scale_factor": "(0, inf)",
}


def _base(
    weight_decay: Scalar | None = None,
    clipnorm: Scalar | None = None,
    clipvalue: Scalar | None = None,
    global_clipnorm: Scalar | None = None,
    use_ema: bool = False,
    ema_momentum: Scalar = 0.99,
    ema_overwrite_frequency: int | None = None,
    loss_scale_factor: Scalar | None = None,
    gradient_accumulation_steps: int | None = None,
    name: str | None = None,
):
    """The arguments of Keras's base class, in its order."""


_COMMON = inspect.signature(_base).parameters


def _optimizer(function):
    """Gives a method the arguments of Keras's base class, and does what they say.

    They follow the method's own and stand before its keyword-only ones, as in Keras. A method
    with a `weight_decay` of its own decays by itself.
    """
    own = inspect.signature(function).parameters
    positional = [p for p in own.values() if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    last = [p.replace(kind=positional[0].kind) for p in own.values() if p not in positional]
    common = [p for p in _COMMON.values() if p.name not in own]

    @functools.wraps(function)
    def build(learning_rate, **arguments):
        options = {p.name: arguments.pop(p.name) for p in common}
        every = options["gradient_accumulation_steps"]
        every = steps("gradient_accumulation_steps", every, minimum=2) if every else 1
        rate = _at_last_of(every, learning_rate)
        return _wrapped(function(rate, **arguments), rate, every, **options)

    build.__signature__ = inspect.Signature([*positional, *common, *last])
    return verbatim(
        "presets.keras",
        _INTERVALS,
        schedules=("learning_rate",),
        optional=("weight_decay", "adam_weight_decay", "rms_rate"),
        hints={
            "decay": "Keras 3 has dropped it; its rate is "
            "schedules.InverseTimeDecay(learning_rate, decay_steps=1, decay_rate=decay)"
        },
        first="expected the learning rate, a number or a schedule",
    )(build)


def _wrapped(
    tx,
    learning_rate,
    every,
    *,
    clipnorm,
    clipvalue,
    global_clipnorm,
    use_ema,
    ema_momentum,
    ema_overwrite_frequency,
    loss_scale_factor,
    weight_decay=None,
    **ignored,
):
    """What Keras's base class does around an optimizer, from the inside out."""
    bare = tx
    if weight_decay is not None and not is_zero(weight_decay):
        tx = decay_first(tx, learning_rate, weight_decay)
    clipping = _clipping(clipnorm, clipvalue, global_clipnorm)
    if clipping:
        tx = transforms.chain(*clipping, tx)
    if every > 1:
        tx = accumulate(tx, every)
    if loss_scale_factor is not None:
        tx = optax.chain(optax.scale(1 / loss_scale_factor), tx)
    if use_ema:
        if ema_overwrite_frequency is not None:
            steps("ema_overwrite_frequency", ema_overwrite_frequency)
        tx = optax.chain(tx, average_parameters(ema_momentum, ema_overwrite_frequency, every))
    return tx if tx is bare else in_full_precision(tx)


def _clipping(clipnorm, clipvalue, global_clipnorm):
    given = {
        transforms.clip_by_norm: clipnorm,
        transforms.clip_by_value: clipvalue,
        transforms.clip_by_global_norm: global_clipnorm,
    }
    if sum(limit is not None for limit in given.values()) > 1:
        raise ValueError(
            "Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set, got "
            f"clipnorm={clipnorm}, clipvalue={clipvalue}, global_clipnorm={global_clipnorm}"
        )
    return [
        clip(limit) for clip, limit in given.items() if limit is not None and not is_zero(limit)
    ]


def _at_last_of(every, learning_rate):
    """A schedule of all calls, as one of the updates, each of which is the last of so many."""
    if every == 1 or not callable(learning_rate):
        return learning_rate
    return lambda count: learning_rate(count * every + every - 1)


@_optimizer
def SGD(
    learning_rate: ScalarOrSchedule = 0.01, momentum: Scalar = 0.0, nesterov: bool = False
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.SGD`: the momentum is of steps, with the learning rate inside.

    >>> tx = SGD(learning_rate=0.1, momentum=0.9, clipvalue=1.0)
    >>> print(tx.update(5.0, tx.init(0.0))[0])
    -0.1
    """
    rate = transforms.scale_by_learning_rate(learning_rate)
    if is_zero(momentum):
        return rate
    return transforms.chain(rate, transforms.momentum(momentum, nesterov))


@_optimizer
def RMSprop(
    learning_rate: ScalarOrSchedule = 0.001,
    rho: Scalar = 0.9,
    momentum: Scalar = 0.0,
    epsilon: Scalar = 1e-7,
    centered: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.RMSprop`: epsilon under the root, the learning rate in the momentum.

    >>> tx = RMSprop(learning_rate=0.01, rho=0.75)
    >>> print(f"{tx.update(5.0, tx.init(0.0))[0]:.3f}")
    -0.020
    """
    rate = transforms.scale_by_learning_rate(learning_rate)
    trace = [] if is_zero(momentum) else [transforms.momentum(momentum)]
    scale = transforms.scale_by_rms(rho, eps=0.0, eps_root=epsilon, centered=centered)
    return transforms.chain(scale, rate, *trace)


@_optimizer
def Adam(
    learning_rate: ScalarOrSchedule = 0.001,
    beta_1: Scalar = 0.9,
    beta_2: Scalar = 0.999,
    epsilon: Scalar = 1e-7,
    amsgrad: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.Adam`: epsilon at the uncorrected root, the paper's "epsilon hat".

    >>> tx = Adam(learning_rate=0.1, epsilon=1.0)
    >>> print(f"{tx.update(1.0, tx.init(0.0))[0]:.4f}")  # 0.1 √0.001 / (√0.001 + 1)
    -0.0031
    """
    return transforms.chain(
        _scale_by_adam(beta_1, beta_2, epsilon, amsgrad),
        transforms.scale_by_learning_rate(learning_rate),
    )


@_optimizer
def AdamW(
    learning_rate: ScalarOrSchedule = 0.001,
    weight_decay: Scalar = 0.004,
    beta_1: Scalar = 0.9,
    beta_2: Scalar = 0.999,
    epsilon: Scalar = 1e-7,
    amsgrad: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.AdamW`: `Adam` with a weight decay to begin with.

    >>> tx = AdamW(learning_rate=0.1, weight_decay=0.5)
    >>> print(f"{tx.update(1.0, tx.init(2.0), 2.0)[0]:.3f}")
    -0.200
    """
    return transforms.chain(
        _scale_by_adam(beta_1, beta_2, epsilon, amsgrad),
        transforms.add_decayed_weights(weight_decay),
        transforms.scale_by_learning_rate(learning_rate),
    )


def _scale_by_adam(beta_1, beta_2, epsilon, amsgrad):
    scale_by = transforms.scale_by_amsgrad if amsgrad else transforms.scale_by_adam
    return scale_by(beta_1, beta_2, eps=0.0, eps_hat=epsilon)


@_optimizer
def Adadelta(
    learning_rate: ScalarOrSchedule = 0.001, rho: Scalar = 0.95, epsilon: Scalar = 1e-7
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.Adadelta`: `adaptive_jax.adadelta`; the paper's rate is 1.

    >>> tx = Adadelta(learning_rate=1.0)
    >>> print(f"{tx.update(5.0, tx.init(0.0))[0]:.5f}")
    -0.00141
    """
    return transforms.chain(
        transforms.scale_by_adadelta(rho, epsilon),
        transforms.scale_by_learning_rate(learning_rate),
    )


@_optimizer
def Adagrad(
    learning_rate: ScalarOrSchedule = 0.001,
    initial_accumulator_value: Scalar = 0.1,
    epsilon: Scalar = 1e-7,
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.Adagrad`: epsilon under the root, and a sum that starts at 0.1.

    >>> tx = Adagrad(learning_rate=0.1, initial_accumulator_value=3.0)
    >>> print(f"{tx.update(1.0, tx.init(0.0))[0]:.3f}")
    -0.050
    """
    return transforms.chain(
        transforms.scale_by_adagrad(initial_accumulator_value, eps=0.0, eps_root=epsilon),
        transforms.scale_by_learning_rate(learning_rate),
    )


@_optimizer
def Adamax(
    learning_rate: ScalarOrSchedule = 0.001,
    beta_1: Scalar = 0.9,
    beta_2: Scalar = 0.999,
    epsilon: Scalar = 1e-7,
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.Adamax`: `adaptive_jax.adamax` with epsilon added to the maximum.

    >>> tx = Adamax(learning_rate=0.1, epsilon=4.0)
    >>> print(f"{tx.update(1.0, tx.init(0.0))[0]:.3f}")
    -0.020
    """
    return transforms.chain(
        transforms.scale_by_adamax(beta_1, beta_2, eps=epsilon),
        transforms.scale_by_learning_rate(learning_rate),
    )


@_optimizer
def Nadam(
    learning_rate: ScalarOrSchedule = 0.001,
    beta_1: Scalar = 0.9,
    beta_2: Scalar = 0.999,
    epsilon: Scalar = 1e-7,
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.Nadam`: `adaptive_jax.nadam`, its momentum rising 250 times as fast.

    >>> tx = Nadam(learning_rate=0.1)
    >>> print(f"{tx.update(1.0, tx.init(0.0))[0]:.3f}")
    -0.106
    """
    return transforms.chain(
        transforms.scale_by_nadam(beta_1, beta_2, epsilon, momentum_decay=1.0),
        transforms.scale_by_learning_rate(learning_rate),
    )


@_optimizer
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
      learning_rate: positive. What parameters have gathered is divided by the current value of a
        schedule, so that a falling one pulls them towards 0.

    >>> tx = Ftrl(learning_rate=0.1, initial_accumulator_value=0.0, l1_regularization_strength=1.0)
    >>> print(f"{tx.update(4.0, tx.init(0.0), 0.0)[0]:.3f}")
    -0.075
    """
    return scheduled(
        lambda rate: transforms.ftrl_proximal(
            rate,
            learning_rate_power,
            initial_accumulator_value,
            l1_regularization_strength,
            2 * l2_regularization_strength,
            2 * l2_shrinkage_regularization_strength,
            beta,
        ),
        learning_rate,
    )


@_optimizer
def Lion(
    learning_rate: ScalarOrSchedule = 0.001, beta_1: Scalar = 0.9, beta_2: Scalar = 0.99
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.Lion`: `adaptive_jax.lion`.

    >>> tx = Lion(learning_rate=0.1)
    >>> print(tx.update(5.0, tx.init(0.0))[0])
    -0.1
    """
    return transforms.chain(
        transforms.scale_by_lion(beta_1, beta_2),
        transforms.scale_by_learning_rate(learning_rate),
    )


@_optimizer
def Lamb(
    learning_rate: ScalarOrSchedule = 0.001,
    beta_1: Scalar = 0.9,
    beta_2: Scalar = 0.999,
    epsilon: Scalar = 1e-7,
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.Lamb`: `adaptive_jax.lamb`, with the decay outside the trust ratio.

    >>> tx = Lamb(learning_rate=0.1)
    >>> print(f"{tx.update(1.0, tx.init(5.0), 5.0)[0]:.3f}")
    -0.500
    """
    return transforms.chain(
        transforms.scale_by_adam(beta_1, beta_2, epsilon),
        transforms.scale_by_trust_ratio(),
        transforms.scale_by_learning_rate(learning_rate),
    )


@_optimizer
def Adafactor(
    learning_rate: ScalarOrSchedule = 0.001,
    beta_2_decay: Scalar = -0.8,
    epsilon_1: Scalar = 1e-30,
    epsilon_2: Scalar = 1e-3,
    clip_threshold: Scalar = 1.0,
    relative_step: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.Adafactor`: `adaptive_jax.adafactor`.

    Args:
      relative_step: without effect, as in Keras, which caps the rate by 1/√t in either case.

    >>> tx = Adafactor(learning_rate=0.1)
    >>> print(f"{tx.update(1.0, tx.init(3.0), 3.0)[0]:.3f}")
    -0.300
    """
    return transforms.chain(
        transforms.scale_by_factored_rms(-beta_2_decay, epsilon_1),
        transforms.clip_by_block_rms(clip_threshold),
        transforms.scale_by_param_rms(epsilon_2),
        transforms.scale_by_learning_rate(transforms.relative_step(learning_rate)),
    )


@_optimizer
def Muon(
    learning_rate: ScalarOrSchedule = 0.001,
    adam_beta_1: Scalar = 0.9,
    adam_beta_2: Scalar = 0.999,
    adam_weight_decay: Scalar | None = 0.004,
    epsilon: Scalar = 1e-7,
    weight_decay: Scalar | None = 0.004,
    *,
    exclude_layers: Sequence[str] | None = None,
    exclude_embeddings: bool = True,
    muon_a: Scalar = 3.4445,
    muon_b: Scalar = -4.7750,
    muon_c: Scalar = 2.0315,
    adam_lr_ratio: Scalar = 1.0,
    momentum: Scalar = 0.95,
    ns_steps: int = 5,
    nesterov: bool = True,
    rms_rate: Scalar | None = 0.2,
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.Muon`: Muon for matrices, Adam for the rest, each with its own decay.

    Args:
      exclude_layers: regular expressions; matrices whose path, names joined by "/", has a match
        are for Adam.
      exclude_embeddings: those with "embedding" in their path are, too.

    >>> tx = Muon(learning_rate=0.1, weight_decay=None, adam_weight_decay=None)
    >>> params = {"kernel": jnp.eye(2), "embedding": jnp.eye(2)}
    >>> updates, _ = tx.update(params, tx.init(params), params)
    >>> print(updates["embedding"].round(3))
    [[-0.1 -0. ]
     [-0.  -0.1]]
    """
    excluded = [*(exclude_layers or ()), *(["(?i)embedding"] if exclude_embeddings else ())]

    def is_for_muon(params):
        def leaf(path, p):
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            return jnp.ndim(p) == 2 and not any(re.search(part, name) for part in excluded)

        return jax.tree_util.tree_map_with_path(leaf, params)

    def decay(rate):
        return [] if rate is None or is_zero(rate) else [transforms.add_decayed_weights(rate)]

    adjust = (
        None
        if rms_rate is None
        else lambda fan_out, fan_in: rms_rate * math.sqrt(max(fan_out, fan_in))
    )
    muon = transforms.scale_by_muon(
        momentum,
        nesterov,
        ema=False,
        coefficients=(muon_a, muon_b, muon_c),
        ns_steps=ns_steps,
        adjust=adjust,
        eps=1e-7,
    )
    adam = transforms.chain(
        _scale_by_adam(adam_beta_1, adam_beta_2, epsilon, amsgrad=False),
        optax.scale(adam_lr_ratio),
    )
    return transforms.chain(
        transforms.partition_by_mask(
            is_for_muon,
            transforms.chain(muon, *decay(weight_decay)),
            transforms.chain(adam, *decay(adam_weight_decay)),
        ),
        transforms.scale_by_learning_rate(learning_rate),
    )


@_optimizer
def ScheduleFreeAdamW(
    learning_rate: ScalarOrSchedule = 0.0025,
    beta_1: Scalar = 0.9,
    beta_2: Scalar = 0.999,
    epsilon: Scalar = 1e-8,
    warmup_steps: int = 0,
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.ScheduleFreeAdamW`: `schedule_free_adamw` with equal weights.

    `schedule_free_params(state, params)` gives the parameters to evaluate at, which Keras does
    not.

    Args:
      beta_1: positive.

    >>> tx = ScheduleFreeAdamW(learning_rate=0.1, warmup_steps=2)
    >>> print(f"{tx.update(1.0, tx.init(0.0), 0.0)[0]:.3f}")
    -0.050
    """
    return optimizers.schedule_free_adamw(
        learning_rate, beta_1, beta_2, epsilon, warmup_steps=warmup_steps, weight_lr_power=0.0
    )
