"""Whole files or none, and one holder of a lock at a time, who can be named, and whose death frees it."""

import contextlib
import errno
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from forecast import durable
from forecast.durable import fsync_directory, is_held, lock_file, make_directory, replace_file
from forecast.errors import Busy, CannotCreate, StorageFailure

CALLS = ("open", "write", "fchmod", "fsync", "close", "replace")


class FailAt:
    """Make the n-th call among functions of `os` fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int, code: int) -> None:
        self.left, self.code, self.hit = number, code, ""
        for name in CALLS:
            monkeypatch.setattr(os, name, self.wrap(name, getattr(os, name)))

    def wrap(self, name, function):
        def call(*arguments, **options):
            self.left -= 1
            if self.left == 0:
                self.hit = name
                if name == "close":
                    function(*arguments, **options)
                raise OSError(self.code, os.strerror(self.code))
            return function(*arguments, **options)

        return call


def test_new_file_holds_the_data_and_nothing_is_left_beside_it(tmp_path):
    replace_file(tmp_path / "out.csv", b"a,b\n")
    assert (tmp_path / "out.csv").read_bytes() == b"a,b\n"
    assert os.listdir(tmp_path) == ["out.csv"]


def test_parts_are_written_one_after_another(tmp_path):
    replace_file(tmp_path / "out.csv", (part for part in [b"a", b"", b"bc" * 100_000]))
    assert (tmp_path / "out.csv").read_bytes() == b"a" + b"bc" * 100_000


def test_short_writes_of_the_system_are_continued(tmp_path, monkeypatch):
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    replace_file(tmp_path / "out.csv", b"0123456789")
    assert (tmp_path / "out.csv").read_bytes() == b"0123456789"


def test_new_file_follows_the_umask_and_an_old_one_keeps_its_mode(tmp_path):
    path = tmp_path / "out.csv"
    before = os.umask(0o027)
    try:
        replace_file(path, b"1")
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o606)
        replace_file(path, b"2")
        assert stat.S_IMODE(path.stat().st_mode) == 0o606
    finally:
        os.umask(before)


def test_link_to_an_output_is_followed_and_stays_a_link(tmp_path):
    (tmp_path / "real.csv").write_bytes(b"old")
    (tmp_path / "link.csv").symlink_to("real.csv")
    replace_file(tmp_path / "link.csv", b"new")
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_bytes() == b"new"


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(CannotCreate, match=r"nowhere/out\.csv: cannot be created: No such file"):
        replace_file(tmp_path / "nowhere" / "out.csv", b"1")


def test_data_for_the_null_device_are_made_and_dropped():
    made = iter([b"a", b"b"])
    replace_file(os.devnull, made)
    assert list(made) == []
    assert Path(os.devnull).exists()


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_ordinary_file_is_not_replaced(tmp_path, make):
    make(tmp_path / "out.csv")
    with pytest.raises(CannotCreate, match="not an ordinary file"):
        replace_file(tmp_path / "out.csv", b"1")
    assert os.listdir(tmp_path) == ["out.csv"]


def test_write_protected_file_stays(tmp_path, monkeypatch):
    (tmp_path / "out.csv").write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everything
    with pytest.raises(CannotCreate, match="write-protected"):
        replace_file(tmp_path / "out.csv", b"new")
    assert (tmp_path / "out.csv").read_bytes() == b"old"


def test_error_of_the_one_who_makes_the_data_passes_and_the_old_file_stays(tmp_path):
    def parts() -> Iterator[bytes]:
        yield b"half"
        raise ValueError("no more")

    (tmp_path / "out.csv").write_bytes(b"old")
    with pytest.raises(ValueError, match="no more"):
        replace_file(tmp_path / "out.csv", parts())
    assert (tmp_path / "out.csv").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out.csv"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EACCES])
def test_failure_at_any_call_leaves_the_old_file_or_the_new_one(tmp_path, code):
    path = tmp_path / "out.csv"
    hits = []
    for number in range(1, 30):
        path.write_bytes(b"old")
        open_files = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
        with pytest.MonkeyPatch.context() as patch:
            fail = FailAt(patch, number, code)
            with contextlib.suppress(
                StorageFailure if number > 1 or code != errno.EACCES else CannotCreate
            ):
                replace_file(path, [b"new ", b"data"])
        if not fail.hit:
            break
        hits.append(fail.hit)
        assert path.read_bytes() in (b"old", b"new data")
        assert os.listdir(tmp_path) == ["out.csv"]
        if open_files:
            assert len(os.listdir("/proc/self/fd")) == open_files
    assert set(hits) == set(CALLS)


def test_stale_temporary_files_of_ours_are_swept_and_others_stay(tmp_path):
    names = [
        ".forecast-0123456789abcdef.tmp",
        ".forecast-fedcba9876543210.tmp",
        ".forecast-notes.tmp",
        "mine.tmp",
    ]
    for name in names:
        (tmp_path / name).write_bytes(b"half a table")
    (tmp_path / ".forecast-00000000000000ff.tmp").mkdir()
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))
    os.utime(tmp_path / names[1])  # of a process that writes at this time
    replace_file(tmp_path / "out.csv", b"1")
    assert sorted(os.listdir(tmp_path)) == sorted(
        [*names[1:], ".forecast-00000000000000ff.tmp", "out.csv"]
    )


def test_failed_sync_is_not_tried_again(tmp_path, monkeypatch):
    tried = []

    def fail(descriptor: int) -> None:
        tried.append(descriptor)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StorageFailure, match="Input/output error"):
        replace_file(tmp_path / "out.csv", b"1")
    assert len(tried) == 1
    assert os.listdir(tmp_path) == []


def test_file_system_that_syncs_no_folders_is_accepted(tmp_path, monkeypatch):
    def fail(descriptor: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", fail)
    fsync_directory(tmp_path)


def test_output_that_another_program_keeps_open_is_named(tmp_path, monkeypatch):
    """Windows replaces no file that is open, as a spreadsheet program keeps it."""

    def fail(source: object, target: object) -> None:
        raise PermissionError(errno.EACCES, "Access is denied")

    (tmp_path / "out.csv").write_bytes(b"old")
    monkeypatch.setattr(durable, "POSIX", False)
    monkeypatch.setattr(durable, "PATIENCE", 0.05)
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(CannotCreate, match=r"out\.csv: is open in another program"):
        replace_file(tmp_path / "out.csv", b"new")
    assert (tmp_path / "out.csv").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out.csv"]


def test_folders_above_are_created_too(tmp_path):
    make_directory(tmp_path / "a" / "b")
    make_directory(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_file_where_a_folder_should_be_is_named(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(CannotCreate, match="/a: cannot be used as a folder"):
        make_directory(tmp_path / "a")
    with pytest.raises(CannotCreate, match="/a/b: cannot be created"):
        make_directory(tmp_path / "a" / "b")


def test_folder_that_cannot_be_looked_at_is_not_taken_for_missing(tmp_path, monkeypatch):
    def fail(path: object, **options: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "stat", fail)
    with pytest.raises(StorageFailure, match="/a/b: Input/output error"):
        make_directory(tmp_path / "a" / "b")
    assert os.listdir(tmp_path) == []


HOLDER = """
import sys, time
from pathlib import Path
from forecast.durable import lock_file
with lock_file(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_full_disk_keeps_nobody_from_the_lock(tmp_path, monkeypatch):
    def fail(descriptor: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", fail)
    with lock_file(tmp_path / ".lock"), pytest.raises(Busy, match="still held by another process"):
        lock_file(tmp_path / ".lock").__enter__()


def test_second_holder_is_told_pid_and_host_of_the_first_at_once(tmp_path):
    started = time.monotonic()
    with (
        lock_file(tmp_path / ".lock"),
        pytest.raises(Busy, match=rf"process {os.getpid()} on {os.uname().nodename}"),
    ):
        lock_file(tmp_path / ".lock").__enter__()
    assert time.monotonic() - started < 1


def test_lock_can_be_taken_again_after_it_was_given_back(tmp_path):
    for _ in range(2):
        with lock_file(tmp_path / ".lock"):
            assert (tmp_path / ".lock").read_text().split()[0] == str(os.getpid())
    assert (tmp_path / ".lock").read_text() == ""


def test_waiting_ends_after_the_time_given(tmp_path):
    with lock_file(tmp_path / ".lock"):
        started = time.monotonic()
        with pytest.raises(Busy, match=r"after 0\.2 seconds"):
            lock_file(tmp_path / ".lock", wait=0.2).__enter__()
        assert 0.2 <= time.monotonic() - started < 2


def test_lock_of_a_killed_process_is_free(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", HOLDER, str(tmp_path / ".lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            with pytest.raises(Busy, match=f"process {holder.pid} on"):
                lock_file(tmp_path / ".lock").__enter__()
        finally:
            holder.kill()
        with lock_file(tmp_path / ".lock", wait=5):
            pass


def test_lock_file_is_never_a_link(tmp_path):
    (tmp_path / "victim").write_bytes(b"precious")
    (tmp_path / ".lock").symlink_to("victim")
    with pytest.raises(CannotCreate, match=r"\.lock"):
        lock_file(tmp_path / ".lock").__enter__()
    assert (tmp_path / "victim").read_bytes() == b"precious"


def test_missing_folder_of_a_lock_is_named(tmp_path):
    with pytest.raises(CannotCreate, match=r"nowhere/\.lock"):
        lock_file(Path(tmp_path) / "nowhere" / ".lock").__enter__()


def test_lock_is_seen_as_held_by_those_who_only_look(tmp_path):
    path = tmp_path / ".lock"
    assert not is_held(path)
    with lock_file(path):
        assert is_held(path)
    assert not is_held(path)


def test_lock_of_a_process_that_is_gone_is_not_held(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    (tmp_path / ".lock").write_text(f" {process.pid} {os.uname().nodename}\n")
    assert not is_held(tmp_path / ".lock")


def test_child_that_was_forked_does_not_hold_the_lock_on(tmp_path):
    with lock_file(tmp_path / ".lock"):
        child = os.fork()
        if not child:
            time.sleep(30)
            os._exit(0)
    try:
        with lock_file(tmp_path / ".lock"):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_holder_is_named_where_its_first_byte_cannot_be_read(tmp_path, monkeypatch):
    """Windows keeps others from reading the byte that is locked."""
    read = os.read

    def read_but_the_first_byte(descriptor: int, most: int) -> bytes:
        if os.lseek(descriptor, 0, os.SEEK_CUR) == 0:
            raise PermissionError(errno.EACCES, "Permission denied")
        return read(descriptor, most)

    with lock_file(tmp_path / ".lock"):
        monkeypatch.setattr(os, "read", read_but_the_first_byte)
        with pytest.raises(Busy, match=rf"process {os.getpid()} on {os.uname().nodename}"):
            lock_file(tmp_path / ".lock").__enter__()
        assert is_held(tmp_path / ".lock")


def test_a_wait_that_is_no_number_is_no_wait(tmp_path):
    with lock_file(tmp_path / ".lock"), pytest.raises(Busy):
        lock_file(tmp_path / ".lock", wait=float("nan")).__enter__()
