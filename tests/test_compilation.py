"""The folder of compiled programs: where it is, and that a user's own setting wins."""

import subprocess
import sys

import pytest

from adaptive_jax.lab.training import compilation

TRAIN = """
import jax, os, sys
if "set" in sys.argv: jax.config.update("jax_compilation_cache_dir", "own")
jax.jit(lambda x: x + 1)(1)  # before the lab is used
from adaptive_jax.lab.training.compilation import compiled_anew, keep_programs
print(keep_programs(), jax.config.jax_compilation_cache_dir)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
with compiled_anew():
    jax.jit(lambda x: x + 2)(1)
folder = keep_programs()
print(folder and len(os.listdir(folder)))
jax.jit(lambda x: x + 3)(1)
print(folder and len(os.listdir(folder)) > 0)
"""


def printed(tmp_path, *arguments, **variables):
    environment = {"HOME": str(tmp_path), "PATH": "", "JAX_PLATFORMS": "cpu", **variables}
    environment["PYTHONPATH"] = ":".join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=tmp_path,
    )
    return done.stdout.splitlines()


def test_programs_are_kept_in_the_user_s_cache_folder(tmp_path):
    folder = tmp_path / ".cache" / "adaptive_jax" / "programs"
    assert printed(tmp_path) == [f"{folder} {folder}", "0", "True"]


@pytest.mark.parametrize(
    ("arguments", "variables", "first"),
    [
        ((), {"ADAPTIVE_JAX_PROGRAMS": "off"}, "None None"),
        ((), {"ADAPTIVE_JAX_PROGRAMS": "/dev/null/nowhere"}, "None None"),
        ((), {"JAX_ENABLE_COMPILATION_CACHE": "false"}, "None None"),
        (("set",), {}, "None own"),
    ],
)
def test_programs_are_not_kept_where_they_should_not_be(tmp_path, arguments, variables, first):
    assert printed(tmp_path, *arguments, **variables) == [first, "None", "None"]


def test_a_variable_names_another_folder(tmp_path):
    lines = printed(tmp_path, ADAPTIVE_JAX_PROGRAMS=str(tmp_path / "here"))
    assert lines == [f"{tmp_path / 'here'} {tmp_path / 'here'}", "0", "True"]
    assert compilation.VARIABLE == "ADAPTIVE_JAX_PROGRAMS"
