"""The command line as a user meets it, good input and bad."""

import errno
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import adaptive_jax
from adaptive_jax import registry
from adaptive_jax.lab import cli, results, training
from adaptive_jax.lab.cli import compare, listing, surfaces
from adaptive_jax.lab.cli.common import interruptible

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
    phases = ["default", "default", "tune", "tune", "tune", "tune"] * 2 + ["final"] * 4
    assert [record["phase"] for record in runs] == phases
    assert (out_dir / "report.html").stat().st_size > 10_000
    status, _, err = run(capsys, "compare", "digits_mlp", "--out", str(out_dir))
    assert status == 2 and "is not empty: name another --out folder, or --resume it" in err
    assert len((out_dir / "runs.jsonl").read_text().splitlines()) == 16
    # The config that was written runs the same again; what is given besides it, it does not.
    again = ("compare", "--config", str(out_dir / "config.json"), "--seeds", "1")
    formats = ("--format", "md,csv")
    status, out, _ = run(capsys, *again, "--out", str(tmp_path / "again"), *formats)
    assert all((tmp_path / "again" / name).exists() for name in ("report.md", "results.csv"))
    assert "report.md" in out and not (tmp_path / "again" / "report.html").exists()
    repeated = (tmp_path / "again" / "runs.jsonl").read_text().splitlines()
    repeated = [json.loads(line) for line in repeated]
    ids = [[record["id"] for record in records][:12] for records in (repeated, runs)]
    assert status == 0 and ids[0] == ids[1]
    assert repeated[0]["curve"] == runs[0]["curve"] and len(repeated) == 14


def test_version_and_list_for_programs(capsys):
    status, out, _ = run(capsys, "--version")
    assert status == 0 and out == f"adaptive-jax {adaptive_jax.__version__}\n"
    status, out, _ = run(capsys, "list", "--json")
    listed = json.loads(out)
    assert status == 0 and [x["name"] for x in listed["optimizers"]] == [*registry.OPTIMIZERS]
    (adamw,) = [x for x in listed["optimizers"] if x["name"] == "adamw"]
    assert adamw["search"]["weight_decay"] == [1e-4, 1.0] and adamw["learning_rate"] == 1e-3
    assert {"digits_cnn", "noisy_quadratic"} <= {x["name"] for x in listed["workloads"]}


