"""Measures the cost of an optimizer before it runs: `python scripts/benchmark_tracing.py`.

For each optimizer of this library and of Optax, on hundreds of small arrays: the time to trace an
update and to trace and compile it, the equations of its jaxpr, and the Python calls within the
library for one eager update. `tunable` is compared with the plain optimizer. Times are CPU times,
each the smallest of several rounds in which the variants take turns; ratios are within one run.
"""

import argparse
import collections
import gc
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import optax

import adaptive_jax as aj

PAIRS = {  # name -> ours, what it is compared with
    "sgd": (aj.sgd(1e-3), optax.sgd(1e-3)),
    "adam": (aj.adam(1e-3), optax.adam(1e-3)),
    "adamw": (aj.adamw(1e-3), optax.adamw(1e-3)),
    "rmsprop": (aj.rmsprop(1e-3), optax.rmsprop(1e-3)),
    "lion": (aj.lion(1e-3), optax.lion(1e-3)),
    "tunable adamw / adamw": (aj.tunable(aj.adamw, learning_rate=1e-3), aj.adamw(1e-3)),
}


def problem(tx, arrays):
    """The arguments of one update: gradients, state and parameters."""
    params = {f"w{i}": jnp.zeros(3) for i in range(arrays)}
    grads = jax.tree.map(jnp.ones_like, params)
    return grads, tx.init(params), params


def smallest_times(functions, rounds):
    """The smallest CPU time of each function over the rounds, in seconds."""
    times = collections.defaultdict(list)
    for _ in range(rounds):
        for name, function in functions.items():
            gc.collect()
            start = time.process_time()
            function()
            times[name].append(time.process_time() - start)
    return {name: min(taken) for name, taken in times.items()}


def equations(tx, args):
    """The number of equations in the jaxpr of an update."""
    return len(jax.make_jaxpr(tx.update)(*args).jaxpr.eqns)


def own_calls(tx, package, args):
    """The Python calls within the files of a package for one eager update."""
    root, calls = str(Path(package.__file__).parent), 0

    def count(frame, event, _):
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename.startswith(root)

    tx.update(*args)  # what happens once only
    sys.setprofile(count)
    try:
        tx.update(*args)
    finally:
        sys.setprofile(None)
    return calls


def compare(ours, theirs, arrays, rounds):
    """A row of ratios for a pair of optimizers."""
    inputs = {"ours": (ours, problem(ours, arrays)), "theirs": (theirs, problem(theirs, arrays))}

    def trace(tx, args):
        return jax.jit(lambda *args: tx.update(*args)).trace(*args)  # a new function: no cache

    def trace_and_compile(tx, args):
        return trace(tx, args).lower().compile()

    row = []
    for work, number in ((trace, rounds), (trace_and_compile, max(rounds // 3, 2))):
        times = smallest_times(
            {name: lambda given=given, work=work: work(*given) for name, given in inputs.items()},
            number,
        )
        row.append(f"{times['ours']:.2f} s, {times['ours'] / times['theirs']:.2f}")
    row.append(" / ".join(str(equations(*given)) for given in inputs.values()))
    two = {name: problem(tx, 2) for name, (tx, _) in inputs.items()}
    package = optax if theirs.update.__module__.startswith("optax") else aj
    calls = own_calls(ours, aj, two["ours"]), own_calls(theirs, package, two["theirs"])
    return [*row, " / ".join(map(str, calls))]


def main(argv=None):
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--arrays", type=int, default=1000, help="arrays of three numbers (1000)")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of tracing (9)")
    args = parser.parse_args(argv)
    jax.config.update("jax_enable_compilation_cache", False)
    print(f"{args.arrays} arrays; Optax {optax.__version__}, JAX {jax.__version__}\n")
    print("| | trace, ratio | trace and compile, ratio | equations | eager calls, 2 arrays |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, pair in PAIRS.items():
        cells = [name, *compare(*pair, args.arrays, args.rounds)]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
