"""FTRL-proximal: parameters that minimize a regularized model of all past gradients."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Transformation, chain, constructor
from adaptive_jax.registry import register
from adaptive_jax.typing import Scalar, ScalarOrSchedule, Updates
from adaptive_jax.validation import (
    NO_ASCENT,
    map_leaves,
    number,
    number_or_schedule,
    require_params,
)

__all__ = ["FtrlState", "ftrl", "ftrl_proximal"]


class FtrlState(NamedTuple):
    """State of `ftrl_proximal`: updates so far, 1 / learning rate, sum of squares, z (`linear`)."""

    count: jax.Array
    per_rate: jax.Array
    sum_of_squares: Updates
    linear: Updates


@constructor
def ftrl_proximal(
    learning_rate: ScalarOrSchedule,
    learning_rate_power: Scalar = -0.5,
    initial_accumulator: Scalar = 0.1,
    l1: Scalar = 0.0,
    l2: Scalar = 0.0,
    l2_shrinkage: Scalar = 0.0,
    beta: Scalar = 0.0,
) -> optax.GradientTransformationExtraArgs:
    r"""Follows the regularized leader: each update minimizes a model of all gradients so far.

    .. math::
        n_t &= n_{t-1} + |g_t|^2, \qquad q_t = (beta + n_t^{-power}) / lr_t \\
        z_t &= z_{t-1} + g_t + l2\_shrinkage\, p_{t-1} - (q_t - q_{t-1})\, p_{t-1} \\
        p_t &= -\frac{z_t}{|z_t|} \frac{\max(|z_t| - l1,\ 0)}{q_t + l2}, \qquad
        u_t = p_t - p_{t-1}

    This is a complete optimizer: add its updates to the parameters without a learning rate. The
    parameters depend on the gradients alone, and soon no longer on their initial values; this suits
    (generalized) linear models, which may start at 0. Half-precision parameters are rounded values
    of parameters that the state determines in full precision.

    A zero gradient moves parameters that the gradients so far do not account for (those that did
    not start at 0). With `l1`, `l2`, `l2_shrinkage` or a changing rate it moves all of them.

    Args:
      learning_rate: positive, a number or a schedule. A changing rate, by a schedule or by
        `tunable`, changes :math:`q_t` as in the paper, where :math:`\sigma_{1:t} = q_t`: a falling
        rate only shortens steps. Keras uses the new rate for :math:`q_{t-1}` as well, which pulls
        the parameters towards 0.
      learning_rate_power: not positive; 0 keeps the learning rate constant. Default -0.5 (paper,
        Keras).
      initial_accumulator: :math:`n_0`, not negative. Default 0.1 (Keras); 0 in the paper.
      l1: the paper's λ1, not negative: parameters with :math:`|z_t| \le l1` are exactly 0. Default
        0 (Keras).
      l2: the paper's λ2, with the penalty λ2·p²/2, not negative; twice Keras's
        `l2_regularization_strength`. Default 0 (Keras).
      l2_shrinkage: factor of the parameters that are added to the gradient, but not to its square,
        not negative; twice Keras's `l2_shrinkage_regularization_strength`. Default 0 (Keras; the
        paper has none).
      beta: not negative. Default 0 (Keras); about 1 in the paper.

    State: `FtrlState` with `count` (int32); `per_rate`, :math:`1 / lr_t` of the last update;
    `sum_of_squares` (:math:`n_t`), real, and `linear` (:math:`z_t`), both in the shapes of the
    parameters. All but `count` are in float32 or wider.

    Raises:
      ValueError: a hyperparameter is out of range, the trees passed to `update` do not match, or
        `update` is called without parameters.

    Reference: McMahan et al. 2013, "Ad click prediction: a view from the trenches", doi
    10.1145/2487575.2488200.

    >>> import jax.numpy as jnp
    >>> tx = ftrl_proximal(0.1, initial_accumulator=0.0, l1=1.0)
    >>> params = jnp.array([0.0, 3.0])
    >>> updates, state = tx.update(jnp.array([4.0, 0.0]), tx.init(params), params)
    >>> print(params + updates)
    [-0.075  0.   ]
    """
    learning_rate = number_or_schedule("learning_rate", learning_rate, "(0, inf)", NO_ASCENT)
    power = number("learning_rate_power", learning_rate_power, "(-inf, 0]")
    initial_accumulator = number("initial_accumulator", initial_accumulator, "[0, inf)")
    l1, l2 = number("l1", l1, "[0, inf)"), number("l2", l2, "[0, inf)")
    l2_shrinkage = number("l2_shrinkage", l2_shrinkage, "[0, inf)")
    beta = number("beta", beta, "[0, inf)")

    def init(params):
        squares = trees.real_full_like(params, initial_accumulator)
        per_rate = trees.real_scalar(params)
        return FtrlState(numerics.count_zero(), per_rate, squares, trees.zeros_like(params))

    def update(updates, state, params=None, **extra):
        require_params("ftrl_proximal", params)
        per_rate = 1 / numerics.at_step(learning_rate, state.count)
        per_rate = jnp.asarray(per_rate, state.per_rate.dtype)
        per_rate_before = jnp.where(state.count == 0, per_rate, state.per_rate)
        params_before = map_leaves(
            lambda p, z: jnp.asarray(p, z.dtype), parameters=params, state=state.linear
        )
        grads = trees.squarable(updates, state.sum_of_squares)
        squares = jax.tree.map(numerics.add_square, state.sum_of_squares, grads)

        def strength(total, per_rate):
            """The inverse of each coordinate's learning rate: q in the docstring."""
            floored = jnp.maximum(total, jnp.finfo(total.dtype).tiny)
            grown = jnp.asarray(beta, total.dtype) + numerics.power(floored, -power)
            return jnp.minimum(grown * per_rate.astype(total.dtype), jnp.finfo(total.dtype).max)

        def accumulate(z, g, p, before, now):
            added = strength(now, per_rate) - strength(before, per_rate_before)
            pull = (added - jnp.asarray(l2_shrinkage, added.dtype)).astype(z.dtype)
            return numerics.saturate(z + g.astype(z.dtype) - pull * p, source=g)

        def move(z, p, now):
            below = strength(now, per_rate) + jnp.asarray(l2, now.dtype)
            new = numerics.saturate(-_soft_threshold(z, l1) / below.astype(z.dtype), source=z)
            return numerics.saturate(new - p, source=z)

        linear = jax.tree.map(
            accumulate, state.linear, grads, params_before, state.sum_of_squares, squares
        )
        moves = jax.tree.map(move, linear, params_before, squares)
        state = FtrlState(numerics.count_next(state.count), per_rate, squares, linear)
        return trees.cast_updates(moves, updates, params), state

    return Transformation(init, update)


