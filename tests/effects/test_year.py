"""What year and day of the month do to days is taken off the past and put back ahead."""

from pathlib import Path

import numpy as np
import pandas as pd

from forecast import Forecaster
from forecast.effects.columns import MOST_YEAR_WAVES, YEAR_WAVES

AHEAD = 28


def days(years: float, swing: float, seed: int = 0) -> pd.Series:
    """Daily values with a week and a year whose waves have an amplitude of `swing`."""
    random = np.random.default_rng(seed)
    time = np.arange(round(365.25 * years) + AHEAD)
    year = swing * np.sin(2 * np.pi * time / 365.25 + 1)
    values = 100 + year + 10 * np.sin(2 * np.pi * time / 7) + random.normal(0, 5, len(time))
    return pd.Series(values, pd.date_range("2020-03-01", periods=len(time)))


def fitted(values: pd.Series) -> Forecaster:
    frame = pd.DataFrame({"day": values.index, "y": values.to_numpy()})
    return Forecaster(model="pretrained", horizon=AHEAD).fit(frame)


def test_a_year_seen_twice_is_forecast() -> None:
    values = days(2.6, swing=30)
    model = fitted(values[:-AHEAD])
    error = np.abs(model.predict()["forecast"].to_numpy() - values[-AHEAD:]).mean()
    assert error < 1.35 * 5 * 0.8  # of the noise alone; without the year 1.9
    assert model.fitted_.effects.columns is not None


def test_no_year_is_found_in_noise_or_in_less_than_two_years() -> None:
    for values in (days(2.6, swing=0), days(1.8, swing=30)):
        assert fitted(values[:-AHEAD]).fitted_.effects.columns is None


def test_the_year_after_an_origin_changes_no_forecast_from_it() -> None:
    values = days(3.2, swing=30)
    other = values.copy()
    other[-60:] *= 3
    model = fitted(values[:-200])
    origin = values.index[-61]
    frames = [pd.DataFrame({"day": one.index, "y": one.to_numpy()}) for one in (values, other)]
    pd.testing.assert_frame_equal(*(model.predict(frame, origin=origin) for frame in frames))


def test_a_ramp_over_years_is_forecast_exactly() -> None:
    values = pd.Series(np.arange(900.0), pd.date_range("2023-01-01", periods=900))
    model = fitted(values[:-AHEAD])
    assert model.fitted_.effects.columns is None
    np.testing.assert_allclose(model.predict()["forecast"], values[-AHEAD:], rtol=1e-9)


def paydays(payday: float, christmas: float) -> pd.Series:
    """Days of three years, higher from the 25th to the 27th and on the 1st, and at Christmas."""
    time = pd.date_range("2021-01-01", periods=1096 + AHEAD)
    is_payday = np.isin(time.day, [25, 26, 27, 1])
    is_christmas = (time.month == 12) & np.isin(time.day, [24, 25, 26, 31])
    effect = 1 + payday * is_payday + christmas * is_christmas
    noise = np.random.default_rng(0).normal(0, 0.05, len(time))
    return pd.Series(100 * effect * np.exp(noise), time)


def test_the_day_of_the_month_is_an_effect_that_a_store_keeps(tmp_path: Path) -> None:
    values = paydays(0.4, christmas=0)
    model = fitted(values[:-AHEAD])
    ahead = model.predict()
    error = np.abs(ahead["forecast"].to_numpy() - values[-AHEAD:]).mean()
    assert error < 1.15 * 5 * 0.8  # of the noise alone; without days of the month 3.1
    assert any("day of the month" in line for line in model.describe())
    model.save(tmp_path / "store")
    pd.testing.assert_frame_equal(Forecaster.load(tmp_path / "store").predict(), ahead)


def test_christmas_makes_no_day_of_the_month() -> None:
    effects = fitted(paydays(0, christmas=-0.5)[:-AHEAD]).fitted_.effects.columns
    assert effects is None or not effects.month.any()


def weeks_before_christmas(sizes: list[float]) -> pd.Series:
    """Days of years that end on 23 December, and of one more; values grow in four weeks of each."""
    time = pd.date_range("2020-12-24", f"{2020 + len(sizes)}-12-23")
    place = (time.month * 100 + time.day >= 1126) * (time.day_of_year - 329) / 28
    size = np.array([0.0, *sizes])[time.year - 2020]
    noise = np.random.default_rng(0).normal(0, 0.04, len(time))
    return pd.Series(100 * (1 + size * place) * np.exp(noise), time)


def test_weeks_that_grow_in_each_year_are_forecast_and_a_store_keeps_them(tmp_path: Path) -> None:
    values = weeks_before_christmas([0.5, 0.6, 0.55, 0.6])
    frame = pd.DataFrame({"day": values.index, "y": values.to_numpy()})
    model = Forecaster(model="seasonal-mean", horizon=AHEAD).fit(frame[:-AHEAD])
    ahead = model.predict()
    assert abs(ahead["forecast"].sum() / values[-AHEAD:].sum() - 1) < 0.06
    assert model.fitted_.effects.columns is not None
    assert len(model.fitted_.effects.columns.year) == MOST_YEAR_WAVES
    model.save(tmp_path / "store")
    pd.testing.assert_frame_equal(Forecaster.load(tmp_path / "store").predict(), ahead)


def test_weeks_that_grow_in_one_year_alone_make_no_more_waves() -> None:
    effects = fitted(weeks_before_christmas([0, 0.6, 0, 0])[:-AHEAD]).fitted_.effects.columns
    assert effects is None or len(effects.year) == YEAR_WAVES
