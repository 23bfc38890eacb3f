"""NAdam: Adam with Nesterov momentum, whose coefficient follows a schedule."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, chain, constructor
from adaptive_jax.methods.adam import check_eps, corrected_scale, moments, scale_by_adam
from adaptive_jax.registry import register
from adaptive_jax.stages.decay import add_decayed_weights
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import PyTree, Scalar, ScalarOrSchedule, Updates
from adaptive_jax.validation import number

__all__ = ["ScaleByNadamState", "nadam", "nadamw", "scale_by_nadam"]

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


@register(
    "Adam with Nesterov's look-ahead and rising momentum",
    reference="Dozat 2016",
    learning_rate=(0.0001, 0.1),
)
def nadam(
    learning_rate: ScalarOrSchedule = 2e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    eps_hat: Scalar = 0.0,
    momentum_decay: Scalar | None = 4e-3,
) -> optax.GradientTransformationExtraArgs:
    r"""NAdam: Adam with Nesterov momentum, whose coefficient rises from b1/2 to b1.

    .. math::
        p_t = p_{t-1} - \frac{lr}{\sqrt{\hat v_t} + eps} \Big(
              \frac{\mu_{t+1} m_t}{1 - \prod_{i \le t+1} \mu_i}
              + \frac{(1 - \mu_t) g_t}{1 - \prod_{i \le t} \mu_i}\Big), \qquad
        \mu_t = b_1 (1 - \tfrac12\, 0.96^{t \cdot momentum\_decay})

    with the moments of `scale_by_adam`; `scale_by_nadam` has the places of `eps_root` and
    `eps_hat`. Equal to PyTorch's NAdam.

    Args:
      learning_rate: step size, a number or a schedule. Default 2e-3 (PyTorch); 1e-3 in Keras.
      b1: decay rate of the first moment and limit of :math:`\mu_t`, in [0, 1). Default 0.9
        (PyTorch, Keras).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (PyTorch, Keras).
      eps: added to the corrected root, not negative. Default 1e-8 (PyTorch); 1e-7 in Keras.
      eps_root: added under the root, not negative, as in Optax. Default 0 (PyTorch).
      eps_hat: added to the uncorrected root, not negative. Default 0 (PyTorch).
      momentum_decay: speed at which :math:`\mu_t` rises, not negative; None keeps it at b1, as
        `adam(nesterov=True)` does. Default 4e-3 (PyTorch); 1 in Keras and Dozat's report.

    State: a tuple whose first entry is a `ScaleByNadamState` (see `scale_by_nadam`), or with
    `momentum_decay=None` an `optax.ScaleByAdamState`.

    Raises:
      ValueError: a hyperparameter is out of range, or the trees passed to `update` do not match.

    Reference: Dozat 2016, openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ.

    >>> import jax.numpy as jnp
    >>> tx = nadam(0.1, momentum_decay=None)
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(jnp.zeros(2)))[0].round(3))
    [-0.147  0.147]
    """
    return chain(
        _scale_by_nadam(b1, b2, eps, eps_root, eps_hat, momentum_decay),
        scale_by_learning_rate(learning_rate),
    )


@register(
    "NAdam with decoupled weight decay",
    reference="Dozat 2016",
    learning_rate=(0.0001, 0.1),
    weight_decay=(1e-4, 1.0),
)
def nadamw(
    learning_rate: ScalarOrSchedule = 2e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    eps_hat: Scalar = 0.0,
    momentum_decay: Scalar | None = 4e-3,
    weight_decay: ScalarOrSchedule = 0.01,
    mask: PyTree | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""NAdam with decoupled weight decay.

    .. math::
        p_t = p_{t-1} - lr\,(u_t + weight\_decay\, p_{t-1})

    where :math:`u_t` is the update of `nadam`, without the learning rate. Equal to PyTorch's
    `NAdam(decoupled_weight_decay=True)`.

    Args:
      learning_rate: step size, a number or a schedule. Default 2e-3 (PyTorch); 1e-3 in Keras.
      b1: decay rate of the first moment and limit of :math:`\mu_t`, in [0, 1). Default 0.9
        (PyTorch, Keras).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (PyTorch, Keras).
      eps: added to the corrected root, not negative. Default 1e-8 (PyTorch); 1e-7 in Keras.
      eps_root: added under the root, not negative, as in Optax. Default 0 (PyTorch).
      eps_hat: added to the uncorrected root, not negative. Default 0 (PyTorch).
      momentum_decay: speed at which :math:`\mu_t` rises, not negative; None keeps it at b1, as
        `adam(nesterov=True)` does. Default 4e-3 (PyTorch); 1 in Keras and Dozat's report.
      weight_decay: factor of the parameters in the update, a number or a schedule. Default 0.01
        (PyTorch's AdamW; its NAdam has 0); 1e-4 in Optax.
      mask: a tree of booleans, or a function from the parameters to one; only leaves with True
        decay. Default None: all of them.

    State: a tuple whose first entry is a `ScaleByNadamState` (see `scale_by_nadam`), or with
    `momentum_decay=None` an `optax.ScaleByAdamState`.

    Raises:
      ValueError: a hyperparameter is out of range, the trees passed to `update` do not match, or
        `update` is called without parameters.

    Reference: Dozat 2016, openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ; Loshchilov & Hutter 2019,
    arXiv 1711.05101.

    >>> import jax.numpy as jnp
    >>> tx = nadamw(1.0, weight_decay=0.25)
    >>> params = jnp.array([2.0, 2.0])
    >>> print(tx.update(jnp.array([1.0, 0.0]), tx.init(params), params)[0].round(1))
    [-1.6 -0.5]
    """
    return chain(
        _scale_by_nadam(b1, b2, eps, eps_root, eps_hat, momentum_decay),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


def _scale_by_nadam(b1, b2, eps, eps_root, eps_hat, momentum_decay):
    if momentum_decay is None:
        return scale_by_adam(b1, b2, eps, eps_root, eps_hat, nesterov=True)
    return scale_by_nadam(b1, b2, eps, eps_root, eps_hat, momentum_decay)
