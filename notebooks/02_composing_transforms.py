# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # 2. Composing transforms: direction × scale
#
# Nearly every adaptive method takes a step of the form
#
# $$\Delta p = -\alpha \cdot \underbrace{\text{direction}}_{\text{gradient or its mean}} \times
# \underbrace{\text{scale}}_{\text{a positive number for every coordinate}}$$
#
# RMSprop's scale is $1/\sqrt v$, SGD's is 1. Most libraries multiply the two immediately. Here they
# stay separate until the step is made. Anything that acts on the scale alone (AdaBound's clipping,
# AdaMod's bound, Padam's power, your own ideas) can therefore be one more stage of a chain.

# %%
# %matplotlib inline
import os

import jax
import jax.numpy as jnp
import numpy as np
import optax

import adaptive_jax as aj
from adaptive_jax.diagnostics import get_surface, trajectory
from adaptive_jax.lab import compare
from adaptive_jax.lab.report import figures

SMALL = "ADAPTIVE_JAX_SMALL" in os.environ  # in tests: a smaller model, trained for less long
OTHERS = ["adam"] if SMALL else ["rmsprop", "adam", "adabound"]
WORKLOAD = "digits_mlp" if SMALL else "digits_cnn"
BUDGET = {"trials": 1, "seeds": 1, "epochs": 2} if SMALL else {"trials": 3, "seeds": 3}

# %% [markdown]
# ## The two factors
#
# `scale_by_adam` is an ordinary Optax transformation, with `init` and `update`. As a `Preconditioner`
# it also has `step`, which returns the direction, the scale and the new state. Here are three
# gradients that differ by a factor of a million:

# %%
adam = aj.scale_by_adam()
params, grads = jnp.zeros(3), jnp.array([1e-3, 1.0, 1e3])
direction, scale, state, _ = adam.step(grads, adam.init(params), params)
updates, _ = adam.update(grads, adam.init(params), params)
shown = {"gradient": grads, "direction": direction, "scale": scale, "update": updates}
for name, numbers in shown.items():
    print(f"{name:9}", *(f"{number:10.4g}" for number in numbers))

# %% [markdown]
# The scale cancels the size of the gradient: every coordinate moves by 1, and after the last stage by
# the learning rate. The direction is the plain moment, $(1 - \beta_1)\,g$ after one step; all bias
# corrections are in the scale. With this convention, the published methods are reproduced exactly.
#
# ## AdaBound from parts
#
# Luo et al. (2019, arXiv 1902.09843) found extreme scales at the end of training with Adam. They clip
# the scales between two bounds that converge to SGD's learning rate:
#
# $$p_t = p_{t-1} - \mathrm{clip}\Big(\frac{\alpha}{\sqrt{v_t}},\
#   \text{lower}(t),\ \text{upper}(t)\Big) \, m_t, \qquad
# \text{lower}(t) = \alpha^*\Big(1 - \frac{1}{\gamma t + 1}\Big),\quad
# \text{upper}(t) = \alpha^*\Big(1 + \frac{1}{\gamma t}\Big).$$

# %%
adam_bounds, safe_bounds = aj.adabound_bounds(0.1, 1e-3), aj.convergent_bounds(0.1, m=4010.0)
counts = jnp.arange(5000)
bounds = {
    "AdaBound, lower": adam_bounds[0](counts),
    "AdaBound, upper": adam_bounds[1](counts),
    "Savarese's condition, lower": safe_bounds[0](counts),
    "Savarese's condition, upper": safe_bounds[1](counts),
}
axes = figures.by_step(bounds)
axes.set(yscale="log", ylim=(1e-3, 1e2), title="bounds of each coordinate's learning rate")
axes.figure

# %% [markdown]
# As a chain, it is Adam's scale, the clipping, and the learning rate. `bound_lr` is a `ScaleModifier`:
# it binds to the Preconditioner before it. (`eps_hat` is the epsilon of the authors' code, which is
# added to the uncorrected root. `base_lr` is the learning rate that the bounds refer to, so that a
# schedule also scales the bounds.)

