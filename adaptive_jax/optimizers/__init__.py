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
from adaptive_jax.optimizers.adam_kin_family import adabelief as adabelief
from adaptive_jax.optimizers.adam_kin_family import adamax as adamax
from adaptive_jax.optimizers.adam_kin_family import nadam as nadam
from adaptive_jax.optimizers.adam_kin_family import nadamw as nadamw
from adaptive_jax.optimizers.adam_kin_family import qhadam as qhadam
from adaptive_jax.optimizers.adam_kin_family import radam as radam
from adaptive_jax.optimizers.adam_kin_family import yogi as yogi
from adaptive_jax.optimizers.moments_family import adan as adan
from adaptive_jax.optimizers.moments_family import adashift as adashift
from adaptive_jax.optimizers.moments_family import ademamix as ademamix
from adaptive_jax.optimizers.moments_family import adopt as adopt
from adaptive_jax.optimizers.moments_family import diffgrad as diffgrad
from adaptive_jax.optimizers.moments_family import laprop as laprop
from adaptive_jax.optimizers.sgd_family import sgd as sgd
from adaptive_jax.optimizers.sgd_family import sign_sgd as sign_sgd
