"""A few nights of the campaign of nights without a fault, and that it finds a gate that cries wolf."""

from dataclasses import replace
from pathlib import Path

import pytest

from forecast.checks import output
from tests.faults import nights
from tests.faults._counts import Counts
from tests.faults.nights import JOBS, ROOT, live

TABLE = ROOT / "data" / "air_passengers.csv"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nights, "SMALL", 'model = "seasonal-naive"')


@pytest.mark.usefixtures("quick")
def test_months_of_passengers_raise_no_alarm(tmp_path: Path) -> None:
    counts = Counts()
    live(JOBS["passengers"], TABLE, tmp_path, 3, counts)
    assert dict(counts.done) == {"nights": 3}
    assert counts.lost == []


@pytest.mark.usefixtures("quick")
def test_a_gate_that_cries_wolf_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = Counts()
    of_a_year = replace(output.PRIORS, times_beyond=0.1)  # of the largest value
    monkeypatch.setattr(output, "PRIORS", of_a_year)
    live(JOBS["passengers"], TABLE, tmp_path, 2, counts)
    assert counts.done["error of bounds in " + tmp_path.name] == 2
    assert len(counts.lost) == 2
