"""What an optimizer costs by itself on a workload's model: memory, time and compilation."""

import functools
import time
from collections.abc import Mapping, Sequence

import jax
import numpy as np
import optax
from flax import nnx

from adaptive_jax.training.config import OptimizerSpec
from adaptive_jax.workloads.workload import Workload

_UPDATES = 20  # in one call, so that the call itself does not count
_ROUNDS = 15


def measure_costs(
    workload: Workload, specs: Sequence[OptimizerSpec]
) -> dict[str, Mapping[str, float]]:
    """The cost of each optimizer, measured in turns so that all meet the same disturbances.

    Returns:
      For the label of each: "state_bytes_per_parameter"; "update_microseconds", the median time
      of an update and its addition to the parameters, without the gradient; and
      "update_compile_seconds".

    >>> from adaptive_jax import workloads
    >>> costs = measure_costs(workloads.get("digits_mlp"), [OptimizerSpec("adam")])
    >>> round(costs["adam"]["state_bytes_per_parameter"], 2)
    8.0
    """
    model = workload.model(nnx.Rngs(0))
    params = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    programs, costs = [], []
    for spec in specs:
        tx = optax.with_extra_args_support(spec.build(learning_rate=1e-3))
        state = tx.init(params)
        began = time.perf_counter()
        run = jax.jit(functools.partial(_updates, tx)).lower(params, state).compile()
        compile_seconds = time.perf_counter() - began
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
        programs.append((run, state))
        costs.append(
            {"state_bytes_per_parameter": size / count, "update_compile_seconds": compile_seconds}
        )
    times = np.array(
        [[_timed(run, params, state) for run, state in programs] for _ in range(_ROUNDS)]
    )
    return {
        spec.label: cost | {"update_microseconds": float(median) / _UPDATES * 1e6}
        for spec, cost, median in zip(specs, costs, np.median(times, axis=0), strict=True)
    }


def _updates(tx, params, state):
    def update(_, carry):
        params, state = carry
        updates, state = tx.update(params, state, params)  # any gradient that changes each time
        return optax.apply_updates(params, updates), state

    return jax.lax.fori_loop(0, _UPDATES, update, (params, state))


def _timed(run, params, state):
    began = time.perf_counter()
    jax.block_until_ready(run(params, state))
    return time.perf_counter() - began
