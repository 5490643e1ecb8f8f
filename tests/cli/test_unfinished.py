"""A last period that is not over, by the clock or by when earlier ones ended, and what `--unfinished` does with it."""

from pathlib import Path
from shlex import split

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from tests.conftest import Run
from tests.jobs.a_job import Job, job

__all__ = ["job"]

DAILY = ("--freq", "D", "--aggregate", "sum")
WORDS = ("leave out", "warn", "keep")


def invoices(days: int, last: str) -> pd.DataFrame:
    """Invoices of a shop that closes at eight, on Saturdays at two; on the last day the last one comes at `last`."""
    generator = np.random.default_rng(0)
    rows = list[tuple[pd.Timestamp, int]]()
    for day in pd.date_range("2024-01-01", periods=days):
        hours = 5 if day.day_of_week == 5 else 11
        minutes = generator.uniform(0, 60 * hours - 20, 12)
        minutes = np.append(minutes, 60 * hours - generator.uniform(0, 15))
        times = (day + pd.Timedelta(hours=9) + pd.to_timedelta(minutes, unit="min")).floor("s")
        end = (
            day + pd.Timedelta(last)
            if day == pd.Timestamp("2024-01-01") + pd.Timedelta(days=days - 1)
            else None
        )
        rows += [(time, 1) for time in times if end is None or time < end]
        rows += [(end, 1)] * (end is not None)
    return pd.DataFrame(rows, columns=["time", "units"])


@pytest.mark.parametrize(
    ("last", "first"),
    [("19:55:00", "2024-02-10"), ("14:30:00", "2024-02-10"), ("11:00:00", "2024-02-09")],
    ids=["as late as usual", "as late as on Saturdays", "earlier"],
)
def test_a_last_day_counts_where_its_last_invoice_is_as_late_as_usual(
    forecast: Run, tmp_path: Path, last: str, first: str
) -> None:
    path = tmp_path / "invoices.csv"
    invoices(40, last).to_csv(path, index=False)
    ran = forecast("now", path, *DAILY)
    assert ran.code == 0, ran.err
    assert ran.frame["time"].min()[:10] == first
    said = (
        "invoices.csv: the last period of D is not complete (--unfinished 'leave out')" in ran.err
    )
    assert said is (first == "2024-02-09")


@pytest.mark.parametrize("word", WORDS)
def test_unfinished_decides_of_periods_that_aggregation_makes(
    forecast: Run, job: Job, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.chdir(job.folder)
    table = invoices(40, "11:00:00")
    table.to_csv("sales.csv", index=False)
    first = "2024-02-09" if word == "leave out" else "2024-02-10"
    flags = (*DAILY, "--unfinished", word)
    model = ("--model", "last", "--horizon", 2, "--artifact", "model")
    at_once = forecast("now", "sales.csv", *flags)
    fitted = forecast("fit", "sales.csv", *flags, *model)
    saved = forecast("predict", "--artifact", "model")
    tonight = forecast("predict", "sales.csv", "--artifact", "model")
    for ran in (at_once, saved, tonight):
        assert ran.frame["time"].min()[:10] == first, ran.err
    for ran in (at_once, fitted, tonight):
        assert ("the last period of D is not complete" in ran.err) is (word != "keep")
    other = "keep" if word == "leave out" else "leave out"
    changed = forecast("predict", "sales.csv", "--artifact", "model", "--unfinished", other)
    assert changed.frame["time"].min()[:10] != first
    tested = forecast(
        "backtest", "sales.csv", *flags, *split("--model last --horizon 2 --forecasts tested.csv")
    )
    assert tested.code == 0, tested.err
    newest = pd.read_csv("tested.csv")["time"].max()[:10]
    assert (pd.Timestamp(newest) + pd.Timedelta(days=1)).strftime("%Y-%m-%d") == first
    python = (
        Forecaster(model="last", horizon=2, freq="D", aggregate="sum", unfinished=word)
        .fit(table)
        .predict()
    )
    assert str(python["time"].min())[:10] == first
    source = 'path = "sales.csv"\n' + ("" if word == "leave out" else f'unfinished = "{word}"\n')
    job.file.write_text(
        f'store = "store"\n[source]\n{source}[table]\nfreq = "D"\naggregate = "sum"\n'
        '[train]\nmodel = "last"\nhorizon = 2\n[sink]\npath = "out.csv"\n'
    )
    ran = forecast("run", "job.toml", "--as-of", "2024-02-10T02:10:00")
    assert ran.code == 0, ran.err
    assert pd.read_csv("out.csv")["time"].min()[:10] == first


@pytest.mark.parametrize("word", WORDS)
def test_the_newest_period_is_not_over_while_the_clock_is_in_it(
    forecast: Run, tmp_path: Path, word: str
) -> None:
    months = pd.date_range(end=pd.Timestamp.now().strftime("%Y-%m-01"), periods=40, freq="MS")
    path = tmp_path / "sales.csv"
    pd.DataFrame({"month": months.strftime("%Y-%m"), "units": np.arange(40) % 7}).to_csv(
        path, index=False
    )
    ran = forecast("now", path, "--unfinished", word)
    following = months[-1] + pd.DateOffset(months=1)
    assert ran.frame["month"].min() == (months[-1] if word == "leave out" else following).strftime(
        "%Y-%m"
    )
    assert ("the last period of MS is not complete" in ran.err) is (word != "keep")
    rows = pd.DataFrame({"month": months, "units": np.arange(40) % 7})
    model = Forecaster(model="last", horizon=2, unfinished=word).fit(rows)
    assert model.predict()["month"].min() == (months[-1] if word == "leave out" else following)
    later = rows.assign(
        month=rows["month"] + pd.DateOffset(years=3)
    )  # such as a plan: the clock says nothing of it
    assert model.fit(later).predict()["month"].min() == following + pd.DateOffset(years=3)


def test_a_series_that_began_today_is_no_series_yet(forecast: Run, tmp_path: Path) -> None:
    months = pd.date_range(
        end=pd.Timestamp.now().strftime("%Y-%m-01"), periods=40, freq="MS"
    ).strftime("%Y-%m")
    rows = [(month, "north", place % 7) for place, month in enumerate(months)] + [
        (months[-1], "south", 3)
    ]
    path = tmp_path / "sales.csv"
    pd.DataFrame(rows, columns=["month", "shop", "units"]).to_csv(path, index=False)
    ran = forecast("now", path, "--id", "shop", "--target", "units")
    assert ran.code == 0, ran.err
    assert ran.frame["shop"].unique().tolist() == ["north"]
