"""Yogi: Adam whose second moment moves by a share of the squared gradient, up or down."""

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, constructor
from adaptive_jax.transforms.adam import check_eps, corrected_scale
from adaptive_jax.typing import Scalar
from adaptive_jax.validation import number


class ScaleByYogiState(optax.ScaleByAdamState):
    """Updates made, mean gradient, and the second moment."""


@constructor
def scale_by_yogi(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 0.0,
    eps_root: Scalar = 0.0,
    eps_hat: Scalar = 1e-3,
    initial_accumulator: Scalar = 1e-6,
) -> Preconditioner:
    r"""Adam with an additive second moment: small gradients do not make it forget large ones.

    .. math::
        m_t &= b_1 m_{t-1} + (1 - b_1) g_t, \qquad
        v_t = v_{t-1} - (1 - b_2)\, \mathrm{sign}(v_{t-1} - |g_t|^2)\, |g_t|^2 \\
        u_t &= \frac{m_t}{1 - b_1^t} \Big/ \left(\sqrt{\frac{v_t}{1 - b_2^t} + eps\_root}
               + eps + \frac{eps\_hat}{\sqrt{1 - b_2^t}}\right)

    The paper leaves the two bias corrections out (of Adam too); the authors' code has them.

    Args:
      b1, b2: decay rates in [0, 1); defaults of the paper.
      eps, eps_root, eps_hat: as in `scale_by_adam`. The paper and the authors' code add 1e-3 to
        the uncorrected root, so `eps_hat` is that here; Optax adds it as `eps`.
      initial_accumulator: :math:`v_0`, not negative; 1e-6 in the authors' code.

    State: `count` int32, `mu` in the parameters' shapes and `nu` real, both float32 or wider.

    Raises:
      ValueError: a hyperparameter is out of range, or trees do not match.

    Reference: Zaheer et al. 2018, Adaptive Methods for Nonconvex Optimization, NeurIPS,
    papers.nips.cc/paper/8186.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_yogi(b2=0.75, initial_accumulator=16.0)
    >>> _, state = tx.update(jnp.array([2.0, 8.0]), tx.init(jnp.zeros(2)))
    >>> print(state.nu)  # 16 less a quarter of 4, and 16 plus a quarter of 64
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
        mu = jax.tree.map(lambda m, g: numerics.ema(m, g, b1), state.mu, grads)
        nu = jax.tree.map(_move_towards_square(b2), state.nu, grads)
        correction1 = numerics.bias_correction(b1, count)
        correction2 = numerics.bias_correction(b2, count)
        scale = corrected_scale(nu, correction1, correction2, eps, eps_root, eps_hat)
        return Step(mu, scale, ScaleByYogiState(count, mu, nu))

    return Preconditioner(init, step)


def _move_towards_square(b2):
    def leaf(v, g):
        square = numerics.abs_square(g)
        return v - jnp.asarray(1 - b2, v.dtype) * jnp.sign(v - square) * square

    return leaf
