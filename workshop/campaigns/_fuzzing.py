"""One process of the fuzzer: note each input that raises what it must not, or takes too long, and go on."""

import atexit
import json
import logging
import os
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import atheris

SLOW = 5.0  # seconds of processor time
EVERY = 1000  # inputs between two notes of their number


def main() -> None:
    """Arguments: the target, the folder for findings, then those of libFuzzer."""
    target, folder = sys.argv[1], Path(sys.argv[2])
    with atheris.instrument_imports(
        include=["forecast", "pickletools"], enable_loader_override=False
    ):
        if target == "loader":
            from workshop.campaigns._fuzz_loader import one, seeds
        else:
            from workshop.campaigns._fuzz_table import one, seeds
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    for number, data in enumerate(seeds()):
        (folder / "corpus" / f"seed-{number:04d}").write_bytes(data)
    known = {(line["where"], line["kind"]) for line in _found(folder)}
    tried = 0
    shared = "/dev/shm" if os.path.isdir("/dev/shm") else None  # no disk is worn out
    place = Path(tempfile.mkdtemp(prefix="forecast-fuzz-", dir=shared))
    atexit.register(shutil.rmtree, place, ignore_errors=True)

    def note(kind: str, what: str, where: str, data: bytes) -> None:
        if (where, kind) in known:
            return
        known.add((where, kind))
        path = folder / f"finding-{len(known):03d}"
        path.write_bytes(data)
        with (folder / "findings.jsonl").open("a") as file:
            file.write(
                json.dumps({"kind": kind, "what": what, "where": where, "input": path.name}) + "\n"
            )

    def test(data: bytes) -> None:
        nonlocal tried
        tried += 1
        if tried % EVERY == 1:
            (folder / "tried").write_text(str(tried))
        began = time.process_time()
        try:
            one(data, place)
        except Exception as error:
            note(type(error).__name__, str(error)[:120], _place(error), data)
        if time.process_time() - began > SLOW:
            note("slow", "", "", data)

    atheris.Setup([sys.argv[0], *sys.argv[3:]], test)
    atheris.Fuzz()  # ends the process


def _place(error: BaseException) -> str:
    """Where in the product it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/forecast/" in frame.filename.replace("\\", "/")] or frames
    return f"{Path(own[-1].filename).name}:{own[-1].name}:{own[-1].lineno}"


def _found(folder: Path) -> list[dict[str, str]]:
    path = folder / "findings.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


if __name__ == "__main__":
    main()
