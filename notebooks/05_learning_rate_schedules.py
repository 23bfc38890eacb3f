# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # 5. Learning-rate schedules
#
# A schedule is a function of $t$, the number of updates made so far. It works wherever a learning rate
# does: `aj.adam(schedule)`, `optax.adam(schedule)`, `aj.scale_by_learning_rate(schedule)`, and wherever
# Optax's schedules do. All schedules here are plotted for 1000 updates from, or up to, a rate of 0.1.

# %%
# %matplotlib inline
import json
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import adaptive_jax as aj
from adaptive_jax import schedules
from adaptive_jax.lab import compare
from adaptive_jax.lab.report import figures
from adaptive_jax.presets import keras
from adaptive_jax.registry import Optimizer

SMALL = "ADAPTIVE_JAX_SMALL" in os.environ  # in tests: fewer schedules, trained with for less long
CHOSEN = ["constant", "cosine"] if SMALL else None
BUDGET = (
    {"trials": 1, "seeds": 2, "epochs": 1} if SMALL else {"trials": 5, "seeds": 10, "epochs": 4}
)


def draw(named, title):
    """Schedules over 1000 updates."""
    axes = figures.by_step({k: jax.vmap(lr)(jnp.arange(1001)) for k, lr in named.items()})
    axes.set(title=title, ylim=(0, None))
    return axes.figure


# %% [markdown]
# ## Decay
#
# $T$ is `transition_steps` or `decay_steps`, $r$ is `decay_rate`, and $\alpha_0$ is the initial rate:
#
# | | | |
# |---|---|---|
# | exponential | $\alpha_0\, r^{\,t/T}$ | multiplied by $r$ every $T$ updates |
# | inverse time | $\alpha_0 / (1 + r\,t/T)$ | the classic $1/t$ of stochastic approximation |
# | polynomial | $\alpha_1 + (\alpha_0 - \alpha_1)(1 - t/T)^{power}$ | linear at power 1; ends at $T$ |
# | piecewise constant | $\alpha_i$ for $b_{i-1} < t \le b_i$ | explicit values |
#
# `staircase=True` rounds $t/T$ down.

# %%
falling = {
    "exponential": schedules.exponential_decay(0.1, transition_steps=200, decay_rate=0.5),
    "exponential, staircase": schedules.exponential_decay(0.1, 200, 0.5, staircase=True),
    "inverse time": schedules.inverse_time_decay(0.1, transition_steps=200, decay_rate=1.0),
    "piecewise constant": schedules.piecewise_constant([500, 800], [0.1, 0.03, 0.01]),
    "linear": schedules.polynomial_decay(0.1, decay_steps=900, end_value=0.0),
    "polynomial, power 2": schedules.polynomial_decay(0.1, 900, end_value=0.0, power=2.0),
}
draw(falling, "falling")

# %% [markdown]
# ## Cosines and cycles
#
# A cosine (arXiv 1608.03983) stays high for long, decays fast in the middle and ends with a slope of
# 0: $\alpha_0\,(1 + \cos(\pi t/T))/2$. With restarts, this is repeated. One-cycle (arXiv 1708.07120)
# rises first. The triangles are Smith's cyclical rates (arXiv 1506.01186).

# %%
cycling = {
    "cosine": schedules.cosine_decay(0.1, decay_steps=1000),
    "cosine restarts": schedules.cosine_restarts(0.1, first_decay_steps=143, m_mul=0.8),
    "one-cycle": schedules.one_cycle(1000, peak_value=0.1),
    "cyclic": schedules.cyclic(0.01, 0.06, transition_steps=125, mode="triangular2"),
    "polynomial, cycle": schedules.polynomial_decay(0.1, 250, end_value=0.0, cycle=True),
}
draw(cycling, "falling and rising again")

# %% [markdown]
# ## Warm-up
#
# At first, the scales of adaptive methods are poor estimates, and large batches lead to large first
# steps. Every schedule can have a warm-up; three have it built in. The inverse square root is the
# transformer's schedule (arXiv 1706.03762). Warmup-stable-decay (arXiv 2404.06395) need not know its
# length before the decay begins.

