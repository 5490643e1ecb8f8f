"""Backtests: each fit sees what lay before its origin; frozen and fitted again, baselines and networks alike."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster, score
from forecast.engine.backtest import Backtest, BacktestRequest, backtest
from forecast.engine.requests import Callbacks, Fold
from forecast.errors import UsageError
from forecast.panel.infer import Reading, read
from forecast.settings import BacktestSettings, TableSettings, TrainSettings
from forecast.tables.reading import table_from_frame
from tests._settings import ROLES
from tests.totals._sales import fitted, sales

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
    result = Forecaster(**SMALL).backtest(plain, windows=1).forecasts
    night = Forecaster(**SMALL).fit(plain[plain["day"] <= "2024-03-15"]).predict()
    own = (
        result[result["model"] == "segrnn"]
        .drop(columns=["origin", "actual", "model"])
        .reset_index(drop=True)
    )
    pd.testing.assert_frame_equal(own, night, check_exact=True)


def test_score_says_of_a_table_of_forecasts_what_backtest_said(panel_frame: pd.DataFrame) -> None:
    plain = panel_frame[["shop", "day", "units"]]
    result = Forecaster(**SMALL).backtest(plain, windows=1, models=("lstm",))
    own = result.forecasts[result.forecasts["model"] == "lstm"].drop(
        columns=["origin", "actual", "model"]
    )
    scored = score(own, plain, TableSettings(season=(7,)))
    for mine, theirs in ((scored.overall, result.overall), (scored.by_step, result.by_step)):
        assert theirs["revision"].isna().all()  # each time is forecast once
        expected = theirs[theirs["model"] == "lstm"].drop(
            columns=["model", "revision", "fit_seconds", "predict_seconds"], errors="ignore"
        )
        pd.testing.assert_frame_equal(mine.drop(columns="model"), expected.reset_index(drop=True))


def test_a_fitted_forecaster_is_tested_as_it_is(
    panel_frame: pd.DataFrame, caplog: pytest.LogCaptureFixture, tmp_path: Any
) -> None:
    early = panel_frame[panel_frame["day"] <= "2024-03-01"]
    model = Forecaster(**SMALL, **ROLES).fit(early)
    model.save(str(tmp_path / "store"))
    saved = Forecaster.load(str(tmp_path / "store"))
    result = saved.backtest(panel_frame, windows=3, frozen=True, models=("drift",))
    assert result.overall["model"].tolist() == ["seasonal-naive", "segrnn", "drift"]
    assert "end of the fit" not in caplog.text
    rows = result.forecasts[
        (result.forecasts["model"] == "segrnn") & (result.forecasts["origin"] == "2024-03-10")
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
    result = Forecaster(**{**SMALL, "season": ()}, layout="rows").backtest(
        frame, windows=2, models=("drift",)
    )
    newest = result.forecasts.groupby("V1")["origin"].max()
    assert newest.to_dict() == {"a": 55, "b": 35, "c": 55}
    assert result.forecasts["actual"].notna().all()


def test_series_with_too_few_values_are_left_out_and_named(panel_frame: pd.DataFrame) -> None:
    frame = panel_frame[["shop", "day", "units"]].copy()
    frame["units"] = frame["units"].where((frame["shop"] != "s002") | (frame["day"] < "2024-01-05"))
    frame.loc[(frame["shop"] == "s002") & (frame["day"] == "2024-03-20"), "units"] = 1.0
    result = Forecaster(**SMALL).backtest(frame, windows=2, models=("last",))
    assert result.missing == (("s002",),)
    assert "s002" not in set(result.by_series["shop"])


def test_revision_is_how_far_forecasts_of_a_time_move_between_origins() -> None:
    line = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=60), "units": 0.0})
    line["units"] = np.arange(60.0) ** 2
    result = Forecaster(horizon=4, season=(2,), model="last").backtest(
        line, windows=5, step=1, models=("last",)
    )
    rows = result.forecasts[result.forecasts["model"] == "last"]
    moves = rows.groupby("day")["forecast"].diff().abs()
    origin = pd.to_datetime(result.origins[0])
    past = line.loc[line["day"] <= origin, "units"]
    unit = past.diff(2).abs().mean()
    found = result.overall.set_index("model")["revision"]
    assert found["last"] == pytest.approx(moves.mean() / unit)
    by_step = result.by_step[result.by_step["model"] == "last"].set_index("step")["revision"]
    step = (pd.to_datetime(rows["day"]) - pd.to_datetime(rows["origin"])).dt.days
    expected = moves.groupby(step).mean() / unit
    np.testing.assert_allclose(by_step[:3], expected[:3])
    assert np.isnan(by_step[4])  # no earlier origin reaches it
    assert result.by_series["revision"].notna().all()


def test_quantiles_are_measured_beside_the_intervals() -> None:
    frame = sales(days=200)
    asked = {"sum_every": "next 9"}
    plain = fitted(frame, 14).backtest(frame, windows=4, step=9, models="mean", sums=asked)
    result = fitted(frame, 14).backtest(
        frame, windows=4, step=9, models="mean", sums={**asked, "quantiles": (50, 95)}
    )
    sums = result.sums
    assert set(sums["level"]) == {"series/next 9"}
    row = result.totals.iloc[0]
    assert row["below_p95"] == pytest.approx((sums["actual"] <= sums["p95"]).mean())
    left = (sums["p95"] - sums["actual"]).clip(lower=0).mean()
    assert row["left_p95"] == pytest.approx(left)
    assert row["coverage_80"] == plain.totals.iloc[0]["coverage_80"]
    assert result.overall["below_p50"].between(0.3, 0.7).all()


def test_the_weighted_quantile_loss_has_one_set_of_levels_whatever_is_shown() -> None:
    model = Forecaster(model="seasonal-naive", horizon=14)
    frame = sales(days=160)
    usual = model.backtest(frame).overall["wql"]
    for quantiles in [(90, 95), (50,)]:
        tested = model.backtest(frame, sums={"quantiles": quantiles})
        pd.testing.assert_series_equal(tested.overall["wql"], usual)
        assert tested.rows_by("shop")["wql"].notna().all()


def test_what_cannot_be_is_refused(panel_frame: pd.DataFrame) -> None:
    with pytest.raises(UsageError, match="windows"):
        Forecaster(**SMALL).backtest(panel_frame, windows=0)
    with pytest.raises(UsageError, match="did you mean 'segrnn'"):
        Forecaster(**SMALL, target=("units",)).backtest(panel_frame, models=("segrn",))
    frame = panel_frame[["shop", "day", "units"]].rename(columns={"shop": "model"})
    with pytest.raises(UsageError, match="columns 'model' have the names of columns of the result"):
        Forecaster(**SMALL).backtest(frame, windows=1, models=("last",))


@pytest.fixture(scope="module")
def shops(panel_frame: pd.DataFrame) -> Reading:
    """Four shops of 80 days, the last of which opens late, with five future slots."""
    late = (panel_frame["shop"] == "s004") & (panel_frame["day"] < "2024-03-05")
    table = table_from_frame(panel_frame[~late])
    return read(table, TableSettings(**ROLES, season=(7,)), horizon=5)


def run_backtest(reading: Reading, *models: str, windows: int, **settings: Any) -> Backtest:
    refit = settings.pop("refit", False)
    callbacks = settings.pop("callbacks", Callbacks())
    rolling = BacktestSettings(windows=windows, refit=refit)
    train = TrainSettings(**settings)
    return backtest(
        BacktestRequest(reading, train, rolling, models, season_given=True, callbacks=callbacks)
    )


def test_frozen_keeps_the_fit_of_the_oldest_origin_and_refit_does_not(shops: Reading) -> None:
    folds = list[Fold]()
    callbacks = Callbacks(on_fold=folds.append)
    frozen = run_backtest(shops, "theta", windows=3, callbacks=callbacks).forecasts
    assert [fold.model for fold in folds] == ["seasonal-naive", "theta"]
    again = run_backtest(shops, "theta", windows=3, refit=True, callbacks=callbacks).forecasts
    assert [fold.folds for fold in folds[2:]] == [6] * 6
    oldest = frozen["origin"] == frozen["origin"].min()
    pd.testing.assert_frame_equal(frozen[oldest], again[oldest])
    assert not frozen[~oldest].equals(again[~oldest])


def test_folds_side_by_side_give_the_same_and_are_told_one_by_one(shops: Reading) -> None:
    folds = list[Fold]()
    callbacks = Callbacks(on_fold=folds.append)
    alone = run_backtest(shops, "theta", "drift", windows=2, refit=True, callbacks=callbacks)
    pair = run_backtest(shops, "theta", "drift", windows=2, refit=True, jobs=2)
    pd.testing.assert_frame_equal(pair.forecasts, alone.forecasts, check_exact=True)
    names = ["seasonal-naive", "seasonal-naive", "theta", "theta", "drift", "drift"]
    assert [fold.model for fold in folds] == names
    assert [fold.done for fold in folds] == [1, 2, 3, 4, 5, 6]


def test_tables_hold_each_model_series_and_step_and_agree_with_the_forecasts(
    shops: Reading,
) -> None:
    result = run_backtest(shops, "mean", windows=4)
    assert result.overall["model"].tolist() == ["seasonal-naive", "mean"]
    assert result.overall.columns[:3].tolist() == ["model", "skill", "mase"]
    assert result.overall["skill"].iloc[0] == 0
    shop_names = ("s001", "s002", "s003", "s004")
    assert result.by_series["shop"].tolist() == [shop for shop in shop_names for _ in range(2)]
    assert result.by_step["step"].tolist() == [step for step in range(1, 6) for _ in range(2)]
    rows = result.forecasts
    keys = ["shop", "origin", "day", "actual", "model"]
    assert rows.columns.tolist() == [*keys, "forecast", "lo_80", "hi_80", "lo_95", "hi_95"]
    mean = rows[rows["model"] == "mean"]
    assert len(mean) == 3 * 4 * 5 + 3 * 5  # the shop that opens late is there at three origins only
    error = (mean["actual"] - mean["forecast"]).abs()
    assert result.overall["mae"].iloc[1] == pytest.approx(error.mean())
    by_shop = result.by_series[result.by_series["model"] == "mean"].set_index("shop")["mae"]
    pd.testing.assert_series_equal(error.groupby(mean["shop"]).mean(), by_shop, check_names=False)
    of_late = result.by_series.loc[result.by_series["shop"] == "s004", "mase"]
    assert np.isnan(of_late).all()  # no past at the oldest origin
    assert rows["day"].max() == "2024-03-20"


def test_missing_values_do_not_count(shops: Reading) -> None:
    panel = shops.panel
    observed = panel.observed.copy()
    end = panel.offsets[1] - panel.ahead
    observed[end - 3 : end] = False
    reading = replace(shops, panel=replace(panel, observed=observed))
    result = run_backtest(reading, "mean", windows=2)
    rows = result.forecasts[result.forecasts["model"] == "mean"]
    assert rows["actual"].isna().sum() == 3
    error = (rows["actual"] - rows["forecast"]).abs()
    assert result.overall["mae"].iloc[1] == pytest.approx(error.mean())


def test_the_reference_repeats_the_season(shops: Reading) -> None:
    rows = run_backtest(shops, "mean", windows=1).forecasts
    rows = rows[(rows["model"] == "seasonal-naive") & (rows["shop"] == "s001")]
    panel = shops.panel
    end = panel.offsets[1] - 2 * panel.ahead
    np.testing.assert_allclose(rows["forecast"], panel.values[end - 7 : end - 2], rtol=1e-6)


def test_a_baseline_has_intervals_from_its_own_past_errors() -> None:
    rng = np.random.default_rng(0)
    days = pd.date_range("2020-01-01", periods=600)
    frame = pd.DataFrame({"time": days, "value": rng.normal(size=600)})
    reading = read(table_from_frame(frame), TableSettings(), horizon=4)
    row = run_backtest(reading, "mean", windows=50).overall.set_index("model").loc["mean"]
    assert row["skill"] > 0.2
    assert row["coverage_80"] == pytest.approx(0.8, abs=0.12)
    assert row["coverage_95"] > 0.85
