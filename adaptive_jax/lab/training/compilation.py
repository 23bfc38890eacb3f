"""The folder where compiled programs are kept, so that the next process need not compile them."""

import contextlib
import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache

from adaptive_jax.lab.files import bound
from adaptive_jax.lab.workloads.downloads import DataError, cache_dir

VARIABLE = "ADAPTIVE_JAX_PROGRAMS"
"""The environment variable that names another folder, or is "off"."""

_MOST_BYTES = 2**30  # of all programs


@functools.cache
def keep_programs() -> Path | None:
    """Makes JAX keep compiled programs on disk, and returns the folder.

    The folder is `programs` in the lab's cache folder, or `$ADAPTIVE_JAX_PROGRAMS`. If the variable
    is "off", the folder cannot be written to, or JAX was told where to keep programs or not to keep
    any, nothing changes and the result is None.

    JAX identifies a program by its code, its own version and the devices. A program that is read is
    the same to the bit as one that is compiled.
    """
    given = os.environ.get(VARIABLE, "")
    config: Any = jax.config  # whose attributes are made at run time
    is_set = config.jax_compilation_cache_dir is not None
    if is_set or not config.jax_enable_compilation_cache or given.lower() == "off":
        return None
    try:
        folder = Path(given).expanduser() if given else cache_dir() / "programs"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, DataError):
        return None
    if not os.access(folder, os.W_OK):
        return None
    bound(folder, _MOST_BYTES)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    compilation_cache.reset_cache()  # JAX looks at the setting once, in its first compilation
    return folder


@contextlib.contextmanager
def compiled_anew() -> Iterator[None]:
    """Compiles programs within this context and reads none, so that the time can be measured."""
    config: Any = jax.config
    enabled = config.jax_enable_compilation_cache
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()
    try:
        yield
    finally:
        jax.config.update("jax_enable_compilation_cache", enabled)
        compilation_cache.reset_cache()
