"""DiffGrad: Adam with shorter steps where the gradient hardly changes."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import trees
from adaptive_jax.algebra import Preconditioner, Step, chain, constructor
from adaptive_jax.methods.adam import scale_by_adam
from adaptive_jax.registry import register
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import Scalar, ScalarOrSchedule, State, Updates

__all__ = ["ScaleByDiffgradState", "diffgrad", "scale_by_diffgrad"]


class ScaleByDiffgradState(NamedTuple):
    """State of `scale_by_diffgrad`: Adam's state `adam`, and the `previous` gradient."""

    adam: State
    previous: Updates


@constructor
def scale_by_diffgrad(
    b1: Scalar = 0.9, b2: Scalar = 0.999, eps: Scalar = 1e-8, eps_hat: Scalar = 0.0
) -> Preconditioner:
    r"""Adam's step times a friction between 1/2 and 1, which grows with the gradient's change.

    .. math::
        \xi_t = \frac{1}{1 + e^{-|g_t - g_{t-1}|}}, \qquad g_0 = 0, \qquad
        u_t = \xi_t \frac{m_t}{1 - b_1^t} \Big/ \left(\sqrt{\frac{v_t}{1 - b_2^t}}
               + eps + \frac{eps\_hat}{\sqrt{1 - b_2^t}}\right)

    with the moments :math:`m_t, v_t` of `scale_by_adam`. The friction is part of this
    Preconditioner's scale: it is positive, and the paper counts it as part of the learning rate. So
    bounds on the learning rate, such as those of `bound_lr`, apply to the product. The change is in
    the units of the gradient; no other part of the method depends on the gradients' size.

    Args:
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (paper).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (paper).
      eps: added to the corrected root, not negative. Default 1e-8 (paper).
      eps_hat: added to the uncorrected root, as in the authors' code; not negative. Set `eps=0`
        with it. Default 0 (paper).

    State: `ScaleByDiffgradState` with `adam`, an `optax.ScaleByAdamState`, and `previous`, the last
    gradient, in the shapes of the parameters, in float32 or wider.

    Raises:
      ValueError: a hyperparameter is out of range, or the trees passed to `update` do not match.

    Reference: Dubey et al. 2019, arXiv 1909.11015. (In the code of the paper's experiments the
    change is always 0; this is the paper's formula and the authors' later `diffGrad_v2`.)

    >>> import jax.numpy as jnp
    >>> tx = scale_by_diffgrad()
    >>> state = tx.init(jnp.zeros(2))
    >>> for _ in range(2):
    ...     updates, state = tx.update(jnp.array([100.0, -1e-3]), state)
    ...     print(updates.round(3))
    [ 1.  -0.5]
    [ 0.5 -0.5]
    """
    adam = scale_by_adam(b1, b2, eps, eps_hat=eps_hat)

    def init(params):
        return ScaleByDiffgradState(adam.init(params), trees.zeros_like(params))

    def step(grads, state, params=None, **extra):
        direction, scale, adam_state, _ = adam.step(grads, state.adam)
        grads = trees.squarable(grads, state.adam.nu)
        scale = jax.tree.map(
            lambda s, g, last: s * _friction(g - last), scale, grads, state.previous
        )
        return Step(direction, scale, ScaleByDiffgradState(adam_state, grads))

    return Preconditioner(init, step, first_order=("mu", "previous"))


@register(
    "Adam with friction where gradients hardly change",
    reference="arXiv 1909.11015",
    learning_rate=(0.0001, 0.1),
)
def diffgrad(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    eps: Scalar = 1e-8,
    eps_hat: Scalar = 0.0,
) -> optax.GradientTransformationExtraArgs:
    r"""DiffGrad: Adam with shorter steps where the gradient hardly changes.

    .. math::
        p_t = p_{t-1} - lr\, \xi_t \frac{\hat m_t}{\sqrt{\hat v_t} + eps}, \qquad
        \xi_t = \frac{1}{1 + e^{-|g_t - g_{t-1}|}}

    The friction :math:`\xi_t` is between 1/2 and 1.

    Args:
      learning_rate: step size, a number or a schedule of the number of updates already made.
        Default 1e-3 (paper).
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (paper).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (paper).
      eps: added to the corrected root, not negative. Default 1e-8 (paper).
      eps_hat: added to the uncorrected root, not negative. Default 0 (paper). The authors' code
        is `eps=0, eps_hat=1e-8`.

    Raises:
      ValueError: a hyperparameter is out of range, or trees do not match.

    Reference: Dubey et al. 2019, arXiv 1909.11015.

    >>> import jax.numpy as jnp
    >>> tx = diffgrad(0.1)
    >>> print(tx.update(jnp.array([100.0, -1e-3]), tx.init(jnp.zeros(2)))[0].round(3))
    [-0.1   0.05]
    """
    return chain(
        scale_by_diffgrad(b1, b2, eps, eps_hat),
        scale_by_learning_rate(learning_rate),
    )


def _friction(change):
    return jax.nn.sigmoid(jnp.abs(change))
