"""What a job does about its newest values: faults on their first morning, and what later nights learn of them."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from forecast.jobs.gate import replayed_checks
from forecast.jobs.pipeline import read_pipeline
from forecast.jobs.run import run_job
from workshop.campaigns._shops import (
    CLEAN_NIGHTS,
    DAYS_BEFORE,
    FAULTS,
    FIRST_DAY,
    ShopJob,
    answered,
    sales,
)

BLOCKED = 5
A_WEEK = 7


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> ShopJob:
    """A job that has run for nights without a fault, though one store closed long ago."""
    job = ShopJob(tmp_path_factory.mktemp("shops"), sales(DAYS_BEFORE + CLEAN_NIGHTS + 12))
    job.write("theta")
    for night in range(CLEAN_NIGHTS):
        code, messages = job.run(night)
        assert code == 0
        assert [text for text in messages if night or "ended" not in text] == []
    return job


@pytest.fixture
def job(clean: ShopJob, tmp_path: Path) -> ShopJob:
    return clean.copy_to(tmp_path / "job")


def doubled(table: pd.DataFrame, first_night: int) -> pd.DataFrame:
    """A table whose sales are twice as high from the newest day of a night on."""
    first = FIRST_DAY + pd.Timedelta(days=DAYS_BEFORE + first_night - 1)
    return table.assign(units=table["units"].where(table["day"] < first, 2 * table["units"]))


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_answered_on_its_first_morning(name: str, job: ShopJob) -> None:
    fault = FAULTS[name]
    code, messages = job.run(CLEAN_NIGHTS, fault.plant(job.table(CLEAN_NIGHTS)))
    assert answered(fault, code, messages), (code, messages)


def test_a_blocked_group_is_named_with_its_ratio_and_date(job: ShopJob) -> None:
    _, messages = job.run(CLEAN_NIGHTS, FAULTS["a store times 10"].plant(job.table(CLEAN_NIGHTS)))
    assert (
        "values of store 'store 3' at 2025-08-11 are about 7.2 times their forecasts" in messages[0]
    )
    assert "--accept" in messages[0]


def test_nothing_is_published_until_it_is_accepted_and_then_it_counts_as_right(
    job: ShopJob,
) -> None:
    before = (job.folder / "forecasts.csv").read_bytes()
    code, _ = job.run(CLEAN_NIGHTS, doubled(job.table(CLEAN_NIGHTS), CLEAN_NIGHTS))
    assert code == BLOCKED
    assert (job.folder / "forecasts.csv").read_bytes() == before
    run_job(read_pipeline(str(job.file)), accept=True, take_over=True)
    assert (job.folder / "forecasts.csv").read_bytes() != before
    night = CLEAN_NIGHTS + 1
    assert job.run(night, doubled(job.table(night), CLEAN_NIGHTS))[0] == 0


def test_a_level_that_holds_for_a_week_of_nights_does_not_block_for_ever(job: ShopJob) -> None:
    nights = range(CLEAN_NIGHTS, CLEAN_NIGHTS + A_WEEK + 5)
    ended = [job.run(night, doubled(job.table(night), CLEAN_NIGHTS)) for night in nights]
    codes = [code for code, _ in ended]
    blocked = codes.index(0)
    # forecasts follow the level within some nights, and have a week of their own
    assert A_WEEK <= blocked <= A_WEEK + 3
    assert not any(codes[blocked:])
    assert any("counts as right" in message for message in ended[blocked][1])
    assert not any("group: " in message for message in ended[blocked + 1][1])
    replay = replayed_checks(read_pipeline(str(job.file)), len(nights))
    assert f"{blocked} blocked, " in replay[-1]


@pytest.mark.parametrize("on_error", ["block", "warn"])
def test_a_night_with_a_fault_teaches_nothing(on_error: str, job: ShopJob) -> None:
    with job.file.open("a", encoding="utf-8") as file:
        file.write(f'[checks.output]\non_error = "{on_error}"\n')
    fault = FAULTS["all series times 2"]
    night = CLEAN_NIGHTS
    for _ in range(2):
        code, messages = job.run(night, fault.plant(job.table(night)))
        assert code == (BLOCKED if on_error == "block" else 0)
        assert any(text.find("group: ") >= 0 for text in messages)
        assert job.run(night + 1)[0] == 0  # the source was mended
        night += 2


def test_values_that_were_revised_since_teach_nothing(job: ShopJob) -> None:
    """Sales up by a third on one day pass, and turn out to be wrong: that night is no example of what is usual."""
    higher = job.table(CLEAN_NIGHTS)
    newest = higher["day"] == higher.dropna()["day"].max()
    higher = higher.assign(units=higher["units"].mask(newest, (1.3 * higher["units"]).round()))
    assert job.run(CLEAN_NIGHTS, higher)[0] == 0
    assert job.run(CLEAN_NIGHTS + 1)[0] == 0
    with (
        closing(sqlite3.connect(job.folder / "model.runs" / "ledger.db")) as connection,
        connection,
    ):
        sql = "SELECT record ->> 'revised' FROM forecast_runs ORDER BY as_of DESC LIMIT 1"
        ((revised,),) = connection.execute(sql).fetchall()
    assert job.as_of(CLEAN_NIGHTS)[:19] in revised


def test_closures_that_are_announced_do_not_block(job: ShopJob) -> None:
    """A company holiday of three days, written into the events file after last night's run."""
    origin = FIRST_DAY + pd.Timedelta(days=DAYS_BEFORE + CLEAN_NIGHTS - 1)
    days = [origin + pd.Timedelta(days=ahead) for ahead in (2, 4)]
    with (job.folder / "events.csv").open("a", encoding="utf-8") as file:
        file.write(f"{days[0]:%Y-%m-%d},{days[1]:%Y-%m-%d},company holiday,closed,\n")
    code, messages = job.run(CLEAN_NIGHTS)
    assert (code, [text for text in messages if "jump" in text]) == (0, [])
    closed = pd.read_csv(job.folder / "forecasts.csv", parse_dates=["day"])
    assert (closed.loc[closed["day"].between(*days), "forecast"] == 0).all()


