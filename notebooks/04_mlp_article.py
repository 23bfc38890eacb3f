# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # 4. The MLP article: four optimizers on one small network
#
# The network of the article has one hidden layer,
#
# $$h = \mathrm{dropout}(\mathrm{ReLU}(W_1 x + b_1)), \qquad \hat y = \sigma(W_2 h + b_2),$$
#
# with 100 units and He's initialization. It is trained for 500 epochs on mini-batches of 32, including
# the smaller last one, with the binary cross-entropy
# $-\frac1n \sum_i y_i \log \hat y_i + (1 - y_i) \log(1 - \hat y_i)$. Dropout is inverted: the
# activations that are kept are divided by the probability of being kept, so that nothing changes
# when it is switched off.
#
# Four optimizers, all at the learning rate $\alpha = 0.01$, with $\beta = 0.9$ and $g$ the gradient:
#
# | | |
# |---|---|
# | mini-batch SGD | $p \leftarrow p - \alpha\, g$ |
# | momentum, as a mean | $m \leftarrow \beta m + (1 - \beta)\, g$, $\quad p \leftarrow p - \alpha\, m$ |
# | RMSprop | $v \leftarrow \beta v + (1 - \beta)\, g^2$, $\quad p \leftarrow p - \alpha\, g / (\sqrt v + 10^{-4})$ |
# | Adam | both, and corrected: $p \leftarrow p - \alpha\, \hat m / (\sqrt{\hat v} + \epsilon)$ |
#
# The article's 259 images are not part of any library. We use 259 of scikit-learn's digits instead,
# reduced to 4×4 pixels: is the digit below 5 or not?

# %%
# %matplotlib inline
import os

from adaptive_jax.lab import compare, workloads
from adaptive_jax.lab.analysis.labels import short_label

SMALL = "ADAPTIVE_JAX_SMALL" in os.environ  # in tests: two optimizers, for less long
article = workloads.get("digits_mlp")
OPTIMIZERS = article.optimizers[::3] if SMALL else article.optimizers
BUDGET = {"seeds": 2, "epochs": 3} if SMALL else {"seeds": 5, "epochs": 500}
OPTIMIZERS

# %% [markdown]
# Their learning rate is given, so nothing is tuned. `compare` runs each with five seeds, which all
# optimizers share. A seed fixes the initial weights, the order of the images and the dropout.

# %%
comparison = compare(article, OPTIMIZERS, **BUDGET)

# %% [markdown]
# ## Cost curves
#
# The strong line is the median of the seeds; the faint lines are single seeds.

# %%
comparison.plot_learning_curves()[0].get_figure(root=True)

# %% [markdown]
# The curves of SGD and SGD with momentum coincide: a *mean* of gradients, unlike their sum, is as long
# as a gradient, so it damps noise and gains no speed. (PyTorch's and Keras's momentum is the sum, which
# makes a step ten times as long: `sgd:momentum=0.9` without `ema`.)
#
# ## The article's table
#
# Training accuracy after the last epoch, next to that of the article on its own images:

# %%
theirs = {"sgd": 0.849, "sgd momentum=0.9 ema=true": 0.873, "rmsprop": 0.961, "adam": 0.985}
for row in sorted(comparison.table(), key=lambda row: row["train"]):
    name = short_label(row["optimizer"]).removesuffix(" decay=0.9 eps=0.0001")
    print(f"{name:30} ours {row['train']:.3f}   article's {theirs[name]:.3f}")

# %% [markdown]
# The two adaptive methods are far ahead of the other two, as in the article. Within each pair, the
# difference is smaller than that between seeds. A single run of each, as in most articles, would rank
# them by chance. And how do they do on images that were not trained on?

# %%
comparison

# %% [markdown]
# On the test set, the two adaptive methods are ahead by seven points instead of sixteen, and RMSprop
# pays for its perfect training accuracy with a test loss far above Adam's. But all four share a
# learning rate of 0.01, which is small for SGD. Notebook 7 shows how much that matters on this network;
# `adaptive-jax compare digits_mlp --optimizers sgd rmsprop adam --epochs 100` tunes each.
