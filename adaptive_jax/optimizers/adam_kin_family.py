"""Variants of Adam: Adamax, NAdam, NAdamW, RAdam, AdaBelief, Yogi and QHAdam."""

import optax

from adaptive_jax import transforms
from adaptive_jax.algebra import constructor
from adaptive_jax.typing import PyTree, Scalar, ScalarOrSchedule


@constructor
def adamax(
    learning_rate: ScalarOrSchedule = 2e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 0.0,
    eps_grad: Scalar = 0.0,
) -> optax.GradientTransformationExtraArgs:
    r"""Adamax: Adam with a decaying maximum in place of the root mean square.

    .. math::
        p_t = p_{t-1} - lr\, \frac{m_t}{1 - b_1^t} \Big/ (n_t + eps), \qquad
        n_t = \max(b_2 n_{t-1},\ |g_t| + eps\_grad)

    Args:
      learning_rate: step size, a number or a schedule. Default 2e-3 (paper, PyTorch); 1e-3 in
        Keras.
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (paper).
      b2: decay rate of the maximum, in [0, 1]. Default 0.999 (paper).
      eps: added to the maximum, not negative; 1e-7 in Keras. Default 0 (paper).
      eps_grad: added to the gradient's magnitude, not negative; 1e-8 in PyTorch. Default 0 (paper).

    State: a tuple whose first entry is a `ScaleByAdamaxState` (see `scale_by_adamax`).

    Raises:
      ValueError: a hyperparameter is out of range, or the trees passed to `update` do not match.

    Reference: Kingma & Ba 2014, arXiv 1412.6980, Algorithm 2.

    >>> import jax.numpy as jnp
    >>> tx = adamax(0.1)
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(jnp.zeros(2)))[0].round(3))
    [-0.1  0.1]
    """
    return transforms.chain(
        transforms.scale_by_adamax(b1, b2, eps, eps_grad),
        transforms.scale_by_learning_rate(learning_rate),
    )


@constructor
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
    return transforms.chain(
        _scale_by_nadam(b1, b2, eps, eps_root, eps_hat, momentum_decay),
        transforms.scale_by_learning_rate(learning_rate),
    )


@constructor
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
    return transforms.chain(
        _scale_by_nadam(b1, b2, eps, eps_root, eps_hat, momentum_decay),
        transforms.add_decayed_weights(weight_decay, mask),
        transforms.scale_by_learning_rate(learning_rate),
    )


def _scale_by_nadam(b1, b2, eps, eps_root, eps_hat, momentum_decay):
    if momentum_decay is None:
        return transforms.scale_by_adam(b1, b2, eps, eps_root, eps_hat, nesterov=True)
    return transforms.scale_by_nadam(b1, b2, eps, eps_root, eps_hat, momentum_decay)


@constructor
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
    return transforms.chain(
        transforms.scale_by_radam(b1, b2, eps, eps_root, eps_hat, threshold),
        transforms.scale_by_learning_rate(learning_rate),
    )


@constructor
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
    return transforms.chain(
        transforms.scale_by_adabelief(b1, b2, eps, eps_root),
        transforms.scale_by_learning_rate(learning_rate),
    )


@constructor
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
    return transforms.chain(
        transforms.scale_by_yogi(b1, b2, eps, eps_root, eps_hat, initial_accumulator),
        transforms.scale_by_learning_rate(learning_rate),
    )


@constructor
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
    return transforms.chain(
        transforms.scale_by_qhadam(b1, b2, nu1, nu2, eps, eps_root),
        transforms.scale_by_learning_rate(learning_rate),
    )
