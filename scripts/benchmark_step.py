"""Measures the time of one step of each optimizer: `python scripts/benchmark_step.py`.

A step is `update` and `apply_updates` in one jitted function that donates its parameters and state,
in float32. The parameters are one array, 256 equal arrays, those of a ResNet-50 or those of a GPT-2
small. Interleaved rounds compare it with the same method in Optax with the same hyperparameters,
with PyTorch's fused and `foreach` versions if torch is installed, and with the bandwidth of
in-place `x += 1` and `x += y`. Compare the medians of the rounds' ratios; absolute times depend on
the machine and its load.

A method's floor is the memory traffic of any step: it reads the gradient, and reads and writes the
parameters and the state. The table also has the traffic that XLA reports. On CPUs, XLA writes every
array in a separate loop: for m, v and p of Adam, three loops move 12, 12 and 16 bytes per
parameter, where the floor is 28. The transforms are written accordingly:

- If two of these loops need a value, XLA computes it once in another loop through memory, unless it
  is one operation with one operand. `trees.again` prevents this for gradients: RMSprop 36 -> 28
  bytes, Adadelta 56 -> 48, LaProp 48 -> 40, and with the next point AdaBelief 64 -> 44.
- If the last operation on a state array has a constant (a minimum, a clip, + eps), XLA recomputes
  it from the old array in the loop that uses it, and copies the old array before it is overwritten.
  Therefore sums and selections come last: Adagrad 36 -> 28, SM3 48 -> 40, Rprop 68 -> 52.
- New state is computed from other new state where possible. If two loops read the same two old
  arrays, one of them needs a copy. Schedule-Free SGD 48 -> 28, AdamW 76 -> 56.
- A norm takes one pass if the plain sum of squares is accurate, instead of three. One of the three
  finds the largest number, which takes twice as long as a sum. LARS 84 -> 52, LAMB 112 -> 76.
- There is one division per coordinate, 1 by the root. Bias corrections are inverted beforehand.

Two other changes were tried and rejected. A barrier around the new state gives the same loops on
CPUs, but it could prevent GPUs from writing all arrays in one loop, and Rprop and Adan still need
their copies. Omitting the bound on the product with the learning rate where it cannot overflow
saves compilation time, but XLA then fuses the product and the sum into one rounding, and `tunable`
gives different last digits.

C++ code called through `jax.ffi`, with SIMD, on XLA's threads and in place, was also tried, on a
CPU with two cores, and rejected. The following times are relative to the XLA step and to PyTorch's
fused step. They are medians of two to five series of 9 to 15 rounds on a shared machine, and vary
by a fifth. On an idle machine, for 256 arrays, relative to PyTorch's fused step: XLA 1.46, `update`
3.36, m and v alone 1.38, everything in one pass 1.24, in 8 bits 1.93.

- An `update` that writes m, v and u (24 bytes, and 12 for p + u) takes 2.3 to 3.5 times as long as
  XLA's step: u is a new array in every step, and the system must allocate its pages. If u
  overwrites donated gradients, the factor is 0.8 to 1.3.
- m and v in one C++ pass (20 bytes) and the rest in XLA (16), which keeps the `(init, update)`
  interface, takes 0.7 to 1.0 times as long as XLA. In CPU time, which depends less on other load,
  the factor is 1.04 for one array and 0.95 for 256. Relative to the fused step, it is 0.6 to 1.0
  for one array, and XLA's is 0.8 to 0.9. A call with 1000 arrays takes three times as long to
  compile.
- The whole step in one pass (28 bytes), which needs a different interface than Optax's, takes 0.7
  to 1.05 times as long as XLA, and 0.7 to 0.9 times as long as the fused step for one array. If the
  addresses of p, g, m and v differ by multiples of a large power of two, as for arrays of 2^25, one
  pass takes twice as long as with gaps of 64 KiB: 41 instead of 20 ms on one core. XLA's loops over
  two or three arrays are less affected.
- Moments in 8 bits (16 bytes, everything in one pass) take 1.3 to 1.8 times as long as XLA's step
  in float32. Rounding takes 1.8 ns per number and core, twice the time of its memory traffic. XLA's
  own 8-bit step takes 4 times as long.

Lean states need less memory traffic but more arithmetic, so they are not faster on CPUs. They take
4 times as long as float32. This was 7 times before XLA found the largest number of a block in
integers, in one loop: the maximum of floats first wrote all magnitudes to memory.

Replacing JAX arrays by Python numbers, and `jnp.clip` and `jnp.where` by those of lax, halved the
time to trace Adam on 1000 arrays. Operators instead of lax's functions saved a fifth of the rest.
The remaining difference to Optax, 2.2 of 7.3 s, is XLA's time for the selections in `squarable` and
`saturate`. The choice in `norm_in_units` costs more, so it is omitted for small arrays. Tracing
each leaf's function only once, with a `jax.jit` around it, would save 0.7 s, but updates outside
`jit` would then compile again in every step.

Small arrays are not concatenated. A concatenation of 1000 arrays takes a tenth of the time to trace
but four times as long to compile (17 s for `optax.flatten(adam(…))` on CPUs), because XLA
determines in each loop which array an element belongs to. On GPUs, XLA fuses small loops itself.
"""

