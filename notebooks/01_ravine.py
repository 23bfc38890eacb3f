# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # 1. The ravine
#
# A loss that is steep in one direction and flat in another is what makes gradient descent slow,
# and what momentum, AdaGrad, RMSprop and Adam each answer in their own way. Here they all walk
# through the simplest such loss, a bowl 50 times as steep across as along:
#
# $$f(x, y) = \tfrac12\,(x^2 + 50\,y^2), \qquad \nabla f = (x,\ 50\,y), \qquad
# \kappa = \frac{\lambda_{\max}}{\lambda_{\min}} = 50.$$
#
# $p_t$ is the point after $t$ updates, $g_t$ the gradient at $p_{t-1}$, $\alpha$ the learning rate,
# and products, squares and roots of vectors are taken coordinate by coordinate.

# %%
# %matplotlib inline
import os

import numpy as np

from adaptive_jax.diagnostics import get_surface
from adaptive_jax.lab.analysis.labels import short_label
from adaptive_jax.lab.report import figures
from adaptive_jax.lab.surfaces import tune_on_surface, vary_on_surface
from adaptive_jax.lab.surfaces.pictures import draw_gallery, draw_trajectories
from adaptive_jax.lab.surfaces.trajectories import CLASSICS

SMALL = "ADAPTIVE_JAX_SMALL" in os.environ  # in tests: fewer of them
ravine = get_surface("ravine")

# %% [markdown]
# ## Six optimizers, each at its best
#
# Every optimizer is tried at ten learning rates a decade, all in one compiled program, and shown
# at the rate with which it ends lowest after 100 updates. The circle is the start, the star the
# minimum.

# %%
paths = tune_on_surface(CLASSICS[:2] if SMALL else CLASSICS, ravine)
draw_trajectories(ravine, paths)

# %%
axes = figures.by_step({short_label(path.optimizer.label): path.values for path in paths})
axes.set(yscale="log", ylim=(1e-9, 1e2), title="f after each update")
axes.figure

# %% [markdown]
# AdaGrad is far ahead here, and leaves the picture at the bottom: gradients have no noise, so its
# memory of the steepest ones is all that it needs. Sign descent comes to a height at which it stays,
# since its steps never get smaller, and RMSprop jumps back up whenever its steps have outgrown the
# gradients that it remembers. What follows takes the methods one at a time. Above each panel is the
# learning rate, and the highest $f$ in the last tenth of the path.
#
# ## Gradient descent
#
# $$p_t = p_{t-1} - \alpha\, g_t$$
#
# On a quadratic every coordinate goes its own way: an update multiplies $x$ by $1 - \alpha$ and $y$
# by $1 - 50\,\alpha$. So
#
# - it converges only if $\alpha < 2 / \lambda_{\max} = 0.04$: the steep direction sets the limit;
# - from $\alpha = 1/50$ on, $y$ changes its sign at every update, which is the zigzag;
# - the best rate is $2 / (\lambda_{\min} + \lambda_{\max}) = 2/51$, where both factors are
#   $(\kappa - 1)/(\kappa + 1) = 0.96$ in size. Nothing better is to be had for a bowl like this.

# %%
draw_gallery(
    ravine,
    vary_on_surface("sgd", ravine, learning_rate=[0.005, 0.01, 0.02, 0.03, 0.0392, 0.0405]),
)

# %% [markdown]
# ## Momentum
#
# $$m_t = \beta\, m_{t-1} + g_t, \qquad p_t = p_{t-1} - \alpha\, m_t$$
#
# Across the ravine gradients cancel each other in $m$, along it they add up, to $1/(1-\beta)$ times
# one gradient in the end. With $\beta = 0$ this is gradient descent. As $\beta$ goes to 1 both
# directions swing, and each swing loses a factor of only $\sqrt\beta$ an update: 0.95 at 0.9, and
# 0.995 at 0.99. The best pair for a quadratic (Polyak 1964) is
#
# $$\beta = \Big(\frac{\sqrt\kappa - 1}{\sqrt\kappa + 1}\Big)^2 = 0.57, \qquad
# \alpha = \Big(\frac{2}{\sqrt{\lambda_{\min}} + \sqrt{\lambda_{\max}}}\Big)^2 = 0.061,$$
#
# which wins a factor of $\sqrt\beta = 0.75$ an update: the square root of the condition number takes
# the place of the condition number. It is the last panel: far off at first, since both swings
# of the steep direction are in step, and then faster than all others.

# %%
rates, betas = [0.01, 0.01, 0.01, 0.01, 0.01, 0.0614], [0.0, 0.5, 0.8, 0.9, 0.99, 0.566]
draw_gallery(ravine, vary_on_surface("sgd", ravine, learning_rate=rates, momentum=betas))

