"""Whether memory stays flat in a long run: `python scripts/soak.py --steps 100000`, on Linux.

Two runs: the loop that a user writes, over a jitted step that overwrites its arguments, with new
data from the host every time; and `train`, the same number of steps. At ten points of each it
counts the live arrays of JAX and their bytes, compilations so far, and the memory of the process.
It exits with 1 if from the first point to the last the former change at all, or the latter grows
by more than 1 %.
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
    """What a run holds after so many steps; `resident` in bytes, of the whole process."""

    step: int
    arrays: int
    array_bytes: int
    compilations: int
    resident: int


class Meter:
    """Reads what there is, and counts compilations while it is entered."""

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
    """Linear regression, in a loop of Python, under a chain of what has a state."""
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
    """Reads the meter ten times as a run goes on."""

    def __init__(self, meter: Meter, epochs: int):
        self.points, self._meter, self._every = [], meter, epochs // POINTS

    def on_epoch(self, epoch):
        if epoch.number % self._every == 0:
            self.points.append(self._meter.read(epoch.number * EPOCH_STEPS))


def runner(steps: int) -> list[Point]:
    """`train`, which keeps a record of each epoch."""
    epochs = max(steps // EPOCH_STEPS, POINTS)
    with Meter() as meter:
        read = Read(meter, epochs)
        train(RunConfig("noisy_quadratic", "adam", epochs=epochs), read)
    return read.points


def is_flat(points: list[Point]) -> bool:
    """Whether nothing but a hundredth of the process's memory has come to what there was."""
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
