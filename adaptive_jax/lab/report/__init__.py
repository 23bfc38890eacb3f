"""The report of a comparison: tables, figures, and a web page."""

from adaptive_jax.lab.report.report import write_report as write_report
