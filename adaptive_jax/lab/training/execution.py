"""Runs a population's programs on its devices: compiles them once and passes them their arrays."""

import functools
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from adaptive_jax.lab.training.batches import DeviceData, sent
from adaptive_jax.lab.training.devices import MEMBERS, WHOLE, Grid, OneDevice
from adaptive_jax.lab.training.groups import Group
from adaptive_jax.lab.training.programs import Programs
from adaptive_jax.lab.workloads.workload import Split
from adaptive_jax.typing import State

# Where the arguments and the result of each program lie. MEMBERS: a leading axis of members
# that is divided among the devices. WHOLE: a copy on each.
_INIT = (WHOLE,), WHOLE  # seed
_START = (WHOLE, MEMBERS, MEMBERS), MEMBERS  # models, model_index, hypers
_EPOCH = (MEMBERS, MEMBERS, MEMBERS, MEMBERS, WHOLE, WHOLE), MEMBERS
#         model, optimizers, hypers, seeds, number, train
_STEPS = (MEMBERS, MEMBERS, MEMBERS, MEMBERS, WHOLE, WHOLE), MEMBERS
#         model, optimizers, hypers, rows, batches, is_last
_EVALUATION_MODELS = (MEMBERS, MEMBERS, WHOLE), MEMBERS  # model, optimizers, sample
_EVALUATE = (MEMBERS, MEMBERS, WHOLE, WHOLE), MEMBERS  # model, totals, chunk, weights


class Compiler:
    """Compiles functions for the devices, once for all arguments of the same shapes.

    `jax.jit` has such a cache, too. This one also measures the time of compilation, tells how
    much memory a program needs before it runs, and never compiles during a timed call.

    Args:
      devices: Where the functions will run.

    Attributes:
      seconds: The time spent on tracing and compilation.
    """

    def __init__(self, devices: OneDevice | Grid):
        self._devices = devices
        self._compiled: dict[Any, Any] = {}
        self.seconds = self._taken = 0.0

    def compile(
        self,
        name: Hashable,
        fn: Callable,
        placement: tuple[Sequence, Any],
        args: Sequence[Any],
        donate: Sequence[int] = (),
        runs_once: bool = False,
    ) -> Any:
        """Returns `fn` compiled for the shapes of its arguments.

        Args:
          name: Identifies `fn` and its static arguments.
          fn: The function.
          placement: Where its arguments and its result lie.
          args: The arguments, or `jax.ShapeDtypeStruct` in their place.
          donate: The positions of arguments whose memory may be used for the result.
          runs_once: Whether the program is called so seldom that compilation should be fast.
        """
        shapes = tuple((x.shape, x.dtype) for x in jax.tree.leaves(args))
        key = (name, jax.tree.structure(args), shapes)
        if key not in self._compiled:
            started = time.perf_counter()
            inputs, outputs = placement
            jitted = self._devices.jit(fn, inputs, outputs, donate)
            # Random initial parameters compile in a quarter of the time at level 1, with the same
            # bits. (At level 0 the last ones differ.)
            is_quick = runs_once and jax.default_backend() == "cpu"
            options: Any = {"xla_backend_optimization_level": "1"} if is_quick else None
            self._compiled[key] = jitted.lower(*args).compile(options)
            self.seconds += time.perf_counter() - started
        return self._compiled[key]

    def call(
        self,
        name: Hashable,
        fn: Callable,
        placement: tuple[Sequence, Any],
        *args: Any,
        runs_once: bool = False,
    ) -> Any:
        """Calls `fn`, compiled."""
        return self.compile(name, fn, placement, args, runs_once=runs_once)(*args)

    def take_seconds(self) -> float:
        """Returns the time spent on tracing and compilation since the last call."""
        seconds, self._taken = self.seconds - self._taken, self.seconds
        return seconds


