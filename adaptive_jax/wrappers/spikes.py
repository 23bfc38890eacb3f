"""Skipping spikes: updates whose gradient or loss is far above its recent level are not applied."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from adaptive_jax import numerics, trees
from adaptive_jax.algebra import Transformation, constructor
from adaptive_jax.schedules.pieces import LAST_COUNT
from adaptive_jax.typing import Scalar, State
from adaptive_jax.validation import number, steps

__all__ = ["SkipSpikesState", "skip_spikes"]

_WATCHED = ("gradient", "loss")


class SkipSpikesState(NamedTuple):
    """Counts of updates, the running statistics, and the optimizer's state.

    `usual` counts the updates in the statistics, `skipped` all skipped ones, and `consecutive`
    those skipped in a row; `mean` and `deviation` are the statistics.
    """

    usual: jax.Array
    skipped: jax.Array
    consecutive: jax.Array
    mean: jax.Array
    deviation: jax.Array
    inner: State


@constructor
def skip_spikes(
    tx: optax.GradientTransformation,
    threshold: Scalar = 6.0,
    decay: Scalar = 0.99,
    min_deviation: Scalar = 0.1,
    warmup_steps: int = 64,
    max_consecutive: int = 10,
    watch: str = "gradient",
) -> optax.GradientTransformationExtraArgs:
    r"""Skips an update whose gradient is not finite, or far larger than those before it.

    .. math::
        x_t = \log \|g_t\|, \qquad
        \text{skip if } x_t - m > threshold \cdot \max(s,\ min\_deviation) \\
        a = \max(1/n,\ 1 - decay), \qquad
        s^2 \leftarrow (1 - a)\,(s^2 + a\,(x_t - m)^2), \qquad
        m \leftarrow m + a\,(x_t - m)

    with the norm of all arrays together. m and s are the mean and the standard deviation over the n
    updates that were applied, later over about the last 1 / (1 − decay) of them. A skipped update
    is zero and changes neither the state of `tx` nor m and s. The statistics are of logarithms
    because norms decrease by orders of magnitude in training and spikes are multiples of them: with
    the defaults a norm below e^0.6 = 1.8 times the mean is never skipped. A gradient of zeros is
    applied, but not counted in the statistics.

    After `max_consecutive` skipped updates in a row the next one is applied, whatever it is, and
    the statistics restart with it. So a permanent change of level stops training only for a while,
    and gradients that stay NaN become visible, as with `optax.apply_if_finite`.

    Args:
      tx: any optimizer. It must be complete: weight decay after this wrapper would not be skipped.
      threshold: number of standard deviations above the mean, positive. Default 6, as in
        OLMo-core's optimizers that skip steps; ZClip, which clips gradients instead, has 2.5.
      decay: decay rate of mean and deviation, in [0, 1]; 1 gives all updates the same weight.
        Default 0.99; OLMo-core uses the last 128 steps, ZClip 0.97.
      min_deviation: lower limit of the deviation, for gradients that hardly differ; not negative.
        For a loss it is relative to the magnitude of the mean. Default 0.1 (our choice).
      warmup_steps: number of updates in the statistics before a spike can be skipped, at least 1;
        updates that are not finite are always skipped. Default 64, as in OLMo-core; ZClip has 25.
      max_consecutive: largest number of updates skipped in a row, at least 1. Default 10 (our
        choice).
      watch: `"gradient"`, or `"loss"`: then x is the loss, passed as
        `update(gradients, state, params, value=loss)`, and an update is also skipped if the loss is
        not finite. To watch both, nest two wrappers. Default `"gradient"`.

    State: `usual`, `skipped` and `consecutive`, int32; `mean` and `deviation`, float32 or wider;
    `inner`, that of `tx`.

    Raises:
      ValueError: an argument is out of range, or the loss to watch is not passed.

    References: Kumar et al. 2025, ZClip, arXiv 2504.02507, for running statistics of the norm;
    OLMo et al. 2025, arXiv 2501.00656, whose code OLMo-core skips steps by loss and norm.

    >>> from adaptive_jax import sgd
    >>> tx = skip_spikes(sgd(1.0), warmup_steps=2)
    >>> state = tx.init(jnp.array(0.0))
    >>> for gradient in (1.0, 1.1, 100.0, 0.9):
    ...     updates, state = tx.update(jnp.array(gradient), state)
    ...     print(updates, state.skipped)
    -1.0 0
    -1.1 0
    0.0 1
    -0.9 1
    """
    threshold = number("threshold", threshold, "(0, inf)")
    decay = number("decay", decay, "[0, 1]")
    min_deviation = number("min_deviation", min_deviation, "[0, inf)")
    warmup_steps = min(steps("warmup_steps", warmup_steps), LAST_COUNT)
    max_consecutive = min(steps("max_consecutive", max_consecutive), LAST_COUNT)
    if watch not in _WATCHED:
        raise ValueError(f"watch must be 'gradient' or 'loss', got {watch!r}")
    tx = optax.with_extra_args_support(tx)

    def init(params):
        return SkipSpikesState(
            usual=numerics.count_zero(),
            skipped=numerics.count_zero(),
            consecutive=numerics.count_zero(),
            mean=trees.real_scalar(params),
            deviation=trees.real_scalar(params),
            inner=tx.init(params),
        )

    def is_spike(x, state):
        least = jnp.asarray(min_deviation, x.dtype)
        if watch == "loss":
            least *= jnp.abs(state.mean)
        limit = jnp.asarray(threshold, x.dtype) * jnp.maximum(state.deviation, least)
        return (x - state.mean > limit) & (state.usual >= warmup_steps)

    def update(updates, state, params=None, **extra):
        new, inner = tx.update(updates, state.inner, params, **extra)
        norm = _global_norm(updates, state.mean.dtype)
        x, finite = jnp.log(norm), jnp.isfinite(norm)
        if watch == "loss":
            x = _loss(extra, x.dtype)
            finite &= jnp.isfinite(x)
        unusual = ~finite | is_spike(x, state)
        skip = unusual & (state.consecutive < max_consecutive)

        usual = jnp.where(unusual & ~skip, 0, state.usual)
        counts = ~skip & jnp.isfinite(x)  # false for a norm of 0, whose logarithm is infinite
        following = numerics.count_next(usual)
        share = jnp.maximum(1 / following.astype(x.dtype), jnp.asarray(1 - decay, x.dtype))
        mean, deviation = _moved(state.mean, state.deviation, x, share)
        state = SkipSpikesState(
            usual=jnp.where(counts, following, usual),
            skipped=jnp.where(skip, numerics.count_next(state.skipped), state.skipped),
            consecutive=jnp.where(skip, numerics.count_next(state.consecutive), 0),
            mean=jnp.where(counts, mean, state.mean),
            deviation=jnp.where(counts, deviation, state.deviation),
            inner=jax.tree.map(lambda old, new: jnp.where(skip, old, new), state.inner, inner),
        )
        return jax.tree.map(lambda u: jnp.where(skip, 0, u), new), state

    return Transformation(init, update)


def _global_norm(grads, dtype):
    """The norm of all arrays together; a finite norm is at most the largest number."""
    norms = [numerics.norm(g) for g in jax.tree.leaves(trees.as_computed(grads))]
    norms = [numerics.cast(norm, dtype) for norm in norms]
    return numerics.norm(jnp.stack([jnp.zeros((), dtype), *norms]))


def _loss(extra, dtype):
    value = extra.get("value")
    if value is None or jnp.shape(value):
        raise ValueError(
            "skip_spikes watches the loss, a scalar: call update(gradients, state, params, "
            f"value=loss); got {'none' if value is None else f'shape {jnp.shape(value)}'}"
        )
    return jnp.asarray(value, dtype)


def _moved(mean, deviation, x, share):
    """The mean and standard deviation after x is added with weight `share`; no square overflows."""
    away = numerics.saturate(x - mean, source=x)
    rest = 1 - share
    moved = jnp.hypot(jnp.sqrt(rest) * deviation, jnp.sqrt(rest * share) * away)
    return rest * mean + share * x, numerics.saturate(moved, source=x)
