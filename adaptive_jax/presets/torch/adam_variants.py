"""Adam and its variants, from `torch.optim`."""

import optax

from adaptive_jax.methods.adam import scale_by_adam
from adaptive_jax.methods.adamax import scale_by_adamax
from adaptive_jax.methods.amsgrad import scale_by_amsgrad
from adaptive_jax.methods.nadam import scale_by_nadam
from adaptive_jax.methods.radam import scale_by_radam
from adaptive_jax.presets.scheduled import scheduled
from adaptive_jax.presets.torch.constructor import Betas, constructor, descend, optimizer
from adaptive_jax.typing import Scalar, ScalarOrSchedule


@optimizer
def Adam(
    lr: ScalarOrSchedule = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.0,
    amsgrad: bool = False,
    *,
    maximize: bool = False,
    decoupled_weight_decay: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """`torch.optim.Adam`: `adaptive_jax.adam`, or `amsgrad` over the uncorrected squares.

    Args:
      amsgrad: whether to use `adaptive_jax.amsgrad`.

    >>> tx = Adam(lr=0.1, betas=(0.8, 0.99))
    >>> print(f"{tx.update(5.0, tx.init(0.0))[0]:.3f}")
    -0.100
    """
    scale_by = scale_by_amsgrad if amsgrad else scale_by_adam
    return descend(
        scheduled(lambda beta: scale_by(beta, betas[1], eps), betas[0]),
        lr=lr,
        weight_decay=weight_decay,
        maximize=maximize,
        decoupled=decoupled_weight_decay,
    )


@optimizer
def AdamW(
    lr: ScalarOrSchedule = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 1e-2,
    amsgrad: bool = False,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """`torch.optim.AdamW`: `adaptive_jax.adamw`; the decay is multiplied by the learning rate.

    Args:
      amsgrad: as in `Adam`.

    >>> tx = AdamW(lr=0.1, weight_decay=0.5)
    >>> print(f"{tx.update(1.0, tx.init(2.0), 2.0)[0]:.3f}")
    -0.200
    """
    return Adam(
        lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True
    )


@constructor("foreach")
def Adamax(
    lr: ScalarOrSchedule = 2e-3,
    betas: Betas = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.0,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """`torch.optim.Adamax`: `adaptive_jax.adamax`, with eps added to the gradient's magnitude.

    >>> tx = Adamax(lr=0.1)
    >>> print(f"{tx.update(5.0, tx.init(0.0))[0]:.3f}")
    -0.100
    """
    return descend(
        scheduled(lambda beta: scale_by_adamax(beta, betas[1], eps_grad=eps), betas[0]),
        lr=lr,
        weight_decay=weight_decay,
        maximize=maximize,
    )


@optimizer
def NAdam(
    lr: ScalarOrSchedule = 2e-3,
    betas: Betas = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.0,
    momentum_decay: Scalar = 4e-3,
    decoupled_weight_decay: bool = False,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """`torch.optim.NAdam`: `adaptive_jax.nadam`, with torch's momentum schedule.

    With `decoupled_weight_decay` it is `adaptive_jax.nadamw`. It equals torch to rounding if
    torch's default dtype is that of the parameters. Torch keeps the product of its momenta in the
    default dtype: for float64 parameters and a default of float32, results differ by about 1e-7.

    >>> tx = NAdam(lr=0.1)
    >>> print(f"{tx.update(5.0, tx.init(0.0))[0]:.3f}")
    -0.106
    """
    return descend(
        scheduled(
            lambda beta: scale_by_nadam(beta, betas[1], eps, momentum_decay=momentum_decay),
            betas[0],
        ),
        lr=lr,
        weight_decay=weight_decay,
        maximize=maximize,
        decoupled=decoupled_weight_decay,
    )


@optimizer
def RAdam(
    lr: ScalarOrSchedule = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.0,
    decoupled_weight_decay: bool = False,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """`torch.optim.RAdam`: `adaptive_jax.radam`, with eps added to the uncorrected root.

    >>> tx = RAdam(lr=0.1)
    >>> update, _ = tx.update(5.0, tx.init(0.0))
    >>> print(f"{update:.3f}")  # the first steps are not adaptive
    -0.500
    """
    return descend(
        scheduled(lambda beta: scale_by_radam(beta, betas[1], eps=0.0, eps_hat=eps), betas[0]),
        lr=lr,
        weight_decay=weight_decay,
        maximize=maximize,
        decoupled=decoupled_weight_decay,
    )
