"""Diagnostics: each coordinate's effective learning rate, and trajectories on test surfaces."""

from adaptive_jax.diagnostics.learning_rates import RATE_EDGES as RATE_EDGES
from adaptive_jax.diagnostics.learning_rates import (
    effective_learning_rates as effective_learning_rates,
)
from adaptive_jax.diagnostics.learning_rates import rate_histogram as rate_histogram
from adaptive_jax.diagnostics.surfaces import SURFACES as SURFACES
from adaptive_jax.diagnostics.surfaces import Surface as Surface
from adaptive_jax.diagnostics.surfaces import get_surface as get_surface
from adaptive_jax.diagnostics.surfaces import trajectory as trajectory
