"""Checks of a table before the forecast: its age, and series that stay away."""

import json

import pandas as pd
import pytest

from forecast.jobs.checks.age import duration_text
from tests.conftest import At, Run
from tests.jobs.a_job import Job


def test_stale_data_end_with_4_and_leave_the_output_alone(job: Job, forecast: Run, at: At) -> None:
    assert forecast("run", job.file, "--as-of", at(199)).code == 0
    before = job.output.read_bytes()
    job.write(checks='error_after = "3d"')
    ran = forecast("run", job.file, "--as-of", at(210))
    assert ran.code == 4
    assert "sales.csv: the newest value is 11.5 days old" in ran.err
    assert job.output.read_bytes() == before
    assert job.record()["exit_code"] == 4
    status = forecast("status", job.file)
    assert status.code == 4
    assert "days old" in status.out
    job.write(checks='warn_after = "3d"')
    ran = forecast("run", job.file, "--as-of", at(210))
    assert ran.code == 0
    assert "--warn-after 3d" in ran.err
    assert any("--warn-after" in text for text in job.record()["warnings"])


def test_predict_knows_the_limits_of_age_too(job: Job, forecast: Run, at: At) -> None:
    forecast("run", job.file, "--as-of", at(199))
    words = ("predict", job.folder / "sales.csv", "--artifact", job.store, "--as-of", at(205))
    assert (
        forecast(*words, "--warn-after", "30h", "--error-after", "9d").err.count("6.5 days old")
        == 1
    )
    stale = forecast(*words, "--error-after", "30h")
    assert stale.code == 4
    assert stale.out == ""
    assert forecast(*words, "--error-after", "soon").code == 2


def test_vanished_ids_moved_levels_and_new_ids_are_said_and_recorded(
    job: Job, forecast: Run, at: At
) -> None:
    job.write(top='refit = "never"', checks='require_all = true\noutput.on_error = "warn"')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    frame = job.table()
    frame["shop"] = frame["shop"].replace({"south": "east"})
    frame["units"] *= 20
    frame.to_csv(job.folder / "sales.csv", index=False)
    ran = forecast("run", job.file, "--as-of", at(160))
    assert ran.code == 3
    said = "\n".join(job.record()["warnings"])
    assert "not seen at fit (east)" in said
    assert "not here (south)" in said
    assert "tenfold" in said
    assert job.record()["skipped"] == {"south": "gone"}
    assert set(pd.read_csv(job.output)["shop"]) == {"north", "east"}


def test_a_branch_that_stays_away_is_never_forgotten(job: Job, forecast: Run, at: At) -> None:
    job.write(
        top='refit = "weekly"',
        checks='require_all = true\nerror_after = "3d"\noutput.on_error = "warn"',
    )
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    frame = job.table()
    frame[frame["shop"] == "north"].to_csv(job.folder / "sales.csv", index=False)
    for day in (158, 166):
        ran = forecast("run", job.file, "--as-of", at(day))
        assert ran.code == 3
        assert "south" in ran.err
    assert "left out: south" in forecast("status", job.file).out
    frame[(frame["shop"] == "north") | (frame["day"] < "2024-06-10")].to_csv(
        job.folder / "sales.csv", index=False
    )
    ran = forecast("run", job.file, "--as-of", at(169))
    assert ran.code == 3
    assert "have no recent value, while others do: south" in ran.err


def test_a_shop_that_an_event_closes_is_never_warned_of(job: Job, forecast: Run, at: At) -> None:
    events = "start,end,name,kind,shop\n2024-05-30,2025-12-31,given up,closed,south\n"
    (job.folder / "events.csv").write_text(events, encoding="utf-8")
    job.write(table='events = "events.csv"', train="lookback = 14", top='refit = "never"')
    table = job.table()
    is_gone = (table["shop"] == "south") & (table["day"] >= "2024-05-30")
    for night in (148, 149, 150, 160, 170):  # open, closed, longer than a horizon, and ended
        until = at(night - 1)[:10]
        table[~is_gone & (table["day"] <= until)].to_csv(job.folder / "sales.csv", index=False)
        assert forecast("run", job.file, "--as-of", at(night)).code == 0
        assert job.record()["warnings"] == []


def test_series_whose_joined_ids_are_equal_are_recorded_apart(
    job: Job, forecast: Run, at: At
) -> None:
    table = job.table()
    ids = (("x", "y/z"), ("x/y", "z"), ("k", "k"))
    frames = [table[table["shop"] == "north"].assign(shop=shop, item=item) for shop, item in ids]
    pd.concat(frames).to_csv(job.folder / "sales.csv", index=False)
    job.write(table='id = ["shop", "item"]', checks='output.on_error = "warn"')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    store = json.loads(forecast("inspect", "--artifact", job.store, "--json").out)
    assert [*store["models"]] == ["k/k", "x/y/z", r"x\/y/z"]
    frames[2].to_csv(job.folder / "sales.csv", index=False)
    forecast("run", job.file, "--as-of", at(151))
    assert job.record()["skipped"] == {"x/y/z": "gone", r"x\/y/z": "gone"}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(45, "45 seconds"), (7_200, "2 hours"), (277_000, "3.21 days"), (1e8, "1,157 days")],
)
def test_a_length_of_time_is_written_for_people(seconds: float, said: str) -> None:
    assert duration_text(seconds) == said