import argparse
import functools
import importlib.util
import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from optax import contrib

import adaptive_jax as aj
from adaptive_jax.registry import OPTIMIZERS

WITH_MOMENTUM = "sgd momentum"

OURS = {
    "sgd": aj.sgd,
    WITH_MOMENTUM: functools.partial(aj.sgd, momentum=0.9),
} | {name: optimizer.factory for name, optimizer in OPTIMIZERS.items() if name != "sgd"}

OPTAX: dict[str, Callable] = {
    "sgd": functools.partial(optax.sgd, 0.01),
    WITH_MOMENTUM: functools.partial(optax.sgd, 0.01, momentum=0.9),
    "sign_sgd": functools.partial(optax.sign_sgd, 1e-3),
    "lion": functools.partial(optax.lion, 1e-4, weight_decay=0.0),
    "rprop": functools.partial(optax.rprop, 0.01),
    "adagrad": functools.partial(optax.adagrad, 0.01, initial_accumulator_value=0.0, eps=1e-10),
    "adafactor": functools.partial(optax.adafactor, 0.01),
    "sm3": functools.partial(optax.sm3, 0.1),
    "adadelta": functools.partial(optax.adadelta, 1.0, rho=0.95, eps=1e-6),
    "rmsprop": functools.partial(optax.rmsprop, 1e-3, eps_in_sqrt=False),
    "adam": functools.partial(optax.adam, 1e-3),
    "adamw": functools.partial(optax.adamw, 1e-3, weight_decay=0.01),
    "amsgrad": functools.partial(optax.amsgrad, 1e-3),
    "adamax": functools.partial(optax.adamax, 2e-3),
    "nadam": functools.partial(optax.nadam, 2e-3),
    "nadamw": functools.partial(optax.nadamw, 2e-3, weight_decay=0.01),
    "radam": functools.partial(optax.radam, 1e-3),
    "adabelief": functools.partial(optax.adabelief, 1e-3),
    "yogi": functools.partial(optax.yogi, 1e-2),
    "adan": functools.partial(optax.adan, 1e-3, weight_decay=0.02),
    "adopt": functools.partial(contrib.adopt, 1e-3),
    "ademamix": functools.partial(contrib.ademamix, 1e-3),
    "lars": functools.partial(optax.lars, 1.0, weight_decay=5e-4),
    "lamb": functools.partial(optax.lamb, 1e-3, weight_decay=0.01),
    "novograd": functools.partial(optax.novograd, 0.01, b1=0.95, b2=0.98, eps=1e-8),
    "muon": functools.partial(
        contrib.muon, 1e-3, weight_decay=0.1, adam_b2=0.95, adam_weight_decay=0.1
    ),
    "schedule_free_sgd": functools.partial(contrib.schedule_free_sgd, 1.0),
    "schedule_free_adamw": functools.partial(contrib.schedule_free_adamw, 0.0025),
}

