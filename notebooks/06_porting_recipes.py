# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # 6. Porting a PyTorch and a Keras recipe, line by line
#
# "Adam" is not one method. PyTorch, Keras and the paper differ in where epsilon is added, in the factor
# of weight decay, in the first value of the momentum buffer, and in when a schedule drops.
# `presets.torch` and `presets.keras` have the constructors of those libraries, with the same names,
# arguments, defaults and results. To port a recipe, copy the call and leave out the model.
#
# Neither library needs to be installed, not even for this notebook. At the end, the same lines
# reproduce numbers from PyTorch 2.13 and Keras 3.15.

# %%
# %matplotlib inline
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import adaptive_jax as aj
from adaptive_jax.lab.report import figures
from adaptive_jax.presets import keras, torch

EPOCHS, BATCHES = 20, 50

# %% [markdown]
# ## A PyTorch recipe
#
# ```python
# optimizer = torch.optim.SGD(
#     model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)
# warmup = LinearLR(optimizer, start_factor=0.1, total_iters=5)
# cosine = CosineAnnealingLR(optimizer, T_max=15)
# scheduler = SequentialLR(optimizer, [warmup, cosine], milestones=[5])
#
# for epoch in range(20):
#     for x, y in loader:                                    # 50 batches
#         optimizer.zero_grad()
#         loss_of(model(x), y).backward()
#         torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
#         optimizer.step()
#     scheduler.step()
# ```
#
# Line by line:
#
# | PyTorch | here |
# |---|---|
# | `SGD(model.parameters(), lr=…, …)` | `torch.SGD(lr=…, …)`: no parameters; they are passed to `init` and `update` |
# | `LinearLR(optimizer, …)` | `LinearLR(0.1, …)`: the learning rate instead of the optimizer |
# | `scheduler.step()` once an epoch | `updates_per_step=50` |
# | `clip_grad_norm_` before `step()` | a stage before the optimizer |
# | `optimizer.zero_grad()`, `.backward()` | `jax.grad` |
# | `optimizer.step()` | `tx.update`, `optax.apply_updates` |

# %%
warmup = torch.lr_scheduler.LinearLR(0.1, start_factor=0.1, total_iters=5)
cosine = torch.lr_scheduler.CosineAnnealingLR(0.1, T_max=15)
scheduler = torch.lr_scheduler.SequentialLR(
    [warmup, cosine], milestones=[5], updates_per_step=BATCHES
)
tx = aj.chain(
    aj.clip_by_global_norm(1.0),
    torch.SGD(lr=scheduler, momentum=0.9, weight_decay=5e-4, nesterov=True),
)

# %% [markdown]
# The training step is the usual one in JAX; nothing in it is specific to the preset:


# %%
def loss_of(params, x, y):
    return jnp.mean((x @ params["w"] + params["b"] - y) ** 2)


@jax.jit
def step(params, state, x, y):
    loss, grads = jax.value_and_grad(loss_of)(params, x, y)
    updates, state = tx.update(grads, state, params)
    return optax.apply_updates(params, updates), state, loss


x = jax.random.normal(jax.random.key(0), (BATCHES, 32, 4))
y = x @ jnp.array([1.0, -2.0, 3.0, -4.0]) + 0.5 + 0.1 * jax.random.normal(jax.random.key(1), (32,))
params = {"w": jnp.zeros(4), "b": jnp.zeros(())}
state, losses = tx.init(params), []
for _ in range(EPOCHS):
    for batch in range(BATCHES):
        params, state, loss = step(params, state, x[batch], y[batch])
    losses.append(float(loss))
print(f"loss {losses[0]:.3f} after one epoch, {losses[-1]:.4f} after {EPOCHS}; w = {params['w']}")

# %% [markdown]
# Two properties of schedulers are easy to miss when porting them. `scheduler.step()` counts *epochs*
# here, so the rate is a staircase with steps of 50 updates. And the last step of the cosine is one
# before its bottom, because reaching it takes `T_max=15` steps and only 14 are made.

# %%
keras_rate = keras.schedules.CosineDecay(
    0.01, decay_steps=15 * BATCHES, warmup_target=0.1, warmup_steps=5 * BATCHES
)
counts = jnp.arange(EPOCHS * BATCHES)
rates = {
    "PyTorch's, a step an epoch": jax.vmap(scheduler)(counts),
    "Keras's, a step an update": jax.vmap(keras_rate)(counts),
}
axes = figures.by_step(rates)
axes.set(title="learning rate", ylim=(0, None))
axes.figure

