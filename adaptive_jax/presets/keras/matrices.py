"""Optimizers that treat matrices specially, from `keras.optimizers`."""

import math
import re
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax

from adaptive_jax.algebra import chain
from adaptive_jax.methods import adafactor
from adaptive_jax.methods.adafactor import scale_by_factored_rms, scale_by_param_rms
from adaptive_jax.methods.muon import scale_by_muon
from adaptive_jax.presets.arguments import is_zero
from adaptive_jax.presets.keras.adam_variants import scale_by_adam_or_amsgrad
from adaptive_jax.presets.keras.constructor import optimizer
from adaptive_jax.stages.clipping import clip_by_block_rms
from adaptive_jax.stages.decay import add_decayed_weights
from adaptive_jax.stages.learning_rate import scale_by_learning_rate
from adaptive_jax.stages.masks import partition_by_mask
from adaptive_jax.typing import Scalar, ScalarOrSchedule


@optimizer
def Adafactor(
    learning_rate: ScalarOrSchedule = 0.001,
    beta_2_decay: Scalar = -0.8,
    epsilon_1: Scalar = 1e-30,
    epsilon_2: Scalar = 1e-3,
    clip_threshold: Scalar = 1.0,
    relative_step: bool = True,
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.Adafactor`: `adaptive_jax.adafactor`.

    Args:
      beta_2_decay: the `decay_exponent` of `scale_by_factored_rms`, with the opposite sign.
      epsilon_1, epsilon_2: the `eps` of `scale_by_factored_rms` and the `min_rms` of
        `scale_by_param_rms`.
      clip_threshold: the `max_rms` of `clip_by_block_rms`.
      relative_step: has no effect, as in Keras, which caps the rate at 1/√t in either case.

    >>> tx = Adafactor(learning_rate=0.1)
    >>> print(f"{tx.update(1.0, tx.init(3.0), 3.0)[0]:.3f}")
    -0.300
    """
    return chain(
        scale_by_factored_rms(-beta_2_decay, epsilon_1),
        clip_by_block_rms(clip_threshold),
        scale_by_param_rms(epsilon_2),
        scale_by_learning_rate(adafactor.relative_step(learning_rate)),
    )


@optimizer
def Muon(
    learning_rate: ScalarOrSchedule = 0.001,
    adam_beta_1: Scalar = 0.9,
    adam_beta_2: Scalar = 0.999,
    adam_weight_decay: Scalar | None = 0.004,
    epsilon: Scalar = 1e-7,
    weight_decay: Scalar | None = 0.004,
    *,
    exclude_layers: Sequence[str] | None = None,
    exclude_embeddings: bool = True,
    muon_a: Scalar = 3.4445,
    muon_b: Scalar = -4.7750,
    muon_c: Scalar = 2.0315,
    adam_lr_ratio: Scalar = 1.0,
    momentum: Scalar = 0.95,
    ns_steps: int = 5,
    nesterov: bool = True,
    rms_rate: Scalar | None = 0.2,
) -> optax.GradientTransformationExtraArgs:
    """`keras.optimizers.Muon`: Muon for matrices, Adam for the rest, each with its own decay.

    Args:
      adam_beta_1, adam_beta_2, epsilon: the arguments of Adam; epsilon is added to the uncorrected
        root.
      adam_lr_ratio: the ratio of Adam's learning rate to Muon's.
      weight_decay, adam_weight_decay: the decay of Muon's and of Adam's parameters, multiplied by
        the learning rate.
      muon_a, muon_b, muon_c, ns_steps, momentum, nesterov: as in `scale_by_muon`; the first three
        are its `coefficients`, by default Jordan's.
      rms_rate: the steps of matrices are orthogonal matrices times rms_rate · √max(out, in). None
        means no factor.
      exclude_layers: regular expressions. Matrices whose path (names joined by "/") matches one of
        them use Adam.
      exclude_embeddings: whether matrices with "embedding" in their path use Adam, too.

    Raises:
      ValueError: `ns_steps` is not a whole number of at least 1, or as in all constructors.

    >>> tx = Muon(learning_rate=0.1, weight_decay=None, adam_weight_decay=None)
    >>> params = {"kernel": jnp.eye(2), "embedding": jnp.eye(2)}
    >>> updates, _ = tx.update(params, tx.init(params), params)
    >>> print(updates["embedding"].round(3))
    [[-0.1 -0. ]
     [-0.  -0.1]]
    """
    excluded = [*(exclude_layers or ()), *(["(?i)embedding"] if exclude_embeddings else ())]

    def is_for_muon(params):
        def leaf(path, p):
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            return jnp.ndim(p) == 2 and not any(re.search(part, name) for part in excluded)

        return jax.tree_util.tree_map_with_path(leaf, params)

    def decay(rate):
        return [] if rate is None or is_zero(rate) else [add_decayed_weights(rate)]

    adjust = (
        None
        if rms_rate is None
        else lambda fan_out, fan_in: rms_rate * math.sqrt(max(fan_out, fan_in))
    )
    muon = scale_by_muon(
        momentum,
        nesterov,
        ema=False,
        coefficients=(muon_a, muon_b, muon_c),
        ns_steps=ns_steps,
        adjust=adjust,
        eps=1e-7,
    )
    adam = chain(
        scale_by_adam_or_amsgrad(adam_beta_1, adam_beta_2, epsilon, amsgrad=False),
        scale_by_learning_rate(adam_lr_ratio, flip_sign=False),
    )
    return chain(
        partition_by_mask(
            is_for_muon,
            chain(muon, *decay(weight_decay)),
            chain(adam, *decay(adam_weight_decay)),
        ),
        scale_by_learning_rate(learning_rate),
    )
