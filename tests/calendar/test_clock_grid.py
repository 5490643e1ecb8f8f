"""Clocks that change by no whole step of a table: half an hour on Lord Howe, an hour for three-hourly readings."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

Run = Callable[..., "object"]

HOWE, BERLIN = "Australia/Lord_Howe", "Europe/Berlin"


def save(path: Path, times: pd.DatetimeIndex) -> Path:
    """A table of values that repeat every day, at times as the clock shows them."""
    texts = times.strftime("%Y-%m-%d %H:%M")
    pd.DataFrame({"time": texts, "y": 10 + times.hour + 0.01 * np.arange(len(times))}).to_csv(path, index=False)
    return path


def by_the_clock(zone: str, start: str, end: str, step: str) -> pd.DatetimeIndex:
    """Whole steps of the clock of a zone; those that it skips are left out."""
    return pd.date_range(start, end, freq=step).tz_localize(zone, nonexistent="NaT", ambiguous=True).dropna()


@pytest.mark.parametrize("dst", ["error", "earlier", "later"])
@pytest.mark.parametrize(
    ("zone", "start", "end", "step", "seen"),
    [
        (HOWE, "2024-04-01", "2024-10-20", "h", "every h, Australia/Lord_Howe"),
        (HOWE, "2024-09-25", "2024-10-20", "h", "every h, Australia/Lord_Howe"),
        (BERLIN, "2024-03-20", "2024-11-10", "3h", "every 3h, Europe/Berlin"),
        (BERLIN, "2024-10-20", "2024-11-10", "3h", "every 3h, Europe/Berlin"),
    ],
)
def test_whole_steps_of_the_clock_are_read_through_its_changes(
    forecast: Run, tmp_path: Path, zone: str, start: str, end: str, step: str, seen: str, dst: str
) -> None:
    path = save(tmp_path / "t.csv", by_the_clock(zone, start, end, step))
    ran = forecast("inspect", path, "--timezone", zone, "--dst", dst)
    assert ran.code == 0, ran.err
    assert seen in ran.out
    assert forecast("inspect", path, "--timezone", zone, "--freq", step).out == ran.out


@pytest.mark.parametrize("dst", ["earlier", "later"])
def test_an_hour_that_does_not_exist_on_lord_howe_has_a_way_out(forecast: Run, tmp_path: Path, dst: str) -> None:
    path = save(tmp_path / "t.csv", pd.date_range("2024-09-25", "2024-10-20", freq="h"))
    asked = forecast("inspect", path, "--timezone", HOWE)
    assert asked.code == 65
    assert "'2024-10-06 02:00' does not exist in Australia/Lord_Howe" in asked.err
    assert "pass --dst earlier or --dst later, or no --timezone" in asked.err
    read = forecast("inspect", path, "--timezone", HOWE, "--dst", dst, "--json")
    assert read.code == 0, read.err
    assert (json.loads(read.out)["values"], json.loads(read.out)["missing"]) == (601, 0)


@pytest.mark.parametrize("dst", ["error", "earlier", "later"])
def test_a_reading_of_which_one_meaning_lies_on_the_grid_is_not_asked_for(
    forecast: Run, tmp_path: Path, dst: str
) -> None:
    hours = pd.date_range("2024-03-20", "2024-04-20", freq="h", tz="UTC").tz_convert(HOWE)
    read = forecast("inspect", save(tmp_path / "t.csv", hours), "--timezone", HOWE, "--dst", dst, "--json")
    assert read.code == 0, read.err
    assert (json.loads(read.out)["values"], json.loads(read.out)["missing"]) == (len(hours), 0)


def test_forecasts_follow_the_clock_through_its_change(forecast: Run, tmp_path: Path) -> None:
    hours = by_the_clock(HOWE, "2024-03-25", "2024-10-05 22:00", "h")
    path, store = save(tmp_path / "t.csv", hours), tmp_path / "s"
    naive = ("--model", "seasonal-naive", "--horizon", 6, "--season", 24)
    assert forecast("fit", path, "--timezone", HOWE, "--artifact", store, *naive).code == 0
    found = forecast("predict", path, "--artifact", store).frame
    assert [text[11:] for text in found["time"]] == ["23:00", "00:00", "01:00", "02:30", "03:00", "04:00"]
    assert found["forecast"].round().tolist() == (found["forecast"].round().iloc[1] + [23, 0, 1, 2, 3, 4]).tolist()
    later = save(tmp_path / "later.csv", by_the_clock(HOWE, "2024-03-25", "2024-10-09 05:00", "h"))
    found = forecast("predict", later, "--artifact", store).frame
    assert [text[11:] for text in found["time"]] == ["06:00", "07:00", "08:00", "09:00", "10:00", "11:00"]
