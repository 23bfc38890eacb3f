"""The scheduler that depends on a metric instead of the number of updates."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics
from adaptive_jax.presets.arguments import verbatim
from adaptive_jax.presets.torch.lr_scheduler.scheduler import FIRST, HINTS, PER_GROUP
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.typing import Scalar
from adaptive_jax.validation import steps


class ReduceLROnPlateauState(NamedTuple):
    """The number of updates, and torch's rate, best value, bad epochs in a row and cooldown."""

    count: jax.Array
    lr: jax.Array
    best: jax.Array
    num_bad_epochs: jax.Array
    cooldown_counter: jax.Array


_INTERVALS = {
    "lr": "(0, inf)",
    "factor": "[0, 1)",
    "threshold": "[0, inf)",
    "min_lr": "[0, inf)",
    "eps": "[0, inf)",
}


@verbatim(
    "presets.torch.lr_scheduler",
    _INTERVALS,
    hints=HINTS,
    per_group=PER_GROUP,
    first=FIRST,
)
def ReduceLROnPlateau(
    lr: Scalar,
    mode: Literal["min", "max"] = "min",
    factor: Scalar = 0.1,
    patience: int = 10,
    threshold: Scalar = 1e-4,
    threshold_mode: Literal["rel", "abs"] = "rel",
    cooldown: int = 0,
    min_lr: Scalar = 0.0,
    eps: Scalar = 1e-8,
    *,
    updates_per_step: int = 1,
) -> optax.GradientTransformationExtraArgs:
    """Lowers the rate when a value has not improved for more than `patience` epochs.

    Put it in a chain after an optimizer whose steps are proportional to its learning rate `lr`. It
    multiplies the steps by the current rate over `lr`.

    Pass the value as `update(grads, state, params, value=...)`. It is the value that torch's
    `step(value)` gets just before that update, such as the validation loss of the last epoch. It is
    therefore read at updates n, 2n, …, for n = `updates_per_step`, and never at the first update.

    Args:
      lr: the learning rate of the optimizer, positive.
      mode: "min" if lower values are better, "max" if higher values are.
      factor: the factor that the rate is multiplied by, in [0, 1).
      threshold, threshold_mode: the minimum improvement over the best value, as a fraction of it
        ("rel") or as a difference ("abs"). With "rel" and `mode="min"`, a value is better if it is
        below best · (1 - threshold), as in torch. If the best value is negative, this bound lies
        above it: a constant value then always counts as better, and the rate is never lowered. The
        same happens to negative values with `mode="max"`. Use "abs" for values that can be
        negative.
      cooldown: the number of epochs after a reduction in which no epoch counts as bad.
      min_lr: the minimum rate.
      eps: a reduction by at most this much is not made.

    State: a few scalars. Its `lr` is the current learning rate.

    Raises:
      ValueError: an argument is out of range, or `update` is called without `value`.

    >>> from adaptive_jax import chain, sgd
    >>> tx = chain(sgd(0.1), ReduceLROnPlateau(0.1, factor=0.5, patience=1))
    >>> state = tx.init(jnp.zeros(()))
    >>> for _ in range(4):  # the first value is the best, two are no better
    ...     update, state = tx.update(jnp.array(1.0), state, value=3.0)
    >>> print(update)
    -0.05
    """
    if mode not in ("min", "max"):
        raise ValueError(f"mode must be 'min' or 'max', got {mode!r}")
    if threshold_mode not in ("rel", "abs"):
        raise ValueError(f"threshold_mode must be 'rel' or 'abs', got {threshold_mode!r}")
    patience = steps("patience", patience, minimum=0)
    cooldown = steps("cooldown", cooldown, minimum=0)
    updates_per_step = steps("updates_per_step", updates_per_step)
    worst = jnp.inf if mode == "min" else -jnp.inf

    def init(params):
        dtype = jnp.result_type(float)
        return ReduceLROnPlateauState(
            count=numerics.count_zero(),
            lr=jnp.asarray(lr, dtype),
            best=jnp.asarray(worst, dtype),
            num_bad_epochs=numerics.count_zero(),
            cooldown_counter=numerics.count_zero(),
        )

    def is_better(value, best):
        slack = threshold if mode == "max" else -threshold
        target = best * (1 + slack) if threshold_mode == "rel" else best + slack
        return value > target if mode == "max" else value < target

    def step(state, value):
        """Torch's `step(value)`."""
        value = jnp.asarray(value, state.best.dtype)
        better = is_better(value, state.best)
        cooling = state.cooldown_counter > 0
        bad = jnp.where(better | cooling, 0, state.num_bad_epochs + 1)
        reduces = bad > patience
        lower = jnp.maximum(state.lr * factor, min_lr)
        return state._replace(
            lr=jnp.where(reduces & (state.lr - lower > eps), lower, state.lr),
            best=jnp.where(better, value, state.best),
            num_bad_epochs=jnp.where(reduces, 0, bad),
            cooldown_counter=jnp.where(
                reduces, cooldown, jnp.maximum(state.cooldown_counter - 1, 0)
            ),
        )

    def update(updates, state, params=None, *, value=None, **extra):
        if value is None:
            raise ValueError(
                "ReduceLROnPlateau needs the value: update(gradients, state, params, value=loss)"
            )
        due = (state.count > 0) & (state.count % updates_per_step == 0)
        state = jax.tree.map(
            lambda new, old: jnp.where(due, new, old).astype(old.dtype), step(state, value), state
        )
        rate = scale_by_learning_rate(state.lr / lr, flip_sign=False)
        updates, _ = rate.update(updates, rate.init(updates), params)
        return updates, state._replace(count=numerics.count_next(state.count))

    return optax.GradientTransformationExtraArgs(init, update)
