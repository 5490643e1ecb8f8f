"""What commands say about ages, series and versions."""

from pathlib import Path
from shlex import split

import pandas as pd
import pytest

from tests.conftest import Run
from tests.jobs.a_job import Job, at, job

__all__ = ["at", "job"]  # fixtures

NAIVE = ("--model", "seasonal-naive", "--horizon", 3)


def test_an_age_of_years_is_written_in_whole_days(
    forecast: Run, passengers: Path, store: Path
) -> None:
    told = forecast(
        "predict",
        passengers,
        "--artifact",
        store,
        *split("--warn-after 2d --as-of 2024-07-04T00:00"),
    ).err
    assert "the newest value is 23,195 days old (--warn-after 2d)" in told
    short = forecast(
        "predict",
        passengers,
        "--artifact",
        store,
        *split("--warn-after 2d --as-of 1961-01-09T12:00"),
    ).err
    assert "the newest value is 8.5 days old" in short


def test_a_period_that_is_not_over_has_no_negative_age(
    forecast: Run, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(job.folder)
    job.write(source='unfinished = "keep"')
    frame = job.table()
    now = pd.Timestamp.now().floor("h")
    later = pd.to_datetime(frame["day"]) + (now.floor("D") - pd.Timestamp(frame["day"].max()))
    frame.assign(day=later.dt.strftime("%Y-%m-%d")).to_csv("sales.csv", index=False)
    ran = forecast("run", "job.toml")
    assert "passes: it is the first version" in ran.err
    shown = forecast("status", "job.toml").out
    assert f"data     up to {now:%Y-%m-%d}, of a period that ends in " in shown
    assert " -" not in shown.splitlines()[2]


def test_ids_of_several_columns_are_shown_as_one_series(forecast: Run, tmp_path: Path) -> None:
    rows = [
        (group, item, f"2024-{month:02d}-{day:02d}", 5 if item == "7" else day % 7)
        for group in ("FLORAL", "WOOD")
        for item in ("292", "356", "7")
        for month in (1, 2, 3)
        for day in range(1, 29)
        if item != "356" or month == 1
    ]
    pd.DataFrame(rows, columns=["group", "item", "day", "units"]).to_csv(
        tmp_path / "sales.csv", index=False
    )
    told = forecast(
        "fit", tmp_path / "sales.csv", "--artifact", tmp_path / "s", "--id", "group,item", *NAIVE
    ).err
    assert "2 series never change: FLORAL/7, WOOD/7\n" in told
    assert "get no forecast: FLORAL/356, WOOD/356\n" in told
