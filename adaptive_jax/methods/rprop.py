"""Rprop: step sizes that grow while the gradient keeps its sign and shrink when it changes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, chain, constructor
from adaptive_jax.registry import register
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import Scalar, Updates
from adaptive_jax.validation import NO_ASCENT, number

__all__ = ["ScaleByRpropState", "rprop", "scale_by_rprop"]


class ScaleByRpropState(NamedTuple):
    """State of `scale_by_rprop`: `sign` of the last update (0 after a change), and `step_size`."""

    sign: Updates
    step_size: Updates


@constructor
def scale_by_rprop(
    initial_step: Scalar = 0.01,
    eta_minus: Scalar = 0.5,
    eta_plus: Scalar = 1.2,
    min_step: Scalar = 1e-6,
    max_step: Scalar = 50.0,
) -> Preconditioner:
    r"""Replaces gradients by their sign times a step size that adapts per coordinate.

    .. math::
        \Delta_t &= \mathrm{clip}(\eta_t \Delta_{t-1},\ min\_step,\ max\_step), \qquad
        \eta_t = eta\_plus,\ eta\_minus,\ 1 \text{ where } g_t s_{t-1} > 0,\ < 0,\ = 0 \\
        s_t &= \mathrm{sign}(g_t), \text{ but } 0 \text{ where } g_t s_{t-1} < 0, \qquad
        u_t = \Delta_t s_t

    A coordinate whose gradient changes its sign does not move in that update. Rprop is meant for
    gradients of the whole data set, since the noise of mini-batches changes signs as well. The sign
    of a complex number is :math:`g/|g|`; it has changed where
    :math:`\mathrm{Re}(g_t \bar s_{t-1}) < 0`. (PyTorch treats a complex number as two real ones.)

    Args:
      initial_step: :math:`\Delta_0`, positive, in the units of the parameters. Default 0.01
        (PyTorch); 0.1 in the paper.
      eta_minus: factor by which step sizes shrink, in (0, 1). Default 0.5 (paper, PyTorch).
      eta_plus: factor by which step sizes grow, above 1. Default 1.2 (paper, PyTorch).
      min_step: smallest step size, not negative. Default 1e-6 (paper, PyTorch).
      max_step: largest step size, positive. Default 50 (paper, PyTorch).

    State: `ScaleByRpropState` with `sign` in the shapes of the parameters and `step_size`, likewise
    and real; both in float32 or wider.

    Raises:
      ValueError: a hyperparameter is out of range, `min_step` exceeds `max_step`, or the trees
        passed to `update` do not match.

    Reference: Riedmiller & Braun 1993, doi 10.1109/ICNN.1993.298623.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_rprop(0.1)
    >>> state = tx.init(jnp.zeros(()))
    >>> for grad in (3.0, 0.2, -1.0, -1.0):
    ...     update, state = tx.update(jnp.array(grad), state)
    ...     print(f"{update:.2f}")
    0.10
    0.12
    0.00
    -0.06
    """
    initial_step = number("initial_step", initial_step, "(0, inf)")
    eta_minus = number("eta_minus", eta_minus, "(0, 1)")
    eta_plus = number("eta_plus", eta_plus, "(1, inf)")
    min_step = number("min_step", min_step, "[0, inf)")
    max_step = number("max_step", max_step, "(0, inf)")
    if isinstance(min_step, float) and isinstance(max_step, float) and min_step > max_step:
        raise ValueError(f"min_step must not exceed max_step, got {min_step} and {max_step}")

    def resize(step, agreement):
        lowest, highest, plus, minus = (
            numerics.constant(x, step.dtype) for x in (min_step, max_step, eta_plus, eta_minus)
        )
        kept, grown, shrunk = (
            jnp.clip(size, lowest, highest) for size in (step, step * plus, step * minus)
        )
        # The choice comes last: if its result were clipped to constants, XLA would copy the step.
        return jnp.where(agreement > 0, grown, jnp.where(agreement < 0, shrunk, kept))

    def init(params):
        return ScaleByRpropState(
            trees.zeros_like(params), trees.real_full_like(params, initial_step)
        )

    def step(grads, state, params=None, **extra):
        grads = trees.squarable(grads, state.step_size)
        signs = jax.tree.map(lambda g, s: jnp.sign(g.astype(s.dtype)), grads, state.sign)
        agreement = jax.tree.map(_agreement, signs, state.sign)
        step_size = jax.tree.map(resize, state.step_size, agreement)
        sign = jax.tree.map(_unless_changed, signs, agreement)
        return Step(sign, step_size, ScaleByRpropState(sign, step_size))

    return Preconditioner(init, step, first_order=("sign",), squares=("step_size",))


@register(
    "steps that grow while a gradient keeps its sign",
    reference="Riedmiller & Braun 1993",
    learning_rate=(0.001, 1.0),
    scheduled=False,
)
def rprop(
    learning_rate: Scalar = 0.01,
    eta_minus: Scalar = 0.5,
    eta_plus: Scalar = 1.2,
    min_step: Scalar = 1e-6,
    max_step: Scalar = 50.0,
) -> optax.GradientTransformationExtraArgs:
    r"""Rprop: steps by the sign of the gradient, with a step size that adapts per coordinate.

    .. math::
        p_t = p_{t-1} - \Delta_t s_t

    where the step size :math:`\Delta_t` grows by `eta_plus` while the gradient keeps its sign and
    shrinks by `eta_minus` when the sign changes, and :math:`s_t` is the sign of the gradient, or 0
    right after a change (see `scale_by_rprop`). Meant for gradients of the whole data set.

    Args:
      learning_rate: initial step size, a positive number in the units of the parameters; not a
        schedule, since step sizes adapt. Default 0.01 (PyTorch); 0.1 in the paper.
      eta_minus: factor by which step sizes shrink, in (0, 1). Default 0.5 (paper, PyTorch).
      eta_plus: factor by which step sizes grow, above 1. Default 1.2 (paper, PyTorch).
      min_step: smallest step size, not negative. Default 1e-6 (paper, PyTorch).
      max_step: largest step size, positive. Default 50 (paper, PyTorch).

    State: a tuple whose first entry is a `ScaleByRpropState` (see `scale_by_rprop`).

    Raises:
      ValueError: a hyperparameter is out of range, `min_step` exceeds `max_step`, or the trees
        passed to `update` do not match.

    Reference: Riedmiller & Braun 1993, doi 10.1109/ICNN.1993.298623.

    >>> import jax.numpy as jnp
    >>> tx = rprop(0.1)
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(jnp.zeros(2)))[0])
    [-0.1  0.1]
    """
    learning_rate = number("learning_rate", learning_rate, "(0, inf)", NO_ASCENT)
    return chain(
        scale_by_rprop(learning_rate, eta_minus, eta_plus, min_step, max_step),
        scale_by_learning_rate(1.0),
    )


def _agreement(sign, before):
    """Positive where the sign is unchanged, negative where it changed, 0 where either sign is 0."""
    return (sign * before.conj()).real


def _unless_changed(sign, agreement):
    return jnp.where(agreement < 0, jnp.zeros_like(sign), sign)
