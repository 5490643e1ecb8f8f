"""Sums of forecasts beside those of the actual values: in a backtest, and from a saved table."""

import json
from pathlib import Path
from shlex import split
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.errors import UsageError
from tests.conftest import Run

IDS = ["region", "shop"]
WORDS = ("--id", "region,shop", "--target", "units", "--season", 7, "--horizon", 14)
ASKED = {"sum_by": ("region", "all"), "sum_every": ("week", "horizon")}


def shops(days: int = 120, freq: str = "D") -> pd.DataFrame:
    """Two regions of two shops, with a week."""
    rng, day = np.random.default_rng(3), pd.date_range("2024-01-01", periods=days, freq=freq)
    week = 5 * np.sin(2 * np.pi * np.arange(days) / 7)
    return pd.concat(
        pd.DataFrame(
            {
                "region": region,
                "shop": shop,
                "day": day,
                "units": 30 + week + rng.normal(0, 2, days),
            }
        )
        for region, shop in (("north", "a"), ("north", "b"), ("south", "c"), ("south", "d"))
    ).reset_index(drop=True)


def backtested(frame: pd.DataFrame, sums: dict[str, Any] = ASKED, **settings: Any) -> Any:
    told = {
        "model": "last",
        "id": tuple(IDS),
        "target": "units",
        "season": (7,),
        "horizon": 14,
        **settings,
    }
    return Forecaster(**told).backtest(frame, windows=2, sums=sums)


def expected(frame: pd.DataFrame, sums: pd.DataFrame, ends: dict[str, pd.Timedelta]) -> np.ndarray:
    """The sum of the rows of each group from the start of its period on, before its end."""
    found = []
    for row in sums.to_dict("records"):
        period = row["level"].split("/")[1]
        start = row["day"]
        if period == "week":
            start -= pd.Timedelta(days=6)  # a week is named by its last day
        there = (frame["day"] >= start) & (frame["day"] < start + ends[period])
        for name in IDS:
            there &= (frame[name] == row[name]) | (row[name] == "")
        found.append(frame.loc[there, "units"].sum(skipna=False))
    return np.array(found)


ENDS = {"week": pd.Timedelta(days=7), "horizon": pd.Timedelta(days=14)}


def test_sums_stand_beside_those_of_the_same_cells() -> None:
    frame = shops()
    found = backtested(frame)
    sums, totals = found.sums, found.totals.set_index("level")
    assert sums["origin"].unique().tolist() == list(found.origins)
    assert sums["model"].unique().tolist() == ["last"]
    np.testing.assert_allclose(sums["actual"], expected(frame, sums, ENDS))
    assert sums["observed"].gt(0).any()  # a week that had begun
    assert found.totals["level"].tolist() == [
        "region/week",
        "region/horizon",
        "all/week",
        "all/horizon",
    ]
    for level, part in sums.groupby("level"):
        error, naive = (
            (part["actual"] - part["forecast"]).abs(),
            (part["actual"] - part["naive"]).abs(),
        )
        inside = (part["lo_80"] <= part["actual"]) & (part["actual"] <= part["hi_80"])
        row = totals.loc[level]
        assert (row["sums"], row["unknown"]) == (len(part), 0)
        assert row["mae"] == pytest.approx(error.mean())
        assert row["skill"] == pytest.approx(1 - error.mean() / naive.mean())
        assert row["coverage_80"] == pytest.approx(inside.mean())
    horizon = sums[sums["level"] == "all/horizon"]
    weeks = [
        frame[frame["day"].between(at - pd.Timedelta(days=7), at - pd.Timedelta(days=1))]
        for at in horizon["day"]
    ]
    np.testing.assert_allclose(horizon["naive"], [2 * week["units"].sum() for week in weeks])


def test_a_sum_counts_only_where_all_its_values_are_known(caplog: pytest.LogCaptureFixture) -> None:
    frame = shops()
    frame.loc[(frame["shop"] == "c") & (frame["day"] == frame["day"].max()), "units"] = np.nan
    frame.loc[(frame["shop"] == "a") & (frame["day"] == "2024-04-23"), "units"] = np.nan
    found = backtested(frame)
    np.testing.assert_allclose(found.sums["actual"], expected(frame, found.sums, ENDS))
    assert found.totals["unknown"].tolist() == [1, 2, 1, 1]
    assert "5 of 18 sums do not count, as not all of their actual values are known" in caplog.text


