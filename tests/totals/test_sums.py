"""Sums with known answers: how wide they are, what adds up, medians too, and that no order changes a byte."""

from pathlib import Path
from shlex import split

import numpy as np
import pandas as pd
import pytest

from forecast.engine import forecast as engine_forecast
from forecast.inference import predictor
from forecast.totals import sums as totals_sums
from tests.conftest import Run
from tests.totals._sales import LEVEL, Values, fitted, noise, sales, width

SHOPS = 16


def same_noise(shop: int, random: np.random.Generator, days: int) -> np.ndarray:
    """The noise of the first shop."""
    return noise(0, np.random.default_rng(0), days)


def autoregressive(shop: int, random: np.random.Generator, days: int) -> np.ndarray:
    """Noise of which 0.8 stays from a day to the next."""
    steps = random.normal(size=days)
    for day in range(1, days):
        steps[day] += 0.8 * steps[day - 1]
    return LEVEL + steps


def walk(shop: int, random: np.random.Generator, days: int) -> np.ndarray:
    """A random walk."""
    return 1000 + random.normal(size=days).cumsum()


@pytest.mark.parametrize(("of", "factor"), [(same_noise, SHOPS), (noise, SHOPS**0.5)])
def test_copies_add_up_their_widths_and_independent_series_the_squares(
    of: Values, factor: float
) -> None:
    model = fitted(sales(SHOPS, 500, of=of))
    one = np.median(width(model.predict()))
    assert np.median(width(model.totals(by="all"))) / one == pytest.approx(factor, rel=0.25)
    alone, together = (width(model.totals(by=by, every="horizon")) for by in ((), "all"))
    assert together[0] / np.median(alone) == pytest.approx(factor, rel=0.25)


def test_a_sum_of_independent_steps_is_wider_by_the_root_of_their_number() -> None:
    model = fitted(sales(SHOPS, 500))
    one, sums = width(model.predict()), width(model.totals(every="horizon"))
    assert np.median(sums) / np.median(one) == pytest.approx(28**0.5, rel=0.25)


@pytest.mark.parametrize(
    ("of", "model"), [(noise, "mean"), (autoregressive, "autoregression"), (walk, "last")]
)
def test_four_of_five_sums_of_28_steps_lie_in_their_intervals(of: Values, model: str) -> None:
    shops = 200
    frame = sales(shops, 420, of=of)
    past = frame[frame.groupby("shop").cumcount() < 420 - 28]
    found = fitted(past, model=model).totals(every="horizon")
    actual = frame.drop(past.index).groupby("shop")["units"].sum().reindex(found["shop"]).to_numpy()
    inside = ((found["lo_80"] <= actual) & (actual <= found["hi_80"])).sum()
    assert abs(inside - 0.8 * shops) <= 3.5 * (shops * 0.8 * 0.2) ** 0.5


def test_a_sum_of_one_cell_is_that_cell() -> None:
    model = fitted(sales(3, 200).assign(region=lambda frame: frame["shop"]), 7)
    series, sums = model.predict(), model.totals(by="region")
    pd.testing.assert_frame_equal(
        sums[series.columns.drop("shop")], series.drop(columns="shop"), check_exact=True
    )
    assert sums["calibrated"].all()


@pytest.mark.parametrize("more", [(), ("--min", 48, "--max", 60), ("--integer",)])
def test_means_add_up_over_series_and_time(
    forecast: Run, tmp_path: Path, more: tuple[object, ...]
) -> None:
    frame = sales(
        7,
        200,
        end="2024-03-31",
        of=lambda shop, random, days: np.round(random.gamma(0.5, 3.0, days), 1),
    )
    fitted(frame, 30).save(str(tmp_path / "store"))
    command = ("predict", "--artifact", tmp_path / "store", *more)
    cells = forecast(*command, "--point", "mean").frame
    sums = forecast(
        *command, *("--sum-by", "all", "--sum-by", "region", "--sum-every", "month")
    ).frame
    expected = [cells["forecast"].sum(), *cells.groupby("region")["forecast"].sum()]
    assert sums["level"].tolist() == ["all/month", "region/month", "region/month"]
    np.testing.assert_allclose(sums["mean"], expected, rtol=1e-9)
    assert (sums["lo_95"] <= sums["forecast"]).all()
    assert (sums["forecast"] <= sums["hi_95"]).all()
    if "--max" in more:
        assert (sums["hi_95"] <= [7 * 30 * 60, 4 * 30 * 60, 3 * 30 * 60]).all()


