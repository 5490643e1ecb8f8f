"""When a job fits anew, and which version serves."""

import json
import sqlite3
from contextlib import closing
from datetime import datetime, tzinfo
from itertools import pairwise

import pandas as pd
import pytest

from forecast.artifacts.store import Store
from tests.conftest import At, Run
from tests.jobs.a_job import Job


def test_a_refit_is_due_after_its_days_and_when_settings_change(
    job: Job, forecast: Run, at: At
) -> None:
    job.write(top='refit = "every 3 days"')
    why = []
    for day in (150, 151, 152, 153, 154):
        assert forecast("run", job.file, "--as-of", at(day)).code == 0
        why.append(job.record()["fit"].get("why"))
    assert why == ["there is no version yet", None, None, "the last fit is 3.0 days old", None]
    job.write(
        top='refit = "every 3 days"',
        train='season = "none"'.replace('season = "none"', 'metric = "mae"'),
    )
    forecast("run", job.file, "--as-of", at(155))
    assert job.record()["fit"]["why"] == "the settings changed"
    job.write(top='refit = "never"')
    forecast("run", job.file, "--as-of", at(190))
    assert job.record()["fit"] == {}


def test_a_warm_start_goes_on_from_the_live_version(job: Job, forecast: Run, at: At) -> None:
    job.write(top='refit = "daily"', train="steps = 8\nwarm_start = true\nguard = false")
    job.file.write_text(job.file.read_text().replace('"seasonal-naive"', '"linear"'))
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    assert forecast("run", job.file, "--as-of", at(151)).code == 0
    first, second = (
        json.loads((job.store / version / "config.json").read_text())["config"]["plan"]
        for version in sorted(path.name for path in job.store.glob("v-*"))
    )
    assert first["started_from"] is None
    assert second["started_from"] is not None


def test_when_worse_fits_anew_after_forecasts_have_failed(job: Job, forecast: Run, at: At) -> None:
    job.write(top='refit = "when worse"', checks='output.on_error = "warn"')
    for day in range(150, 156):
        forecast("run", job.file, "--as-of", at(day))
    assert job.record()["fit"] == {}
    frame = job.table()
    late = frame["day"] >= "2024-06-06"
    frame.loc[late, "units"] += 200 * (frame.loc[late, "day"].str[-1].astype(int) % 2)
    frame.to_csv(job.folder / "sales.csv", index=False)
    reasons = []
    for day in range(158, 172, 2):
        assert forecast("run", job.file, "--as-of", at(day)).code == 0
        reasons.append(job.record()["fit"].get("why"))
    assert any(reason and reason.startswith("MASE") for reason in reasons)


def test_when_worse_takes_no_single_bad_day_for_a_worse_version(
    job: Job, forecast: Run, at: At
) -> None:
    job.write(top='refit = "when worse"')
    job.file.write_text(job.file.read_text().replace("seasonal-naive", "seasonal-mean"))
    frame = job.table()
    frame.loc[frame["day"] == "2024-06-25", "units"] += 100
    frame.to_csv(job.folder / "sales.csv", index=False)
    for day in (150, *range(154, 192, 3)):
        assert forecast("run", job.file, "--as-of", at(day)).code == 0
        assert bool(job.record()["fit"]) is (day == 150)


def test_when_worse_does_not_blame_a_new_version_for_what_the_one_before_it_missed(
    job: Job, forecast: Run, at: At
) -> None:
    job.write(top='refit = "when worse"')
    frame = job.table()
    late = frame["day"] >= "2024-06-01"
    frame.loc[late, "units"] = 3 * frame.loc[late, "units"]
    frame.to_csv(job.folder / "sales.csv", index=False)
    fitted = []
    for day in (150, *range(158, 190, 2)):
        assert forecast("run", job.file, "--as-of", at(day)).code == 0
        if job.record()["fit"]:
            fitted.append(day)
    assert fitted[0] == 150
    assert len(fitted) > 1
    assert all(later - earlier > 7 for earlier, later in pairwise(fitted))


