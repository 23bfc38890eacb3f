"""Counts the bytes a device sends per step: `python scripts/benchmark_communication.py`.

Compares the mean of the workers' gradients by an all-reduce in float32 with
`distributed.error_feedback` and `distributed.majority_vote` in data-parallel training. Bytes per
parameter are read from the collectives in the compiled XLA programs, for one array and for many.
Each collective counts as the bytes that its usual algorithm sends: a ring, or a direct exchange of
parts.
"""

import argparse
import math
import re

import jax
import jax.numpy as jnp
import optax
from jax.sharding import PartitionSpec as P

from adaptive_jax import distributed

SENT = {  # from the size of a device's result, on n devices
    "all-reduce": lambda size, n: 2 * size * (n - 1) / n,
    "all-gather": lambda size, n: size * (n - 1) / n,
    "all-to-all": lambda size, n: size * (n - 1) / n,
    "reduce-scatter": lambda size, n: size * (n - 1),
    "collective-permute": lambda size, n: size,
}
BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4}


def _mean(grads, params=None):
    return jax.lax.pmean(grads, "worker")


WAYS = {
    "all-reduce": optax.stateless(_mean),
    "error feedback": distributed.error_feedback("worker"),
    "majority vote": distributed.majority_vote("worker"),
}


def compiled(tx, sizes, devices) -> str:
    """Compiles one update from all workers' gradients, which are arrays of these sizes."""
    mesh = jax.make_mesh((devices,), ("worker",), devices=jax.devices()[:devices])

    def combine(grads):
        own = [g[0] for g in grads]
        return tx.update(own, tx.init(own))[0]

    with jax.set_mesh(mesh):
        spread = jax.shard_map(combine, in_specs=P("worker"), out_specs=P())
        grads = [jnp.zeros((devices, size), out_sharding=P("worker")) for size in sizes]
        return jax.jit(spread).lower(grads).compile().as_text()


def bytes_sent(program: str, devices: int) -> float:
    """Returns the bytes one device sends in a program whose collectives span all devices."""
    total = 0.0
    for result, name in re.findall(rf"= (.*?) ({'|'.join(SENT)})(?:-start)?\(", program):
        arrays = re.findall(r"(\w+)\[([\d,]*)\]", result)
        size = sum(BYTES[t] * math.prod(int(n) for n in dims.split(",") if n) for t, dims in arrays)
        total += SENT[name](size, devices)
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--devices", type=int, nargs="+", default=[2, 8, 64])
    parser.add_argument("--parameters", type=int, default=2**20)
    args = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", max(args.devices))
    layouts = {"one array": [args.parameters], "100 arrays": [args.parameters // 100] * 100}
    print(
        f"jax {jax.__version__}: bytes a parameter that each device sends, {args.parameters} in all"
    )
    for layout, sizes in layouts.items():
        print(f"{layout:18}" + "".join(f"{n:4} devices" for n in args.devices))
        for name, tx in WAYS.items():
            sent = [bytes_sent(compiled(tx, sizes, n), n) / sum(sizes) for n in args.devices]
            print(f"  {name:16}" + "".join(f"{x:12.3f}" for x in sent))


if __name__ == "__main__":
    main()
