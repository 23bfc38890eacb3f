# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # 1. The ravine
#
# Gradient descent is slow if the loss is steep in one direction and flat in another. Momentum,
# AdaGrad, RMSprop and Adam each address this in a different way. Here they all minimize the simplest
# such loss, a bowl that is 50 times as steep across as along:
#
# $$f(x, y) = \tfrac12\,(x^2 + 50\,y^2), \qquad \nabla f = (x,\ 50\,y), \qquad
# \kappa = \frac{\lambda_{\max}}{\lambda_{\min}} = 50.$$
#
# $p_t$ is the point after $t$ updates, $g_t$ the gradient at $p_{t-1}$, and $\alpha$ the learning
# rate. Products, squares and roots of vectors are elementwise.

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
# Every optimizer is tried at ten learning rates per decade, all in one compiled program. It is shown
# at the rate that gives the lowest value after 100 updates. The circle is the start, the star is the
# minimum.

# %%
paths = tune_on_surface(CLASSICS[:2] if SMALL else CLASSICS, ravine)
draw_trajectories(ravine, paths)

# %%
axes = figures.by_step({short_label(path.optimizer.label): path.values for path in paths})
axes.set(yscale="log", ylim=(1e-9, 1e2), title="f after each update")
axes.figure

# %% [markdown]
# AdaGrad is far ahead here, and leaves the plot at the bottom: gradients have no noise, so its memory
# of the steepest ones is all it needs. Sign descent stops improving at some height, because its
# steps never get smaller. RMSprop jumps back up whenever its steps have become too large for the
# gradients that it remembers. The following sections discuss one method at a time. The title of each
# panel shows the learning rate, and the highest $f$ in the last tenth of the path.
#
# ## Gradient descent
#
# $$p_t = p_{t-1} - \alpha\, g_t$$
#
# On a quadratic, the coordinates are independent: an update multiplies $x$ by $1 - \alpha$ and $y$ by
# $1 - 50\,\alpha$. Therefore
#
# - it converges only if $\alpha < 2 / \lambda_{\max} = 0.04$: the steep direction sets the limit;
# - from $\alpha = 1/50$ on, $y$ changes its sign at every update, which causes the zigzag;
# - the best rate is $2 / (\lambda_{\min} + \lambda_{\max}) = 2/51$, where both factors have magnitude
#   $(\kappa - 1)/(\kappa + 1) = 0.96$. No other rate is better for this bowl.

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
# In $m$, gradients across the ravine cancel each other, and gradients along it add up, eventually to
# $1/(1-\beta)$ times one gradient. With $\beta = 0$ this is gradient descent. As $\beta$ approaches 1,
# both directions oscillate, and the oscillations shrink by a factor of only $\sqrt\beta$ per update:
# 0.95 at 0.9, and 0.995 at 0.99. The best pair for a quadratic (Polyak 1964) is
#
# $$\beta = \Big(\frac{\sqrt\kappa - 1}{\sqrt\kappa + 1}\Big)^2 = 0.57, \qquad
# \alpha = \Big(\frac{2}{\sqrt{\lambda_{\min}} + \sqrt{\lambda_{\max}}}\Big)^2 = 0.061,$$
#
# which gains a factor of $\sqrt\beta = 0.75$ per update: the square root of the condition number
# replaces the condition number. It is the last panel: far off at first, because both oscillations of
# the steep direction are in phase, and then faster than all others.

# %%
rates, betas = [0.01, 0.01, 0.01, 0.01, 0.01, 0.0614], [0.0, 0.5, 0.8, 0.9, 0.99, 0.566]
draw_gallery(ravine, vary_on_surface("sgd", ravine, learning_rate=rates, momentum=betas))

# %% [markdown]
# ## AdaGrad
#
# $$v_t = v_{t-1} + g_t^2, \qquad p_t = p_{t-1} - \alpha\, \frac{g_t}{\sqrt{v_t} + \epsilon}$$
#
# The first step has length $\alpha$ in every coordinate, however steep that is. The factor 50 of $y^2$
# does not affect the path, because it appears in both $g_t$ and $\sqrt{v_t}$. After that, $v$ only
# grows and the steps only shrink. Here the gradients vanish, so $v$ converges, and a large $\alpha$ is
# right. If noise keeps the gradients from vanishing, the steps decrease as $1/\sqrt t$.

# %%
draw_gallery(ravine, vary_on_surface("adagrad", ravine, learning_rate=[0.1, 0.3, 1, 2, 3, 8]))

# %% [markdown]
# ## RMSprop
#
# $$v_t = \beta\, v_{t-1} + (1 - \beta)\, g_t^2, \qquad
# p_t = p_{t-1} - \alpha\, \frac{g_t}{\sqrt{v_t} + \epsilon}$$
#
# RMSprop replaces the sum by a mean: old gradients are forgotten after about $1/(1-\beta)$ updates,
# and the path does not slow down. Since $v_0 = 0$, the first step has length
# $\alpha / \sqrt{1 - \beta}$, which is ten times $\alpha$ at $\beta = 0.99$. With a small $\beta$,
# $g/\sqrt v$ is near $\pm 1$ everywhere: the path goes at 45° to the floor of the ravine and then along
# it.

# %%
rates, betas = [0.03, 0.1, 0.3, 0.1, 0.1, 0.1], [0.9, 0.9, 0.9, 0.0, 0.5, 0.99]
draw_gallery(ravine, vary_on_surface("rmsprop", ravine, learning_rate=rates, decay=betas))

# %% [markdown]
# ## Sign descent: RMSprop without memory
#
# With $\beta = 0$ the mean of the squares is the last square, $v_t = g_t^2$, and RMSprop is
#
# $$p_t = p_{t-1} - \alpha\, \frac{g_t}{\sqrt{g_t^2}} = p_{t-1} - \alpha\, \mathrm{sign}(g_t).$$
#
# All steps are equally long, so in the end it jumps back and forth around the minimum in steps of
# $\alpha$. Only a decaying learning rate brings it closer.

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
# Adam combines RMSprop's scale with momentum's direction. Both are corrected for their start at 0, so
# the first step has length $\alpha$ for any betas. $\beta_1$ is the inertia: at 0 Adam follows the
# gradient (RMSprop with a correction), at 0.99 it oscillates around the minimum like momentum.
# $\beta_2$ is the memory of the scale. With 0.999, 100 updates are too few to forget the steep start,
# so the steps shrink with the gradients, as in AdaGrad, and the path can end in the minimum.

# %%
rates = [0.03, 0.1, 0.3, 0.3, 0.3, 0.3]
b1, b2 = [0.9, 0.9, 0.9, 0.0, 0.99, 0.9], [0.999, 0.999, 0.999, 0.999, 0.999, 0.8]
draw_gallery(ravine, vary_on_surface("adam", ravine, learning_rate=rates, b1=b1, b2=b2))

# %% [markdown]
# ## Summary
#
# - The steepest direction limits gradient descent's learning rate, and the flattest limits its speed.
# - Momentum reduces the effect of the ratio of the two. The adaptive methods remove it, coordinate by
#   coordinate. They can do so because this ravine is aligned with an axis. If it is rotated, they lose
#   most of this advantage: `adaptive-jax surfaces --surface rosenbrock` shows a ravine that bends.
# - The units of $\alpha$ differ: for gradient descent it is a length per gradient, for sign descent and
#   Adam it is a length. A table that uses the same learning rate for all of them compares nothing
#   (notebook 5 and `adaptive-jax compare` tune each).
#
# For more surfaces, all optimizers and animations: `adaptive-jax surfaces --surface all --gallery`.
