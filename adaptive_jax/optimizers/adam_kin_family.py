"""Adam's kin: another momentum, another second moment, or a correction of its first steps."""

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
    r"""Adamax: :math:`p_t = p_{t-1} - lr\, \hat m_t / n_t`, where :math:`n_t` is a maximum.

    Arguments as in `scale_by_adamax` and `scale_by_learning_rate`; all defaults are the paper's.
    PyTorch has `eps_grad=1e-8`, Keras `eps=1e-7` and a learning rate of 1e-3.

    Raises:
      ValueError: as `scale_by_adamax` and `scale_by_learning_rate` raise.

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
    r"""NAdam: Adam with Nesterov's look-ahead and a momentum that rises from b1/2 to b1.

    .. math::
        p_t = p_{t-1} - \frac{lr}{\sqrt{\hat v_t} + eps} \Big(
              \frac{\mu_{t+1} m_t}{1 - \prod_{i \le t+1} \mu_i}
              + \frac{(1 - \mu_t) g_t}{1 - \prod_{i \le t} \mu_i}\Big), \qquad
        \mu_t = b_1 (1 - \tfrac12\, 0.96^{t \cdot momentum\_decay})

    Arguments as in `scale_by_nadam` and `scale_by_learning_rate`; `momentum_decay=None` keeps the
    momentum constant, as `adam(nesterov=True)` does. All defaults are PyTorch's; Keras has a
    learning rate of 1e-3, `eps=1e-7` and `momentum_decay=1`.

    Raises:
      ValueError: as `scale_by_nadam` and `scale_by_learning_rate` raise.

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
    r"""NAdam with decoupled decay: :math:`p_t = p_{t-1} - lr\,(u_t + weight\_decay\, p_{t-1})`.

    :math:`u_t` and the other arguments are those of `nadam`, `weight_decay` and `mask` those of
    `add_decayed_weights`. Equals PyTorch's `NAdam(decoupled_weight_decay=True)`, whose defaults
    it has, but for a decay of 0.01: that is the default of PyTorch's AdamW.

    Raises:
      ValueError: as `nadam` and `add_decayed_weights` raise.

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
    r"""RAdam: Adam with rectified first steps, which need no warm-up of the learning rate.

    .. math::
        p_t = p_{t-1} - lr\,\frac{\sqrt{1 - b_2^t}}{1 - b_1^t}\,
              \frac{r_t\, m_t}{\sqrt{v_t} + eps\_hat}
        \;\text{ if } \rho_t > threshold, \text{ else }\;
        p_{t-1} - \frac{lr\, m_t}{1 - b_1^t}

    with the rectification :math:`r_t` and the length :math:`\rho_t` of `scale_by_radam`.
    Arguments as there and in `scale_by_learning_rate`; all defaults are the authors' code's and
    PyTorch's. For decoupled decay put `add_decayed_weights` before the learning rate:
    `chain(scale_by_radam(), add_decayed_weights(0.1), scale_by_learning_rate(1e-3))`.

    Raises:
      ValueError: as `scale_by_radam` and `scale_by_learning_rate` raise.

    Reference: Liu et al. 2020, arXiv 1908.03265.

    >>> import jax.numpy as jnp
    >>> tx = radam(0.1)
    >>> print(tx.update(jnp.array([5.0, -1.0]), tx.init(jnp.zeros(2)))[0].round(3))  # as SGD's
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
    r"""AdaBelief: Adam with the mean of :math:`|g_t - m_t|^2` for the mean of :math:`|g_t|^2`.

    .. math::
        p_t = p_{t-1} - lr\, \hat m_t / (\sqrt{\hat s_t} + eps), \qquad
        s_t = b_2 s_{t-1} + (1 - b_2) |g_t - m_t|^2 + eps\_root

    Arguments as in `scale_by_adabelief` and `scale_by_learning_rate`. The default rates are the
    paper's, epsilon is the authors' code's; that code can also rectify the first steps as
    `radam` does, which is left out here.

    Raises:
      ValueError: as `scale_by_adabelief` and `scale_by_learning_rate` raise.

    Reference: Zhuang et al. 2020, arXiv 2010.07468.

    >>> import jax.numpy as jnp
    >>> tx = adabelief(1.0)  # the first error is 0.9 of the gradient
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
    r"""Yogi: Adam with an additive second moment.

    .. math::
        p_t = p_{t-1} - lr\,\frac{\sqrt{1 - b_2^t}}{1 - b_1^t}\, \frac{m_t}{\sqrt{v_t} + eps\_hat},
        \qquad v_t = v_{t-1} - (1 - b_2)\,\mathrm{sign}(v_{t-1} - |g_t|^2)\,|g_t|^2

    Arguments as in `scale_by_yogi` and `scale_by_learning_rate`; all defaults are the paper's and
    the authors' code's.

    Raises:
      ValueError: as `scale_by_yogi` and `scale_by_learning_rate` raise.

    Reference: Zaheer et al. 2018, Adaptive Methods for Nonconvex Optimization, NeurIPS.

    >>> import jax.numpy as jnp
    >>> tx = yogi(1.0)  # steps from gradients below eps are smaller
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
    r"""QHAdam: Adam with its moments mixed with the gradient of the step.

    .. math::
        p_t = p_{t-1} - lr\,\frac{\nu_1 \hat m_t + (1 - \nu_1) g_t}
                               {\sqrt{\nu_2 \hat v_t + (1 - \nu_2) |g_t|^2 + eps\_root} + eps}

    Arguments as in `scale_by_qhadam` and `scale_by_learning_rate`; the defaults of `b1`, `b2`,
    `nu1` and `nu2` are the ones its authors recommend, the others are Adam's.

    Raises:
      ValueError: as `scale_by_qhadam` and `scale_by_learning_rate` raise.

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
