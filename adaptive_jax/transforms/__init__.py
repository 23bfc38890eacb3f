"""Gradients to updates, one family a file."""

from adaptive_jax.transforms.adadelta import ScaleByAdadeltaState as ScaleByAdadeltaState
from adaptive_jax.transforms.adadelta import scale_by_adadelta as scale_by_adadelta
from adaptive_jax.transforms.adagrad import ScaleByAdagradState as ScaleByAdagradState
from adaptive_jax.transforms.adagrad import scale_by_adagrad as scale_by_adagrad
from adaptive_jax.transforms.adam import ScaleByAdamState as ScaleByAdamState
from adaptive_jax.transforms.adam import ScaleByAMSGradState as ScaleByAMSGradState
from adaptive_jax.transforms.adam import scale_by_adam as scale_by_adam
from adaptive_jax.transforms.adam import scale_by_amsgrad as scale_by_amsgrad
from adaptive_jax.transforms.bounds import BoundLrState as BoundLrState
from adaptive_jax.transforms.bounds import adabound_bounds as adabound_bounds
from adaptive_jax.transforms.bounds import bound_lr as bound_lr
from adaptive_jax.transforms.bounds import convergent_bounds as convergent_bounds
from adaptive_jax.transforms.cautious import cautious as cautious
from adaptive_jax.transforms.centralization import centralize_gradients as centralize_gradients
from adaptive_jax.transforms.clipping import clip_by_global_norm as clip_by_global_norm
from adaptive_jax.transforms.clipping import clip_by_norm as clip_by_norm
from adaptive_jax.transforms.clipping import clip_by_value as clip_by_value
from adaptive_jax.transforms.decay import AddDecayedWeightsState as AddDecayedWeightsState
from adaptive_jax.transforms.decay import add_decayed_weights as add_decayed_weights
from adaptive_jax.transforms.learning_rate import (
    ScaleByLearningRateState as ScaleByLearningRateState,
)
from adaptive_jax.transforms.learning_rate import scale_by_learning_rate as scale_by_learning_rate
from adaptive_jax.transforms.lookahead import LookaheadState as LookaheadState
from adaptive_jax.transforms.lookahead import lookahead as lookahead
from adaptive_jax.transforms.masks import mask_by_ndim as mask_by_ndim
from adaptive_jax.transforms.masks import mask_by_path as mask_by_path
from adaptive_jax.transforms.masks import partition_by_mask as partition_by_mask
from adaptive_jax.transforms.moments import MomentumState as MomentumState
from adaptive_jax.transforms.moments import momentum as momentum
from adaptive_jax.transforms.muon import scale_by_muon as scale_by_muon
from adaptive_jax.transforms.preconditioner import Preconditioner as Preconditioner
from adaptive_jax.transforms.preconditioner import ScaleModifier as ScaleModifier
from adaptive_jax.transforms.preconditioner import ScaleModifierState as ScaleModifierState
from adaptive_jax.transforms.preconditioner import chain as chain
from adaptive_jax.transforms.rms import ScaleByCenteredRmsState as ScaleByCenteredRmsState
from adaptive_jax.transforms.rms import ScaleByCorrectedRmsState as ScaleByCorrectedRmsState
from adaptive_jax.transforms.rms import ScaleByRmsState as ScaleByRmsState
from adaptive_jax.transforms.rms import scale_by_rms as scale_by_rms
from adaptive_jax.transforms.schedule_free import ScheduleFreeState as ScheduleFreeState
from adaptive_jax.transforms.schedule_free import schedule_free as schedule_free
from adaptive_jax.transforms.schedule_free import schedule_free_params as schedule_free_params
from adaptive_jax.transforms.sign import scale_by_sign as scale_by_sign
