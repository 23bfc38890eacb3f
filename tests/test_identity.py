"""What runs are made of: digests, labels, and what a resumed comparison makes of a change."""

import dataclasses
import fcntl
import functools
import json
import subprocess
import sys
import threading
import types

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import adaptive_jax as aj
from adaptive_jax.lab import compare, run_comparison
from adaptive_jax.lab.comparison import CompareConfig
from adaptive_jax.lab.training import OptimizerSpec, digests, records
from adaptive_jax.lab.training.digests import digest
from adaptive_jax.lab.training.identity import check_identified, identified, text
from adaptive_jax.lab.training.records import one_writer
from adaptive_jax.lab.workloads import Data, Split
from adaptive_jax.locks import LockedError, WriterLock, locked
from tests.test_optax_runs import LINEAR, load

pytestmark = pytest.mark.relaxed


def defined(source, **names):
    """The namespace after a source text was run in one that has the names: a user's module."""
    module = types.ModuleType("users_own")
    vars(module).update(names)
    exec(source, vars(module))
    return module


BASE = """
import jax.numpy as jnp
FACTOR = 2.0
class Net(Parent):
    width = 4
    def __call__(self, x):
        return helper(x) * self.width
def helper(x):
    return jnp.tanh(x) + FACTOR
def outer(scale, table):
    def loss(x, y, power=2):
        return scale * (helper(x) - y) ** power + table[0]
    return loss
"""
EDITS = {
    "a global": ("FACTOR = 2.0", "FACTOR = 3.0"),
    "a function that is called": ("jnp.tanh", "jnp.sin"),
    "the code": ("helper(x) - y", "helper(x) + y"),
    "a default": ("power=2", "power=3"),
    "a constant": ("+ table[0]", "+ table[1]"),
}
CLASS_EDITS = {
    "a method": ("* self.width", "+ self.width"),
    "an attribute": ("width = 4", "width = 5"),
    "what a method calls": ("jnp.tanh", "jnp.sin"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_digest_changes_with_all_that_a_function_refers_to(edit):
    table = np.zeros(3)
    before, same, after = (
        digest(defined(source, Parent=object).outer(0.5, table.copy()))
        for source in (BASE, f"# moved\n\n{BASE}", BASE.replace(*EDITS[edit]))
    )
    assert before == same != after


@pytest.mark.parametrize("edit", CLASS_EDITS)
def test_a_digest_changes_with_a_class(edit):
    sources = BASE, BASE, BASE.replace(*CLASS_EDITS[edit])
    before, same, after = (digest(defined(each, Parent=nnx.Module).Net) for each in sources)
    assert before == same != after


def test_a_digest_changes_with_what_is_closed_over():
    outer = defined(BASE, Parent=object).outer
    tables = np.zeros(2), np.zeros(2), np.ones(2), np.zeros(2, np.float32), np.zeros((2, 1))
    digests = [digest(outer(1.0, table)) for table in tables]
    assert digests[0] == digests[1] and len(set(digests)) == 4
    assert digest(outer(1.0, tables[0])) != digest(outer(2.0, tables[0]))


def test_digests_go_by_value():
    assert digest(aj.mask_by_ndim(2)) == digest(aj.mask_by_ndim(2)) != digest(aj.mask_by_ndim(1))
    assert digest(optax.sgd(0.1)) == digest(optax.sgd(0.1)) != digest(optax.sgd(0.2))
    assert digest(functools.partial(optax.sgd, 1)) != digest(functools.partial(optax.sgd, 2))
    assert digest(jax.random.key(0)) != digest(jax.random.key(1))
    assert digest(jax.jit(lambda x: 2 * x)) != digest(jax.jit(lambda x: 3 * x))
    assert digest(nnx.Linear(2, 2, rngs=nnx.Rngs(0))) != digest(nnx.Linear(2, 2, rngs=nnx.Rngs(1)))
    cycle = []
    cycle.append(cycle)
    assert digest(cycle) != digest([[]])

    def derivative(factor):
        square = jax.custom_vjp(lambda x: x**2)
        square.defvjp(lambda x: (x**2, x), lambda x, g: (factor * x * g,))
        return square

    assert digest(derivative(2)) == digest(derivative(2)) != digest(derivative(3))


def test_digests_are_the_same_in_another_process():
    code = (
        "import optax; from adaptive_jax.lab.training.digests import digest;"
        "from adaptive_jax.lab.training.identity import text;"
        "from tests.test_optax_runs import LINEAR;"
        "print(digest(LINEAR.model, LINEAR.loss), text(optax.lbfgs()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [digest(LINEAR.model, LINEAR.loss), text(optax.lbfgs())]


def guarded(lock):
    def loss(outputs, targets):
        with lock:
            return jnp.sum((outputs - targets) ** 2, axis=-1)

    return loss


def test_what_cannot_be_read_needs_a_name_where_there_is_a_folder(tmp_path):
    loss = guarded(threading.Lock())
    first, second = identified("loss", loss), identified("loss", loss)
    assert first != second
    message = r"the same loss: .*which closes over lock: .*type lock .*__identity__ = \"version 1\""
    with pytest.raises(ValueError, match=message):
        check_identified({"loss": first})
    workload = dataclasses.replace(LINEAR, loss=loss)
    sgd = "sgd:learning_rate=0.1"
    assert len(compare(workload, [sgd], seeds=1).records) == 1  # in memory nothing is looked up
    with pytest.raises(ValueError, match=message):
        compare(workload, [sgd], seeds=1, out=tmp_path / "a")
    loss.__identity__ = "version 1"
    made = compare(workload, [sgd], seeds=1, out=tmp_path / "b").records
    other = guarded(threading.Lock())
    other.__identity__ = "version 1"
    workload = dataclasses.replace(LINEAR, loss=other)
    assert compare(workload, [sgd], seeds=1, out=tmp_path / "b").records == made


# What a change makes of a comparison's folder.


def scaled(factor):
    return lambda learning_rate: optax.sgd(factor * learning_rate)


def mine(factor):
    def mine(learning_rate=0.05):
        return optax.sgd(factor * learning_rate)

    return mine


def other_data(data_dir):
    data = load(data_dir)
    return Data(data.train, data.validation, Split(data.test.inputs, data.test.targets + 1))


CHANGES = {
    "model": ({"model": lambda rngs: nnx.Linear(3, 2, use_bias=False, rngs=rngs)}, "parameters"),
    "loss": ({"loss": lambda outputs, y: jnp.sum(jnp.abs(outputs - y), -1)}, "loss"),
    "data": ({"load": other_data}, "data"),
    "target": ({"target": 0.5}, "metric"),
    "epochs": ({"epochs": 3}, "epochs (2, now 3)"),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a comparison of two optimizers, and its records."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, compare_two(LINEAR, folder)


def compare_two(workload, out, factor=1.0):
    return compare(
        workload, ["sgd:learning_rate=0.1", mine(factor)], trials=1, seeds=2, out=out
    ).records


def copied(folder, tmp_path):
    for name in ("config.json", "runs.jsonl"):
        (tmp_path / name).write_text((folder / name).read_text())
    return tmp_path


def test_what_did_not_change_is_not_run_again(finished, tmp_path, capsys):
    folder, runs = finished
    again = compare_two(dataclasses.replace(LINEAR), copied(folder, tmp_path))
    assert again == runs == records.read(tmp_path / "runs.jsonl")
    assert capsys.readouterr().err == "" and not (tmp_path / "lock.json").exists()


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_is_run_again_and_said(finished, tmp_path, capsys, change):
    folder, runs = finished
    changes, word = CHANGES[change]
    again = compare_two(dataclasses.replace(LINEAR, **changes), copied(folder, tmp_path))
    told = capsys.readouterr().err
    assert "4 finished runs on linear are of what has changed since" in told and word in told
    assert not {run.id for run in again} & {run.id for run in runs}
    assert records.read(tmp_path / "runs.jsonl") == again
    assert records.read(tmp_path / "runs.old.jsonl") == runs


def test_an_edited_factory_runs_alone_again(finished, tmp_path, capsys):
    folder, runs = finished
    again = compare_two(LINEAR, copied(folder, tmp_path), factor=0.1)
    assert "2 finished runs" in (told := capsys.readouterr().err) and "factory of mine" in told
    assert again[:2] == runs[:2] and again[2].final != runs[2].final
    assert {run.id for run in records.read(tmp_path / "runs.jsonl")} == {run.id for run in again}


def test_records_of_versions_without_digests_are_run_again(finished, tmp_path, capsys):
    folder, _ = finished
    lines = [json.loads(line) for line in (folder / "runs.jsonl").read_text().splitlines()]
    old = [{name: v for name, v in line.items() if name != "identity"} for line in lines]
    copied(folder, tmp_path)
    (tmp_path / "runs.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in old))
    compare_two(LINEAR, tmp_path)
    assert "kept no digests" in capsys.readouterr().err


# One writer, and readers that count each run once.


def test_one_comparison_at_a_time_writes_to_a_folder(finished):
    folder, runs = finished
    with one_writer(folder):
        owner = json.loads((folder / "lock.json").read_text())
        assert set(owner) == {"host", "pid", "since"}
        with pytest.raises(ValueError, match=rf"process {owner['pid']} on .*, since 20"):
            compare_two(LINEAR, folder)
    assert compare_two(LINEAR, folder) == runs


def test_a_dead_process_holds_no_folder(tmp_path):
    code = (
        "import fcntl, sys; file = open(sys.argv[1], 'a'); fcntl.flock(file, fcntl.LOCK_EX);"
        "print('held', flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", code, tmp_path / "lock.json"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    process.stdout.readline()
    with pytest.raises(ValueError, match="by another process"), one_writer(tmp_path):
        pass
    process.kill()
    process.communicate()
    with one_writer(tmp_path):
        assert (tmp_path / "lock.json").exists()
    assert not (tmp_path / "lock.json").exists()


def test_a_lock_is_of_the_file_that_is_there(tmp_path, monkeypatch):
    """Another process replaces the file between its opening and locking."""
    path, flock = tmp_path / "runs.jsonl", fcntl.flock
    path.write_text("old")
    (tmp_path / "new").write_text("new")

    def late(descriptor, operation):
        monkeypatch.undo()
        (tmp_path / "new").replace(path)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    with locked(path) as file:
        file.seek(0)
        assert file.read() == b"new"
        lock = WriterLock(path)
        with pytest.raises(LockedError, match="is being written by another process"):
            lock.acquire()
    assert path.read_text() == "new"


def test_a_run_that_was_written_twice_counts_once(finished, tmp_path):
    folder, runs = finished
    (tmp_path / "runs.jsonl").write_text(2 * (folder / "runs.jsonl").read_text())
    assert records.read(tmp_path / "runs.jsonl") == runs
    single = [dataclasses.replace(run, phase="train") for run in runs[:1]]
    for run in 2 * single:
        records.append(tmp_path / "single.jsonl", run)
    assert records.read(tmp_path / "single.jsonl") == 2 * single


def test_what_a_kill_left_is_mended(finished, tmp_path):
    """Where a record is appended, and where a version that did not mend has appended one."""
    folder, runs = finished
    lines = (folder / "runs.jsonl").read_text().splitlines()
    path = tmp_path / "runs.jsonl"
    for cut in (1, 9, 200, len(lines[1]) - 1):
        path.write_text(f"{lines[0]}\n{lines[1][:cut]}")
        records.append(path, runs[2])
        assert records.read(path) == [runs[0], runs[2]]
        assert path.read_text().splitlines() == [lines[0], lines[2]]
        path.write_text(f"{lines[0]}\n{lines[1][:cut]}{lines[2]}\n{lines[3]}\n")
        assert records.read(path) == [runs[0], *runs[2:]]
    path.write_text("\n".join(lines[:2]))  # all but the end of the line
    records.append(path, runs[2])
    assert records.read(path) == runs[:3]


# Labels.


def test_labels_go_by_value_and_are_read_back():
    values = {
        "b1": np.float32(0.5),
        "learning_rate": jnp.array(0.25),
        "mask": {"a": True, "b,c": [False, None]},
        "mu_dtype": jnp.bfloat16,
    }
    spec = OptimizerSpec("optax.adamw", values)
    assert spec.label == (
        "optax.adamw:b1=0.5,learning_rate=0.25,mask={'a': True, 'b,c': [False, None]},"
        "mu_dtype='bfloat16'"
    )
    assert OptimizerSpec.parse(spec.label) == spec
    betas = OptimizerSpec("optax.contrib.prodigy", {"betas": (0.9, 0.99)})
    assert OptimizerSpec.parse(betas.label) == betas


def test_a_mask_has_no_address_in_a_config():
    def config(minimum):
        adamw = OptimizerSpec("adamw", {"mask": aj.mask_by_ndim(minimum), "learning_rate": 0.1})
        return CompareConfig(LINEAR, (adamw, "sgd"), seeds=1)

    written = config(2).to_json()
    assert "0x" not in written and written == config(2).to_json() != config(1).to_json()
    assert config(2) == config(2) != config(1)
    with pytest.raises(ValueError, match=r"mask was given as mask_by_ndim.* optimizers="):
        CompareConfig.from_json(written, workloads=LINEAR)
    again = CompareConfig.from_json(written, workloads=LINEAR, optimizers=config(2).optimizers)
    assert again == config(2)
    (run, _) = run_comparison(dataclasses.replace(config(2), trials=1)).records
    assert run.hyperparameters["mask"].startswith("mask_by_ndim.lambda#")
    assert json.loads(json.dumps(run.hyperparameters)) == run.hyperparameters


def test_specs_of_different_factories_are_not_equal():
    assert OptimizerSpec.of(mine(1)) != OptimizerSpec.of(mine(2))
    partial = functools.partial(optax.adam, b1=0.5)
    assert OptimizerSpec.of(partial) == OptimizerSpec.parse("optax.adam:b1=0.5")


def test_a_digest_has_the_versions_of_the_packages_that_code_refers_to(monkeypatch):
    """And of no others, whatever a program has imported."""

    def factory(key):
        return eqx.nn.Linear(2, 2, key=key)

    versions = digests.importlib.metadata.version
    found = digest(factory), digest(scaled(2))
    other = {"equinox": "999"}
    monkeypatch.setattr(
        digests.importlib.metadata, "version", lambda name: other.get(name) or versions(name)
    )
    digests._version.cache_clear()
    assert digest(factory) != found[0] and digest(scaled(2)) == found[1]
    digests._version.cache_clear()
