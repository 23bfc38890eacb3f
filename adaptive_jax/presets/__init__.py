"""PyTorch's and Keras's optimizers and schedules, with their original names and arguments."""

from adaptive_jax.presets import keras as keras
from adaptive_jax.presets import torch as torch