def test_an_earlier_instant_is_served_by_a_version_that_had_not_seen_later_values(
    job: Job, forecast: Run, at: At
) -> None:
    job.write(top='refit = "daily"')
    versions = []
    for day in (150, 151, 152):
        forecast("run", job.file, "--as-of", at(day))
        versions.append(job.record()["version"])
    job.write(top='refit = "never"\nname = "backfill"')
    forecast("run", job.file, "--as-of", "2024-05-31T21:00:00+00:00")
    assert job.record()["version"] == versions[1]
    assert json.loads(forecast("versions", "--artifact", job.store, "--json").out)[-1]["live"]


def test_a_refit_never_begins_to_forecast_something_else(job: Job, forecast: Run, at: At) -> None:
    job.write(top='refit = "daily"')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    live = job.record()["version"]
    frame = job.table()
    frame.rename(columns={"units": "returns"}).to_csv(job.folder / "sales.csv", index=False)
    ran = forecast("run", job.file, "--as-of", at(160))
    assert ran.code == 65
    assert "units" in ran.err
    frame[frame["day"].isin(frame["day"].unique()[::7])].to_csv(
        job.folder / "sales.csv", index=False
    )
    ran = forecast("run", job.file, "--as-of", at(160))
    assert ran.code == 65
    assert "frequency" in ran.err or "coarser" in ran.err
    frame.assign(returns=1.0).to_csv(job.folder / "sales.csv", index=False)
    assert forecast("run", job.file, "--as-of", at(160)).code == 0
    assert job.record()["fit"]["version"] != live
    assert list(pd.read_csv(job.output).columns)[:3] == ["shop", "day", "forecast"]


