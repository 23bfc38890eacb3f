"""A population: members of one workload that train side by side."""

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np

from adaptive_jax.lab.training.batches import on_devices, sources
from adaptive_jax.lab.training.callbacks import Callback, Epoch
from adaptive_jax.lab.training.compilation import keep_programs
from adaptive_jax.lab.training.config import SCHEDULES, Member, OptimizerSpec
from adaptive_jax.lab.training.devices import arrange, default_max_memory, device_name
from adaptive_jax.lab.training.execution import Execution
from adaptive_jax.lab.training.groups import Group, Shape, fitting
from adaptive_jax.lab.training.history import History, histories
from adaptive_jax.lab.training.identity import identified, of_workload
from adaptive_jax.lab.training.loop import Recovery, train_group
from adaptive_jax.lab.training.network import ModelState, Network
from adaptive_jax.lab.training.programs import Programs
from adaptive_jax.lab.training.updates import Updates
from adaptive_jax.lab.workloads.checks import canonical, check_workload
from adaptive_jax.lab.workloads.models import as_model
from adaptive_jax.lab.workloads.workload import Data, Split, Workload
from adaptive_jax.typing import Device

# What batch statistics are computed of: enough examples that they are exact to a few percent
# (Wu & Johnson 2021, arXiv 2105.07576, section 3.2), or, where they follow a model's own rule, as
# many batches as a running statistic with momentum 0.9 takes to forget its past.
_EXAMPLES, _BATCHES = 1000, 50
# The floating-point operations in the time in which a group's programs are compiled, about: on an
# accelerator, and on a CPU.
_SPARE = 1e13, 2e11


