"""The common arguments and stages of the optimizers of `torch.optim`."""

from collections.abc import Callable

import optax

from adaptive_jax import algebra
from adaptive_jax.algebra import chain
from adaptive_jax.presets.arguments import Built, is_zero, verbatim
from adaptive_jax.stages.decay import add_decayed_weights
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import Scalar, ScalarOrSchedule

INTERVALS = {
    "lr": "[0, inf)",
    "momentum": "[0, 1]",
    "betas": "[0, 1)",
    "alpha": "[0, 1)",
    "rho": "[0, 1]",
    "eps": "[0, inf)",
    "dampening": "(-inf, inf)",
    "weight_decay": "[0, inf)",
    "lr_decay": "[0, inf)",
    "initial_accumulator_value": "[0, inf)",
    "momentum_decay": "[0, inf)",
    "beta2_decay": "(-inf, 0]",
    "d": "[1, inf)",
    "ns_coefficients": "(-inf, inf)",
    "lambd": "[0, inf)",
    "t0": "[0, inf)",
    "etas": "(0, inf)",
    "step_sizes": "[0, inf)",
}
Betas = tuple[ScalarOrSchedule, Scalar]


def _require_cycled_momentum(constructor, values):
    """Raises if `lr` is a scheduler that also cycles the momentum, which is not passed."""
    cycled = getattr(values["lr"], "momentum", None)
    if cycled is None:
        return
    if "momentum" in values:
        given, advice = values["momentum"], "momentum=lr.momentum"
    elif "betas" in values:
        given, advice = values["betas"][0], "betas=(lr.momentum, ...)"
    else:
        given, advice = None, ""
    if given is not cycled:
        give = f"pass {advice} to {constructor}, or " if advice else ""
        raise ValueError(
            f"the scheduler passed as lr also cycles the momentum, as in torch: {give}pass "
            "cycle_momentum=False to the scheduler"
        )


def constructor(
    *positional: str,
    **intervals: str,
) -> Callable[[Callable[..., Built]], Callable[..., Built]]:
    """Returns the decorator of the constructors.

    Args:
      *positional: arguments that torch takes by position after the constructor's own arguments.
      **intervals: intervals that differ from `INTERVALS`.
    """
    check = verbatim(
        "presets.torch",
        INTERVALS | intervals,
        schedules=("lr", "momentum", "betas"),
        ignored={"foreach": None, "fused": None, "capturable": False, "differentiable": False},
        positional=positional,
        hints={"params": "leave the parameters out, they are passed to init"},
        first="torch's optimizers take model.parameters() first; here leave it out: lr is a number",
        check=_require_cycled_momentum,
    )
    return lambda function: algebra.constructor(check(function))


optimizer = constructor()


def descend(
    *stages: optax.GradientTransformation,
    lr: ScalarOrSchedule,
    weight_decay: Scalar,
    maximize: bool,
    decoupled: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """Chains torch's stages: the sign of the gradient, decay, `stages`, and the learning rate."""
    ascend = [optax.scale(-1.0)] if maximize else []
    decay = [] if is_zero(weight_decay) else [add_decayed_weights(weight_decay)]
    before, after = ([], decay) if decoupled else (decay, [])
    return chain(*ascend, *before, *stages, *after, scale_by_learning_rate(lr))
