"""QHAdam: Adam's moments, each mixed with what the gradient of this step says alone."""

import jax
import jax.numpy as jnp

from adaptive_jax import numerics
from adaptive_jax.transforms import trees
from adaptive_jax.transforms.adam import ScaleByAdamState, moments
from adaptive_jax.transforms.preconditioner import Preconditioner
from adaptive_jax.typing import Scalar
from adaptive_jax.validation import number


def scale_by_qhadam(
    b1: Scalar = 0.995,
    b2: Scalar = 0.999,
    nu1: Scalar = 0.7,
    nu2: Scalar = 1.0,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
) -> Preconditioner:
    r"""Adam with quasi-hyperbolic moments: `nu1` and `nu2` of the mean, the rest of the moment.

    With the moments :math:`m_t, v_t` of Adam,

    .. math::
        u_t = \frac{\nu_1 \frac{m_t}{1 - b_1^t} + (1 - \nu_1) g_t}
                   {\sqrt{\nu_2 \frac{v_t}{1 - b_2^t} + (1 - \nu_2) |g_t|^2 + eps\_root} + eps}

    With `nu1 = nu2 = 1` it is Adam, with `nu1 = 0` RMSprop with a bias correction.

    Args:
      b1, b2: decay rates in [0, 1).
      nu1, nu2: weights of the means, in [0, 1]. These four defaults are the ones the authors
        recommend; those of their code are Adam's.
      eps, eps_root: as in `scale_by_adam`.

    State: Adam's: `count` int32, `mu` in the parameters' shapes and `nu` real, both float32 or
    wider.

    Raises:
      ValueError: a hyperparameter is out of range, or trees do not match.

    Reference: Ma & Yarats 2019, arXiv 1810.06801.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_qhadam(b1=0.5, b2=0.0, nu1=0.75)  # gradients of size 1 are only averaged
    >>> state = tx.init(jnp.zeros(()))
    >>> for grad in (1.0, -1.0):
    ...     update, state = tx.update(jnp.array(grad), state)
    >>> print(update)  # 3/4 of the mean -1/3, and 1/4 of -1
    -0.5
    """
    b1, b2 = number("b1", b1, "[0, 1)"), number("b2", b2, "[0, 1)")
    nu1, nu2 = number("nu1", nu1, "[0, 1]"), number("nu2", nu2, "[0, 1]")
    eps, eps_root = number("eps", eps, "[0, inf)"), number("eps_root", eps_root, "[0, inf)")

    def init(params):
        return ScaleByAdamState(
            numerics.count_zero(), trees.zeros_like(params), trees.real_full_like(params)
        )

    def accumulate(grads, state, params, **extra):
        mu, nu = moments(grads, state, b1, b2)
        return ScaleByAdamState(numerics.count_next(state.count), mu, nu)

    def factor(grads, state):
        grads = trees.squarable(grads, state.nu)
        correction1 = numerics.bias_correction(b1, state.count)
        correction2 = numerics.bias_correction(b2, state.count)

        def direction(m, g):  # the scale divides it by the correction, which g is to have not
            uncorrected = correction1.astype(m.dtype) * g
            return jnp.asarray(nu1, m.dtype) * m + jnp.asarray(1 - nu1, m.dtype) * uncorrected

        def scale(v, g):
            c1, c2 = correction1.astype(v.dtype), correction2.astype(v.dtype)
            square = numerics.ema(v / c2, numerics.abs_square(g), nu2)
            return numerics.inverse_root(square, eps, eps_root) / c1

        return (
            jax.tree.map(direction, state.mu, grads),
            jax.tree.map(scale, state.nu, grads),
        )

    return Preconditioner(init, accumulate, factor)