class Population:
    """Trains members of one workload side by side, as many at a time as memory allows.

    A member is an optimizer, its hyperparameters and a seed. An epoch is one call of a compiled
    program: a `scan` over mini-batches in which one `vmap` computes the gradients of all members,
    whatever their optimizers, and then each optimizer updates its own members. So the network is
    compiled once for all optimizers, which for a small network is most of the time.
    scripts/benchmark_sweep.py compares this with a loop over jitted steps.

    On several devices, the members of each optimizer are divided into equal parts, and every
    device trains its own part under `shard_map`. (The last part may be padded with copies, whose
    results are dropped.) A member's results are the same to the bit on every device, as long as
    it trains beside the same number of members of each optimizer. Otherwise, as on another
    number of devices, its last bits may differ.

    Args:
      workload: The workload to train.
      data: Its data, from `workload.load`.
      epochs, batch_size: Default: the workload's own. A stream's batch size is its own.
      schedule: A name in `SCHEDULES`. Every update is multiplied by its value, unless the
        optimizer is one whose learning rate must not be scheduled (`Optimizer.scheduled`).
        Default: the workload's own.
      width: The number of members side by side on each device. Default: the workload's own on a
        CPU, elsewhere all of them.
      max_memory: The bytes that a compiled program may need on each device. A group that needs
        more is trained in halves. A single member is trained whatever it needs. Data that take
        more than half of it stay on the host, which sends each mini-batch when it is needed.
        Default: `default_max_memory()`.
      devices: The devices to train on. They may belong to several processes of
        `jax.distributed`, each of which then creates the same population and gets the same
        histories. Default: all devices.
      devices_per_batch: The number of devices that share the work on every batch of a member,
        with equal copies of its parameters and state. Default 1.

    Raises:
      DataError, ValueError: The data, the model and the loss do not fit one another, see
        `check_workload`.
      ValueError: `devices_per_batch` does not divide the number of devices.

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
        devices: Sequence[Device] | None = None,
        devices_per_batch: int = 1,
    ) -> None:
        keep_programs()
        check_workload(workload, data)
        devices = list(devices or jax.devices())
        self._devices = arrange(devices, devices_per_batch)
        self.device: str = device_name(devices)
        self.width = width or (workload.width if jax.default_backend() == "cpu" else None)
        self.max_memory = default_max_memory() if max_memory is None else max_memory

        splits = sources(workload.name, data, batch_size or workload.batch_size)
        train = splits["train"]
        self.examples: dict[str, int] = {name: split.examples for name, split in splits.items()}
        self.workload = workload
        self.epochs: int = epochs or workload.epochs
        self.batch_size: int = train.batch_size
        self.batch: Split = train.first(1)[0]
        self.steps: int = self.epochs * train.steps
        self.schedule: str = schedule or workload.schedule

        self._model = as_model(workload.model, jax.tree.map(canonical, self.batch.inputs))
        network = Network(workload, self._model, self._devices.shard)
        updates = Updates(network, SCHEDULES[self.schedule](self.steps))
        self.parameters: int = network.parameters
        self.programs = Programs(network, updates, self.batch_size)
        sample = -(-_EXAMPLES // self.batch_size) if network.has_averages else _BATCHES
        on_device = on_devices(splits, sample, self.max_memory / 2, self._devices)
        self._execution = Execution(self.programs, on_device, self._devices)
        self._identity = of_workload(workload, data, network.shapes)
        self._shapes: list[Shape] = []
        self._optimizer_identities: dict[OptimizerSpec, str] = {}

    def run(
        self,
        members: Sequence[Member],
        callback: Callback | None = None,
        with_rates: bool = False,
        is_finished: Callable[[Member], bool] = lambda member: False,
        recovery: Recovery | None = None,
    ) -> Iterator[History]:
        """Trains the members and yields each one's history when its group is finished.

        Args:
          members: The members, in the order in which their histories are wanted. Neighbors with
            the same optimizer and hyperparameter names are updated together. Where the programs of
            an earlier group have room for them, and training it in full takes less time than
            compiling, they are used again, and its other members train in vain.
          callback: Is called after each epoch.
          with_rates: Whether histories have `rates`.
          is_finished: Whether a member's history is not needed. A group is left out only if none
            of its histories is needed, because the last bits of each may depend on the others.
          recovery: The policy for interruptions and losses that are not finite. Default: no
            checkpoints, and training continues.
        """
        recovery = recovery or Recovery()
        width = self.width or max(len(members), 1)
        skips = recovery.on_nonfinite == "skip"
        for group in self._groups(members, width, with_rates, skips, is_finished):
            yield from self._train(group, callback or Callback(), recovery)

    def initial_model(self, seed: int) -> ModelState:
        """Returns the variables of the network that a seed initializes."""
        return self._execution.initial_model(np.int32(seed))

    def description(self, member: Member) -> dict[str, Any]:
        """Returns the settings that decide what a member's run computes."""
        return {
            "workload": self.workload.name,
            "optimizer": member.optimizer.label,
            "varied": member.varied,
            "phase": member.phase,
            "seed": member.seed,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "schedule": self.schedule,
            **({"study": member.study} if member.study else {}),
        }

    def identity(self, optimizer: OptimizerSpec) -> dict[str, str]:
        """Returns digests of everything that an optimizer's runs consist of, by name.

        They cover the code of the model, loss, accuracy and factory with all that it refers to,
        the shapes of the parameters, and the data. In place of a digest of something that cannot
        be read there is a unique text, see `identity.check_identified`.
        """
        if optimizer not in self._optimizer_identities:
            entry = optimizer.entry
            treatment = entry.scheduled, entry.takes_schedule, entry.evaluated_at
            parts = entry.factory, optimizer.hyperparameters, *treatment
            self._optimizer_identities[optimizer] = identified(optimizer.label, *parts)
        return {**self._identity, "optimizer": self._optimizer_identities[optimizer]}

    def _groups(self, members, width, with_rates, skips, is_finished):
        """Yields groups of at most `width` in each part, and of less where memory is short."""
        while members:
            count = fitting(members, width, self._devices.parts)
            chosen, members = members[:count], members[count:]
            shape = self._shape(chosen)
            if all(map(is_finished, chosen)):
                continue
            group = Group(chosen, shape, with_rates, skips, self._devices)
            own = Shape.of(chosen, self._devices.parts).width
            if own > 1 and self._execution.memory(group) > self.max_memory:
                self._shapes.remove(shape)
                half = -(-own // 2)
                yield from self._groups(chosen, half, with_rates, skips, is_finished)
            else:
                yield group

    def _shape(self, members):
        """Returns the shape for members: an earlier one if its spare room costs little to train.

        The choice depends on nothing but the members of all calls so far, finished ones included.
        So a comparison that is resumed has the same groups, and its runs the same last bits.
        """
        parts = self._devices.parts
        own = Shape.of(members, parts)
        for shape in sorted(self._shapes, key=lambda shape: shape.width):
            spare = (shape.width - own.width) * parts
            if shape.places(members, parts) is not None and self._is_cheap(spare):
                return shape
        self._shapes.append(own)
        return own

    def _is_cheap(self, runs):
        """Returns whether so many runs take less time than the compilation of a group."""
        return not runs or runs * self._operations < _SPARE[jax.default_backend() == "cpu"]

    @functools.cached_property
    def _operations(self):
        """The floating-point operations of a run, about."""
        network = Network(self.workload, self._model, lambda batch: batch)
        batch = jax.tree.map(canonical, self.batch)
        analysis = jax.jit(network.eval_scores).lower(network.shapes, batch).cost_analysis()
        # A gradient takes about twice the operations of the model.
        return 3 * self.steps * (analysis or {}).get("flops", math.inf)

    def _train(self, group, callback, recovery):
        """Trains a group and yields its members' histories."""

        def on_epoch(number, metrics):
            arrays = {k: np.asarray(v) for k, v in metrics.items() if k != "first_loss"}
            callback.on_epoch(Epoch(self.workload.name, group.members, number, arrays))

        for member in group.members:
            callback.on_run_begin(self.workload.name, member)
        with self._checkpoints(group, recovery) as checkpoints:
            policy = recovery.on_nonfinite
            progress = train_group(
                self._execution, group, self.epochs, policy, checkpoints, on_epoch
            )
        states = progress.model, progress.optimizers
        final = self._execution.evaluate(group, *states, list(self.examples))
        compile_seconds = self._execution.compiler.take_seconds()
        for history in histories(group, progress, final, compile_seconds):
            callback.on_run_end(self.workload.name, history)
            yield history

    def _checkpoints(self, group, recovery):
        """Returns a context with the group's checkpoints, or with None if there are none."""
        if recovery.checkpoints is None:
            return contextlib.nullcontext()
        from adaptive_jax.lab.training.checkpoints import ProgressCheckpoints  # imports Orbax

        runs = [self.description(member) for member in group.members]
        policy = recovery.on_nonfinite
        config = {"examples": self.examples, "on_nonfinite": policy, "runs": runs}
        return ProgressCheckpoints(recovery.checkpoints, config, recovery.every, self.epochs)
