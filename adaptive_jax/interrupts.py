"""Lets Ctrl-C end the command line without a traceback while it is still importing.

At that time there is nothing to clean up. This module is imported first, because importing JAX
takes most of the first second. It does nothing in a process that is not the command line.
"""

import signal
import sys
from pathlib import Path


def _is_command_line() -> bool:
    script = Path(sys.argv[0]).stem if sys.argv else ""
    pairs = zip(sys.orig_argv, sys.orig_argv[1:], strict=False)
    return script == "adaptive-jax" or ("-m", "adaptive_jax.lab.cli") in pairs


if _is_command_line() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