def test_completions_name_commands_and_options(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--tyro-print-completion", "bash"])
    out = capsys.readouterr().out
    assert not stopped.value.code and "--min-effect" in out and "surfaces" in out


def test_help_says_what_is_wanted(capsys):
    for command, wanted in {
        "compare": ("[WORKLOAD ...]", "OPTIMIZER ...", "--seeds N", "--join FILE", "--out FOLDER"),
        "train": ("WORKLOAD", "--set KEY=VALUE ...", "--log FILE.csv", "--wait SECONDS"),
        "surfaces": ("SURFACE ...", "--steps N"),
    }.items():
        with pytest.raises(SystemExit):
            cli.main([command, "--help"])
        out = capsys.readouterr().out
        assert all(text in out for text in wanted) and "None" not in out, command


def test_everything_from_the_command_line(capsys, tmp_path, monkeypatch):
    """A workload and an optimizer by module:name, a mask, a choice, studies, a log, joined runs."""
    (tmp_path / "here.py").write_text(
        "import optax\n"
        "from adaptive_jax.lab import workloads\n"
        "workload = workloads.get('noisy_quadratic')\n"
        "def mine(lr=0.1):\n"
        "    return optax.sgd(lr)\n"
    )
    monkeypatch.chdir(tmp_path)
    budget = ["--trials=2", "--extra-trials=1", "--tuning-seeds=1", "--seeds=2", "--studies=2"]
    options = [*budget, "--min-effect", "0.01", "--format", "csv"]
    first = ["here:mine", "adamw:learning_rate=0.01,weight_decay=0|0.1,mask=ndim2"]
    status, _, err = run(
        capsys, "compare", "here:workload", "--optimizers", *first, *options, "--out", "a",
        "--log", "logs/log.csv",
    )  # fmt: skip
    assert status == 0, err
    assert json.loads(Path("a/config.json").read_text())["min_effect"] == 0.01
    assert len(Path("logs/log.csv").read_text().splitlines()) > 20
    joined = ["--optimizers", "sgd", "--join", "a/runs.jsonl", "--out", "b"]
    status, out, err = run(capsys, "compare", "here:workload", *joined, *options)
    assert status == 0 and "here:mine" in out and "weight_decay" in out, out + err
    status, _, err = run(capsys, "compare", "--resume", "b", "--format", "csv")
    assert status == 0, err
    status, _, err = run(capsys, "compare", "here:workload", *joined, *options[:-2], "--seeds", "3")
    assert status == 2 and "is not empty" in err
    other = ["--optimizers", "sgd", "--join", "a/runs.jsonl", "--seed", "1", "--out", "c"]
    status, _, err = run(capsys, "compare", "here:workload", *other, *options)
    assert status == 2 and "cannot join: its final seeds are 0 to 1, and here" in err


BAD = [
    (("compar",), "no command 'compar': did you mean 'compare'?"),
    (("comparison", "digits_mlp"), "no command 'comparison': did you mean 'compare'?"),
    (("compare", "digits_mlp,mnist1d"), "write digits_mlp mnist1d on the command line"),
    (("compare", "--optimizers", "adam,sgd"), "write adam sgd on the command line"),
    (("compare", "--optimizers", "adam:b1=0.9,sgd:momentum=0.9"), "before 'sgd:momentum=0.9'"),
    (("compare", "--optimizers", "sgd:momentum=0..0.9"), "From 0, write linear:0..0.9"),
    (("compare", "--log", "log.txt"), "--log must be csv, tensorboard or a file whose name ends"),
    (("compare", "--min-effect", "-1"), "min_effect must be in [0, inf), got -1"),
    (("compare", "--studies", "0"), "studies must be a whole number of at least 1"),
    (("compare", "noisy_quadratic", "--join", "/no/such"), "cannot read /no/such, which is to be"),
    (("compare", "nowhere:workload"), "no module 'nowhere', of 'nowhere:workload'"),
    (("train", "digits_mlp", "--log", "log"), "--log must be a file whose name ends in .csv"),
    (("train", "digits_mlp", "--optimizer", "adam,sgd"), "has a comma where a space belongs"),
    (("train", "digits_cn"), "no workload 'digits_cn': did you mean 'digits_cnn'"),
    (("train", "digits_mlp", "--optimizer", "adamm"), "no optimizer 'adamm': did you mean 'adam"),
    (("train", "digits_mlp", "--set", "learning_rat=1"), "did you mean 'learning_rate'?"),
    (("train", "digits_mlp", "--set", "b1=2"), "b1 must be in [0, 1), got 2"),
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


@pytest.mark.parametrize("argv", [("compare", "--trails", "3"), ()], ids=str)
def test_unknown_commands_and_options_exit_2(capsys, argv):
    with pytest.raises(SystemExit) as stopped:
        cli.main(argv)
    assert stopped.value.code == 2


def test_without_the_lab_the_message_says_what_to_install():
    code = "import sys; sys.modules['tyro'] = None; import adaptive_jax.lab.cli"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "pip install 'adaptive_jax[lab]'" in done.stderr


HELD = """
import sys, time
from adaptive_jax.lab import cli
from adaptive_jax.lab.training import records

def append_and_wait(path, record):
    append(path, record)
    (path.parent / "ready").touch()
    time.sleep(600)

append, records.append = records.append, append_and_wait
sys.exit(cli.main(sys.argv[1:]))
"""


def interrupted(out, signal_number):
    """A comparison that is stopped after its first record, for which it waits."""
    argv = ["compare", "digits_mlp", "--optimizers", "sgd:learning_rate=0.1", "--epochs", "1"]
    process = subprocess.Popen(
        [sys.executable, "-c", HELD, *argv, "--seeds", "3", "--out", out],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "80", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"},
    )
    while not (out / "ready").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    (out / "ready").unlink()
    process.send_signal(signal_number)
    out, err = process.communicate()
    return process.returncode, out, err


def test_ctrl_c_leaves_what_was_finished(tmp_path):
    status, out, err = interrupted(tmp_path, signal.SIGINT)
    assert status == 130, err
    assert f"to resume: adaptive-jax compare --resume {tmp_path}" in err and "Traceback" not in err
    assert "sgd" in out and (tmp_path / "report.html").exists()
    (line,) = (tmp_path / "runs.jsonl").read_text().splitlines()
    assert json.loads(line)["phase"] == "final"


def test_a_killed_comparison_goes_on(capsys, tmp_path):
    status, _, _ = interrupted(tmp_path, signal.SIGKILL)
    assert status == -signal.SIGKILL
    kept = (tmp_path / "runs.jsonl").read_text()
    assert kept.count("\n") == 1
    status, _, _ = run(capsys, "compare", "--resume", str(tmp_path))
    after = (tmp_path / "runs.jsonl").read_text()
    assert status == 0 and after.startswith(kept) and after.count("\n") == 3
    assert len({json.loads(line)["id"] for line in after.splitlines()}) == 3


@pytest.fixture
def stopped_by(monkeypatch):
    """Lets `compare` and `train` write something and then be stopped by a signal or an error."""

    def stop(how, report=None):
        def halt():
            if isinstance(how, BaseException):
                raise how
            signal.raise_signal(how)

        def run_comparison(config, out, callback):
            (out / "config.json").write_text(config.to_json())
            (out / "runs.jsonl").touch()
            halt()

        monkeypatch.setattr(results, "run_comparison", run_comparison)
        monkeypatch.setattr(compare, "_show", report or (lambda out, formats: None))
        monkeypatch.setattr(training, "train", lambda *args, **kwargs: halt())
        monkeypatch.setattr(listing, "run", lambda args: halt())

    return stop


SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


@pytest.mark.parametrize("number", SIGNALS)
def test_what_stops_a_command_is_told_with_how_to_go_on(capsys, tmp_path, stopped_by, number):
    stopped_by(number)
    before = [signal.getsignal(each) for each in SIGNALS]
    out = tmp_path / "it's here"
    assert cli.main(["compare", "digits_mlp", "--out", str(out)]) == 128 + number
    err = capsys.readouterr().err
    again = f"adaptive-jax compare --resume {shlex.quote(str(out))}"
    assert f"stopped: the finished runs are kept; to resume: {again}" in err
    assert cli.main(["train", "digits_mlp"]) == 128 + number
    assert capsys.readouterr().err.splitlines()[-1] == "stopped"
    assert cli.main(["train", "digits_mlp", "--checkpoint", str(tmp_path / "c")]) == 128 + number
    assert "to resume from the last checkpoint, run the same command again" in (
        capsys.readouterr().err
    )
    assert cli.main(["list"]) == 128 + number
    assert [signal.getsignal(each) for each in SIGNALS] == before


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with interruptible():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_an_interrupt_that_cannot_be_raised_comes_again(capsys, monkeypatch):
    class Interrupted:
        def __del__(self):
            signal.raise_signal(signal.SIGINT)

    def work(args):
        Interrupted()
        time.sleep(600)

    monkeypatch.setattr(listing, "run", work)
    assert cli.main(["list"]) == 130
    assert capsys.readouterr().err == ""


def test_ctrl_c_twice(capsys, tmp_path, stopped_by):
    """The second ends the report; how to resume is still printed."""
    stopped_by(signal.SIGINT, report=lambda out, formats: signal.raise_signal(signal.SIGINT))
    assert cli.main(["compare", "digits_mlp", "--out", str(tmp_path)]) == 130
    assert f"--resume {tmp_path}" in capsys.readouterr().err


def test_ctrl_c_while_jax_is_imported(tmp_path):
    """A signal that arrives as `import jax` begins, most of the command's first second."""
    (tmp_path / "sitecustomize.py").write_text(
        "import signal, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *args):\n"
        "        if name == 'jax':\n"
        "            signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-m", "adaptive_jax.lab.cli", "list"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
    code = "import adaptive_jax"  # in other programs Ctrl-C stays what it is
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert "KeyboardInterrupt" in done.stderr


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "a\nb"), "a b: Disk quota exceeded"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), "x: Permission denied"),
    ],
)
def test_a_disk_that_fails_is_one_line(capsys, tmp_path, stopped_by, error, message):
    stopped_by(error)
    again = f"to resume: adaptive-jax compare --resume {tmp_path}"
    for argv in (["compare", "digits_mlp", "--out", str(tmp_path)], ["list"]):
        assert cli.main(argv) == 2
        (line,) = [x for x in capsys.readouterr().err.splitlines() if "adaptive-jax: error" in x]
        assert message in line and (again in line) == (argv != ["list"])


