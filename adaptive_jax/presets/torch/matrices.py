"""Optimizers that treat matrices specially, from `torch.optim`."""

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics
from adaptive_jax.algebra import chain
from adaptive_jax.methods.adafactor import relative_step, scale_by_factored_rms, scale_by_param_rms
from adaptive_jax.methods.muon import scale_by_muon
from adaptive_jax.presets.arguments import is_zero
from adaptive_jax.presets.torch.constructor import descend, optimizer
from adaptive_jax.stages.clipping import clip_by_block_rms
from adaptive_jax.stages.decay import add_decayed_weights
from adaptive_jax.typing import Scalar, ScalarOrSchedule
from adaptive_jax.validation import is_inexact


@optimizer
def Adafactor(
    lr: ScalarOrSchedule = 1e-2,
    beta2_decay: Scalar = -0.8,
    eps: tuple[Scalar | None, Scalar] = (None, 1e-3),
    d: Scalar = 1.0,
    weight_decay: Scalar = 0.0,
    *,
    maximize: bool = False,
) -> optax.GradientTransformationExtraArgs:
    """`torch.optim.Adafactor`: `adaptive_jax.adafactor`, with eps as a floor and uncapped decay.

    Args:
      beta2_decay: the `decay_exponent` of `scale_by_factored_rms`, with the opposite sign.
      eps: the minimum root mean square of gradients, and of parameters. None means the spacing of
        floats at 1 in the precision of the arithmetic.
      d: the `max_rms` of `clip_by_block_rms`.
      weight_decay: multiplied by `lr`, even if steps are capped to 1/√t of the parameters' size.

    >>> tx = Adafactor(lr=0.1)
    >>> params = jnp.full((2, 2), 3.0)
    >>> updates, _ = tx.update(jnp.full((2, 2), 100.0), tx.init(params), params)
    >>> print(updates.round(3))
    [[-0.3 -0.3]
     [-0.3 -0.3]]
    """
    descent = _with_spacing(
        lambda least: descend(
            scale_by_factored_rms(-beta2_decay, eps=0.0, min_rms=least),
            clip_by_block_rms(d),
            scale_by_param_rms(eps[1]),
            lr=relative_step(lr),
            weight_decay=0.0,
            maximize=maximize,
        ),
        eps[0],
    )
    if is_zero(weight_decay):
        return descent

    def decay(count):
        return numerics.at_step(lr, count) * weight_decay

    return chain(
        descent,
        optax.scale(-1.0),
        add_decayed_weights(decay if callable(lr) else lr * weight_decay),
        optax.scale(-1.0),
    )


def _with_spacing(make, eps):
    """Returns `make(eps)`; None means the spacing of floats at 1 in the arithmetic's precision."""
    if eps is not None:
        return make(eps)

    def update(updates, state, params=None, **extra):
        leaves = filter(is_inexact, jax.tree.leaves(updates if params is None else params))
        spacing = max((float(jnp.finfo(numerics.real_dtype(p)).eps) for p in leaves), default=0.0)
        return make(spacing).update(updates, state, params, **extra)

    return optax.GradientTransformationExtraArgs(make(0.0).init, update)


@optimizer
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
    """`torch.optim.Muon`, for matrices only.

    For other arrays use `optax.partition`, or use `adaptive_jax.muon` for a whole model. Matrices
    are assumed to have torch's shape (out, in), which matters to `adjust_lr_fn`. Kernels of Flax
    and Keras have shape (in, out), for which `scale_by_muon` has `output_axis=-1`. The iteration is
    in bfloat16, as in torch. A difference in the last digit of a gradient can therefore change a
    coordinate of a step by a rounding of bfloat16, which is 0.4 %.

    Args:
      momentum, nesterov, ns_steps: as in `scale_by_muon`.
      ns_coefficients: a triple (a, b, c), by default Jordan's.
      eps: the minimum norm of a matrix, `min_norm` of `scale_by_muon`.
      adjust_lr_fn: `adjust` of `scale_by_muon`: "original" (as None), "match_rms_adamw".

    Raises:
      ValueError: `ns_steps` or `adjust_lr_fn` is out of range, or a leaf has fewer than two axes.

    >>> tx = Muon(lr=0.1, ns_coefficients=(1.5, -0.5, 0.0), ns_steps=9)
    >>> params = jnp.array([[3.0, 0.0], [0.0, -1.0]])
    >>> updates, _ = tx.update(params, tx.init(params), jnp.zeros((2, 2)))
    >>> print(f"{updates[0, 0]:.2f} {updates[1, 1]:.2f}")
    -0.10 0.10
    """
    return descend(
        scale_by_muon(
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
