"""One process, eight virtual CPU devices, and JAX's strictest rules for what the library does."""

import functools
import os
import shutil
import tempfile

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 8)

# Nearly all of the suite's time is compilation. XLA has two ways to emit loops until jax 0.11, of
# which the older one compiles programs as small as these in half the time; later versions have
# only the one that users get by default.
_OLDER = jax.__version_info__ < (0, 11)
if _OLDER:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false"
    os.environ["XLA_FLAGS"] = flags.strip()

# What one process of the suite has compiled is read by the others, which are workers and what
# tests start, and by itself another time. Two may meet at one entry: who reads what is written to
# only half is warned and compiles.
_IS_WORKER = "PYTEST_XDIST_WORKER" in os.environ
if not _IS_WORKER:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="adaptive_jax-")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["PYTHONWARNINGS"] = "ignore:Error reading persistent compilation"
_CACHE = os.environ["JAX_COMPILATION_CACHE_DIR"]
jax.config.update("jax_compilation_cache_dir", _CACHE)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
collect_ignore_glob = ["reference/*"]  # scripts that need other libraries


@pytest.fixture(autouse=True)
def _strict(request):
    """No implicit promotion of dtypes or ranks, but in tests marked `relaxed`."""
    if request.node.get_closest_marker("relaxed"):
        yield
    else:
        with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            yield


@pytest.fixture(autouse=True, scope="module")  # ahead of what a module's fixtures compile
def _compiled_quickly(request):
    """Most programs run but once: without optimization they compile in four fifths of the time."""
    jax.config.update(
        "jax_disable_most_optimizations", not request.node.get_closest_marker("optimized")
    )


@pytest.fixture(autouse=True)
def _emitted_as_for_users(request, monkeypatch):
    """Muon repeats matrix products; the older emitter lets their rounding grow, users' does not."""
    if _OLDER and "muon" in request.node.nodeid:
        options = {"xla_cpu_use_fusion_emitters": True}
        monkeypatch.setattr(jax, "jit", functools.partial(jax.jit, compiler_options=options))


def pytest_unconfigure():
    if not _IS_WORKER:
        shutil.rmtree(_CACHE, ignore_errors=True)


def pytest_collection_modifyitems(items):
    """All properties of a row one after another: what one has compiled serves the next."""
    items.sort(key=lambda item: repr(_case(item)) if _case(item) else "")


def _case(item):
    return getattr(item, "callspec", None) and item.callspec.params.get("case")


def pytest_terminal_summary(terminalreporter):
    """How large the contract is: rows × properties, and how many of them hold."""
    outcomes = {
        outcome: [
            report.nodeid
            for report in terminalreporter.getreports(outcome)
            if report.when == "call" and report.nodeid.startswith(_CONTRACT)
        ]
        for outcome in ("passed", "failed")
    }
    names = [name for names in outcomes.values() for name in names if "[" in name]
    if len(names) > 1:
        terminalreporter.write_line(
            f"contract: {len({name.split('[')[0] for name in names})} properties, {len(names)} "
            f"checks, {len(outcomes['failed'])} failures"
        )


_CONTRACT = ("tests/test_contract.py", "tests/test_interop.py")
