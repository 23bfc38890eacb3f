"""The rooms: who may import whom, and what importing the package costs."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import adaptive_jax
from tests import programs

PACKAGE = Path(adaptive_jax.__file__).parent
# From the ground up: a room may import from itself and from those before it.
ROOMS = (
    "interrupts",
    "typing",
    "numerics",
    "validation",
    "trees",
    "algebra",
    "files",
    "storage",
    "schedules",
    "transforms",
    "optimizers",
    "presets",
    "diagnostics",
    "distributed",
    "checkpoint",
    "workloads",
    "training",
    "statistics",
    "comparison",
    "cli",
)
CORE = ROOMS[: ROOMS.index("diagnostics") + 1]


def imports():
    """(file, room, imported module) of every import in the package."""
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
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
    assert {room for _, room, _ in imports()} <= {*ROOMS, "__init__"}


def test_imports_point_downwards():
    for path, room, module in imports():
        parts = module.split(".")
        if parts[0] == "adaptive_jax" and room != "__init__":
            assert parts[1] in ROOMS[: ROOMS.index(room) + 1], f"{path} imports {module}"


def test_the_core_imports_jax_and_optax_only():
    allowed = {"jax", "optax", "numpy", "adaptive_jax", *sys.stdlib_module_names}
    for path, room, module in imports():
        if room in (*CORE, "__init__"):
            assert module.split(".")[0] in allowed, f"{path} imports {module}"


def test_no_private_modules_of_others():
    for path, _, module in imports():
        if not module.startswith("adaptive_jax"):
            private = [part for part in module.split(".") if part.startswith("_")]
            assert not private or module.startswith("__future__"), f"{path} imports {module}"


def test_importing_the_package_imports_no_lab():
    lab = ["flax", "matplotlib", "orbax", "rich", "scipy", "sklearn", "tyro"]
    code = f"import sys, adaptive_jax; print([m for m in {lab} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_core_leaves_out_files_that_exist():
    script = (PACKAGE.parent / "scripts" / "test").read_text(encoding="utf-8")
    lists = re.findall(r"for name in ((?:[\w\\]|\s)+); do\n *(.+)", script)
    assert len(lists) == 2
    names = [name for name in lists[1][0].split() if name != "\\"]
    assert "notebooks" in names and "test_$name.py" in lists[1][1]
    assert not [name for name in names if not (PACKAGE.parent / f"tests/test_{name}.py").exists()]


def test_kept_programs_are_bounded(tmp_path):
    """The oldest go, down to half of the bound, once there are more bytes than that."""
    for age in range(10):
        (tmp_path / str(age)).write_bytes(b"x" * 10)
        os.utime(tmp_path / str(age), (-age, -age))
    programs.bound(tmp_path, most=100)
    assert len(list(tmp_path.iterdir())) == 10
    programs.bound(tmp_path, most=99)
    assert {file.name for file in tmp_path.iterdir()} == {"0", "1", "2", "3"}
    programs.bound(tmp_path / "not there", most=1)
