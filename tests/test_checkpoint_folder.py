"""The checkpoints of a run: one writer, one run, the last ones kept by their age."""

import errno
import fcntl
import gc
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptive_jax import checkpoint
from adaptive_jax.checkpoint import (
    CheckpointError,
    Checkpoints,
    MismatchError,
    files,
    lock,
    manifest,
)
from adaptive_jax.lab.training.checkpoints import ProgressCheckpoints
from tests.test_checkpoint import ADAM, abstract, assert_same, edit, flipped, small_run

EMPTY = {"at": 0, "w": np.zeros(3)}


def tree(at):
    return {"at": at, "w": np.full(3, at, float)}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write(folder, *steps, **options):
    """Saves these steps as a run of their own, or as one that is continued."""
    with Checkpoints(folder, **options) as checkpoints:
        if checkpoints.steps:
            checkpoints.restore(EMPTY)
        for step in steps:
            checkpoints.save(step, tree(step))


def test_the_last_ones_are_kept_and_the_last_whole_one_restored(tmp_path):
    tree, folder = small_run(), tmp_path / "deep" / "run"
    with Checkpoints(folder, keep=2, config=ADAM) as checkpoints:
        with pytest.raises(CheckpointError, match="has no intact checkpoint"):
            checkpoints.restore(tree)
        for step in (1, 5, 10):
            checkpoints.save(step, {**tree, "at": step})
        with pytest.raises(CheckpointError, match="exists already"):
            checkpoints.save(10, tree)
    assert names(folder) == ["10", "5"]
    (folder / "11.orbax-checkpoint-tmp").mkdir()  # as a kill would leave it
    with Checkpoints(folder, config=ADAM) as checkpoints:
        assert checkpoints.steps == (5, 10)
        assert checkpoints.restore(abstract(tree))[1]["at"] == 10
        file = checkpoints.path(10) / "manifest" / "manifest.json"
        file.write_bytes(flipped(file.read_bytes(), 100))
        with pytest.warns(UserWarning, match=r"10.* is damaged.*; trying the one before it"):
            step, restored = checkpoints.restore(abstract(tree))
        assert step == 5
        assert_same(restored, {**tree, "at": 5})
        checkpoints.save(10, tree)
    assert names(folder) == ["10", "10.damaged-1", "5"]
    with (
        Checkpoints(folder, config={"optimizer": "sgd"}) as checkpoints,
        pytest.raises(
            MismatchError, match=r"config\['optimizer'\] is 'adam', where 'sgd' is expected"
        ),
    ):
        checkpoints.restore(tree)


def test_what_happens_after_save_returns_is_not_saved(tmp_path):
    w, b = jnp.arange(10000.0), np.arange(3)
    expected = np.array(w)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"w": w, "b": b})
        b += 1
        jax.jit(lambda w: w * 0 - 1, donate_argnums=0)(w).block_until_ready()
        assert w.is_deleted()
        restored = checkpoints.restore({"w": np.empty(10000, np.float32), "b": b})[1]
    np.testing.assert_array_equal(restored["w"], expected)
    np.testing.assert_array_equal(restored["b"], [0, 1, 2])


# Age.


def test_age_decides_what_is_kept_and_what_is_restored(tmp_path):
    with Checkpoints(tmp_path, keep=2) as checkpoints:
        for step in (100, 200, 300, 5):
            checkpoints.save(step, tree(step))
        checkpoints.wait()
        assert checkpoints.steps == (300, 5)
        checkpoints.save(7, tree(7))
    assert names(tmp_path) == ["5", "7"]
    write(tmp_path, 6)
    step, restored = Checkpoints(tmp_path).restore(EMPTY)
    assert (step, restored["at"]) == (6, 6)
    assert Checkpoints(tmp_path).steps == (5, 7, 6)


