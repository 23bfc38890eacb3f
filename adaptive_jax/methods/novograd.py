"""NovoGrad: gradients normalized by a moving average of each array's squared norm."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, chain, constructor
from adaptive_jax.registry import register
from adaptive_jax.stages import moments
from adaptive_jax.stages.decay import add_decayed_weights
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import PyTree, Scalar, ScalarOrSchedule
from adaptive_jax.validation import number, number_or_schedule, same_structure

__all__ = ["ScaleByNovogradState", "novograd", "scale_by_novograd"]


class ScaleByNovogradState(NamedTuple):
    """State of `scale_by_novograd`: updates so far, and the mean squared norm of each array."""

    count: jax.Array
    nu: PyTree


@constructor
def scale_by_novograd(b2: Scalar = 0.98, eps: Scalar = 1e-8) -> Preconditioner:
    r"""Divides each array's gradient by the root of a moving average of its squared norm.

    .. math::
        v_1 = \|g_1\|^2, \qquad v_t = b_2 v_{t-1} + (1 - b_2) \|g_t\|^2, \qquad
        u_t = g_t / (\sqrt{v_t} + eps)

    The other parts of NovoGrad are stages after this one: `add_decayed_weights`, then `momentum`,
    whose buffer starts with the first step.

    Args:
      b2: decay rate of the mean squared norm, in [0, 1]. Default 0.98 (paper); 0.25 in the paper's
        language model and in Optax.
      eps: added to the root, not negative. Default 1e-8 (authors' code); 1e-6 in Optax.

    State: `ScaleByNovogradState` with `count` (int32) and `nu`, a real number for each array, in
    float32 or wider.

    Raises:
      ValueError: a hyperparameter is out of range, or the trees passed to `update` do not match.

    Reference: Ginsburg et al. 2019, arXiv 1905.11286.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_novograd()
    >>> updates, state = tx.update(jnp.array([3.0, -4.0]), tx.init(jnp.zeros(2)))
    >>> print(updates, state.nu)
    [ 0.6 -0.8] 25.0
    """
    b2, eps = number("b2", b2, "[0, 1]"), number("eps", eps, "[0, inf)")

    def init(params):
        nu = jax.tree.map(lambda p: jnp.zeros([], numerics.real_dtype(p)), params)
        return ScaleByNovogradState(numerics.count_zero(), nu)

    def step(grads, state, params=None, **extra):
        same_structure(gradients=grads, state=state.nu)

        def mean_square(g, v):
            _, square = _shortened(g, v.dtype)
            return jnp.where(state.count == 0, square, numerics.ema(v, square, b2))

        nu = jax.tree.map(mean_square, grads, state.nu)
        grads = trees.again(grads)
        direction = jax.tree.map(lambda g, v: _shortened(g, v.dtype)[0], grads, nu)
        scale = jax.tree.map(
            lambda g, v: jnp.full_like(g, numerics.inverse_root(v, eps, 0.0), v.dtype), grads, nu
        )
        count = numerics.count_next(state.count)
        return Step(direction, scale, ScaleByNovogradState(count, nu))

    return Preconditioner(init, step, first_order=())


@register(
    "momentum of gradients over their arrays' mean norms",
    reference="arXiv 1905.11286",
    learning_rate=(0.0001, 0.1),
    weight_decay=(1e-4, 1.0),
)
def novograd(
    learning_rate: ScalarOrSchedule = 0.01,
    b1: ScalarOrSchedule = 0.95,
    b2: Scalar = 0.98,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule = 0.0,
    mask: PyTree | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""NovoGrad: momentum of gradients that are normalized array by array, and of weight decay.

    .. math::
        m_1 = u_1 + weight\_decay\, p_0, \qquad
        m_t = b_1 m_{t-1} + (u_t + weight\_decay\, p_{t-1}), \qquad p_t = p_{t-1} - lr\, m_t

    where :math:`u_t` is the gradient over the root of the moving average of its squared norm (see
    `scale_by_novograd`).

    Args:
      learning_rate: step size, a number or a schedule. Default 0.01 (paper).
      b1: decay rate of the momentum, in [0, 1], a number or a schedule. Default 0.95 (paper); 0.9
        in Optax.
      b2: decay rate of the mean squared norm, in [0, 1]. Default 0.98 (paper); 0.25 in Optax.
      eps: added to the root, not negative. Default 1e-8 (authors' code); 1e-6 in Optax.
      weight_decay: factor of the parameters in the update, a number or a schedule. Default 0
        (Optax; the paper tunes it).
      mask: a tree of booleans, or a function from the parameters to one; only leaves with True
        decay. Default None: all of them.

    State: a tuple whose first entry is a `ScaleByNovogradState` (see `scale_by_novograd`); the
    third is that of `momentum`.

    Raises:
      ValueError: a hyperparameter is out of range, the trees passed to `update` do not match, or
        `update` is called without parameters.

    Reference: Ginsburg et al. 2019, arXiv 1905.11286.

    >>> import jax.numpy as jnp
    >>> tx = novograd(0.1)
    >>> params = jnp.zeros(2)
    >>> updates, _ = tx.update(jnp.array([4.0, -3.0]), tx.init(params), params)
    >>> print(f"{updates[0]:.3f} {updates[1]:.3f}")
    -0.080 0.060
    """
    b1 = number_or_schedule("b1", b1, "[0, 1]")
    return chain(
        scale_by_novograd(b2, eps),
        add_decayed_weights(weight_decay, mask),
        moments.momentum(b1),
        scale_by_learning_rate(learning_rate),
    )


def _shortened(g, real_dtype):
    """The gradient, shortened where its squared norm would overflow, and the squared norm."""
    info = jnp.finfo(real_dtype)
    g = jnp.asarray(g, f"complex{2 * info.bits}" if jnp.iscomplexobj(g) else info.dtype)
    longest = jnp.asarray(numerics.largest_squarable(real_dtype), info.dtype)
    norm = numerics.norm(g)
    shortened = g * (longest / jnp.maximum(norm, longest)).astype(g.dtype)
    return shortened, jnp.minimum(norm, longest) ** 2
