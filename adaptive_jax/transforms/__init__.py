"""Gradients to updates, one family a file."""

from adaptive_jax.transforms.adadelta import ScaleByAdadeltaState as ScaleByAdadeltaState
from adaptive_jax.transforms.adadelta import scale_by_adadelta as scale_by_adadelta
from adaptive_jax.transforms.adafactor import FactoredMoment as FactoredMoment
from adaptive_jax.transforms.adafactor import ScaleByFactoredRmsState as ScaleByFactoredRmsState
from adaptive_jax.transforms.adafactor import relative_step as relative_step
from adaptive_jax.transforms.adafactor import scale_by_factored_rms as scale_by_factored_rms
from adaptive_jax.transforms.adafactor import scale_by_param_rms as scale_by_param_rms
from adaptive_jax.transforms.adagrad import ScaleByAdagradState as ScaleByAdagradState
from adaptive_jax.transforms.adagrad import scale_by_adagrad as scale_by_adagrad
from adaptive_jax.transforms.adam import ScaleByAdamState as ScaleByAdamState
from adaptive_jax.transforms.adam import ScaleByAMSGradState as ScaleByAMSGradState
from adaptive_jax.transforms.adam import scale_by_adam as scale_by_adam
from adaptive_jax.transforms.adam import scale_by_amsgrad as scale_by_amsgrad
from adaptive_jax.transforms.asgd import PolyakAverageState as PolyakAverageState
from adaptive_jax.transforms.asgd import asgd_schedule as asgd_schedule
from adaptive_jax.transforms.asgd import averaged_params as averaged_params
from adaptive_jax.transforms.asgd import polyak_average as polyak_average
from adaptive_jax.transforms.bounds import BoundLrState as BoundLrState
from adaptive_jax.transforms.bounds import adabound_bounds as adabound_bounds
from adaptive_jax.transforms.bounds import bound_lr as bound_lr
from adaptive_jax.transforms.bounds import convergent_bounds as convergent_bounds
from adaptive_jax.transforms.clipping import clip_by_block_rms as clip_by_block_rms
from adaptive_jax.transforms.clipping import clip_by_global_norm as clip_by_global_norm
from adaptive_jax.transforms.clipping import clip_by_norm as clip_by_norm
from adaptive_jax.transforms.clipping import clip_by_value as clip_by_value
from adaptive_jax.transforms.decay import AddDecayedWeightsState as AddDecayedWeightsState
from adaptive_jax.transforms.decay import add_decayed_weights as add_decayed_weights
from adaptive_jax.transforms.ftrl import FtrlState as FtrlState
from adaptive_jax.transforms.ftrl import ftrl_proximal as ftrl_proximal
from adaptive_jax.transforms.learning_rate import (
    ScaleByLearningRateState as ScaleByLearningRateState,
)
from adaptive_jax.transforms.learning_rate import scale_by_learning_rate as scale_by_learning_rate
from adaptive_jax.transforms.moments import MomentumState as MomentumState
from adaptive_jax.transforms.moments import momentum as momentum
from adaptive_jax.transforms.preconditioner import Preconditioner as Preconditioner
from adaptive_jax.transforms.preconditioner import ScaleModifier as ScaleModifier
from adaptive_jax.transforms.preconditioner import ScaleModifierState as ScaleModifierState
from adaptive_jax.transforms.preconditioner import chain as chain
from adaptive_jax.transforms.rms import ScaleByCenteredRmsState as ScaleByCenteredRmsState
from adaptive_jax.transforms.rms import ScaleByRmsState as ScaleByRmsState
from adaptive_jax.transforms.rms import scale_by_rms as scale_by_rms
from adaptive_jax.transforms.rprop import ScaleByRpropState as ScaleByRpropState
from adaptive_jax.transforms.rprop import scale_by_rprop as scale_by_rprop
from adaptive_jax.transforms.sign import scale_by_sign as scale_by_sign
from adaptive_jax.transforms.sm3 import Cover as Cover
from adaptive_jax.transforms.sm3 import ScaleBySM3State as ScaleBySM3State
from adaptive_jax.transforms.sm3 import scale_by_sm3 as scale_by_sm3
