"""Figures of a comparison; each function draws on given or new axes and returns them.

None of them uses pyplot. `axes.figure` is the figure, to save or to show in a notebook.
"""

from adaptive_jax.lab.report.figures.results import COST as COST
from adaptive_jax.lab.report.figures.results import TO_TARGET as TO_TARGET
from adaptive_jax.lab.report.figures.results import differences as differences
from adaptive_jax.lab.report.figures.results import dots as dots
from adaptive_jax.lab.report.figures.results import line_inches as line_inches
from adaptive_jax.lab.report.figures.results import performance_profile as performance_profile
from adaptive_jax.lab.report.figures.steps import by_step as by_step
from adaptive_jax.lab.report.figures.style import COLORS as COLORS
from adaptive_jax.lab.report.figures.style import DARK_COLORS as DARK_COLORS
from adaptive_jax.lab.report.figures.style import GROUP as GROUP
from adaptive_jax.lab.report.figures.style import WIDTH as WIDTH
from adaptive_jax.lab.report.figures.style import Style as Style
from adaptive_jax.lab.report.figures.style import legend_label as legend_label
from adaptive_jax.lab.report.figures.style import legend_lines as legend_lines
from adaptive_jax.lab.report.figures.style import make_palette as make_palette
from adaptive_jax.lab.report.figures.style import theme as theme
from adaptive_jax.lab.report.figures.style import verbatim as verbatim
from adaptive_jax.lab.report.figures.training import (
    effective_learning_rates as effective_learning_rates,
)
from adaptive_jax.lab.report.figures.training import learning_curves as learning_curves
from adaptive_jax.lab.report.figures.tuning import tuning_budget as tuning_budget
from adaptive_jax.lab.report.figures.tuning import tuning_curves as tuning_curves