# %% [markdown]
# ## AdaGrad
#
# $$v_t = v_{t-1} + g_t^2, \qquad p_t = p_{t-1} - \alpha\, \frac{g_t}{\sqrt{v_t} + \epsilon}$$
#
# The first step has the length $\alpha$ in every coordinate, however steep it is: 50 in front of
# $y^2$ makes no difference to where the path goes, for $g_t$ and $\sqrt{v_t}$ both have it. After
# that $v$ only grows and steps only shrink. Here gradients vanish, so $v$ settles, and a large
# $\alpha$ is right; where noise keeps gradients alive, steps fall as $1/\sqrt t$.

# %%
draw_gallery(ravine, vary_on_surface("adagrad", ravine, learning_rate=[0.1, 0.3, 1, 2, 3, 8]))

# %% [markdown]
# ## RMSprop
#
# $$v_t = \beta\, v_{t-1} + (1 - \beta)\, g_t^2, \qquad
# p_t = p_{t-1} - \alpha\, \frac{g_t}{\sqrt{v_t} + \epsilon}$$
#
# A mean in place of the sum: old gradients are forgotten, after $1/(1-\beta)$ updates or so, and the
# path does not slow down. $v_0 = 0$ makes the first step as long as $\alpha / \sqrt{1 - \beta}$, ten
# times $\alpha$ at $\beta = 0.99$. A small $\beta$ forgets so fast that $g/\sqrt v$ is near $\pm 1$
# wherever the path is: it marches at 45° to the floor of the ravine and then along it.

# %%
rates, betas = [0.03, 0.1, 0.3, 0.1, 0.1, 0.1], [0.9, 0.9, 0.9, 0.0, 0.5, 0.99]
draw_gallery(ravine, vary_on_surface("rmsprop", ravine, learning_rate=rates, decay=betas))

# %% [markdown]
# ## Sign descent: RMSprop that remembers nothing
#
# With $\beta = 0$ the mean of the squares is the last square, $v_t = g_t^2$, and RMSprop is
#
# $$p_t = p_{t-1} - \alpha\, \frac{g_t}{\sqrt{g_t^2}} = p_{t-1} - \alpha\, \mathrm{sign}(g_t).$$
#
# All steps are equally long, so it ends by jumping to and fro about the minimum, $\alpha$ at a
# time; only a falling learning rate gets it closer.

# %%
rates = [0.01, 0.03, 0.05, 0.1, 0.3, 0.6]
draw_gallery(ravine, vary_on_surface("sign_sgd", ravine, learning_rate=rates))

# %%
same = tune_on_surface(
    ["rmsprop:learning_rate=0.07,decay=0", "sign_sgd:learning_rate=0.07"], ravine
)
difference = np.abs(same[0].points - same[1].points).max()
print(f"RMSprop with v = g² and sign descent differ by at most {difference:.0e}")
assert difference < 1e-5

# %% [markdown]
# ## Adam
#
# $$m_t = \beta_1 m_{t-1} + (1 - \beta_1)\, g_t, \qquad v_t = \beta_2 v_{t-1} + (1 - \beta_2)\, g_t^2,$$
# $$p_t = p_{t-1} - \alpha\, \frac{m_t / (1 - \beta_1^t)}{\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}$$
#
# RMSprop's scale and momentum's direction, both freed of their start at 0, so that the first step
# has the length $\alpha$ whatever the betas. $\beta_1$ is its inertia: at 0 it follows the gradient
# (RMSprop with a correction), at 0.99 it swings around the minimum like momentum. $\beta_2$ is the
# memory of the scale: with 0.999, 100 updates are too few to forget the steep start, so steps
# get small with the gradients, as AdaGrad's do, and the path can end in the minimum.

# %%
rates = [0.03, 0.1, 0.3, 0.3, 0.3, 0.3]
b1, b2 = [0.9, 0.9, 0.9, 0.0, 0.99, 0.9], [0.999, 0.999, 0.999, 0.999, 0.999, 0.8]
draw_gallery(ravine, vary_on_surface("adam", ravine, learning_rate=rates, b1=b1, b2=b2))

# %% [markdown]
# ## What carries over
#
# - Gradient descent's rate is limited by the steepest direction, and its speed by the flattest.
# - Momentum helps with the ratio of the two; the adaptive methods take it out, coordinate by
#   coordinate. They can do so because this ravine runs along an axis. Rotate it and they lose
#   most of that: `adaptive-jax surfaces --surface rosenbrock` shows a ravine that bends.
# - The unit of $\alpha$ is not the same: gradient descent's is a length per gradient, that of sign
#   descent and Adam a length. A table that gives all of them the same learning rate compares
#   nothing (notebook 5 and `adaptive-jax compare` tune each).
#
# More surfaces, all optimizers and pictures in motion: `adaptive-jax surfaces --surface all --gallery`.