# %%
warming = {
    "warm-up, constant": schedules.linear_warmup(0.1, warmup_steps=100),
    "warm-up, exponential": schedules.linear_warmup(falling["exponential"], warmup_steps=100),
    "warm-up, cosine": schedules.cosine_decay(0.0, 900, peak_value=0.1, warmup_steps=100),
    "inverse square root": schedules.inverse_sqrt(0.0, 0.1, warmup_steps=100),
    "warmup-stable-decay": schedules.warmup_stable_decay(0.0, 0.1, 100, 700, 200),
}
draw(warming, "warm-up")

# %% [markdown]
# ## Keras's semantics, to the step
#
# Schedules with the same name differ between libraries in the value *at* a boundary. These follow
# Keras: a boundary of the piecewise constant schedule still has the value before it; a cycle of the
# polynomial ends at a multiple of `decay_steps`, and the next update starts a new cycle; the staircase
# drops when $t$ is a multiple. `presets.keras.schedules` has the same functions under Keras's names.
# Here they are compared with numbers from Keras 3.15:

# %%
recorded = json.loads(Path("../tests/reference/keras.json").read_text())["schedules"]
with jax.enable_x64(True):
    for case in recorded:
        lr = getattr(keras.schedules, case["name"])(**case["arguments"])
        rates = jax.vmap(lr)(jnp.arange(len(case["values"])))
        difference = np.abs(rates - np.array(case["values"])).max()
        print(f"{case['name']:23} {len(rates)} rates, largest difference {difference:.0e}")
        assert difference < 1e-12

# %% [markdown]
# ## Why schedules help
#
# A bowl with noisy gradients (arXiv 1907.04164) shows why. With a constant rate $\alpha$ and curvature
# $h$, the distance to the minimum shrinks by $1 - \alpha h$ per update, down to a noise floor that is
# proportional to $\alpha$. A large rate is fast and ends high; a small rate is slow and ends low. A
# schedule starts with a large rate and ends with a small one.
#
# Each schedule below is a shape that starts at 1, times a rate that is tuned for it on a log grid with
# the same number of trials. Then each is run 10 times with different noise.

# %%
UPDATES = 500 * BUDGET["epochs"]
shapes = {
    "constant": lambda count: 1.0,
    "exponential": schedules.exponential_decay(1.0, UPDATES, decay_rate=0.01),
    "inverse time": schedules.inverse_time_decay(1.0, UPDATES, decay_rate=30.0),
    "piecewise constant": schedules.piecewise_constant(
        [UPDATES // 2, UPDATES * 3 // 4], [1.0, 0.1, 0.01]
    ),
    "linear": schedules.polynomial_decay(1.0, UPDATES, end_value=0.0),
    "cosine": schedules.cosine_decay(1.0, UPDATES),
    "one-cycle": schedules.one_cycle(UPDATES, peak_value=1.0),
    "warmup-stable-decay": schedules.warmup_stable_decay(
        0.0, 1.0, UPDATES // 20, UPDATES * 15 // 20, UPDATES * 4 // 20
    ),
}


def scheduled(name, momentum=None):
    """SGD whose learning rate follows that shape, for a comparison to tune."""

    def factory(learning_rate=0.1):
        return aj.sgd(lambda count: learning_rate * shapes[name](count), momentum)

    return Optimizer(name, factory, search={"learning_rate": (0.01, 1.0)})


optimizers = [scheduled(name) for name in CHOSEN or shapes]
noisy = compare("noisy_quadratic", optimizers, schedule="constant", **BUDGET)
noisy

# %%
axes = figures.learning_curves(noisy.records, "validation_loss")
axes.figure

# %%
noisy.plot_differences()[0].get_figure(root=True)

# %% [markdown]
# A constant rate must be small, 0.03, and still ends more than ten times as high as a cosine, which can
# start with 0.3. Among the shapes that end near 0, the choice matters little: the differences between
# five of them are not significant. Inverse time does not reach that level: at a thirtieth of its
# initial rate, it stays above the floor of the others.
#
# For the same reason, a comparison of optimizers should decay all learning rates to 0, as
# `adaptive-jax compare` does: otherwise it compares noise floors.
