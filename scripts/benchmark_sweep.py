"""Measures the gain of the population runner and the layers: `python scripts/benchmark_sweep.py`.

1. The runs of the default comparison, including compilation: in the population runner, and as a
   plain Flax loop. The loop has a jitted step on `nnx.Conv`, `nnx.max_pool` and `nnx.BatchNorm`
   with Optax's optimizers. It is compiled once per run (the learning rate is a constant of the
   step) or once per optimizer (the learning rate is an argument).
2. One training step of `mnist_cnn` at batch 250. Our layers, alone and in the runner's scan, are
   compared with the same network in plain Flax layers and, if torch is installed, in PyTorch. The
   steps are interleaved. Compare the medians of the ratios; absolute times depend on the machine.
"""

import argparse
import functools
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import adaptive_jax as aj
from adaptive_jax.lab import CompareConfig, run_comparison, workloads
from adaptive_jax.lab.workloads.digits import DigitsCNN
from adaptive_jax.lab.workloads.mnist import MnistCNN

pool = functools.partial(nnx.max_pool, window_shape=(2, 2), strides=(2, 2))


class PlainDigitsCNN(DigitsCNN):
    """The network of digits_cnn in plain Flax layers."""

    def __init__(self, rngs):
        super().__init__(rngs)
        self.conv1 = nnx.Conv(1, 16, (3, 3), use_bias=False, rngs=rngs)
        self.norm1 = nnx.BatchNorm(16, momentum=0.9, rngs=rngs)
        self.conv2 = nnx.Conv(16, 32, (3, 3), use_bias=False, rngs=rngs)
        self.norm2 = nnx.BatchNorm(32, momentum=0.9, rngs=rngs)

    def __call__(self, x):
        x = jax.nn.relu(self.norm1(pool(self.conv1(x))))
        x = jax.nn.relu(self.norm2(pool(self.conv2(x))))
        x = jax.nn.relu(self.dense1(x.reshape(x.shape[0], -1)))
        return self.dense2(x)


class PlainMnistCNN(MnistCNN):
    """The network of mnist_cnn in plain Flax layers."""

    def __init__(self, rngs):
        super().__init__(rngs)
        self.conv1 = nnx.Conv(1, 32, (3, 3), padding="VALID", rngs=rngs)
        self.conv2 = nnx.Conv(32, 64, (3, 3), padding="VALID", rngs=rngs)
        for i, width in enumerate((32, 32, 64, 64, 256), 1):
            setattr(self, f"norm{i}", nnx.BatchNorm(width, rngs=rngs))

    def __call__(self, x):
        x = self.norm2(pool(self.norm1(jax.nn.relu(self.conv1(x)))))
        x = self.norm4(pool(self.norm3(jax.nn.relu(self.conv2(x)))))
        x = self.norm5(jax.nn.relu(self.dense1(x.reshape(x.shape[0], -1))))
        return self.dense2(x)


# Optax has no AdaBound, so the plain loop uses ours.
OPTAX = {
    "sgd": functools.partial(optax.sgd, momentum=0.9),
    "adagrad": optax.adagrad,
    "adadelta": optax.adadelta,
    "rmsprop": optax.rmsprop,
    "adam": optax.adam,
    "adabound": aj.adabound,
}


def make_step(model, make_tx):
    """Returns a pure step (state, learning rate, batch) -> (state, loss), and its initial state."""
    model.train()
    graph, params, rest = nnx.split(model, nnx.Param, ...)

    def step(state, rate, x, y):
        params, rest, opt_state = state

        def loss_fn(params):
            model = nnx.merge(graph, params, rest, copy=True)
            loss = optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()
            return loss, nnx.state(model, nnx.Not(nnx.Param))

        (loss, rest), grads = jax.value_and_grad(loss_fn, has_aux=True)(params)
        updates, opt_state = make_tx(rate).update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), rest, opt_state), loss

    return step, (params, rest, make_tx(0.1).init(params))


def make_evaluate(model):
    """Returns a jitted (params, rest, inputs, targets) -> accuracy for the model in eval mode."""
    model.eval()
    graph = nnx.graphdef(model)

    @jax.jit
    def evaluate(params, rest, x, y):
        return jnp.mean(jnp.argmax(nnx.merge(graph, params, rest)(x), -1) == y)

    return evaluate


def plain_run(step, evaluate, state, rate, data, epochs, batch):
    """Trains step by step. Like the runner, it validates each epoch and tests at the end."""
    rng = np.random.default_rng(0)
    for _ in range(epochs):
        order = rng.permutation(len(data.train.targets))
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            state, _ = step(state, rate, data.train.inputs[part], data.train.targets[part])
        float(evaluate(*state[:2], *data.validation))
    return [float(evaluate(*state[:2], *split)) for split in data]


