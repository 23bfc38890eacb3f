"""Follows notebooks/docs/adding_an_optimizer.md in a copy of the repository."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests import test_pages

ROOT = Path(__file__).parent.parent
PAGE = "adding_an_optimizer"
# Of the families only the new one, or else every formula would be compiled beside its own.
COPIED = [
    "pyproject.toml",
    "tests/conftest.py",
    "tests/family.py",
    "tests/families/__init__.py",
    "tests/reference/trajectories.json",
    "tests/reference/trajectories.npz",
    "tests/test_contract.py",
    "tests/test_docstrings.py",
    "tests/test_documentation.py",
    "tests/test_exactness.py",
]


def copy_repository(folder):
    for name in ("adaptive_jax", "notebooks/docs"):
        shutil.copytree(ROOT / name, folder / name)
    for name in COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)


def write_files(folder):
    """The blocks that are a file's content, or are to be put at its end."""
    for block in filter(test_pages.is_file, test_pages.blocks(PAGE)):
        name, end, content = re.match(r"\s*# ([\w/.]+)(, at the end)?\n(.*)", block, re.S).groups()
        path = folder / name
        assert path.exists() == bool(end), f"{name} is there, or is not"
        before = path.read_text(encoding="utf-8") + "\n\n" if end else ""
        path.write_text(before + content, encoding="utf-8")


def apply_changes(folder):
    """The lines with + to where the lines without it are."""
    text = test_pages.text_of(PAGE)
    for name, lines in re.findall(r"^--- (.+)\n((?:[ +].*\n)+)", text, re.M):
        after = [line[1:] + "\n" for line in lines.splitlines()]
        before = [line[1:] + "\n" for line in lines.splitlines() if line[0] == " "]
        path = folder / name
        source = path.read_text(encoding="utf-8")
        assert source.count("".join(before)) == 1, f"{name} does not have {before} once"
        path.write_text(source.replace("".join(before), "".join(after)), encoding="utf-8")


def test_a_new_optimizer_keeps_the_contract(tmp_path):
    copy_repository(tmp_path)
    write_files(tmp_path)
    apply_changes(tmp_path)
    paths = ["tests", "adaptive_jax/methods/nosadam.py"]
    chosen = "nosadam or docstrings or reference_once"
    command = [sys.executable, "-m", "pytest", *paths, "-k", chosen, "-q", "-p", "no:xdist"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"contract: 2\d properties, \d+ checks, 0 failures", done.stdout)
