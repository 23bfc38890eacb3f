"""Repeats the MLP article from scratch: `python scripts/mlp_article.py` draws mlp_article.png.

The network is [16 -> 100 -> 1] with ReLU, inverted dropout and a sigmoid. It is trained with binary
cross-entropy on shuffled mini-batches of 32, including the short last one, for 500 epochs at a
learning rate of 0.01. The optimizers are gradient descent, a moving average of gradients, RMSprop
and Adam. No library includes the article's 259 images, so this script classifies 259 of
scikit-learn's digits as below 5 or not. An epoch is one compiled program, in which all seeds run
side by side.
"""

import argparse

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import adaptive_jax as aj
from adaptive_jax.lab import workloads

BATCH, KEEP = 32, 0.8
OPTIMIZERS = {
    "mini-batch gradient descent": aj.sgd(0.01),
    "momentum, β = 0.9": aj.sgd(0.01, momentum=0.9, ema=True),
    "RMSprop, β = 0.9": aj.rmsprop(0.01, decay=0.9, eps=1e-4),
    "Adam": aj.adam(0.01),
}


def initial(key):
    """Returns He-initialized weights and zero biases."""
    keys, sizes = jax.random.split(key), ((16, 100), (100, 1))
    he = jax.nn.initializers.he_normal()
    return [(he(k, size), jnp.zeros(size[1])) for k, size in zip(keys, sizes, strict=True)]


def logits(params, x, key=None):
    """Returns the logits. With a key, dropout is applied to the hidden layer."""
    (w1, b1), (w2, b2) = params
    hidden = jax.nn.relu(x @ w1 + b1)
    if key is not None:
        hidden *= jax.random.bernoulli(key, KEEP, hidden.shape) / KEEP
    return (hidden @ w2 + b2)[:, 0]


def cost(params, x, y, key=None):
    return optax.sigmoid_binary_cross_entropy(logits(params, x, key), y).mean()


def make_epoch(tx, x, y):
    """Returns a jitted (params, state, keys) -> (params, state, costs) for all seeds."""
    full = len(x) // BATCH * BATCH

    def step(carry, batch):
        (params, state), (rows, key) = carry, batch
        value, grads = jax.value_and_grad(cost)(params, x[rows], y[rows], key)
        updates, state = tx.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), value

    def epoch(params, state, key):
        order_key, dropout_key, last_key = jax.random.split(key, 3)
        order = jax.random.permutation(order_key, len(x))
        batches = order[:full].reshape(-1, BATCH)
        keys = jax.random.split(dropout_key, len(batches))
        carry, costs = jax.lax.scan(step, (params, state), (batches, keys))
        if full < len(x):  # the short last batch
            carry, _ = step(carry, (order[full:], last_key))
        return *carry, costs.mean()

    return jax.jit(jax.vmap(epoch), donate_argnums=(0, 1))


def train(tx, x, y, epochs, seeds):
    """Returns the cost of every epoch and the final accuracy, averaged over the seeds."""
    keys = jax.vmap(jax.random.key)(jnp.arange(seeds))
    params = jax.vmap(initial)(keys)
    state = jax.vmap(tx.init)(params)
    epoch, costs = make_epoch(tx, x, y), []
    for number in range(epochs):
        now = jax.vmap(lambda key, number=number: jax.random.fold_in(key, number + 1))(keys)
        params, state, values = epoch(params, state, now)
        costs.append(values)
    correct = (jax.vmap(logits, (0, None))(params, x) > 0) == (y > 0.5)
    return np.mean(costs, axis=1), float(correct.mean())


def main(epochs, seeds, out):
    x, y = map(jnp.asarray, workloads.get("digits_mlp").load(None).train)
    figure, ax = plt.subplots(figsize=(7, 4))
    print(f"{'':30}{'final cost':>12}{'training accuracy':>20}")
    for name, tx in OPTIMIZERS.items():
        costs, accuracy = train(tx, x, y, epochs, seeds)
        print(f"{name:30}{costs[-1]:12.4f}{accuracy:20.1%}")
        style = "--" if "momentum" in name else "-"  # its line coincides with gradient descent's
        ax.plot(np.arange(1, epochs + 1), costs, style, label=name)
    ax.set(xlabel="epoch", ylabel="cost", yscale="log")
    ax.legend()
    figure.tight_layout()
    figure.savefig(out, dpi=100)
    print(out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=500)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", default="mlp_article.png")
    main(**vars(parser.parse_args()))
