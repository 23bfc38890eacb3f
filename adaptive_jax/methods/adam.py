"""Adam and AMSGrad: the first moment of gradients over the root of the second."""

import functools

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, chain, constructor
from adaptive_jax.registry import register
from adaptive_jax.stages.decay import add_decayed_weights
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import PyTree, Scalar, ScalarOrSchedule, State, Updates
from adaptive_jax.validation import number

__all__ = ["adam", "adamw", "scale_by_adam"]


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


@register(
    "mean gradient over the root of the mean square",
    reference="arXiv 1412.6980",
    learning_rate=(0.0001, 0.1),
)
def adam(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    eps_hat: Scalar = 0.0,
    nesterov: bool = False,
) -> optax.GradientTransformationExtraArgs:
    r"""Adam: the first moment of the gradients over the root of the second.

    .. math::
        p_t = p_{t-1} - lr\, \hat m_t \Big/ \Big(\sqrt{\hat v_t + eps\_root} + eps
              + eps\_hat \big/ \sqrt{1 - b_2^t}\Big)

    with the bias-corrected moments of `scale_by_adam`. For an L2 penalty, put
    `add_decayed_weights` before it: `chain(add_decayed_weights(1e-4), adam(1e-3))`.

    Args:
      learning_rate: step size, a number or a schedule. Default 1e-3 (paper).
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (paper).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (paper).
      eps: added to the corrected root, not negative. Default 1e-8 (paper, PyTorch).
      eps_root: added under the root, not negative, as in Optax. Default 0 (paper).
      eps_hat: added to the uncorrected root, not negative: the paper's "epsilon hat". Keras has
        1e-7 here and `eps=0`. Default 0 (Algorithm 1 of the paper, PyTorch).
      nesterov: whether the first moment looks one step ahead (Dozat 2016). Default False (paper).

    State: a tuple whose first entry is an `optax.ScaleByAdamState` (see `scale_by_adam`).

    Raises:
      ValueError: a hyperparameter is out of range, or the trees passed to `update` do not match.

    Reference: Kingma & Ba 2014, arXiv 1412.6980.

    >>> import jax.numpy as jnp
    >>> tx = adam(0.1)
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(jnp.zeros(2)))[0].round(3))
    [-0.1  0.1]
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, eps_hat, nesterov),
        scale_by_learning_rate(learning_rate),
    )


@register(
    "Adam with weight decay decoupled from the gradient",
    reference="arXiv 1711.05101",
    learning_rate=(0.0001, 0.1),
    weight_decay=(1e-4, 1.0),
)
def adamw(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_root: Scalar = 0.0,
    eps_hat: Scalar = 0.0,
    weight_decay: ScalarOrSchedule = 0.01,
    mask: PyTree | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""AdamW: Adam with decoupled weight decay.

    .. math::
        p_t = p_{t-1} - lr\,(u_t + weight\_decay\, p_{t-1})

    where :math:`u_t` is the update of `scale_by_adam`. The decay is multiplied by the learning
    rate, as in PyTorch.

    Args:
      learning_rate: step size, a number or a schedule. Default 1e-3 (PyTorch, Keras).
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (PyTorch, Keras).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (PyTorch, Keras).
      eps: added to the corrected root, not negative. Default 1e-8 (PyTorch).
      eps_root: added under the root, not negative, as in Optax. Default 0 (PyTorch).
      eps_hat: added to the uncorrected root, not negative; Keras has 1e-7 here and `eps=0`. Default
        0 (PyTorch).
      weight_decay: factor of the parameters in the update, a number or a schedule. Default 0.01
        (PyTorch; the paper tunes it); 0.004 in Keras, 1e-4 in Optax.
      mask: a tree of booleans, or a function from the parameters to one; only leaves with True
        decay. Default None: all of them.

    State: a tuple whose first entry is an `optax.ScaleByAdamState` (see `scale_by_adam`).

    Raises:
      ValueError: a hyperparameter is out of range, the trees passed to `update` do not match, or
        `update` is called without parameters.

    Reference: Loshchilov & Hutter 2019, arXiv 1711.05101.

    >>> import jax.numpy as jnp
    >>> tx = adamw(0.1, weight_decay=0.5)
    >>> params = jnp.array([2.0, 2.0])
    >>> print(tx.update(jnp.array([1.0, 0.0]), tx.init(params), params)[0].round(3))
    [-0.2 -0.1]
    """
    return chain(
        scale_by_adam(b1, b2, eps, eps_root, eps_hat),
        add_decayed_weights(weight_decay, mask),
        scale_by_learning_rate(learning_rate),
    )


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
    mu = trees.ema(state.mu, grads, b1)
    nu = trees.ema(state.nu, jax.tree.map(numerics.abs_square, grads), b2)
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

    @functools.cache  # once for each dtype, not for each array
    def factors(dtype):
        return factor1.astype(dtype), factor2.astype(dtype)

    def leaf(v):
        f1, f2 = factors(v.dtype)
        root = numerics.inverse_root(jax.lax.mul(v, f2), added, eps_root)
        return jax.lax.mul(root, f1)

    return jax.tree.map(leaf, nu)
