"""Statistics of repeated runs: intervals, tests and summaries of NumPy arrays.

Runs are few and expensive, so each function documents its behavior for about five. Functions of
`(..., n)` arrays work along the last axis. NaN among the runs gives NaN.
"""

from adaptive_jax.lab.statistics.aggregate import Profiles as Profiles
from adaptive_jax.lab.statistics.aggregate import interquartile_mean as interquartile_mean
from adaptive_jax.lab.statistics.aggregate import mean_improvement as mean_improvement
from adaptive_jax.lab.statistics.aggregate import performance_profiles as performance_profiles
from adaptive_jax.lab.statistics.aggregate import (
    probability_of_improvement as probability_of_improvement,
)
from adaptive_jax.lab.statistics.budget import best_so_far as best_so_far
from adaptive_jax.lab.statistics.budget import distribution_band as distribution_band
from adaptive_jax.lab.statistics.budget import expected_best as expected_best
from adaptive_jax.lab.statistics.interval import Interval as Interval
from adaptive_jax.lab.statistics.interval import t_interval as t_interval
from adaptive_jax.lab.statistics.interval import wilson_interval as wilson_interval
from adaptive_jax.lab.statistics.multiple import holm as holm
from adaptive_jax.lab.statistics.paired import equivalence_test as equivalence_test
from adaptive_jax.lab.statistics.paired import (
    paired_bootstrap_interval as paired_bootstrap_interval,
)
from adaptive_jax.lab.statistics.paired import paired_t_interval as paired_t_interval
from adaptive_jax.lab.statistics.paired import paired_t_test as paired_t_test
from adaptive_jax.lab.statistics.paired import wilcoxon_test as wilcoxon_test
from adaptive_jax.lab.statistics.tuning import search_shortfall as search_shortfall
from adaptive_jax.lab.statistics.tuning import tuning_shortfall as tuning_shortfall
from adaptive_jax.lab.statistics.unpaired import CountTest as CountTest
from adaptive_jax.lab.statistics.unpaired import count_test as count_test
from adaptive_jax.lab.statistics.unpaired import rank_sum_test as rank_sum_test
