"""Training many members, each an optimizer, its settings and a seed, in one compiled program."""

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from adaptive_jax.lab.training.callbacks import Callback, Epoch
from adaptive_jax.lab.training.config import SCHEDULES, Member, OptimizerSpec, check_nonfinite
from adaptive_jax.lab.training.devices import MEMBERS, WHOLE, Grid, OneDevice
from adaptive_jax.lab.training.groups import Group, fitting
from adaptive_jax.lab.training.identity import identified, of_workload
from adaptive_jax.lab.training.programs import Programs
from adaptive_jax.lab.training.progress import Progress
from adaptive_jax.lab.workloads.checks import check_workload
from adaptive_jax.lab.workloads.workload import Data, Split, Workload
from adaptive_jax.typing import Device

_EVALUATION_BATCH = 500
_ENDS_AFTER: Mapping[str | None, int] = {"stop": 1, "restore": 3}  # so many bad epochs


class History(NamedTuple):
    """What one member's training gave.

    Attributes:
      member: whose.
      initial_loss: of the first mini-batch, before any update.
      curve: for each epoch the mean training loss and accuracy over its mini-batches, and the
        validation loss and accuracy after it.
      rates: for each epoch the histogram of effective learning rates at its last step, where it
        was asked for and the optimizer has a scale, see `diagnostics.rate_histogram`.
      final: loss and accuracy on the whole training, validation and test sets.
      train_seconds: wall-clock time of its updates, an equal share of what the members beside
        it took; without evaluation.
      compile_seconds: time to trace and compile what its group was the first to need.
    """

    member: Member
    initial_loss: float
    curve: list[dict[str, float]]
    rates: list[list[int]] | None
    final: dict[str, float]
    train_seconds: float
    compile_seconds: float

    @property
    def diverged(self) -> bool:
        """Whether the training loss ended non-finite, or above twice the untrained model's."""
        loss = self.curve[-1]["train_loss"]
        return not np.isfinite(loss) or loss > 2 * self.initial_loss