@pytest.fixture
def gappy(tmp_path: Path) -> pd.DataFrame:
    """Shops of which one ended, one is new, and all have gaps; a store in `tmp_path` knows the others."""
    frame = sales(23, 150, of=lambda shop, random, days: random.normal(shop - 5, 3, days).round(2))
    last, random = frame["day"].max(), np.random.default_rng(5)
    frame = frame[(random.random(len(frame)) > 0.1) | (frame["day"] == last)]
    frame = frame[(frame["shop"] != "007") | (frame["day"] < last - pd.Timedelta(days=60))]
    frame = frame[(frame["shop"] != "009") | (frame["day"] > last - pd.Timedelta(days=100))]
    fitted(frame[frame["shop"] != "011"], 28, max_missing=1.0).save(str(tmp_path / "store"))
    return frame


def test_no_order_of_rows_and_no_parts_change_a_byte(
    forecast: Run, gappy: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = split("--sum-by all --sum-by region --sum-by series --sum-every week --totals")

    def sums(frame: pd.DataFrame, *words: object) -> bytes:
        frame.to_parquet(tmp_path / "table.parquet")
        store, output = (
            ("--artifact", tmp_path / "store"),
            ("--output", tmp_path / "series.parquet"),
        )
        output = output if "--shards" not in words else ("--output", tmp_path / "parts")
        ran = forecast(
            "predict",
            tmp_path / "table.parquet",
            *store,
            *output,
            *command,
            tmp_path / "sums.csv",
            *words,
        )
        assert ran.code == 0, ran.err
        return (tmp_path / "sums.csv").read_bytes()

    whole = sums(gappy)
    assert b"series/week,n,010," in whole
    assert sums(gappy.sample(frac=1, random_state=3)) == whole
    assert sums(gappy, "--shards", 5) == whole
    monkeypatch.setattr(totals_sums, "SERIES_AT_ONCE", 3)
    monkeypatch.setattr(engine_forecast, "LEAST_ROWS", 1)
    for module in (engine_forecast, predictor):
        monkeypatch.setattr(module, "NETWORK_WINDOWS_AT_ONCE", 4)
    assert sums(gappy.sort_values(["region", "shop", "day"])) == whole


def test_new_and_ended_series_and_gaps_take_part(
    gappy: pd.DataFrame, forecast: Run, tmp_path: Path
) -> None:
    gappy.to_csv(tmp_path / "table.csv", index=False)
    command = ("predict", tmp_path / "table.csv", "--artifact", tmp_path / "store")
    found = forecast(
        *command, "--sum-by", "all", "--sum-by", "series", "--sum-every", "month"
    ).frame
    month = gappy[gappy["day"] >= "2024-04-01"]
    whole, alone = (found[found["level"] == f"{name}/month"] for name in ("all", "series"))
    assert "011" in set(alone["shop"])
    assert "007" not in set(alone["shop"])
    np.testing.assert_allclose(whole["observed"], month["units"].sum(), rtol=1e-9)
    expected = month.groupby("shop")["units"].sum().reindex(alone["shop"])
    np.testing.assert_allclose(alone["observed"], expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(whole["mean"], alone["mean"].sum(), rtol=1e-9)
    assert whole["filled"].item() == alone["filled"].sum() == 22 * 10 - len(month)
    assert (alone["lo_80"] < alone["forecast"]).all()


def test_what_an_ended_series_sold_in_the_quarter_counts_in_its_groups(
    forecast: Run, tmp_path: Path
) -> None:
    frame = sales(2, 200, end="2024-03-28")
    frame = frame[(frame["shop"] != "001") | (frame["day"] <= "2024-01-12")]
    frame.to_csv(tmp_path / "table.csv", index=False)
    fitted(frame[frame["day"] <= "2024-01-12"], 7).save(str(tmp_path / "store"))
    command = (
        "predict",
        tmp_path / "table.csv",
        "--artifact",
        tmp_path / "store",
        "--sum-every",
        "quarter",
    )
    ran = forecast(*command, "--sum-by", "all", "--sum-by", "series")
    assert ran.code == 0
    found = ran.frame
    assert found["level"].tolist() == ["all/quarter", "series/quarter"]
    observed = frame[frame["day"] >= "2024-01-01"].groupby("shop")["units"].sum()
    np.testing.assert_allclose(found["observed"], [observed.sum(), observed["000"]])
    np.testing.assert_allclose(found["mean"].diff()[1], -observed["001"])


def test_closed_days_are_nothing_in_a_sum() -> None:
    open_ = np.arange(30) % 7 != 0  # the last is a Sunday
    frame = sales(
        4, 280, end="2024-03-31", of=lambda shop, random, days: random.normal(50, 5, days).round(1)
    )
    frame = frame[frame["day"].dt.day_of_week != 6].reset_index(drop=True)
    frame = pd.concat([frame, frame[-1:].assign(day=pd.Timestamp("2024-03-31"), units=0.0)])
    model = fitted(frame, 30, freq="D", missing="zero")
    sums, cells = model.totals(by="all"), model.predict()
    closed = pd.DatetimeIndex(sums["day"]).day_of_week == 6
    assert closed.sum() == len(open_) - open_.sum() - 1
    assert (sums.loc[closed, ["forecast", "mean", "lo_95", "hi_95"]] == 0).all(axis=None)
    assert (cells["forecast"][pd.DatetimeIndex(cells["day"]).day_of_week == 6] == 0).all()
    month = model.totals(by="all", every="month")
    np.testing.assert_allclose(month["mean"], sums["mean"].sum(), rtol=1e-9)


def test_sums_of_single_or_certain_values_need_no_past_and_no_warning(
    forecast: Run, tmp_path: Path
) -> None:
    days = pd.date_range("2024-01-01", periods=40).strftime("%Y-%m-%d")
    pd.DataFrame({"day": days, "units": 5}).to_csv(tmp_path / "constant.csv", index=False)
    for levels in (("--sum-every", "week"), ("--sum-by", "all")):
        ran = forecast("now", tmp_path / "constant.csv", *levels)
        assert ran.code == 0
        assert ran.frame["calibrated"].all()
        assert "not calibrated: they rest" not in ran.err
        assert "medians" not in ran.err


def test_weeks_have_one_name_as_sums_and_as_a_frequency(forecast: Run, tmp_path: Path) -> None:
    frame = sales(2, 280, end="2024-03-10")  # a Sunday
    frame.to_csv(tmp_path / "days.csv", index=False)
    command = ("now", tmp_path / "days.csv", "--id", "region,shop", "--target", "units", "--quiet")
    sums = forecast(*command, "--horizon", 14, "--sum-every", "week").frame
    weekly = forecast(*command, "--horizon", 2, "--freq", "W", "--aggregate", "sum").frame
    assert sums["day"].tolist() == weekly["day"].tolist() == ["2024-03-17", "2024-03-24"] * 2
    by_pandas = frame.set_index("day")["units"].resample("W").sum()
    weekly_table = tmp_path / "weeks.csv"
    by_pandas.index = by_pandas.index - pd.Timedelta(days=6)
    by_pandas.to_csv(weekly_table)
    own = forecast("now", weekly_table, "--horizon", 2, "--sum-every", "week", "--quiet").frame
    assert own["day"].tolist() == ["2024-03-11", "2024-03-18"]
