"""Makes notebooks with their pictures from their texts: `python scripts/notebooks.py [NAME …]`.

The sources are `notebooks/*.py`, in jupytext's percent format, whose differences can be read.
Beside each this writes the `.ipynb` that readers open, executed from top to bottom. It holds
nothing that would differ another time for no reason: no random ids, no times but those of runs
in a comparison's table.
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
    """The notebook of a text, without outputs."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(_METADATA)
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"cell-{number}"
    return notebook


@contextlib.contextmanager
def kernel(**environment: str) -> Iterator[KernelManager]:
    """A running kernel in the folder of the notebooks, on this copy of the package.

    Args:
      **environment: variables for the kernel.
    """
    with tempfile.TemporaryDirectory() as folder:
        # By files, not by ports, which another test might take in the same moment.
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
    """Runs all cells in a kernel, and gives this copy of the notebook their outputs.

    Raises:
      nbclient.exceptions.CellExecutionError: a cell raises.
    """
    client = NotebookClient(
        notebook, km=manager, timeout=600, record_timing=False, coalesce_streams=True
    )
    try:
        client.execute()
    finally:
        client.kc.stop_channels()  # nbclient leaves them open to a kernel that it has not started
    notebook.metadata = nbformat.from_dict(_METADATA)  # the kernel has told its versions


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
