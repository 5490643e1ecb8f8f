"""What a period has already: the month to date is observed, the rest is forecast, with the data and without them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.errors import UsageError
from forecast.inference.predictor import Predictor
from tests.totals._sales import fitted, sales, width


def same_without_data(model: Forecaster, frame: pd.DataFrame, *every: str) -> pd.DataFrame:
    """Sums that a loaded version gives with its table and without it, which are equal."""
    asked = {"by": ("all", "region"), "every": every}
    with_data, without = model.totals(frame, **asked), model.totals(**asked)
    with_data["last_year"] = np.nan  # of which a version keeps nothing
    pd.testing.assert_frame_equal(with_data, without, check_exact=True)
    return without


def test_the_same_period_of_last_year_stands_beside_a_sum() -> None:
    frame = sales(3, 400, end="2024-03-10")
    frame = frame[(frame["shop"] != "001") | (frame["day"] >= "2023-04-01")]  # it opened then
    frame = frame[(frame["shop"] != "002") | (frame["day"] != "2023-03-31")]  # it lacks a day
    model = fitted(frame, 51)  # to the end of April

    def last_year(by: str, every: str) -> list[float]:
        return model.totals(frame, by=by, every=every)["last_year"].tolist()

    def past(first: str, last: str) -> pd.Series:
        return frame[frame["day"].between(first, last)].groupby("shop")["units"].sum()

    march, april = past("2023-03-01", "2023-03-31"), past("2023-04-01", "2023-04-30")
    expected = [march["000"], april["000"], np.nan, april["001"], np.nan, april["002"]]
    assert last_year("shop", "month") == pytest.approx(expected, nan_ok=True)
    assert last_year("all", "month") == pytest.approx([np.nan, april.sum()], nan_ok=True)
    week = past("2023-03-13", "2023-03-21").sum()
    assert last_year("all", "next 9") == pytest.approx([week])


def test_the_month_to_date_is_what_was_observed_and_the_forecast_of_the_rest() -> None:
    frame = sales(3, 300, end="2024-04-10")
    model = fitted(frame, 20)  # to the end of April
    month, rest = (model.totals(by="all", every=every) for every in ("month", "horizon"))
    known = frame.loc[frame["day"] >= "2024-04-01", "units"].sum()
    assert month["observed"].item() == pytest.approx(known, rel=1e-11)
    assert month["mean"].item() == pytest.approx(known + rest["mean"].item(), rel=1e-9)
    assert month["forecast"].item() == pytest.approx(known + rest["forecast"].item(), rel=1e-6)
    assert width(month) == pytest.approx(width(rest), rel=1e-5)
    assert (month["steps"].item(), month["filled"].item()) == (20, 0)
    assert str(month["day"].item())[:10] == "2024-04-01"


@pytest.mark.parametrize("gaps", [0.0, 0.08])
def test_sums_to_date_need_no_data(gaps: float, tmp_path: Path) -> None:
    frame = sales(3, 1000, end="2024-11-25")
    frame.loc[np.random.default_rng(0).random(len(frame)) < gaps, "units"] = np.nan
    frame.loc[
        (frame["shop"] == "002") & (frame["day"] > "2024-05-20") & (frame["day"] < "2024-08-15"),
        "units",
    ] = np.nan
    model = fitted(frame, 37)
    model.save(str(tmp_path / "store"))
    found = same_without_data(
        Forecaster.load(str(tmp_path / "store")), frame, "week", "month", "quarter", "year"
    )
    year = found[(found["level"] == "all/year")]
    past = frame[frame["day"] >= "2024-01-01"]
    assert year["observed"].item() == pytest.approx(past["units"].sum(), rel=1e-11)
    assert year["filled"].item() == past["units"].isna().sum() > 80
    assert model.fitted_.history.lengths.max() < 330  # it keeps less than the year


def test_hours_of_a_year_to_date_need_no_data() -> None:
    hours = sales(2, 24 * 80, end="2023-12-27 23:00", freq="h")
    model = fitted(hours, 24 * 4, model="seasonal-naive", season=24)
    found = same_without_data(model, hours, "quarter", "year")
    assert found["observed"].iloc[0] == pytest.approx(
        hours["units"].sum() - hours[hours["day"] < "2023-10-09"]["units"].sum()
    )
    assert model.fitted_.history.lengths.max() < 24 * 79


def test_a_late_value_is_forecast_and_widens_the_month() -> None:
    frame = sales(2, 300, end="2024-04-20")
    late = frame.assign(
        units=frame["units"].where((frame["day"] <= "2024-04-17") | (frame["shop"] == "000"))
    )
    model = fitted(frame, 10)
    whole, less = (model.totals(table, by="all", every="month") for table in (frame, late))
    assert (whole["filled"].item(), less["filled"].item()) == (0, 3)
    assert less["observed"].item() < whole["observed"].item()
    assert less["mean"].item() == pytest.approx(whole["mean"].item(), rel=0.02)
    assert width(less) > width(whole)


def test_a_gap_longer_than_the_horizon_is_filled_piece_by_piece() -> None:
    frame = sales(2, 300, end="2024-04-29")
    frame.loc[
        (frame["shop"] == "001") & (frame["day"] > "2024-04-02") & (frame["day"] < "2024-04-28"),
        "units",
    ] = np.nan
    found = fitted(frame, 4).totals(by="all", every="month")
    assert found["filled"].item() == 25
    assert found["mean"].item() == pytest.approx(60 * 50, rel=0.05)


def test_a_period_that_an_older_version_cannot_add_up_names_the_way_out() -> None:
    model = fitted(sales(2, 1000, end="2024-11-25"), 37)
    model._serve(Predictor(replace(model.fitted_, begun=None, joint=None), "cpu"))
    with pytest.raises(UsageError, match=r"keeps too few values.*name the table, or fit again"):
        model.totals(by="all", every="year")
