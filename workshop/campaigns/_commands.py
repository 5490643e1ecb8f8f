"""Run commands of the application, kill or stop them at an instant, and count their seconds."""

import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 120.0  # seconds after which a command hangs


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes
    ----------
    code : exit code, below 0 where a signal ended it
    seconds, cpu_seconds : that it took, by the clock and of processors
    said : its messages
    """

    code: int
    seconds: float
    cpu_seconds: float
    said: str


@dataclass(frozen=True)
class Commands:
    """Runs commands in a folder.

    Attributes
    ----------
    environment : variables, beside those of this process
    fork : forks of this process run them, which have imported the application already
    """

    folder: Path
    environment: dict[str, str]
    fork: bool = False

    def run(self, *words: str, signal_after: tuple[int, float] | None = None) -> Ended:
        """Run a command to its end.

        Parameters
        ----------
        signal_after : a signal that it gets, and after how many seconds; by default none
        """
        with tempfile.TemporaryFile() as said:
            begun = time.monotonic()
            child = os.fork()
            if child == 0:
                self._become(words, said.fileno())
            number, after = signal_after or (signal.SIGKILL, PATIENCE)
            status, used = _wait(child, begun + after)
            if status is None:
                os.kill(child, number)
                status, used = _wait(child, time.monotonic() + PATIENCE)
            if status is None:
                os.kill(child, signal.SIGKILL)
                _, status, used = os.wait4(child, 0)
            seconds = time.monotonic() - begun
            said.seek(0)
            text = said.read().decode(errors="replace")
        return Ended(
            os.waitstatus_to_exitcode(status), seconds, used.ru_utime + used.ru_stime, text
        )

    def _become(self, words: tuple[str, ...], said: int) -> None:
        """Turn this child into the command."""
        try:
            os.chdir(self.folder)
            os.dup2(said, 1)
            os.dup2(said, 2)
            os.environ |= self.environment
            if not self.fork:
                os.execv(sys.executable, [sys.executable, "-m", "forecast", *words])
            _call(words)
        finally:
            os._exit(99)


def _call(words: tuple[str, ...]) -> None:
    """Call the command line in this process, and leave with its code."""
    from forecast.cli import main

    time.tzset()
    sys.argv = ["forecast", *words]
    code = 1
    try:
        main()
    except SystemExit as left:
        code = int(left.code or 0)
    finally:
        os._exit(code)


def _wait(child: int, deadline: float) -> "tuple[int | None, os.struct_rusage]":
    """The status of a child, None if it has not ended by `deadline`; and what it used."""
    pause = 0.0005
    while True:
        ended, status, used = os.wait4(child, os.WNOHANG)
        if ended:
            return status, used
        if time.monotonic() >= deadline:
            return None, used
        time.sleep(min(pause, 0.01, max(deadline - time.monotonic(), 0)))
        pause *= 1.2
