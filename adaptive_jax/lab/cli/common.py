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
    """Shows progress on stderr; yields the callback that advances it.

    With several processes only the first shows it.
    """
    import jax

    from adaptive_jax.lab.training import Callbacks, ProgressBar
    from adaptive_jax.lab.training.records import FolderError
    from adaptive_jax.lab.workloads import DataError

    try:
        with ProgressBar(enabled=jax.process_index() == 0) as bar:
            yield Callbacks(bar, *callbacks)
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
