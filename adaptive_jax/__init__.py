"""Adaptive optimizers for JAX: composable, exact against their sources, finite in every dtype."""

from adaptive_jax import schedules as schedules
from adaptive_jax.optimizers import adabound as adabound
from adaptive_jax.optimizers import adaboundw as adaboundw
from adaptive_jax.optimizers import adadelta as adadelta
from adaptive_jax.optimizers import adagrad as adagrad
from adaptive_jax.optimizers import adam as adam
from adaptive_jax.optimizers import adamw as adamw
from adaptive_jax.optimizers import amsbound as amsbound
from adaptive_jax.optimizers import amsgrad as amsgrad
from adaptive_jax.optimizers import muon as muon
from adaptive_jax.optimizers import rmsprop as rmsprop
from adaptive_jax.optimizers import schedule_free_adamw as schedule_free_adamw
from adaptive_jax.optimizers import schedule_free_sgd as schedule_free_sgd
from adaptive_jax.optimizers import sgd as sgd
from adaptive_jax.optimizers import sign_sgd as sign_sgd
from adaptive_jax.transforms import Preconditioner as Preconditioner
from adaptive_jax.transforms import ScaleModifier as ScaleModifier
from adaptive_jax.transforms import adabound_bounds as adabound_bounds
from adaptive_jax.transforms import add_decayed_weights as add_decayed_weights
from adaptive_jax.transforms import bound_lr as bound_lr
from adaptive_jax.transforms import cautious as cautious
from adaptive_jax.transforms import centralize_gradients as centralize_gradients
from adaptive_jax.transforms import chain as chain
from adaptive_jax.transforms import clip_by_global_norm as clip_by_global_norm
from adaptive_jax.transforms import clip_by_norm as clip_by_norm
from adaptive_jax.transforms import clip_by_value as clip_by_value
from adaptive_jax.transforms import convergent_bounds as convergent_bounds
from adaptive_jax.transforms import lookahead as lookahead
from adaptive_jax.transforms import mask_by_ndim as mask_by_ndim
from adaptive_jax.transforms import mask_by_path as mask_by_path
from adaptive_jax.transforms import momentum as momentum
from adaptive_jax.transforms import partition_by_mask as partition_by_mask
from adaptive_jax.transforms import scale_by_adadelta as scale_by_adadelta
from adaptive_jax.transforms import scale_by_adagrad as scale_by_adagrad
from adaptive_jax.transforms import scale_by_adam as scale_by_adam
from adaptive_jax.transforms import scale_by_amsgrad as scale_by_amsgrad
from adaptive_jax.transforms import scale_by_learning_rate as scale_by_learning_rate
from adaptive_jax.transforms import scale_by_muon as scale_by_muon
from adaptive_jax.transforms import scale_by_rms as scale_by_rms
from adaptive_jax.transforms import scale_by_sign as scale_by_sign
from adaptive_jax.transforms import schedule_free as schedule_free
from adaptive_jax.transforms import schedule_free_params as schedule_free_params

__version__ = "0.1.0"
