"""Forecasts of a table: after its end or an origin, from the past alone, of some series, wider where asked."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.engine.forecast import forecast
from forecast.engine.requests import ForecastRequest
from forecast.errors import UsageError
from forecast.inference.forecasting import (
    Forecasts,
    build_forecasts,
    columns_at,
    compute_quantiles,
    load_predictor,
    panel_to_forecast,
    update_tables,
)
from forecast.inference.predictor import Predictor
from forecast.settings import OutputSettings
from forecast.tables.reading import table_from_frame
from forecast.tables.table import Table
from forecast.tables.writing import build_frame


def forecast_whole(predictor: Predictor, source: Table | None = None, **asked: Any) -> Forecasts:
    return forecast(predictor, ForecastRequest(source, **asked)).whole


@pytest.fixture(scope="module")
def predictor(store: Path) -> Predictor:
    return load_predictor(str(store))


@pytest.fixture(scope="module")
def months(passengers: Path) -> pd.DataFrame:
    return pd.read_csv(passengers)


def test_without_a_table_the_series_of_the_fit_go_on(
    predictor: Predictor, months: pd.DataFrame
) -> None:
    alone, again = forecast_whole(predictor), forecast_whole(predictor, table_from_frame(months))
    assert alone.rows == predictor.fitted.config.horizon == len(build_frame(alone.columns))
    np.testing.assert_allclose(alone.quantiles, again.quantiles, rtol=1e-5)
    assert alone.skipped == {}


def test_values_after_the_origin_change_nothing(predictor: Predictor, months: pd.DataFrame) -> None:
    time, value = months.columns
    origin, changed = months[time].iloc[-25], months.copy()
    changed.loc[len(months) - 24 :, value] = 1.0
    first, other = (
        forecast_whole(predictor, table_from_frame(frame), origin=str(origin))
        for frame in (months, changed)
    )
    pd.testing.assert_frame_equal(build_frame(first.columns), build_frame(other.columns))
    assert build_frame(first.columns)[time].iloc[0] == months[time].iloc[-24]


def test_an_origin_needs_a_table(predictor: Predictor) -> None:
    with pytest.raises(UsageError, match="needs a table"):
        panel_to_forecast(predictor.fitted, origin="1959-01")


def test_a_shorter_horizon_is_the_beginning_of_the_whole(predictor: Predictor) -> None:
    whole, short = (
        build_frame(forecast_whole(predictor).columns),
        build_frame(forecast_whole(predictor, horizon=2).columns),
    )
    pd.testing.assert_frame_equal(short, whole.head(2))
    with pytest.raises(UsageError, match="horizon"):
        forecast_whole(predictor, horizon=len(whole) + 1)


def test_factors_widen_the_intervals_and_leave_the_median(predictor: Predictor) -> None:
    fitted = predictor.fitted
    series, quantiles = compute_quantiles(predictor, fitted.history)
    made = fitted, OutputSettings(), fitted.history, series, quantiles, {}
    usual = build_forecasts(*made)
    wide = build_forecasts(*made, np.full(quantiles.shape[-1], 2.0))
    before, after = (build_frame(found.columns) for found in (usual, wide))
    assert (after["hi_95"] - after["lo_95"] > 1.5 * (before["hi_95"] - before["lo_95"])).all()
    np.testing.assert_array_equal(usual.quantiles, wide.quantiles)
    np.testing.assert_array_equal(usual.means, wide.means)


def test_no_series_has_to_be_chosen(predictor: Predictor) -> None:
    assert forecast_whole(predictor, choose=lambda panel: np.zeros(0, np.int64)).rows == 0


def test_columns_of_forecasts_lie_at_their_steps_and_clash_with_none(predictor: Predictor) -> None:
    history, schema = predictor.fitted.history, predictor.fitted.config.table
    series, steps = np.zeros(1, np.int64), np.array([-1, 0, 1])
    columns = columns_at(history, schema, series, steps, {"number": np.array([[1.0, 2.0, 3.0]])})
    frame = build_frame(columns)
    assert frame["number"].tolist() == [1, 2, 3]
    assert frame[schema.time[0]].iloc[1] == predictor.fitted.config.train_end
    with pytest.raises(UsageError, match="rename them in the input"):
        columns_at(history, schema, series, steps, {schema.time[0]: np.zeros((1, 3))})


def test_events_without_effects_need_none_at_the_fit(predictor: Predictor) -> None:
    assert update_tables(predictor, None, None) is predictor
    table = pd.DataFrame({"date": ["1961-05-01"], "name": "strike"})
    with pytest.raises(UsageError, match="events need days, and the table has steps of MS"):
        update_tables(predictor, table_from_frame(table), None)
    later = update_tables(predictor, table_from_frame(table.assign(kind="ignore")), None)
    assert [event.kind for event in later.fitted.config.table.dated_events] == ["ignore"]
