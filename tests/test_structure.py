"""The rooms: who may import whom, and what importing the package costs."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import adaptive_jax
from adaptive_jax import lab
from adaptive_jax.lab import files

PACKAGE = Path(adaptive_jax.__file__).parent
# From the ground up: a room may import from itself and from those before it.
ROOMS = (
    "interrupts",
    "typing",
    "numerics",
    "validation",
    "trees",
    "calls",
    "algebra",
    "matrices",
    "registry",
    "locks",
    "storage",
    "schedules",
    "stages",
    "methods",
    "wrappers",
    "presets",
    "diagnostics",
    "distributed",
    "checkpoint",
    "lab.files",
    "lab.workloads",
    "lab.training",
    "lab.statistics",
    "lab.comparison",
    "lab.analysis",
    "lab.report",
    "lab.results",
    "lab.surfaces",
    "lab.cli",
)
CORE = ROOMS[: ROOMS.index("diagnostics") + 1]
DOORS = ("__init__", "lab.__init__")
# Old path -> a new one that its ImportError names.
MOVED = {
    "cli": "adaptive_jax.lab.cli",
    "comparison": "adaptive_jax.lab.comparison",
    "optimizers": "adaptive_jax.methods",
    "statistics": "adaptive_jax.lab.statistics",
    "training": "adaptive_jax.lab.training",
    "transforms": "adaptive_jax.methods",
    "workloads": "adaptive_jax.lab.workloads",
}


def room_of(parts):
    """The room of a module below the package, given the parts of its path."""
    return ".".join(parts[: 2 if parts[0] == "lab" else 1])


def imports():
    """(file, room, imported module) of every import in the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        room = room_of(path.relative_to(PACKAGE).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path} has a relative import"
                modules = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            for module in modules:
                yield path, room, module


def test_every_file_is_in_a_room():
    assert {room for _, room, _ in imports()} <= {*ROOMS, *DOORS}


def test_imports_point_downwards():
    """So the core does not import the lab, nor what trains and compares what reports."""
    for path, room, module in imports():
        first, *parts = module.split(".")
        if first == "adaptive_jax" and room not in DOORS:
            assert room_of(parts) in ROOMS[: ROOMS.index(room) + 1], f"{path} imports {module}"


def test_the_core_imports_jax_and_optax_only():
    allowed = {"jax", "optax", "numpy", "adaptive_jax", *sys.stdlib_module_names}
    for path, room, module in imports():
        if room in (*CORE, *DOORS):
            assert module.split(".")[0] in allowed, f"{path} imports {module}"


def test_no_private_modules_of_others():
    for path, _, module in imports():
        if not module.startswith("adaptive_jax"):
            private = [part for part in module.split(".") if part.startswith("_")]
            assert not private or module.startswith("__future__"), f"{path} imports {module}"


@pytest.mark.parametrize("old", MOVED)
def test_an_old_path_names_the_new_one(old):
    (statement,) = ast.parse((PACKAGE / f"{old}.py").read_text(encoding="utf-8")).body
    assert isinstance(statement, ast.Raise)
    for module in (f"adaptive_jax.{old}", f"adaptive_jax.{old}.anything"):
        with pytest.raises(ImportError, match=f"adaptive_jax.{old} is {MOVED[old]} since"):
            importlib.import_module(module)
    assert importlib.util.find_spec(MOVED[old])


def imported(code):
    """The modules that a new interpreter has imported once it has run the code."""
    code = f"{code}\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_imports_no_lab():
    lab = {"flax", "jinja2", "matplotlib", "orbax", "rich", "scipy", "sklearn", "tyro"}
    modules = imported("import adaptive_jax")
    assert not modules & {*lab, "adaptive_jax.lab"}


def test_a_name_of_the_lab_imports_its_room_and_those_below():
    modules = imported("import adaptive_jax; adaptive_jax.lab.train")
    loaded = {room for room in ROOMS if f"adaptive_jax.{room}" in modules}
    assert loaded <= set(ROOMS[: ROOMS.index("lab.training") + 1])


def test_the_lab_exports_what_pyright_sees():
    body = ast.parse(Path(lab.__file__).read_text(encoding="utf-8")).body
    for_pyright = next(node for node in body if isinstance(node, ast.If))
    seen = {alias.name for node in for_pyright.body for alias in node.names}
    listed = {name for names in lab._NAMES.values() for name in names}
    assert seen == listed and all(callable(getattr(lab, name)) for name in listed)
    assert listed <= set(dir(lab))
    with pytest.raises(ImportError, match="cannot import name 'comapre'"):
        exec("from adaptive_jax.lab import comapre")


def test_the_core_leaves_out_files_that_exist():
    script = (PACKAGE.parent / "scripts" / "test").read_text(encoding="utf-8")
    (listed,) = re.findall(r"for name in ((?:[\w\\]|\s)+); do\n.*test_\$name\.py", script)
    names = [name for name in listed.split() if name != "\\"]
    assert "notebooks" in names and "--ignore=adaptive_jax/lab" in script
    assert not [name for name in names if not (PACKAGE.parent / f"tests/test_{name}.py").exists()]


def test_kept_programs_are_bounded(tmp_path):
    """The oldest go, down to half of the bound, once there are more bytes than that."""
    for age in range(10):
        (tmp_path / str(age)).write_bytes(b"x" * 10)
        os.utime(tmp_path / str(age), (-age, -age))
    files.bound(tmp_path, most=100)
    assert len(list(tmp_path.iterdir())) == 10
    files.bound(tmp_path, most=99)
    assert {file.name for file in tmp_path.iterdir()} == {"0", "1", "2", "3"}
    files.bound(tmp_path / "not there", most=1)
