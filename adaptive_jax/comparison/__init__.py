"""Comparing optimizers: the protocol, the analysis of its records, the report, and surfaces."""

from adaptive_jax.comparison.analysis import Analysis as Analysis
from adaptive_jax.comparison.analysis import analyze as analyze
from adaptive_jax.comparison.compare import compare as compare
from adaptive_jax.comparison.compare import run_comparison as run_comparison
from adaptive_jax.comparison.config import CompareConfig as CompareConfig
from adaptive_jax.comparison.report import write_report as write_report
from adaptive_jax.comparison.result import Comparison as Comparison
from adaptive_jax.comparison.rows import Row as Row
from adaptive_jax.comparison.rows import summarize as summarize
from adaptive_jax.comparison.surfaces import Trajectory as Trajectory
from adaptive_jax.comparison.surfaces import tune_on_surface as tune_on_surface
from adaptive_jax.comparison.surfaces import vary_on_surface as vary_on_surface
