"""Yogi: Adam with a second moment that changes additively."""

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, chain, constructor
from adaptive_jax.methods.adam import check_eps, corrected_scale
from adaptive_jax.registry import register
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import Scalar, ScalarOrSchedule
from adaptive_jax.validation import number

__all__ = ["ScaleByYogiState", "scale_by_yogi", "yogi"]


class ScaleByYogiState(optax.ScaleByAdamState):
    """State of `scale_by_yogi`: Adam's fields, in a separate class since the updates differ."""


@constructor
def scale_by_yogi(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 0.0,
    eps_root: Scalar = 0.0,
    eps_hat: Scalar = 1e-3,
    initial_accumulator: Scalar = 1e-6,
) -> Preconditioner:
    r"""Adam with an additive second moment, so that small gradients do not erase large ones.

    .. math::
        m_t &= b_1 m_{t-1} + (1 - b_1) g_t, \qquad
        v_t = v_{t-1} - (1 - b_2)\, \mathrm{sign}(v_{t-1} - |g_t|^2)\, |g_t|^2 \\
        u_t &= \frac{m_t}{1 - b_1^t} \Big/ \left(\sqrt{\frac{v_t}{1 - b_2^t} + eps\_root}
               + eps + \frac{eps\_hat}{\sqrt{1 - b_2^t}}\right)

    The bias corrections are in the authors' code; the paper omits them (and those of Adam).

    Args:
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (paper).
      b2: one minus the share of the squared gradient by which the second moment changes, in
        [0, 1). Default 0.999 (paper).
      eps: added to the corrected root, not negative. Default 0 (paper); 1e-3 in Optax.
      eps_root: added under the root, not negative. Default 0 (paper).
      eps_hat: added to the uncorrected root, not negative. Default 1e-3 (paper, authors' code).
      initial_accumulator: :math:`v_0`, not negative. Default 1e-6 (authors' code).

    State: `ScaleByYogiState` with `count` (int32), `mu` in the shapes of the parameters and `nu`,
    likewise and real; both in float32 or wider.

    Raises:
      ValueError: a hyperparameter is out of range, or the trees passed to `update` do not match.

    Reference: Zaheer et al. 2018, Adaptive Methods for Nonconvex Optimization, NeurIPS,
    papers.nips.cc/paper/8186.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_yogi(b2=0.75, initial_accumulator=16.0)
    >>> _, state = tx.update(jnp.array([2.0, 8.0]), tx.init(jnp.zeros(2)))
    >>> print(state.nu)  # 16 - 4 / 4 and 16 + 64 / 4
    [15. 32.]
    """
    b1, b2 = number("b1", b1, "[0, 1)"), number("b2", b2, "[0, 1)")
    eps, eps_root, eps_hat = check_eps(eps, eps_root, eps_hat)
    initial_accumulator = number("initial_accumulator", initial_accumulator, "[0, inf)")

    def init(params):
        nu = trees.real_full_like(params, initial_accumulator)
        return ScaleByYogiState(numerics.count_zero(), trees.zeros_like(params), nu)

    def step(grads, state, params=None, **extra):
        count = numerics.count_next(state.count)
        grads = trees.squarable(grads, state.nu)
        mu = trees.ema(state.mu, grads, b1)
        nu = jax.tree.map(_move_towards_square(b2), state.nu, grads)
        correction1 = numerics.bias_correction(b1, count)
        correction2 = numerics.bias_correction(b2, count)
        scale = corrected_scale(nu, correction1, correction2, eps, eps_root, eps_hat)
        return Step(mu, scale, ScaleByYogiState(count, mu, nu))

    return Preconditioner(init, step)


@register(
    "Adam with a second moment that moves additively",
    reference="Zaheer et al. 2018",
    learning_rate=(0.001, 1.0),
)
def yogi(
    learning_rate: ScalarOrSchedule = 1e-2,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 0.0,
    eps_root: Scalar = 0.0,
    eps_hat: Scalar = 1e-3,
    initial_accumulator: Scalar = 1e-6,
) -> optax.GradientTransformationExtraArgs:
    r"""Yogi: Adam with a second moment that changes additively.

    .. math::
        p_t = p_{t-1} - lr\,\frac{\sqrt{1 - b_2^t}}{1 - b_1^t}\, \frac{m_t}{\sqrt{v_t} + eps\_hat},
        \qquad v_t = v_{t-1} - (1 - b_2)\,\mathrm{sign}(v_{t-1} - |g_t|^2)\,|g_t|^2

    with the first moment :math:`m_t` of Adam.

    Args:
      learning_rate: step size, a number or a schedule. Default 0.01 (paper).
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (paper).
      b2: one minus the share of the squared gradient by which the second moment changes, in
        [0, 1). Default 0.999 (paper).
      eps: added to the corrected root, not negative. Default 0 (paper); 1e-3 in Optax, with
        `eps_hat=0`.
      eps_root: added under the root, not negative. Default 0 (paper).
      eps_hat: added to the uncorrected root, not negative. Default 1e-3 (paper, authors' code).
      initial_accumulator: :math:`v_0`, not negative. Default 1e-6 (authors' code).

    State: a tuple whose first entry is a `ScaleByYogiState` (see `scale_by_yogi`).

    Raises:
      ValueError: a hyperparameter is out of range, or the trees passed to `update` do not match.

    Reference: Zaheer et al. 2018, Adaptive Methods for Nonconvex Optimization, NeurIPS.

    >>> import jax.numpy as jnp
    >>> tx = yogi(1.0)  # gradients below eps make shorter steps
    >>> print(tx.update(jnp.array([5.0, -1e-6]), tx.init(jnp.zeros(2)))[0].round(1))
    [-1.  0.]
    """
    return chain(
        scale_by_yogi(b1, b2, eps, eps_root, eps_hat, initial_accumulator),
        scale_by_learning_rate(learning_rate),
    )


def _move_towards_square(b2):
    def leaf(v, g):
        square = numerics.abs_square(g)
        return v - jnp.asarray(1 - b2, v.dtype) * jnp.sign(v - square) * square

    return leaf