def test_a_reader_that_has_enough_is_no_error():
    code = "import sys; from adaptive_jax.lab import cli; sys.exit(cli.main(['list']))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait() == 128 + signal.SIGPIPE
    process.stderr.close()


# What no option may do, whatever it is given: end in a traceback, or do nothing and say nothing.

ODD = ("", " ", "x", "0", "-1", "1.5", "nan", "inf", "9" * 19, "1e400", "[/red]", "a\nb", "é", "\0")
OPTIONS = {
    ("compare", "digits_mlp"): """--optimizers --search --trials --extra-trials --tuning-seeds
        --seeds --epochs --studies --seed --min-effect --schedule --width --max-memory --config
        --resume --format --log""",
    ("train", "digits_mlp"): """--optimizer --set --epochs --seed --schedule --log
        --checkpoint-every --on-nonfinite --wait --coordinator --num-processes --process-id""",
    ("surfaces",): "--optimizers --surface --steps",
}
CASES = [(command, option) for command, options in OPTIONS.items() for option in options.split()]
CASES += [(("train",), ""), (("compare",), ""), ((), "")]
RUNS = {  # what is no mistake
    "--extra-trials": ["0"],
    "--seed": ["0"],
    "--max-memory": ["1.5", "9" * 19],
    "--min-effect": ["0", "1.5", "9" * 19],
    "--checkpoint-every": ["9" * 19],
}


@pytest.mark.parametrize(("command", "option"), CASES, ids=str)
def test_odd_values_of_options_are_refused_in_a_line(
    capsys, tmp_path, stopped_by, monkeypatch, command, option
):
    """What is accepted would run: here it ends with another error."""

    def end(*args):
        raise RuntimeError("it runs")

    stopped_by(RuntimeError("it runs"))
    monkeypatch.setattr(surfaces, "make_folder", end)
    monkeypatch.chdir(tmp_path)
    ran = []
    for value in ODD:
        try:
            status = cli.main([*command, *filter(None, [option]), value])
        except RuntimeError:
            ran.append(value)
            shutil.rmtree("comparisons", ignore_errors=True)  # the next has the name of its second
            continue
        except SystemExit as error:  # of tyro: the value is no number, or no choice
            status = error.code
        assert status == 2, value
        err = capsys.readouterr().err
        assert err and "Traceback" not in err
    assert ran == RUNS.get(option, [])
