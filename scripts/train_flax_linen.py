"""Trains a Flax Linen network on scikit-learn's digits: `python scripts/train_flax_linen.py`.

An example to copy and adapt: data, model, optimizer, a jitted step on a `TrainState` with running
statistics and dropout, and the training loop. The learning rate is a leaf of the optimizer's state.
It is halved, without recompilation, if the validation loss has not decreased.
"""

import argparse

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training import train_state
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import adaptive_jax as aj


def load_data():
    """Returns images (n, 8, 8, 1) in [0, 1] and labels for training and validation."""
    digits = load_digits()
    images = (digits.images[..., None] / 16).astype(np.float32)
    return train_test_split(images, digits.target, test_size=0.2, random_state=0)


class CNN(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        for features in (16, 32):
            x = nn.Conv(features, (3, 3), use_bias=False)(x)
            x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(x))
            x = nn.max_pool(x, (2, 2), strides=(2, 2))
        x = nn.Dropout(0.2, deterministic=not train)(x.reshape(len(x), -1))
        return nn.Dense(10)(x)


class TrainState(train_state.TrainState):
    batch_stats: dict


def make_state(model, tx, seed):
    variables = model.init(jax.random.key(seed), jnp.zeros((1, 8, 8, 1)), train=False)
    return TrainState.create(
        apply_fn=model.apply,
        params=variables["params"],
        batch_stats=variables["batch_stats"],
        tx=tx,
    )


def step(state, key, x, y):
    """Returns `(state, loss)` after one update. Dropout uses a different key in each step."""

    def objective(params):
        logits, changed = state.apply_fn(
            {"params": params, "batch_stats": state.batch_stats},
            x,
            train=True,
            mutable=["batch_stats"],
            rngs={"dropout": jax.random.fold_in(key, state.step)},
        )
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()
        return loss, changed["batch_stats"]

    (loss, batch_stats), grads = jax.value_and_grad(objective, has_aux=True)(state.params)
    return state.apply_gradients(grads=grads, batch_stats=batch_stats), loss


@jax.jit
def evaluate(state, x, y):
    """Returns the mean loss and accuracy."""
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    logits = state.apply_fn(variables, x, train=False)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, y)
    return losses.mean(), jnp.mean(jnp.argmax(logits, -1) == y)


def main(epochs, batch_size, learning_rate, seed):
    x_train, x_valid, y_train, y_valid = load_data()
    batches = len(x_train) // batch_size
    tx = aj.tunable(aj.adamw, learning_rate=learning_rate)
    state, update = make_state(CNN(), tx, seed), jax.jit(step, donate_argnums=0)
    key, order, best = jax.random.key(seed + 1), np.random.default_rng(seed), np.inf
    for epoch in range(1, epochs + 1):
        losses = []
        for rows in order.permutation(len(x_train))[: batches * batch_size].reshape(batches, -1):
            state, loss = update(state, key, x_train[rows], y_train[rows])
            losses.append(loss)  # stays on the device, so that the next step does not wait
        valid_loss, correct = map(float, evaluate(state, x_valid, y_valid))
        rate = float(aj.hyperparameters(state.opt_state)["learning_rate"])
        print(
            f"epoch {epoch:2}  rate {rate:.2g}  loss {np.mean(losses):.4f}  "
            f"validation loss {valid_loss:.4f}, accuracy {correct:.2%}"
        )
        if valid_loss > best:
            changed = aj.set_hyperparameters(state.opt_state, {"learning_rate": rate / 2})
            state = state.replace(opt_state=changed)
        best = min(best, valid_loss)
    return correct


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1e-2)
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))
