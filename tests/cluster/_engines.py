"""Start a cluster of two processes on the loopback interface, and find its busy workers."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

WORKERS = 2
READY = 60.0  # seconds
BUSY = {
    "ray": re.compile(r"ray::PoolActor\.run_batch"),
    "dask": re.compile(r"multiprocessing\.spawn"),
}
PORTS = {"ray": 10001, "dask": 8786}


@contextmanager
def cluster_of(engine: str, folder: Path) -> Iterator[str]:
    """A cluster; yields its address. It ends with the namespace that holds it."""
    programs = _ray(folder) if engine == "ray" else _dask()
    started = []
    for words in programs:
        log = (folder / f"{engine}-{len(started)}.log").open("wb")
        started.append(subprocess.Popen(words, stdout=log, stderr=log))
        time.sleep(1)
    try:
        _wait(PORTS[engine], folder, engine)
        yield f"{engine}://127.0.0.1:{PORTS[engine]}"
    finally:
        for each in started:
            each.terminate()


def _ray(folder: Path) -> list[list[str]]:
    local = [
        "--node-ip-address=127.0.0.1",
        "--port=6379",
        f"--ray-client-server-port={PORTS['ray']}",
    ]
    size = [f"--num-cpus={WORKERS}", f"--object-store-memory={2**28}", "--min-worker-port=20000"]
    quiet = [
        "--include-dashboard=false",
        "--disable-usage-stats",
        f"--temp-dir={folder / 'ray'}",
        "--block",
    ]
    return [["ray", "start", "--head", "--max-worker-port=20999", *local, *size, *quiet]]


def _dask() -> list[list[str]]:
    local = ["--host", "127.0.0.1", "--no-dashboard"]
    address = f"tcp://127.0.0.1:{PORTS['dask']}"
    workers = ["--nworkers", str(WORKERS), "--nthreads", "1"]
    dask = [sys.executable, "-m", "dask"]
    return [
        [*dask, "scheduler", *local, "--port", str(PORTS["dask"])],
        [*dask, "worker", address, *local, *workers],
    ]


def _wait(port: int, folder: Path, engine: str) -> None:
    import socket

    deadline = time.monotonic() + READY
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                time.sleep(3)  # workers come a moment later
                return
        time.sleep(0.5)
    logs = "\n".join(
        path.read_text(errors="replace")[-2000:] for path in sorted(folder.glob(f"{engine}-*.log"))
    )
    raise SystemExit(f"the cluster did not start:\n{logs}")


def busy_worker(engine: str) -> int | None:
    """A worker that has work, by its process number."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if BUSY[engine].search(words) and int(path.parent.name) != os.getpid():
            return int(path.parent.name)
    return None