TORCH = {  # the class in torch.optim and its arguments
    "sgd": ("SGD", {}),
    WITH_MOMENTUM: ("SGD", {"momentum": 0.9}),
    "asgd": ("ASGD", {}),
    "rprop": ("Rprop", {}),
    "adagrad": ("Adagrad", {}),
    "adadelta": ("Adadelta", {"rho": 0.95}),
    "rmsprop": ("RMSprop", {"alpha": 0.9}),
    "adam": ("Adam", {}),
    "adamw": ("AdamW", {}),
    "amsgrad": ("Adam", {"amsgrad": True}),
    "adamax": ("Adamax", {}),
    "nadam": ("NAdam", {}),
    "nadamw": ("NAdam", {"weight_decay": 0.01, "decoupled_weight_decay": True}),
    "radam": ("RAdam", {}),
}
FUSED = ("SGD", "Adagrad", "Adam", "AdamW")


def resnet50() -> list[tuple[int, ...]]:
    """Returns the shapes of He et al. 2016: 25.6M parameters in 161 arrays."""

    def convolution(size, inputs, outputs):  # a kernel, then a scale and a shift
        return [(size, size, inputs, outputs), (outputs,), (outputs,)]

    shapes, inputs = convolution(7, 3, 64), 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            if block == 0:
                shapes += convolution(1, inputs, 4 * width)
            shapes += convolution(1, inputs, width)
            shapes += convolution(3, width, width)
            shapes += convolution(1, width, 4 * width)
            inputs = 4 * width
    return [*shapes, (inputs, 1000), (1000,)]


def gpt2_small() -> list[tuple[int, ...]]:
    """Returns the shapes of Radford et al. 2019: 124M parameters in 148 arrays."""
    width = 768

    def dense(inputs, outputs):
        return [(inputs, outputs), (outputs,)]

    norm = [(width,), (width,)]
    attention = [*norm, *dense(width, 3 * width), *dense(width, width)]
    perceptron = [*norm, *dense(width, 4 * width), *dense(4 * width, width)]
    return [(50257, width), (1024, width), *(12 * (attention + perceptron)), *norm]


