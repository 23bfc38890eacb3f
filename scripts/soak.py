"""Checks that memory stays constant in a long run: `python scripts/soak.py --steps 100000`.

The script needs Linux. There are two runs with the same number of steps: a plain loop over a jitted
step that donates its arguments and gets new data from the host each time, and `train`. At ten
points of each run, the script counts JAX's live arrays, their bytes and the compilations so far,
and reads the memory of the process. It exits with 1 if any of the counts changes from the first
point on, or the memory of the process grows by 1 % or more from the first point to the last.
"""

import argparse
import functools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

import adaptive_jax as aj
from adaptive_jax.lab.training import Callback, RunConfig, train

POINTS = 10
EPOCH_STEPS = 500  # of noisy_quadratic
COMPILATION = "/jax/core/compile/backend_compile_duration"


class Point(NamedTuple):
    """The counts after a number of steps. `resident` is the memory of the process in bytes."""

    step: int
    arrays: int
    array_bytes: int
    compilations: int
    resident: int


class Meter:
    """A context manager that counts compilations, and reads the other counts."""

    def __enter__(self):
        self._compilations = 0
        jax.monitoring.register_event_duration_secs_listener(self._hear)
        return self

    def __exit__(self, *error):
        jax.monitoring.unregister_event_duration_listener(self._hear)

    def _hear(self, event, seconds, **details):
        self._compilations += event == COMPILATION

    def read(self, step: int) -> Point:
        arrays = jax.live_arrays()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        size = sum(array.nbytes for array in arrays)
        return Point(
            step, len(arrays), size, self._compilations, pages * os.sysconf("SC_PAGE_SIZE")
        )


def loop(steps: int) -> Iterator[Point]:
    """Trains a linear regression in a Python loop with a chain of stages that have states."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(64, 32)).astype(np.float32)
    tx = aj.skip_spikes(
        aj.chain(
            aj.clip_by_global_norm(10.0),
            aj.with_storage(aj.scale_by_adam(), mu="int8", nu="uint8", minimum=1),
            aj.bound_lr(base_lr=1e-2),
            aj.scale_by_learning_rate(aj.schedules.cosine_decay(1e-2, decay_steps=steps)),
        )
    )

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params, state, x, y):
        loss, grads = jax.value_and_grad(lambda p: jnp.mean((x @ p - y) ** 2))(params)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state, loss

    params = jnp.zeros_like(truth)
    state = tx.init(params)
    with Meter() as meter:
        for i in range(1, steps + 1):
            x = rng.normal(size=(16, 64)).astype(np.float32)
            params, state, loss = step(params, state, x, x @ truth)
            if i % (steps // POINTS) == 0:
                loss.block_until_ready()
                yield meter.read(i)


class Read(Callback):
    """A callback that reads the meter ten times in a run."""

    def __init__(self, meter: Meter, epochs: int):
        self.points, self._meter, self._every = [], meter, epochs // POINTS

    def on_epoch(self, epoch):
        if epoch.number % self._every == 0:
            self.points.append(self._meter.read(epoch.number * EPOCH_STEPS))


def runner(steps: int) -> list[Point]:
    """Runs `train`, which records each epoch."""
    epochs = max(steps // EPOCH_STEPS, POINTS)
    with Meter() as meter:
        read = Read(meter, epochs)
        train(RunConfig("noisy_quadratic", "adam", epochs=epochs), read)
    return read.points


def is_flat(points: list[Point]) -> bool:
    """Returns whether counts are constant and the memory of the process grew by less than 1 %."""
    first, last = points[0], points[-1]
    constant = all(point[1:4] == first[1:4] for point in points)
    return constant and last.resident < 1.01 * first.resident


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=100_000)
    steps = parser.parse_args().steps
    flat = True
    print(f"jax {jax.__version__}, {jax.default_backend()}")
    for run in (loop, runner):
        print(f"{run.__name__:>10}{'arrays':>8}{'bytes':>9}{'compilations':>14}{'process':>12}")
        points = []
        for point in run(steps):
            points.append(point)
            step, arrays, size, compilations, resident = point
            process = f"{resident / 2**20:.2f} MiB"
            print(f"{step:>10}{arrays:>8}{size:>9}{compilations:>14}{process:>12}", flush=True)
        flat &= is_flat(points)
        print("flat" if is_flat(points) else "NOT FLAT")
    return 0 if flat else 1


if __name__ == "__main__":
    sys.exit(main())