def test_a_run_that_goes_back_continues_from_there(tmp_path):
    write(tmp_path, 10, 20, 30)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.restore(EMPTY, step=10)[1]["at"] == 10
        with pytest.raises(CheckpointError, match="no checkpoint of step 15"):
            checkpoints.restore(EMPTY, step=15)
        checkpoints.save(11, tree(11))
        assert checkpoints.restore(EMPTY)[0] == 11
    assert Checkpoints(tmp_path).steps == (20, 30, 11)


def test_checkpoints_of_older_versions_are_continued(tmp_path):
    write(tmp_path, 9, 10)
    for step in (9, 10):
        edit(
            tmp_path / str(step), lambda body: [body.pop(k) for k in ("run", "order", "optimizer")]
        )
    write(tmp_path, 8)
    assert Checkpoints(tmp_path).steps == (9, 10, 8)
    assert checkpoint.describe(tmp_path / "9").order == 0


def test_a_folder_that_was_removed_is_made_again(tmp_path):
    checkpoints = Checkpoints(tmp_path / "run")
    (tmp_path / "run").rmdir()
    assert checkpoints.steps == ()
    checkpoints.save(1, EMPTY)
    checkpoints.close()
    assert names(tmp_path / "run") == ["1"]


def test_what_was_damaged_once_and_is_whole_again_stays(tmp_path):
    write(tmp_path, 1, 2)
    file = tmp_path / "2" / "manifest" / "manifest.json"
    whole = file.read_bytes()
    file.write_bytes(flipped(whole, 100))
    with Checkpoints(tmp_path) as checkpoints:
        with pytest.warns(UserWarning, match="trying the one before it"):
            assert checkpoints.restore(EMPTY)[0] == 1
        file.write_bytes(whole)
        with pytest.raises(CheckpointError, match=r"saved after this run was restored \(steps 2\)"):
            checkpoints.save(3, EMPTY)
    assert names(tmp_path) == ["1", "2"]


# Other runs.


def test_a_run_begun_anew_in_a_used_folder_is_told(tmp_path):
    write(tmp_path, 10, 20)
    anew = Checkpoints(tmp_path)
    message = r"checkpoints of another run \(steps 10, 20\): to continue that run, call restore\(\)"
    for step in (1, 30):
        with pytest.raises(CheckpointError, match=message):
            anew.save(step, EMPTY)
    assert names(tmp_path) == ["10", "20"]
    write(tmp_path, 30)  # nothing is locked
    with pytest.raises(CheckpointError, match="another run"):
        anew.save(1, EMPTY)
    assert anew.restore(EMPTY)[0] == 30
    anew.save(31, EMPTY)
    anew.close()
    assert anew.steps == (20, 30, 31)


def test_what_another_saved_meanwhile_is_told(tmp_path):
    write(tmp_path, 10)
    stale = Checkpoints(tmp_path)
    stale.restore(EMPTY)
    write(tmp_path, 20)
    with pytest.raises(CheckpointError, match=r"saved after this run was restored \(steps 20\)"):
        stale.save(11, EMPTY)
    assert stale.restore(EMPTY)[0] == 20
    stale.save(21, EMPTY)
    stale.close()


def test_two_runs_in_one_folder_are_told(tmp_path):
    write(tmp_path / "a", 10, 20)
    write(tmp_path / "b", 30)
    shutil.copytree(tmp_path / "b" / "30", tmp_path / "a" / "30")
    mixed = Checkpoints(tmp_path / "a")
    with pytest.raises(CheckpointError, match=r"of 2 runs, steps .*: move those of one run"):
        mixed.restore(EMPTY)
    assert mixed.restore(EMPTY, step=20)[1]["at"] == 20
    with pytest.raises(CheckpointError, match=r"another run \(steps 30\)"):
        mixed.save(21, EMPTY)
    (tmp_path / "a" / "30").rename(tmp_path / "away")
    write(tmp_path / "a", 21)


# Names.


