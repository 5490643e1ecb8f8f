"""scikit-learn's cross-validation: in the order of time, or with a warning."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold, TimeSeriesSplit, cross_val_score

from forecast import Forecaster, RollingOrigin
from forecast.errors import BadData


@pytest.fixture
def frame() -> pd.DataFrame:
    """Sixty days."""
    noise = np.random.default_rng(0).normal(size=60)
    return pd.DataFrame(
        {"day": pd.date_range("2024-01-01", periods=60), "units": np.arange(60.0) % 7 + noise}
    )


def _long(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame.assign(shop=shop) for shop in ("a", "b", "c")], ignore_index=True)


@pytest.mark.filterwarnings("ignore:Scoring failed")  # of a fold without later rows
def test_rows_before_the_end_of_a_fit_are_not_scored_and_that_is_said(
    frame: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    shuffled = KFold(3, shuffle=True, random_state=0)
    cross_val_score(Forecaster(model="last", horizon=5), frame, cv=shuffled)
    assert "do not come after those of the fit" in caplog.text
    assert "cv=RollingOrigin(windows=3, horizon=5)" in caplog.text


def test_splits_in_the_order_of_time_give_scores(frame: pd.DataFrame) -> None:
    last = Forecaster(model="last", horizon=5)
    for cv, table in (
        (RollingOrigin(windows=3, horizon=5), frame),
        (RollingOrigin(windows=3, horizon=5), _long(frame)),
        (TimeSeriesSplit(3), frame),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert np.isfinite(cross_val_score(last, table, cv=cv)).all()


def test_outside_a_cross_validation_the_past_may_be_in_the_table(frame: pd.DataFrame) -> None:
    fitted = Forecaster(model="last", horizon=5).fit(frame.head(50))
    assert fitted.score(frame) == fitted.score(frame.tail(10)) < 0
    with pytest.raises(
        BadData, match=r"no row lies within 5 steps after the end of the fit, .* that come later"
    ):
        fitted.score(frame.head(50))
