"""QHAdam: Adam with quasi-hyperbolic moments, each mixed with the current gradient."""

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, chain, constructor
from adaptive_jax.methods.adam import moments
from adaptive_jax.registry import register
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import Scalar, ScalarOrSchedule
from adaptive_jax.validation import number

__all__ = ["ScaleByQHAdamState", "qhadam", "scale_by_qhadam"]


class ScaleByQHAdamState(optax.ScaleByAdamState):
    """State of `scale_by_qhadam`: Adam's fields, in a separate class since the updates differ."""


@constructor
def scale_by_qhadam(
    b1: Scalar = 0.995,
    b2: Scalar = 0.999,
    nu1: Scalar = 0.7,
    nu2: Scalar = 1.0,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
) -> Preconditioner:
    r"""Adam with quasi-hyperbolic moments: averages of each moment and the current gradient.

    With the moments :math:`m_t, v_t` of `scale_by_adam`,

    .. math::
        u_t = \frac{\nu_1 \frac{m_t}{1 - b_1^t} + (1 - \nu_1) g_t}
                   {\sqrt{\nu_2 \frac{v_t}{1 - b_2^t} + (1 - \nu_2) |g_t|^2 + eps\_root} + eps}

    With `nu1 = nu2 = 1` it is Adam; with `nu1 = 0` it is RMSprop with a bias correction.

    Args:
      b1: decay rate of the first moment, in [0, 1). Default 0.995 (recommended by the authors).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (recommended by the authors).
      nu1: weight of the first moment, in [0, 1]; the rest is the gradient's. Default 0.7
        (recommended by the authors; the defaults of their code are Adam's).
      nu2: weight of the second moment, in [0, 1]; the rest is the squared gradient's. Default 1
        (recommended by the authors).
      eps: added to the root, not negative. Default 1e-8 (authors' code).
      eps_root: added under the root, not negative. Default 0 (authors' code).

    State: `ScaleByQHAdamState` with `count` (int32), `mu` in the shapes of the parameters and `nu`,
    likewise and real; both in float32 or wider.

    Raises:
      ValueError: a hyperparameter is out of range, or the trees passed to `update` do not match.

    Reference: Ma & Yarats 2019, arXiv 1810.06801.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_qhadam(b1=0.5, b2=0.0, nu1=0.75)  # b2 = 0 normalizes each gradient to size 1
    >>> state = tx.init(jnp.zeros(()))
    >>> for grad in (1.0, -1.0):
    ...     update, state = tx.update(jnp.array(grad), state)
    >>> print(update)  # 3/4 of the average, -1/3, and 1/4 of the gradient, -1
    -0.5
    """
    b1, b2 = number("b1", b1, "[0, 1)"), number("b2", b2, "[0, 1)")
    nu1, nu2 = number("nu1", nu1, "[0, 1]"), number("nu2", nu2, "[0, 1]")
    eps, eps_root = number("eps", eps, "[0, inf)"), number("eps_root", eps_root, "[0, inf)")

    def init(params):
        return ScaleByQHAdamState(
            numerics.count_zero(), trees.zeros_like(params), trees.real_full_like(params)
        )

    def step(grads, state, params=None, **extra):
        count = numerics.count_next(state.count)
        mu, nu = moments(grads, state, b1, b2)
        correction1 = numerics.bias_correction(b1, count)
        correction2 = numerics.bias_correction(b2, count)

        def mix(m, g):  # g is multiplied by the correction, since the scale divides by it
            uncorrected = correction1.astype(m.dtype) * g
            return jnp.asarray(nu1, m.dtype) * m + jnp.asarray(1 - nu1, m.dtype) * uncorrected

        def scale(v, g):
            c1, c2 = correction1.astype(v.dtype), correction2.astype(v.dtype)
            square = numerics.ema(v / c2, numerics.abs_square(g), nu2)
            return numerics.inverse_root(square, eps, eps_root) / c1

        grads = trees.squarable(trees.again(grads), nu)
        direction, scales = jax.tree.map(mix, mu, grads), jax.tree.map(scale, nu, grads)
        return Step(direction, scales, ScaleByQHAdamState(count, mu, nu))

    return Preconditioner(init, step)


@register(
    "Adam's moments mixed with the gradient of the step",
    reference="arXiv 1810.06801",
    learning_rate=(0.0001, 0.1),
)
def qhadam(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: Scalar = 0.995,
    b2: Scalar = 0.999,
    nu1: Scalar = 0.7,
    nu2: Scalar = 1.0,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
) -> optax.GradientTransformationExtraArgs:
    r"""QHAdam: Adam with quasi-hyperbolic moments, each mixed with the current gradient.

    .. math::
        p_t = p_{t-1} - lr\,\frac{\nu_1 \hat m_t + (1 - \nu_1) g_t}
                               {\sqrt{\nu_2 \hat v_t + (1 - \nu_2) |g_t|^2 + eps\_root} + eps}

    with the bias-corrected moments of `scale_by_adam`.

    Args:
      learning_rate: step size, a number or a schedule. Default 1e-3 (authors' code, as Adam).
      b1: decay rate of the first moment, in [0, 1). Default 0.995 (recommended by the authors).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (recommended by the authors).
      nu1: weight of the first moment, in [0, 1]; the rest is the gradient's. Default 0.7
        (recommended by the authors; 1, which is Adam, in their code's signature).
      nu2: weight of the second moment, in [0, 1]; the rest is the squared gradient's. Default 1
        (recommended by the authors).
      eps: added to the root, not negative. Default 1e-8 (authors' code, as Adam).
      eps_root: added under the root, not negative, as in Optax. Default 0 (authors' code).

    State: a tuple whose first entry is a `ScaleByQHAdamState` (see `scale_by_qhadam`).

    Raises:
      ValueError: a hyperparameter is out of range, or the trees passed to `update` do not match.

    Reference: Ma & Yarats 2019, arXiv 1810.06801.

    >>> import jax.numpy as jnp
    >>> tx = qhadam(0.1)
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(jnp.zeros(2)))[0].round(3))
    [-0.1  0.1]
    """
    return chain(
        scale_by_qhadam(b1, b2, nu1, nu2, eps, eps_root),
        scale_by_learning_rate(learning_rate),
    )
