"""The ledger is bounded: forecasts and scores of some runs stay, of older ones the newest score of each day."""

import numpy as np
import pytest

from forecast.jobs import pruning
from forecast.jobs.databases import connect
from forecast.jobs.ledger import DayScore, FitEntry, Ledger, StoredForecasts

RUNS, RECORDS, DAYS = 3, 8, 4


def at(number: int) -> str:
    return f"2026-03-{number:02}T02:10:00Z"


def forecasts(number: int) -> StoredForecasts:
    names = np.array(["a", "a", "b", "b"])
    steps = np.array([1, 2, 1, 2])
    numbers = np.full((4, 5), number)
    return StoredForecasts(np.full(4, at(number)), names, steps, steps, numbers, np.ones(4), numbers)


@pytest.fixture
def ledger(url: str, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A ledger that has seen twelve nights, each of which scored four days."""
    monkeypatch.setattr(pruning, "MAX_RUNS", RUNS)
    monkeypatch.setattr(pruning, "MAX_RECORDS", RECORDS)
    other, made = Ledger("other", lambda read=False: connect(url)), Ledger("nightly", lambda read=False: connect(url))
    other.add_run(at(1), 0, "{}", forecasts(1), [])
    for number in range(1, 13):
        days = [DayScore(at(day)[:10], number, 1.0, 0.0, 0.8, 0.95) for day in range(max(1, number - DAYS), number)]
        made.add_fit(FitEntry(at(number), f"v-{number}", True, "", ""))
        made.add_run(at(number), 137, "{}", None, [])
        made.add_run(at(number), 0, "{}", forecasts(number), days)
    return made


def test_the_newest_runs_stay_and_those_of_other_jobs(ledger: Ledger) -> None:
    assert [as_of for as_of, _, _ in ledger.runs(100)] == [at(number) for number in range(12, 12 - RECORDS, -1)]
    assert [fit.version for fit in ledger.fits("9")] == [f"v-{number}" for number in range(13 - RECORDS, 13)]
    assert sorted(set(ledger.forecasts("9", 100).as_of)) == [at(number) for number in range(13 - RUNS, 13)]
    assert len(Ledger("other", ledger._connect).forecasts("9", 100)) == 4


def test_each_day_of_the_runs_that_stay_keeps_its_newest_score(ledger: Ledger) -> None:
    newest = {day.day: day.count for day in ledger.days(100)}
    oldest = 13 - RECORDS - DAYS  # the first day that the oldest run that stays has scored
    assert newest == {at(day)[:10]: min(day + DAYS, 12) for day in range(oldest, 12)}
    with ledger.open() as connection:
        ((rows,),) = connection.execute("SELECT count(*) FROM forecast_scores WHERE job = 'nightly'")
    assert rows == RUNS * DAYS + RECORDS - RUNS
