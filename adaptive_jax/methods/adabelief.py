"""AdaBelief: Adam that divides by the deviation of gradients from their moving average."""

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, chain, constructor
from adaptive_jax.methods.adam import corrected_scale
from adaptive_jax.registry import register
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import Scalar, ScalarOrSchedule
from adaptive_jax.validation import number

__all__ = ["adabelief", "scale_by_adabelief"]


@constructor
def scale_by_adabelief(
    b1: Scalar = 0.9, b2: Scalar = 0.999, eps: Scalar = 1e-16, eps_root: Scalar = 1e-16
) -> Preconditioner:
    r"""Divides the moving average of gradients by their typical deviation from it.

    .. math::
        m_t &= b_1 m_{t-1} + (1 - b_1) g_t, \qquad
        s_t = b_2 s_{t-1} + (1 - b_2) |g_t - m_t|^2 + eps\_root \\
        u_t &= \frac{m_t}{1 - b_1^t} \Big/ \Big(\sqrt{\frac{s_t}{1 - b_2^t}} + eps\Big)

    Args:
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (paper).
      b2: decay rate of :math:`s_t`, in [0, 1). Default 0.999 (paper).
      eps: added to the corrected root, not negative. Default 1e-16 (authors' code).
      eps_root: added to :math:`s_t` at every update, so that it accumulates; not negative. It
        limits the steps where gradients hardly change. Default 1e-16 (authors' code). The paper has
        one epsilon in both places.

    State: `optax.ScaleByBeliefState` with `count` (int32), `mu` in the shapes of the parameters and
    `nu` (:math:`s_t`), likewise and real; both in float32 or wider.

    Raises:
      ValueError: a hyperparameter is out of range, or the trees passed to `update` do not match.

    Reference: Zhuang et al. 2020, arXiv 2010.07468.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_adabelief()
    >>> state = tx.init(jnp.zeros(2))
    >>> for grads in ([1.0, 1.0], [1.0, -1.0]):  # the steady gradient takes the longer step
    ...     updates, state = tx.update(jnp.array(grads), state)
    >>> bool(updates[0] > 1.1 and abs(updates[1]) < 0.1)
    True
    """
    b1, b2 = number("b1", b1, "[0, 1)"), number("b2", b2, "[0, 1)")
    eps, eps_root = number("eps", eps, "[0, inf)"), number("eps_root", eps_root, "[0, inf)")

    def init(params):
        return optax.ScaleByBeliefState(
            numerics.count_zero(), trees.zeros_like(params), trees.real_full_like(params)
        )

    def step(grads, state, params=None, **extra):
        count = numerics.count_next(state.count)
        squarable = trees.squarable(grads, state.nu)
        mu = trees.ema(state.mu, squarable, b1)

        def spread(s, g, m):
            keep, take = jnp.asarray(b2, s.dtype), jnp.asarray(1 - b2, s.dtype)
            new = take * numerics.abs_square(g - m) + jnp.asarray(eps_root, s.dtype)
            return keep * s + new  # added last, or XLA would copy s

        squarable = trees.squarable(trees.again(grads), state.nu)
        nu = jax.tree.map(spread, state.nu, squarable, mu)
        correction1 = numerics.bias_correction(b1, count)
        correction2 = numerics.bias_correction(b2, count)
        scale = corrected_scale(nu, correction1, correction2, eps, eps_root=0.0, eps_hat=0.0)
        return Step(mu, scale, optax.ScaleByBeliefState(count, mu, nu))

    return Preconditioner(init, step)


@register(
    "mean gradient over the mean size of its error",
    reference="arXiv 2010.07468",
    learning_rate=(0.0001, 0.1),
)
def adabelief(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-16,
    eps_root: Scalar = 1e-16,
) -> optax.GradientTransformationExtraArgs:
    r"""AdaBelief: Adam that divides by the deviation of gradients from their moving average.

    .. math::
        p_t = p_{t-1} - lr\, \hat m_t / (\sqrt{\hat s_t} + eps), \qquad
        s_t = b_2 s_{t-1} + (1 - b_2)\, |g_t - m_t|^2 + eps\_root

    with the first moment :math:`m_t` of Adam; hats stand for bias corrections. The authors' code
    can also rectify the first steps, as `radam` does; that is left out here.

    Args:
      learning_rate: step size, a number or a schedule. Default 1e-3 (paper).
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (paper).
      b2: decay rate of :math:`s_t`, in [0, 1). Default 0.999 (paper).
      eps: added to the corrected root, not negative. Default 1e-16 (authors' code).
      eps_root: added to :math:`s_t` at every update, not negative. Default 1e-16 (authors' code).

    State: a tuple whose first entry is an `optax.ScaleByBeliefState` (see `scale_by_adabelief`).

    Raises:
      ValueError: a hyperparameter is out of range, or the trees passed to `update` do not match.

    Reference: Zhuang et al. 2020, arXiv 2010.07468.

    >>> import jax.numpy as jnp
    >>> tx = adabelief(1.0)  # the first deviation is 0.9 times the gradient
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(jnp.zeros(2)))[0].round(1))
    [-1.1  1.1]
    """
    return chain(
        scale_by_adabelief(b1, b2, eps, eps_root),
        scale_by_learning_rate(learning_rate),
    )
