"""Plots six classic optimizers in a ravine: `python scripts/ravine.py` draws ravine.png.

f(x, y) = (x² + 25 y²) / 2 is 25 times as steep across as along. The steep direction limits the
speed of gradient descent. Momentum accumulates the gradients along the ravine. AdaGrad, RMSprop and
Adam divide each coordinate by the size of its own gradients. Sign descent is RMSprop with v = g².
"""

import argparse

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import adaptive_jax as aj

START, STEPS = (-9.0, 1.5), 60
OPTIMIZERS = {
    "gradient descent": aj.sgd(0.07),
    "momentum, β = 0.9": aj.sgd(0.02, momentum=0.9),
    "AdaGrad": aj.adagrad(1.2),
    "RMSprop, β = 0.9": aj.rmsprop(0.2, decay=0.9),
    "sign descent": aj.rmsprop(0.18, decay=0.0),
    "Adam": aj.adam(0.5),
}


def ravine(p):
    return (p[0] ** 2 + 25 * p[1] ** 2) / 2


def path(tx):
    """Returns the path of an optimizer, (STEPS + 1, 2), from one compiled program."""

    def step(carry, _):
        point, state = carry
        updates, state = tx.update(jax.grad(ravine)(point), state, point)
        return (optax.apply_updates(point, updates), state), point

    @jax.jit
    def run(start):
        (last, _), points = jax.lax.scan(step, (start, tx.init(start)), length=STEPS)
        return jnp.concatenate([points, last[None]])

    return np.asarray(run(jnp.array(START)))


def draw(paths):
    x, y = np.meshgrid(np.linspace(-10, 4, 200), np.linspace(-2.4, 2.4, 200))
    figure, axes = plt.subplots(3, 2, figsize=(10, 8), sharex=True, sharey=True)
    for ax, (name, points) in zip(axes.flat, paths.items(), strict=True):
        ax.contour(
            x, y, ravine((x, y)), levels=np.geomspace(0.1, 100, 12), cmap="Greys_r", linewidths=0.7
        )
        ax.plot(*points.T, ".-", color="#0072B2", markersize=4, linewidth=1)
        ax.plot(0, 0, "*", color="#D55E00", markersize=10)
        ax.set_title(f"{name}: f = {ravine(points[-1]):.2g} after {STEPS} steps", fontsize=10)
    figure.tight_layout()
    return figure


def main(out):
    paths = {name: path(tx) for name, tx in OPTIMIZERS.items()}
    for name, points in paths.items():
        print(f"{name:20}{ravine(points[-1]):10.2g}")
    draw(paths).savefig(out, dpi=100)
    print(out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", default="ravine.png", help="file to write; default ravine.png")
    main(**vars(parser.parse_args()))
