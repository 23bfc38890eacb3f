"""Adaptive optimizers for JAX: composable, exact against their sources, finite in every dtype."""

from adaptive_jax import interrupts as interrupts  # isort: split

import typing as _typing

from adaptive_jax import diagnostics as diagnostics
from adaptive_jax import distributed as distributed
from adaptive_jax import presets as presets
from adaptive_jax import registry as registry
from adaptive_jax import schedules as schedules
from adaptive_jax import storage as storage
from adaptive_jax.algebra import *
from adaptive_jax.methods.adabelief import *
from adaptive_jax.methods.adabound import *
from adaptive_jax.methods.adadelta import *
from adaptive_jax.methods.adafactor import *
from adaptive_jax.methods.adagrad import *
from adaptive_jax.methods.adam import *
from adaptive_jax.methods.adamax import *
from adaptive_jax.methods.adamod import *
from adaptive_jax.methods.adan import *
from adaptive_jax.methods.adashift import *
from adaptive_jax.methods.ademamix import *
from adaptive_jax.methods.adopt import *
from adaptive_jax.methods.amsgrad import *
from adaptive_jax.methods.asgd import *
from adaptive_jax.methods.diffgrad import *
from adaptive_jax.methods.ftrl import *
from adaptive_jax.methods.lamb import *
from adaptive_jax.methods.laprop import *
from adaptive_jax.methods.lars import *
from adaptive_jax.methods.lion import *
from adaptive_jax.methods.muon import *
from adaptive_jax.methods.nadam import *
from adaptive_jax.methods.novograd import *
from adaptive_jax.methods.padam import *
from adaptive_jax.methods.qhadam import *
from adaptive_jax.methods.radam import *
from adaptive_jax.methods.rmsprop import *
from adaptive_jax.methods.rprop import *
from adaptive_jax.methods.sgd import *
from adaptive_jax.methods.sign_sgd import *
from adaptive_jax.methods.sm3 import *
from adaptive_jax.methods.swats import *
from adaptive_jax.methods.yogi import *
from adaptive_jax.stages.averages import *
from adaptive_jax.stages.bounds import *
from adaptive_jax.stages.centralization import *
from adaptive_jax.stages.clipping import *
from adaptive_jax.stages.decay import *
from adaptive_jax.stages.learning_rate import *
from adaptive_jax.stages.masks import *
from adaptive_jax.stages.moments import *
from adaptive_jax.stages.scale_modifiers import *
from adaptive_jax.stages.trust_ratio import *
from adaptive_jax.wrappers.cautious import *
from adaptive_jax.wrappers.conversion import *
from adaptive_jax.wrappers.evaluation import *
from adaptive_jax.wrappers.half_precision import *
from adaptive_jax.wrappers.hyperparameters import *
from adaptive_jax.wrappers.lookahead import *
from adaptive_jax.wrappers.schedule_free import *
from adaptive_jax.wrappers.spikes import *
from adaptive_jax.wrappers.storage import *
from adaptive_jax.wrappers.tunable import *

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
