"""Two processes on this host, which train together as one does alone."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from adaptive_jax.lab import cli, compare
from adaptive_jax.lab.training import RunConfig, records, train
from tests.test_training import SMALL

pytestmark = pytest.mark.relaxed
ROOT = Path(__file__).parent.parent
# Dropout, and a last batch of 3, by which two devices do not divide.
WORKLOAD, OPTIMIZER, EPOCHS = "digits_mlp", "sgd:momentum=0.9", 2
COMPARISON = {"optimizers": ("sgd", "adam:learning_rate=0.01"), "trials": 1, "seeds": 3}


def work(process_id, port, folder):
    """The work of each process: a run by the command, and a comparison that is resumed once."""
    command = ["train", WORKLOAD, "--optimizer", OPTIMIZER, "--out", str(folder), "--distributed"]
    assert cli.main(command) == 2  # no cluster says who the others are
    command += ["--coordinator", f"127.0.0.1:{port}", "--num-processes", "2"]
    command += ["--process-id", str(process_id), "--checkpoint", str(folder / "checkpoints")]
    assert cli.main([*command, "--epochs", str(EPOCHS)]) == 0
    assert jax.process_count() == jax.device_count() == 2
    config = RunConfig(WORKLOAD, OPTIMIZER, EPOCHS)
    restored = train(config, checkpoints=folder / "checkpoints", devices=jax.devices())
    (record,) = records.read(folder / "runs.jsonl")
    assert (restored.curve, restored.final) == (record.curve, record.final)
    for _ in range(2):
        result = compare(SMALL, **COMPARISON, out=folder / "comparison")
    finals = [record.final for record in result.records]
    (folder / f"{process_id}.json").write_text(json.dumps(finals))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a run by two processes, and what each of them wrote to stdout and stderr."""
    folder = tmp_path_factory.mktemp("processes")
    environment = {**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    code = "import sys, pathlib; from tests.test_processes import work\n"
    code += "work(int(sys.argv[1]), int(sys.argv[2]), pathlib.Path(sys.argv[3]))"
    with socket.socket() as held:  # nobody else is given its port, but JAX's server may listen
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("", 0))
        port = held.getsockname()[1]
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", code, str(i), str(port), str(folder)],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for i in range(2)
        ]
        try:
            outputs = [process.communicate(timeout=120) for process in processes]
        finally:
            for process in processes:
                process.kill()
    for process, (_, stderr) in zip(processes, outputs, strict=True):
        assert process.returncode == 0, stderr[-2000:]
    return folder, outputs


def test_two_processes_train_as_one_does(run):
    folder, _ = run
    (record,) = records.read(folder / "runs.jsonl")
    alone = train(RunConfig(WORKLOAD, OPTIMIZER, EPOCHS))
    assert (record.id, record.steps) == (alone.id, alone.steps)
    for point, other in zip(
        (record.final, *record.curve), (alone.final, *alone.curve), strict=True
    ):
        for name, value in other.items():
            np.testing.assert_allclose(point[name], value, rtol=1e-5)
    assert sorted(path.name for path in (folder / "checkpoints").iterdir()) == ["1", "2"]


def test_only_the_first_process_prints(run):
    _, ((first, _), (second, errors)) = run
    lines = [line for line in second.splitlines() if "[Gloo]" not in line]  # which is JAX's
    assert "test accuracy" in first and not lines and "epochs" not in errors


def test_two_processes_compare_as_one_does(run):
    """And the first writes what is run, once."""
    folder, _ = run
    first, second = (json.loads((folder / f"{i}.json").read_text()) for i in range(2))
    written = [record.final for record in records.read(folder / "comparison" / "runs.jsonl")]
    assert first == second == written
    alone = compare(SMALL, **COMPARISON).records
    for final, record in zip(first, alone, strict=True):
        for name, value in record.final.items():
            np.testing.assert_allclose(final[name], value, rtol=1e-5)


def test_without_settings_outside_of_a_cluster_a_line_says_what_to_give(run):
    for _, stderr in run[1]:
        (line,) = [line for line in stderr.splitlines() if "error" in line]
        assert "outside of a cluster, give coordinator, num_processes and process_id" in line


OF_TWO = ("--distributed", "--num-processes", "2", "--coordinator", "127.0.0.1:1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((*OF_TWO, "--process-id", "2"), "process_id must be less than num_processes, 2, got 2"),
        ((*OF_TWO, "--process-id", "-1"), "process_id must be a whole number of at least 0"),
        ((*OF_TWO[:-1], "127.0.0.1"), "coordinator must be HOST:PORT, such as 10.0.0.1:1234, got"),
        ((*OF_TWO, "--process-id", "1", "--wait", "1"), "no coordinator at 127.0.0.1:1 within 1 s"),
        (("--process-id", "1"), "--process-id needs --distributed"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(capsys, options, message):
    assert cli.main(["train", WORKLOAD, *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"adaptive-jax: error: {message}")


def test_a_port_in_use_is_told(capsys):
    with socket.create_server(("", 0)) as server:
        options = (*OF_TWO[:-1], f"127.0.0.1:{server.getsockname()[1]}", "--process-id", "0")
        assert cli.main(["train", WORKLOAD, *options]) == 2
    assert "cannot listen on port" in capsys.readouterr().err
