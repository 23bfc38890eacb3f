"""Trains an Equinox network on scikit-learn's digits: `python scripts/train_equinox.py`.

An example to copy and adapt: data, model, optimizer, a jitted step, and the training loop. Adam's
moments are stored in 8 bits. The script needs Equinox (`pip install equinox`), the library does
not.
"""

import argparse
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import adaptive_jax as aj

try:
    import equinox as eqx
except ModuleNotFoundError:
    sys.exit("train_equinox.py needs Equinox: pip install equinox")


def load_data():
    """Returns images (n, 1, 8, 8) in [0, 1] and labels for training and testing."""
    digits = load_digits()
    images = (digits.images[:, None] / 16).astype(np.float32)
    return train_test_split(images, digits.target, test_size=0.2, random_state=0)


def make_model(key):
    """Returns a network for one image (1, 8, 8). `jax.vmap` applies it to a batch."""
    keys = jax.random.split(key, 4)
    relu, pool = eqx.nn.Lambda(jax.nn.relu), eqx.nn.MaxPool2d(2, 2)
    return eqx.nn.Sequential(
        [
            eqx.nn.Conv2d(1, 16, 3, padding=1, key=keys[0]),
            *(relu, pool),
            eqx.nn.Conv2d(16, 32, 3, padding=1, key=keys[1]),
            *(relu, pool, eqx.nn.Lambda(jnp.ravel)),
            eqx.nn.Linear(2 * 2 * 32, 64, key=keys[2]),
            relu,
            eqx.nn.Linear(64, 10, key=keys[3]),
        ]
    )


def loss_of(model, x, y):
    return optax.softmax_cross_entropy_with_integer_labels(jax.vmap(model)(x), y).mean()


def make_step(tx):
    """Returns a jitted ((x, y), model, opt_state) -> (model, opt_state, loss)."""

    @eqx.filter_jit(donate="all-except-first")
    def step(data, model, opt_state):
        loss, grads = eqx.filter_value_and_grad(loss_of)(model, *data)
        params = eqx.filter(model, eqx.is_inexact_array)
        updates, opt_state = tx.update(grads, opt_state, params)
        return eqx.apply_updates(model, updates), opt_state, loss

    return step


@eqx.filter_jit
def accuracy(model, x, y):
    return jnp.mean(jnp.argmax(jax.vmap(model)(x), -1) == y)


def main(epochs, batch_size, learning_rate, seed):
    x_train, x_test, y_train, y_test = load_data()
    batches = len(x_train) // batch_size
    model = make_model(jax.random.key(seed))
    schedule = aj.schedules.cosine_decay(learning_rate, decay_steps=epochs * batches)
    tx = aj.with_storage(aj.adam(schedule), mu="int8", nu="uint8")
    opt_state = jax.jit(tx.init)(eqx.filter(model, eqx.is_inexact_array))
    step, order = make_step(tx), np.random.default_rng(seed)
    for epoch in range(1, epochs + 1):
        losses = []
        for rows in order.permutation(len(x_train))[: batches * batch_size].reshape(batches, -1):
            model, opt_state, loss = step((x_train[rows], y_train[rows]), model, opt_state)
            losses.append(loss)  # stays on the device, so that the next step does not wait
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
