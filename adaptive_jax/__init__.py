"""Adaptive optimizers for JAX: composable, exact against their sources, finite in every dtype."""

from adaptive_jax import interrupts as interrupts  # isort: split

import typing as _typing

from adaptive_jax import diagnostics as diagnostics
from adaptive_jax import distributed as distributed
from adaptive_jax import presets as presets
from adaptive_jax import schedules as schedules
from adaptive_jax import storage as storage
from adaptive_jax.optimizers import adabelief as adabelief
from adaptive_jax.optimizers import adabound as adabound
from adaptive_jax.optimizers import adaboundw as adaboundw
from adaptive_jax.optimizers import adadelta as adadelta
from adaptive_jax.optimizers import adafactor as adafactor
from adaptive_jax.optimizers import adagrad as adagrad
from adaptive_jax.optimizers import adam as adam
from adaptive_jax.optimizers import adamax as adamax
from adaptive_jax.optimizers import adamod as adamod
from adaptive_jax.optimizers import adamw as adamw
from adaptive_jax.optimizers import adan as adan
from adaptive_jax.optimizers import adashift as adashift
from adaptive_jax.optimizers import ademamix as ademamix
from adaptive_jax.optimizers import adopt as adopt
from adaptive_jax.optimizers import amsbound as amsbound
from adaptive_jax.optimizers import amsgrad as amsgrad
from adaptive_jax.optimizers import asgd as asgd
from adaptive_jax.optimizers import diffgrad as diffgrad
from adaptive_jax.optimizers import ftrl as ftrl
from adaptive_jax.optimizers import lamb as lamb
from adaptive_jax.optimizers import laprop as laprop
from adaptive_jax.optimizers import lars as lars
from adaptive_jax.optimizers import lion as lion
from adaptive_jax.optimizers import muon as muon
from adaptive_jax.optimizers import nadam as nadam
from adaptive_jax.optimizers import nadamw as nadamw
from adaptive_jax.optimizers import novograd as novograd
from adaptive_jax.optimizers import padam as padam
from adaptive_jax.optimizers import qhadam as qhadam
from adaptive_jax.optimizers import radam as radam
from adaptive_jax.optimizers import rmsprop as rmsprop
from adaptive_jax.optimizers import rprop as rprop
from adaptive_jax.optimizers import schedule_free_adamw as schedule_free_adamw
from adaptive_jax.optimizers import schedule_free_sgd as schedule_free_sgd
from adaptive_jax.optimizers import sgd as sgd
from adaptive_jax.optimizers import sign_sgd as sign_sgd
from adaptive_jax.optimizers import sm3 as sm3
from adaptive_jax.optimizers import swats as swats
from adaptive_jax.optimizers import yogi as yogi
from adaptive_jax.transforms import Preconditioner as Preconditioner
from adaptive_jax.transforms import ScaleModifier as ScaleModifier
from adaptive_jax.transforms import Step as Step
from adaptive_jax.transforms import Transformation as Transformation
from adaptive_jax.transforms import adabound_bounds as adabound_bounds
from adaptive_jax.transforms import add_decayed_weights as add_decayed_weights
from adaptive_jax.transforms import add_proximal_decay as add_proximal_decay
from adaptive_jax.transforms import ademamix_warmup as ademamix_warmup
from adaptive_jax.transforms import apply_updates as apply_updates
from adaptive_jax.transforms import asgd_schedule as asgd_schedule
from adaptive_jax.transforms import averaged_params as averaged_params
from adaptive_jax.transforms import bound_lr as bound_lr
from adaptive_jax.transforms import cautious as cautious
from adaptive_jax.transforms import centralize_gradients as centralize_gradients
from adaptive_jax.transforms import chain as chain
from adaptive_jax.transforms import clip_by_block_rms as clip_by_block_rms
from adaptive_jax.transforms import clip_by_global_norm as clip_by_global_norm
from adaptive_jax.transforms import clip_by_norm as clip_by_norm
from adaptive_jax.transforms import clip_by_value as clip_by_value
from adaptive_jax.transforms import constructor as constructor
from adaptive_jax.transforms import convergent_bounds as convergent_bounds
from adaptive_jax.transforms import correct_bias as correct_bias
from adaptive_jax.transforms import from_optax_state as from_optax_state
from adaptive_jax.transforms import ftrl_proximal as ftrl_proximal
from adaptive_jax.transforms import hyperparameters as hyperparameters
from adaptive_jax.transforms import lookahead as lookahead
from adaptive_jax.transforms import mask_by_ndim as mask_by_ndim
from adaptive_jax.transforms import mask_by_path as mask_by_path
from adaptive_jax.transforms import merge_params as merge_params
from adaptive_jax.transforms import momental_bound as momental_bound
from adaptive_jax.transforms import momentum as momentum
from adaptive_jax.transforms import partial_adaptivity as partial_adaptivity
from adaptive_jax.transforms import partition_by_mask as partition_by_mask
from adaptive_jax.transforms import polyak_average as polyak_average
from adaptive_jax.transforms import relative_step as relative_step
from adaptive_jax.transforms import scale_by_adabelief as scale_by_adabelief
from adaptive_jax.transforms import scale_by_adadelta as scale_by_adadelta
from adaptive_jax.transforms import scale_by_adagrad as scale_by_adagrad
from adaptive_jax.transforms import scale_by_adam as scale_by_adam
from adaptive_jax.transforms import scale_by_adamax as scale_by_adamax
from adaptive_jax.transforms import scale_by_adan as scale_by_adan
from adaptive_jax.transforms import scale_by_adashift as scale_by_adashift
from adaptive_jax.transforms import scale_by_ademamix as scale_by_ademamix
from adaptive_jax.transforms import scale_by_adopt as scale_by_adopt
from adaptive_jax.transforms import scale_by_amsgrad as scale_by_amsgrad
from adaptive_jax.transforms import scale_by_diffgrad as scale_by_diffgrad
from adaptive_jax.transforms import scale_by_factored_rms as scale_by_factored_rms
from adaptive_jax.transforms import scale_by_laprop as scale_by_laprop
from adaptive_jax.transforms import scale_by_learning_rate as scale_by_learning_rate
from adaptive_jax.transforms import scale_by_lion as scale_by_lion
from adaptive_jax.transforms import scale_by_muon as scale_by_muon
from adaptive_jax.transforms import scale_by_nadam as scale_by_nadam
from adaptive_jax.transforms import scale_by_novograd as scale_by_novograd
from adaptive_jax.transforms import scale_by_param_rms as scale_by_param_rms
from adaptive_jax.transforms import scale_by_qhadam as scale_by_qhadam
from adaptive_jax.transforms import scale_by_radam as scale_by_radam
from adaptive_jax.transforms import scale_by_relative_step as scale_by_relative_step
from adaptive_jax.transforms import scale_by_rms as scale_by_rms
from adaptive_jax.transforms import scale_by_rprop as scale_by_rprop
from adaptive_jax.transforms import scale_by_sign as scale_by_sign
from adaptive_jax.transforms import scale_by_sm3 as scale_by_sm3
from adaptive_jax.transforms import scale_by_swats as scale_by_swats
from adaptive_jax.transforms import scale_by_trust_ratio as scale_by_trust_ratio
from adaptive_jax.transforms import scale_by_yogi as scale_by_yogi
from adaptive_jax.transforms import schedule_free as schedule_free
from adaptive_jax.transforms import schedule_free_params as schedule_free_params
from adaptive_jax.transforms import set_hyperparameters as set_hyperparameters
from adaptive_jax.transforms import skip_spikes as skip_spikes
from adaptive_jax.transforms import split_params as split_params
from adaptive_jax.transforms import tunable as tunable
from adaptive_jax.transforms import with_master_weights as with_master_weights
from adaptive_jax.transforms import with_storage as with_storage

__version__ = "0.2.0"

if _typing.TYPE_CHECKING:
    from adaptive_jax import lab as lab
else:  # so that type checkers report unknown names

    def __getattr__(name):
        """Imports the lab on first use, as it needs packages that the library does not."""
        if name == "lab":
            import adaptive_jax.lab as lab

            return lab
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
