"""Notebooks: what is committed is made from the texts, and every cell runs."""

import base64

import nbformat
import pytest

from scripts.notebooks import SOURCES, converted, execute, kernel

every_notebook = pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)


def cells(notebook):
    return [(cell.id, cell.cell_type, cell.source) for cell in notebook.cells]


# Nearly all run in one kernel, which imports JAX and Flax only once. Each finds an empty namespace
# and Matplotlib's own settings.
ANEW = """%reset -f
import matplotlib.pyplot
matplotlib.pyplot.close("all")
matplotlib.rcdefaults()
del matplotlib"""


SETTINGS = {"ADAPTIVE_JAX_SMALL": "1", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}


@pytest.fixture(scope="module")
def shared_kernel():
    with kernel(**SETTINGS) as manager:
        yield manager


@every_notebook
def test_runs(source, shared_kernel):
    notebook = converted(source)
    if "jax_num_cpu_devices" in source.read_text():  # to be set before JAX starts
        with kernel(**SETTINGS) as manager:
            execute(notebook, manager)
    else:
        execute(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(ANEW)]), shared_kernel)
        execute(notebook, shared_kernel)
    assert_sound(notebook)


@every_notebook
def test_what_is_committed_is_the_text_executed(source):
    committed = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    nbformat.validate(committed)
    assert cells(committed) == cells(converted(source)), "run python scripts/notebooks.py"
    counts = [cell.execution_count for cell in committed.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    assert_sound(committed)


def assert_sound(notebook):
    """Pictures of which none is too large, no warnings, and nothing shown by its address."""
    assert pictures(notebook) and max(map(len, pictures(notebook))) < 300_000
    assert not [out for out in outputs(notebook) if out.get("name") == "stderr"]
    texts = [out.get("data", {}).get("text/plain", "") for out in outputs(notebook)]
    assert not [text for text in texts if " at 0x" in text]


def outputs(notebook):
    return [out for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs]


def pictures(notebook):
    found = [out.get("data", {}).get("image/png") for out in outputs(notebook)]
    return [base64.b64decode(picture) for picture in found if picture]
