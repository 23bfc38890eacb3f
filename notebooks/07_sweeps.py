# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # 7. Sweeps: a hundred runs in one compiled program
#
# Compiling a training step takes seconds, and training a small model takes hardly longer. A loop that
# builds an optimizer for each learning rate compiles each time. Here every numeric hyperparameter may
# be an array or traced. It is an *input* of the program, so one program serves all its values, and
# `vmap` runs them side by side.

# %%
# %matplotlib inline
import os
import time

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import adaptive_jax as aj
from adaptive_jax.diagnostics import get_surface, trajectory
from adaptive_jax.lab import workloads
from adaptive_jax.lab.report import figures
from adaptive_jax.lab.training import Member, OptimizerSpec, Population
from adaptive_jax.lab.training.records import make_record

SMALL = "ADAPTIVE_JAX_SMALL" in os.environ  # in tests: fewer runs, and shorter ones
SIDE, RATES, SEEDS, EPOCHS = (5, 3, 1, 2) if SMALL else (60, 9, 3, 60)

# %% [markdown]
# ## By hand: 3600 runs of Adam
#
# Write a function of the hyperparameters that trains and returns a result, apply `vmap` for each of
# them, and `jit` the whole. Here Adam minimizes Rosenbrock's function, with 400 updates for each pair
# of learning rate and $\beta_1$.

# %%
valley = get_surface("rosenbrock")


def end(learning_rate, b1):
    """Rosenbrock's function after the last update."""
    tx = aj.adam(learning_rate, b1=b1, b2=0.99)
    return trajectory(tx, valley.function, valley.start, valley.steps)[1][-1]


rates, betas = np.logspace(-3, 0.5, SIDE), np.linspace(0, 0.98, SIDE)
sweep = jax.jit(jax.vmap(jax.vmap(end, (0, None)), (None, 0)))
ends = sweep(jnp.asarray(rates), jnp.asarray(betas))
best = np.unravel_index(np.argmin(ends), ends.shape)
print(f"{ends.size} runs; the lowest end, {ends[best]:.1e}, is at", end=" ")
print(f"learning rate {rates[best[1]]:.2g}, b1 {betas[best[0]]:.2f}")

# %%
axes = Figure((6.4, 3.6), dpi=150, layout="constrained").subplots()
mesh = axes.pcolormesh(rates, betas, np.log10(np.maximum(ends, 1e-10)), cmap="Blues_r")
axes.figure.colorbar(mesh, label="log10 of the end")
axes.set(xscale="log", xlabel="learning rate", ylabel="b1", title="Adam in Rosenbrock's valley")
axes.figure

# %% [markdown]
# ## With a model: a population
#
# A `Population` does the same for a workload: data, network, mini-batches, seeds. Its members may have
# *different* optimizers. The gradients of all members are computed in one `vmap`. Only the update, a
# small part, is compiled once per optimizer.

# %%
mlp = workloads.get("digits_mlp")
members = [
    Member(OptimizerSpec.parse(optimizer), seed, {"learning_rate": float(rate)}, "tune")
    for optimizer in ("sgd", "sgd:momentum=0.9", "rmsprop", "adam")
    for rate in np.logspace(-4, 0, RATES)
    for seed in range(SEEDS)
]
began = time.perf_counter()
population = Population(mlp, mlp.load(None), EPOCHS, width=len(members))
histories = list(population.run(members))
seconds = time.perf_counter() - began
compiling = histories[0].compile_seconds
print(f"{len(members)} runs of {population.steps} updates: {seconds:.0f} s, ", end="")
print(f"of which {compiling:.0f} s to compile")

# %% [markdown]
# A single run must be compiled, too. A loop over as many runs, each with its learning rate as a
# constant of the program, would take this long for each:

# %%
began = time.perf_counter()
alone = Population(mlp, mlp.load(None), EPOCHS, width=1)
(history,) = alone.run(members[-1:])
print(f"1 run: {time.perf_counter() - began:.1f} s, ", end="")
print(f"of which {history.compile_seconds:.1f} s to compile")

# %%
records = [make_record(population, history) for history in histories]
axes = figures.tuning_curves(records)
axes.figure

# %% [markdown]
# Look at this plot before any table of optimizers. It shows how good each can be, at which rate, and
# how sensitive it is to the rate. A cross at the edge is a rate at which a run diverged. `compare`
# makes this plot for its tuning runs (`comparison.plot_tuning()`).
#
# ## What can be swept, and what cannot
#
# - Numbers can: learning rates, betas, epsilons, decays, bounds. `Member` takes any of them.
# - Arguments that determine the *structure* of the computation cannot be traced: `nesterov=True`,
#   `amsgrad`, a schedule's `decay_steps`, the batch size. They need separate optimizers, like `sgd`
#   with and without momentum above, or separate populations.
# - Memory grows with the number of runs side by side. `width` limits this number, and `max_memory`
#   halves a group that would need more memory.
# - `compare(…, search="random")` draws several hyperparameters at once, from ranges such as
#   `"adam:b1=0.8..0.99"`.
