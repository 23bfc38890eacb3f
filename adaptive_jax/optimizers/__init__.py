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
from adaptive_jax.optimizers.classic_family import asgd as asgd
from adaptive_jax.optimizers.classic_family import ftrl as ftrl
from adaptive_jax.optimizers.classic_family import rprop as rprop
from adaptive_jax.optimizers.memory_family import adafactor as adafactor
from adaptive_jax.optimizers.memory_family import sm3 as sm3
from adaptive_jax.optimizers.sgd_family import sgd as sgd
from adaptive_jax.optimizers.sgd_family import sign_sgd as sign_sgd