LAYOUTS = {
    "one": lambda size: [(size,)],
    "256": lambda size: 256 * [(size // 256,)],
    "resnet50": lambda _: resnet50(),
    "gpt2": lambda _: gpt2_small(),
}


class Contestant(NamedTuple):
    """A function that makes one step, one that waits for all steps, and known properties."""

    step: Callable[[], None]
    wait: Callable[[], Any]
    bytes_moved: float = math.nan
    state_bytes: int = 0


def make_step(tx: optax.GradientTransformation):
    """Returns a jitted (params, state, grads) -> (params, state) that donates the first two."""

    def step(params, state, grads):
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    return jax.jit(step, donate_argnums=(0, 1))


def in_jax(tx, shapes) -> Contestant:
    rng = np.random.default_rng(0)
    grads = [jnp.asarray(rng.standard_normal(shape, np.float32)) for shape in shapes]
    params = [jnp.full(shape, 0.5) for shape in shapes]
    state = jax.jit(tx.init)(params)
    state_bytes = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    compiled = make_step(tx).lower(params, state, grads).compile()
    box = [params, state]

    def step():
        box[:] = compiled(*box, grads)

    moved = compiled.cost_analysis().get("bytes accessed", math.nan)
    return Contestant(step, lambda: jax.block_until_ready(box), moved, state_bytes)


def in_torch(name: str, arguments: dict, shapes) -> Contestant:
    import torch

    params = [torch.nn.Parameter(torch.full(shape, 0.5)) for shape in shapes]
    for param in params:
        param.grad = torch.randn(param.shape)
    return Contestant(getattr(torch.optim, name)(params, **arguments).step, lambda: None)


MEMORY = {"x += 1": 8, "x += y": 12}  # bytes per number


def of_memory(size: int) -> dict[str, Contestant]:
    """Returns in-place operations that are limited by memory bandwidth."""

    def contestant(function, *operands):
        box = [jnp.zeros(size)]
        compiled = jax.jit(function, donate_argnums=0).lower(*box, *operands).compile()

        def step():
            box[:] = [compiled(*box, *operands)]

        return Contestant(step, lambda: jax.block_until_ready(box))

    return {
        "x += 1": contestant(lambda x: x + 1),
        "x += y": contestant(lambda x, y: x + y, jnp.ones(size)),
    }


def contestants_of(method: str, shapes) -> dict[str, Contestant]:
    found = {"ours": in_jax(OURS[method](), shapes)}
    if method in OPTAX:
        found["optax"] = in_jax(OPTAX[method](), shapes)
    if method in TORCH and importlib.util.find_spec("torch") and jax.default_backend() == "cpu":
        name, arguments = TORCH[method]
        found["foreach"] = in_torch(name, arguments | {"foreach": True}, shapes)
        if name in FUSED:
            found["fused"] = in_torch(name, arguments | {"fused": True}, shapes)
    return found


def race(contestants: dict[str, Contestant], rounds: int, steps: int) -> dict[str, list[float]]:
    """Returns each contestant's seconds per step in every round, after a warm-up round."""
    times = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        order = list(contestants.items())
        for name, contestant in order if turn % 2 else order[::-1]:
            began = time.perf_counter()
            for _ in range(steps):
                contestant.step()
            contestant.wait()
            if turn:
                times[name].append((time.perf_counter() - began) / steps)
    return times


def measure(method: str, layout: str, shapes, rounds: int, steps: int) -> dict:
    """Returns one row of the table."""
    size = sum(map(math.prod, shapes))
    contestants = contestants_of(method, shapes)
    ours = contestants["ours"]
    times = race(contestants | of_memory(size), rounds, steps)

    def ratio(name):
        pairs = zip(times["ours"], times.get(name, ()), strict=False)
        return statistics.median([a / b for a, b in pairs] or [math.nan])

    floor = 12 + 2 * ours.state_bytes / size
    rates = {name: [moved / t for t in times[name]] for name, moved in MEMORY.items()}
    fastest = map(max, zip(*rates.values(), strict=True))
    shares = (floor / (rate * t) for rate, t in zip(fastest, times["ours"], strict=True))
    return {
        "method": method,
        "layout": layout,
        "parameters": size,
        "ms": 1e3 * statistics.median(times["ours"]),
        "to_optax": ratio("optax"),
        "to_fused": ratio("fused"),
        "to_foreach": ratio("foreach"),
        "floor_bytes": floor,
        "moved_bytes": ours.bytes_moved / size,
        "optax_moved_bytes": contestants["optax"].bytes_moved / size
        if "optax" in contestants
        else math.nan,
        "share_of_floor": statistics.median(shares),
        "GB_per_s": {k: 1e-9 * size * statistics.median(v) for k, v in rates.items()},
    }


def compile_seconds(tx, leaves: int) -> tuple[float, float]:
    """Returns the seconds to trace a step on small arrays, and to lower and compile it."""
    jax.clear_caches()
    params = leaves * [jax.ShapeDtypeStruct((8,), jnp.float32)]
    state = jax.eval_shape(tx.init, params)
    began = time.perf_counter()
    traced = make_step(tx).trace(params, state, params)
    between = time.perf_counter()
    traced.lower().compile()
    return between - began, time.perf_counter() - between


def measure_compilation(method: str, leaves: int, rounds: int) -> dict:
    """Returns one row of the second table."""
    factories = {"ours": OURS[method], "optax": OPTAX[method]}
    times = {name: [] for name in factories}
    for _ in range(rounds):
        for name, factory in factories.items():
            times[name].append(compile_seconds(factory(), leaves))
    ours, other = (np.asarray(times[name]) for name in ("ours", "optax"))
    trace, compilation = np.median(ours, axis=0)
    trace_ratio, compilation_ratio = np.median(ours / other, axis=0)
    return {
        "method": method,
        "leaves": leaves,
        "trace_s": float(trace),
        "compile_s": float(compilation),
        "trace_to_optax": float(trace_ratio),
        "compile_to_optax": float(compilation_ratio),
        "to_optax": float(np.median(ours.sum(1) / other.sum(1))),
    }


def cell(value: float, form: str) -> str:
    return "-" if math.isnan(value) else format(value, form)


def print_step(row: dict) -> None:
    ratios = "".join(f"{cell(row[k], '.2f'):>9}" for k in ("to_optax", "to_fused", "to_foreach"))
    moved = "".join(
        f"{cell(row[k], '.3g'):>7}" for k in ("floor_bytes", "moved_bytes", "optax_moved_bytes")
    )
    share = f"{row['share_of_floor']:7.0%}"
    print(f"{row['method']:20}{row['ms']:9.2f}{ratios}{moved}{share}", flush=True)


def print_compilation(row: dict) -> None:
    figures = "".join(f"{row[k]:9.2f}" for k in list(row)[2:])
    print(f"{row['method']:20}{figures}", flush=True)


def main(arguments: argparse.Namespace) -> list[dict]:
    rows = []
    for layout in arguments.layouts:
        shapes = LAYOUTS[layout](arguments.size)
        size = sum(map(math.prod, shapes)) / 1e6
        print(f"\n{layout}: {size:.1f}M parameters in {len(shapes)} arrays")
        print(f"{'':20}{'':9}{'ratio of times to':>27}{'bytes a parameter':>21}  share")
        print(
            f"{'':20}{'ms':>9}{'Optax':>9}{'fused':>9}{'foreach':>9}"
            f"{'floor':>7}{'ours':>7}{'Optax':>7}{'of floor':>9}"
        )
        here = []
        for method in arguments.optimizers:
            here.append(measure(method, layout, shapes, arguments.rounds, arguments.steps))
            print_step(here[-1])
        for name in MEMORY:
            print(f"{name}: {statistics.median(r['GB_per_s'][name] for r in here):.1f} GB/s")
        rows += here
    compared = [method for method in arguments.optimizers if method in OPTAX]
    if arguments.leaves and compared:
        print(f"\nseconds to trace and to compile a step on {arguments.leaves} arrays of 8 numbers")
        print(f"{'':38}{'ratio to Optax':>27}")
        print(f"{'':20}{'trace':>9}{'compile':>9}{'trace':>9}{'compile':>9}{'both':>9}")
        for method in compared:
            rows.append(measure_compilation(method, arguments.leaves, min(3, arguments.rounds)))
            print_compilation(rows[-1])
    return rows


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--optimizers", nargs="+", choices=OURS, default=list(OURS), metavar="NAME")
    add("--layouts", nargs="+", choices=LAYOUTS, default=list(LAYOUTS))
    add("--size", type=int, default=2**25, help="parameters of the first two layouts; default 2^25")
    add("--rounds", type=int, default=9, help="number of rounds; default 9")
    add("--steps", type=int, default=3, help="steps per round; default 3")
    add("--leaves", type=int, default=1000, help="arrays to compile for, 0 to skip; default 1000")
    add("--json", metavar="FILE", help="also write all rows to this file")
    return parser.parse_args(argv)


if __name__ == "__main__":
    arguments = parse()
    device = {
        "jax": jax.__version__,
        "optax": optax.__version__,
        "device": f"{jax.devices()[0].device_kind}, {jax.default_backend()}",
    }
    print(", ".join(f"{key} {value}" for key, value in device.items()))
    rows = main(arguments)
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump({**device, "rows": rows}, file, indent=1)
