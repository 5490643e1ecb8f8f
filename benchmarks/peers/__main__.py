"""Run one command of one peer: `python -m benchmarks.peers MODULE fit|predict JOB`, in the folder it may save in."""

import importlib
import sys

from benchmarks.peers.job import predict_end, predict_windows, read_job, read_series


def main(name: str, command: str, path: str) -> None:
    """Fit and save, or load and forecast."""
    peer = importlib.import_module(f"benchmarks.peers.{name}")
    job = read_job(path)
    if command == "fit":
        peer.fit(job, read_series(job.train))
    elif job.origins:
        predict_windows(job, peer.load(job), peer.lookback(job))
    else:
        predict_end(job, peer.load(job))


if __name__ == "__main__":
    main(*sys.argv[1:])