class In2031(datetime):
    """A clock that is ahead of the tables of these tests."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "In2031":
        return cls(2031, 1, 1, tzinfo=tz)


def test_a_refit_reads_years_of_two_digits_in_the_century_of_the_live_version(
    job: Job, forecast: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("run", "refit", "publishing"):
        monkeypatch.setattr(f"forecast.jobs.{module}.datetime", In2031)
    job.write(top='refit = "daily"', table='date_format = "%d.%m.%y"')
    for last in ("2029-12-31", "2030-06-30"):
        days = pd.date_range("2029-07-01", last)
        frame = pd.DataFrame({"day": days.strftime("%d.%m.%y"), "units": days.day_of_week + 1.0})
        frame.to_csv(job.folder / "sales.csv", index=False)
        assert forecast("run", job.file, "--as-of", f"{last}T23:59:59+00:00").code == 0
        assert job.record()["data_age"] < 3 * 24 * 3600


AHEAD = "2999-01-01T12:00:00+00:00"  # of a clock that ran ahead, or of a slip of the finger


def test_a_run_ahead_of_its_clock_promotes_nothing_and_gives_way_to_ordinary_runs(
    job: Job, forecast: Run, at: At
) -> None:
    job.write(top='refit = "daily"', sink='url = "sqlite:///f.db"\ntable = "forecasts"')
    assert forecast("run", job.file, "--as-of", at(197)).code == 0
    live = job.record()["version"]
    ran = forecast("run", job.file, "--as-of", AHEAD)
    assert ran.code == 0, ran.err
    record, output = job.record(), job.output.read_bytes()
    assert "the run as of 2999-01-01T12:00:00Z is ahead of its clock" in ran.err
    assert any("is ahead of its clock" in text for text in record["warnings"])
    assert (record["version"], record["fit"]) == (live, {})
    assert Store(job.store).current() == live
    again = forecast("run", job.file, "--as-of", AHEAD)
    assert (again.code, job.record()["version"], job.output.read_bytes()) == (
        0,
        record["version"],
        output,
    )
    status = forecast("status", job.file)
    assert (status.code, "is ahead of its clock" in status.out.splitlines()[0]) == (3, True)
    for day in (198, 199):
        ran = forecast("run", job.file, "--as-of", at(day))
        assert (ran.code, "older forecast" in ran.err) == (0, False)
        live = job.record()["version"]
        assert Store(job.store).current() == live == job.record()["fit"]["version"]
    assert job.output.read_bytes() != output
    with closing(sqlite3.connect(job.folder / "f.db")) as connection, connection:
        of_origin = connection.execute(
            "SELECT DISTINCT origin, version FROM forecasts ORDER BY 1"
        ).fetchall()
    assert of_origin[-1] == ("2024-07-18 00:00:00", live)  # the origin of the run ahead, too
    status = forecast("status", job.file, "--runs", "1")
    assert (status.code, "dated ahead" in status.out) == (0, False), status.out
    assert "2999" not in forecast("diff", job.file).out


def test_later_runs_learn_nothing_from_a_run_ahead_of_its_clock(
    job: Job, forecast: Run, at: At
) -> None:
    frame = job.table(days=207)
    frame["promo"] = frame["day"].str[-1].isin(["1", "5"]).astype(int)
    frame["units"] = frame["units"].where(frame["day"] < "2024-07-19")
    frame.to_csv(job.folder / "sales.csv", index=False)
    job.write(table='known = ["promo"]\ntarget = "units"', source='vintages = "keep"')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    sql = (
        "SELECT as_of FROM forecast_cells",
        "SELECT * FROM forecast_scores",
        "SELECT as_of FROM forecast_known",
    )
    left = [*map(job.ledger, sql)]
    assert forecast("run", job.file, "--as-of", AHEAD).code == 0
    assert [*map(job.ledger, sql)] == left
    assert forecast("run", job.file, "--as-of", at(152)).code == 0
    assert len(job.ledger("SELECT as_of FROM forecast_known")) == 2
    assert job.record()["actuals"]["values"] == 4


def test_a_first_run_ahead_of_its_clock_leaves_no_live_version(
    job: Job, forecast: Run, at: At
) -> None:
    for _ in range(2):
        assert forecast("run", job.file, "--as-of", AHEAD).code == 0
        assert Store(job.store).empty
    assert len(Store(job.store).versions()) == 1
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    assert Store(job.store).current() == job.record()["fit"]["version"]


def test_a_version_of_a_run_ahead_that_an_earlier_release_made_live_gives_way_to_the_next_fit(
    job: Job, forecast: Run, at: At
) -> None:
    job.write(top='refit = "daily"')
    for day in (150, 151):
        assert forecast("run", job.file, "--as-of", at(day)).code == 0
    ahead = Store(job.store).current()
    with closing(sqlite3.connect(job.folder / "store.runs" / "ledger.db")) as ledger, ledger:
        ledger.execute(
            "UPDATE forecast_fits SET promoted = 2, as_of = ? WHERE version = ?", (AHEAD, ahead)
        )
    for day in (152, 153):
        assert forecast("run", job.file, "--as-of", at(day)).code == 0
        assert Store(job.store).current() == job.record()["fit"]["version"] != ahead


def test_a_make_up_run_of_an_older_date_replaces_no_newer_version(
    job: Job, forecast: Run, at: At
) -> None:
    job.write(top='refit = "daily"')
    for day in (150, 152):
        assert forecast("run", job.file, "--as-of", at(day)).code == 0
    live = Store(job.store).current()
    assert forecast("run", job.file, "--as-of", at(151)).code == 0
    assert job.record()["version"] == job.record()["fit"]["version"] != live
    assert Store(job.store).current() == live


def test_runs_long_after_the_newest_value_say_so_and_teach_no_limit(
    job: Job, forecast: Run, at: At
) -> None:
    job.table(days=150)
    job.write(top='refit = "daily"')
    said = "is more than a horizon after the newest value"
    for day in (150, 157, 158):  # the last day of the first night's forecasts is that of noon 156
        ran = forecast("run", job.file, "--as-of", at(day))
        assert (ran.code, said in ran.err, job.record()["horizon_over"]) == (
            0,
            day > 156,
            day > 156,
        )
        assert (
            Store(job.store).current() == job.record()["fit"]["version"]
        )  # old data are no wrong clock
    status = forecast("status", job.file)
    assert (status.code, said in status.out) == (0, True)
