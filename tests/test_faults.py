"""Faults during a run: it is killed, the disk is full, the folder cannot be written to."""

import contextlib
import dataclasses
import io
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from adaptive_jax import checkpoint
from adaptive_jax.lab import cli
from adaptive_jax.lab.training import Callback, RunConfig, records, train
from adaptive_jax.lab.workloads.noisy_quadratic import NOISY_QUADRATIC
from adaptive_jax.lab.workloads.workload import Data, Split

pytestmark = pytest.mark.relaxed  # as Flax needs it
EPOCHS, KILLS = 50, 20


def load(data_dir):
    noise = np.random.default_rng(0).normal(size=(64, 20)).astype(np.float32)
    split = Split(noise, np.zeros(64, np.float32))
    return Data(split, split, split)


SMALL = dataclasses.replace(NOISY_QUADRATIC, name="small", load=load)


class WaitAfter(Callback):
    """Lets a run wait, to be killed, once it has gone on for so many epochs."""

    def __init__(self, epochs):
        self._epochs = epochs

    def on_epoch(self, epoch):
        if epoch.number > self._epochs:
            time.sleep(600)


def run(folder, epochs=EPOCHS, within=False):
    """Continues training for that many epochs, and adds a finished run to runs.jsonl.

    With `within` the last checkpoint is never renamed to what a whole one is called.
    """

    def rename(old, new, **options):
        if within and Path(new).name == str(epochs):
            time.sleep(600)
        renamed(old, new, **options)

    renamed, os.rename = os.rename, rename
    config = RunConfig(SMALL, "adam:learning_rate=0.01", epochs=EPOCHS)
    record = train(config, WaitAfter(epochs), checkpoints=folder)
    records.append(folder.parent / "runs.jsonl", record)


