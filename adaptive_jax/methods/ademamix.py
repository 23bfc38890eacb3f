"""AdEMAMix: Adam with a second, slower mean of the gradients."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Preconditioner, Step, chain, constructor
from adaptive_jax.methods.adam import scale_by_adam
from adaptive_jax.registry import register
from adaptive_jax.stages.decay import add_decayed_weights
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import PyTree, Scalar, ScalarOrSchedule, Schedule, State, Updates
from adaptive_jax.validation import number, number_or_schedule, steps

__all__ = ["ScaleByAdemamixState", "ademamix", "ademamix_warmup", "scale_by_ademamix"]


class ScaleByAdemamixState(NamedTuple):
    """Adam's state and the slow mean of the gradients."""

    adam: State
    mu_slow: Updates


@constructor
def scale_by_ademamix(
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    b3: ScalarOrSchedule = 0.9999,
    alpha: ScalarOrSchedule = 5.0,
    eps: Scalar = 1e-8,
) -> Preconditioner:
    r"""Divides the sum of a fast and a slow mean of the gradients by their root mean square.

    .. math::
        m_t &= b_1 m_{t-1} + (1 - b_1) g_t, \qquad s_t = b_3 s_{t-1} + (1 - b_3) g_t, \qquad
        v_t = b_2 v_{t-1} + (1 - b_2) |g_t|^2 \\
        u_t &= \Big(\frac{m_t}{1 - b_1^t} + \alpha s_t\Big) \Big/
               \left(\sqrt{\frac{v_t}{1 - b_2^t}} + eps\right)

    The slow mean has no bias correction: it is meant to start small. For a large `b3` the paper
    also increases `b3` and `alpha` gradually, with the schedules of `ademamix_warmup`. As a
    Preconditioner, the sum of the two means is the direction, and the scale is Adam's.

    Args:
      b1: decay rate of the fast mean, in [0, 1). Default 0.9 (paper's experiments and authors'
        code).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (paper's experiments and
        authors' code).
      b3: decay rate of the slow mean, in [0, 1], a number or a schedule of the number of updates
        already made. Default 0.9999 (paper's experiments and authors' code).
      alpha: weight of the slow mean, not negative, a number or a schedule; the paper finds 4 to
        10 good. Default 5 (pytorch_optimizer); the authors' code has 2, and 8 in its example.
      eps: added to the corrected root, not negative. Default 1e-8 (authors' code).

    State: `adam`, that of `scale_by_adam`, and `mu_slow` like its `mu`.

    Raises:
      ValueError: a hyperparameter is out of range, or trees do not match.

    Reference: Pagliardini, Ablin & Grangier 2024, arXiv 2409.03137.

    >>> import jax.numpy as jnp
    >>> tx = scale_by_ademamix(b3=0.75, alpha=4.0)
    >>> updates, state = tx.update(jnp.array([1e3, -1e-3]), tx.init(jnp.zeros(2)))
    >>> print(updates.round(3))  # 1 from the fast mean, 4 · 0.25 from the slow one
    [ 2. -2.]
    """
    adam = scale_by_adam(b1, b2, eps)
    b1 = number("b1", b1, "[0, 1)")
    b3 = number_or_schedule("b3", b3, "[0, 1]")
    alpha = number_or_schedule("alpha", alpha, "[0, inf)")

    def init(params):
        return ScaleByAdemamixState(adam.init(params), trees.zeros_like(params))

    def step(grads, state, params=None, **extra):
        fast, scale, adam_state, _ = adam.step(grads, state.adam)
        decay = numerics.at_step(b3, state.adam.count)
        mu_slow = trees.ema(state.mu_slow, trees.squarable(grads, state.adam.nu), decay)
        weight = numerics.at_step(alpha, state.adam.count)
        correction = numerics.bias_correction(b1, adam_state.count)  # the scale undoes it

        def mix(m, s):
            return m + jnp.asarray(weight, m.dtype) * correction.astype(m.dtype) * s

        direction = jax.tree.map(mix, fast, mu_slow)
        return Step(direction, scale, ScaleByAdemamixState(adam_state, mu_slow))

    return Preconditioner(init, step, first_order=("mu", "mu_slow"))


