"""The wheel holds the whole package and no more, and its types hold."""

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

import adaptive_jax

ROOT = Path(__file__).parent.parent


def files(folder):
    """Names below the repository's root of what is in one of its folders."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder where `python -m build` has put an sdist and the wheel made of that."""
    for module in ("build", "hatchling"):
        pytest.importorskip(module, reason=f"{module} comes with the extra `test`")
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    shutil.copytree(
        ROOT, source, ignore=shutil.ignore_patterns(".*", "__pycache__"), dirs_exist_ok=True
    )
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_the_wheel_holds_the_package_and_nothing_else(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        info = f"adaptive_jax-{adaptive_jax.__version__}.dist-info"
        metadata = HeaderParser().parsestr(archive.read(f"{info}/METADATA").decode())
    about = {name for name in names if name.startswith(f"{info}/")}
    assert names - about == files("adaptive_jax")
    assert {"adaptive_jax/py.typed", f"{info}/licenses/LICENSE"} <= names
    assert metadata["Name"] == "adaptive_jax"
    assert metadata["License-Expression"] == "Apache-2.0"
    needed = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert [re.match(r"\w+", line)[0] for line in needed] == ["jax", "optax"]


def test_the_sdist_holds_the_sources_and_the_tests(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    for folder in ("adaptive_jax", "tests", "notebooks", "scripts"):
        assert files(folder) <= names
    assert {"README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "pyproject.toml"} <= names


def test_types():
    """Types of the package, and of a user's code that calls it."""
    pytest.importorskip("pyright", reason="pyright comes with the extra `test`")
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_changelog_and_citation_name_this_version():
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## ([\d.]+)", changelog, re.MULTILINE)[1] == adaptive_jax.__version__
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.+)$", citation, re.MULTILINE)[1] == adaptive_jax.__version__
