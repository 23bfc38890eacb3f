"""Adafactor: a second moment kept as rows and columns, and steps relative to the parameters."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, Transformation, chain, constructor
from adaptive_jax.registry import register
from adaptive_jax.stages import moments
from adaptive_jax.stages.clipping import clip_by_block_rms
from adaptive_jax.stages.decay import add_decayed_weights
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import PyTree, Scalar, ScalarOrSchedule, Schedule, Updates
from adaptive_jax.validation import map_leaves, number, number_or_schedule, require_params

__all__ = [
    "FactoredMoment",
    "RelativeStepState",
    "ScaleByFactoredRmsState",
    "adafactor",
    "relative_step",
    "scale_by_factored_rms",
    "scale_by_param_rms",
    "scale_by_relative_step",
]


class FactoredMoment(NamedTuple):
    """Mean squares over the last axis and over the one before it, both kept with size 1."""

    row: jax.Array
    column: jax.Array


class ScaleByFactoredRmsState(NamedTuple):
    """The number of updates made, and the mean squares, factored for arrays of two or more axes."""

    count: jax.Array
    nu: Updates


@constructor
def scale_by_factored_rms(
    decay_exponent: Scalar = 0.8, eps: Scalar = 1e-30, min_rms: Scalar = 0.0
) -> Preconditioner:
    r"""Divides the gradient by a root mean square that is kept for rows and columns only.

    .. math::
        r_t &= (1 - t^{-c})\, r_{t-1} + t^{-c}\, \mathrm{mean}_{cols}(|g_t|^2 + eps), \qquad
        c_t \text{ likewise over rows}, \qquad c = decay\_exponent \\
        v_t &= r_t c_t^T / \mathrm{mean}(r_t), \qquad u_t = g_t / \sqrt{v_t}

    An (n, m) matrix thus needs n + m numbers. Arrays with more axes are stacks of matrices in their
    last two, as in PyTorch and Keras; arrays with fewer axes keep :math:`v_t` in full. The decay
    rate starts at 0, so there is no bias to correct.

    Args:
      decay_exponent: the exponent c, not negative. Default 0.8 (paper, PyTorch, Keras).
      eps: added to the squares, not negative. Default 1e-30 (paper, its ε1; Keras); PyTorch has 0.
      min_rms: lower limit of :math:`\sqrt{v_t}`, and of the :math:`\mathrm{mean}(r_t)` that it is
        computed from; not negative. Default 0 (paper: no limit). In PyTorch it is the spacing of
        floats at 1 (its `eps[0]`), which enlarges the steps of gradients below 3e-4 in float32.

    State: `count` int32, and `nu`, real, float32 or wider: for each parameter with two or more axes
    a `FactoredMoment`, for others an array of their shape.

    Raises:
      ValueError: a hyperparameter is negative, or trees do not match.

    Reference: Shazeer & Stern 2018, arXiv 1804.04235.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_factored_rms()
    >>> state = tx.init(jnp.zeros((2, 3)))
    >>> updates, state = tx.update(jnp.array([[1.0, 2.0, -4.0], [10.0, -20.0, 40.0]]), state)
    >>> print(updates.round(3))  # squares of rank 1 are factored without loss
    [[ 1.  1. -1.]
     [ 1. -1.  1.]]
    >>> state.nu.row.shape, state.nu.column.shape
    ((2, 1), (1, 3))
    """
    decay_exponent = number("decay_exponent", decay_exponent, "[0, inf)")
    eps, min_rms = number("eps", eps, "[0, inf)"), number("min_rms", min_rms, "[0, inf)")

    def init(params):
        nu = jax.tree.map(_factored, trees.real_full_like(params))
        return ScaleByFactoredRmsState(numerics.count_zero(), nu)

    def step(grads, state, params=None, **extra):
        def squarable(grads):
            return trees.squarable(grads, trees.full_shapes(state.nu, FactoredMoment))

        count = numerics.count_next(state.count)
        take = count.astype(jnp.result_type(float)) ** -decay_exponent
        means = jax.tree.map(
            lambda g: _factored(numerics.abs_square(g) + jnp.asarray(eps, g.real.dtype)),
            squarable(grads),
        )
        # Not numerics.ema, which would compute 1 − (1 − take): wrong by 0.4 % after 1e6 updates.
        nu = jax.tree.map(
            lambda old, new: (1 - take).astype(old.dtype) * old + take.astype(old.dtype) * new,
            state.nu,
            means,
        )
        scale = jax.tree.map(
            lambda v: _inverse_rms(v, min_rms),
            nu,
            is_leaf=lambda v: isinstance(v, FactoredMoment),
        )
        direction = squarable(trees.again(grads))
        return Step(direction, scale, ScaleByFactoredRmsState(count, nu))

    return Preconditioner(init, step, first_order=())


def _factored(square):
    if square.ndim < 2:
        return square
    return FactoredMoment(_mean(square, -1), _mean(square, -2))


def _mean(x, axis):
    """The mean along an axis, 0 if that is empty; the sum does not overflow where no entry does."""
    return jnp.sum(x * (1 / max(x.shape[axis], 1)), axis, keepdims=True)


def _inverse_rms(nu, min_rms):
    """`1 / √v`, computed from roots, because v itself or its derivative may overflow."""
    if isinstance(nu, FactoredMoment):
        mean = jnp.maximum(_mean(nu.row, -2), jnp.asarray(min_rms, nu.row.dtype))
        relative = numerics.root(nu.row) * (1 / numerics.root(mean))
        least = math.sqrt(jnp.finfo(relative.dtype).tiny)
        scale = (1 / jnp.maximum(relative, least)) * (1 / numerics.root(nu.column))
    else:
        scale = 1 / numerics.root(nu)
    return jnp.minimum(scale, 1 / jnp.asarray(min_rms, scale.dtype))


@constructor
def scale_by_param_rms(min_rms: Scalar = 1e-3) -> optax.GradientTransformationExtraArgs:
    r"""Multiplies each array's update by the root mean square of its parameters.

    .. math::
        u_t = g_t \max\big(min\_rms,\ \sqrt{\mathrm{mean}(|p_{t-1}|^2)}\big)

    This makes steps, and the learning rate, relative to the size of the parameters.

    Args:
      min_rms: lower limit of the root mean square, not negative; it lets parameters that are 0
        move. Default 1e-3 (paper, its ε2).

    State: none.

    Raises:
      ValueError: `min_rms` is negative, trees do not match, or `update` is called without
        parameters.

    Reference: Shazeer & Stern 2018, arXiv 1804.04235, section 8.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_param_rms()
    >>> params = {"w": jnp.array([3.0, 3.0, -3.0]), "b": jnp.zeros(1)}
    >>> updates, _ = tx.update({"w": jnp.ones(3), "b": jnp.ones(1)}, tx.init(params), params)
    >>> print(updates["w"], updates["b"])
    [3. 3. 3.] [0.001]
    """
    min_rms = number("min_rms", min_rms, "[0, inf)")

    def update(updates, state, params=None, **extra):
        require_params("scale_by_param_rms", params)

        def leaf(u, p):
            p = jnp.asarray(p, numerics.compute_dtype(p))
            u = jnp.asarray(u, p.dtype)
            size = numerics.rms(p)
            scaled = u * jnp.maximum(size, jnp.asarray(min_rms, size.dtype)).astype(u.dtype)
            return numerics.saturate(scaled, source=u)

        scaled = map_leaves(leaf, gradients=updates, parameters=params)
        return trees.cast_updates(scaled, updates, params), state

    return Transformation(lambda params: optax.EmptyState(), update)


def relative_step(learning_rate: ScalarOrSchedule = 1e-2) -> Schedule:
    r"""Adafactor's learning rate: :math:`\min(lr, 1/\sqrt{t})`, with t = 1 at the first update.

    A negative learning rate, which ascends, is at least :math:`-1/\sqrt{t}`.

    Args:
      learning_rate: upper limit, a number or a schedule of the number of updates already made.
        Default 1e-2 (paper).

    Returns:
      A schedule of the number of updates already made.

    Raises:
      ValueError: the learning rate is not finite.

    Reference: Shazeer & Stern 2018, arXiv 1804.04235.

    >>> lr = relative_step()
    >>> print(f"{lr(0):.4f} {lr(39999):.4f}")
    0.0100 0.0050
    """
    learning_rate = number_or_schedule("learning_rate", learning_rate, "(-inf, inf)")

    def schedule(count):
        t = jnp.asarray(count, jnp.result_type(float)) + 1
        rate = numerics.at_step(learning_rate, count)
        return jnp.clip(jnp.asarray(rate, t.dtype), -1 / jnp.sqrt(t), 1 / jnp.sqrt(t))

    return schedule


class RelativeStepState(NamedTuple):
    """The number of updates made."""

    step: jax.Array  # not `count`, so that `optax.tree.get` finds that of the second moment


@constructor
def scale_by_relative_step(
    learning_rate: ScalarOrSchedule = 1e-2,
) -> optax.GradientTransformationExtraArgs:
    r"""Multiplies updates by :math:`-\min(lr, 1/\sqrt t)`, the rate of `relative_step`.

    Args:
      learning_rate: upper limit of the rate, a number or a schedule of the number of updates
        already made. Default 1e-2 (paper).

    State: `step`, int32.

    Raises:
      ValueError: the learning rate is not finite.

    Reference: Shazeer & Stern 2018, arXiv 1804.04235.

    >>> tx = scale_by_relative_step(10.0)
    >>> state = tx.init(jnp.zeros(()))
    >>> for _ in range(4):
    ...     update, state = tx.update(jnp.array(1.0), state)
    >>> print(update)
    -0.5
    """
    scheduled = scale_by_learning_rate(relative_step(learning_rate))

    def init(params):
        return RelativeStepState(numerics.count_zero())

    def update(updates, state, params=None, **extra):
        at_step = optax.ScaleByScheduleState(state.step)
        updates, _ = scheduled.update(updates, at_step, params)
        return updates, RelativeStepState(numerics.count_next(state.step))

    return Transformation(init, update)


@register(
    "RMSprop with memory for rows and columns",
    reference="arXiv 1804.04235",
    learning_rate=(0.001, 1.0),
    weight_decay=(1e-4, 1.0),
)
def adafactor(
    learning_rate: ScalarOrSchedule = 1e-2,
    decay_exponent: Scalar = 0.8,
    eps: Scalar = 1e-30,
    max_rms: Scalar = 1.0,
    min_param_rms: Scalar = 1e-3,
    momentum: ScalarOrSchedule | None = None,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: PyTree | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""Adafactor: a factored second moment, and steps relative to the size of the parameters.

    .. math::
        p_t = p_{t-1} - \rho_t \big(\max(\epsilon_2, RMS(p_{t-1}))\, u_t
              + weight\_decay\, p_{t-1}\big), \qquad \rho_t = \min(lr, 1/\sqrt t)

    where :math:`u_t` is the gradient divided by its factored root mean square, scaled down if its
    own root mean square exceeds `max_rms`. To omit a part, write the chain yourself: without
    `scale_by_param_rms` the size of steps is absolute, and with `scale_by_learning_rate` in place
    of `scale_by_relative_step` the learning rate has no cap.

    Args:
      learning_rate: upper limit of the step size :math:`\rho_t`, a number or a schedule of the
        number of updates already made. Default 1e-2 (paper); Keras has 1e-3.
      decay_exponent: the second moment's decay rate is :math:`1 - t^{-decay\_exponent}`; not
        negative. Default 0.8 (paper, PyTorch, Keras).
      eps: added to the squared gradients, not negative. Default 1e-30 (paper, its ε1; Keras).
        PyTorch adds nothing, and has a lower limit instead: `min_rms` of `scale_by_factored_rms`.
      max_rms: upper limit of the root mean square of each array's :math:`u_t`, positive. Default
        1 (paper, its d).
      min_param_rms: lower limit of the parameters' root mean square (ε2 above), not negative; it
        lets parameters that are 0 move. Default 1e-3 (paper).
      momentum: decay rate in [0, 1] of a moving mean of the steps, a number or a schedule.
        Default None (paper): no such mean and no state for it. The mean is taken before the
        learning rate, in the authors' code after it; with a constant rate the two are the same.
      weight_decay: rate of decoupled decay, a number or a schedule. Multiplied by
        :math:`\rho_t`, not by the size of the parameters. Default 0 (paper: no decay).
      mask: a tree of booleans like the parameters, or a function from the parameters to one:
        which parameters decay. Default None: all.

    Raises:
      ValueError: a hyperparameter is out of range, trees do not match, or `update` is called
        without parameters.

    Reference: Shazeer & Stern 2018, arXiv 1804.04235.

    >>> import jax.numpy as jnp
    >>> tx = adafactor()
    >>> params = jnp.full((2, 2), 3.0)
    >>> grads = jnp.array([[1.0, -1.0], [100.0, 100.0]])
    >>> print(tx.update(grads, tx.init(params), params)[0].round(4))
    [[-0.03  0.03]
     [-0.03 -0.03]]
    """
    min_param_rms = number("min_param_rms", min_param_rms, "[0, inf)")
    stages = [
        scale_by_factored_rms(decay_exponent, eps),
        clip_by_block_rms(max_rms),
        scale_by_param_rms(min_param_rms),
    ]
    if momentum is not None:
        momentum = number_or_schedule("momentum", momentum, "[0, 1]")
        stages.append(moments.momentum(momentum, ema=True))
    return chain(
        *stages,
        add_decayed_weights(weight_decay, mask),
        scale_by_relative_step(learning_rate),
    )
