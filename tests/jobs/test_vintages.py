"""Runs of a job keep what they know in advance, and later fits use it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast.calendar.spec import parse_as_of
from forecast.errors import StorageFailure
from forecast.jobs import run as running
from forecast.jobs.as_of import read_to_fit
from forecast.jobs.pipeline import read_pipeline
from forecast.panel.panel import Panel
from forecast.settings import TextSettings
from forecast.tables.reading import read_table
from tests.conftest import Ran
from tests.jobs.a_job import Job

Run = Callable[..., Ran]
At = Callable[[int], str]
FIRST = 120  # the last day of the table on the first night
HORIZON = 3


@pytest.fixture
def nights(job: Job, forecast: Run, at: At) -> Callable[[int, float], Ran]:
    """Runs the job after a day of the table, with what its weather service says that night about days to come."""
    job.write(table='known = ["temp"]', train=f"baselines = []\nhorizon = {HORIZON}", top='refit = "never"')
    text = job.file.read_text().replace("horizon = 7\n", "").replace('"seasonal-naive"', '"last"')
    job.file.write_text(text)

    def night(day: int, says: float) -> Ran:
        table = job.table(days=day + 1 + HORIZON)
        ahead = pd.to_datetime(table["day"]) > pd.Timestamp("2024-01-01") + pd.Timedelta(days=day)
        temp = np.where(ahead, says, 10.0 + np.arange(len(table)) // 2 % 5)
        table.assign(units=table["units"].where(~ahead), temp=temp).to_csv(job.folder / "sales.csv", index=False)
        return forecast("run", job.file, "--as-of", at(day))

    return night


def panel_to_fit(job: Job, at: At, day: int) -> Panel:
    pipeline = read_pipeline(str(job.file))
    table = read_table(str(job.folder / "sales.csv"), TextSettings())
    return read_to_fit(pipeline, parse_as_of(at(day)), table, {}, None)[0].panel


def kept(job: Job) -> list[Path]:
    return sorted((job.folder / "store.runs" / "vintages").iterdir())


def test_a_fit_sees_what_each_night_knew(job: Job, nights: Callable[[int, float], Ran], at: At) -> None:
    for day, says in ((0, 20.0), (1, 21.0), (2, 22.0)):
        ran = nights(FIRST + day, says)
        assert ran.code == 0, ran.err
    assert nights(FIRST + 3, 23.0).code == 0
    assert len(kept(job)) == 4
    panel = panel_to_fit(job, at, FIRST + 3)
    for back, says in ((1, 22.0), (2, 21.0), (3, 20.0)):
        then = panel.until(panel.origins - back)
        assert then.known[np.r_[-HORIZON:0], 0].tolist() == [says] * HORIZON
        assert then.known[then.slots(0)].max() < 15  # the past has its final values
    before = panel.until(panel.origins - 6)  # nobody kept what was known then
    assert before.known[-HORIZON:, 0].max() < 15
    assert panel.known[-HORIZON:, 0].tolist() == [23.0] * HORIZON
    job.file.write_text(job.file.read_text().replace('"never"', '"daily"'))
    ran = nights(FIRST + 4, 24.0)
    assert ran.code == 0, ran.err
    assert "known    what 4 earlier runs kept is used; before them, columns have the values of now" in ran.err


def test_only_what_differs_from_the_night_before_is_kept(job: Job, nights: Callable[[int, float], Ran]) -> None:
    from forecast.artifacts.format import load_arrays

    for day in range(3):
        assert nights(FIRST + day, 20.0).code == 0
    counts = [len(load_arrays(file.read_bytes())["value"]) for file in kept(job)]
    assert counts == [2 * HORIZON, 2, 2]


def test_off_keeps_and_uses_nothing(job: Job, nights: Callable[[int, float], Ran], at: At) -> None:
    assert nights(FIRST, 20.0).code == 0
    assert nights(FIRST + 1, 21.0).code == 0
    job.file.write_text(job.file.read_text().replace("[source]\n", '[source]\nvintages = "off"\n'))
    assert nights(FIRST + 2, 22.0).code == 0
    assert len(kept(job)) == 2
    assert panel_to_fit(job, at, FIRST + 2).vintages is None


def test_a_night_that_was_killed_is_repaired_and_a_broken_file_is_named(
    job: Job, nights: Callable[[int, float], Ran], at: At, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert nights(FIRST, 20.0).code == 0

    def killed(*_: object) -> None:
        raise StorageFailure("stopped")

    with monkeypatch.context() as patched:
        patched.setattr(running, "_publication", killed)
        assert nights(FIRST + 1, 21.0).code == 74
    assert len(kept(job)) == 2
    before = [file.read_bytes() for file in kept(job)]
    assert nights(FIRST + 1, 21.0).code == 0
    assert [file.read_bytes() for file in kept(job)] == before
    assert nights(FIRST, 99.0).code == 0  # an older night is not rewritten by what is known now
    assert [file.read_bytes() for file in kept(job)] == before
    kept(job)[0].write_bytes(before[0][:50])
    ran = nights(FIRST + 2, 22.0)
    assert ran.code == 0, ran.err
    assert f"{kept(job)[0].name}: what an earlier run knew cannot be read, and is left out" in ran.err
    panel = panel_to_fit(job, at, FIRST + 2)
    assert panel.until(panel.origins - 1).known[-HORIZON:, 0].tolist() == [21.0] * HORIZON


@pytest.mark.parametrize("apart", [False, True])
def test_a_job_uses_what_became_available_up_to_its_run(
    job: Job, nights: Callable[[int, float], Ran], forecast: Run, at: At, apart: bool
) -> None:
    nights(FIRST, 20.0)  # writes the table
    table = pd.read_csv(job.folder / "sales.csv")
    table["available_at"] = None
    ahead = table["units"].isna()
    issues = []
    for hour, says in (("09:00", 30.0), ("11:59", 31.0), ("12:01", 32.0)):  # the run is at noon, UTC
        day = pd.Timestamp("2024-01-02") + pd.Timedelta(days=FIRST)
        issues.append(table[ahead].assign(temp=says, available_at=f"{day:%Y-%m-%d} {hour}:00"))
    if apart:
        table[~ahead].drop(columns="available_at").to_csv(job.folder / "sales.csv", index=False)
        pd.concat(issues).drop(columns="units").to_csv(job.folder / "weather.csv", index=False)
        job.file.write_text(job.file.read_text().replace("[source]\n", '[source]\nfuture = "weather.csv"\n'))
    else:
        pd.concat([table[~ahead], *issues]).to_csv(job.folder / "sales.csv", index=False)
    ran = forecast("run", job.file, "--as-of", at(FIRST))
    assert ran.code == 0, ran.err
    panel = panel_to_fit(job, at, FIRST)
    assert panel.known[-HORIZON:, 0].tolist() == [31.0] * HORIZON


def test_words_of_a_wide_table_keep_their_meaning_where_columns_and_categories_change(
    job: Job, forecast: Run, at: At
) -> None:
    job.write(table='known = ["sky"]\nfreq = "D"', checks='output.on_error = "warn"')
    job.file.write_text(
        job.file.read_text().replace('"seasonal-naive"', '"last"').replace("horizon = 7", "horizon = 3")
    )
    for night, (says, columns, first) in enumerate(
        (("sun", ["north", "south"], "rain"), ("rain", ["south"], "fog"), ("sun", ["south"], "fog"))
    ):
        table = job.table(days=FIRST + 1 + night).pivot(index="day", columns="shop", values="units")[columns]
        table["sky"] = [first, *["rain"] * (len(table) - 2), "sun"]
        days = pd.date_range(pd.Timestamp("2024-01-02") + pd.Timedelta(days=FIRST + night), periods=HORIZON)
        ahead = pd.DataFrame({"sky": says}, index=days.strftime("%Y-%m-%d"))
        pd.concat([table, ahead]).rename_axis("day").to_csv(job.folder / "sales.csv")
        if night < 2:
            ran = forecast("run", job.file, "--as-of", at(FIRST + night))
            assert ran.code == 0, ran.err
    pipeline = read_pipeline(str(job.file))
    tonight = read_table(str(job.folder / "sales.csv"), TextSettings())
    reading = read_to_fit(pipeline, parse_as_of(at(FIRST + 2)), tonight, {}, None)[0]
    panel, names = reading.panel, reading.schema.categories["sky"]
    assert names == ("fog", "rain", "sun")
    for back, says in ((1, "rain"), (2, "sun")):
        codes = panel.until(panel.origins - back).known[-HORIZON:, 0]
        assert [names[int(code) - 1] for code in codes] == [says] * HORIZON