class Execution:
    """Trains and evaluates groups of members on the devices.

    Args:
      programs: What is computed.
      data: The data on the devices.
      devices: The devices.

    Attributes:
      compiler: Compiles the programs.
    """

    def __init__(self, programs: Programs, data: DeviceData, devices: OneDevice | Grid):
        self._programs, self._data, self._devices = programs, data, devices
        self.compiler = Compiler(devices)

    def start(self, group: Group) -> tuple[State, State]:
        """Returns the initial models and optimizer states of a group."""
        # `init` is called for one model at a time and for distinct seeds only. Under `vmap` it
        # took twice as long to compile, and compilation is much of a short comparison.
        models = [self.initial_model(seed) for seed in group.distinct_seeds]
        start = functools.partial(self._programs.start, group.blocks)
        args = models, group.model_index, group.hypers
        return self.compiler.call(("start", group.blocks), start, _START, *args, runs_once=True)

    def initial_model(self, seed: np.int32) -> State:
        """Returns the variables that a seed initializes, without a member axis."""
        init = self._programs.network.init
        return self.compiler.call("init", init, _INIT, seed, runs_once=True)

    def epoch(self, group: Group, model: State, optimizers: State, number: int):
        """Trains a group for an epoch, see `Programs.epoch`, and returns when it is finished.

        The buffers of `model` and `optimizers` are donated: they cannot be used afterwards.

        Returns:
          What `Programs.epoch` returns, and the seconds that it took without compilation.
        """
        source = self._data.train
        if not isinstance(source, Split):
            return self._streamed_epoch(source, group, model, optimizers, number)
        args = self._epoch_args(group, model, optimizers, number)
        program = self._epoch_program(group, args)
        started = time.perf_counter()
        result = jax.block_until_ready(program(*args))
        return *result, time.perf_counter() - started

    def _streamed_epoch(self, source, group, model, optimizers, number):
        """Does the same with mini-batches that the host sends."""
        started, compiled = time.perf_counter(), self.compiler.seconds
        sums, left = None, source.steps
        for batches in sent(source, number, group.distinct_seeds):
            left -= (count := len(jax.tree.leaves(batches)[0]))
            is_last = np.arange(count) == count - 1 + left
            # The part before is waited for, so that at most two are on the devices.
            jax.block_until_ready(sums)
            args = self._steps_args(group, model, optimizers, batches, is_last)
            model, optimizers, part = self._steps_program(group, args)(*args)
            sums = part if sums is None else _added(sums, part)
        metrics, rates = self._programs.metrics(group.skips, source.examples, sums)
        jax.block_until_ready((model, metrics))
        seconds = time.perf_counter() - started - (self.compiler.seconds - compiled)
        return model, optimizers, metrics, rates, seconds

    def evaluate(
        self, group: Group, model: State, optimizers: State, splits: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Evaluates a group on splits, with models in evaluation mode.

        Returns:
          "validation_loss", ... -> the mean score of each member, in the order of the members.
        """
        model = self._evaluation_models(group, model, optimizers)
        means = {}
        for split in splits:
            totals, count = self._totals(group, model, split)
            totals = group.by_member(totals)
            means |= {f"{split}_{name}": total / count for name, total in totals.items()}
        return means

    def memory(self, group: Group) -> int:
        """Returns the bytes that a group needs on each device; compiles its programs."""
        model = jax.eval_shape(self._programs.network.init, group.distinct_seeds[0])
        start = functools.partial(self._programs.start, group.blocks)
        models = [model] * len(group.distinct_seeds)
        # Through the devices' `jit`: batches are sharded inside, which takes the mesh's context.
        jitted = self._devices.jit(start, *_START)
        model, optimizers = jax.eval_shape(jitted, models, group.model_index, group.hypers)
        source = self._data.train
        if isinstance(source, Split):
            epoch = self._epoch_program(group, self._epoch_args(group, model, optimizers, 0))
        else:
            batches = next(sent(source, 0, group.distinct_seeds))
            is_last = np.zeros(len(jax.tree.leaves(batches)[0]), bool)
            args = self._steps_args(group, model, optimizers, batches, is_last)
            epoch = self._steps_program(group, args)
        *chunk, _ = next(iter(self._data.chunks["validation"]))
        args = model, self._zero_totals(group), *chunk
        evaluate = self.compiler.compile("evaluate", self._programs.evaluate, _EVALUATE, args)
        return max(map(_bytes_of, (epoch, evaluate)))

    def _epoch_args(self, group, model, optimizers, number):
        return model, optimizers, group.hypers, group.seeds, np.int32(number), self._data.train

    def _epoch_program(self, group, args):
        static = group.blocks, group.skips
        fn = functools.partial(self._programs.epoch, *static)
        # The states are donated, so that the old and the new ones never exist at the same time.
        return self.compiler.compile(("epoch", *static), fn, _EPOCH, args, donate=(0, 1))

    def _steps_args(self, group, model, optimizers, batches, is_last):
        batches = self._devices.put(batches, WHOLE)
        return model, optimizers, group.hypers, group.model_index, batches, is_last

    def _steps_program(self, group, args):
        static = group.blocks, group.skips
        fn = functools.partial(self._programs.steps, *static)
        return self.compiler.compile(("steps", *static), fn, _STEPS, args, donate=(0, 1))

    def _evaluation_models(self, group, model, optimizers):
        params_of = self._programs.updates.evaluation_params
        at_averages = any(params_of(block.optimizer) for block in group.blocks)
        if not (at_averages or self._programs.network.has_averages):
            return model
        fn = functools.partial(self._programs.evaluation_models, group.blocks)
        name, args = ("evaluation_models", group.blocks), (model, optimizers, self._data.sample)
        return self.compiler.call(name, fn, _EVALUATION_MODELS, *args)

    def _totals(self, group, model, split):
        """Returns the sums of a split's scores, name -> (parts · members,), on the devices, and
        the number of examples.

        The totals pass from chunk to chunk. So the host does not wait for each chunk, and yet
        the chunks are evaluated one after another: independent calls, which return before they
        are finished, could run side by side on a CPU, each with temporary memory of its own.
        """
        totals, examples = self._zero_totals(group), 0
        for *chunk, count in self._data.chunks[split]:
            args = model, totals, *chunk
            totals = self.compiler.call("evaluate", self._programs.evaluate, _EVALUATE, *args)
            examples += count
        return totals, examples

    def _zero_totals(self, group):
        # NumPy's zeros are float64, and become the widest float that JAX is configured to use.
        zeros = self._devices.put(np.zeros(group.seeds.shape), MEMBERS)
        return dict.fromkeys(self._programs.network.score_names, zeros)


def _added(sums, part):
    """Adds the sums of later steps, see `Programs.steps`, to those of earlier ones."""
    totals, examples, first_loss, _ = sums
    more, further, _, rates = part
    return jax.tree.map(jnp.add, totals, more), examples + further, first_loss, rates


def _bytes_of(program):
    """Returns the bytes that a compiled program needs on each device."""
    memory = program.memory_analysis()
    if memory is None:  # some backends do not report it
        return 0
    sizes = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    return sizes - memory.alias_size_in_bytes
