"""A few nights of the campaigns of nights without a fault, and that a gate is found that cries wolf."""

from dataclasses import replace
from pathlib import Path

import pytest

from forecast.jobs.checks import output
from workshop.campaigns import company, nights
from workshop.campaigns._counts import Counts
from workshop.campaigns._shops import DAYS_BEFORE, ShopJob, sales
from workshop.campaigns.nights import JOBS, ROOT, live, plant_hours

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
    of_a_year = replace(output.OUTPUT_PRIORS, times_beyond=0.1)  # of the largest value
    monkeypatch.setattr(output, "OUTPUT_PRIORS", of_a_year)
    live(JOBS["passengers"], TABLE, tmp_path, 2, counts)
    assert counts.done["error of bounds in " + tmp_path.name] == 2
    assert len(counts.lost) == 2


def test_hours_of_a_day_that_moved_are_answered(tmp_path: Path) -> None:
    counts = Counts()
    plant_hours(tmp_path, 0, counts, moves=[1])
    assert dict(counts.done) == {"moved hours": 1}
    assert counts.lost == []


def test_nights_of_a_company_are_quiet_and_keep_its_effects(tmp_path: Path) -> None:
    """A shop opens, another is shut, and a refit goes live."""
    table = sales(DAYS_BEFORE + 45)
    counts = Counts()
    job = ShopJob(tmp_path / "company", table[table["product"] == "milk"])
    company.live(job, range(38, 46), counts)
    assert dict(counts.done) == {"nights": 8, "warnings": 1, "refits": 1}
    assert counts.lost == []