# %%
from_parts = aj.chain(
    aj.scale_by_adam(b1=0.9, b2=0.999, eps=0.0, eps_hat=1e-8),
    aj.bound_lr(final_lr=0.1, gamma=1e-3, base_lr=1e-3),
    aj.scale_by_learning_rate(1e-3),
)
beale = get_surface("beale")
ours, _ = trajectory(from_parts, beale.function, beale.start, 300)
whole, _ = trajectory(aj.adabound(1e-3), beale.function, beale.start, 300)
np.testing.assert_array_equal(ours, whole)
print("300 updates of both, from", ours[0], "to", ours[-1], "and", whole[-1])

# %% [markdown]
# Any stage can be removed, added or moved:
#
# | chain | result |
# |---|---|
# | `scale_by_amsgrad(), bound_lr(…), scale_by_learning_rate(…)` | AMSBound |
# | `scale_by_adam(), momental_bound(…), scale_by_learning_rate(…)` | AdaMod |
# | `scale_by_amsgrad(), partial_adaptivity(…), scale_by_learning_rate(…)` | Padam |
# | `scale_by_adabelief(), bound_lr(…), …` | AdaBelief within bounds: not published yet |
# | `add_decayed_weights(…)` before `scale_by_…` | weight decay coupled, L2 |
# | `add_decayed_weights(…)` after it | decoupled, as in AdamW |
# | `clip_by_global_norm(…)` first | gradient clipping |
#
# A modifier without a Preconditioner before it is an error when the chain is built:

# %%
try:
    aj.chain(
        aj.clip_by_global_norm(1.0), aj.bound_lr(base_lr=1e-3), aj.scale_by_learning_rate(1e-3)
    )
except ValueError as error:
    print(error)

# %% [markdown]
# ## A ScaleModifier of your own
#
# AdaBound's bounds need a final learning rate and a speed. Could the scales themselves define what is
# extreme? Here the scales of every array are kept within a factor of their median:
#
# $$s_i \leftarrow \mathrm{clip}\big(s_i,\ \mathrm{median}(s) / f,\ f \cdot \mathrm{median}(s)\big).$$
#
# With $f = 1$ each array has one learning rate; with $f = \infty$ this is Adam.


# %%
def near_the_median(factor):
    """Each array's scales within `factor` times their median."""

    def clip(scale):
        middle = jnp.median(scale)
        return jnp.clip(scale, middle / factor, middle * factor)

    def modify(scale, state):
        return jax.tree.map(clip, scale), state

    return aj.ScaleModifier(optax.init_empty_state, modify)


def adam_near_median(learning_rate=1e-3):
    rate = aj.scale_by_learning_rate(learning_rate)
    return aj.chain(aj.scale_by_adam(), near_the_median(3.0), rate)


# %% [markdown]
# It can be used wherever `optax.adam` can, with `jit`, `vmap` and schedules, and compared like any
# other optimizer.
#
# ## Effective learning rates
#
# How far does a coordinate move per unit of its direction? `diagnostics.effective_learning_rates`
# reads this from a chain; a comparison counts these rates at the end of every epoch. Each column is a
# histogram over all parameters of the network, and the line is the median.

# %%
comparison = compare(WORKLOAD, [*OTHERS, adam_near_median], **BUDGET)
comparison.plot_effective_learning_rates()[0].get_figure(root=True)

# %%
comparison

# %% [markdown]
# RMSprop's and Adam's rates spread over several decades. The faint line at the top of Adam's plot
# shows parameters whose gradients have been 0 so far, or nearly 0: AdaBound was designed to prevent
# such rates. AdaBound's rates lie between its converging bounds, and ours within a factor of nine in
# each array. All decay with the schedule of the comparison, a cosine to 0.
#
# Do fewer extreme rates make a better optimizer? For this small network, the verdict shows no
# significant difference. Use `adaptive-jax compare` for larger networks.
