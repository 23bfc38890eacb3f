"""A progress bar for the terminal and notebooks, and plain lines elsewhere."""

import sys
import time
from types import TracebackType
from typing import Any, Self, TextIO

from adaptive_jax.lab.training.callbacks import Callback, Epoch

_SECONDS = 10.0  # between two lines


class ProgressBar(Callback):
    """Shows the progress of training, with the time left: a bar for each workload.

    In a terminal and in a notebook it is a bar; elsewhere, as in a log file, a line every ten
    seconds and one at the end. The time left follows from the mean speed so far, which includes
    compilation. Use it as a context, so that the bar ends with the training:

        with ProgressBar() as bar:
            comparison = compare("digits_cnn", callback=bar)

    Args:
      file: where to write. Default: `sys.stderr`.
      enabled: False shows nothing, as for all processes but the first. Default: True.

    >>> from adaptive_jax.lab.training import RunConfig, train
    >>> with ProgressBar(sys.stdout) as bar:
    ...     _ = train(RunConfig("noisy_quadratic", "sgd"), bar)
    noisy_quadratic: 1 of 1 epochs
    """

    def __init__(self, file: TextIO | None = None, enabled: bool = True):
        from rich.console import Console

        self._console = Console(file=sys.stderr if file is None else file)
        self._enabled = enabled
        self._totals: dict[str, list[int]] = {}  # workload -> epochs done and planned
        self._started = self._shown = time.monotonic()
        self._bars, self._tasks = None, {}
        if self._console.is_terminal or self._console.is_jupyter:
            self._bars = _bars(self._console, enabled)

    def __enter__(self) -> Self:
        if self._bars:
            self._bars.start()
        self._started = self._shown = time.monotonic()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bars:
            self._bars.stop()
        else:
            for workload in self._totals:
                self._print(workload)

    def on_plan(self, workload: str, epochs: int) -> None:
        done, planned = self._totals.setdefault(workload, [0, 0])
        self._totals[workload] = [done, planned + epochs]
        if self._bars:
            if workload not in self._tasks:
                self._tasks[workload] = self._bars.add_task(workload, total=0, unit="compiling")
            self._bars.update(self._tasks[workload], total=planned + epochs)

    def on_epoch(self, epoch: Epoch) -> None:
        done, planned = self._totals.setdefault(epoch.workload, [0, 0])
        done += len(epoch.members)
        self._totals[epoch.workload] = [done, planned]
        if self._bars:
            self._bars.update(self._tasks[epoch.workload], completed=done, unit="epochs")
        elif time.monotonic() - self._shown >= _SECONDS:
            self._shown = time.monotonic()
            per_epoch = (self._shown - self._started) / max(self._count(0), 1)
            minutes, seconds = divmod(round(per_epoch * (self._count(1) - self._count(0))), 60)
            self._print(epoch.workload, f", {minutes}:{seconds:02d} left")

    def _print(self, workload, end=""):
        if self._enabled:
            done, planned = self._totals[workload]
            # Not through Rich, which would break a long line.
            print(f"{workload}: {done} of {planned} epochs{end}", file=self._console.file)

    def _count(self, which):
        return sum(counts[which] for counts in self._totals.values())


def _bars(console, enabled) -> Any:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]},"),
        TimeElapsedColumn(),
        TextColumn("elapsed,"),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=console,
        # A short window would leave compilation out of the estimate.
        speed_estimate_period=3600,
        disable=not enabled,
    )