def test_a_series_that_begins_later_or_had_ended_is_in_no_sum() -> None:
    frame = shops()
    late = (frame["shop"] == "b") & (frame["day"] < "2024-04-25")
    gone = (frame["shop"] == "d") & (frame["day"] > "2024-02-10")
    found = backtested(frame[~late & ~gone])
    np.testing.assert_allclose(
        found.sums["actual"], expected(frame[~frame["shop"].isin(["b", "d"])], found.sums, ENDS)
    )
    assert found.totals["unknown"].tolist() == [0, 0, 0, 0]


def test_days_that_are_always_closed_need_no_rows() -> None:
    frame = shops()
    sunday, later = frame["day"].dt.day_of_week == 6, frame["day"] > "2024-03-20"
    frame.loc[sunday, "units"] = 0
    found = backtested(frame[~sunday | ~later])
    np.testing.assert_allclose(found.sums["actual"], expected(frame, found.sums, ENDS))


def test_periods_may_start_between_two_cells() -> None:
    for freq, every in (("W-SUN", "quarter"), ("B", "month"), ("ME", "year")):
        frame = shops(150 if freq == "B" else 60, freq)
        found = backtested(frame, {"sum_by": "all", "sum_every": every}, season=())
        first = frame["day"] - pd.Timedelta(
            days=6 if freq == "W-SUN" else 0
        )  # a week counts where it starts
        unit = every[0].upper()
        period = first.dt.to_period(unit)
        actual = frame.groupby(period)["units"].sum()
        assert len(found.sums)
        np.testing.assert_allclose(
            found.sums["actual"], actual[found.sums["day"].dt.to_period(unit)]
        )


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, Path]:
    """Sums of forecasts of the last 14 days, and all days; both with a column that groups regions."""
    frame = shops()
    frame["land"] = frame["region"].map({"north": "x", "south": "x"})
    frame.to_csv(tmp_path / "actual.csv", index=False)
    told: dict[str, Any] = {
        "model": "last",
        "id": tuple(IDS),
        "target": "units",
        "season": (7,),
        "horizon": 14,
    }
    model = Forecaster(**told, static=("land",)).fit(
        frame[frame["day"] < frame["day"].max() - pd.Timedelta(days=13)]
    )
    sums = model.totals(by=("region", "all", "land", "series"), every=("week", "horizon"))
    sums.to_csv(tmp_path / "sums.csv", index=False)
    return tmp_path / "sums.csv", tmp_path / "actual.csv"


