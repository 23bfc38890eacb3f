# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # 3. The CNN article: five optimizers, untuned and then tuned fairly
#
# The article trains one convolutional network on MNIST with five optimizers, five epochs each, at
# learning rates that are their libraries' defaults or near them:
#
# | optimizer | learning rate | other settings |
# |---|---|---|
# | Adagrad | 0.001 | accumulator starts at 0.1, $\epsilon = 10^{-7}$ |
# | Adadelta | 0.001 | $\rho = 0.95$, $\epsilon = 10^{-7}$ |
# | SGD with momentum | 0.01 | $\beta = 0.9$ |
# | Adam | 0.01 | |
# | AdaBound | 0.001 | final rate 0.1 |
#
# Five trainings on MNIST take some ten minutes on two CPU cores. So that this notebook takes less
# than two, it runs on MNIST only where the environment variable `ADAPTIVE_JAX_MNIST` names a folder
# with its files, and else on scikit-learn's 8×8 digits, with a network that fits them.

# %%
# %matplotlib inline
import os

from adaptive_jax.lab import compare, workloads
from adaptive_jax.lab.training import OptimizerSpec

SMALL = "ADAPTIVE_JAX_SMALL" in os.environ  # in tests: Adam and a smaller model, for less long
MNIST = None if SMALL else os.environ.get("ADAPTIVE_JAX_MNIST")
article = workloads.get("mnist_cnn")
workload = article if MNIST else workloads.get("digits_mlp" if SMALL else "digits_cnn")
OPTIMIZERS = article.optimizers[3:4] if SMALL else article.optimizers
BUDGET = {"seeds": 2, "epochs": 1} if SMALL else {"seeds": 1 if MNIST else 3}
TRIALS = 2 if SMALL else 4
print(workload.description, "" if MNIST else "(in place of MNIST)")

# %% [markdown]
# ## As in the article
#
# The learning rates are given and stay as they are, to the last step.

# %%
untuned = compare(workload, OPTIMIZERS, schedule="constant", data_dir=MNIST, **BUDGET)
untuned

# %%
untuned.plot_learning_curves()[0].get_figure(root=True)

# %% [markdown]
# Adadelta is hopeless, one would say. But its learning rate of 0.001 is a thousandth of the paper's,
# which is 1, and Adagrad's a tenth of what it usually has. A table like this compares learning rates
# as much as optimizers. (On MNIST the article's own ranking repeats, AdaBound first: the page
# [Compare optimizers](docs/comparing.md) has that table.)
#
# ## Tuned
#
# The same five, with everything given but the learning rate. Each gets the same number of trials on
# a log grid of three decades, judged on validation data, and then runs with fresh seeds, the rate
# falling to 0 along a cosine.

# %%
given = map(OptimizerSpec.parse, OPTIMIZERS)
free = [
    OptimizerSpec(
        spec.name, {k: v for k, v in spec.hyperparameters.items() if k != "learning_rate"}
    )
    for spec in given
]
tuned = compare(workload, free, trials=TRIALS, schedule="cosine", data_dir=MNIST, **BUDGET)
tuned

# %%
tuned.plot_learning_curves()[0].get_figure(root=True)

# %% [markdown]
# What the tuning found, and how much each optimizer forgives: the disc is the rate that was chosen,
# the diamond the optimizer's default.

# %%
tuned.plot_tuning()[0].get_figure(root=True)

# %% [markdown]
# The differences are gone. Each of the five can train this network; what set them apart in the first
# table was how far 0.001 or 0.01 is from the rate that each needs, and these lie four decades apart.
