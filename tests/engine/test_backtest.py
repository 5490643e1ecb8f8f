"""Rolling origins: nothing later reaches a fold, frozen and fitted again, series of all kinds, baselines too."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from forecast.engine.backtest import Fold, Predict, backtest, fit_baseline
from forecast.engine.rolling import choose_origins
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema
from forecast.reading import reading
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame
from tests._settings import ROLES
from tests.metrics.panels import panel_of

LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)


@pytest.fixture(scope="module")
def read(panel_frame: pd.DataFrame) -> tuple[Panel, Schema]:
    """Four shops of 80 days, the last of which opens late, with five future slots."""
    late = (panel_frame["shop"] == "s004") & (panel_frame["day"] < "2024-03-05")
    table = table_from_frame(panel_frame[~late])
    schema = reading.read(table, TableSettings(**ROLES, season=(7,))).schema
    return reading.read_as(table, schema, horizon=5).panel, schema


def mean_fit(past: Panel) -> Predict:
    """The mean of all that the fit saw, and beside it the number of slots that the forecast sees."""
    mean = past.values[past.observed].mean()

    def predict(panel: Panel) -> np.ndarray:
        quantiles = np.full((len(panel), panel.ahead, len(LEVELS)), mean, np.float64)
        quantiles[..., -1] += panel.lengths[:, None]
        return quantiles

    return predict


def test_a_fold_sees_what_lies_before_its_origin_and_nothing_else(
    read: tuple[Panel, Schema],
) -> None:
    panel, schema = read
    origins = choose_origins(panel, 3, None, "t")
    lengths: list[list[int]] = []

    def fit(past: Panel) -> Predict:
        assert (past.origins == origins[0, 0]).all()

        def predict(given: Panel) -> np.ndarray:
            lengths.append(given.origins.tolist())
            return mean_fit(past)(given)

        return predict

    backtest(panel, schema, {"mine": fit}, origins, LEVELS)
    assert lengths == [
        [int(origin) for origin in origins[:, 0] for _ in range(4)]
    ]  # one call for all origins


def test_frozen_keeps_the_fit_of_the_oldest_origin_and_refit_does_not(
    read: tuple[Panel, Schema],
) -> None:
    panel, schema = read
    origins = choose_origins(panel, 3, None, "t")
    frozen = backtest(panel, schema, {"mine": mean_fit}, origins, LEVELS).forecasts
    again = backtest(panel, schema, {"mine": mean_fit}, origins, LEVELS, refit=True).forecasts
    assert frozen[frozen["model"] == "mine"]["forecast"].nunique() == 1
    assert again[again["model"] == "mine"]["forecast"].nunique() == 3
    oldest = frozen["origin"] == frozen["origin"].min()
    pd.testing.assert_frame_equal(
        frozen[oldest & (frozen["model"] == "mine")], again[oldest & (again["model"] == "mine")]
    )


def test_folds_side_by_side_give_the_same_and_are_told_one_by_one(
    read: tuple[Panel, Schema],
) -> None:
    panel, schema = read
    origins, told = choose_origins(panel, 2, None, "t"), list[Fold]()
    fits = {
        "theta": partial(fit_baseline, "theta", 7, LEVELS),
        "drift": partial(fit_baseline, "drift", 7, LEVELS),
    }
    alone = backtest(panel, schema, fits, origins, LEVELS, refit=True, on_fold=told.append)
    pair = backtest(panel, schema, fits, origins, LEVELS, refit=True, jobs=2)
    pd.testing.assert_frame_equal(pair.forecasts, alone.forecasts, check_exact=True)
    assert [(one.done, one.folds, one.model) for one in told] == [
        (i + 1, 6, name)
        for i, name in enumerate(np.repeat(["seasonal-naive", "theta", "drift"], 2))
    ]


def test_tables_hold_each_model_series_and_step_and_agree_with_the_forecasts(
    read: tuple[Panel, Schema],
) -> None:
    panel, schema = read
    found = backtest(panel, schema, {"mine": mean_fit}, choose_origins(panel, 4, None, "t"), LEVELS)
    assert found.overall["model"].tolist() == ["seasonal-naive", "mine"]
    assert found.overall.columns[:3].tolist() == ["model", "skill", "mase"]
    assert found.overall["skill"].iloc[0] == 0
    assert found.by_series["shop"].tolist() == [
        shop for shop in ("s001", "s002", "s003", "s004") for _ in range(2)
    ]
    assert found.by_step["step"].tolist() == [step for step in range(1, 6) for _ in range(2)]
    rows = found.forecasts
    assert rows.columns.tolist() == [
        *(
            "shop",
            "origin",
            "day",
            "actual",
            "model",
            "forecast",
            "lo_80",
            "hi_80",
            "lo_95",
            "hi_95",
        ),
    ]
    mine = rows[rows["model"] == "mine"]
    assert len(mine) == 3 * 4 * 5 + 3 * 5  # the shop that opens late is there at three origins only
    error = (mine["actual"] - mine["forecast"]).abs()
    assert found.overall["mae"].iloc[1] == pytest.approx(error.mean())
    by_shop = found.by_series[found.by_series["model"] == "mine"].set_index("shop")["mae"]
    pd.testing.assert_series_equal(error.groupby(mine["shop"]).mean(), by_shop, check_names=False)
    assert np.isnan(
        found.by_series.loc[found.by_series["shop"] == "s004", "mase"]
    ).all()  # no past at the oldest origin
    assert rows["day"].max() == "2024-03-20"


def test_missing_values_do_not_count(read: tuple[Panel, Schema]) -> None:
    panel, schema = read
    origins = choose_origins(panel, 2, None, "t")
    observed = panel.observed.copy()
    observed[panel.slots(0).stop - 3 : panel.slots(0).stop] = False
    found = backtest(replace(panel, observed=observed), schema, {"mine": mean_fit}, origins, LEVELS)
    rows = found.forecasts[found.forecasts["model"] == "mine"]
    assert rows["actual"].isna().sum() == 3
    assert found.overall["mae"].iloc[1] == pytest.approx(
        (rows["actual"] - rows["forecast"]).abs().mean()
    )


def test_a_baseline_has_intervals_from_its_own_past_errors() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"time": pd.date_range("2020-01-01", periods=600), "value": rng.normal(size=600)}
    )
    table = table_from_frame(frame)
    schema = reading.read(table, TableSettings()).schema
    panel = reading.read_as(table, schema, horizon=4).panel
    found = backtest(
        panel,
        schema,
        {"mean": partial(fit_baseline, "mean", 1, LEVELS)},
        choose_origins(panel, 50, None, "t"),
        LEVELS,
    )
    row = found.overall.set_index("model").loc["mean"]
    assert row["skill"] > 0.2
    assert row["coverage_80"] == pytest.approx(0.8, abs=0.12)
    assert row["coverage_95"] > 0.85


FEW_LEVELS = (0.1, 0.5, 0.9)


def test_the_median_repeats_the_season_and_exact_forecasts_have_no_width() -> None:
    week = [5.0, 1, 2, 3, 4, 8, 9]
    panel = panel_of((0, week * 8), horizon=3)
    found = fit_baseline("seasonal-naive", 7, FEW_LEVELS, panel)(panel)
    np.testing.assert_allclose(found[0], np.repeat([[5], [1], [2]], 3, 1))


def test_widths_grow_with_the_changes_of_a_series_and_along_the_horizon() -> None:
    random = np.random.default_rng(0)
    walk = random.normal(size=200).cumsum()
    panel = panel_of((0, walk.tolist()), (0, (10 * walk).tolist()), horizon=6)
    found = fit_baseline("last", 1, FEW_LEVELS, panel)(panel)
    np.testing.assert_allclose(found[:, :, 1], np.repeat([[walk[-1]], [10 * walk[-1]]], 6, 1))
    width = found[..., 2] - found[..., 0]
    np.testing.assert_allclose(width[1], 10 * width[0])
    assert width[0, -1] > 1.5 * width[0, 0] > 0


def test_a_past_too_short_for_errors_has_no_width() -> None:
    panel = panel_of((0, [3.0, 4.0]), horizon=3)
    np.testing.assert_allclose(fit_baseline("last", 1, FEW_LEVELS, panel)(panel), 4.0)
