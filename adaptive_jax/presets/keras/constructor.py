"""The common arguments of `keras.optimizers`, which are those of their base class."""

import functools
import inspect
from collections.abc import Callable

import optax

from adaptive_jax import algebra
from adaptive_jax.algebra import chain
from adaptive_jax.presets.arguments import is_zero, verbatim, with_signature
from adaptive_jax.presets.keras.wrapping import (
    accumulate,
    average_parameters,
    decay_first,
    in_full_precision,
    unscale,
)
from adaptive_jax.stages.clipping import clip_by_global_norm, clip_by_norm, clip_by_value
from adaptive_jax.typing import Scalar
from adaptive_jax.validation import steps

_INTERVALS = {
    "learning_rate": "(-inf, inf)",
    "beta_1": "[0, 1)",
    "beta_2": "[0, 1)",
    "rho": "[0, 1]",
    "epsilon": "[0, inf)",
    "momentum": "[0, 1]",
    "initial_accumulator_value": "[0, inf)",
    "beta_2_decay": "(-inf, 0]",
    "epsilon_1": "[0, inf)",
    "epsilon_2": "[0, inf)",
    "clip_threshold": "(0, inf)",
    "adam_beta_1": "[0, 1)",
    "adam_beta_2": "[0, 1)",
    "adam_weight_decay": "(-inf, inf)",
    "adam_lr_ratio": "[0, inf)",
    "rms_rate": "[0, inf)",
    "muon_a": "(-inf, inf)",
    "muon_b": "(-inf, inf)",
    "muon_c": "(-inf, inf)",
    "learning_rate_power": "(-inf, 0]",
    "l1_regularization_strength": "[0, inf)",
    "l2_regularization_strength": "[0, inf)",
    "l2_shrinkage_regularization_strength": "[0, inf)",
    "beta": "[0, inf)",
    "weight_decay": "(-inf, inf)",
    "clipnorm": "(-inf, inf)",
    "clipvalue": "(-inf, inf)",
    "global_clipnorm": "(-inf, inf)",
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


def constructor(
    **intervals: str,
) -> Callable[
    [Callable[..., optax.GradientTransformation]],
    Callable[..., optax.GradientTransformationExtraArgs],
]:
    """Returns the decorator `optimizer` with other intervals for some arguments."""
    return functools.partial(_constructor, intervals=_INTERVALS | intervals)


def _constructor(function, intervals):
    """Adds the arguments of Keras's base class to a constructor, and implements them.

    They follow the constructor's own arguments, before its keyword-only ones, as in Keras. A
    constructor with its own `weight_decay` implements the decay itself.
    """
    own = inspect.signature(function).parameters
    positional = [p for p in own.values() if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    last = [p.replace(kind=positional[0].kind) for p in own.values() if p not in positional]
    common = [p for p in _COMMON.values() if p.name not in own]

    @functools.wraps(function)
    def build(learning_rate, **arguments):
        options = {p.name: arguments.pop(p.name) for p in common}
        learning_rate = _of_the_count(learning_rate)
        every = options["gradient_accumulation_steps"]
        every = steps("gradient_accumulation_steps", every, minimum=2) if every else 1
        rate = _at_last_of(every, learning_rate)
        return _wrapped(function(rate, **arguments), rate, every, **options)

    shown = with_signature(build, inspect.Signature([*positional, *common, *last]))
    check = verbatim(
        "presets.keras",
        intervals,
        schedules=("learning_rate",),
        optional=("weight_decay", "adam_weight_decay", "rms_rate"),
        hints={
            "decay": "Keras 3 removed it; pass the learning rate "
            "schedules.InverseTimeDecay(learning_rate, decay_steps=1, decay_rate=decay)"
        },
        first="expected the learning rate, a number or a schedule",
    )
    return algebra.constructor(check(shown))


optimizer = constructor()


def _of_the_count(learning_rate):
    """Turns a function without arguments, which Keras calls at every step, into a schedule."""
    if not callable(learning_rate):
        return learning_rate
    try:
        parameters = inspect.signature(learning_rate).parameters.values()
    except ValueError:  # a function written in C may have no signature
        return learning_rate
    by_position = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
    if any(p.kind not in by_position for p in parameters):
        return learning_rate
    return lambda count: learning_rate()


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
    """Wraps an optimizer in the features of Keras's base class, from the inside out."""
    bare = tx
    if weight_decay is not None and not is_zero(weight_decay):
        tx = decay_first(tx, learning_rate, weight_decay)
    clipping = _clipping(clipnorm, clipvalue, global_clipnorm)
    if clipping:
        tx = chain(*clipping, tx)
    if every > 1:
        tx = accumulate(tx, every)
    if loss_scale_factor is not None:
        tx = chain(unscale(loss_scale_factor), tx)
    if use_ema:
        if ema_overwrite_frequency:
            steps("ema_overwrite_frequency", ema_overwrite_frequency)
        tx = chain(tx, average_parameters(ema_momentum, ema_overwrite_frequency, every))
    return tx if tx is bare else in_full_precision(tx)


def _clipping(clipnorm, clipvalue, global_clipnorm):
    given = {
        clip_by_norm: clipnorm,
        clip_by_value: clipvalue,
        clip_by_global_norm: global_clipnorm,
    }
    if sum(limit is not None for limit in given.values()) > 1:
        raise ValueError(
            "Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set, got "
            f"clipnorm={clipnorm}, clipvalue={clipvalue}, global_clipnorm={global_clipnorm}"
        )
    return [
        clip(limit)
        for clip, limit in given.items()
        if limit is not None and not (isinstance(limit, float) and limit <= 0)
    ]


def _at_last_of(every, learning_rate):
    """Turns a schedule of calls into one of updates, which are made at every `every`-th call."""
    if every == 1 or not callable(learning_rate):
        return learning_rate
    return lambda count: learning_rate(count * every + every - 1)
