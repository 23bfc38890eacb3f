"""The optimizers of `torch.optim`: see `adaptive_jax.presets.torch` for what they share."""

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, transforms
from adaptive_jax.presets.arguments import is_zero, verbatim
from adaptive_jax.presets.scheduled import scheduled
from adaptive_jax.typing import Scalar, ScalarOrSchedule
from adaptive_jax.validation import number

_INTERVALS = {
    "lr": "[0, inf)",
    "momentum": "[0, 1]",
    "betas": "[0, 1)",
    "alpha": "[0, 1)",
    "rho": "[0, 1)",
    "eps": "[0, inf)",
    "dampening": "[0, 1]",
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
_Betas = tuple[ScalarOrSchedule, Scalar]


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


def _constructor(**intervals):
    """The decorator of all, with other intervals for some arguments."""
    return verbatim(
        "presets.torch",
        _INTERVALS | intervals,
        schedules=("lr", "momentum", "betas"),
        ignored={"foreach": None, "fused": None, "capturable": False, "differentiable": False},
        hints={"params": "leave the parameters out, they come with init"},
        first="torch's optimizers take model.parameters() first; here leave it out: lr is a number",
        check=_require_cycled_momentum,
    )


_optimizer = _constructor()


def _chain(*stages, lr, weight_decay, maximize, decoupled=False):
    """The stages between torch's gradient (sign, then decay) and its step."""
    ascend = [optax.scale(-1.0)] if maximize else []
    decay = [] if is_zero(weight_decay) else [transforms.add_decayed_weights(weight_decay)]
    coupled, decoupled = ([], decay) if decoupled else (decay, [])
    return transforms.chain(
        *ascend, *coupled, *stages, *decoupled, transforms.scale_by_learning_rate(lr)
    )


@_optimizer
def SGD(
    lr: ScalarOrSchedule = 1e-3,
    momentum: ScalarOrSchedule = 0.0,
    dampening: Scalar = 0.0,
    weight_decay: Scalar = 0.0,
    nesterov: bool = False,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """`torch.optim.SGD`: `adaptive_jax.sgd`, which has torch's undamped first buffer.

    Raises:
      ValueError: `nesterov` without momentum or with dampening, as in torch.

    >>> tx = SGD(lr=0.1, momentum=0.9, weight_decay=0.5)
    >>> params = jnp.array(2.0)
    >>> print(tx.update(jnp.array(1.0), tx.init(params), params)[0])
    -0.2
    """
    dampened = isinstance(dampening, float) and dampening != 0
    if nesterov and (is_zero(momentum) or dampened):
        raise ValueError("Nesterov momentum requires a momentum and zero dampening")
    trace = [] if is_zero(momentum) else [transforms.momentum(momentum, nesterov, dampening)]
    return _chain(*trace, lr=lr, weight_decay=weight_decay, maximize=maximize)


@_optimizer
def Adagrad(
    lr: ScalarOrSchedule = 1e-2,
    lr_decay: Scalar = 0.0,
    weight_decay: Scalar = 0.0,
    initial_accumulator_value: Scalar = 0.0,
    eps: Scalar = 1e-10,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    r"""`torch.optim.Adagrad`: `adaptive_jax.adagrad` with the rate lr / (1 + lr_decay·t).

    Args:
      lr_decay: t counts the updates already made.

    >>> tx = Adagrad(lr=0.1, lr_decay=1.0)
    >>> state = tx.init(jnp.zeros(()))
    >>> for _ in range(2):
    ...     update, state = tx.update(jnp.array(1.0), state)
    >>> print(update.round(4))  # 0.1 / (1 + 1) / √2
    -0.0354
    """

    def falling(count):
        elapsed = jnp.asarray(count, jnp.result_type(float))
        return numerics.at_step(lr, count) / (1 + lr_decay * elapsed)

    return _chain(
        transforms.scale_by_adagrad(initial_accumulator_value, eps),
        lr=lr if is_zero(lr_decay) else falling,
        weight_decay=weight_decay,
        maximize=maximize,
    )


@_optimizer
def Adadelta(
    lr: ScalarOrSchedule = 1.0,
    rho: Scalar = 0.9,
    eps: Scalar = 1e-6,
    weight_decay: Scalar = 0.0,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """`torch.optim.Adadelta`: `adaptive_jax.adadelta`, with the lecture's decay rate.

    >>> tx = Adadelta()
    >>> print(f"{tx.update(jnp.array(5.0), tx.init(jnp.zeros(())))[0]:.5f}")
    -0.00316
    """
    return _chain(
        transforms.scale_by_adadelta(rho, eps), lr=lr, weight_decay=weight_decay, maximize=maximize
    )


@_optimizer
def RMSprop(
    lr: ScalarOrSchedule = 1e-2,
    alpha: Scalar = 0.99,
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.0,
    momentum: ScalarOrSchedule = 0.0,
    centered: bool = False,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """`torch.optim.RMSprop`: `adaptive_jax.rmsprop`, eps and learning rate outside.

    >>> tx = RMSprop(lr=0.01, alpha=0.75, centered=True, momentum=0.9)
    >>> print(tx.update(jnp.array(5.0), tx.init(jnp.zeros(())))[0].round(4))
    -0.0231
    """
    trace = [] if is_zero(momentum) else [transforms.momentum(momentum)]
    return _chain(
        transforms.scale_by_rms(alpha, eps, centered=centered),
        *trace,
        lr=lr,
        weight_decay=weight_decay,
        maximize=maximize,
    )


@_optimizer
def Adam(
    lr: ScalarOrSchedule = 1e-3,
    betas: _Betas = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.0,
    amsgrad: bool = False,
    *,
    maximize: bool = False,
    decoupled_weight_decay: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """`torch.optim.Adam`: `adaptive_jax.adam`, or `amsgrad` over the uncorrected squares.

    >>> tx = Adam(lr=0.1, betas=(0.8, 0.99))
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(jnp.zeros(2)))[0].round(3))
    [-0.1  0.1]
    """
    scale_by = transforms.scale_by_amsgrad if amsgrad else transforms.scale_by_adam
    return _chain(
        scheduled(lambda beta: scale_by(beta, betas[1], eps), betas[0]),
        lr=lr,
        weight_decay=weight_decay,
        maximize=maximize,
        decoupled=decoupled_weight_decay,
    )


@_optimizer
def AdamW(
    lr: ScalarOrSchedule = 1e-3,
    betas: _Betas = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 1e-2,
    amsgrad: bool = False,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """`torch.optim.AdamW`: `adaptive_jax.adamw`, whose decay is times the learning rate.

    >>> tx = AdamW(lr=0.1, weight_decay=0.5)
    >>> params = jnp.array(2.0)
    >>> print(tx.update(jnp.array(1.0), tx.init(params), params)[0].round(3))
    -0.2
    """
    return Adam(
        lr, betas, eps, weight_decay, amsgrad, maximize=maximize, decoupled_weight_decay=True
    )


@_optimizer
def Adamax(
    lr: ScalarOrSchedule = 2e-3,
    betas: _Betas = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.0,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """`torch.optim.Adamax`: `adaptive_jax.adamax` with eps added to the gradient's size.

    >>> tx = Adamax(lr=0.1)
    >>> print(f"{tx.update(jnp.array(5.0), tx.init(jnp.zeros(())))[0]:.3f}")
    -0.100
    """
    return _chain(
        scheduled(lambda beta: transforms.scale_by_adamax(beta, betas[1], eps_grad=eps), betas[0]),
        lr=lr,
        weight_decay=weight_decay,
        maximize=maximize,
    )


@_optimizer
def NAdam(
    lr: ScalarOrSchedule = 2e-3,
    betas: _Betas = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.0,
    momentum_decay: Scalar = 4e-3,
    decoupled_weight_decay: bool = False,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """`torch.optim.NAdam`: `adaptive_jax.nadam`, whose momentum schedule is torch's.

    >>> tx = NAdam(lr=0.1)
    >>> print(f"{tx.update(jnp.array(5.0), tx.init(jnp.zeros(())))[0]:.3f}")
    -0.106
    """
    return _chain(
        scheduled(
            lambda beta: transforms.scale_by_nadam(
                beta, betas[1], eps, momentum_decay=momentum_decay
            ),
            betas[0],
        ),
        lr=lr,
        weight_decay=weight_decay,
        maximize=maximize,
        decoupled=decoupled_weight_decay,
    )


@_optimizer
def RAdam(
    lr: ScalarOrSchedule = 1e-3,
    betas: _Betas = (0.9, 0.999),
    eps: Scalar = 1e-8,
    weight_decay: Scalar = 0.0,
    decoupled_weight_decay: bool = False,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """`torch.optim.RAdam`: `adaptive_jax.radam`, eps at the uncorrected root.

    >>> tx = RAdam(lr=0.1)
    >>> update, _ = tx.update(jnp.array(5.0), tx.init(jnp.zeros(())))
    >>> print(f"{update:.3f}")  # no adapting at first
    -0.500
    """
    return _chain(
        scheduled(
            lambda beta: transforms.scale_by_radam(beta, betas[1], eps=0.0, eps_hat=eps), betas[0]
        ),
        lr=lr,
        weight_decay=weight_decay,
        maximize=maximize,
        decoupled=decoupled_weight_decay,
    )


@_constructor(alpha="[0, inf)")
def ASGD(
    lr: ScalarOrSchedule = 1e-2,
    lambd: Scalar = 1e-4,
    alpha: Scalar = 0.75,
    t0: Scalar = 1e6,
    weight_decay: Scalar = 0.0,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """`torch.optim.ASGD`: `adaptive_jax.asgd`; `averaged_params(state)` is torch's `ax`.

    Args:
      lr: of a schedule each update uses the value before, as in torch, which sets the size of an
        update after the one before it.

    >>> tx = ASGD(lr=0.5, lambd=0.0, t0=0)
    >>> print(tx.update(jnp.array(1.0), tx.init(jnp.zeros(())), jnp.zeros(()))[0])
    -0.5
    """
    rate = (lambda count: lr(jnp.maximum(count - 1, 0))) if callable(lr) else lr
    return transforms.chain(
        _chain(
            transforms.add_decayed_weights(lambd),
            lr=transforms.asgd_schedule(rate, lambd, alpha),
            weight_decay=weight_decay,
            maximize=maximize,
        ),
        transforms.polyak_average(t0 + 1),
    )


@_optimizer
def Rprop(
    lr: Scalar = 1e-2,
    etas: tuple[Scalar, Scalar] = (0.5, 1.2),
    step_sizes: tuple[Scalar, Scalar] = (1e-6, 50.0),
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """`torch.optim.Rprop`: `adaptive_jax.rprop`.

    Args:
      lr: the first step size, and so no schedule.

    >>> tx = Rprop(lr=0.1)
    >>> print(tx.update(jnp.array(5.0), tx.init(jnp.zeros(())))[0])
    -0.1
    """
    steps = transforms.scale_by_rprop(number("lr", lr, "(0, inf)"), *etas, *step_sizes)
    return _chain(steps, lr=1.0, weight_decay=0.0, maximize=maximize)


@_optimizer
def Adafactor(
    lr: ScalarOrSchedule = 1e-2,
    beta2_decay: Scalar = -0.8,
    eps: tuple[Scalar | None, Scalar] = (None, 1e-3),
    d: Scalar = 1.0,
    weight_decay: Scalar = 0.0,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """`torch.optim.Adafactor`: `adaptive_jax.adafactor`, eps a floor, the decay uncapped.

    Args:
      eps: least root mean square of gradients, and of parameters. None is the spacing of floats
        at 1, those of the first array's arithmetic.
      weight_decay: times `lr`, also where steps are capped to 1/√t of the parameters' size.

    >>> tx = Adafactor(lr=0.1)
    >>> params = jnp.full((2, 2), 3.0)
    >>> updates, _ = tx.update(jnp.full((2, 2), 100.0), tx.init(params), params)
    >>> print(updates.round(3))
    [[-0.3 -0.3]
     [-0.3 -0.3]]
    """
    descent = _with_spacing(
        lambda least: _chain(
            transforms.scale_by_factored_rms(-beta2_decay, eps=0.0, min_rms=least),
            transforms.clip_by_block_rms(d),
            transforms.scale_by_param_rms(eps[1]),
            lr=transforms.relative_step(lr),
            weight_decay=0.0,
            maximize=maximize,
        ),
        eps[0],
    )
    if is_zero(weight_decay):
        return descent

    def decay(count):
        return numerics.at_step(lr, count) * weight_decay

    return transforms.chain(
        descent,
        optax.scale(-1.0),
        transforms.add_decayed_weights(decay if callable(lr) else lr * weight_decay),
        optax.scale(-1.0),
    )


def _with_spacing(make, eps):
    """`make(eps)`, with the spacing of floats at 1 in the arithmetic's precision for None."""
    if eps is not None:
        return make(eps)

    def update(updates, state, params=None, **extra):
        leaves = jax.tree.leaves(updates if params is None else params)
        spacing = max((float(jnp.finfo(numerics.real_dtype(p)).eps) for p in leaves), default=0.0)
        return make(spacing).update(updates, state, params, **extra)

    return optax.GradientTransformationExtraArgs(make(0.0).init, update)


@_optimizer
def Muon(
    lr: ScalarOrSchedule = 1e-3,
    weight_decay: Scalar = 0.1,
    momentum: ScalarOrSchedule = 0.95,
    nesterov: bool = True,
    ns_coefficients: tuple[Scalar, Scalar, Scalar] = (3.4445, -4.7750, 2.0315),
    eps: Scalar = 1e-7,
    ns_steps: int = 5,
    adjust_lr_fn: str | None = None,
) -> optax.GradientTransformationExtraArgs:
    """`torch.optim.Muon`: matrices alone; `optax.partition` for the rest, or `adaptive_jax.muon`.

    It takes matrices for torch's, of shape (out, in), which matters to `adjust_lr_fn`; kernels of
    Flax and Keras are (in, out), for which `scale_by_muon` has `output_axis=-1`. The iteration is
    in bfloat16, as in torch.

    >>> tx = Muon(lr=0.1, ns_coefficients=(1.5, -0.5, 0.0), ns_steps=9)
    >>> params = jnp.array([[3.0, 0.0], [0.0, -1.0]])
    >>> print(tx.update(params, tx.init(params), jnp.zeros((2, 2)))[0].round(2))
    [[-0.1 -0. ]
     [-0.   0.1]]
    """
    return _chain(
        transforms.scale_by_muon(
            momentum,
            nesterov,
            coefficients=ns_coefficients,
            ns_steps=ns_steps,
            adjust=adjust_lr_fn or "original",
            eps=0.0,
            min_norm=eps,
            output_axis=0,
            iteration_dtype=jnp.bfloat16,
        ),
        lr=lr,
        weight_decay=weight_decay,
        maximize=False,
        decoupled=True,
    )
