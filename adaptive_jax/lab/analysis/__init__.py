"""The analysis of a comparison: from the records of its runs to a verdict."""

from adaptive_jax.lab.analysis.analysis import Analysis as Analysis
from adaptive_jax.lab.analysis.analysis import analyze as analyze
from adaptive_jax.lab.analysis.summaries import Summary as Summary
from adaptive_jax.lab.analysis.summaries import summarize as summarize
