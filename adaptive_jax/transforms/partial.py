"""Scales on the way from adaptive to plain: AdaMod's momental bound, Padam's exponent."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import ScaleModifier, constructor
from adaptive_jax.typing import Scalar, Updates
from adaptive_jax.validation import number


class MomentalBoundState(NamedTuple):
    """The mean scale."""

    mean_scale: Updates


class CorrectBiasState(NamedTuple):
    """Updates made."""

    count: jax.Array


@constructor
def momental_bound(b3: Scalar = 0.999) -> ScaleModifier:
    r"""AdaMod's bound: no coordinate's scale may exceed the moving mean of its scales so far.

    .. math::
        e_t = b_3 e_{t-1} + (1 - b_3) s_t, \qquad s_t \leftarrow \min(s_t, e_t)

    The mean starts at 0, so the first steps are short: it warms up by itself.

    Args:
      b3: decay rate in [0, 1); default of the authors' code. 0 changes nothing.

    State: `mean_scale`, real, in the parameters' shapes, float32 or wider.

    Raises:
      ValueError: `b3` is out of range; in use, the stage before it is no Preconditioner.

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
        mean = jax.tree.map(lambda e, s: numerics.ema(e, s, b3), state.mean_scale, scale)
        return jax.tree.map(jnp.minimum, scale, mean), MomentalBoundState(mean)

    return ScaleModifier(init, modify)


@constructor
def partial_adaptivity(p: Scalar = 0.125) -> ScaleModifier:
    r"""Padam's exponent :math:`s_t \leftarrow s_t^{2p}`, which makes :math:`v^{-p}` of a scale.

    Args:
      p: in [0, 1/2]; 1/2 changes nothing, 0 leaves the direction alone (SGD). Default of the
        paper. The learning rate is to grow as `p` falls: 0.1 in the paper for 1/8.

    No state.

    Raises:
      ValueError: `p` is out of range; in use, the stage before it is no Preconditioner.

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
    r"""Multiplies the scale by Adam's corrections :math:`\sqrt{1 - b_2^t}\,/\,(1 - b_1^t)`.

    For a scale that was changed without them: `scale_by_adam(b1, b2, eps, bias_correction=False)`
    and this is `scale_by_adam(b1, b2, eps=0, eps_hat=eps)`. With `partial_adaptivity` between the
    two it is the step of Padam's authors' code.

    Args:
      b1, b2: the decay rates of the moments, in [0, 1); defaults of `scale_by_adam`.

    State: `count`, int32.

    Raises:
      ValueError: a hyperparameter is out of range; in use, the stage before it is no
        Preconditioner.

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
