"""Plots and compares learning-rate schedules: `python scripts/learning_rate_schedules.py`.

SGD with momentum trains a small network on scikit-learn's digits with each schedule. Schedules that
Keras also has follow Keras's definitions. All runs of a schedule, one per learning rate, are one
compiled program: `jax.vmap` of a whole training run.
"""

import argparse

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import adaptive_jax as aj
from adaptive_jax import schedules

BATCH = 64
RATES = (0.03, 0.1, 0.3, 1.0)


def all_schedules(rate, steps):
    """Returns name -> schedule with the highest rate `rate`, which may be traced."""
    return {
        "constant": lambda step: rate,
        "exponential": schedules.exponential_decay(rate, steps, decay_rate=0.01),
        "inverse time": schedules.inverse_time_decay(rate, steps, decay_rate=20.0),
        "piecewise constant": schedules.piecewise_constant(
            [steps // 2, 3 * steps // 4], [rate, 0.1 * rate, 0.01 * rate]
        ),
        "polynomial": schedules.polynomial_decay(rate, decay_steps=steps, end_value=0.0, power=2.0),
        "cosine": schedules.cosine_decay(rate, decay_steps=steps),
        "one cycle": schedules.one_cycle(steps, rate),
    }


def load_data():
    digits = load_digits()
    images = (digits.data / 16).astype(np.float32)
    return train_test_split(images, digits.target, test_size=0.2, random_state=0)


def network(params, x):
    return jax.nn.relu(x @ params["w1"] + params["b1"]) @ params["w2"] + params["b2"]


def loss_of(params, x, y):
    return optax.softmax_cross_entropy_with_integer_labels(network(params, x), y).mean()


def initial(key):
    k1, k2 = jax.random.split(key)
    he = jax.nn.initializers.he_normal()
    return {
        "w1": he(k1, (64, 64)),
        "b1": jnp.zeros(64),
        "w2": he(k2, (64, 10)),
        "b2": jnp.zeros(10),
    }


def train(schedule, data, order):
    """Returns the final training loss and test accuracy. `order` has the examples of each step."""
    x_train, x_test, y_train, y_test = data
    tx = aj.sgd(schedule, momentum=0.9)
    params = initial(jax.random.key(0))

    def step(carry, rows):
        params, state = carry
        grads = jax.grad(loss_of)(params, x_train[rows], y_train[rows])
        updates, state = tx.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), None

    (params, _), _ = jax.lax.scan(step, (params, tx.init(params)), order)
    correct = jnp.argmax(network(params, x_test), -1) == y_test
    return loss_of(params, x_train, y_train), correct.mean()


def draw(steps):
    figure, ax = plt.subplots(figsize=(7, 4))
    for name, schedule in all_schedules(1.0, steps).items():
        ax.plot([float(schedule(step)) for step in range(steps)], label=name)
    ax.set(xlabel="step", ylabel="learning rate, in units of the highest")
    ax.legend()
    figure.tight_layout()
    return figure


def main(epochs, out):
    data = [jnp.asarray(part) for part in load_data()]
    count = len(data[0]) // BATCH * BATCH
    rng = np.random.default_rng(0)
    order = np.stack([rng.permutation(len(data[0]))[:count] for _ in range(epochs)])
    order = jnp.asarray(order.reshape(-1, BATCH))
    print(f"{'':20}{'test accuracy (training loss) at':>40}")
    print(f"{'':20}" + "".join(f"{f'rate {rate:g}':>18}" for rate in RATES))
    for name in all_schedules(1.0, len(order)):

        def run(rate, name=name):
            return train(all_schedules(rate, len(order))[name], data, order)

        losses, correct = jax.jit(jax.vmap(run))(jnp.array(RATES))
        cells = (f"{c:.1%} ({x:.4f})" for c, x in zip(correct, losses, strict=True))
        print(f"{name:20}" + "".join(f"{cell:>18}" for cell in cells))
    draw(len(order)).savefig(out, dpi=100)
    print(out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--out", default="learning_rate_schedules.png")
    main(**vars(parser.parse_args()))
