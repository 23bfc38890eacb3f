# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # 8. Lean states and sharding
#
# Adam keeps two numbers for every parameter, so with float32 parameters the optimizer takes two thirds
# of the memory. There are two remedies: fewer bytes per number, or fewer numbers per device. Both are
# wrappers around an optimizer, and the arithmetic stays in float32.

# %%
# %matplotlib inline
import os

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import adaptive_jax as aj
from adaptive_jax import distributed
from adaptive_jax.lab import workloads
from adaptive_jax.lab.report import figures
from adaptive_jax.lab.training import OptimizerSpec, RunConfig, train
from adaptive_jax.storage import Floats

jax.config.update("jax_num_cpu_devices", 8)  # eight devices to show sharding on, of one processor
SMALL = "ADAPTIVE_JAX_SMALL" in os.environ  # in tests: shorter runs
STEPS, EPOCHS = (200, 2) if SMALL else (5000, 300)

# %% [markdown]
# ## Bytes
#
# `with_storage` sets how each field of a state is stored. The docstring of a transform lists the
# fields: `mu` is Adam's mean gradient, `nu` its mean square.

# %%
STATES = {
    "float32": aj.adam(1e-3),
    "bfloat16": aj.with_storage(aj.adam(1e-3), mu="bfloat16", nu="bfloat16"),
    "8 bits": aj.with_storage(aj.adam(1e-3), mu="int8", nu="uint8"),
    "4 and 8 bits": aj.with_storage(aj.adam(1e-3), mu="int4", nu="uint8"),
}
weights = jax.ShapeDtypeStruct((1024, 1024), jnp.float32)
for name, tx in STATES.items():
    state = jax.eval_shape(tx.init, weights)
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    print(f"{name:14}{size / weights.size:6.3f} bytes a parameter")

# %% [markdown]
# ## Why rounding is stochastic
#
# At each step, a mean square moves by $1 - \beta_2$ = a thousandth of its distance to $g^2$, and
# neighboring numbers in bfloat16 differ by a 256th to a 128th. With rounding to nearest, a mean of
# numbers that are all 1 stops at a quarter. With stochastic rounding, whose expected value is exact, it
# keeps moving:

# %%


def mean_squares(codec):
    """`nu` of RMSprop in that storage, step by step, where all gradients are 1."""
    tx = aj.with_storage(aj.scale_by_rms(decay=0.999), minimum=1, nu=codec)

    def step(state, _):
        _, state = tx.update(jnp.ones(4096), state)
        return state, jnp.mean(state.inner.nu.astype(jnp.float32))

    return jax.jit(lambda: jax.lax.scan(step, tx.init(jnp.ones(4096)), length=STEPS)[1])()


axes = figures.by_step(
    {
        "float32": mean_squares("float32"),
        "bfloat16, stochastic": mean_squares("bfloat16"),
        "bfloat16, to nearest": mean_squares(Floats("bfloat16", rounding="nearest")),
    }
)
axes.set_title("the mean of squares that are 1")
axes.figure

# %% [markdown]
# ## Does it train as well?
#
# An optimizer for `train` and `compare` is any function of a `learning_rate`. With every array encoded
# (by default, arrays with fewer than 4096 numbers are not), 8 bits and 4 bits follow float32:

# %%


def adam_in_8_bits(learning_rate=1e-3):
    return aj.with_storage(aj.adam(learning_rate), minimum=1, mu="int8", nu="uint8")


def adam_in_4_bits(learning_rate=1e-3):
    return aj.with_storage(aj.adam(learning_rate), minimum=1, mu="int4", nu="uint8")


mlp, curves = workloads.get("digits_mlp"), {}
for factory in (aj.adam, adam_in_8_bits, adam_in_4_bits):
    spec = OptimizerSpec(OptimizerSpec.of(factory).entry, {"learning_rate": 0.003})
    record = train(RunConfig(mlp, spec, epochs=EPOCHS))
    curves[factory.__name__] = [point["train_loss"] for point in record.curve]
axes = figures.by_step(curves)
axes.set(xlabel="epoch", yscale="log", title="training loss")
axes.figure

# %% [markdown]
# One run shows little. `scripts/compare_storages.py` compares with several seeds and tests, and
# [the page on lean states](docs/lean_states.md) has its table.
#
# ## Parameters in bfloat16, without loss
#
# The parameters themselves can have half the size. The model sees bfloat16, and the state has the 16
# missing bits; together they are the float32 weights.

# %%
tx = aj.with_master_weights(aj.adam(1e-4), bits=16)
params = jnp.ones(4, jnp.bfloat16)
state = tx.init(params)
for _ in range(10):
    updates, state = tx.update(jnp.ones(4, jnp.bfloat16), state, params)
    params = optax.apply_updates(params, updates)
merged = aj.merge_params(params, state.correction)
print("parameters", params[0], "and with the correction", merged[0])

# %% [markdown]
# ## Sharding: ZeRO
#
# Here are eight devices in four rows, which split the data, and two columns, which split the model.
# The matrix is split over the columns, so each row would have the same state. With `zero_axis="data"`
# each row keeps only its part of the state, and updates the corresponding parameters.

# %%
mesh = jax.make_mesh((4, 2), ("data", "model"))
params = {"w": jax.device_put(jnp.ones((512, 256)), NamedSharding(mesh, P(None, "model")))}
tx = aj.with_storage(aj.adamw(1e-3), mu="int8", nu="uint8")


def on_one_device(tree):
    """Bytes on the first device."""
    shards = [leaf.addressable_shards[0].data for leaf in jax.tree.leaves(tree)]
    return sum(shard.nbytes for shard in shards)


for name, optimizer in {"float32": aj.adamw(1e-3), "8 bits": tx}.items():
    for zero_axis in (None, "data"):
        state = distributed.init(optimizer, params, zero_axis=zero_axis)
        print(f"{name:8} zero_axis={zero_axis!s:5}{on_one_device(state):8} bytes on each device")

# %% [markdown]
# `state_shardings` returns the sharding of each array before anything is computed. It works for any
# optimizer, because it traces `init` on a mesh whose shardings are part of the types:

# %%
shardings = distributed.state_shardings(tx, params, {"w": P(None, "model")}, mesh, "data")
for path, sharding in jax.tree_util.tree_leaves_with_path(shardings):
    print(f"{jax.tree_util.keystr(path):40}{sharding.spec}")

# %%
state = distributed.init(tx, params, zero_axis="data")
step = distributed.step(tx, params, zero_axis="data")  # jitted; overwrites what it is given
grads = {"w": jnp.asarray(np.random.default_rng(0).normal(size=(512, 256)), jnp.float32)}
params, state = step(params, state, grads)
print("parameters are still split as", params["w"].sharding.spec)
