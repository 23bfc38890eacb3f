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
# Five runs on MNIST take about ten minutes on two CPU cores. To take less than two minutes, this
# notebook uses MNIST only if the environment variable `ADAPTIVE_JAX_MNIST` names a folder with its
# files. Otherwise it uses scikit-learn's 8×8 digits, with a network of suitable size.

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
# The learning rates are given and constant.

# %%
untuned = compare(workload, OPTIMIZERS, schedule="constant", data_dir=MNIST, **BUDGET)
untuned

# %%
untuned.plot_learning_curves()[0].get_figure(root=True)

# %% [markdown]
# Adadelta looks hopeless. But its learning rate of 0.001 is a thousandth of the paper's, which is 1,
# and Adagrad's is a tenth of its usual rate. A table like this compares learning rates as much as
# optimizers. (On MNIST the article's ranking is reproduced, with AdaBound first; the page
# [Compare optimizers](docs/comparing.md) has that table.)
#
# ## Tuned
#
# The same five optimizers, with all settings given except the learning rate. Each gets the same number
# of trials on a log grid of three decades, judged on validation data. Then it runs with fresh seeds,
# and the rate decays to 0 along a cosine.

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
# The plot shows the tuned rates, and how sensitive each optimizer is to the rate. The disc is the
# chosen rate, the diamond is the optimizer's default.

# %%
tuned.plot_tuning()[0].get_figure(root=True)

# %% [markdown]
# The differences are gone. Each of the five can train this network. The differences in the first table
# came from the distance of 0.001 or 0.01 to the rate that each optimizer needs; these rates span four
# decades.
