"""A job that is killed and run again leaves what it would have left; `python -m tests.faults pipeline` does more."""

import tempfile
from pathlib import Path
from random import Random

import pytest

from tests.faults._counts import Counts
from tests.faults.pipeline import kill_runs


@pytest.mark.filterwarnings("ignore:This process.*fork")  # newer Pythons warn of forks beside threads
def test_a_killed_run_is_repaired_by_running_it_again(url: str) -> None:
    counts = Counts()
    with tempfile.TemporaryDirectory() as folder:
        kill_runs("seasonal-naive", 2, Path(folder), url, Random(1), counts)
    assert counts.done["runs of a 'seasonal-naive' job repeated"] == 1
    assert counts.lost == []