def test_one_wrong_value_alone_warns_and_names_its_series(job: ShopJob) -> None:
    table = job.table(CLEAN_NIGHTS)
    wrong = (
        (table["day"] == table.dropna()["day"].max())
        & (table["store"] == "store 5")
        & (table["product"] == "milk")
    )
    code, messages = job.run(
        CLEAN_NIGHTS, table.assign(units=table["units"].where(~wrong, 30 * table["units"]))
    )
    assert code == 0
    assert any(text.startswith("value: store 5/milk 2025-08-11: ") for text in messages)


def test_limits_are_settings_of_the_pipeline_file(job: ShopJob) -> None:
    with job.file.open("a", encoding="utf-8") as file:
        file.write("[checks.actual]\ngroup = {warn = 1.5, error = 20}\n")
    code, messages = job.run(
        CLEAN_NIGHTS, FAULTS["a store times 10"].plant(job.table(CLEAN_NIGHTS))
    )
    assert any(text.startswith("group: ") for text in messages), (code, messages)


def test_series_that_the_ledger_has_no_room_for_are_not_new(
    job: ShopJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forecast.jobs.checks.accuracy.MAX_FORECASTS", 140)  # of ten series
    for night in (CLEAN_NIGHTS, CLEAN_NIGHTS + 1):
        assert job.run(night)[0] == 0


def test_a_store_that_opens_does_not_block_while_its_past_is_short(job: ShopJob) -> None:
    opened = FIRST_DAY + pd.Timedelta(days=DAYS_BEFORE + CLEAN_NIGHTS - 1)
    for night in range(CLEAN_NIGHTS, CLEAN_NIGHTS + 4):
        table = job.table(night)
        first = table[(table["store"] == "store 1") & (table["day"] >= opened)]
        uneven = 1 + 2 * (first["day"].dt.day % 2)  # three times as much on every other day
        new = first.assign(store="store 9", units=first["units"] * uneven)
        code, messages = job.run(night, pd.concat([table, new]))
        assert code == 0, messages


def test_a_promotion_that_is_announced_does_not_block_though_its_effect_is_unknown(
    job: ShopJob,
) -> None:
    first = FIRST_DAY + pd.Timedelta(
        days=DAYS_BEFORE + CLEAN_NIGHTS
    )  # on which the second of these nights looks back
    with (job.folder / "events.csv").open("a", encoding="utf-8") as file:
        file.write(f"{first:%Y-%m-%d},{first:%Y-%m-%d},summer sale,effect,\n")
    for night in (CLEAN_NIGHTS, CLEAN_NIGHTS + 1):
        table = job.table(night)
        sold = table["units"].where(
            (table["day"] != first) | (table["product"] != "wine"), 4 * table["units"]
        )
        code, messages = job.run(night, table.assign(units=sold))
        assert code == 0, messages


def test_a_short_ramp_is_no_forecast_out_of_bounds(tmp_path: Path) -> None:
    days = pd.date_range("2026-03-01", periods=14)
    (tmp_path / "job.toml").write_text(
        '[source]\npath = "ramp.csv"\n[train]\nhorizon = 3\nmodel = "theta"\n[sink]\npath = "forecasts.csv"\n'
    )
    job = read_pipeline(str(tmp_path / "job.toml"))
    for rows in range(10, 14):
        pd.DataFrame({"day": days[:rows], "sales": range(1, rows + 1)}).to_csv(
            tmp_path / "ramp.csv", index=False
        )
        assert run_job(job, as_of=f"{days[rows].isoformat()}+00:00").exit_code == 0
