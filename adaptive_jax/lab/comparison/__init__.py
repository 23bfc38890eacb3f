"""The protocol of a comparison: its config, tuning, costs, and final runs."""

from adaptive_jax.lab.comparison.config import CompareConfig as CompareConfig
