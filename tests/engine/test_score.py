"""A saved table of forecasts against what came: ids and times by name, what does not fit is said."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import score
from forecast.errors import BadData
from forecast.settings import TableSettings

DAYS = pd.date_range("2024-01-01", periods=40).strftime("%Y-%m-%d")


def values(series: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.concat(
        pd.DataFrame({"shop": f"s{i}", "day": DAYS, "units": 10 + rng.normal(size=40).cumsum()})
        for i in range(series)
    ).reset_index(drop=True)


def naive(frame: pd.DataFrame, first: str = "2024-02-05", **columns: Any) -> pd.DataFrame:
    """Repeat the value before `first`."""
    later = frame[frame["day"] >= first].copy()
    last = frame[frame["day"] < first].groupby("shop")["units"].last()
    later["forecast"] = later["shop"].map(last)
    return later.drop(columns="units").assign(**columns).reset_index(drop=True)


def test_the_naive_forecast_has_no_skill() -> None:
    found = score(naive(values()), values(), TableSettings(season=()))
    assert found.season == 1
    assert found.values == 10
    assert found.overall["skill"].iloc[0] == pytest.approx(0, abs=1e-6)
    assert found.by_series["shop"].tolist() == ["s0", "s1"]
    assert found.by_step["step"].tolist() == [1, 2, 3, 4, 5]
    assert "coverage_80" not in found.overall


def test_the_unit_of_errors_is_of_the_values_before_the_first_forecast() -> None:
    frame = values(1)
    made = naive(frame)
    past, later = frame["units"].to_numpy()[:35].astype(np.float32), frame["units"].to_numpy()[35:]
    unit = np.abs(np.diff(past.astype(float))).mean()
    expected = np.abs(later - made["forecast"]).mean() / unit
    assert score(made, frame).overall["mase"].iloc[0] == pytest.approx(expected, rel=1e-5)


def test_a_wide_table_and_one_with_a_series_a_row_are_found_by_their_names() -> None:
    frame = values()
    long = naive(frame).rename(columns={"shop": "series"})
    wide = frame.pivot(index="day", columns="shop", values="units").reset_index()
    expected = score(naive(frame), frame).overall
    pd.testing.assert_frame_equal(score(long, wide).overall, expected)
    rows = pd.DataFrame(wide[["s0", "s1"]].to_numpy().T, columns=[f"V{i}" for i in range(2, 42)])
    rows.insert(0, "V1", ["s0", "s1"])
    steps = naive(frame).rename(columns={"shop": "V1", "day": "step"})
    steps["step"] = np.tile(np.arange(36, 41), 2)
    pd.testing.assert_frame_equal(score(steps, rows).overall, expected)


def test_intervals_of_any_level_are_measured() -> None:
    made = naive(values())
    made["lo_50"], made["hi_50"] = made["forecast"] - 1, made["forecast"] + 1
    found = score(made, values()).overall
    assert {"coverage_50", "width_50", "msis"} <= set(found.columns)


def test_missing_values_and_times_that_are_not_there_yet_do_not_count() -> None:
    frame = values()
    frame.loc[(frame["shop"] == "s1") & (frame["day"] == "2024-02-06"), "units"] = np.nan
    made = naive(frame)
    found = score(made, frame[frame["day"] <= "2024-02-07"])
    assert found.values == 5
    assert np.isfinite(found.overall["mae"]).all()
    assert np.isnan(found.by_step["mae"].iloc[3])


def test_forecasts_without_values_are_named(caplog: pytest.LogCaptureFixture) -> None:
    found = score(naive(values(3)), values(2))
    assert found.missing == (("s2",),)
    assert "1 series are not in actual values (s2)" in caplog.text
    assert found.by_series["shop"].tolist() == ["s0", "s1"]


def test_no_value_before_the_first_forecast_leaves_scaled_measures_empty(
    caplog: pytest.LogCaptureFixture,
) -> None:
    frame = values()
    later = frame[frame["day"] >= "2024-02-05"]
    found = score(naive(frame), later).overall
    assert np.isfinite(found["mae"]).all()
    assert found[["skill", "mase"]].isna().all(axis=None)
    assert "stay empty" in caplog.text


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            naive(values()).assign(shop="x" + naive(values())["shop"]),
            r"none of the 2 series .*\(xs0, xs1 against s0, s1\)",
        ),
        (
            naive(values()).assign(day=naive(values())["day"].str.replace("2024", "2025")),
            "has no value for a time of",
        ),
        (
            naive(values()).assign(day=naive(values())["day"] + "T00:00:00Z"),
            "of zone UTC; in actual values they were",
        ),
        (pd.concat([naive(values())] * 2), "a series and time come twice"),
        (naive(values()).rename(columns={"forecast": "guess"}), "no column 'forecast'"),
        (naive(values()).rename(columns={"shop": "store"}), "no column 'shop'"),
        (naive(values()).assign(forecast="many"), "column 'forecast'"),
    ],
)
def test_what_does_not_fit_together_is_refused(made: pd.DataFrame, message: str) -> None:
    with pytest.raises(BadData, match=message):
        score(made, values())