# %% [markdown]
# ## A Keras recipe
#
# ```python
# schedule = keras.optimizers.schedules.CosineDecay(
#     0.0, decay_steps=15 * 50, warmup_target=1e-3, warmup_steps=5 * 50)
# model.compile(
#     optimizer=keras.optimizers.AdamW(
#         learning_rate=schedule, weight_decay=0.004, global_clipnorm=1.0,
#         use_ema=True, ema_momentum=0.99),
#     loss="mse")
# model.fit(x, y, epochs=20)
# ```
#
# | Keras | here |
# |---|---|
# | `keras.optimizers.AdamW(…)` | `keras.AdamW(…)`, the same arguments |
# | `schedules.CosineDecay(…)` | `keras.schedules.CosineDecay(…)`, the same arguments |
# | `global_clipnorm`, `use_ema`, `gradient_accumulation_steps`, … | arguments, as there |
# | the end of `fit`, which sets the parameters to their moving average | `finalize_variable_values` |
# | `exclude_from_weight_decay(…)` | `aj.add_decayed_weights(…, mask)` in a chain |

# %%
schedule = keras.schedules.CosineDecay(
    0.0, decay_steps=15 * BATCHES, warmup_target=1e-3, warmup_steps=5 * BATCHES
)
tx = keras.AdamW(
    learning_rate=schedule,
    weight_decay=0.004,
    global_clipnorm=1.0,
    use_ema=True,
    ema_momentum=0.99,
)
state = tx.init(params)
updates, state = tx.update(jax.grad(loss_of)(params, x[0], y[0]), state, params)
params = optax.apply_updates(params, updates)
params = keras.finalize_variable_values(params, state)

# %% [markdown]
# ## Wrong arguments
#
# Porting from memory leads to mistakes. The error messages say what to write instead.

# %%
for wrong in (
    lambda: torch.Adam(learning_rate=1e-3),
    lambda: torch.SGD(lr=0.1, nesterov=True),
    lambda: torch.lr_scheduler.StepLR(torch.SGD(lr=0.1), step_size=30),
    lambda: keras.Adam(learning_rate=1e-3, beta_1=1.5),
    lambda: torch.LBFGS(lr=1.0),
):
    try:
        wrong()
    except (AttributeError, TypeError, ValueError) as error:
        print(f"{type(error).__name__}: {error}\n")

# %% [markdown]
# ## The same numbers
#
# `tests/reference` has recordings of PyTorch and Keras on fixed random parameters and gradients. The
# calls below are copied from the recordings; both are followed for 24 updates, in float64.

# %%
reference = Path("../tests/reference")
inputs = np.load(reference / "trajectories.npz")


def largest_difference(tx, recorded):
    """Returns the largest difference to the recorded parameters over all recorded updates."""
    params = {leaf: jnp.asarray(inputs[f"params0/{leaf}"]) for leaf in ("w", "b", "s")}
    state, differences = tx.init(params), []
    for count in range(1, 25):
        grads = {leaf: jnp.asarray(inputs[f"grads/{leaf}"][count - 1]) for leaf in params}
        updates, state = jax.jit(tx.update)(grads, state, params)
        params = optax.apply_updates(params, updates)
        for leaf, value in recorded.get(str(count), {}).items():
            differences.append(np.abs(params[leaf] - np.array(value)).max())
    return max(differences)


def recorded(library, name, position):
    """Returns a recording of an optimizer by its index."""
    cases = json.loads((reference / f"{library}.json").read_text())["optimizers"]
    return [case for case in cases if case["name"] == name][position]


# %%
for library, name, position in (("torch", "AdamW", 0), ("keras", "SGD", 1)):
    case = recorded(library, name, position)
    print(library, name, case["arguments"], case.get("scheduler", ""))

# %%
with jax.enable_x64(True):
    torch_adamw = torch.AdamW(
        lr=torch.lr_scheduler.CosineAnnealingLR(0.03, T_max=10),
        weight_decay=0.1,
        amsgrad=True,
        maximize=True,
    )
    keras_sgd = keras.SGD(
        learning_rate=keras.schedules.PiecewiseConstantDecay([3, 9], [0.1, 0.03, 0.2]),
        momentum=0.9,
        nesterov=True,
        weight_decay=0.1,
    )
    for name, tx, case in (
        ("torch.optim.AdamW", torch_adamw, recorded("torch", "AdamW", 0)),
        ("keras.optimizers.SGD", keras_sgd, recorded("keras", "SGD", 1)),
    ):
        difference = largest_difference(tx, case["after"])
        print(f"{name}: largest difference {difference:.0e}")
        assert difference < 1e-12

# %% [markdown]
# `tests/test_presets.py` and `tests/test_exactness.py` check all recordings, more than a hundred, in
# the same way.
