"""Run something in a child process, and kill it or fail it at a chosen system call, by strace."""

import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from forecast.errors import ForecastError

Act = Callable[[Path], None]

CALLS = "trace=%file,%desc"  # all that take a path or a descriptor
LINE = re.compile(r"([a-z0-9_]+)\((.*)")


@dataclass(frozen=True)
class Call:
    """The n-th call of a name since the start, and how strace shows it."""

    name: str
    number: int
    text: str


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes
    ----------
    killed : by SIGKILL
    code : the exit code that the command line would have; 0 where all went well, 1 where the error is not one of ours
    message : of the error
    open_files : descriptors that were not closed
    """

    killed: bool
    code: int
    message: str
    open_files: int


def check_strace() -> None:
    """Refuse to start where strace is missing or may not trace, or where torch is loaded."""
    if shutil.which("strace") is None:
        raise click.ClickException("strace is not installed")
    if "torch" in sys.modules:
        raise click.ClickException(
            "torch is loaded: a child would not be small, and its threads would not follow it"
        )
    logging.getLogger("forecast").addHandler(logging.NullHandler())
    if not run(lambda place: None, Path(os.sep), "trace=openat", Path(os.devnull)).code == 0:
        raise click.ClickException("strace cannot trace here")


def record(act: Act, place: Path, log: Path) -> list[Call]:
    """Run `act` and return its calls into the system that name `place` or a file in it, in their order."""
    ended = run(act, place, CALLS, log)
    if ended.code:
        raise click.ClickException(f"fails without a fault too: {ended.message}")
    seen: Counter[str] = Counter()
    calls = []
    for line in log.read_text(errors="replace").splitlines():
        match = LINE.match(line)
        if match is None:
            continue
        seen[match[1]] += 1
        if str(place) in match[2]:
            calls.append(Call(match[1], seen[match[1]], line.replace(str(place), "")[:150]))
    return calls


def kill_at(act: Act, place: Path, call: Call) -> Ended:
    """Run `act`, killed on entering `call`."""
    return run(act, place, f"inject={call.name}:signal=KILL:when={call.number}", Path(os.devnull))


def fail_at(act: Act, place: Path, call: Call, error: str, lasting: bool) -> Ended:
    """Run `act`; `call` fails with `error`, and so do all of its name from then on if it is `lasting`."""
    when = f"{call.number}+" if lasting else str(call.number)
    return run(act, place, f"inject={call.name}:error={error}:when={when}", Path(os.devnull))


def run(act: Act, place: Path, expression: str | None = None, log: Path | None = None) -> Ended:
    """Run `act` in a child; with an expression of strace under strace, which is there before the first call."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        open_files = len(os.listdir("/proc/self/fd"))
        child = os.fork()
        if child == 0:
            _run_child(act, place, theirs, open_files)
        theirs.close()
        tracer = None if expression is None else _attach(child, expression, str(log))
        ours.send(b".")
        _, status = os.waitpid(child, 0)
        if tracer is not None:
            tracer.wait()
        # one that was killed before it read what it was sent resets the connection, and has nothing to say
        said = b"" if os.WIFSIGNALED(status) else ours.recv(2**20)
    if os.WIFSIGNALED(status):
        if os.WTERMSIG(status) != signal.SIGKILL:
            return Ended(False, 1, f"died of signal {os.WTERMSIG(status)}", 0)
        return Ended(True, 0, "", 0)
    return Ended(False, *json.loads(said))


def _attach(child: int, expression: str, log: str) -> "subprocess.Popen[str]":
    tracer = subprocess.Popen(
        ["strace", "-y", "-p", str(child), "-o", log, "-e", expression],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert tracer.stderr is not None
    said = tracer.stderr.readline()
    if "attached" not in said:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise click.ClickException(f"strace cannot trace here: {said.strip()}")
    return tracer


def _run_child(act: Act, place: Path, line: socket.socket, open_files: int) -> None:
    """Wait for the tracer, act, and tell how it ended; what is used for that does not touch files."""
    line.recv(1)
    code, message = 0, ""
    try:
        act(place)
    except ForecastError as error:
        code, message = error.exit_code, str(error)
    except BaseException:
        code, message = 1, traceback.format_exc()
    try:
        left = len(os.listdir("/proc/self/fd")) - open_files
    except OSError:  # the fault lasts
        left = 0
    line.send(json.dumps([code, message[-4000:], left]).encode())
    os._exit(0)
