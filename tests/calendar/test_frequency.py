"""A grid is found from the times on it, from freq, and by the clock of a zone."""

from pathlib import Path
from shlex import split

import numpy as np
import pandas as pd
import pytest

from forecast.calendar.calendar import Calendar
from forecast.calendar.frequency import parse_frequency
from forecast.errors import BadData, UsageError
from tests.calendar._times import STEPS, inferred, seconds
from tests.conftest import Run


@pytest.mark.parametrize(
    ("freq", "name"),
    [
        ("s", "s"), ("30s", "30s"), ("min", "min"), ("15min", "15min"), ("30min", "30min"), ("h", "h"), ("6h", "6h"),
        ("D", "D"), ("2D", "2D"), ("W-SUN", "W-SUN"), ("W-MON", "W-MON"), ("2W-SUN", "2W-SUN"), ("MS", "MS"),
        ("ME", "ME"), ("QS", "QS"), ("QE", "QE"), ("QS-FEB", "QS"), ("YS", "YS"), ("YE", "YE"), ("B", "B"),
    ],
)  # fmt: skip
def test_grid_is_found_with_a_gap_in_it_and_goes_on_as_pandas_does(freq, name):
    index = pd.date_range("2021-01-04", periods=60, freq=freq)
    spec = inferred(np.delete(seconds(index), 20))
    assert spec.name == name
    calendar = Calendar(spec)
    positions = calendar.positions(seconds(index))
    assert np.diff(positions).tolist() == [1] * 59
    assert calendar.on_grid(seconds(index)).all()
    assert (
        calendar.times(positions[-1] + np.arange(1, 6))
        == seconds(pd.date_range(index[-1], periods=6, freq=freq)[1:])
    ).all()


def test_fixed_day_of_the_month_is_a_grid():
    spec = inferred(
        seconds(pd.date_range("2021-01-01", periods=20, freq="MS") + pd.Timedelta(days=14))
    )
    assert (spec.kind, spec.every, spec.day) == ("months", 1, 15)


def test_any_pattern_of_weekdays_is_a_grid():
    index = pd.date_range("2021-01-04", periods=70, freq="D")
    spec = inferred(seconds(index[index.day_of_week.isin([0, 2, 5])]))
    assert (spec.kind, spec.weekdays, spec.name) == ("weekdays", (0, 2, 5), "Mon-Wed-Sat")


def test_business_days_with_holidays_missing_are_business_days():
    index = pd.bdate_range("2021-01-04", periods=100).delete([10, 11, 50, 75])
    assert inferred(seconds(index)).name == "B"


def test_days_that_miss_a_sunday_by_chance_in_two_weeks_stay_days():
    index = pd.date_range("2021-01-04", periods=12, freq="D").delete([6])
    assert inferred(seconds(index)).name == "D"


def test_time_of_day_of_daily_values_is_kept():
    index = pd.date_range("2021-01-04 06:00", periods=30, freq="D")
    calendar = Calendar(inferred(seconds(index)))
    assert (calendar.times(calendar.positions(seconds(index))) == seconds(index)).all()


def test_steps_have_the_common_divisor():
    spec = inferred(np.array([10, 15, 20, 30, 35]), form=STEPS)
    assert (spec.kind, spec.every, spec.name) == ("steps", 5, "5")
    assert Calendar(spec).positions(np.array([15, 20])).tolist() == [3, 4]


def test_irregular_times_are_refused_and_aggregate_is_named():
    times = seconds(
        pd.to_datetime(
            ["2021-01-01 00:00", "2021-01-01 00:07", "2021-01-01 01:13", "2021-01-02 05:00"]
        )
    )
    with pytest.raises(
        BadData, match=r"no regular grid: 2021-01-01 01:13:00 follows .*freq=.*aggregate="
    ):
        inferred(times)


def test_a_single_time_needs_freq():
    with pytest.raises(BadData, match=r"only one time.*freq="):
        inferred(seconds(["2021-01-01"]))
    assert inferred(seconds(["2021-01-01"]), "D").name == "D"


def test_times_off_the_grid_of_freq_are_refused_with_the_first():
    times = seconds(pd.date_range("2021-01-01", periods=48, freq="30min"))
    with pytest.raises(
        BadData,
        match="24 of 48 times do not lie on the grid of freq='h', the first is 2021-01-01 00:30:00",
    ):
        inferred(times, "h")
    assert inferred(times, "h", aggregated=True).name == "h"


@pytest.mark.parametrize(
    ("alias", "kind", "every"),
    [
        ("H", "seconds", 3600), ("h", "seconds", 3600), ("2h", "seconds", 7200), ("T", "seconds", 60),
        ("15T", "seconds", 900), ("15min", "seconds", 900), ("S", "seconds", 1), ("D", "seconds", 86400),
        ("W", "seconds", 604800), ("W-SUN", "seconds", 604800), ("B", "weekdays", 1), ("M", "months", 1),
        ("MS", "months", 1), ("ME", "months", 1), ("Q", "months", 3), ("QS", "months", 3), ("QE", "months", 3),
        ("QS-FEB", "months", 3), ("Y", "months", 12), ("A", "months", 12), ("YS", "months", 12), ("AS", "months", 12),
        ("YE", "months", 12), ("A-DEC", "months", 12), ("1", "steps", 1), ("5", "steps", 5),
    ],
)  # fmt: skip
def test_old_and_new_aliases_are_read(alias, kind, every):
    found = parse_frequency(alias)
    assert (found.kind, found.every) == (kind, every)


@pytest.mark.parametrize(
    "alias",
    ["", *split("0 -1 0D hourly W-XXX MSS D-MON 1.5h 2B"), "h h", "99999999999999999999D"],
)
def test_other_words_are_no_frequency(alias):
    with pytest.raises(UsageError, match="not a frequency"):
        parse_frequency(alias)


def test_freq_of_another_nature_than_the_times_is_a_usage_error():
    with pytest.raises(UsageError, match="freq='D': pass a number"):
        inferred(np.arange(5), "D", STEPS)
    with pytest.raises(UsageError, match="freq='1': pass a frequency"):
        inferred(seconds(pd.date_range("2021-01-01", periods=5)), "1")


def save(path: Path, times: pd.DatetimeIndex) -> Path:
    """A table of values that repeat every day, at times as the clock shows them."""
    texts = times.strftime("%Y-%m-%d %H:%M")
    pd.DataFrame({"time": texts, "y": 10 + times.hour + 0.01 * np.arange(len(times))}).to_csv(
        path, index=False
    )
    return path


@pytest.mark.parametrize(("zone", "step"), [("Australia/Lord_Howe", "h"), ("Europe/Berlin", "3h")])
def test_steps_of_a_clock_that_changes_by_less_are_read_without_its_zone(
    forecast: Run, tmp_path: Path, zone: str, step: str
) -> None:
    times = pd.date_range("2024-03-20", "2024-11-10", freq=step)
    path = save(
        tmp_path / "t.csv", times.tz_localize(zone, nonexistent="NaT", ambiguous=True).dropna()
    )
    asked = forecast("inspect", path, "--timezone", zone, "--dst", "earlier")
    assert asked.code == 65
    assert "no regular grid" in asked.err
    assert "pass another --timezone or none" in asked.err
    assert f"every {step}\n" in forecast("inspect", path).out