@register(
    "Adagrad with sparse parameters, for linear models",
    reference="McMahan et al. 2013",
    learning_rate=(0.001, 1.0),
    scheduled=False,
)
def ftrl(
    learning_rate: ScalarOrSchedule = 1e-3,
    learning_rate_power: Scalar = -0.5,
    initial_accumulator: Scalar = 0.1,
    l1: Scalar = 0.0,
    l2: Scalar = 0.0,
    l2_shrinkage: Scalar = 0.0,
    beta: Scalar = 0.0,
) -> optax.GradientTransformationExtraArgs:
    r"""FTRL-proximal: Adagrad's learning rates, and parameters that `l1` makes exactly 0.

    .. math::
        p_t = -\frac{z_t}{|z_t|}
              \frac{\max(|z_t| - l1,\ 0)}{(beta + n_t^{-learning\_rate\_power}) / lr + l2}

    with the sum :math:`n_t` of squared gradients and the :math:`z_t` of `ftrl_proximal`. The
    initial parameters are soon forgotten: a zero gradient also moves parameters that did not start
    at 0. So it suits linear models, but not networks, whose initialization matters.

    Args:
      learning_rate: positive, a number or a schedule. Default 1e-3 (Keras); the paper tunes it.
      learning_rate_power: exponent of :math:`n_t` in the learning rate, not positive. Default -0.5
        (paper, Keras).
      initial_accumulator: :math:`n_0`, not negative. Default 0.1 (Keras); 0 in the paper.
      l1: strength of the L1 penalty, not negative. Default 0 (Keras).
      l2: strength of the L2 penalty l2·p²/2, not negative; twice Keras's. Default 0 (Keras).
      l2_shrinkage: factor of the parameters that are added to the gradient, but not to its square,
        not negative; twice Keras's. Default 0 (Keras; the paper has none).
      beta: added to the root of :math:`n_t`, not negative. Default 0 (Keras); 1 in the paper.

    State: a tuple whose first entry is an `FtrlState` (see `ftrl_proximal`).

    Raises:
      ValueError: a hyperparameter is out of range, the trees passed to `update` do not match, or
        `update` is called without parameters.

    Reference: McMahan et al. 2013, doi 10.1145/2487575.2488200.

    >>> import jax.numpy as jnp
    >>> tx = ftrl(0.1, initial_accumulator=0.0)
    >>> params = jnp.zeros(2)
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(params), params)[0].round(3))
    [-0.1  0.1]
    """
    return chain(
        ftrl_proximal(
            learning_rate, learning_rate_power, initial_accumulator, l1, l2, l2_shrinkage, beta
        )
    )


def _soft_threshold(z, limit):
    """`z` shortened by `limit`, or 0 where `z` is no longer than `limit`."""
    limit = jnp.asarray(limit, z.real.dtype)
    if not jnp.iscomplexobj(z):
        return z - jnp.clip(z, -limit, limit)
    length = numerics.root(numerics.abs_square(z))
    return z * jnp.maximum(1 - limit / length, 0).astype(z.dtype)
