"""Run a command as a process of its own, and measure it from outside."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

TAIL = 12  # lines of a failed command's log that are shown
KIB_PER_UNIT = 1 / 1024 if sys.platform == "darwin" else 1  # macOS counts the peak in bytes


class CommandFailed(Exception):
    """A measured command ended with an error; the message holds the end of what it said."""


@dataclass(frozen=True)
class Cost:
    """Wall time and processor time in seconds, and peak resident memory in MB (2**20 bytes), of one whole command."""

    seconds: float
    peak_mb: float
    cpu_seconds: float = 0.0


def run_measured(command: Sequence[str], folder: Path) -> Cost:
    """Run a command in a folder, start-up and all, with this checkout on its path.

    Parameters
    ----------
    command : program and arguments
    folder : working folder; what the command says is added to ``log.txt`` there

    Raises
    ------
    CommandFailed
        If it ends with another exit status than 0.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    log = folder / "log.txt"
    with log.open("ab") as said:
        start = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        end = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL:])
        raise CommandFailed(f"{' '.join(command[:6])} ... ended with {process.returncode}:\n{end}")
    return Cost(seconds, usage.ru_maxrss * KIB_PER_UNIT / 1024, usage.ru_utime + usage.ru_stime)