def sweep() -> None:
    config = CompareConfig()
    began = time.perf_counter()
    records = run_comparison(config).records
    ours = time.perf_counter() - began
    (workload,) = config.workloads
    data = workload.load(None)
    evaluate = make_evaluate(PlainDigitsCNN(nnx.Rngs(0)))
    print(f"{len(records)} runs of {workload.name}, {records[0].steps} steps each")
    print(f"  population runner                     {ours:7.1f} s")
    for title, shared in (("plain loop, one compilation a run", False),
                          ("plain loop, one for each optimizer", True)):  # fmt: skip
        began = time.perf_counter()
        steps = {}
        for record in records:
            name = record.optimizer.partition(":")[0]
            rate = record.hyperparameters["learning_rate"]
            make_tx = OPTAX[name] if shared else lambda _, n=name, r=rate: OPTAX[n](r)
            step, state = make_step(PlainDigitsCNN(nnx.Rngs(record.seed)), make_tx)
            jitted = steps.get(name) if shared else None
            if jitted is None:
                jitted = steps[name] = jax.jit(step, donate_argnums=0)
            plain_run(jitted, evaluate, state, rate, data, record.epochs, record.batch_size)
        seconds = time.perf_counter() - began
        print(f"  {title:36}  {seconds:7.1f} s   {seconds / ours:5.1f} times as long")


def torch_steps(x, y):
    """Returns name -> function that makes the same step in PyTorch; empty without torch."""
    try:
        import torch
        from torch import nn
    except ModuleNotFoundError:
        return {}
    x = torch.tensor(np.asarray(x).transpose(0, 3, 1, 2))
    y = torch.tensor(np.asarray(y), dtype=torch.int64)

    def make(layout):
        model = nn.Sequential(
            nn.Conv2d(1, 32, 3), nn.ReLU(), nn.BatchNorm2d(32), nn.MaxPool2d(2),
            nn.BatchNorm2d(32), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.BatchNorm2d(64),
            nn.MaxPool2d(2), nn.BatchNorm2d(64), nn.Flatten(), nn.Linear(1600, 256), nn.ReLU(),
            nn.BatchNorm1d(256), nn.Linear(256, 10),
        ).to(memory_format=layout)  # fmt: skip
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        inputs = x.to(memory_format=layout)

        def step():
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs), y).backward()
            optimizer.step()

        return step

    return {
        "PyTorch": make(torch.contiguous_format),
        "PyTorch, channels last": make(torch.channels_last),
    }


def steps(rounds: int) -> None:
    batch = workloads.get("mnist_cnn").batch_size
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.uniform(size=(batch, 28, 28, 1)), jnp.float32)
    y = jnp.asarray(rng.integers(0, 10, batch))
    scanned = 8
    contestants = {}

    def add(name, model, make_tx, scan):
        step, state = make_step(model, make_tx)
        if scan:

            def program(state):
                one = lambda state, _: step(state, 1e-3, x, y)  # noqa: E731
                return jax.lax.scan(one, state, length=scanned)[0]
        else:

            def program(state):
                return step(state, 1e-3, x, y)[0]

        jitted = jax.jit(program, donate_argnums=0)
        box = [state]

        def run():
            box[0] = jax.block_until_ready(jitted(box[0]))

        contestants[name] = (run, scanned if scan else 1)

    add("ours, in scan as in the runner", MnistCNN(nnx.Rngs(0)), aj.adam, True)
    add("ours, a jitted step", MnistCNN(nnx.Rngs(0)), aj.adam, False)
    add("plain Flax and Optax, a jitted step", PlainMnistCNN(nnx.Rngs(0)), optax.adam, False)
    contestants |= {name: (run, 1) for name, run in torch_steps(x, y).items()}
    times = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, (run, count) in contestants.items():
            began = time.perf_counter()
            for _ in range(scanned // count):
                run()
            if turn:  # the first call compiles
                times[name].append((time.perf_counter() - began) / scanned)
    reference = times["ours, in scan as in the runner"]
    print(f"one step of mnist_cnn at batch {batch}, medians of {rounds} interleaved rounds")
    for name, values in times.items():
        ratio = statistics.median(a / b for a, b in zip(values, reference, strict=True))
        print(f"  {name:36}  {1e3 * statistics.median(values):7.1f} ms  {ratio:5.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("sweep", "steps"), help="run only one of the two parts")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of the steps; default 9")
    arguments = parser.parse_args()
    print(f"jax {jax.__version__}, {jax.devices()[0].device_kind}, {jax.default_backend()}")
    if arguments.only != "steps":
        sweep()
    if arguments.only != "sweep":
        steps(arguments.rounds)
