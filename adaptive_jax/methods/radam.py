"""RAdam: Adam with first steps rectified for the variance of the second moment."""

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, chain, constructor
from adaptive_jax.methods.adam import check_eps, corrected_scale, moments
from adaptive_jax.registry import register
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import Scalar, ScalarOrSchedule
from adaptive_jax.validation import number

__all__ = ["ScaleByRAdamState", "radam", "scale_by_radam"]


class ScaleByRAdamState(optax.ScaleByAdamState):
    """State of `scale_by_radam`: Adam's fields, in a separate class since the updates differ."""


@constructor
def scale_by_radam(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 0.0,
    eps_root: Scalar = 0.0,
    eps_hat: Scalar = 1e-8,
    threshold: Scalar = 5.0,
) -> Preconditioner:
    r"""Adam with a scale that is reduced while the second moment is uncertain.

    With the moments :math:`m_t, v_t` of `scale_by_adam`, :math:`\rho_\infty = 2 / (1 - b_2) - 1`
    and the length of the moving average
    :math:`\rho_t = \rho_\infty - 2 t b_2^t / (1 - b_2^t)`,

    .. math::
        u_t = \frac{m_t}{1 - b_1^t} \cdot
            \begin{cases}
            \sqrt{\dfrac{(\rho_t - 4)(\rho_t - 2) \rho_\infty}
                        {(\rho_\infty - 4)(\rho_\infty - 2) \rho_t}} \Big/
            \left(\sqrt{\dfrac{v_t}{1 - b_2^t} + eps\_root}
                  + eps + \dfrac{eps\_hat}{\sqrt{1 - b_2^t}}\right) & \rho_t > threshold \\
            1 & \text{otherwise}
            \end{cases}

    So the first updates (five with the defaults) are the first moment alone, and their size is that
    of the gradients.

    Args:
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (paper, PyTorch).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (paper, PyTorch).
      eps: added to the corrected root, not negative. Default 0 (authors' code, PyTorch).
      eps_root: added under the root, not negative. Default 0 (authors' code, PyTorch).
      eps_hat: added to the uncorrected root, not negative. Default 1e-8 (authors' code, PyTorch);
        the paper has none.
      threshold: the scale is used where :math:`\rho_t` is larger; at least 4. Default 5 (authors'
        code, PyTorch); 4 in the paper.

    State: `ScaleByRAdamState` with `count` (int32), `mu` in the shapes of the parameters and `nu`,
    likewise and real; both in float32 or wider.

    Raises:
      ValueError: a hyperparameter is out of range, or the trees passed to `update` do not match.

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
        return ScaleByRAdamState(
            numerics.count_zero(), trees.zeros_like(params), trees.real_full_like(params)
        )

    def step(grads, state, params=None, **extra):
        count = numerics.count_next(state.count)
        mu, nu = moments(grads, state, b1, b2)
        correction1 = numerics.bias_correction(b1, count)
        correction2 = numerics.bias_correction(b2, count)
        adapts, rectification = _rectification(b2, count, threshold)

        def rectify(scale):
            constant = 1 / correction1.astype(scale.dtype)
            return jnp.where(adapts, rectification.astype(scale.dtype) * scale, constant)

        scale = corrected_scale(nu, correction1, correction2, eps, eps_root, eps_hat)
        return Step(mu, jax.tree.map(rectify, scale), ScaleByRAdamState(count, mu, nu))

    return Preconditioner(init, step)


@register(
    "Adam with its first steps rectified",
    reference="arXiv 1908.03265",
    learning_rate=(0.0001, 0.1),
)
def radam(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 0.0,
    eps_root: Scalar = 0.0,
    eps_hat: Scalar = 1e-8,
    threshold: Scalar = 5.0,
) -> optax.GradientTransformationExtraArgs:
    r"""RAdam: Adam with rectified first steps, which needs no warm-up of the learning rate.

    .. math::
        p_t = p_{t-1} - \frac{lr}{1 - b_1^t} \cdot
        \begin{cases}
        r_t\, \sqrt{1 - b_2^t}\; m_t \big/ (\sqrt{v_t} + eps\_hat) & \rho_t > threshold \\
        m_t & \text{otherwise}
        \end{cases}

    with the rectification :math:`r_t` and the length :math:`\rho_t` of `scale_by_radam`. For
    decoupled weight decay put `add_decayed_weights` before the learning rate:
    `chain(scale_by_radam(), add_decayed_weights(0.1), scale_by_learning_rate(1e-3))`.

    Args:
      learning_rate: step size, a number or a schedule. Default 1e-3 (authors' code, PyTorch).
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (authors' code, PyTorch).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (authors' code, PyTorch).
      eps: added to the corrected root, not negative. Default 0 (authors' code, PyTorch); 1e-8 in
        Optax, with `eps_hat=0`.
      eps_root: added under the root, not negative, as in Optax. Default 0 (authors' code, PyTorch).
      eps_hat: added to the uncorrected root, not negative. Default 1e-8 (authors' code, PyTorch);
        the paper has none.
      threshold: smallest length :math:`\rho_t` at which the step adapts, at least 4. Default 5
        (authors' code, PyTorch); 4 in the paper.

    State: a tuple whose first entry is a `ScaleByRAdamState` (see `scale_by_radam`).

    Raises:
      ValueError: a hyperparameter is out of range, or the trees passed to `update` do not match.

    Reference: Liu et al. 2020, arXiv 1908.03265.

    >>> import jax.numpy as jnp
    >>> tx = radam(0.1)
    >>> print(tx.update(jnp.array([5.0, -1.0]), tx.init(jnp.zeros(2)))[0].round(3))  # SGD's step
    [-0.5  0.1]
    """
    return chain(
        scale_by_radam(b1, b2, eps, eps_root, eps_hat, threshold),
        scale_by_learning_rate(learning_rate),
    )


def _rectification(b2, count, threshold):
    """Returns whether ρ_t exceeds the threshold, and the paper's r_t if it does, else 1."""
    length = _length(b2, count)
    limit = jnp.asarray(2 / (1 - b2) - 1, length.dtype)
    length = jnp.minimum(length, limit)  # exceeded by rounding only
    adapts = length > threshold
    rho, rho_inf = jnp.where(adapts, length, 5), jnp.where(adapts, limit, 5)
    ratio = (rho - 4) / (rho_inf - 4) * ((rho - 2) / (rho_inf - 2)) * (rho_inf / rho)
    return adapts, jnp.sqrt(ratio)


def _length(b2, count):
    """The length ρ_t of the moving average after `count` updates.

    The definition subtracts numbers near 2/(1 − b2), which in float32 leaves three correct digits
    in the first lengths. With h = −log(b2)/2 and k(z) = 1 + 1/z − coth(z), the length is
    t·k(t·h) + 1 − k(h), where nothing cancels.
    """
    dtype = jnp.result_type(float)
    t, half = count.astype(dtype), jnp.asarray(-numerics.log(b2), dtype) / 2
    # Both in one call: XLA would evaluate the second at compile time and round differently.
    at_t, at_1 = _one_less_langevin(jnp.stack([t * half, half]))
    return t * at_t + 1 - at_1


def _one_less_langevin(z):
    """1 − L(z) for z ≥ 0, where L(z) = coth(z) − 1/z; for z < 1 by Lambert's continued fraction."""
    small, large = jnp.minimum(z, 1), jnp.maximum(z, 1)
    below = 15.0
    for odd in (13, 11, 9, 7, 5, 3):
        below = odd + small**2 / below
    decayed = jnp.exp(-2 * large)
    return jnp.where(z < 1, 1 - small / below, 1 / large - 2 * decayed / (1 - decayed))
