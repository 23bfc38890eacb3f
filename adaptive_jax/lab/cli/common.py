"""Helpers of the commands: errors of one line, interrupts, and progress bars."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import tyro


class UsageError(Exception):
    """An error of the user's input, with a message of one line."""


def shown_as(metavar: str):
    """Returns how help shows an option's value; its default is in the text of the option."""
    return tyro.conf.arg(metavar=metavar, help_behavior_hint="")


def check_logs(names: Sequence[str], *others: str) -> None:
    """Raises a usage error if a log is neither one of the others nor a file that ends in .csv."""
    for name in names:
        if name not in others and (not name.lower().endswith(".csv") or "\0" in name):
            either = f"{', '.join(others)} or " if others else ""
            raise UsageError(f"--log must be {either}a file whose name ends in .csv, got {name!r}")


def csv_logger(path: Path):
    """Returns a callback that writes every epoch of every run to a CSV file in a new folder."""
    from adaptive_jax.lab.training import CsvLogger

    make_folder(path.parent)
    return CsvLogger(path)


@contextlib.contextmanager
def usage_errors():
    """Converts a ValueError of a config to a usage error."""
    try:
        yield
    except ValueError as error:
        raise UsageError(error) from error


@contextlib.contextmanager
def disk_errors(path: Path, then: Callable[[], str] = lambda: ""):
    """Converts a failure to write to a path to a usage error, which ends with `then()`."""
    try:
        yield
    except BrokenPipeError:  # of stdout
        raise
    except OSError as error:
        where = error.filename or path
        raise UsageError(f"cannot write {where}: {error.strerror or error}{then()}") from error


@contextlib.contextmanager
def interruptible():
    """Converts SIGINT, SIGTERM and SIGHUP to a KeyboardInterrupt with the signal's number.

    An ignored signal, such as SIGHUP under nohup, stays ignored.
    """

    def interrupt(number, frame):
        raise KeyboardInterrupt(number)

    def send_again(event):
        """Sends a signal again that was lost where nothing can be raised, as in import hooks."""
        if isinstance(event.exc_value, KeyboardInterrupt) and event.exc_value.args:
            arguments = (os.getpid(), *event.exc_value.args)  # which wakes the main thread
            timer = threading.Timer(0.05, os.kill, arguments)
            timer.daemon = True
            timer.start()
        else:
            unraisable(event)

    before, unraisable = {}, sys.unraisablehook
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, interrupt)
    sys.unraisablehook = send_again
    try:
        yield
    finally:
        sys.unraisablehook = unraisable
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def progress(callbacks: Sequence = ()):
    """Shows a progress bar for each workload on stderr; yields the callback that advances them.

    With several processes only the first shows them.
    """
    import jax
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    from adaptive_jax.lab.training import Callback, Callbacks
    from adaptive_jax.lab.training.records import FolderError
    from adaptive_jax.lab.workloads import DataError

    class Bars(Callback):
        def __init__(self, bars):
            self._bars, self._tasks = bars, {}

        def on_plan(self, workload, epochs):
            if workload not in self._tasks:
                self._tasks[workload] = self._bars.add_task(workload, total=0, unit="compiling")
            task = self._tasks[workload]
            total = self._bars.tasks[task].total + epochs
            self._bars.update(task, total=total)

        def on_epoch(self, epoch):
            task = self._tasks[epoch.workload]
            self._bars.update(task, advance=len(epoch.members), unit="epochs")

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]},"),
        TimeElapsedColumn(),
        TextColumn("elapsed,"),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    # The estimate uses the mean speed so far, because a short window would omit compilation.
    bars = Progress(
        *columns,
        console=Console(stderr=True),
        speed_estimate_period=3600,
        disable=jax.process_index() > 0,
    )
    try:
        with bars:
            yield Callbacks(Bars(bars), *callbacks)
    except (DataError, FolderError) as error:
        raise UsageError(error) from error


def make_folder(path: Path) -> None:
    """Creates a folder if it is missing; a usage error says why it cannot."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {path}: {error.strerror}") from error


def console():
    """Returns a console that prints labels as they are, without markup."""
    from rich.console import Console

    return Console(markup=False, highlight=False, emoji=False)
