"""What the year does to two or more years of days is taken off the past and put back ahead."""

import numpy as np
import pandas as pd

from forecast import Forecaster

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
    assert model.fitted_.column_effects is not None


def test_no_year_is_found_in_noise_or_in_less_than_two_years() -> None:
    for values in (days(2.6, swing=0), days(1.8, swing=30)):
        assert fitted(values[:-AHEAD]).fitted_.column_effects is None


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
    assert model.fitted_.column_effects is None
    np.testing.assert_allclose(model.predict()["forecast"], values[-AHEAD:], rtol=1e-9)
