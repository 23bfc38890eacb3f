"""Adam and AMSGrad: the first moment of gradients over the root of the second."""

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, constructor
from adaptive_jax.typing import Scalar, State, Updates
from adaptive_jax.validation import number


@constructor
def scale_by_adam(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    eps_hat: Scalar = 0.0,
    nesterov: bool = False,
    bias_correction: bool = True,
) -> Preconditioner:
    r"""Divides the first moment of gradients by the root of the second.

    .. math::
        m_t &= b_1 m_{t-1} + (1 - b_1) g_t, \qquad v_t = b_2 v_{t-1} + (1 - b_2) |g_t|^2 \\
        u_t &= \frac{m_t}{1 - b_1^t} \Big/ \left(\sqrt{\frac{v_t}{1 - b_2^t} + eps\_root}
               + eps + \frac{eps\_hat}{\sqrt{1 - b_2^t}}\right)

    Args:
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (paper, PyTorch, Keras).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (paper, PyTorch, Keras).
      eps: added to the corrected root, not negative, as in Algorithm 1 of the paper and in PyTorch.
        Default 1e-8 (paper, PyTorch).
      eps_root: added under the root, not negative; use it to differentiate through updates.
        Default 0 (paper).
      eps_hat: added to the uncorrected root, not negative: the paper's "epsilon hat" (end of its
        section 2), as in Keras, TensorFlow and AdaBound; set `eps=0` with it. Default 0 (PyTorch).
      nesterov: whether the corrected first moment is replaced by the look-ahead
        :math:`b_1 m_t / (1 - b_1^{t+1}) + (1 - b_1) g_t / (1 - b_1^t)` (Dozat 2016, with a constant
        momentum). Default False (paper).
      bias_correction: whether to divide by :math:`1 - b_1^t` and :math:`1 - b_2^t`. Without, the
        first step is :math:`(1 - b_1) / \sqrt{1 - b_2}` times as long: 3 times with the default
        decay rates. Default True (paper).

    State: `optax.ScaleByAdamState` with `count` (int32), `mu` in the shapes of the parameters and
    `nu`, likewise and real; both in float32 or wider.

    Raises:
      ValueError: a hyperparameter is out of range, or the trees passed to `update` do not match.

    Reference: Kingma & Ba 2014, arXiv 1412.6980; Dozat 2016 for `nesterov`.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_adam()
    >>> params = jnp.zeros(3)
    >>> updates, state = tx.update(jnp.array([1e3, -1e-3, 0.0]), tx.init(params), params)
    >>> print(updates.round(4))
    [ 1. -1.  0.]
    """
    b1, b2 = number("b1", b1, "[0, 1)"), number("b2", b2, "[0, 1)")
    eps, eps_root, eps_hat = check_eps(eps, eps_root, eps_hat)

    def init(params):
        return optax.ScaleByAdamState(
            numerics.count_zero(), trees.zeros_like(params), trees.real_full_like(params)
        )

    def step(grads, state, params=None, **extra):
        count = numerics.count_next(state.count)
        mu, nu = moments(grads, state, b1, b2)
        correction1, correction2 = _corrections(count, b1, b2, bias_correction)
        scale = corrected_scale(nu, correction1, correction2, eps, eps_root, eps_hat)
        state = optax.ScaleByAdamState(count, mu, nu)
        if not nesterov:
            return Step(mu, scale, state)
        direction = _look_ahead(grads, mu, nu, count, b1, b2, bias_correction)
        return Step(direction, scale, state)

    return Preconditioner(init, step)


