"""Optimizers on test functions of two variables: tuned paths and their pictures."""

from adaptive_jax.lab.surfaces.trajectories import Trajectory as Trajectory
from adaptive_jax.lab.surfaces.trajectories import tune_on_surface as tune_on_surface
from adaptive_jax.lab.surfaces.trajectories import vary_on_surface as vary_on_surface
