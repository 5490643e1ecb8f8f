"""The regression on whole seasons and on columns known in advance."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from forecast import Forecaster
from forecast.baselines.regression import REGRESSION_CONTEXT, forecast_series
from forecast.panel.panel import BEFORE_ALL_ORIGINS, Vintages

Values = NDArray[np.float64]
HORIZON, SEASON = 14, 7


def warm_days(days: int = 320, seed: int = 0) -> pd.DataFrame:
    """Daily sales that fall both in the cold and in the heat, less on some kinds of days; the last have no values."""
    random = np.random.default_rng(seed)
    warmth = 15 + 10 * np.sin(2 * np.pi * np.arange(days) / 90) + 4 * random.normal(size=days)
    kind = random.choice(["open", "late", "short"], days, p=[0.7, 0.15, 0.15])
    weekly = np.tile([3.0, 1, 0, 0, 2, 8, 9], days)[:days]
    effect = 0.15 * (warmth - 15) ** 2 + np.where(
        kind == "late", 12.0, np.where(kind == "short", -9.0, 0.0)
    )
    sales = 100 + weekly - effect + random.normal(size=days)
    day = pd.date_range("2024-01-01", periods=days)
    return pd.DataFrame(
        {"day": day, "sales": sales.round(3), "warmth": warmth.round(3), "kind": kind}
    )


def test_now_takes_columns_known_in_advance(forecast: Callable[..., Any], tmp_path: Path) -> None:
    table = warm_days()
    actual = table["sales"].to_numpy()[-HORIZON:].copy()
    table.loc[table.index[-HORIZON:], "sales"] = np.nan
    table.to_csv(tmp_path / "sales.csv", index=False)
    words = (tmp_path / "sales.csv", "--target", "sales", "--season", SEASON, "--horizon", HORIZON)
    plain, known = forecast("now", *words), forecast("now", *words, "--known", "warmth,kind")
    assert (plain.code, known.code) == (0, 0)
    assert "columns  typical effect: warmth" in known.err
    errors = [
        np.abs(found.frame["forecast"].to_numpy() - actual).mean() for found in (plain, known)
    ]
    assert errors[1] < 0.3 * errors[0]


def test_a_sale_without_a_season_is_foreseen(forecast: Callable[..., Any], tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    sale = (random.random(200 + HORIZON) < 0.1).astype(int)
    sold = np.where(sale == 1, 30.0, 10.0) + 0.5 * random.normal(size=len(sale))
    table = pd.DataFrame(
        {"day": pd.date_range("2024-01-01", periods=len(sale)), "sold": sold.round(2), "sale": sale}
    )
    table.loc[200:, "sold"] = np.nan
    table.to_csv(tmp_path / "sales.csv", index=False)
    words = ("--target", "sold", "--horizon", HORIZON, "--known", "sale")
    found = forecast("now", tmp_path / "sales.csv", *words).frame["forecast"].to_numpy()
    assert 0 < sale[200:].sum() < HORIZON
    assert found == pytest.approx(np.where(sale[200:] == 1, 30, 10), abs=3)


def test_known_values_must_reach_the_horizon(forecast: Callable[..., Any], tmp_path: Path) -> None:
    warm_days().to_csv(tmp_path / "sales.csv", index=False)
    words = ("--target", "sales", "--season", SEASON, "--horizon", HORIZON, "--known", "warmth")
    found = forecast("now", tmp_path / "sales.csv", *words)
    assert found.code == 65
    assert "sales.csv: column 'warmth' is known in advance" in found.err
    assert found.err.endswith(
        "fill in blank cells, add missing rows with blank targets, or pass them with --future\n"
    )


def forecast_along(
    values: Values, known: Values, ends: list[int], start: int = 0, season: int = SEASON
) -> Values:
    seen = np.isfinite(values)
    where = np.array(ends, np.int64)
    return forecast_series(
        np.where(seen, values, 0.0), seen, known, start, where, HORIZON, (season,)
    )


def columns_of(table: pd.DataFrame) -> Values:
    return np.stack([table["warmth"], table["kind"] == "late", table["kind"] == "short"], 1).astype(
        float
    )


def test_no_window_knows_what_comes_after_it() -> None:
    table = warm_days()
    values, known = table["sales"].to_numpy(copy=True), columns_of(table)
    values[100:103] = np.nan
    ends = [200, 203, 231, 260, len(table) - HORIZON]
    together = forecast_along(values, known, ends)
    for row, end in enumerate(ends):
        later, columns = values.copy(), known.copy()
        later[end:] = 1e4
        columns[end + HORIZON :] = -50.0
        assert (forecast_along(later, columns, ends)[row] == together[row]).all()
        assert (
            forecast_along(values[:end], known[: end + HORIZON], [end])[0] == together[row]
        ).all()


def test_a_forecast_rests_on_the_steps_that_a_saved_forecaster_keeps() -> None:
    random, steps = np.random.default_rng(1), REGRESSION_CONTEXT + 900
    known = random.normal(size=(steps + HORIZON, 1))
    values = (
        np.sin(np.arange(steps) * 2 * np.pi / 24)
        + np.abs(known[:steps, 0])
        + 0.1 * random.normal(size=steps)
    )
    whole = forecast_along(values, known, [steps], season=24)
    cut = steps - REGRESSION_CONTEXT
    assert (
        forecast_along(values[cut:], known[cut:], [REGRESSION_CONTEXT], start=cut, season=24)
        == whole
    ).all()


def test_order_and_units_of_columns_do_not_matter() -> None:
    table = warm_days(days=200)
    values, known, end = table["sales"].to_numpy(), columns_of(table), 200 - HORIZON
    plain = forecast_along(values, known, [end])
    other = 32 + 1.8 * known[:, ::-1]
    assert forecast_along(values, other, [end]) == pytest.approx(plain, rel=1e-6)
    none, blank = known.copy(), np.concatenate([known, np.full((200, 1), np.nan)], 1)
    none[:, 1:] = 7.0
    assert forecast_along(values, none, [end]) == pytest.approx(
        forecast_along(values, known[:, :1], [end]), rel=1e-6
    )
    assert forecast_along(values, blank, [end]) == pytest.approx(plain, rel=1e-6)


def test_a_bent_response_is_learned() -> None:
    table = warm_days(seed=3)
    values, known, end = table["sales"].to_numpy(), columns_of(table), len(table) - HORIZON
    found = forecast_along(values, known, [end])[0]
    straight = np.polyval(np.polyfit(known[:end, 0], values[:end], 1), known[end:, 0])
    assert np.abs(found - values[end:]).mean() < 0.3 * np.abs(straight - values[end:]).mean()


def test_what_a_column_did_long_ago_is_taken_off_as_what_it_did_lately() -> None:
    random, season, horizon = np.random.default_rng(0), 12, 24
    step = np.arange(700 * season + horizon)
    sale = np.repeat(random.random(702) < 0.3, season)[: len(step)].astype(float)
    values = 10 + 3 * np.sin(2 * np.pi * step / season) + 40 * sale * (step % season > 5)
    seen = values + random.normal(0, 0.3, len(step))
    end = np.array([len(step) - horizon])
    (found,) = forecast_series(seen, seen > -np.inf, sale[:, None], 0, end, horizon, (season,))
    assert np.abs(found - values[-horizon:]).mean() < 0.3


def test_waves_that_are_no_season_are_learned_from_a_few_weeks() -> None:
    random, season, step, errors = np.random.default_rng(0), 24, np.arange(22 * 24), []
    for _ in range(12):
        waves = np.sin(
            2 * np.pi * step[:, None] / random.uniform(6, 60, 6) + random.uniform(0, 2 * np.pi, 6)
        ).sum(1)
        values, end = 4 * np.sin(2 * np.pi * step / season) + waves, len(step) - season
        none, seen = np.zeros((len(step), 0)), np.ones(len(step), bool)
        (found,) = forecast_series(
            values, seen, none, 0, np.array([end]), season, (season, 7 * season)
        )
        errors.append(np.abs(found - values[end:]).mean())
    assert (
        np.mean(errors) < 0.55
    )  # 0.65 if only whole days are compared, of which there are too few


def test_it_forecasts_alone_from_columns(tmp_path: Path) -> None:
    table = warm_days(days=260)
    model = Forecaster(
        model="regression", target="sales", known=["warmth", "kind"], season=SEASON, horizon=HORIZON
    ).fit(table.assign(sales=table["sales"].where(table.index < 260 - HORIZON)))
    assert model.fitted_.ensemble.components == ("regression",)
    found = model.predict()
    assert np.abs(found["forecast"].to_numpy() - table["sales"].to_numpy()[-HORIZON:]).mean() < 3
    model.save(str(tmp_path / "store"))
    pd.testing.assert_frame_equal(Forecaster.load(str(tmp_path / "store")).predict(), found)


def test_a_window_sees_columns_as_they_were_known_at_its_origin() -> None:
    table = warm_days(days=200)
    words: dict[str, Any] = {
        "target": "sales",
        "season": SEASON,
        "horizon": HORIZON,
        "known": ["warmth"],
    }
    model = Forecaster(model="regression", **words).fit(
        table.assign(sales=table["sales"].where(table.index < 200 - HORIZON)).drop(columns="kind")
    )
    panel, predictor = model.fitted_.history, model._build_predictor()
    end = int(panel.lengths[0]) - 30
    slots = np.arange(
        end, end + HORIZON
    )  # each has a value from long ago, and one from the day itself on
    never, at = np.full(HORIZON, BEFORE_ALL_ORIGINS), panel.starts[0] + slots
    order = np.argsort(np.tile(slots, 2), kind="stable")

    def forecast(early: float, late: float) -> Values:
        values = np.repeat([early, late], HORIZON)[order]
        both, column = np.concatenate([never, at])[order], np.zeros(2 * HORIZON, np.int64)
        changed = replace(panel, vintages=Vintages(np.repeat(slots, 2), column, both, values))
        found = predictor.quantiles(changed, np.zeros(1, np.int64), np.array([end]))
        return np.asarray(found)

    # the effect of the later value is taken off and put back, which rounds
    np.testing.assert_allclose(forecast(15, 2), forecast(15, 28), rtol=1e-13)
    assert not np.allclose(forecast(15, 2), forecast(28, 2))


def test_it_joins_where_it_helps_and_is_affordable(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    random = np.random.default_rng(2)
    wave = 10 + np.sin(np.arange(400) * 2 * np.pi / 24) + 0.1 * random.normal(size=400)
    table = pd.DataFrame({"time": pd.date_range("2024-01-01", periods=400, freq="h"), "load": wave})

    def compared(season: int) -> set[str]:
        model = Forecaster(model="pretrained", season=season, horizon=24).fit(table)
        return {"regression", "autoregression"} & model.fitted_.ensemble.scores.keys()

    assert compared(24) == {"regression", "autoregression"}
    assert compared(48) == {"autoregression"}  # there are eight such seasons
    assert compared(12) == {"regression", "autoregression"}
    monkeypatch.setattr("forecast.ensemble.baseline_forecasts.AFFORDABLE", 1.0)
    with caplog.at_level("INFO", logger="forecast"):
        assert compared(24) == {"autoregression"}
    assert "regression would take long and is left out, unless a fit names it" in caplog.text
