"""Comparing optimizers: the protocol, the summary of its records, and the report."""

from adaptive_jax.comparison.compare import compare as compare
from adaptive_jax.comparison.compare import run_comparison as run_comparison
from adaptive_jax.comparison.config import CompareConfig as CompareConfig
from adaptive_jax.comparison.report import write_report as write_report
from adaptive_jax.comparison.summary import Row as Row
from adaptive_jax.comparison.summary import summarize as summarize
