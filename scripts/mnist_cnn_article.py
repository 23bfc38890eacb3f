"""Repeats the CNN article: `python scripts/mnist_cnn_article.py --data-dir FOLDER_WITH_MNIST`.

Trains Conv(32)-BN-MaxPool-BN-Conv(64)-BN-MaxPool-BN-Dense(256)-BN-Dense(10) on MNIST for 5 epochs
with batch size 250. A fifth of the data is held out. The optimizers are the article's five:
Keras's, called as in Keras, and AdaBound. Without the option, MNIST is downloaded and verified by
its SHA-256.
"""

import argparse
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import adaptive_jax as aj
from adaptive_jax.lab import workloads
from adaptive_jax.presets import keras

WORKLOAD, BATCH = workloads.get("mnist_cnn"), 250
OPTIMIZERS = {
    "Adagrad": keras.Adagrad(learning_rate=1e-3, initial_accumulator_value=0.1, epsilon=1e-7),
    "Adadelta": keras.Adadelta(learning_rate=1e-3, rho=0.95, epsilon=1e-7),
    "SGD, momentum": keras.SGD(learning_rate=0.01, momentum=0.9),
    "Adam": keras.Adam(learning_rate=1e-2),
    "AdaBound": aj.adabound(1e-3, final_lr=0.1),
}


def make_step(graph, tx):
    """Returns a jitted (params, rest, state, x, y) -> (params, rest, state, loss)."""

    def objective(params, rest, x, y):
        model = nnx.merge(graph, params, rest, copy=True)
        loss = optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()
        return loss, nnx.state(model, nnx.Not(nnx.Param))

    def step(params, rest, state, x, y):
        (loss, rest), grads = jax.value_and_grad(objective, has_aux=True)(params, rest, x, y)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), rest, state, loss

    return jax.jit(step, donate_argnums=(0, 1, 2))


@nnx.jit
def scores(model, x, y):
    """Returns the sum of the losses and the number of correct predictions."""
    outputs = model(x)
    losses = optax.softmax_cross_entropy_with_integer_labels(outputs, y)
    return losses.sum(), jnp.sum(jnp.argmax(outputs, -1) == y)


def evaluate(model, split):
    """Returns the mean loss and accuracy, computed in chunks that fit in memory."""
    chunks = range(0, len(split.targets), 1000)
    sums = [scores(model, split.inputs[i : i + 1000], split.targets[i : i + 1000]) for i in chunks]
    return np.sum(sums, axis=0) / len(split.targets)


def train(name, tx, data, epochs):
    """Trains one network and returns its test loss and accuracy."""
    graph, params, rest = nnx.split(WORKLOAD.model(nnx.Rngs(0)), nnx.Param, ...)
    state, step, order = tx.init(params), make_step(graph, tx), np.random.default_rng(0)
    x, y = data.train
    for epoch in range(1, epochs + 1):
        began, losses = time.perf_counter(), []
        for rows in np.array_split(order.permutation(len(x)), -(-len(x) // BATCH)):
            params, rest, state, loss = step(params, rest, state, x[rows], y[rows])
            losses.append(loss)
        model = nnx.merge(graph, params, rest, copy=True)
        model.eval()
        loss, accuracy = evaluate(model, data.validation)
        print(
            f"{name}, epoch {epoch}: loss {np.mean(losses):.4f}, validation {loss:.4f} "
            f"{accuracy:.2%}, {time.perf_counter() - began:.1f} s",
            flush=True,
        )
    return evaluate(model, data.test)


def main(data_dir, epochs):
    data = WORKLOAD.load(data_dir)
    results = {name: train(name, tx, data, epochs) for name, tx in OPTIMIZERS.items()}
    print(f"\n{'':16}{'test loss':>10}{'test accuracy':>15}")
    for name, (loss, accuracy) in results.items():
        print(f"{name:16}{loss:10.4f}{accuracy:15.2%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="folder with MNIST; default: the cache, else a download")
    parser.add_argument("--epochs", type=int, default=5)
    main(**vars(parser.parse_args()))