def test_a_saved_table_scores_as_a_backtest_from_the_same_origin(
    forecast: Run, saved: tuple[Path, Path]
) -> None:
    scored = forecast("score", *saved, "--target", "units", "--season", 7)
    assert scored.code == 0, scored.err
    assert "scored   24 sums; a season is 7 steps" in scored.err
    asked = split("--sum-by region --sum-by all --sum-by land --sum-by series --sum-every week")
    words = (
        *split("--model last --windows 1 --static land --by level"),
        *asked,
        "--sum-every",
        "horizon",
    )
    tested = forecast("backtest", saved[1], *WORDS, *words)
    assert tested.code == 0, tested.err
    both = [one.frame.drop(columns="model") for one in (scored, tested)]
    pd.testing.assert_frame_equal(*both, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "words", "code", "message"),
    [
        (
            {"drop": "region"},
            ("--id", "shop", "--static", "land"),
            65,
            "actual.csv: no id column and no static one 'region', as the sums have",
        ),
        ({"freq": "h"}, (), 65, "sums.csv line 3, columns 'day' and 'steps': no such sum of steps"),
        (
            {"until": "2024-04-17"},
            (),
            65,
            "not all values of any sum are in actual.csv; are they there yet?",
        ),
        ({"without": "south"}, (), 3, "6 groups have no series in actual.csv (region/week"),
        ({}, ("--by", "step"), 2, "--by step: there are no such measures"),
    ],
)
def test_what_does_not_fit_a_saved_table_is_said(
    forecast: Run,
    saved: tuple[Path, Path],
    change: dict[str, str],
    words: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    sums, actual = saved
    frame = pd.read_csv(actual, parse_dates=["day"])
    frame = frame.drop(columns=change.get("drop", []))
    frame = frame[frame["day"] <= change.get("until", "2025")]
    if "without" in change:
        frame = frame[frame["region"] != change["without"]]
    if "freq" in change:
        frame = frame.loc[frame.index.repeat(24)]
        frame["day"] += pd.to_timedelta(np.tile(np.arange(24), len(frame) // 24), "h")
    frame.to_csv(actual, index=False)
    found = forecast("score", sums, actual, "--target", "units", *words)
    assert found.code == code, found.err
    assert message in found.err


def test_rows_of_two_origins_are_refused(forecast: Run, saved: tuple[Path, Path]) -> None:
    sums, actual = saved
    frame = pd.read_csv(sums)
    pd.concat([frame, frame.assign(steps=frame["steps"] - 1)]).to_csv(sums, index=False)
    found = forecast("score", sums, actual, "--target", "units")
    assert found.code == 65
    assert (
        "a series and time come twice (24 such rows); score the forecasts of one model from one origin"
        in found.err
    )


def test_backtest_says_how_many_sums_the_intervals_held(
    forecast: Run, saved: tuple[Path, Path], tmp_path: Path
) -> None:
    place = tmp_path / "told.json"
    asked = split("--model seasonal-naive,last,drift --windows 2 --sum-by region --sum-by all")
    found = forecast("backtest", saved[1], *WORDS, *asked, "--output", place, "--json")
    assert found.code == 0, found.err
    told = json.loads(found.out)
    assert told == json.loads(place.read_text())
    rows = [(row["level"], row["model"], row["sums"]) for row in told["totals"]]
    assert rows == [("region", "last", 56), ("all", "last", 28)]
    held = sum(row["sums"] * row["coverage_80"] for row in told["totals"]) / 84
    assert f"80 % intervals of sums held {100 * held:.0f} %" in found.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--by", "level"), "--by: no sums are asked for; add --sum-by"),
        (("--sum-by", "land"), "'land' is no id column and no static one"),
        (
            ("--sum-every", "year"),
            "at no origin the horizon of 14 steps reaches the end of a year; pass a larger --horizon",
        ),
    ],
)
def test_sums_that_cannot_be_compared_are_refused_before_any_fit(
    forecast: Run, saved: tuple[Path, Path], words: tuple[str, ...], message: str
) -> None:
    found = forecast("backtest", saved[1], *WORDS, "--steps", 10**9, *words)
    assert found.code == 2, found.err
    assert message in found.err


def test_python_refuses_another_name_of_a_setting() -> None:
    with pytest.raises(UsageError, match="unknown setting 'by'"):
        backtested(shops(), {"by": "region"})


def test_forecasts_of_a_backtest_agree_with_sums_of_their_own_origin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "forecast.engine.sums.LEAST_GAIN", -1e9
    )  # reconciled, even if that helps little
    frame = shops()
    told: dict[str, Any] = {"id": tuple(IDS), "target": "units", "season": (7,), "horizon": 14}
    found = (
        Forecaster(model="theta", hierarchy=("region",), **told)
        .backtest(frame, windows=2)
        .forecasts
    )
    oldest = found[(found["model"] == "theta") & (found["origin"] == found["origin"].min())]
    model = Forecaster(model="theta", hierarchy=("region",), **told).fit(
        frame[frame["day"] <= found["origin"].min()]
    )
    assert model.fitted_.config.reconciles
    np.testing.assert_allclose(oldest["forecast"], model.predict()["forecast"])


def test_values_may_be_wide_or_a_row_for_each_series(forecast: Run, tmp_path: Path) -> None:
    wide = shops().pivot_table(index="day", columns="shop", values="units").reset_index()
    rows = pd.DataFrame(wide.drop(columns="day").T.to_numpy())
    rows.insert(0, "shop", list("abcd"))
    for name, past, actual in (("wide", wide[:-10], wide), ("rows", rows.iloc[:, :-10], rows)):
        sums = Forecaster(model="last", horizon=10).fit(past).totals(by="all", every="horizon")
        sums.to_csv(tmp_path / "sums.csv", index=False)
        actual.to_csv(tmp_path / f"{name}.csv", index=False)
        found = forecast("score", tmp_path / "sums.csv", tmp_path / f"{name}.csv")
        assert found.code == 0, found.err
        missed = wide[["a", "b", "c", "d"]][-10:].to_numpy().sum() - sums["forecast"].item()
        assert found.frame["mae"].item() == pytest.approx(abs(missed), rel=1e-6)
