"""One holder of a lock at a time, who can be named, and whose death frees it."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from forecast.durable import is_held, lock_file
from forecast.errors import Busy, CannotCreate

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
    with lock_file(tmp_path / ".lock"), pytest.raises(Busy, match=rf"process {os.getpid()} on {os.uname().nodename}"):
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
