"""One process, eight virtual CPU devices, and JAX's strictest rules for what the library does."""

import functools
import os
import signal
from pathlib import Path

import jax
import pytest

from adaptive_jax.lab.files import bound

# A shell's background jobs and nohup ignore these signals, and processes inherit that: the tests of
# interruptions would wait for ever.
for _signal, _handler in (
    (signal.SIGINT, signal.default_int_handler),
    (getattr(signal, "SIGHUP", signal.SIGINT), signal.SIG_DFL),
):
    if signal.getsignal(_signal) is signal.SIG_IGN:
        signal.signal(_signal, _handler)

jax.config.update("jax_num_cpu_devices", 8)

# Nearly all of the suite's time is compilation. XLA has two ways to emit loops until jax 0.11, of
# which the older one compiles programs as small as these in half the time; later versions have
# only the one that users get by default.
_OLDER = jax.__version_info__ < (0, 11)
if _OLDER:
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false"
    os.environ["XLA_FLAGS"] = flags.strip()

# Compiled programs are kept in the checkout for the workers, for the processes that tests start,
# and for later runs. JAX names an entry by the program, its own version and XLA's flags, so old
# entries are never taken for new ones. It does not write them atomically: a process that reads an
# entry half written, or cut off when a run was killed, gets a warning and compiles.
_CACHE = Path(__file__).parent.parent / ".jax_cache"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_CACHE))
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["PYTHONWARNINGS"] = ",".join(
    f"ignore:Error {access} persistent compilation" for access in ("reading", "writing")
)
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
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


def _optimize(node):
    """Most programs run only once; without optimization they compile in four fifths of the time."""
    marked = any(map(node.get_closest_marker, ("optimized", "as_for_users")))
    jax.config.update("jax_disable_most_optimizations", not marked)


@pytest.fixture(autouse=True, scope="module")  # before the module's own fixtures compile
def _optimize_module(request):
    _optimize(request.node)


@pytest.fixture(autouse=True)
def _optimize_test(request, monkeypatch):
    _optimize(request.node)
    # Muon repeats matrix products; the older emitter lets their rounding grow, users' does not.
    marked = request.node.get_closest_marker("as_for_users") or "muon" in request.node.nodeid
    if _OLDER and marked:
        options = {"xla_cpu_use_fusion_emitters": True}
        monkeypatch.setattr(jax, "jit", functools.partial(jax.jit, compiler_options=options))


def pytest_sessionstart():
    if "PYTEST_XDIST_WORKER" not in os.environ:
        bound(_CACHE, most=2**29)


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
