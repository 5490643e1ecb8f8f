"""Disk space of installations with all that they require, and seconds of importing them, beside the peers'."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from runpy import run_path
from unittest.mock import patch

import numpy as np

from benchmarks.methods import Method
from benchmarks.pairs import Pairs
from benchmarks.processes import ROOT, run_measured

OURS = "forecast"
ONLY_PREDICT = "forecast, to predict only"
MEGABYTE = 2**20
WARM_UP = 1  # rounds that do not count: files come from the disk

_SIZE = """
import json, re, sys
from importlib import metadata
from packaging.requirements import Requirement

def size(distribution):
    files = (distribution.locate_file(file) for file in distribution.files or ())
    return sum(file.stat().st_size for file in files if file.is_file())

waiting, sizes, absent = [Requirement(line) for line in sys.argv[1:]], {}, []
while waiting:
    one = waiting.pop()
    name = re.sub("[-_.]+", "-", one.name).lower()
    if name in sizes or name in absent or not any(
        one.marker is None or one.marker.evaluate({"extra": extra}) for extra in {"", *one.extras}
    ):
        continue
    try:
        distribution = metadata.distribution(one.name)
    except metadata.PackageNotFoundError:
        absent.append(name)
        continue
    sizes[name] = size(distribution)
    for text in distribution.requires or ():
        required = Requirement(text)
        if required.marker is None or any(required.marker.evaluate({"extra": extra}) for extra in {"", *one.extras}):
            required.marker = None
            waiting.append(required)
print(json.dumps([sizes, absent]))
"""


@dataclass(frozen=True)
class Installed:
    """Bytes of each package, and packages that are required and not installed."""

    sizes: dict[str, int]
    absent: list[str]

    @property
    def megabytes(self) -> float:
        """Of all of them; of an editable package there are no files."""
        return sum(self.sizes.values()) / MEGABYTE


def installed(python: str, requirements: Iterable[str]) -> Installed:
    """What requirements take where an interpreter finds them, with all that they require; it has `packaging`.

    Raises
    ------
    ValueError
        If the interpreter does not answer.
    """
    try:
        command = [python, "-I", "-c", _SIZE, *requirements]
        answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise ValueError(f"{python}: does not say what is installed ({error})") from error
    return Installed(*json.loads(answer))


def predict_requirements() -> list[str]:
    """What `forecast-predict` declares that it needs."""
    with patch("setuptools.setup") as setup:
        run_path(str(ROOT / "predict" / "setup.py"))
    found: list[str] = setup.call_args.kwargs["install_requires"]
    return found


def size_lines(peers: Iterable[Method]) -> Iterator[str]:
    """Lines of a report: megabytes of our two installations and of each peer's, and the ratio to the whole of ours."""
    kinds = {OURS: (sys.executable, [OURS])}
    kinds[ONLY_PREDICT] = (sys.executable, predict_requirements())
    kinds |= {_package(peer): (peer.python, [_package(peer)]) for peer in peers}
    own = sum(file.stat().st_size for file in (ROOT / "forecast").rglob("*") if file.is_file())
    whole: float | None = None
    for name, (python, requirements) in kinds.items():
        found = installed(python, requirements)
        size = found.megabytes + (own / MEGABYTE if name in (OURS, ONLY_PREDICT) else 0.0)
        whole = whole or size
        missing = (
            f"; not installed and not counted: {', '.join(found.absent)}" if found.absent else ""
        )
        yield f"{name}: {size:,.0f} MB, {len(found.sizes)} packages, ratio {size / whole:.2f}{missing}"


def import_lines(peers: Iterable[Method], rounds: int) -> Iterator[str]:
    """Lines of a report: seconds of importing `Forecaster` and each peer, beside importing torch, in turns."""
    torch = [sys.executable, "-c", "import torch"]
    commands = {
        "from forecast import Forecaster": [sys.executable, "-c", "from forecast import Forecaster"]
    }
    commands |= {
        f"import {peer.package}": [peer.python, "-c", f"import {peer.package}"] for peer in peers
    }
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        for name, command in commands.items():
            both = [
                [run_measured(one, Path(scratch)).seconds for one in (command, torch)]
                for _ in range(rounds + WARM_UP)
            ]
            found = Pairs(*np.array(both[WARM_UP:]).T)
            yield f"{name}: {np.median(found.ours):.2f} s, import torch {np.median(found.plain):.2f} s"
            yield f"  {found.ratio_text()}"


def _package(peer: Method) -> str:
    return str(peer.package)
