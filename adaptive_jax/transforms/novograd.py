"""NovoGrad: gradients normalized by a moving average of each array's squared norm."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, constructor
from adaptive_jax.typing import PyTree, Scalar
from adaptive_jax.validation import number, same_structure


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


def _shortened(g, real_dtype):
    """The gradient, shortened where its squared norm would overflow, and the squared norm."""
    info = jnp.finfo(real_dtype)
    g = jnp.asarray(g, f"complex{2 * info.bits}" if jnp.iscomplexobj(g) else info.dtype)
    longest = jnp.asarray(numerics.largest_squarable(real_dtype), info.dtype)
    norm = numerics.norm(g)
    shortened = g * (longest / jnp.maximum(norm, longest)).astype(g.dtype)
    return shortened, jnp.minimum(norm, longest) ** 2
