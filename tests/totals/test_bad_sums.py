"""Sums that a table does not have are refused in a sentence, before any work."""

import re
from dataclasses import replace
from pathlib import Path
from shlex import split

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.engine.forecast import forecast
from forecast.engine.requests import ForecastRequest
from forecast.settings import OutputSettings, SumSettings
from forecast.totals.sums import Totals, log_notes
from tests.conftest import Run
from tests.totals._sales import fitted, sales, width

LONG = ("--id", "region,shop")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables, and a store that was fitted to one of them."""
    place = tmp_path_factory.mktemp("sums")
    frame = sales(days=120)
    frame.to_csv(place / "long.csv", index=False)
    pd.DataFrame(np.arange(200.0).reshape(2, 100) % 7, ["a", "b"]).to_csv(place / "rows.csv")
    pd.DataFrame(
        {"month": pd.date_range("2015-01-01", periods=90, freq="MS"), "value": np.arange(90.0)}
    ).to_csv(place / "monthly.csv", index=False)
    for name in ("level", "mean", "observed"):
        frame.rename(columns={"shop": name}).to_csv(place / f"{name}.csv", index=False)
    fitted(frame, 21).save(str(place / "store"))
    return place


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (
            ("long.csv", *LONG, "--sum-by", "regoin"),
            "'regoin' is no id column and no static one; did you mean 'region'?",
        ),
        (
            ("long.csv", *LONG, "--sum-by", "region,all"),
            "--sum-by region,all: 'all' is no column, and stands alone; name 'all' without others",
        ),
        (
            ("long.csv", *LONG, "--sum-by", ""),
            "--sum-by \"\": '' is no id column and no static one; there are region, shop",
        ),
        (
            ("long.csv", *LONG, "--sum-by", "shop,region"),
            "each group would be one series, and nothing is summed",
        ),
        (
            ("long.csv", *LONG, "--sum-every", "weeks"),
            "--sum-every weeks: a period is one of day, week, month",
        ),
        (("long.csv", *LONG, "--sum-every", ""), "--sum-every"),
        (
            ("long.csv", *LONG, "--sum-every", "moth"),
            "--sum-every moth: a period is one of day, week, month, quarter, year, horizon, "
            "or such as 'next 9'; did you mean 'month'?",
        ),
        (
            ("long.csv", *LONG, "--horizon", "7", "--sum-every", "week", "--sum-every", "next 9"),
            "'next 9': the horizon has only 7 steps; fit, or forecast at once, with --horizon 9",
        ),
        (("long.csv", *LONG, "--sum-every", "next 0"), "'next 0': a period is one of day"),
        (("long.csv", *LONG, "--sum-every", "next 10000"), "'next 10000': a period is one of"),
        (("long.csv", *LONG, "--sum-every", "next 2.5"), "'next 2.5': a period is one of day"),
        (
            ("monthly.csv", "--sum-every", "week"),
            "--sum-every week: a period finer than the data; name a longer one",
        ),
        (
            ("rows.csv", "--layout", "rows", "--sum-every", "month"),
            "month: the rows have no dates; sum over the horizon",
        ),
        (
            ("rows.csv", "--layout", "rows", "--sum-by", "all"),
            "the rows have no dates, and each series its own end; add",
        ),
        (
            ("long.csv", *LONG, "--sum-every", "year"),
            "the end of a year; fit, or forecast at once, with --horizon 265",
        ),
        (
            ("long.csv", *LONG, "--totals", "sums.csv"),
            "no sums are asked for; add --sum-by or --sum-every",
        ),
        (
            ("long.csv", *LONG, "--sum-by", "all", "--output", "a.csv", "--totals", "./a.csv"),
            "--totals: the series are written there",
        ),
        (
            ("long.csv", *LONG, "--sum-by", "all", "--totals", "long.csv"),
            "long.csv is the table that is read, and the",
        ),
        *(
            (
                (f"{name}.csv", "--id", f"region,{name}", "--sum-by", "region"),
                f"columns '{name}' have the names of columns",
            )
            for name in ("level", "mean", "observed")
        ),
    ],
)
def test_sums_that_cannot_be_are_refused(
    forecast: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], error: str
) -> None:
    monkeypatch.chdir(folder)
    files = sorted(folder.iterdir())
    found = forecast("now", *words)
    assert (found.code, found.out) == (2, "")
    assert error in found.err.splitlines()[-1]
    assert sorted(folder.iterdir()) == files


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--sum-by", "all", "--totals", "store/CURRENT"), "would replace a file of the store"),
        (
            ("--sum-by", "all", "--future-template", "rows.csv"),
            "--sum-by: it does not go with --future-template",
        ),
        (
            ("long.csv", "--sum-by", "all", "--totals", "long.csv"),
            "long.csv is the table that is read",
        ),
        (
            ("long.csv", "--sum-by", "all", "--shards", 2, "--output", "parts"),
            "the folder gets the series; pass --totals",
        ),
    ],
)
def test_sums_of_a_store_that_cannot_be_are_refused(
    forecast: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], error: str
) -> None:
    monkeypatch.chdir(folder)
    files = sorted(folder.iterdir())
    found = forecast("predict", "--artifact", "store", *words)
    assert (found.code, found.out) == (2, "")
    assert error in found.err.splitlines()[-1]
    assert sorted(folder.iterdir()) == files


def test_an_older_version_gives_sums_that_are_as_wide_as_if_all_cells_were_one(
    forecast: Run, folder: Path, tmp_path: Path
) -> None:
    model = Forecaster.load(str(folder / "store"))
    model.fitted_ = replace(model.fitted_, joint=None, begun=None)
    model.save(str(tmp_path / "old"))
    command = ("predict", "--artifact", tmp_path / "old")
    found, series = (
        forecast(*command, "--sum-by", "all", "--sum-every", "horizon"),
        forecast(*command).frame,
    )
    assert found.code == 0
    assert (
        "warning: intervals of sums are not calibrated: this version does not know how errors go"
        in found.err
    )
    assert not found.frame["calibrated"].any()
    assert width(found.frame).sum() == pytest.approx(width(series).sum(), rel=1e-6)


def test_a_short_past_says_how_many_values_it_takes(caplog: pytest.LogCaptureFixture) -> None:
    asked, output = SumSettings(sum_by="all", sum_every="horizon"), OutputSettings()

    def notes(days: int) -> str:
        model, found = fitted(sales(2, days), 20), caplog.records
        found.clear()
        totals = Totals(model.predictor_, asked, output, None)
        totals.add(forecast(model.predictor_, ForecastRequest()).whole)
        log_notes(totals)
        assert totals.columns()["calibrated"].all() == totals.calibrated
        return "\n".join(record.getMessage() for record in found)

    needed = int(re.search(r"and 4 are needed; series of (\d+) values have them", notes(90))[1])
    assert f"series of {needed} values" in notes(needed - 1)
    assert "not calibrated" not in notes(needed)


def test_a_skipped_series_is_named_and_left_out_of_its_sums(
    forecast: Run, folder: Path, tmp_path: Path
) -> None:
    frame = pd.read_csv(folder / "long.csv", dtype=str)
    frame.loc[frame["shop"] == "001", "units"] = ""
    frame.to_csv(tmp_path / "one.csv", index=False)
    command = ("--artifact", folder / "store", "--sum-by", "region")
    found = forecast("predict", tmp_path / "one.csv", *command)
    assert found.code == 3
    assert "1 series got no forecast: s/001" in found.err
    whole = forecast("predict", folder / "long.csv", *command).frame.set_index(["region", "day"])
    part = found.frame.set_index(["region", "day"])
    assert (part["mean"] / whole["mean"])["s"].between(0.4, 0.6).all()
    frame.assign(units="").to_csv(tmp_path / "none.csv", index=False)
    none = forecast("predict", tmp_path / "none.csv", *command)
    assert (none.code, none.out) == (65, "")
    assert "no series has a value" in none.err.splitlines()[-1]


@pytest.mark.parametrize(("aggregate", "warns"), [("mean", True), ("sum", False)])
def test_a_table_that_was_averaged_warns(
    forecast: Run, tmp_path: Path, aggregate: str, warns: bool
) -> None:
    hours = sales(2, 24 * 60, freq="h")
    fitted(hours, 7, freq="D", aggregate=aggregate).save(str(tmp_path / "store"))
    found = forecast("predict", "--artifact", tmp_path / "store", "--sum-by", "all")
    assert (
        "by the mean of its values, and sums of these are no totals; pass --aggregate sum"
        in found.err
    ) == warns


def test_names_of_groups_are_safe_for_spreadsheets(forecast: Run, tmp_path: Path) -> None:
    frame = sales(days=60).rename(columns={"region": "=region"})
    frame["=region"] = "=" + frame["=region"]
    fitted(frame, 7, id=("=region", "shop")).save(str(tmp_path / "store"))
    command = ("predict", "--artifact", tmp_path / "store", "--sum-by", "=region")
    exact, safe = forecast(*command).frame, forecast(*command, "--excel-safe").frame
    assert set(exact["=region"]) == {"=n", "=s"}
    assert set(safe["'=region"]) == {"'=n", "'=s"}
    assert set(safe["level"]) == {"'=region"}
    assert (safe["mean"] == exact["mean"]).all()


def test_a_level_that_is_named_twice_is_there_once(forecast: Run, folder: Path) -> None:
    twice = (
        "--sum-by",
        "region, shop",
        *split("--sum-by shop,region --sum-by series --sum-by all"),
    )
    found = forecast(
        "predict",
        "--artifact",
        folder / "store",
        *twice,
        *split("--sum-every week --sum-every week"),
    )
    assert found.frame.groupby("level").size().to_dict() == {"region,shop/week": 12, "all/week": 3}