@constructor
def scale_by_amsgrad(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    eps_hat: Scalar = 0.0,
    bias_correction: bool = True,
) -> Preconditioner:
    r"""Adam with the maximum of all second moments so far, so that the scale never grows.

    .. math::
        \bar v_t = \max(\bar v_{t-1}, v_t), \qquad
        u_t = \frac{m_t}{1 - b_1^t} \Big/ \left(\sqrt{\frac{\bar v_t}{1 - b_2^t} + eps\_root}
               + eps + \frac{eps\_hat}{\sqrt{1 - b_2^t}}\right)

    with the moments :math:`m_t, v_t` of `scale_by_adam`. The maximum is over uncorrected moments,
    as in PyTorch and Keras.

    Args:
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (PyTorch, Keras).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (PyTorch, Keras).
      eps: added to the corrected root, not negative. Default 1e-8 (PyTorch).
      eps_root: added under the root, not negative. Default 0 (PyTorch).
      eps_hat: added to the uncorrected root, not negative; Keras has 1e-7 here and `eps=0`. Default
        0 (PyTorch).
      bias_correction: whether to divide by :math:`1 - b_1^t` and :math:`1 - b_2^t`. Default True
        (PyTorch, Keras); False is the paper's algorithm.

    State: `optax.ScaleByAmsgradState`: the fields of `optax.ScaleByAdamState`, and `nu_max`, like
    `nu`.

    Raises:
      ValueError: a hyperparameter is out of range, or the trees passed to `update` do not match.

    Reference: Reddi, Kale & Kumar 2018, arXiv 1904.09237.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_amsgrad()
    >>> state = tx.init(jnp.zeros(()))
    >>> for grad in (10.0, 0.0, 0.0):
    ...     update, state = tx.update(jnp.array(grad), state)
    >>> bool(state.nu_max > state.nu)
    True
    """
    b1, b2 = number("b1", b1, "[0, 1)"), number("b2", b2, "[0, 1)")
    eps, eps_root, eps_hat = check_eps(eps, eps_root, eps_hat)

    def init(params):
        nu = trees.real_full_like(params)
        nu_max = trees.real_full_like(params)  # its own buffer, since both may be donated
        mu = trees.zeros_like(params)
        return optax.ScaleByAmsgradState(numerics.count_zero(), mu, nu, nu_max)

    def step(grads, state, params=None, **extra):
        count = numerics.count_next(state.count)
        mu, nu = moments(grads, state, b1, b2)
        nu_max = jax.tree.map(jnp.maximum, state.nu_max, nu)
        correction1, correction2 = _corrections(count, b1, b2, bias_correction)
        scale = corrected_scale(nu_max, correction1, correction2, eps, eps_root, eps_hat)
        return Step(mu, scale, optax.ScaleByAmsgradState(count, mu, nu, nu_max))

    return Preconditioner(init, step, squares=("nu", "nu_max"))


def _corrections(count, b1, b2, bias_correction):
    """1 − b1^t and 1 − b2^t, or ones without bias correction."""
    if not bias_correction:
        return jnp.ones([]), jnp.ones([])
    return numerics.bias_correction(b1, count), numerics.bias_correction(b2, count)


def _look_ahead(grads, mu, nu, count, b1, b2, bias_correction):
    """Nesterov's first moment, still uncorrected, since the scale contains the correction."""
    now, _ = _corrections(count, b1, b2, bias_correction)
    next_, _ = _corrections(numerics.count_next(count), b1, b2, bias_correction)
    ahead = now / next_
    return jax.tree.map(
        lambda m, g: numerics.ema(m * ahead.astype(m.dtype), g, b1),
        mu,
        trees.squarable(trees.again(grads), nu),
    )


# Shared with the variants of Adam.


def check_eps(eps: Scalar, eps_root: Scalar, eps_hat: Scalar) -> list[Scalar]:
    """Returns the three epsilons; raises if one is negative."""
    names = {"eps": eps, "eps_root": eps_root, "eps_hat": eps_hat}
    return [number(name, value, "[0, inf)") for name, value in names.items()]


def moments(grads: Updates, state: State, b1: Scalar, b2: Scalar) -> tuple[Updates, Updates]:
    """The first and second moments after these gradients, from `state.mu` and `state.nu`."""
    grads = trees.squarable(grads, state.nu)
    mu = jax.tree.map(lambda g, m: numerics.ema(m, g, b1), grads, state.mu)
    nu = jax.tree.map(lambda g, v: numerics.ema(v, numerics.abs_square(g), b2), grads, state.nu)
    return mu, nu


def corrected_scale(
    nu: Updates,
    correction1: jax.Array,
    correction2: jax.Array,
    eps: Scalar,
    eps_root: Scalar,
    eps_hat: Scalar,
) -> Updates:
    """The scale for an uncorrected first moment, from an uncorrected second moment.

    Each correction is the sum of the weights in the moving average: `1 − b^t`.
    """
    without_hat = isinstance(eps_hat, float) and eps_hat == 0
    added = eps if without_hat else eps + eps_hat / jnp.sqrt(correction2)
    # Inverted once here, so that each coordinate needs only one division.
    factor1, factor2 = 1 / correction1, 1 / correction2

    def leaf(v):
        f1, f2 = factor1.astype(v.dtype), factor2.astype(v.dtype)
        return numerics.inverse_root(v * f2, added, eps_root) * f1

    return jax.tree.map(leaf, nu)
