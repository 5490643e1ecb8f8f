"""Actual values that came since the last run: the share outside intervals, the farthest, and those on one side."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from forecast.ledger.accuracy import lines, since
from forecast.panel.panel import Panel
from forecast.panel.schema import calendar_of
from forecast.reading.reading import read
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame
from tests.conftest import Ran
from tests.jobs.a_job import Job

Run = Callable[..., Ran]
At = Callable[[int], str]
SERIES = 10_000
DAYS = pd.date_range("2024-01-01", periods=60).strftime("%Y-%m-%d")
NUMBERS = {"forecast": 10.0, "lo_80": 8.0, "hi_80": 12.0, "lo_95": 7.0, "hi_95": 13.0}


def test_status_record_and_report_name_a_value_far_outside_its_interval(job: Job, forecast: Run, at: At) -> None:
    job.write(checks='output.on_error = "warn"')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    frame = job.table()
    frame.loc[(frame["shop"] == "south") & (frame["day"] == "2024-05-31"), "units"] = 500.0
    frame.to_csv(job.folder / "sales.csv", index=False)
    assert forecast("run", job.file, "--as-of", at(151)).code == 0
    found = job.record()["actuals"]
    assert (found["values"], found["outside_80"], found["outside_95"], found["usual_80"]) == (2, 0.5, 0.5, None)
    assert [(each["series"], each["time"], each["actual"]) for each in found["farthest"]] == [
        ("south", "2024-05-31", 500.0)
    ]
    out = forecast("status", job.file).out
    assert "actuals  2 new values: 50 % outside 80 % intervals, 50 % outside 95 % intervals\n" in out
    assert "farthest south 2024-05-31: 500, forecast" in out
    assert forecast("report", job.file, "--output", job.folder / "r.html").code == 0
    assert "farthest south 2024-05-31: 500" in (job.folder / "r.html").read_text()


def nights(values: np.ndarray, streak: np.ndarray, past: int = 30) -> tuple[dict, dict]:
    """What is found where each of many series has one new value."""
    count, instant = len(values), int(pd.Timestamp("2024-01-03").timestamp())
    names, none = [f"s{i:05}" for i in range(count)], np.zeros((3 * count, 0))
    schema = read(table_from_frame(pd.DataFrame({"day": DAYS, "s": 10.0})), TableSettings(), horizon=1).schema
    start = int(calendar_of(schema).positions(np.array([instant]))[0])
    panel = Panel(
        ids=tuple((name,) for name in names),
        order=np.arange(count),
        offsets=2 * np.arange(count + 1),
        starts=np.full(count, start),
        ahead=1,
        values=np.c_[values, np.zeros(count)].ravel(),
        observed=np.tile([True, False], count),
        known=none,
        past=none,
        static=np.zeros((count, 0)),
    )
    texts = pd.Categorical([f'["{name}"]' for name in names])
    last = pd.DataFrame({"series": texts, "step": 1, "instant": instant, **NUMBERS, "streak": streak})
    shares = [{"outside_80": 0.15 + 0.01 * (i % 10), "outside_95": 0.04 + 0.005 * (i % 10)} for i in range(past)]
    return since(last, panel, schema, shares)


def test_chance_names_no_series_of_ten_thousand_and_a_share_like_any_other_is_no_surprise() -> None:
    generator = np.random.default_rng(0)
    streak, found = np.zeros(SERIES), {}
    for _ in range(12):
        found, streaks = nights(10 + generator.normal(0, 2 / 1.2816, SERIES), streak)
        streak = np.array(list(streaks.values()))
        assert found["one_side"] == []
    assert found["streak_from"] == 19
    assert found["usual_80"] == [0.15, 0.24]
    assert not any("more than ever" in line for line in lines(found))
    assert 9 < np.abs(streak).max() <= 12


def test_series_on_one_side_and_a_common_shock_are_named() -> None:
    streak = np.zeros(50)
    streak[[4, 7]] = -12, 10
    found, streaks = nights(np.r_[np.full(25, 14.5), np.full(25, 5.0)], streak)
    assert found["streak_from"] == 11
    assert found["one_side"] == [{"series": "s00007", "runs": 11}]
    assert streaks['["s00004"]'] == 1
    assert found["outside_80"] == 1.0
    assert "100 % outside 80 % intervals (more than ever, 15 to 24 % in past runs)" in lines(found)[0]
    assert "s00007 above for 11 runs" in lines(found)[-1]


@pytest.mark.parametrize(("past", "known"), [(19, False), (20, True)])
def test_a_share_has_a_usual_range_after_twenty_runs(past: int, known: bool) -> None:
    found, _ = nights(np.full(3, 10.0), np.full(3, 4.0), past)
    assert (found["usual_95"] is not None) == known
    assert found["farthest"] == []


def test_a_value_on_the_median_ends_a_streak_and_a_closed_day_does_not() -> None:
    assert set(nights(np.full(3, 10.0), np.full(3, 4.0))[1].values()) == {0.0}
    NUMBERS.update(dict.fromkeys(NUMBERS, 10.0))
    try:
        assert set(nights(np.full(3, 10.0), np.full(3, 4.0))[1].values()) == {4.0}
    finally:
        NUMBERS.update({"lo_80": 8.0, "hi_80": 12.0, "lo_95": 7.0, "hi_95": 13.0})
