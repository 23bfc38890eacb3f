"""Schedule-Free: an average of the iterates in place of a decreasing learning rate."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Transformation, chain, constructor
from adaptive_jax.methods.rmsprop import scale_by_rms
from adaptive_jax.registry import register
from adaptive_jax.schedules import linear_warmup
from adaptive_jax.stages.decay import add_decayed_weights
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import Params, PyTree, Scalar, ScalarOrSchedule, State
from adaptive_jax.validation import (
    leaf_names,
    map_leaves,
    number,
    number_or_schedule,
    require_params,
    steps,
)

__all__ = [
    "ScheduleFreeState",
    "schedule_free",
    "schedule_free_adamw",
    "schedule_free_params",
    "schedule_free_sgd",
]


class ScheduleFreeState(NamedTuple):
    """The fields of `optax.contrib.ScheduleFreeState`, and `y`.

    `step_count` is the number of updates made (Optax's starts at 1), `max_lr` the largest learning
    rate so far. `y` has those parameters in float32 that are trained in half precision, and None
    for the others.
    """

    b1: jax.Array
    weight_sum: jax.Array
    step_count: jax.Array
    max_lr: jax.Array
    base_optimizer_state: State
    z: Params
    y: PyTree


@constructor
def schedule_free(
    tx: optax.GradientTransformation,
    learning_rate: ScalarOrSchedule,
    b1: Scalar = 0.9,
    weight_lr_power: Scalar = 2.0,
    r: Scalar = 0.0,
) -> optax.GradientTransformationExtraArgs:
    r"""Trains at a point between the iterates of an optimizer and their average.

    .. math::
        z_t &= z_{t-1} + u_t(g_t,\ y_{t-1}), \qquad
        x_t = (1 - c_t)\, x_{t-1} + c_t z_t, \qquad
        y_t = (1 - b_1)\, z_t + b_1 x_t \\
        c_t &= w_t \big/ \textstyle\sum_{i \le t} w_i, \qquad
        w_t = t^r \max_{i \le t} lr_i^{weight\_lr\_power}

    The parameters are y: gradients are taken there, and :math:`u_t` is the update that `tx`
    computes from them. Evaluate the model at x, which `schedule_free_params` returns. All three
    start at the same point.

    Args:
      tx: any optimizer, including its learning rate, best without momentum, which `b1` replaces. It
        gets y as the parameters, so its weight decay is "at y", as in the authors' optimizers.
      learning_rate: that of `tx`, a number or a schedule of the number of updates already made,
        with a warm-up but no decay.
      b1: weight of the average x in y, in (0, 1]. Default 0.9 (paper).
      weight_lr_power: power of the largest rate so far in the weights of the average, not
        negative. Default 2 (authors' code); Keras has 0.
      r: power of the number of the update in these weights, not negative. Default 0 (authors'
        code).

    State, with Optax's names: `b1`, `weight_sum` and `max_lr`, numbers; `step_count` int32;
    `base_optimizer_state`; `z` in the parameters' shapes, float32 or wider; and `y`. For parameters
    in half precision `y` keeps a float32 copy, because an average whose weights decrease as 1/t
    would soon stop changing in bfloat16. For others it has None.

    Raises:
      ValueError: a hyperparameter is out of range, trees do not match, or `update` is called
        without parameters.

    Reference: Defazio et al. 2024, arXiv 2405.15682.

    >>> from adaptive_jax import sgd
    >>> tx = schedule_free(sgd(1.0), learning_rate=1.0, b1=0.5)
    >>> params = jnp.array(0.0)
    >>> state = tx.init(params)
    >>> for _ in range(3):
    ...     updates, state = tx.update(jnp.array(-1.0), state, params)
    ...     params = params + updates
    >>> print(state.z, schedule_free_params(state, params), params)  # x is the mean of 1, 2, 3
    3.0 2.0 2.5
    """
    learning_rate = number_or_schedule("learning_rate", learning_rate, "(-inf, inf)")
    b1 = number("b1", b1, "(0, 1]")
    weight_lr_power = number("weight_lr_power", weight_lr_power, "[0, inf)")
    r = number("r", r, "[0, inf)")
    tx = optax.with_extra_args_support(tx)

    def init(params):
        z = trees.copy(params)
        y = jax.tree.map(lambda p, z: None if _is_wide(p) else jnp.array(z), params, z)
        # The optimizer gets parameters in full precision at every update, so also here.
        return ScheduleFreeState(
            step_count=numerics.count_zero(),
            b1=trees.real_scalar(params, b1),
            weight_sum=trees.real_scalar(params),
            max_lr=trees.real_scalar(params),
            z=z,
            y=y,
            base_optimizer_state=tx.init(z),
        )

    def update(updates, state, params=None, **extra):
        require_params("schedule_free", params)
        map_leaves(lambda *_: None, gradients=updates, parameters=params, state=state.z)
        y = _in_full(params, state.y)
        step, inner = tx.update(updates, state.base_optimizer_state, y, **extra)

        dtype = state.weight_sum.dtype
        count = numerics.count_next(state.step_count)
        rate = jnp.abs(jnp.asarray(numerics.at_step(learning_rate, state.step_count), dtype))
        max_lr = jnp.maximum(state.max_lr, rate)
        weight = _weight(max_lr, weight_lr_power, count, r)
        weight_sum = state.weight_sum + weight
        c = weight / jnp.where(weight_sum == 0, 1, weight_sum)
        ahead = jnp.asarray(1 - b1, dtype) * (1 - c)
        z = jax.tree.map(_add, state.z, step)

        # The difference y' − y, where y' = (1 − b1) z' + b1 x'. It needs neither x, which is not
        # stored, nor the old z, which is z' − u: c (z' − y) + (1 − b1) (1 − c) u.
        def move(y, z, u):
            u = jnp.asarray(u, z.dtype)
            new = numerics.part_of_way(c, y, z) + ahead.astype(z.dtype) * u
            return numerics.saturate(new, source=u)

        def from_params(p, moved, y):
            if _is_wide(p):
                return moved
            return numerics.saturate(y - jnp.asarray(p, y.dtype), source=y)

        moved = jax.tree.map(move, y, z, step)
        new_y = jax.tree.map(_add, y, moved)
        moved = jax.tree.map(from_params, params, moved, new_y)
        state = ScheduleFreeState(
            step_count=count,
            b1=jnp.asarray(b1, dtype),
            weight_sum=weight_sum,
            max_lr=max_lr,
            z=z,
            y=jax.tree.map(lambda p, y: None if _is_wide(p) else y, params, new_y),
            base_optimizer_state=inner,
        )
        return trees.cast_updates(moved, updates, params), state

    return Transformation(init, update)


def schedule_free_params(state: State, params: Params) -> Params:
    r"""Returns the averaged parameters x of `schedule_free`, at which to evaluate the model.

    .. math::
        x = y + (1 - 1/b_1)\,(z - y)

    Args:
      state: the optimizer's state: a `ScheduleFreeState`, or one that contains it, such as the
        `opt_state` of an `nnx.Optimizer`.
      params: the parameters y that are trained: a tree of arrays, `nnx.state(model, nnx.Param)`,
        or an Equinox model.

    Returns:
      Parameters with the same dtypes, in the containers of `params`. Leaves that are not
      floating-point or complex arrays are returned unchanged.

    Raises:
      ValueError: the state does not contain exactly one `ScheduleFreeState`, or trees do not match.

    >>> from adaptive_jax import schedule_free_sgd
    >>> tx = schedule_free_sgd(0.5)
    >>> params = jnp.array(2.0)
    >>> state = tx.init(params)
    >>> print(schedule_free_params(state, params))
    2.0
    """
    found = trees.nodes_of(ScheduleFreeState, state)
    if len(found) != 1:
        raise ValueError(
            f"the state must contain exactly one ScheduleFreeState, found {len(found)}"
        )
    (state,) = found
    arrays = trees.inexact(params)
    z = trees.like(parameters=arrays, state=state.z)
    map_leaves(lambda *_: None, parameters=arrays, state=z)
    in_full, (b1,) = trees.by_name(state.y), jax.tree.leaves(state.b1)

    def leaf(path, p, z):
        y = in_full.get(leaf_names(path), jnp.asarray(p, z.dtype))
        return numerics.cast(y + (1 - 1 / b1).astype(z.dtype) * (z - y), jnp.result_type(p))

    average = jax.tree_util.tree_map_with_path(leaf, arrays, z)
    return jax.tree.map(lambda p, x: p if x is None else x, params, average)


@register(
    "SGD, averaging its path in place of a schedule",
    reference="arXiv 2405.15682",
    learning_rate=(0.01, 10.0),
    weight_decay=(1e-4, 1.0),
    scheduled=False,
)
def schedule_free_sgd(
    learning_rate: ScalarOrSchedule = 1.0,
    b1: Scalar = 0.9,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: PyTree | None = None,
    warmup_steps: int = 0,
    weight_lr_power: Scalar = 2.0,
    r: Scalar = 0.0,
) -> optax.GradientTransformationExtraArgs:
    r"""Schedule-Free SGD: SGD that averages its iterates in place of a learning-rate schedule.

    .. math::
        z_t = z_{t-1} - lr\,(g_t + weight\_decay\, y_{t-1}), \qquad
        x_t = (1 - c_t)\, x_{t-1} + c_t z_t, \qquad
        p_t = y_t = (1 - b_1)\, z_t + b_1 x_t

    The weights :math:`c_t` of the average are given at `schedule_free`. Gradients are taken at the
    parameters y; evaluate the model at the average x, `schedule_free_params(state, params)`.

    Args:
      learning_rate: step size, a number or a schedule of the number of updates already made,
        which need not decrease; larger than for SGD. Default 1.0 (authors' code).
      b1: weight of the average x in y, in (0, 1]; takes the place of momentum. Default 0.9
        (authors' code).
      weight_decay: rate of the decay at y, a number or a schedule; multiplied by the learning
        rate. Default 0 (authors' code).
      mask: a tree of booleans like the parameters, or a function from the parameters to one:
        which parameters decay. Default None: all.
      warmup_steps: length of a linear warm-up of the learning rate, as in
        `schedules.linear_warmup`. Default 0 (authors' code): none.
      weight_lr_power: power of the largest learning rate so far in the weights of the average,
        not negative. Default 2 (authors' code).
      r: power of the number of the update in the weights of the average, not negative. Default 0
        (authors' code).

    Raises:
      ValueError: a hyperparameter is out of range, trees do not match, or `update` is called
        without parameters.

    Reference: Defazio et al. 2024, arXiv 2405.15682.

    >>> import jax.numpy as jnp
    >>> tx = schedule_free_sgd(0.5)
    >>> params = jnp.array(2.0)
    >>> print(tx.update(jnp.array(1.0), tx.init(params), params)[0])  # x = y = z at the start
    -0.5
    """
    rate = _warmed_up(learning_rate, warmup_steps)
    descent = chain(
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(rate),
    )
    return schedule_free(descent, rate, b1, weight_lr_power, r)


@register(
    "AdamW, averaging its path in place of a schedule",
    reference="arXiv 2405.15682",
    learning_rate=(0.0001, 0.1),
    weight_decay=(1e-4, 1.0),
    scheduled=False,
)
def schedule_free_adamw(
    learning_rate: ScalarOrSchedule = 0.0025,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: PyTree | None = None,
    warmup_steps: int = 0,
    weight_lr_power: Scalar = 2.0,
    r: Scalar = 0.0,
) -> optax.GradientTransformationExtraArgs:
    r"""Schedule-Free AdamW: AdamW that averages its iterates in place of a learning-rate schedule.

    .. math::
        z_t = z_{t-1} - lr\,\Big(\frac{g_t}{\sqrt{\hat v_t} + eps} + weight\_decay\, y_{t-1}\Big),
        \qquad p_t = y_t = (1 - b_1)\, z_t + b_1 x_t

    with the average :math:`x_t` as in `schedule_free_sgd`. There is no first moment, so the state
    is as large as Adam's. Evaluate the model at x, `schedule_free_params(state, params)`.

    Args:
      learning_rate: step size, a number or a schedule of the number of updates already made,
        which need not decrease. Default 0.0025 (authors' code).
      b1: weight of the average x in y, in (0, 1]; takes the place of momentum. Default 0.9
        (authors' code).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (authors' code).
      eps: added to the corrected root, not negative. Default 1e-8 (authors' code).
      weight_decay: rate of the decay at y, a number or a schedule; multiplied by the learning
        rate. Default 0 (authors' code).
      mask: a tree of booleans like the parameters, or a function from the parameters to one:
        which parameters decay. Default None: all.
      warmup_steps: length of a linear warm-up of the learning rate, as in
        `schedules.linear_warmup`. Default 0 (authors' code): none.
      weight_lr_power: power of the largest learning rate so far in the weights of the average,
        not negative. Default 2 (authors' code); Keras has 0.
      r: power of the number of the update in the weights of the average, not negative. Default 0
        (authors' code).

    Raises:
      ValueError: a hyperparameter is out of range, trees do not match, or `update` is called
        without parameters.

    Reference: Defazio et al. 2024, arXiv 2405.15682.

    >>> import jax.numpy as jnp
    >>> tx = schedule_free_adamw(0.1)
    >>> params = jnp.zeros(2)
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(params), params)[0].round(3))
    [-0.1  0.1]
    """
    b2 = number("b2", b2, "[0, 1)")
    rate = _warmed_up(learning_rate, warmup_steps)
    descent = chain(
        scale_by_rms(b2, eps, bias_correction=True),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(rate),
    )
    return schedule_free(descent, rate, b1, weight_lr_power, r)


def _weight(max_lr, weight_lr_power, count, r):
    """The weight of an iterate in the average: 0 as long as all rates were 0, else at least `tiny`.

    Only ratios of weights matter, and a sum of 2^31 of the largest must be finite.
    """
    weight = numerics.power(max_lr, weight_lr_power)
    weight *= numerics.power(count.astype(weight.dtype), r)
    info = jnp.finfo(weight.dtype)
    return jnp.where(max_lr > 0, jnp.clip(weight, info.tiny, info.max * 2.0**-32), 0)


def _is_wide(p) -> bool:
    return numerics.compute_dtype(p) == jnp.result_type(p)


def _in_full(params, y):
    """The parameters in at least float32: from `y` where it has them."""
    return jax.tree.map(
        lambda p, y: jnp.asarray(p, numerics.compute_dtype(p)) if y is None else y, params, y
    )


def _add(x, u):
    u = jnp.asarray(u, x.dtype)
    return numerics.saturate(x + u, source=u)


def _warmed_up(learning_rate, warmup_steps):
    learning_rate = number_or_schedule("learning_rate", learning_rate, "(-inf, inf)")
    if steps("warmup_steps", warmup_steps, minimum=0) == 0:
        return learning_rate
    return linear_warmup(learning_rate, warmup_steps)
