"""Builds and executes the notebooks from their sources: `python scripts/notebooks.py [NAME …]`.

The sources are `notebooks/*.py` in jupytext's percent format, which gives readable diffs. For each
source, this script writes the `.ipynb` next to it, executed from top to bottom. Its contents are
reproducible: there are no random ids, and no times except those of runs in a comparison's table.
"""

import argparse
import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import jupytext
import nbformat
from jupyter_client import KernelManager
from nbclient import NotebookClient

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "notebooks").glob("*.py"))
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def converted(source: Path) -> nbformat.NotebookNode:
    """Converts a source to a notebook without outputs."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(_METADATA)
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"cell-{number}"
    return notebook


@contextlib.contextmanager
def kernel(**environment: str) -> Iterator[KernelManager]:
    """Starts a kernel in the folder of the notebooks that uses this copy of the package.

    Args:
      **environment: variables for the kernel.
    """
    with tempfile.TemporaryDirectory() as folder:
        # IPC uses files instead of ports, which another test might take at the same time.
        manager = KernelManager(transport="ipc", ip=f"{folder}/kernel")
        manager.start_kernel(
            cwd=str(ROOT / "notebooks"),
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        )
        try:
            yield manager
        finally:
            manager.shutdown_kernel(now=True)


def execute(notebook: nbformat.NotebookNode, manager: KernelManager) -> None:
    """Runs all cells in a kernel and writes their outputs to the notebook.

    Raises:
      nbclient.exceptions.CellExecutionError: a cell raises.
    """
    client = NotebookClient(
        notebook, km=manager, timeout=600, record_timing=False, coalesce_streams=True
    )
    try:
        client.execute()
    finally:
        client.kc.stop_channels()  # nbclient does not close them if it did not start the kernel
    notebook.metadata = nbformat.from_dict(_METADATA)  # omits the kernel's versions


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [source.stem for source in SOURCES]
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}")
    chosen = parser.parse_args().names or names
    if unknown := set(chosen) - set(names):
        parser.error(f"no notebook {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    for source in SOURCES:
        if source.stem in chosen:
            began = time.perf_counter()
            notebook = converted(source)
            with kernel() as manager:
                execute(notebook, manager)
            nbformat.write(notebook, source.with_suffix(".ipynb"))
            print(f"{source.stem}: {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
