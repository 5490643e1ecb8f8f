"""Estimate the memory that reading a table takes, and refuse it before it runs out."""

import re
import sys
from contextlib import suppress
from pathlib import Path

from forecast.errors import Unavailable

CELL, MOST = 80, 0.8  # bytes at the peak of a fit for each cell of its table; share of the free memory that it may take


def require_memory(needed: float, name: str, free: int | None = None, cure: str = "") -> None:
    """Refuse a table that takes more bytes at the peak of reading than are `free`, by default now."""
    free = free_memory() if free is None else free
    if needed > free:
        sizes = f"{needed / 2**30:.1f} GiB of memory or more to read, and {free / 2**30:.1f} GiB are free"
        raise Unavailable(f"{name} takes {sizes}; {cure}split it by series or shorten its history")


def peak_memory() -> int:
    """The most bytes that this process has had in memory so far; 0 where the system does not say."""
    with suppress(OSError):
        if peak := re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii")):
            return int(peak[1]) * 1024
    with suppress(ImportError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return used if sys.platform == "darwin" else used * 1024
    return 0


def free_memory() -> int:
    """Free bytes: the available memory of the system, within the limit of the container."""
    free = 1 << 33  # for systems without these files
    with suppress(OSError):
        if available := re.search(r"MemAvailable:\s+(\d+)", Path("/proc/meminfo").read_text(encoding="ascii")):
            free = int(available[1]) * 1024
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        if limit.isdigit():
            free = min(free, int(limit) - int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii")))
    return free
