"""RAdam: Adam whose first steps are corrected for the variance of a young second moment."""

import jax
import jax.numpy as jnp

from adaptive_jax import numerics
from adaptive_jax.transforms import trees
from adaptive_jax.transforms.adam import ScaleByAdamState, check_eps, corrected_scale, moments
from adaptive_jax.transforms.preconditioner import Preconditioner
from adaptive_jax.typing import Scalar
from adaptive_jax.validation import number


def scale_by_radam(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 0.0,
    eps_root: Scalar = 0.0,
    eps_hat: Scalar = 1e-8,
    threshold: Scalar = 5.0,
) -> Preconditioner:
    r"""Adam, rectified: the scale is shrunk while few gradients make it uncertain.

    With the moments :math:`m_t, v_t` of Adam, :math:`\rho_\infty = 2 / (1 - b_2) - 1` and the
    length of the moving average :math:`\rho_t = \rho_\infty - 2 t b_2^t / (1 - b_2^t)`,

    .. math::
        u_t = \frac{m_t}{1 - b_1^t} \cdot
            \begin{cases}
            \sqrt{\dfrac{(\rho_t - 4)(\rho_t - 2) \rho_\infty}
                        {(\rho_\infty - 4)(\rho_\infty - 2) \rho_t}} \Big/
            \left(\sqrt{\dfrac{v_t}{1 - b_2^t} + eps\_root}
                  + eps + \dfrac{eps\_hat}{\sqrt{1 - b_2^t}}\right) & \rho_t > threshold \\
            1 & \text{otherwise}
            \end{cases}

    So the first steps (five with the defaults) are those of momentum alone, and as long as the
    gradients are.

    Args:
      b1, b2: decay rates in [0, 1); defaults of the paper (and of PyTorch).
      eps, eps_root, eps_hat: as in `scale_by_adam`. Epsilon is at the uncorrected root in the
        authors' code and PyTorch, so `eps_hat` has their default here; the paper has none.
      threshold: at least 4; 5 in the authors' code and PyTorch, 4 in the paper.

    State: Adam's: `count` int32, `mu` in the parameters' shapes and `nu` real, both float32 or
    wider.

    Raises:
      ValueError: a hyperparameter is out of range, or trees do not match.

    Reference: Liu et al. 2020, arXiv 1908.03265.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_radam()
    >>> state = tx.init(jnp.zeros(()))
    >>> for _ in range(6):
    ...     update, state = tx.update(jnp.array(50.0), state)
    ...     print(f"{update:.2f}", end=";")
    50.00;50.00;50.00;50.00;50.00;0.03;
    """
    b1, b2 = number("b1", b1, "[0, 1)"), number("b2", b2, "[0, 1)")
    eps, eps_root, eps_hat = check_eps(eps, eps_root, eps_hat)
    threshold = number("threshold", threshold, "[4, inf)")

    def init(params):
        return ScaleByAdamState(
            numerics.count_zero(), trees.zeros_like(params), trees.real_full_like(params)
        )

    def accumulate(grads, state, params, **extra):
        mu, nu = moments(grads, state, b1, b2)
        return ScaleByAdamState(numerics.count_next(state.count), mu, nu)

    def factor(grads, state):
        correction1 = numerics.bias_correction(b1, state.count)
        correction2 = numerics.bias_correction(b2, state.count)
        adapts, rectification = _rectification(b2, state.count, threshold)

        def rectify(scale):
            constant = 1 / correction1.astype(scale.dtype)
            return jnp.where(adapts, rectification.astype(scale.dtype) * scale, constant)

        scale = corrected_scale(state.nu, correction1, correction2, eps, eps_root, eps_hat)
        return state.mu, jax.tree.map(rectify, scale)

    return Preconditioner(init, accumulate, factor)


def _rectification(b2, count, threshold):
    """Whether ρ_t exceeds the threshold, and the paper's r_t if so, else 1."""
    length = _length(b2, count)
    limit = jnp.asarray(2 / (1 - b2) - 1, length.dtype)
    length = jnp.minimum(length, limit)  # as it is, but for rounding
    adapts = length > threshold
    rho, rho_inf = jnp.where(adapts, length, 5), jnp.where(adapts, limit, 5)
    ratio = (rho - 4) / (rho_inf - 4) * ((rho - 2) / (rho_inf - 2)) * (rho_inf / rho)
    return adapts, jnp.sqrt(ratio)


def _length(b2, count):
    r"""The length ρ_t of the moving average after `count` updates.

    Its definition is a difference of numbers near 2/(1 − b2), which in float32 leaves three
    digits of the first lengths. With h = −log(b2)/2 and k(z) = 1 + 1/z − coth(z) it is
    t·k(t·h) + 1 − k(h), where nothing cancels.
    """
    dtype = jnp.result_type(float)
    t, half = count.astype(dtype), jnp.asarray(-numerics.log(b2), dtype) / 2
    # Both at once: XLA would compute the second alone when it compiles, with other last digits.
    at_t, at_1 = _one_less_langevin(jnp.stack([t * half, half]))
    return t * at_t + 1 - at_1


def _one_less_langevin(z):
    """1 − L(z) for z ≥ 0, where L(z) = coth(z) − 1/z; below 1 by Lambert's continued fraction."""
    small, large = jnp.minimum(z, 1), jnp.maximum(z, 1)
    below = 15.0
    for odd in (13, 11, 9, 7, 5, 3):
        below = odd + small**2 / below
    decayed = jnp.exp(-2 * large)
    return jnp.where(z < 1, 1 - small / below, 1 / large - 2 * decayed / (1 - decayed))