def ademamix_warmup(
    warmup_steps: int, alpha: Scalar = 5.0, b3: Scalar = 0.9999, b1: Scalar = 0.9
) -> tuple[Schedule, Schedule]:
    r"""The AdEMAMix paper's schedules of `alpha` and `b3`, with T = `warmup_steps`.

    .. math::
        \alpha(t) = \alpha\, \min(t / T,\ 1), \qquad
        b_3(t) = \exp\Big(\frac{\ln b_1 \ln b_3}{(1 - t/T) \ln b_3 + (t/T) \ln b_1}\Big)
        \ (t < T),\ b_3\ (t \ge T)

    with t = 1 at the first update. The half-life of a gradient in the slow mean grows linearly,
    from that of `b1` to that of `b3`.

    Args:
      warmup_steps: number of updates T, at least 1; the paper uses all updates of the training.
      alpha: final value, not negative. Default 5, as in `scale_by_ademamix`.
      b3: final value, in (0, 1). Default 0.9999 (paper's experiments).
      b1: initial value of b3, in (0, 1): the decay rate of the fast mean. Default 0.9, as in
        `scale_by_ademamix`.

    Returns:
      The schedules `(alpha, b3)` for `scale_by_ademamix`.

    Raises:
      ValueError: an argument is out of range.

    Reference: Pagliardini, Ablin & Grangier 2024, arXiv 2409.03137, section 3.

    >>> alpha, b3 = ademamix_warmup(100, alpha=5.0, b3=0.9999, b1=0.9)
    >>> print(f"{alpha(49):.2f} {b3(49):.4f} {alpha(99):.2f} {b3(99):.4f}")
    2.50 0.9998 5.00 0.9999
    """
    warmup_steps = steps("warmup_steps", warmup_steps)
    alpha = number("alpha", alpha, "[0, inf)")
    b3, b1 = number("b3", b3, "(0, 1)"), number("b1", b1, "(0, 1)")

    def completed(count):
        t = jnp.asarray(count, jnp.result_type(float)) + 1
        return jnp.minimum(t / float(warmup_steps), 1)

    def alpha_at(count):
        x = completed(count)
        return jnp.asarray(alpha, x.dtype) * x

    def b3_at(count):
        x = completed(count)
        log_b1, log_b3 = (jnp.asarray(numerics.log(b), x.dtype) for b in (b1, b3))
        return jnp.exp(1 / ((1 - x) / log_b1 + x / log_b3))

    return alpha_at, b3_at


@register(
    "Adam with a second, slow mean of the gradients",
    reference="arXiv 2409.03137",
    learning_rate=(0.0001, 0.1),
    weight_decay=(1e-4, 1.0),
)
def ademamix(
    learning_rate: ScalarOrSchedule = 1e-3,
    b1: Scalar = 0.9,
    b2: Scalar = 0.999,
    b3: ScalarOrSchedule = 0.9999,
    alpha: ScalarOrSchedule = 5.0,
    eps: Scalar = 1e-8,
    weight_decay: ScalarOrSchedule | None = None,
    mask: PyTree | None = None,
) -> optax.GradientTransformationExtraArgs:
    r"""AdEMAMix: AdamW with the sum of a fast and a slow mean of gradients.

    .. math::
        p_t = p_{t-1} - lr\,\Big(\frac{\hat m_t + alpha\, s_t}{\sqrt{\hat v_t} + eps}
              + weight\_decay\, p_{t-1}\Big), \qquad s_t = b_3 s_{t-1} + (1 - b_3) g_t

    The paper increases `alpha` and `b3` gradually:
    `alpha, b3 = ademamix_warmup(steps); ademamix(alpha=alpha, b3=b3)`.

    Args:
      learning_rate: step size, a number or a schedule of the number of updates already made.
        Default 1e-3 (authors' code).
      b1: decay rate of the fast mean, in [0, 1). Default 0.9 (paper's experiments and authors'
        code).
      b2: decay rate of the second moment, in [0, 1). Default 0.999 (paper's experiments and
        authors' code).
      b3: decay rate of the slow mean, in [0, 1], a number or a schedule. Default 0.9999 (paper's
        experiments and authors' code).
      alpha: weight of the slow mean, not negative, a number or a schedule. Default 5
        (pytorch_optimizer; the paper finds 4 to 10 good); the authors' code has 2.
      eps: added to the corrected root, not negative. Default 1e-8 (authors' code).
      weight_decay: rate of decoupled decay, a number or a schedule; multiplied by the learning
        rate. Default None: no decay (0 in the authors' code; the paper tunes it).
      mask: a tree of booleans like the parameters, or a function from the parameters to one:
        which parameters decay. Default None: all.

    Raises:
      ValueError: a hyperparameter is out of range, trees do not match, or `update` is called
        without parameters and `weight_decay` is not None.

    Reference: Pagliardini, Ablin & Grangier 2024, arXiv 2409.03137.

    >>> import jax.numpy as jnp
    >>> tx = ademamix(0.1)
    >>> print(tx.update(jnp.array([5.0, -1e-3]), tx.init(jnp.zeros(2)))[0].round(3))
    [-0.1  0.1]
    """
    stages: list[optax.GradientTransformation] = [scale_by_ademamix(b1, b2, b3, alpha, eps)]
    if weight_decay is not None:
        stages.append(add_decayed_weights(weight_decay, mask))
    return chain(*stages, scale_by_learning_rate(learning_rate))
