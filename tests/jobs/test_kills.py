"""A job that is killed and run again leaves what it would have left; the campaign `pipeline` does more."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

import pytest

from tests._databases import sqlite_first
from workshop.campaigns._counts import Counts
from workshop.campaigns.pipeline import kill_blocked, kill_runs

ROOT = Path(__file__).parents[2]


@sqlite_first
@pytest.mark.filterwarnings(
    "ignore:This process.*fork"
)  # newer Pythons warn of forks beside threads
def test_a_killed_run_is_repaired_by_running_it_again(url: str) -> None:
    counts = Counts()
    with tempfile.TemporaryDirectory() as folder:
        kill_runs("seasonal-naive", 2, Path(folder), url, Random(1), counts)
    assert counts.done["runs of a 'seasonal-naive' job repeated"] == 1
    assert counts.lost == []


@pytest.mark.filterwarnings("ignore:This process.*fork")
def test_a_killed_night_that_is_blocked_or_accepted_leaves_all_in_agreement(tmp_path: Path) -> None:
    counts = Counts()
    kill_blocked("seasonal-naive", 2, tmp_path, Random(5), counts)
    assert sum(counts.done.values()) == 2
    assert counts.lost == []


@pytest.mark.slow  # tests/campaigns/test_campaigns.py kills at any call, and test_publishing.py finishes what was begun
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_refit_goes_live_after_its_run_wherever_a_kill_cuts_it() -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    words = [sys.executable, "-m", "workshop.campaigns", "refits", "--sample", "2"]
    ended = subprocess.run(
        words, capture_output=True, text=True, cwd=ROOT, env=environment, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
