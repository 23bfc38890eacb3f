"""Gradients to updates, one family a file."""

from adaptive_jax.transforms.adabelief import ScaleByAdaBeliefState as ScaleByAdaBeliefState
from adaptive_jax.transforms.adabelief import scale_by_adabelief as scale_by_adabelief
from adaptive_jax.transforms.adadelta import ScaleByAdadeltaState as ScaleByAdadeltaState
from adaptive_jax.transforms.adadelta import scale_by_adadelta as scale_by_adadelta
from adaptive_jax.transforms.adagrad import ScaleByAdagradState as ScaleByAdagradState
from adaptive_jax.transforms.adagrad import scale_by_adagrad as scale_by_adagrad
from adaptive_jax.transforms.adam import ScaleByAdamState as ScaleByAdamState
from adaptive_jax.transforms.adam import ScaleByAMSGradState as ScaleByAMSGradState
from adaptive_jax.transforms.adam import scale_by_adam as scale_by_adam
from adaptive_jax.transforms.adam import scale_by_amsgrad as scale_by_amsgrad
from adaptive_jax.transforms.adamax import ScaleByAdamaxState as ScaleByAdamaxState
from adaptive_jax.transforms.adamax import scale_by_adamax as scale_by_adamax
from adaptive_jax.transforms.adan import ScaleByAdanState as ScaleByAdanState
from adaptive_jax.transforms.adan import scale_by_adan as scale_by_adan
from adaptive_jax.transforms.adashift import ScaleByAdashiftState as ScaleByAdashiftState
from adaptive_jax.transforms.adashift import scale_by_adashift as scale_by_adashift
from adaptive_jax.transforms.ademamix import ScaleByAdemamixState as ScaleByAdemamixState
from adaptive_jax.transforms.ademamix import ademamix_warmup as ademamix_warmup
from adaptive_jax.transforms.ademamix import scale_by_ademamix as scale_by_ademamix
from adaptive_jax.transforms.adopt import ScaleByAdoptState as ScaleByAdoptState
from adaptive_jax.transforms.adopt import scale_by_adopt as scale_by_adopt
from adaptive_jax.transforms.bounds import BoundLrState as BoundLrState
from adaptive_jax.transforms.bounds import adabound_bounds as adabound_bounds
from adaptive_jax.transforms.bounds import bound_lr as bound_lr
from adaptive_jax.transforms.bounds import convergent_bounds as convergent_bounds
from adaptive_jax.transforms.clipping import clip_by_global_norm as clip_by_global_norm
from adaptive_jax.transforms.clipping import clip_by_norm as clip_by_norm
from adaptive_jax.transforms.clipping import clip_by_value as clip_by_value
from adaptive_jax.transforms.decay import AddDecayedWeightsState as AddDecayedWeightsState
from adaptive_jax.transforms.decay import AddProximalDecayState as AddProximalDecayState
from adaptive_jax.transforms.decay import add_decayed_weights as add_decayed_weights
from adaptive_jax.transforms.decay import add_proximal_decay as add_proximal_decay
from adaptive_jax.transforms.diffgrad import ScaleByDiffgradState as ScaleByDiffgradState
from adaptive_jax.transforms.diffgrad import scale_by_diffgrad as scale_by_diffgrad
from adaptive_jax.transforms.laprop import ScaleByLapropState as ScaleByLapropState
from adaptive_jax.transforms.laprop import scale_by_laprop as scale_by_laprop
from adaptive_jax.transforms.learning_rate import (
    ScaleByLearningRateState as ScaleByLearningRateState,
)
from adaptive_jax.transforms.learning_rate import scale_by_learning_rate as scale_by_learning_rate
from adaptive_jax.transforms.moments import MomentumState as MomentumState
from adaptive_jax.transforms.moments import momentum as momentum
from adaptive_jax.transforms.nadam import ScaleByNadamState as ScaleByNadamState
from adaptive_jax.transforms.nadam import scale_by_nadam as scale_by_nadam
from adaptive_jax.transforms.preconditioner import Preconditioner as Preconditioner
from adaptive_jax.transforms.preconditioner import ScaleModifier as ScaleModifier
from adaptive_jax.transforms.preconditioner import ScaleModifierState as ScaleModifierState
from adaptive_jax.transforms.preconditioner import chain as chain
from adaptive_jax.transforms.qhadam import scale_by_qhadam as scale_by_qhadam
from adaptive_jax.transforms.radam import scale_by_radam as scale_by_radam
from adaptive_jax.transforms.rms import ScaleByCenteredRmsState as ScaleByCenteredRmsState
from adaptive_jax.transforms.rms import ScaleByRmsState as ScaleByRmsState
from adaptive_jax.transforms.rms import scale_by_rms as scale_by_rms
from adaptive_jax.transforms.sign import scale_by_sign as scale_by_sign
from adaptive_jax.transforms.yogi import ScaleByYogiState as ScaleByYogiState
from adaptive_jax.transforms.yogi import scale_by_yogi as scale_by_yogi
