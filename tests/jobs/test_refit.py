"""When a job fits anew, and which version serves."""

import json
from collections.abc import Callable
from datetime import datetime, tzinfo

import pandas as pd
import pytest

from forecast.artifacts.store import Store
from tests.conftest import Ran
from tests.jobs.a_job import Job

Run = Callable[..., Ran]
At = Callable[[int], str]


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
        json.loads((job.store / version / "config.json").read_text())["plan"]
        for version in sorted(path.name for path in job.store.glob("v-*"))
    )
    assert first["started_from"] is None
    assert second["started_from"] is not None


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
    for module in ("run", "inputs", "publishing"):
        monkeypatch.setattr(f"forecast.jobs.{module}.datetime", In2031)
    job.write(top='refit = "daily"', table='date_format = "%d.%m.%y"')
    for first, last in (("2029-07-01", "2029-12-31"), ("2030-01-01", "2030-06-30")):
        days = pd.date_range(first, last)
        frame = pd.DataFrame({"day": days.strftime("%d.%m.%y"), "units": days.day_of_week + 1.0})
        frame.to_csv(job.folder / "sales.csv", index=False)
        assert forecast("run", job.file, "--as-of", f"{last}T23:59:59+00:00").code == 0
        assert job.record()["data_age"] < 3 * 24 * 3600


def test_a_run_ahead_of_its_clock_is_refused(job: Job, forecast: Run) -> None:
    ran = forecast("run", job.file, "--as-of", "2999-01-01T12:00:00+00:00")
    assert (ran.code, "ahead of the clock" in ran.err) == (2, True)
    assert Store(job.store).empty


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
