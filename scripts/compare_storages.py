"""Compares lean states with float32 in training: `python scripts/compare_storages.py digits_cnn`.

Compares Adam with itself, with state and parameters in different formats. All runs share the
learning rate and the seeds. Paired t tests with Holm's correction compare the test metric and the
final training loss, which is more sensitive. All arrays are encoded, including the small ones that
`with_storage` leaves unchanged by default. The control is bfloat16 rounded to nearest, which loses
small changes: it shows which differences the comparison can detect.
"""

import argparse
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import adaptive_jax as aj
from adaptive_jax.lab import compare, write_report
from adaptive_jax.lab.statistics import holm, paired_t_interval, paired_t_test
from adaptive_jax.lab.training import OptimizerSpec
from adaptive_jax.registry import Optimizer
from adaptive_jax.storage import Floats

REFERENCE = "state_float32"
NEAREST = Floats("bfloat16", rounding="nearest")
STATES = {
    "float32": {},
    "bfloat16": {"mu": "bfloat16", "nu": "bfloat16"},
    "float8": {"mu": "float8_e4m3", "nu": "float8_e4m3"},
    "8_bits": {"mu": "int8", "nu": "uint8"},
    "4_and_8_bits": {"mu": "int4", "nu": "uint8"},
    "bfloat16_nearest": {"mu": NEAREST, "nu": NEAREST},
}


def lean_adam(name, codecs):
    """Returns Adam with its moments stored in `codecs`."""

    def factory(learning_rate):
        tx = aj.adam(learning_rate)
        return aj.with_storage(tx, minimum=1, **codecs) if codecs else tx

    return Optimizer(f"state_{name}", factory)


def adam_of_lean_params(name, moved):
    """Returns Adam whose new parameters are `moved(params, updates, count)`."""

    def factory(learning_rate):
        tx = aj.adam(learning_rate)

        def update(updates, state, params):
            count, inner = state
            updates, inner = tx.update(updates, inner, params)
            new = moved(params, updates, count)
            return jax.tree.map(lambda n, p: n.astype(p.dtype) - p, new, params), (count + 1, inner)

        return optax.GradientTransformation(lambda params: (jnp.int32(0), tx.init(params)), update)

    return Optimizer(f"params_{name}", factory)


def in_bfloat16(tree):
    return jax.tree.map(lambda p: p.astype(jnp.bfloat16), tree)


PARAMS = {
    "24_bits": lambda p, u, n: aj.merge_params(*aj.split_params(optax.apply_updates(p, u), 8, n)),
    "bfloat16": lambda p, u, n: aj.apply_updates(in_bfloat16(p), u, n),
    "bfloat16_nearest": lambda p, u, n: in_bfloat16(optax.apply_updates(p, u)),
}
CONTESTANTS = {
    entry.name: entry
    for entry in (
        *(lean_adam(name, codecs) for name, codecs in STATES.items()),
        *(adam_of_lean_params(name, moved) for name, moved in PARAMS.items()),
    )
}


def training_losses(runs):
    """Returns a table of each contestant's final training losses relative to float32's."""
    logs = {}
    for run in sorted(runs, key=lambda run: run.seed):
        logs.setdefault(run.optimizer.partition(":")[0], []).append(
            math.log(run.final["train_loss"])
        )
    reference = logs.pop(REFERENCE)
    ps = holm([paired_t_test(values, reference) for values in logs.values()])
    yield f"{'final training loss':28}{'of float32':>12}  {'95% interval':16}{'p':>8}"
    for (name, values), p in zip(logs.items(), ps, strict=True):
        interval = np.exp(paired_t_interval(values, reference))
        mean, low, high = interval
        yield f"{name:28}{mean:12.3f}  {low:.3f} to {high:<7.3f}{p:8.2g}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("workload", nargs="?", default="digits_cnn")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, help="epochs of every run; default: the workload's")
    parser.add_argument("--data-dir")
    parser.add_argument("--out", type=Path, required=True, help="folder for runs and report")
    parser.add_argument("--only", nargs="*", choices=CONTESTANTS, default=CONTESTANTS)
    a = parser.parse_args()
    names = dict.fromkeys((REFERENCE, *a.only))
    result = compare(
        a.workload,
        [OptimizerSpec(CONTESTANTS[name], {"learning_rate": a.learning_rate}) for name in names],
        seeds=a.seeds,
        epochs=a.epochs,
        data_dir=a.data_dir,
        out=a.out,
    )
    print(result, "", *training_losses(result.records), "", *write_report(a.out), sep="\n")