class Population:
    """Trains members of one workload side by side, as many at a time as memory allows.

    An epoch is one call: a `scan` over mini-batches in which the gradients of all members are
    one `vmap`, whatever their optimizers, and each optimizer then updates its own members. So
    a model is compiled once for all optimizers, which on a small model is most of the time;
    scripts/benchmark_sweep.py compares with a loop over jitted steps.

    On several devices every optimizer's members are dealt out, in equal shares (the last filled up
    with repetitions that are not told of), and each device trains its own by `shard_map`. A member
    has the bits that it has on one device beside those that it shares its device with; beside
    others, as on another number of devices, its last bits may differ.

    Args:
      workload: what to train.
      data: its data, from `workload.load`.
      epochs, batch_size, schedule: None means the workload's own. The schedule is a name in
        `SCHEDULES`; every update is multiplied by its value, unless the optimizer is one whose
        learning rate follows none (`Optimizer.scheduled`).
      width: members side by side on each device; None means the workload's own on a CPU, else all.
      max_memory: bytes that a compiled program may need on each device; a group that would need
        more is run in halves. A single member is run whatever it needs. Default:
        `default_max_memory()`.
      checkpoints: folder to go on from, where there are checkpoints of the same members, and to
        write new ones to; it is of one group, for so many devices as there were. What they say of
        earlier epochs is told again.
      checkpoint_every: so many epochs there is one, and after the last.
      on_nonfinite: what is done about losses that are not finite, see `NONFINITE`; all members
        side by side stop or are restored together. None trains on.
      devices: to train on. Default: all, those of all processes of `jax.distributed` too, each of
        which then makes the same population and gets the same histories.
      devices_per_batch: so many devices share the work on every batch of a member, and have equal
        copies of what is trained.

    Raises:
      DataError, ValueError: data, model and loss do not fit one another, see `check_workload`.
      ValueError: the devices do not divide, or `on_nonfinite="restore"` has no checkpoints to
        restore.

    >>> from adaptive_jax.lab import workloads
    >>> from adaptive_jax.lab.training import OptimizerSpec
    >>> quadratic = workloads.get("noisy_quadratic")
    >>> population = Population(quadratic, quadratic.load(None), epochs=2)
    >>> sgd = OptimizerSpec("sgd")
    >>> members = [Member(sgd, seed, {"learning_rate": 0.01}) for seed in range(3)]
    >>> [len(history.curve) for history in population.run(members)]
    [2, 2, 2]
    """

    def __init__(
        self,
        workload: Workload,
        data: Data,
        epochs: int | None = None,
        batch_size: int | None = None,
        schedule: str | None = None,
        width: int | None = None,
        max_memory: float | None = None,
        checkpoints: Path | None = None,
        checkpoint_every: int = 1,
        on_nonfinite: str | None = None,
        devices: Sequence[Device] | None = None,
        devices_per_batch: int = 1,
    ) -> None:
        check_nonfinite(on_nonfinite)
        if on_nonfinite == "restore" and checkpoints is None:
            raise ValueError("on_nonfinite='restore' needs a folder for checkpoints")
        check_workload(workload, data)
        self.workload = workload
        self.examples: dict[str, int] = {
            name: len(split.targets) for name, split in data._asdict().items()
        }
        self.epochs: int = epochs or workload.epochs
        self.batch_size: int = min(batch_size or workload.batch_size, self.examples["train"])
        self.steps: int = self.epochs * -(-self.examples["train"] // self.batch_size)
        self.schedule: str = schedule or workload.schedule
        self.width = width or (workload.width if jax.default_backend() == "cpu" else None)
        self.max_memory = default_max_memory() if max_memory is None else max_memory
        self._checkpoints, self._checkpoint_every = checkpoints, checkpoint_every
        devices = list(devices or jax.devices())
        count = f"{len(devices)} × " if devices[1:] else ""
        self.device = f"{count}{devices[0].device_kind}"
        self._devices = _placement(devices, devices_per_batch)
        self._train = self._devices.put(data.train, WHOLE)
        self.batch: Split = jax.tree.map(lambda x: x[: self.batch_size], data.train)
        size = min(_EVALUATION_BATCH, self.examples["validation"])
        self._chunks = {
            name: [self._devices.put(chunk, WHOLE) for chunk in _chunks(split, size)]
            for name, split in data._asdict().items()
        }
        shape = SCHEDULES[self.schedule](self.steps)
        self._on_nonfinite = on_nonfinite
        skips = on_nonfinite == "skip"
        cut = self._devices.cut
        self.programs = Programs(workload, self.batch_size, shape, skips, cut)
        self.parameters = self.programs.parameters
        self._identity = of_workload(workload, data, self.programs.model)
        self._optimizers: dict[OptimizerSpec, str] = {}
        self._compiled: dict[Any, Any] = {}
        self._compile_seconds = 0.0

    def run(
        self,
        members: Sequence[Member],
        callback: Callback | None = None,
        with_rates: bool = False,
        is_finished: Callable[[Member], bool] = lambda member: False,
    ) -> Iterator[History]:
        """Trains the members, yielding each one's history as its group is finished.

        Args:
          members: in the order in which they are wanted. Neighbors of the same optimizer and
            hyperparameter names are updated together.
          callback: is told of each epoch.
          with_rates: whether histories have `rates`.
          is_finished: says of which members no history is needed. A group is left out only if
            that is so of all: what one computes may depend on the others in the last bits.
        """
        width = self.width or max(len(members), 1)
        yield from self._run(members, width, callback or Callback(), with_rates, is_finished)

    def _run(self, members, width, callback, with_rates, is_finished):
        """Group by group, and where memory is short in groups of half the width."""
        while members:
            count = fitting(members, width, self._devices.parts)
            some, members = members[:count], members[count:]
            if all(map(is_finished, some)):
                continue
            group = Group(some, with_rates, self._devices)
            if group.width > 1 and self._memory(group) > self.max_memory:
                half = -(-group.width // 2)
                yield from self._run(some, half, callback, with_rates, is_finished)
            else:
                yield from self._run_group(group, callback)

    def description(self, member: Member) -> dict[str, Any]:
        """All that decides what a member's run computes."""
        return {
            "workload": self.workload.name,
            "optimizer": member.optimizer.label,
            "varied": dict(member.hyperparameters),
            "phase": member.phase,
            "seed": member.seed,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "schedule": self.schedule,
        }

    def identity(self, optimizer: OptimizerSpec) -> dict[str, str]:
        """Digests of what an optimizer's runs are made of, by name.

        They are of the code of model, loss, accuracy and factory with what that code refers to,
        of the parameters' shapes and of the data. What cannot be read has a text that is never
        the same again; see `identity.check_identified`.
        """
        if optimizer not in self._optimizers:
            entry = optimizer.entry
            how = entry.scheduled, entry.takes_schedule, entry.evaluated_at
            of = entry.factory, optimizer.hyperparameters, *how
            self._optimizers[optimizer] = identified(optimizer.label, *of)
        return {**self._identity, "optimizer": self._optimizers[optimizer]}

    def _run_group(self, group, callback):
        progress = self._trained(group, callback)
        evaluated = self._evaluated(group, progress.model, progress.optimizers)
        final = {}
        for name in self._chunks:
            final |= self._evaluate(group, evaluated, name)
        compile_seconds, self._compile_seconds = self._compile_seconds, 0.0

        def of_member(i, metrics):
            return {name: float(values[i]) for name, values in metrics.items()}

        for i, member in enumerate(group.members):
            rows = [of_member(i, metrics) for metrics in progress.curve]
            first_losses = [row.pop("first_loss") for row in rows]
            counts = [count for rates in progress.rates if (count := rates[i]) is not None]
            yield History(
                member,
                first_losses[0],
                rows,
                counts or None,
                of_member(i, final),
                progress.seconds / len(group.members),
                compile_seconds,
            )

    def _trained(self, group, callback):
        """The group's progress after its last epoch."""
        if self._checkpoints is None:
            return self._train_on(group, callback, self._begun(group), None)
        from adaptive_jax.lab.training.checkpoints import ProgressCheckpoints  # imports Orbax

        runs = [self.description(member) for member in group.members]
        config = {"examples": self.examples, "on_nonfinite": self._on_nonfinite, "runs": runs}
        every = self._checkpoint_every
        with ProgressCheckpoints(self._checkpoints, config, every, self.epochs) as checkpoints:
            begun = checkpoints.last(self._begun(group))
            return self._train_on(group, callback, begun, checkpoints)

    def _train_on(self, group, callback, progress, checkpoints):
        def tell(number, point):
            shown = {k: np.asarray(v) for k, v in point.items() if k != "first_loss"}
            callback.on_epoch(Epoch(self.workload.name, group.members, number, shown))

        for number, point in enumerate(progress.curve, 1):
            tell(number, point)
        while len(progress.curve) < self.epochs and not self._ends(progress):
            progress = self._next(group, progress)
            policy = None if progress.finite(-1) else self._on_nonfinite
            if policy == "restore" and checkpoints is not None:
                whole = checkpoints.last(self._begun(group))
                progress = progress._replace(model=whole.model, optimizers=whole.optimizers)
            if checkpoints is not None and policy != "stop":
                checkpoints.keep(progress)
            tell(len(progress.curve), progress.curve[-1])
        return progress

    def _ends(self, progress):
        """Whether a policy ends the run before its last epoch."""
        last = _ENDS_AFTER.get(self._on_nonfinite)
        epochs = len(progress.curve)
        return (
            last is not None and epochs >= last and not any(map(progress.finite, range(-last, 0)))
        )

    def _begun(self, group):
        model, optimizers = self._start(group)
        return Progress(model, optimizers, [], [], 0.0)

    def _next(self, group, progress):
        """The progress an epoch later."""
        states = progress.model, progress.optimizers
        inputs = self._epoch_inputs(group, *states, len(progress.curve) + 1)
        program = self._epoch_program(group, inputs)
        began = time.perf_counter()
        model, optimizers, metrics, histograms = jax.block_until_ready(program(*inputs))
        seconds = progress.seconds + time.perf_counter() - began
        evaluated = self._evaluated(group, model, optimizers)
        point = group.by_member(metrics) | self._evaluate(group, evaluated, "validation")
        point = {name: values.tolist() for name, values in point.items()}
        curve, rates = [*progress.curve, point], [*progress.rates, group.rates(histograms)]
        return Progress(model, optimizers, curve, rates, seconds)

    # The compiled programs, and what they are called with.

    def _compile(self, name, fn, specs, args, donate=()):
        """`fn` compiled for the shapes of `args`; if that is new, the time it takes is counted."""
        shapes = tuple((x.shape, x.dtype) for x in jax.tree.leaves(args))
        key = (name, jax.tree.structure(args), shapes)
        if key not in self._compiled:
            began = time.perf_counter()
            inputs, outputs = specs
            jitted = self._devices.jit(fn, inputs, outputs, donate)
            self._compiled[key] = jitted.lower(*args).compile()
            self._compile_seconds += time.perf_counter() - began
        return self._compiled[key]

    def _call(self, name, fn, specs, *args):
        return self._compile(name, fn, specs, args)(*args)

    def _start(self, group):
        # One model at a time and for distinct seeds only: vmapped, this took twice as long to
        # compile, and much of a short comparison is compilation.
        init = self.programs.init
        models = [self._call("init", init, _INIT, seed) for seed in group.distinct]
        start = functools.partial(self.programs.start, group.blocks)
        args = models, group.which, group.hypers
        return self._call(("start", group.blocks), start, _START, *args)

    def _epoch_inputs(self, group, model, optimizers, number):
        return model, optimizers, group.hypers, group.seeds, np.int32(number - 1), self._train

    def _epoch_program(self, group, inputs):
        fn = functools.partial(self.programs.epoch, group.blocks, group.with_rates)
        name = ("epoch", group.blocks, group.with_rates)
        return self._compile(name, fn, _EPOCH, inputs, donate=(0, 1))

    def _evaluated(self, group, model, optimizers):
        if not any(self.programs.evaluated_at(block.optimizer) for block in group.blocks):
            return model
        fn = functools.partial(self.programs.evaluated, group.blocks)
        args = model, optimizers, self._train
        return self._call(("evaluated", group.blocks), fn, _EVALUATED, *args)

    def _evaluate(self, group, model, name):
        """Mean loss and accuracy of every member on a split, its model in eval mode."""
        totals = [
            self._call("evaluate", self.programs.evaluate, _EVALUATE, model, *chunk)
            for chunk in self._chunks[name]
        ]
        totals = map(group.by_member, totals)
        sums = jax.tree.map(lambda *parts: np.sum(parts, axis=0), *totals)
        count = self.examples[name]
        return {f"{name}_{metric}": value / count for metric, value in sums.items()}

    def _memory(self, group):
        """Bytes that an epoch or an evaluation of a group takes on a device; compiles them."""
        model = jax.eval_shape(self.programs.init, group.distinct[0])
        start = self._devices.jit(functools.partial(self.programs.start, group.blocks), *_START)
        models = [model] * len(group.distinct)
        model, optimizers = jax.eval_shape(start, models, group.which, group.hypers)
        epoch = self._epoch_program(group, self._epoch_inputs(group, model, optimizers, 1))
        args = (model, *self._chunks["validation"][0])
        evaluation = self._compile("evaluate", self.programs.evaluate, _EVALUATE, args)
        return max(map(_bytes_of, (epoch, evaluation)))


# Which arguments and results of the programs have an axis of members.
_INIT = (WHOLE,), WHOLE
_START = (WHOLE, MEMBERS, MEMBERS), MEMBERS
_EPOCH = (MEMBERS, MEMBERS, MEMBERS, MEMBERS, WHOLE, WHOLE), MEMBERS
_EVALUATED = (MEMBERS, MEMBERS, WHOLE), MEMBERS
_EVALUATE = (MEMBERS, WHOLE, WHOLE), MEMBERS


def _placement(devices, per_batch):
    if len(devices) % per_batch:
        raise ValueError(
            f"devices_per_batch must divide the number of devices, got {per_batch} and "
            f"{len(devices)}"
        )
    return OneDevice() if len(devices) == 1 else Grid(devices, per_batch)


def default_max_memory() -> int:
    """Half the device's memory; a CPU's is its share of what the machine or its container may use.

    Not of what is free at the moment: so the same run has the same groups another time.
    """
    statistics = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in statistics:
        return statistics["bytes_limit"] // 2
    limit = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError):  # no such file, or "max" in it
        limit = min(limit, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return limit // 2 // jax.local_device_count()


def _bytes_of(program):
    memory = program.memory_analysis()
    if memory is None:  # some backends do not say
        return 0
    sizes = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
    return sizes - memory.alias_size_in_bytes


def _chunks(split: Split, size: int):
    """The split in parts of one size, with weights that are 0 on what fills up the last."""
    for start in range(0, len(split.targets), size):
        part = jax.tree.map(lambda x, start=start: x[start : start + size], split)
        missing = size - len(part.targets)
        weights = np.repeat(np.array([1, 0], np.float32), [len(part.targets), missing])
        fill = jax.tree.map(lambda x, n=missing: x[np.zeros(n, int)], part)
        yield jax.tree.map(lambda x, f: np.concatenate([x, f]), part, fill), weights
