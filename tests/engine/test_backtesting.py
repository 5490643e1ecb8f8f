"""Backtests of a table: each fit sees what lay before its origin, and a fitted forecaster is tested as it is."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster, score
from forecast.errors import UsageError
from forecast.settings import TableSettings
from tests._settings import ROLES

SMALL: dict[str, Any] = {
    "model": "segrnn",
    "params": {"hidden_size": 8},
    "steps": 6,
    "horizon": 5,
    "lookback": 14,
    "season": (7,),
}


@pytest.mark.parametrize("refit", [False, True])
def test_later_values_change_no_earlier_forecast(panel_frame: pd.DataFrame, refit: bool) -> None:
    later = panel_frame["day"] > "2024-03-10"
    changed = panel_frame.copy()
    changed["units"] = changed["units"].where(~later, 1e6 + changed["units"] ** 2)
    changed["price"] = changed["price"].where(~later, -5.0)
    forecaster = Forecaster(**SMALL, **ROLES, baselines=("theta",))

    def early(frame: pd.DataFrame) -> pd.DataFrame:
        rows = forecaster.backtest(frame, windows=4, refit=refit, models=("gru", "theta")).forecasts
        return rows[rows["origin"] <= "2024-03-10"].drop(columns="actual").reset_index(drop=True)

    expected = early(panel_frame)
    assert expected["origin"].nunique() == 3
    pd.testing.assert_frame_equal(early(changed), expected, check_exact=True)
    assert not hasattr(forecaster, "fitted_")


def test_a_backtest_forecasts_what_a_fit_of_that_day_would_have(panel_frame: pd.DataFrame) -> None:
    plain = panel_frame[["shop", "day", "units"]]
    found = Forecaster(**SMALL).backtest(plain, windows=1).forecasts
    night = Forecaster(**SMALL).fit(plain[plain["day"] <= "2024-03-15"]).predict()
    own = (
        found[found["model"] == "segrnn"]
        .drop(columns=["origin", "actual", "model"])
        .reset_index(drop=True)
    )
    pd.testing.assert_frame_equal(own, night, check_exact=True)


def test_score_says_of_a_table_of_forecasts_what_backtest_said(panel_frame: pd.DataFrame) -> None:
    plain = panel_frame[["shop", "day", "units"]]
    found = Forecaster(**SMALL).backtest(plain, windows=1, models=("lstm",))
    own = found.forecasts[found.forecasts["model"] == "lstm"].drop(
        columns=["origin", "actual", "model"]
    )
    scored = score(own, plain, TableSettings(season=(7,)))
    for mine, theirs in ((scored.overall, found.overall), (scored.by_step, found.by_step)):
        expected = theirs[theirs["model"] == "lstm"].drop(
            columns=["model", "fit_seconds", "predict_seconds"], errors="ignore"
        )
        pd.testing.assert_frame_equal(mine.drop(columns="model"), expected.reset_index(drop=True))


def test_a_fitted_forecaster_is_tested_as_it_is(
    panel_frame: pd.DataFrame, caplog: pytest.LogCaptureFixture, tmp_path: Any
) -> None:
    early = panel_frame[panel_frame["day"] <= "2024-03-01"]
    model = Forecaster(**SMALL, **ROLES).fit(early)
    model.save(str(tmp_path / "store"))
    saved = Forecaster.load(str(tmp_path / "store"))
    found = saved.backtest(panel_frame, windows=3, frozen=True, models=("drift",))
    assert found.overall["model"].tolist() == ["seasonal-naive", "segrnn", "drift"]
    assert "end of the fit" not in caplog.text
    rows = found.forecasts[
        (found.forecasts["model"] == "segrnn") & (found.forecasts["origin"] == "2024-03-10")
    ]
    expected = saved.predict(panel_frame, origin="2024-03-10")
    pd.testing.assert_frame_equal(
        rows.drop(columns=["origin", "actual", "model"]).reset_index(drop=True),
        expected,
        check_exact=True,
    )
    saved.backtest(panel_frame, windows=5, frozen=True)
    assert "2 of 5 origins lie before 2024-03-01, the end of the fit" in caplog.text


def test_rows_of_differing_lengths_each_have_origins_of_their_own() -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(
        rng.normal(size=(3, 60)).cumsum(1), columns=[f"V{i}" for i in range(2, 62)]
    )
    frame.insert(0, "V1", ["a", "b", "c"])
    frame.iloc[1, 41:] = np.nan
    found = Forecaster(**{**SMALL, "season": ()}, layout="rows").backtest(
        frame, windows=2, models=("drift",)
    )
    newest = found.forecasts.groupby("V1")["origin"].max()
    assert newest.to_dict() == {"a": 55, "b": 35, "c": 55}
    assert found.forecasts["actual"].notna().all()


def test_series_with_too_few_values_are_left_out_and_named(panel_frame: pd.DataFrame) -> None:
    frame = panel_frame[["shop", "day", "units"]].copy()
    frame["units"] = frame["units"].where((frame["shop"] != "s002") | (frame["day"] < "2024-01-05"))
    frame.loc[(frame["shop"] == "s002") & (frame["day"] == "2024-03-20"), "units"] = 1.0
    found = Forecaster(**SMALL).backtest(frame, windows=2, models=("last",))
    assert found.missing == (("s002",),)
    assert "s002" not in set(found.by_series["shop"])


def test_what_cannot_be_is_refused(panel_frame: pd.DataFrame) -> None:
    with pytest.raises(UsageError, match="windows"):
        Forecaster(**SMALL).backtest(panel_frame, windows=0)
    with pytest.raises(UsageError, match="did you mean 'segrnn'"):
        Forecaster(**SMALL, target=("units",)).backtest(panel_frame, models=("segrn",))
    frame = panel_frame[["shop", "day", "units"]].rename(columns={"shop": "model"})
    with pytest.raises(UsageError, match="columns 'model' have the names of columns of the result"):
        Forecaster(**SMALL).backtest(frame, windows=1, models=("last",))
