"""A newest value far outside all others waits for a second one, and a new level is followed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.effects.newest import new_levels
from forecast.inference.predictor import Predictor
from forecast.panel.infer import read, read_as
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame
from tests.conftest import Run

HORIZON = 12


def months(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {"t": pd.date_range("2015-01-01", periods=len(values), freq="MS"), "y": values}
    )


@pytest.fixture
def usual() -> np.ndarray:
    steps = np.arange(72)
    noise = np.random.default_rng(4).normal(0, 2, 72)
    return 100 + 20 * np.sin(2 * np.pi * steps / 12) + noise


def forecast_of(values: np.ndarray) -> np.ndarray:
    model = Forecaster(model="pretrained", horizon=HORIZON)
    return model.fit(months(values)).predict()["forecast"].to_numpy()


def test_a_lone_newest_value_changes_little_and_a_second_one_does(usual: np.ndarray) -> None:
    wrong = usual.copy()
    wrong[-1] *= 5
    right = forecast_of(usual)
    np.testing.assert_allclose(forecast_of(wrong), right, atol=4)

    confirmed = usual.copy()
    confirmed[-2:] *= 5
    assert forecast_of(confirmed).mean() > 1.2 * right.mean()


def test_a_constant_series_and_a_short_one_follow_their_newest_value() -> None:
    jump = np.append(np.full(40, 7.0), 70.0)
    short = np.append(np.arange(10.0), 500.0)
    for values in (jump, short):
        before = forecast_of(values[:-1]).mean()
        assert forecast_of(values).mean() > before + 1


@pytest.mark.parametrize("change", [0.6, 1.5])
def test_a_level_that_four_values_confirm_is_followed_with_its_season(
    usual: np.ndarray, change: float
) -> None:
    moved = usual.copy()
    moved[-4:] *= change
    np.testing.assert_allclose(forecast_of(moved), change * forecast_of(usual), rtol=0.06)


@pytest.mark.parametrize("change", [-50, 60])
def test_a_level_that_moved_by_a_sum_keeps_the_size_of_its_season(
    usual: np.ndarray, change: float
) -> None:
    moved = usual.copy()
    moved[-5:] += change
    np.testing.assert_allclose(forecast_of(moved), change + forecast_of(usual), atol=4)


@pytest.mark.parametrize("change", [0.6, 5.0])
def test_what_comes_after_an_origin_changes_no_forecast_from_it(
    usual: np.ndarray, change: float
) -> None:
    fitted = Forecaster(model="pretrained", horizon=HORIZON).fit(months(usual[:48])).fitted_
    predictor = Predictor(fitted, "cpu")
    changed = usual.copy()
    changed[-4 if change < 1 else -1 :] *= change

    def quantiles(values: np.ndarray) -> np.ndarray:
        table = table_from_frame(months(values))
        panel = read_as(table, fitted.config.table, horizon=HORIZON).panel
        return predictor.quantiles(panel, np.array([0, 0]), np.array([48, 56]))

    np.testing.assert_array_equal(quantiles(changed), quantiles(usual))


def test_a_level_of_two_values_and_a_growing_series_are_left_alone(usual: np.ndarray) -> None:
    moved = usual.copy()
    moved[-2:] *= 0.6
    assert forecast_of(moved).mean() > 0.75 * usual[-12:].mean()
    growing = usual * np.exp(0.01 * np.arange(72))
    assert forecast_of(growing).mean() == pytest.approx(
        growing[-12:].mean() * np.exp(0.12), rel=0.1
    )


def test_a_newest_value_that_is_declared_counts_at_once(
    usual: np.ndarray, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    events = tmp_path / "events.csv"
    events.write_text("date,name,kind\n2020-12-01,larger shop,level_shift\n")
    wrong = usual.copy()
    wrong[-1] *= 5
    model = Forecaster(model="pretrained", horizon=HORIZON, events=str(events))
    found = model.fit(months(wrong)).predict()["forecast"].to_numpy()
    np.testing.assert_allclose(found, 5 * forecast_of(usual), rtol=0.15)
    assert "newest" not in caplog.text


def test_it_is_said(forecast: Run, usual: np.ndarray, tmp_path: Path) -> None:
    level = usual.copy()
    level[-4:] *= 0.6
    usual[-1] *= 5
    path = tmp_path / "months.csv"
    months(usual).to_csv(path, index=False)
    ran = forecast("now", path, "--horizon", HORIZON)
    assert (
        "months.csv: the newest value of 1 series (y) lies far outside all values before" in ran.err
    )
    months(level).to_csv(path, index=False)
    ran = forecast("now", path, "--horizon", HORIZON)
    assert "months.csv: the newest values of 1 series (y) lie at a new level" in ran.err
    months(usual[:-1]).to_csv(path, index=False)
    assert "newest value" not in forecast("now", path, "--horizon", HORIZON).err


def days(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"t": pd.date_range("2022-01-03", periods=len(values)), "y": values})


@pytest.mark.parametrize("steps", [10, 30])
def test_a_level_that_has_moved_does_not_widen_intervals(steps: int) -> None:
    noise = np.random.default_rng(1).normal(200, 5, 200 + steps)
    shifted = noise + 50 * (np.arange(len(noise)) >= 200)
    model = Forecaster(model="pretrained", horizon=7)

    def widths(values: np.ndarray) -> np.ndarray:
        table = model.fit(days(values)).predict()
        return np.array(
            [(table[f"hi_{level}"] - table[f"lo_{level}"]).mean() for level in (80, 95)]
        )

    assert (widths(shifted) < 1.2 * widths(noise)).all()


@pytest.mark.parametrize("season", [1, 7])
def test_walks_waves_trends_and_lone_values_have_no_new_level(season: int) -> None:
    draws = np.random.default_rng(2).normal(size=(4, 40, 250))
    steps = np.arange(250)
    waves = 5 * np.sin(steps / 30)
    draws[3, :, -2] += 30
    trends = 0.3 * steps + draws[2]
    values = np.concatenate([draws[0].cumsum(1), waves + draws[1], draws[3], trends])
    frame = pd.DataFrame(values.T, columns=[f"s{number:03}" for number in range(160)])
    frame.insert(0, "t", pd.date_range("2022-01-03", periods=250))
    panel = read(table_from_frame(frame), TableSettings(time="t"), horizon=7).panel
    assert len(new_levels(panel, season, panel.lengths)) <= 1
    panel.values[-100:] += 20  # of a trend, and of what lies ahead
    assert new_levels(panel, season, panel.lengths)[-1].confirming == 100 - panel.ahead


def test_what_a_price_does_for_a_week_is_no_new_level(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    generator = np.random.default_rng(3)
    weeks = np.repeat(generator.choice([1.0, 1.1], 30), 7)[:208]
    weeks[-11:] = 0.6  # four days of sales, and a week ahead
    sales = 200 * weeks**-1.5 * np.exp(generator.normal(0, 0.03, len(weeks)))
    frame = days(sales).assign(price=weeks)
    frame.loc[frame.index[-7:], "y"] = np.nan
    Forecaster(model="pretrained", horizon=7, target="y").fit(frame.drop(columns="price")[:-7])
    assert "lie at a new level" in caplog.text
    caplog.clear()
    model = Forecaster(model="pretrained", horizon=7, target="y", known=["price"]).fit(frame)
    model.predict(frame)
    assert "new level" not in caplog.text
