"""The command line `adaptive-jax`: list, train, compare, surfaces; a file each.

Each command imports its packages when it runs, so that an unknown option is refused before Flax and
Matplotlib are imported.
"""

import contextlib
import importlib.metadata
import io
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

try:
    import tyro
except ModuleNotFoundError:
    needs = "the command line needs more packages: pip install 'adaptive_jax[lab]'"
    print(f"adaptive-jax: error: {needs}", file=sys.stderr)
    raise SystemExit(2) from None

from adaptive_jax.lab.cli import compare, listing, surfaces, train
from adaptive_jax.lab.cli.common import UsageError, interruptible
from adaptive_jax.lab.cli.compare import Compare
from adaptive_jax.lab.cli.listing import List
from adaptive_jax.lab.cli.surfaces import Surfaces
from adaptive_jax.lab.cli.train import Train
from adaptive_jax.lab.files import one_line
from adaptive_jax.validation import near_misses

_DESCRIPTION = (
    "Adaptive optimizers for JAX: list them, train with one, compare several. --version prints the "
    "version, --tyro-print-completion {bash,zsh,tcsh} completions for a shell."
)
_COMMANDS = ("list", "train", "compare", "surfaces")
_MESSAGE_SHOWN = 2000  # characters of an error


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Returns:
      The exit status: 0, 2 for an error of one line on stderr, or 128 plus the number of the
      signal that stopped the command, such as 130 for Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name may have what the encoding lacks
            stream.reconfigure(errors="backslashreplace")
    with interruptible():
        try:
            status = _run(argv)
            sys.stdout.flush()
        except KeyboardInterrupt as stop:
            return 128 + (stop.args[0] if stop.args else signal.SIGINT)
        except BrokenPipeError:  # the reader closed the pipe, such as `head`
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 128 + getattr(signal, "SIGPIPE", 13)
        except (UsageError, OSError) as error:
            message = str(error)
            if isinstance(error, OSError) and error.strerror:
                message = ": ".join(map(str, filter(None, (error.filename, error.strerror))))
            with contextlib.suppress(OSError):  # the terminal may be gone
                shown = one_line(message)[:_MESSAGE_SHOWN]
                print(f"adaptive-jax: error: {shown}", file=sys.stderr)
            return 2
    return status


def _run(argv):
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv == ["--version"]:
        print(f"adaptive-jax {importlib.metadata.version('adaptive_jax')}")
        return 0
    if argv and argv[0] not in _COMMANDS and not argv[0].startswith("-"):
        raise UsageError(f"no command {argv[0]!r}: {near_misses(argv[0], _COMMANDS)}")
    command = tyro.cli(
        List | Train | Compare | Surfaces,
        args=argv,
        prog="adaptive-jax",
        description=_DESCRIPTION,
    )
    for name, value in vars(command).items():
        if isinstance(value, (str, Path)) and "\0" in str(value):
            raise UsageError(f"--{name.replace('_', '-')} must have no NUL, got {str(value)!r}")
    commands = {
        List: listing.run,
        Train: train.run,
        Compare: compare.run,
        Surfaces: surfaces.run,
    }
    return commands[type(command)](command)
