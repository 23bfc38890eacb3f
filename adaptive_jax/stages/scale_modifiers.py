"""Scales between adaptive and plain: AdaMod's momental bound and Padam's exponent."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import ScaleModifier, constructor
from adaptive_jax.typing import Scalar, Updates
from adaptive_jax.validation import number

__all__ = [
    "CorrectBiasState",
    "MomentalBoundState",
    "correct_bias",
    "momental_bound",
    "partial_adaptivity",
]


class MomentalBoundState(NamedTuple):
    """State of `momental_bound`: the moving average of the scale, `mean_scale`."""

    mean_scale: Updates


class CorrectBiasState(NamedTuple):
    """State of `correct_bias`: the number of updates so far."""

    count: jax.Array


@constructor
def momental_bound(b3: Scalar = 0.999) -> ScaleModifier:
    r"""AdaMod's bound: limits each coordinate's scale to its moving average.

    .. math::
        e_t = b_3 e_{t-1} + (1 - b_3) s_t, \qquad s_t \leftarrow \min(s_t, e_t)

    The average starts at 0, so the first steps are short, as in a warm-up.

    Args:
      b3: decay rate of the average, in [0, 1); 0 leaves the scale unchanged. Default 0.999
        (authors' code).

    State: `MomentalBoundState` with `mean_scale`, real, in the shapes of the parameters, in float32
    or wider.

    Raises:
      ValueError: `b3` is out of range. `chain` raises it if the stage before this one is not a
        Preconditioner.

    Reference: Ding et al. 2019, arXiv 1910.12249.

    >>> import jax.numpy as jnp
    >>> from adaptive_jax import chain, scale_by_rms
    >>> tx = chain(scale_by_rms(decay=0.0), momental_bound(0.75))
    >>> state = tx.init(jnp.zeros(()))
    >>> for _ in range(2):
    ...     update, state = tx.update(jnp.array(5.0), state)
    ...     print(update.round(4))
    0.25
    0.4375
    """
    b3 = number("b3", b3, "[0, 1)")

    def init(params):
        return MomentalBoundState(trees.real_full_like(params))

    def modify(scale, state):
        mean = trees.ema(state.mean_scale, scale, b3)
        return jax.tree.map(jnp.minimum, scale, mean), MomentalBoundState(mean)

    return ScaleModifier(init, modify)


@constructor
def partial_adaptivity(p: Scalar = 0.125) -> ScaleModifier:
    r"""Padam's exponent: raises the scale to the power 2p, between SGD (0) and Adam (1/2).

    .. math::
        s_t \leftarrow s_t^{2p}

    so that a scale of :math:`v_t^{-1/2}` becomes :math:`v_t^{-p}`.

    Args:
      p: in [0, 1/2]; 1/2 leaves the scale unchanged, and 0 removes it (SGD). Default 0.125 (paper).
        A smaller `p` needs a larger learning rate: 0.1 in the paper for 1/8.

    No state.

    Raises:
      ValueError: `p` is out of range. `chain` raises it if the stage before this one is not a
        Preconditioner.

    Reference: Chen et al. 2020, arXiv 1806.06763.

    >>> import jax.numpy as jnp
    >>> from adaptive_jax import chain, scale_by_rms
    >>> tx = chain(scale_by_rms(decay=0.0), partial_adaptivity(0.25))
    >>> print(tx.update(jnp.array([4.0, -100.0]), tx.init(jnp.zeros(2)))[0])
    [  2. -10.]
    """
    p = number("p", p, "[0, 0.5]")

    def modify(scale, state):
        return jax.tree.map(lambda s: numerics.power(s, 2 * p), scale), state

    return ScaleModifier(optax.init_empty_state, modify)


@constructor
def correct_bias(b1: Scalar = 0.9, b2: Scalar = 0.999) -> ScaleModifier:
    r"""Multiplies the scale by Adam's bias corrections.

    .. math::
        s_t \leftarrow s_t\, \sqrt{1 - b_2^t}\,/\,(1 - b_1^t)

    It corrects a scale that was modified without them. For example,
    `scale_by_adam(b1, b2, eps, bias_correction=False)` followed by it equals
    `scale_by_adam(b1, b2, eps=0, eps_hat=eps)`. With `partial_adaptivity` between the two, it is
    the step of the code of Padam's authors.

    Args:
      b1: decay rate of the first moment, in [0, 1). Default 0.9 (`scale_by_adam`).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (`scale_by_adam`).

    State: `CorrectBiasState` with `count` (int32).

    Raises:
      ValueError: a hyperparameter is out of range. `chain` raises it if the stage before this one
        is not a Preconditioner.

    Reference: Kingma & Ba 2014, arXiv 1412.6980, the end of section 2.

    >>> import jax.numpy as jnp
    >>> from adaptive_jax import chain, scale_by_adam
    >>> tx = chain(scale_by_adam(0.9, 0.999, bias_correction=False), correct_bias(0.9, 0.999))
    >>> print(tx.update(jnp.array([5.0, -5.0]), tx.init(jnp.zeros(2)))[0].round(4))
    [ 1. -1.]
    """
    b1, b2 = number("b1", b1, "[0, 1)"), number("b2", b2, "[0, 1)")

    def init(params):
        return CorrectBiasState(numerics.count_zero())

    def modify(scale, state):
        count = numerics.count_next(state.count)
        correction1 = numerics.bias_correction(b1, count)
        correction = jnp.sqrt(numerics.bias_correction(b2, count)) / correction1
        scale = jax.tree.map(lambda s: s * correction.astype(s.dtype), scale)
        return scale, CorrectBiasState(count)

    return ScaleModifier(init, modify)
