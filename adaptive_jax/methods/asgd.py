"""Averaged SGD: a learning rate that decays as a power, and the average of the parameters."""

import jax.numpy as jnp
import optax

from adaptive_jax import numerics
from adaptive_jax.algebra import chain
from adaptive_jax.registry import register
from adaptive_jax.stages.averages import average_as_params, polyak_average
from adaptive_jax.stages.decay import add_decayed_weights
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import Scalar, ScalarOrSchedule, Schedule
from adaptive_jax.validation import number, number_or_schedule

__all__ = ["asgd", "asgd_schedule"]


def asgd_schedule(
    learning_rate: ScalarOrSchedule = 0.01, lambd: Scalar = 1e-4, alpha: Scalar = 0.75
) -> Schedule:
    r"""The learning rate of averaged SGD: :math:`lr / (1 + lambd \cdot |lr| \cdot t)^{alpha}`.

    Args:
      learning_rate: initial learning rate, a number or a schedule; a negative one ascends. Default
        0.01 (PyTorch).
      lambd: speed of the decay, not negative. Default 1e-4 (PyTorch).
      alpha: exponent, not negative; in theory between 1/2 and 1. Default 0.75 (PyTorch).

    Raises:
      ValueError: an argument is out of range.

    Reference: Polyak & Juditsky 1992, doi 10.1137/0330046; Bottou 2012, "Stochastic gradient
    descent tricks".

    >>> lr = asgd_schedule(0.1, lambd=1.0, alpha=0.5)
    >>> print(f"{lr(0):.3f} {lr(30):.3f}")
    0.100 0.050
    """
    learning_rate = number_or_schedule("learning_rate", learning_rate, "(-inf, inf)")
    lambd = number("lambd", lambd, "[0, inf)")
    alpha = number("alpha", alpha, "[0, inf)")

    def schedule(count):
        rate = numerics.at_step(learning_rate, count)
        passed = jnp.asarray(count, jnp.result_type(float))
        return rate * jnp.exp(-alpha * jnp.log1p(lambd * abs(rate) * passed))

    return schedule


@register(
    "SGD with a falling rate, and the mean of its path",
    reference="Polyak & Juditsky 1992",
    learning_rate=(0.001, 1.0),
    scheduled=False,
    evaluated_at=average_as_params,
)
def asgd(
    learning_rate: ScalarOrSchedule = 0.01,
    lambd: Scalar = 1e-4,
    alpha: Scalar = 0.75,
    t0: Scalar = 1e6,
) -> optax.GradientTransformationExtraArgs:
    r"""Averaged SGD: SGD with a decaying learning rate and an average of the parameters.

    .. math::
        p_t = p_{t-1} - \eta_t (g_t + lambd\, p_{t-1}), \qquad
        \eta_t = \frac{lr}{(1 + lambd \cdot |lr|\, (t - 1))^{alpha}}

    `averaged_params(state)` returns the average of the parameters after update `t0 + 2` and all
    later ones. Comparisons evaluate the model at the average.

    Args:
      learning_rate: initial learning rate, a number or a schedule. Default 0.01 (PyTorch).
      lambd: both the weight decay, which moves parameters also where the gradient is 0, and the
        decay of the learning rate; not negative. Default 1e-4 (PyTorch).
      alpha: exponent of the learning rate's decay, not negative. Default 0.75 (PyTorch).
      t0: the update after which averaging starts, not negative. Default 1e6 (PyTorch), more than
        most runs have: set it to where the parameters begin to fluctuate around a minimum.

    State: a tuple whose last entry is a `PolyakAverageState` (see `polyak_average`).

    Raises:
      ValueError: a hyperparameter is out of range, the trees passed to `update` do not match, or
        `update` is called without parameters.

    Reference: Polyak & Juditsky 1992, doi 10.1137/0330046.

    >>> import jax.numpy as jnp
    >>> from adaptive_jax import averaged_params
    >>> tx = asgd(0.5, t0=0)
    >>> params, state = jnp.array(1.0), tx.init(jnp.array(1.0))
    >>> for grad in (1.0, -1.0, 1.0, -1.0, 1.0):
    ...     update, state = tx.update(jnp.array(grad), state, params)
    ...     params += update
    >>> print(f"{params:.2f} {averaged_params(state):.2f}")
    0.50 0.75
    """
    lambd, t0 = number("lambd", lambd, "[0, inf)"), number("t0", t0, "[0, inf)")
    return chain(
        add_decayed_weights(lambd),
        scale_by_learning_rate(asgd_schedule(learning_rate, lambd, alpha)),
        polyak_average(t0 + 1),
    )