def test_a_folder_with_another_number_is_not_taken_for_that_step(tmp_path):
    write(tmp_path, 10, 20)
    for name in ("40", "007", "٣٠"):
        shutil.copytree(tmp_path / "10", tmp_path / name)
    for name in ("best", "٤", "²", "0x1"):
        (tmp_path / name).mkdir()
    (tmp_path / "50").touch()
    message = "ignored; 007 was saved as step 10, 40 was saved as step 10, .*: rename it, or"
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.steps == (10, 20)
        with pytest.warns(UserWarning, match=message):
            step, restored = checkpoints.restore(EMPTY)
        assert (step, restored["at"]) == (20, 20)
        with pytest.raises(CheckpointError, match="40 exists already"):
            checkpoints.save(40, EMPTY)
        checkpoints.save(41, tree(41))
    assert Checkpoints(tmp_path).steps == (10, 20, 41)
    with pytest.raises(
        CheckpointError, match=r"a folder of checkpoints, .*: restore .*/50, or use"
    ):
        checkpoint.restore(tmp_path, EMPTY)


def test_a_renamed_folder_alone_is_told(tmp_path):
    write(tmp_path, 20)
    (tmp_path / "20").rename(tmp_path / "040")
    message = "no intact checkpoint; 040 was saved as step 20: rename it"
    with (
        pytest.warns(UserWarning, match="ignored; 040 was saved as step 20"),
        pytest.raises(CheckpointError, match=message),
    ):
        Checkpoints(tmp_path).restore(EMPTY)
    (tmp_path / "040").rename(tmp_path / "20")
    assert Checkpoints(tmp_path).restore(EMPTY)[0] == 20


# Readers.


def test_readers_disturb_nobody(tmp_path):
    folder = tmp_path / "run"
    with Checkpoints(folder, keep=2) as writer:
        for step in range(5):
            writer.save(step, tree(step))
            reader = Checkpoints(folder)  # while that is written
            if reader.steps:
                at, restored = reader.restore(EMPTY)
                assert restored["at"] == at
            reader.close()
            writer.wait()
            assert reader.steps[-1] == step
    before = names(folder)
    file = folder / "4" / "manifest" / "manifest.json"
    file.write_bytes(flipped(file.read_bytes(), 100))
    with pytest.warns(UserWarning, match="is damaged"):
        assert Checkpoints(folder).restore(EMPTY)[0] == 3
    assert names(folder) == before == ["3", "4"]


def test_what_is_removed_while_it_is_read_is_not_missed(tmp_path, monkeypatch):
    write(tmp_path, 1, 2)
    restore = files.restore

    def late(path, like, **options):
        shutil.rmtree(tmp_path / "2", ignore_errors=True)
        return restore(path, like, **options)

    monkeypatch.setattr(files, "restore", late)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Checkpoints(tmp_path).restore(EMPTY)[0] == 1


def test_a_checkpoint_that_cannot_be_read_now_is_not_passed_over(tmp_path, monkeypatch):
    write(tmp_path, 1, 2)

    def fail(path, like, **options):
        raise CheckpointError(f"cannot read {path}: {os.strerror(errno.EACCES)}")

    monkeypatch.setattr(files, "restore", fail)
    with pytest.raises(CheckpointError, match="2: Permission denied"):
        Checkpoints(tmp_path).restore(EMPTY)
    assert names(tmp_path) == ["1", "2"]


# The lock.


def test_a_second_writer_is_told_who_the_first_is(tmp_path):
    with Checkpoints(tmp_path) as first:
        first.save(1, EMPTY)
        second = Checkpoints(tmp_path)
        message = rf"another writer in this process \(process {os.getpid()} on .*, since 20"
        with pytest.raises(CheckpointError, match=message):
            second.save(2, EMPTY)
        with pytest.raises(CheckpointError, match="is being written by"):
            ProgressCheckpoints(tmp_path, {}, every=1, epochs=1)
        first.wait()
        assert second.restore(EMPTY)[0] == 1
    second.save(2, EMPTY)
    second.close()
    assert names(tmp_path) == ["1", "2"]


