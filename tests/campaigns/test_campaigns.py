"""A small sample of each campaign, and that a campaign does find what is lost."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random
from threading import Thread

import pytest

from forecast import Forecaster
from forecast.artifacts.store import Store
from workshop.campaigns._counts import Counts
from workshop.campaigns.bytes import damage_store, damages
from workshop.campaigns.readers import Writing, compare, digest

ROOT = Path(__file__).parents[2]
strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

# What writes in place loses the old table; what leaves its temporary file to the next run litters.
CARELESS = """
import sys
from pathlib import Path
from random import Random
from workshop.campaigns import errors, kill
from workshop.campaigns._counts import Counts
from workshop.campaigns._operations import Operation, Torn

def write_in_place(place):
    with (place / "out.csv").open("wb", buffering=0) as file:
        file.write(b"new, ")
        file.write(b"and longer")

def litter(place):
    (place / ".forecast-0123456789abcdef.tmp").write_bytes(b"new, and longer")
    (place / ".forecast-0123456789abcdef.tmp").replace(place / "out.csv")
    (place / ".forecast-0000000000000000.tmp").write_bytes(b"")

def look(place):
    found = (place / "out.csv").read_text()
    if found not in ("old", "new, and longer"):
        raise Torn(found)
    return found

act = {"in place": write_in_place, "litter": litter}[sys.argv[2]]
one = {"table": Operation(lambda place: (place / "out.csv").write_text("old"), act, look, "old", "new, and longer")}
kills, failures = Counts(), Counts()
kill.kill_round(one, Path(sys.argv[1]) / "kill", None, Random(0), kills)
errors.fail_round(one, Path(sys.argv[1]) / "errors", None, Random(0), failures)
print(len(kills.lost), len(failures.lost))
"""


def run(*words: object) -> "subprocess.CompletedProcess[str]":
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = [sys.executable, *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=300, check=False
    )


@strace
@pytest.mark.parametrize(
    "words", ["kill --times 1 --sample 8 --commands 0", "errors --times 1 --sample 10"]
)
def test_fault_at_any_call_into_the_system_loses_nothing(words: str) -> None:
    ended = run("-m", "workshop.campaigns", *words.split())
    assert ended.returncode == 0, ended.stderr
    assert re.fullmatch(rf"{words.split()[0]}: .*; 0 lost; \d+ s\n", ended.stdout)


@pytest.mark.slow
@strace
@pytest.mark.parametrize("writer", ["in place", "litter"])
def test_careless_writer_is_found_out(tmp_path: Path, writer: str) -> None:
    ended = run("-c", CARELESS, tmp_path, writer)
    assert ended.returncode == 0, ended.stderr
    killed, failed = map(int, ended.stdout.split())
    assert killed > 2
    assert failed > 10


def test_damaged_byte_is_found_in_every_file(store: Path) -> None:
    ended = run(
        "-m", "workshop.campaigns", "bytes", "--artifact", store, "--sample", 500, "--commands", 1
    )
    assert ended.returncode == 0, ended.stderr
    assert re.match(r"bytes: (?=.* bits flipped)(?=.* cuts).*; 0 lost;", ended.stdout)


def test_reader_that_believes_everything_is_found_out(store: Path, tmp_path: Path) -> None:
    shutil.copytree(store, tmp_path / "store")
    whole = Store(tmp_path / "store").load()

    class Credulous(Store):
        def load(self, version=None):
            return whole

    copied, counts = Credulous(tmp_path / "store"), Counts()
    damage_store(
        copied,
        [one for one in damages(copied.path, Random(0)) if one.path.name == "config.json"][:5],
        counts,
    )
    assert len(counts.lost) == 10  # live, and by its id


def test_forecasts_during_fits_are_those_of_one_version(tmp_path: Path) -> None:
    writing, counts = Writing(tmp_path / "store", Random(0)), Counts()
    writing.fit()
    writer = Thread(target=writing.fit)
    writer.start()
    reports = [("", digest(Forecaster.load(str(tmp_path / "store")).predict()), "")]
    while writer.is_alive():
        reports.append(("", digest(Forecaster.load(str(tmp_path / "store")).predict()), ""))
    writer.join()
    compare(reports, writing.saved, counts)
    assert counts.lost == []
    assert len(writing.saved) == 2


def test_torn_table_is_found_out() -> None:
    counts = Counts()
    compare(
        [("forecasts", "0" * 64, ""), ("forecasts", "1" * 64, ""), ("forecasts", "", "refused")],
        {"0" * 64: 0},
        counts,
    )
    assert len(counts.lost) == 2
