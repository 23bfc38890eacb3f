"""What the optimizers of `torch.optim` have in common: their arguments, and torch's stages."""

from collections.abc import Callable

import optax

from adaptive_jax import algebra, transforms
from adaptive_jax.presets.arguments import Built, is_zero, verbatim
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
    """Raises where lr is of a scheduler that cycles the momentum too, and momentum is not."""
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
        give = f"give {advice} to {constructor}, or " if advice else ""
        raise ValueError(
            f"the scheduler given as lr cycles the momentum too, as in torch: {give}give "
            "cycle_momentum=False to the scheduler"
        )


def constructor(
    *positional: str,
    **intervals: str,
) -> Callable[[Callable[..., Built]], Callable[..., Built]]:
    """The decorator of all.

    Args:
      *positional: what torch takes by position after the constructor's own arguments.
      **intervals: where they are others than those of all.
    """
    check = verbatim(
        "presets.torch",
        INTERVALS | intervals,
        schedules=("lr", "momentum", "betas"),
        ignored={"foreach": None, "fused": None, "capturable": False, "differentiable": False},
        positional=positional,
        hints={"params": "leave the parameters out, they come with init"},
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
    """The stages between torch's gradient (sign, then decay) and its step."""
    ascend = [optax.scale(-1.0)] if maximize else []
    decay = [] if is_zero(weight_decay) else [transforms.add_decayed_weights(weight_decay)]
    before, after = ([], decay) if decoupled else (decay, [])
    return transforms.chain(
        *ascend, *before, *stages, *after, transforms.scale_by_learning_rate(lr)
    )
