"""Schedules: functions from the number of updates made so far to a scalar.

They have the same interface as Optax's schedules. Each library's schedules work in the other, and
`optax.join_schedules` joins schedules of both.
"""

from adaptive_jax.schedules.cosine import cosine_decay as cosine_decay
from adaptive_jax.schedules.cosine import cosine_restarts as cosine_restarts
from adaptive_jax.schedules.cosine import one_cycle as one_cycle
from adaptive_jax.schedules.cyclic import cyclic as cyclic
from adaptive_jax.schedules.decay import exponential_decay as exponential_decay
from adaptive_jax.schedules.decay import inverse_time_decay as inverse_time_decay
from adaptive_jax.schedules.decay import piecewise_constant as piecewise_constant
from adaptive_jax.schedules.decay import polynomial_decay as polynomial_decay
from adaptive_jax.schedules.warmup import inverse_sqrt as inverse_sqrt
from adaptive_jax.schedules.warmup import linear_warmup as linear_warmup
from adaptive_jax.schedules.warmup import warmup_stable_decay as warmup_stable_decay
