"""The folder where JAX keeps what it compiled, for other processes and for later runs."""

import contextlib
from pathlib import Path


def bound(folder: Path, most: int) -> None:
    """Deletes a folder's oldest files if it holds more than `most` bytes, down to half of that.

    Processes that use the folder compile what they no longer find.
    """
    with contextlib.suppress(FileNotFoundError):  # no folder yet, or another run deletes as well
        oldest_first = sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime)
        sizes = [file.stat().st_size for file in oldest_first]
        total = sum(sizes)
        if total > most:
            for file, size in zip(oldest_first, sizes, strict=True):
                if total <= most / 2:
                    break
                file.unlink()
                total -= size