@pytest.fixture
def start():
    """Starts `run` in a process of its own, which has imported all but has not begun JAX yet."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])

    def start(*args):
        process = context.Process(target=run, args=args)
        process.start()
        return process

    return start


def unfinished(folder):
    return {path.name for path in folder.glob("*.orbax-checkpoint-tmp")}


def whole(folder):
    return sorted(int(path.name) for path in folder.glob("*") if path.name.isdecimal())


def kill(process, is_ready, seconds=0.0):
    """Kills a run so long after it is ready to be."""
    while not is_ready():
        assert process.is_alive()
        time.sleep(0.001)
    time.sleep(seconds)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def test_a_run_killed_many_times_ends_as_one_that_was_not(start, tmp_path):
    """SIGKILL at 20 moments, half of them within a checkpoint, the others at random after one."""
    undisturbed, folder = tmp_path / "undisturbed", tmp_path / "killed"
    start(undisturbed).join()
    chance, last = random.Random(0), 0
    for i in range(KILLS):
        if i % 2:
            process = start(folder, last + 1, True)
            begun = f"{last + 1}.orbax-checkpoint-tmp"
            kill(process, lambda begun=begun: begun in unfinished(folder))
        else:
            process = start(folder, last + 2)
            kill(process, lambda last=last: whole(folder)[-1:] > [last], chance.uniform(0, 0.1))
        for step in whole(folder):
            checkpoint.verify(folder / str(step))
        assert last <= whole(folder)[-1] < EPOCHS
        last = whole(folder)[-1]
    start(folder).join()
    first, last = records.read(tmp_path / "runs.jsonl")
    times = {"train_seconds": 0.0, "compile_seconds": 0.0}
    assert dataclasses.replace(first, **times) == dataclasses.replace(last, **times)
    assert states(folder) == states(undisturbed)
    assert len(whole(folder)) == 3 and not unfinished(folder)


def states(folder):
    """Returns the last checkpoint with its digests, without the text that holds times."""
    manifest = checkpoint.describe(folder / str(EPOCHS))
    return [entry for entry in manifest.entries if entry.kind != "str"]


# Losses that are not finite.


def nonfinite(policy, marks=1, epochs=12, **options):
    """Trains where the loss of a batch is NaN if so many marked examples of two are in it."""

    def load(data_dir):
        clean = load_clean(data_dir)
        targets = np.float32([1, 1, *clean.train.targets[2:]])
        validation = clean.validation._replace(targets=clean.validation.targets - 1)
        return Data(clean.train._replace(targets=targets), validation, validation)

    def loss(outputs, targets):
        return SMALL.loss(outputs, targets) + jnp.where(jnp.sum(targets) >= marks, jnp.nan, 0)

    load_clean = SMALL.load
    workload = dataclasses.replace(SMALL, load=load, loss=loss)
    config = RunConfig(workload, "adam:learning_rate=0.01", epochs, on_nonfinite=policy)
    return train(config, **options)


def losses(record):
    return [point["train_loss"] for point in record.curve]


def test_nonfinite_losses_stop_a_run(tmp_path):
    diverged = nonfinite(None)
    assert diverged.diverged and len(diverged.curve) == 12 and diverged.steps == 96
    record = nonfinite("stop", checkpoints=tmp_path)
    assert record.diverged and len(record.curve) == 1 and record.steps == 8
    assert not whole(tmp_path)


def test_updates_of_nonfinite_losses_are_left_out():
    record = nonfinite("skip")
    assert np.isfinite(losses(record)).all() and losses(record)[-1] < losses(record)[0]
    assert {point["train_skipped"] for point in record.curve} <= {1 / 8, 2 / 8}
    clean, same = nonfinite("skip", marks=3), nonfinite(None, marks=3)
    np.testing.assert_allclose(losses(clean), losses(same), rtol=1e-5)
    still = nonfinite("skip", marks=0).curve
    assert {point["train_skipped"] for point in still} == {1}
    assert len({point["validation_loss"] for point in still}) == 1


class Interrupt(Callback):
    def on_epoch(self, epoch):
        if epoch.number == 8:
            raise KeyboardInterrupt


def test_the_last_checkpoint_is_restored_after_nonfinite_losses(tmp_path):
    record = nonfinite("restore", marks=2, epochs=20, checkpoints=tmp_path / "run")
    bad = ~np.isfinite(losses(record))
    assert 1 <= sum(bad) <= 6 and not bad[-1] and len(bad) == 20
    assert np.isfinite([point["validation_loss"] for point in record.curve])[~bad].all()
    options = {"marks": 2, "epochs": 20, "checkpoints": tmp_path / "interrupted"}
    with pytest.raises(KeyboardInterrupt):
        nonfinite("restore", callback=Interrupt(), **options)
    assert 6 <= whole(tmp_path / "interrupted")[-1] <= 8
    again = nonfinite("restore", **options)
    assert str(again.curve) == str(record.curve) and again.rates == record.rates
    assert len(nonfinite("restore", checkpoints=tmp_path / "always").curve) == 3
    with pytest.raises(ValueError, match="on_nonfinite='restore' needs a folder"):
        nonfinite("restore")
    with pytest.raises(ValueError, match="no policy 'skp' on_nonfinite: did you mean 'skip'"):
        nonfinite("skp")


# Disks: a small one, and one that is read-only, which only a namespace of mounts of its own gives.

ROOT = Path(__file__).parent.parent


def mounted(options, folder, function):
    """Runs `function(folder)` of this file in a process that has a disk of its own there."""
    mount = [
        "unshare",
        "-Urm",
        "sh",
        "-ec",
        'mount -t tmpfs -o "$1" none "$2"; shift 2; "$@"',
        "sh",
    ]
    mount += [options, folder]
    if shutil.which("unshare") is None or subprocess.run([*mount, "true"]).returncode:
        pytest.skip("this system lets nobody mount a disk of his own (unshare -Urm)")
    code = f"from pathlib import Path; from tests import test_faults as t; t.{function.__name__}"
    command = [sys.executable, "-c", f"{code}(Path({str(folder)!r}))"]
    done = subprocess.run([*mount, *command], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]


COMMAND = ["train", "noisy_quadratic", "--epochs", "7", "--checkpoint"]


def error_of_the_command(argv):
    """The one line on stderr with which the command line ends."""
    stderr = io.StringIO()
    with contextlib.redirect_stderr(stderr):
        assert cli.main(argv) == 2
    lines = [line for line in stderr.getvalue().splitlines() if "epochs" not in line]
    assert len([line for line in lines if "error" in line]) == 1 and "Traceback" not in lines, lines
    return lines[-1]


def on_a_small_disk(folder):
    tree, runs = {"w": np.random.default_rng(0).normal(size=2000)}, folder / "run"
    with checkpoint.Checkpoints(runs) as checkpoints:
        checkpoints.save(1, tree)
        checkpoints.wait()
        rest = shutil.disk_usage(folder).free - 8192
        (folder / "ballast").write_bytes(bytes(rest))
        checkpoints.save(2, tree)
        with pytest.raises(checkpoint.CheckpointError, match=r"cannot write .*: No space left on"):
            checkpoints.save(3, tree)
        assert not unfinished(runs)
        step, restored = checkpoints.restore(tree)
        assert step == 1 and np.array_equal(restored["w"], tree["w"])
        (folder / "ballast").unlink()
        checkpoints.save(4, tree)
        checkpoints.wait()
        assert checkpoints.steps == (1, 4)
    rest = shutil.disk_usage(folder).free - 80 * 1024
    (folder / "ballast").write_bytes(bytes(rest))
    error = error_of_the_command([*COMMAND, str(folder / "command")])
    assert error.startswith("adaptive-jax: error: cannot write /") and "No space left" in error
    last = whole(folder / "command")[-1]
    checkpoint.verify(folder / "command" / str(last))
    (folder / "ballast").unlink()
    assert cli.main([*COMMAND, str(folder / "command")]) == 0
    assert last < 7 and whole(folder / "command") == [5, 6, 7]


def comparing_on_a_small_disk(folder):
    out = folder / "out"
    argv = ["compare", "noisy_quadratic", "--optimizers", "sgd:learning_rate=0.1", "--seeds", "9"]
    rest = shutil.disk_usage(folder).free - 16 * 1024  # of a config, a lock, and some of the runs
    (folder / "ballast").write_bytes(bytes(rest))
    error = error_of_the_command([*argv, "--out", str(out)])
    assert error.startswith(f"adaptive-jax: error: cannot write {out}: No space left on device: ")
    assert error.endswith(f"to resume: adaptive-jax compare --resume {out}")
    kept = (out / "runs.jsonl").read_bytes()
    kept = kept[: kept.rfind(b"\n") + 1]
    assert 0 < kept.count(b"\n") < 9
    (folder / "ballast").unlink()
    assert cli.main(["compare", "--resume", str(out), "--format", "csv"]) == 0
    runs = (out / "runs.jsonl").read_bytes()
    assert runs.startswith(kept) and runs.count(b"\n") == 9
    report = (out / "results.csv").read_bytes()
    rest = shutil.disk_usage(folder).free
    (folder / "ballast").write_bytes(bytes(rest))  # a report that cannot be written
    error = error_of_the_command(["compare", "--resume", str(out), "--format", "csv,html"])
    assert "No space left on device" in error and f"--resume {out}" in error
    assert (out / "results.csv").read_bytes() == report and not (out / "report.html").exists()


def on_a_read_only_disk(folder):
    with pytest.raises(checkpoint.CheckpointError, match=r"cannot write .*: Read-only file system"):
        checkpoint.save(folder / "run", {"w": np.ones(3)})
    with (
        checkpoint.Checkpoints(folder) as checkpoints,
        pytest.raises(checkpoint.CheckpointError, match=r"cannot write .*: Read-only file system"),
    ):
        checkpoints.save(1, {"w": np.ones(3)})
    error = error_of_the_command([*COMMAND, str(folder / "run")])
    assert error.startswith("adaptive-jax: error: cannot write /") and "Read-only" in error


def test_a_full_disk_ends_with_an_error_and_the_last_checkpoint_whole(tmp_path):
    mounted("size=400k", tmp_path, on_a_small_disk)


def test_a_comparison_on_a_full_disk_can_be_resumed(tmp_path):
    mounted("size=400k", tmp_path, comparing_on_a_small_disk)


def test_a_read_only_folder_ends_with_an_error(tmp_path):
    mounted("ro", tmp_path, on_a_read_only_disk)


def test_a_file_in_place_of_the_folder_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(checkpoint.CheckpointError, match=r"cannot write .*/file: File exists"):
        checkpoint.Checkpoints(tmp_path / "file")
    with pytest.raises(checkpoint.CheckpointError, match=r"cannot write .*/run: Not a directory"):
        checkpoint.save(tmp_path / "file" / "run", {"w": 1})
