"""The cost of an optimizer on a workload's model: its memory, and the time of its update."""

import functools
import time
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from adaptive_jax.lab.training.compilation import compiled_anew
from adaptive_jax.lab.training.config import OptimizerSpec
from adaptive_jax.lab.training.population import Population

_UPDATES, _SEARCHES = 20, 2  # in one call, so that its overhead is negligible
_CALL = 0.005  # seconds of a call of gradients, at least, within 1 to 20 of them
_ROUNDS, _FEWEST, _SECONDS = 15, 5, 4.0  # at least the fewest, the others within these seconds


def measure_costs(
    population: Population, specs: Sequence[OptimizerSpec]
) -> dict[str, Mapping[str, float]]:
    """Measures the cost of each optimizer, in turns, so that disturbances affect all alike.

    A step of a run is a gradient and an update. The gradient is the same work for all optimizers,
    and is measured by itself. The update is that of one run, with its addition to the parameters.
    If it evaluates the loss, as a line search does, that is part of it.

    Returns:
      For the label of each: "state_bytes_per_parameter"; "update_microseconds", the median, and
      its quartiles "update_microseconds_low" and "update_microseconds_high"; the same of
      "gradient_microseconds", equal for all; and "update_compile_seconds".

    >>> from adaptive_jax.lab import workloads
    >>> quadratic = workloads.get("noisy_quadratic")
    >>> population = Population(quadratic, quadratic.load(None))
    >>> cost = measure_costs(population, [OptimizerSpec("adam")])["adam"]
    >>> cost["state_bytes_per_parameter"], cost["update_microseconds"] > 0
    (8.2, True)
    """
    programs, batch = population.programs, jax.tree.map(jnp.asarray, population.batch)
    model = population.initial_model(0)
    gradients, _ = _compiled(functools.partial(_gradients, programs), 1, model, batch)
    count = _count(lambda: gradients(1, model, batch))
    calls, costs, gradients_each = [lambda: gradients(count, model, batch)], [], []
    for spec in specs:
        hyper = {name: np.float32(1e-3) for name in ("learning_rate",) if name in spec.search}
        state = programs.updates.init(spec, model.params, hyper)
        kept = jax.eval_shape(spec.build(**hyper).init, model.params)  # but for the schedule
        size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(kept))
        run, seconds, searches = _update(programs, spec, hyper, model, batch, state)
        calls.append(functools.partial(run, model, batch, state))
        gradients_each.append(float(searches))
        costs.append(
            {
                "state_bytes_per_parameter": size / population.parameters,
                "update_compile_seconds": seconds,
            }
        )
    times = _in_turns(calls) * 1e6
    gradient = times[:, 0] / count
    result = {}
    for spec, cost, searches, column in zip(specs, costs, gradients_each, times.T[1:], strict=True):
        update = column / (_SEARCHES if searches else _UPDATES) - searches * gradient
        result[spec.label] = (
            cost
            | _quartiles("update_microseconds", update)
            | _quartiles("gradient_microseconds", gradient)
        )
    return result


def _gradients(programs, count, model, batch):
    """Computes `count` gradients in sequence, none of which XLA may omit."""

    def step(_, carry):
        rest, grads = carry
        params, _ = jax.lax.optimization_barrier((model.params, grads))
        grads, rest, _ = programs.network.gradients(model._replace(params=params, rest=rest), batch)
        return rest, grads

    return jax.lax.fori_loop(0, count, step, (model.rest, model.params))


def _update(programs, spec, hyper, model, batch, state):
    """Returns a call of updates, the seconds to compile it, and whether they evaluate the loss.

    Updates that do so get real gradients, whose time the caller subtracts. For others the
    parameters serve as gradients.
    """
    asked = []

    def updates(searches, model, batch, state):
        def step(_, carry):
            params, state = carry
            here = model._replace(params=params)
            grads, loss = params, jnp.ones(())
            if searches:
                grads, _, metrics = programs.network.gradients(here, batch)
                loss = metrics["train_loss"]
            update = programs.updates.update
            return update(spec, grads, loss, here, batch, state, hyper, asked.append)

        count = _SEARCHES if searches else _UPDATES
        return jax.lax.fori_loop(0, count, step, (model.params, state))

    run, seconds = _compiled(functools.partial(updates, False), model, batch, state)
    if asked:
        run, seconds = _compiled(functools.partial(updates, True), model, batch, state)
    return run, seconds, bool(asked)


def _compiled(fn: Callable, *args):
    began = time.perf_counter()
    with compiled_anew():
        run = jax.jit(fn).lower(*args).compile()
    return run, time.perf_counter() - began


def _timed(call):
    began = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - began


def _count(call):
    """Returns the number of gradients in a call."""
    _timed(call)
    return int(np.clip(_CALL / _timed(call), 1, _UPDATES))


def _in_turns(calls):
    """Returns the seconds of each call, one row per round."""
    for call in calls:
        _timed(call)
    end, rows = time.perf_counter() + _SECONDS, []
    while len(rows) < _FEWEST or (len(rows) < _ROUNDS and time.perf_counter() < end):
        rows.append([_timed(call) for call in calls])
    return np.array(rows)


def _quartiles(name, times):
    low, middle, high = np.maximum(np.quantile(times, (0.25, 0.5, 0.75)), 0).tolist()
    return {name: middle, f"{name}_low": low, f"{name}_high": high}
