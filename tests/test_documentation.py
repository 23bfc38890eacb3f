"""The README, the pages and the API reference: complete, and built without a warning."""

import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import adaptive_jax
from tests.test_docstrings import PUBLIC

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "notebooks" / "docs"


def documented():
    """Every object that a directive of the reference names, as (name, object)."""
    for page in sorted((DOCS / "api").glob("*.rst")):
        module = ""
        for kind, name in re.findall(r"^\.\. (\w+):: (\S+)$", page.read_text(), re.MULTILINE):
            if kind == "currentmodule":
                module = name
            elif kind.startswith("auto") and kind != "automodule":
                where, _, last = (f"{module}.{name}" if "." not in name else name).rpartition(".")
                yield last, getattr(importlib.import_module(where), last)
    for room in ("methods", "stages", "wrappers"):  # listed by conf.py
        for file in pkgutil.iter_modules(importlib.import_module(f"adaptive_jax.{room}").__path__):
            module = importlib.import_module(f"adaptive_jax.{room}.{file.name}")
            for name in module.__all__:
                yield name, getattr(module, name)


def test_every_public_name_is_in_the_reference_once():
    found = [(name, id(value)) for name, value in documented()]
    assert len(found) == len(set(found)), sorted(n for n, i in found if found.count((n, i)) > 1)
    wanted = {(name.rpartition(".")[2], id(value)): name for name, value in PUBLIC.items()}
    assert not {wanted[key] for key in set(wanted) - set(found)}


@pytest.mark.parametrize("room", ["methods", "stages", "wrappers"])
def test_every_module_exports_what_it_lists(room):
    """In `adaptive_jax`, which imports `*` from each of them."""
    for file in pkgutil.iter_modules(importlib.import_module(f"adaptive_jax.{room}").__path__):
        module = importlib.import_module(f"adaptive_jax.{room}.{file.name}")
        for name in module.__all__:
            assert getattr(adaptive_jax, name) is getattr(module, name), name


def test_every_page_is_in_the_table_of_contents():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    listed = " ".join(re.findall(r"```{toctree}(.*?)```", index, re.DOTALL)).split()
    pages = {path.stem for path in DOCS.glob("*.md")} - {"index"}
    pages |= {f"api/{path.stem}" for path in DOCS.glob("api/*.rst")}
    pages |= {f"../{path.stem}" for path in DOCS.parent.glob("*.ipynb")}
    assert pages <= set(listed)


@pytest.mark.parametrize(
    "page", [ROOT / "README.md", *sorted(DOCS.glob("*.md"))], ids=lambda page: page.stem
)
def test_links_and_files_exist(page):
    text = page.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / link).exists(), link
    for path in re.findall(r"`((?:[\w.]+/)+[\w.]*)`", text):
        assert (ROOT / path).exists(), path
    assert not re.search("^%", text, re.MULTILINE), "a line that MyST takes for a comment"


def test_the_site_is_built_without_warnings(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", str(DOCS)]
    done = subprocess.run(
        [*command, str(DOCS.parent), str(tmp_path)], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "docs" / "api" / "stages.html").read_text(encoding="utf-8")
    assert 'id="adaptive_jax.bound_lr"' in page and "https://arxiv.org/abs/1902.09843" in page