HOLDER = """
import fcntl, os, sys
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(file, fcntl.LOCK_EX)
os.write(file, sys.argv[2].encode())
print(flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(
    "owner",
    [{"host": "elsewhere", "pid": 12, "since": "2026-01-02 03:04:05+00:00"}, [], None],
)
def test_a_lock_blocks_as_long_as_its_process_lives(tmp_path, owner):
    text = json.dumps(owner) if owner is not None else "{"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path / lock.FILE, text],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    holder.stdout.readline()
    who = "process 12 on elsewhere, since 2026-01-02 03:04:05" if owner else "another process"
    checkpoints = Checkpoints(tmp_path)
    with pytest.raises(CheckpointError, match=f"is being written by {who}.*use another folder"):
        checkpoints.save(1, EMPTY)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdin.close(), holder.stdout.close()
    assert names(tmp_path) == [lock.FILE]  # the text of a dead process blocks nobody
    checkpoints.save(1, EMPTY)
    own = json.loads((tmp_path / lock.FILE).read_text())
    assert (own["host"], own["pid"]) == (socket.gethostname(), os.getpid())
    checkpoints.close()
    assert names(tmp_path) == ["1"]


def test_a_lock_ends_with_its_process_even_if_a_forked_child_lives(tmp_path):
    held = lock.WriterLock(tmp_path)
    held.acquire()
    (reads, writes), (begins, began) = os.pipe(), os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX's, of forks
        child = os.fork()
    if child == 0:
        os.close(writes)
        os.write(began, b".")
        os.read(reads, 1)
        os._exit(int(held.held))
    os.read(begins, 1)
    os.close(held._descriptor)  # as the end of this process would
    held._descriptor = None
    other = lock.WriterLock(tmp_path)
    other.acquire()
    other.release()
    for end in (writes, reads, begins, began):
        os.close(end)
    assert os.waitpid(child, 0)[1] == 0


def test_a_lock_of_a_removed_file_locks_nobody_out(tmp_path, monkeypatch):
    """The last owner removes its file between another's opening and locking it."""
    held, other = lock.WriterLock(tmp_path), lock.WriterLock(tmp_path)
    held.acquire()
    flock = fcntl.flock

    def late(descriptor, operation):
        held.release()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    other.acquire()
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="is being written by"):
        lock.WriterLock(tmp_path).acquire()
    other.release()
    assert not names(tmp_path)


def test_what_a_killed_process_left_can_be_locked_by_other_users(tmp_path):
    mask = os.umask(0o077)
    try:
        held = lock.WriterLock(tmp_path)
        held.acquire()
    finally:
        os.umask(mask)
    assert (tmp_path / lock.FILE).stat().st_mode & 0o777 == 0o666
    held.release()


def test_a_file_system_without_locks_is_told(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.warns(UserWarning, match="on a file system without locks: let only one process"):
        write(tmp_path, 1)
    assert names(tmp_path) == ["1"]


def test_checkpoints_that_nobody_closed_leave_no_lock(tmp_path):
    Checkpoints(tmp_path).save(1, tree(1))
    gc.collect()
    assert names(tmp_path) == ["1"]
    write(tmp_path, 2)


def test_what_could_not_be_written_leaves_nothing(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, tree(1))
        checkpoints.wait()
        with monkeypatch.context() as patch:
            patch.setattr(manifest.Manifest, "to_json", fail)
            checkpoints.save(2, tree(2))
            with pytest.raises(CheckpointError, match=r"cannot write .*: No space left on device"):
                checkpoints.wait()
            assert names(tmp_path) == [lock.FILE, "1"]
            with pytest.raises(CheckpointError, match="No space left on device"):
                checkpoint.save(tmp_path / "other", EMPTY)
        assert checkpoints.restore(EMPTY)[0] == 1
        checkpoints.save(2, tree(2))
    assert names(tmp_path) == ["1", "2"]
