"""Trains a Flax NNX network on scikit-learn's digits: `python scripts/train_flax_nnx.py`.

An example to copy and adapt: data, model, optimizer, a jitted step, and the training loop. The
model is split once into its static part and its arrays. The step is a pure function of these, which
is faster than splitting the model in every step.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import adaptive_jax as aj


def load_data():
    """Returns images (n, 8, 8, 1) in [0, 1] and labels for training and testing."""
    digits = load_digits()
    images = (digits.images[..., None] / 16).astype(np.float32)
    return train_test_split(images, digits.target, test_size=0.2, random_state=0)


class CNN(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.conv1 = nnx.Conv(1, 16, (3, 3), rngs=rngs)
        self.norm1 = nnx.BatchNorm(16, momentum=0.9, rngs=rngs)
        self.conv2 = nnx.Conv(16, 32, (3, 3), rngs=rngs)
        self.norm2 = nnx.BatchNorm(32, momentum=0.9, rngs=rngs)
        self.dense = nnx.Linear(2 * 2 * 32, 10, rngs=rngs)

    def __call__(self, x):
        x = nnx.max_pool(nnx.relu(self.norm1(self.conv1(x))), (2, 2), (2, 2))
        x = nnx.max_pool(nnx.relu(self.norm2(self.conv2(x))), (2, 2), (2, 2))
        return self.dense(x.reshape(len(x), -1))


def make_optimizer(learning_rate, steps):
    """Returns Adam with AdaBound's bounds, gradient clipping, weight decay and a cosine decay."""
    schedule = aj.schedules.cosine_decay(learning_rate, decay_steps=steps)
    return aj.chain(
        aj.clip_by_global_norm(1.0),
        aj.scale_by_adam(),
        aj.bound_lr(final_lr=0.1, base_lr=learning_rate),
        aj.add_decayed_weights(1e-4, mask=aj.mask_by_ndim(2)),  # excludes biases and normalizations
        aj.scale_by_learning_rate(schedule),
    )


def make_step(graph, tx):
    """Returns a jitted (params, rest, opt_state, x, y) -> (params, rest, opt_state, loss).

    `rest` is the model's state without the parameters: running statistics and random keys.
    """

    def objective(params, rest, x, y):
        model = nnx.merge(graph, params, rest, copy=True)
        loss = optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()
        return loss, nnx.state(model, nnx.Not(nnx.Param))

    def step(params, rest, opt_state, x, y):
        gradient = jax.value_and_grad(objective, has_aux=True)
        (loss, rest), grads = gradient(params, rest, x, y)
        updates, opt_state = tx.update(grads, opt_state, params)
        return optax.apply_updates(params, updates), rest, opt_state, loss

    return jax.jit(step, donate_argnums=(0, 1, 2))


@nnx.jit
def accuracy(model, x, y):
    return jnp.mean(jnp.argmax(model(x), -1) == y)


def main(epochs, batch_size, learning_rate, seed):
    x_train, x_test, y_train, y_test = load_data()
    batches = len(x_train) // batch_size
    model = CNN(nnx.Rngs(seed))
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    tx = make_optimizer(learning_rate, steps=epochs * batches)
    opt_state, step = jax.jit(tx.init)(params), make_step(graph, tx)
    order = np.random.default_rng(seed)
    for epoch in range(1, epochs + 1):
        losses = []
        for rows in order.permutation(len(x_train))[: batches * batch_size].reshape(batches, -1):
            params, rest, opt_state, loss = step(
                params, rest, opt_state, x_train[rows], y_train[rows]
            )
            losses.append(loss)  # stays on the device, so that the next step does not wait
        model = nnx.merge(graph, params, rest, copy=True)
        model.eval()
        correct = accuracy(model, x_test, y_test)
        print(f"epoch {epoch:2}  loss {np.mean(losses):.4f}  test accuracy {correct:.2%}")
    return float(correct)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1e-2)
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))
