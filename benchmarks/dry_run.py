"""What `forecast fit --dry-run` says, beside what the fit then takes: seconds, memory, bytes of the version."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import ROOT, TAIL, CommandFailed
from benchmarks.samples import SAMPLES

EVERY = 0.2  # seconds between two looks at the memory
M4_HOURLY = "M4-Hourly-train.csv"


@dataclass(frozen=True)
class Told:
    """A number that the dry run says, and the one that the fit then has."""

    dry: float
    fit: float

    @property
    def ratio(self) -> float:
        """The dry run's over the fit's."""
        return self.dry / self.fit


@dataclass(frozen=True)
class DryRunRow:
    """One table: seconds, megabytes of memory (2**20), kilobytes of the version, and seconds of the dry run."""

    table: str
    seconds: Told
    memory: Told
    stored: Told
    dry_seconds: float

    def text(self) -> str:
        """A line."""
        parts = [
            f"{name} {told.dry:,.1f} and {told.fit:,.1f} {unit}, ratio {told.ratio:.2f}"
            for name, told, unit in (
                ("time", self.seconds, "s"),
                ("memory", self.memory, "MB"),
                ("version", self.stored, "kB"),
            )
        ]
        return f"{self.table}: {'; '.join(parts)}; the dry run took {self.dry_seconds:.1f} s"


def tables(folder: Path | None) -> list[tuple[Path, tuple[str, ...]]]:
    """The sample tables with the flags of their fits, and M4 hourly where its folder is given."""
    found = [(ROOT / "data" / sample.file, sample.flags) for sample in SAMPLES]
    return (
        found
        if folder is None
        else [*found, (folder / M4_HOURLY, ("--layout", "rows", "--season", "24"))]
    )


def measure_table(table: Path, flags: Sequence[str], folder: Path) -> DryRunRow:
    """Dry-run a bare fit of a table, then fit it.

    Parameters
    ----------
    folder : an empty one
    """
    words = [
        sys.executable,
        "-m",
        "forecast",
        "fit",
        str(table),
        *flags,
        "--artifact",
        str(folder / "store"),
    ]
    begun = time.perf_counter()
    said = json.loads(
        subprocess.run([*words, "--dry-run", "--json"], check=True, capture_output=True).stdout
    )
    dry_seconds = time.perf_counter() - begun
    seconds, memory = _run_watched(words, folder)
    stored = sum(path.stat().st_size for path in (folder / "store").rglob("*") if path.is_file())
    return DryRunRow(
        table.name,
        Told(said["seconds"], seconds),
        Told(said["memory"] / 2**20, memory / 2**20),
        Told(said["store"]["bytes"] / 1e3, stored / 1e3),
        dry_seconds,
    )


def _run_watched(words: Sequence[str], folder: Path) -> tuple[float, int]:
    """Seconds of a command, and the most bytes that all its processes had in memory together (Linux)."""
    with (folder / "log.txt").open("wb") as said:
        begun, most = time.perf_counter(), 0
        process = subprocess.Popen(words, stdout=said, stderr=said, start_new_session=True)
        try:
            while process.poll() is None:
                most = max(most, sum(map(_memory_of, _session(process.pid))))
                with suppress(subprocess.TimeoutExpired):
                    process.wait(EVERY)
        except BaseException:
            process.kill()
            process.wait()
            raise
        seconds = time.perf_counter() - begun
    if process.returncode != 0:
        lines = (folder / "log.txt").read_text(encoding="utf-8", errors="replace").splitlines()
        raise CommandFailed("\n".join(lines[-TAIL:]))
    return seconds, most


def _session(leader: int) -> list[int]:
    """The processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError):
            if int(path.read_text().rpartition(")")[2].split()[3]) == leader:
                found.append(int(path.parent.name))
    return found


def _memory_of(process: int) -> int:
    """Bytes of a process, of pages that several share its part."""
    with suppress(OSError):
        if size := re.search(
            r"^Pss:\s+(\d+)", Path(f"/proc/{process}/smaps_rollup").read_text(), re.MULTILINE
        ):
            return int(size[1]) * 1024
    return 0
