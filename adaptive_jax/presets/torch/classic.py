"""Gradient descent, Adagrad, and other methods older than Adam, from `torch.optim`."""

import jax.numpy as jnp
import optax

from adaptive_jax import numerics
from adaptive_jax.algebra import chain
from adaptive_jax.methods.adadelta import scale_by_adadelta
from adaptive_jax.methods.adagrad import scale_by_adagrad
from adaptive_jax.methods.asgd import asgd_schedule
from adaptive_jax.methods.rmsprop import scale_by_rms
from adaptive_jax.methods.rprop import scale_by_rprop
from adaptive_jax.presets.arguments import is_zero
from adaptive_jax.presets.torch.constructor import constructor, descend, optimizer
from adaptive_jax.stages import moments
from adaptive_jax.stages.averages import polyak_average
from adaptive_jax.stages.decay import add_decayed_weights
from adaptive_jax.typing import Scalar, ScalarOrSchedule
from adaptive_jax.validation import number


@optimizer
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

    Args:
      momentum, dampening, nesterov: as in `adaptive_jax.sgd`; 0 means no momentum and no state.

    Raises:
      ValueError: `nesterov` is used without momentum or with dampening, as in torch.

    >>> tx = SGD(lr=0.1, momentum=0.9, weight_decay=0.5)
    >>> params = jnp.array(2.0)
    >>> print(tx.update(jnp.array(1.0), tx.init(params), params)[0])
    -0.2
    """
    dampened = isinstance(dampening, float) and dampening != 0
    if nesterov and (is_zero(momentum) or dampened):
        raise ValueError("Nesterov momentum requires a momentum and zero dampening")
    damped = None if is_zero(dampening) else dampening
    trace = [] if is_zero(momentum) else [moments.momentum(momentum, nesterov, damped)]
    return descend(*trace, lr=lr, weight_decay=weight_decay, maximize=maximize)


@constructor("foreach", "maximize", "differentiable", "capturable", alpha="[0, inf)")
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
      lr: each update uses the previous value of a schedule, because torch computes the size of an
        update after the preceding update.
      lambd, alpha, t0: as in `adaptive_jax.asgd`.

    >>> tx = ASGD(lr=0.5, lambd=0.0, t0=0)
    >>> print(tx.update(jnp.array(1.0), tx.init(jnp.zeros(())), jnp.zeros(()))[0])
    -0.5
    """
    rate = (lambda count: lr(jnp.maximum(count - 1, 0))) if callable(lr) else lr
    return chain(
        descend(
            add_decayed_weights(lambd),
            lr=asgd_schedule(rate, lambd, alpha),
            weight_decay=weight_decay,
            maximize=maximize,
        ),
        polyak_average(t0 + 1),
    )


@constructor(lr="(0, inf)", etas="(0, inf)")
def Rprop(
    lr: Scalar = 1e-2,
    etas: tuple[Scalar, Scalar] = (0.5, 1.2),
    step_sizes: tuple[Scalar, Scalar] = (1e-6, 50.0),
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """`torch.optim.Rprop`: `adaptive_jax.rprop`.

    Args:
      lr: the first step size; it cannot be a schedule.
      etas: `eta_minus` and `eta_plus` of `scale_by_rprop`.
      step_sizes: its `min_step` and `max_step`.

    Raises:
      ValueError: `lr` is a schedule or 0, or the first of `step_sizes` exceeds the second.

    >>> tx = Rprop(lr=0.1)
    >>> print(tx.update(jnp.array(5.0), tx.init(jnp.zeros(())))[0])
    -0.1
    """
    number("etas[0]", etas[0], "(0, 1)")
    number("etas[1]", etas[1], "(1, inf)")
    number("step_sizes[1]", step_sizes[1], "(0, inf)")
    steps = scale_by_rprop(number("lr", lr, "(0, inf)"), *etas, *step_sizes)
    return descend(steps, lr=1.0, weight_decay=0.0, maximize=maximize)


@constructor("foreach")
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
      lr_decay: the decay of the rate; t is the number of updates made so far.
      initial_accumulator_value: the `initial_accumulator` of `scale_by_adagrad`.

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

    return descend(
        scale_by_adagrad(initial_accumulator_value, eps),
        lr=lr if is_zero(lr_decay) else falling,
        weight_decay=weight_decay,
        maximize=maximize,
    )


@constructor("foreach", eps="(0, inf)")
def Adadelta(
    lr: ScalarOrSchedule = 1.0,
    rho: Scalar = 0.9,
    eps: Scalar = 1e-6,
    weight_decay: Scalar = 0.0,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """`torch.optim.Adadelta`: `adaptive_jax.adadelta` with a decay rate of 0.9.

    Args:
      rho: the decay rate; 0.95 in the paper (arXiv 1212.5701).

    >>> tx = Adadelta()
    >>> print(f"{tx.update(jnp.array(5.0), tx.init(jnp.zeros(())))[0]:.5f}")
    -0.00316
    """
    return descend(scale_by_adadelta(rho, eps), lr=lr, weight_decay=weight_decay, maximize=maximize)


@constructor("capturable", "foreach", "maximize", "differentiable", alpha="[0, 1]")
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
    """`torch.optim.RMSprop`: `adaptive_jax.rmsprop`, eps outside the root, the rate after momentum.

    Args:
      alpha: the `decay` of `rmsprop`; 0.9 in the lecture.
      momentum, centered: as in `rmsprop`; a momentum of 0 means none.

    >>> tx = RMSprop(lr=0.01, alpha=0.75, centered=True, momentum=0.9)
    >>> print(tx.update(jnp.array(5.0), tx.init(jnp.zeros(())))[0].round(4))
    -0.0231
    """
    trace = [] if is_zero(momentum) else [moments.momentum(momentum)]
    return descend(
        scale_by_rms(alpha, eps, centered=centered),
        *trace,
        lr=lr,
        weight_decay=weight_decay,
        maximize=maximize,
    )
