"""Named optimizers: chains of transforms, and the registry of them."""

from adaptive_jax.optimizers.adabound_family import adabound as adabound
from adaptive_jax.optimizers.adabound_family import adaboundw as adaboundw
from adaptive_jax.optimizers.adabound_family import amsbound as amsbound
from adaptive_jax.optimizers.adagrad_family import adadelta as adadelta
from adaptive_jax.optimizers.adagrad_family import adagrad as adagrad
from adaptive_jax.optimizers.adagrad_family import rmsprop as rmsprop
from adaptive_jax.optimizers.adam_family import adam as adam
from adaptive_jax.optimizers.adam_family import adamw as adamw
from adaptive_jax.optimizers.adam_family import amsgrad as amsgrad
from adaptive_jax.optimizers.muon_family import muon as muon
from adaptive_jax.optimizers.schedule_free_family import schedule_free_adamw as schedule_free_adamw
from adaptive_jax.optimizers.schedule_free_family import schedule_free_sgd as schedule_free_sgd
from adaptive_jax.optimizers.sgd_family import sgd as sgd
from adaptive_jax.optimizers.sgd_family import sign_sgd as sign_sgd
