"""Training on several devices: sharding of optimizer states, and compressed gradients."""

from adaptive_jax.distributed.shardings import init as init
from adaptive_jax.distributed.shardings import state_shardings as state_shardings
from adaptive_jax.distributed.shardings import step as step
from adaptive_jax.distributed.signs import error_feedback as error_feedback
from adaptive_jax.distributed.signs import majority_vote as majority_vote
