"""NAdam: Adam with Nesterov momentum, whose coefficient follows a schedule."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, constructor
from adaptive_jax.transforms.adam import check_eps, corrected_scale, moments
from adaptive_jax.typing import Scalar, Updates
from adaptive_jax.validation import number

_LOG_BASE = math.log(0.96)  # base of Dozat's momentum schedule


class ScaleByNadamState(NamedTuple):
    """State of `scale_by_nadam`: Adam's, and `correction`, 1 minus the product of all momenta."""

    count: jax.Array
    correction: jax.Array
    mu: Updates
    nu: Updates


@constructor
def scale_by_nadam(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    eps_hat: Scalar = 0.0,
    momentum_decay: Scalar = 4e-3,
) -> Preconditioner:
    r"""Adam with Nesterov momentum, whose coefficient rises from b1/2 to b1.

    .. math::
        m_t &= b_1 m_{t-1} + (1 - b_1) g_t, \qquad v_t = b_2 v_{t-1} + (1 - b_2) |g_t|^2, \qquad
        \mu_t = b_1 (1 - \tfrac12\, 0.96^{t \cdot momentum\_decay}) \\
        u_t &= \Big(\frac{\mu_{t+1} m_t}{1 - \prod_{i \le t+1} \mu_i}
               + \frac{(1 - \mu_t) g_t}{1 - \prod_{i \le t} \mu_i}\Big) \Big/
               \left(\sqrt{\frac{v_t}{1 - b_2^t} + eps\_root}
               + eps + \frac{eps\_hat}{\sqrt{1 - b_2^t}}\right)

    Equal to PyTorch's NAdam and Keras's Nadam, in which :math:`m_t` decays by the constant
    :math:`b_1`. For a constant momentum in all places, use `scale_by_adam(nesterov=True)`.

    Args:
      b1: decay rate of the first moment and limit of :math:`\mu_t`, in [0, 1). Default 0.9
        (PyTorch, Keras).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (PyTorch, Keras).
      eps: added to the corrected root, not negative. Default 1e-8 (PyTorch); 1e-7 in Keras.
      eps_root: added under the root, not negative. Default 0 (PyTorch, Keras).
      eps_hat: added to the uncorrected root, not negative. Default 0 (PyTorch, Keras).
      momentum_decay: speed at which :math:`\mu_t` rises, not negative. Default 4e-3 (PyTorch); 1 in
        Keras and Dozat's report.

    State: `ScaleByNadamState` with `count` (int32); `correction`, the number
    :math:`1 - \prod_{i \le t} \mu_i`; `mu` in the shapes of the parameters and `nu`, likewise and
    real. The last three are in float32 or wider.

    Raises:
      ValueError: a hyperparameter is out of range, or the trees passed to `update` do not match.

    Reference: Dozat 2016, openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_nadam()
    >>> state = tx.init(jnp.zeros(()))
    >>> update, state = tx.update(jnp.array(2.0), state)
    >>> print(f"{1 - state.correction:.6f}")  # the first momentum, about b1 / 2
    0.450073
    """
    b1, b2 = number("b1", b1, "[0, 1)"), number("b2", b2, "[0, 1)")
    eps, eps_root, eps_hat = check_eps(eps, eps_root, eps_hat)
    momentum_decay = number("momentum_decay", momentum_decay, "[0, inf)")

    def init(params):
        return ScaleByNadamState(
            numerics.count_zero(),
            trees.real_scalar(params),
            trees.zeros_like(params),
            trees.real_full_like(params),
        )

    def momentum_at(count, dtype):
        """The momentum of update `count`, and 1 minus it, both to full precision."""
        fading = jnp.exp(count.astype(dtype) * jnp.asarray(momentum_decay * _LOG_BASE, dtype)) / 2
        rate, rest = jnp.asarray(b1, dtype), jnp.asarray(1 - b1, dtype)
        return rate * (1 - fading), rest + rate * fading

    def step(grads, state, params=None, **extra):
        count = numerics.count_next(state.count)
        mu, nu = moments(grads, state, b1, b2)
        # 1 − μ_1 ⋯ μ_t is a moving average of ones. Computed as one, it does not cancel.
        momentum, rest = momentum_at(count, state.correction.dtype)
        correction = momentum * state.correction + rest

        momentum, rest_next = momentum_at(numerics.count_next(count), correction.dtype)
        ahead = momentum * (correction / (momentum * correction + rest_next))

        def look_ahead(m, g):
            return ahead.astype(m.dtype) * m + rest.astype(m.dtype) * g

        direction = jax.tree.map(look_ahead, mu, trees.squarable(trees.again(grads), nu))
        correction2 = numerics.bias_correction(b2, count)
        scale = corrected_scale(nu, correction, correction2, eps, eps_root, eps_hat)
        return Step(direction, scale, ScaleByNadamState(count, correction, mu, nu))

    return Preconditioner(init, step)
