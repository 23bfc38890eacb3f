"""The command line as a user meets it, good input and bad."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from adaptive_jax import cli
from adaptive_jax.optimizers import registry

pytestmark = pytest.mark.relaxed


def run(capsys, *argv):
    status = cli.main(argv)
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_list_has_one_line_for_each_optimizer(capsys):
    status, out, _ = run(capsys, "list")
    assert status == 0
    lines = out.splitlines()
    for name, entry in registry.OPTIMIZERS.items():
        (line,) = [line for line in lines if line.split()[:1] == [name]]
        assert entry.description in line and len(line) <= 80
    assert any(line.startswith("digits_cnn") for line in lines)


def test_train(capsys, tmp_path):
    arguments = ("train", "digits_mlp", "--optimizer", "sgd", "--epochs", "3", "--seed", "5")
    settings = ("--set", "learning_rate=0.05", "momentum=0.9", "--set", "nesterov=true")
    for _ in range(2):
        status, out, _ = run(capsys, *arguments, *settings, "--out", str(tmp_path))
        assert status == 0 and "test accuracy" in out and "27 steps" in out
    lines = (tmp_path / "runs.jsonl").read_text().splitlines()
    first, second = (json.loads(line) for line in lines)
    assert first["optimizer"] == "sgd:learning_rate=0.05,momentum=0.9,nesterov=true"
    assert first["seed"] == 5 and first["epochs"] == 3 and len(first["curve"]) == 3
    assert {"jax", "optax", "flax", "python", "adaptive_jax"} <= set(first["versions"])
    assert first["final"] == second["final"]


def test_compare(capsys, tmp_path):
    out_dir = tmp_path / "new" / "folder"
    optimizers = ("--optimizers", "adam", "sgd:momentum=0.9")
    budget = ("--trials", "2", "--extra-trials", "0", "--seeds", "2", "--epochs", "2")
    status, out, _ = run(
        capsys, "compare", "digits_mlp", *optimizers, *budget, "--out", str(out_dir)
    )
    assert status == 0
    assert "adam" in out and "momentum=0.9" in out and "over 2 seeds" in out
    runs = [json.loads(line) for line in (out_dir / "runs.jsonl").read_text().splitlines()]
    assert [record["phase"] for record in runs] == ["tune", "tune", "default"] * 2 + ["final"] * 4
    assert (out_dir / "report.html").stat().st_size > 10_000
    status, _, err = run(capsys, "compare", "digits_mlp", "--out", str(out_dir))
    assert status == 2 and "is not empty: name another --out folder, or --resume it" in err
    assert len((out_dir / "runs.jsonl").read_text().splitlines()) == 10
    # The config that was written runs the same again; what is given besides it, it does not.
    again = ("compare", "--config", str(out_dir / "config.json"), "--seeds", "1")
    formats = ("--format", "md,csv")
    status, out, _ = run(capsys, *again, "--out", str(tmp_path / "again"), *formats)
    assert all((tmp_path / "again" / name).exists() for name in ("report.md", "results.csv"))
    assert "report.md" in out and not (tmp_path / "again" / "report.html").exists()
    repeated = (tmp_path / "again" / "runs.jsonl").read_text().splitlines()
    repeated = [json.loads(line) for line in repeated]
    assert status == 0 and [record["id"] for record in repeated][:6] == [r["id"] for r in runs[:6]]
    assert repeated[0]["curve"] == runs[0]["curve"] and len(repeated) == 8


BAD = [
    (("train", "digits_cn"), "no workload 'digits_cn': did you mean 'digits_cnn'"),
    (("train", "digits_mlp", "--optimizer", "adamm"), "no optimizer 'adamm': did you mean 'adam"),
    (("train", "digits_mlp", "--set", "learning_rat=1"), "did you mean 'learning_rate'?"),
    (("train", "digits_mlp", "--set", "learning_rate=-1"), "learning_rate must be in [0, inf)"),
    (("train", "digits_mlp", "--set", "b1"), "a setting is written key=value"),
    (("train", "digits_mlp", "--epochs", "0"), "epochs must be a whole number of at least 1"),
    (("train", "mnist_cnn", "--data-dir", "/no/such"), "no folder /no/such"),
    (("train", "digits_mlp", "--data-dir", "."), "the digits come with scikit-learn"),
    (("compare", "digits_cnn", "--optimizers", "adabond"), "did you mean 'adabound'"),
    (("compare", "mnist_cnn", "--data-dir", "/no/such"), "no folder /no/such"),
    (("compare", "--trials", "0"), "trials must be a whole number of at least 1"),
    (("compare", "--out", "/dev/null/x"), "cannot make the folder /dev/null/x"),
    (("compare", "--quick", "--full"), "give --quick or --full, not both"),
    (("compare", "--format", "html,pmg"), "no format 'pmg': did you mean 'png'"),
    (("compare", "digits_mlp", "digits_ml"), "did you mean 'digits_mlp'"),
    (("compare", "--config", "/no/such"), "cannot read /no/such: No such file or directory"),
    (("compare", "--config", "/dev/null"), "the config is no JSON"),
    (("compare", "--resume", "/no/such"), "cannot read /no/such/config.json"),
    (("compare", "--resume", "/no/such", "--seeds", "3"), "the folder's own config: drop --seeds"),
]


@pytest.mark.parametrize(("argv", "message"), BAD, ids=lambda value: str(value)[:40])
def test_bad_input_is_one_line_and_exits_2(capsys, tmp_path, monkeypatch, argv, message):
    monkeypatch.chdir(tmp_path)
    status, _, err = run(capsys, *argv)
    lines = [line for line in err.splitlines() if line.startswith("adaptive-jax: error:")]
    assert status == 2 and len(lines) == 1 and message in lines[0]
    assert "Traceback" not in err
    assert not list(tmp_path.glob("comparisons/*"))


@pytest.mark.parametrize("argv", [("compar",), ("compare", "--trails", "3"), ()], ids=str)
def test_unknown_commands_and_options_exit_2(capsys, argv):
    with pytest.raises(SystemExit) as stopped:
        cli.main(argv)
    assert stopped.value.code == 2


def test_without_the_lab_the_message_says_what_to_install():
    code = "import sys; sys.modules['tyro'] = None; import adaptive_jax.cli"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "pip install 'adaptive_jax[lab]'" in done.stderr


def interrupted(out, signal_number):
    """A comparison in its final runs, of which far too many are asked for, until it is stopped."""
    argv = ["compare", "digits_mlp", "--optimizers", "sgd:learning_rate=0.1", "--epochs", "3"]
    process = subprocess.Popen(
        [sys.executable, "-m", "adaptive_jax.cli", *argv, "--seeds", "96", "--out", out],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "80", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},
    )
    path = out / "runs.jsonl"
    deadline = time.monotonic() + 120
    while not (path.exists() and path.read_text().count("\n") >= 1):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.002)
    process.send_signal(signal_number)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def test_ctrl_c_leaves_what_was_finished(tmp_path):
    status, out, err = interrupted(tmp_path, signal.SIGINT)
    assert status == 130, err
    assert f"to go on: adaptive-jax compare --resume {tmp_path}" in err and "Traceback" not in err
    assert "sgd" in out and (tmp_path / "report.html").exists()
    for line in (tmp_path / "runs.jsonl").read_text().splitlines():
        json.loads(line)


def test_a_killed_comparison_goes_on(capsys, tmp_path):
    status, _, _ = interrupted(tmp_path, signal.SIGKILL)
    assert status == -signal.SIGKILL
    before = (tmp_path / "runs.jsonl").read_text()
    kept = before[: before.rfind("\n") + 1]
    assert 0 < kept.count("\n") < 96
    status, _, _ = run(capsys, "compare", "--resume", str(tmp_path))
    after = (tmp_path / "runs.jsonl").read_text()
    assert status == 0 and after.startswith(kept) and after.count("\n") == 96
    assert len({json.loads(line)["id"] for line in after.splitlines()}) == 96
