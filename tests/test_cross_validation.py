"""scikit-learn's cross-validation: in the order of time, or with a warning."""

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import KFold, TimeSeriesSplit, cross_val_score

from forecast import Forecaster, RollingOrigin
from forecast.errors import BadData


def _long(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame.assign(shop=shop) for shop in ("a", "b", "c")], ignore_index=True)


@pytest.fixture
def frame() -> pd.DataFrame:
    """Sixty days."""
    noise = np.random.default_rng(0).normal(size=60)
    return pd.DataFrame(
        {"day": pd.date_range("2024-01-01", periods=60), "units": np.arange(60.0) % 7 + noise}
    )


@pytest.mark.parametrize("cv", [KFold(3, shuffle=True, random_state=0), KFold(3)])
@pytest.mark.parametrize("shape", [pd.DataFrame, _long])
def test_a_split_that_does_not_follow_time_is_an_error_that_names_the_right_one(
    frame: pd.DataFrame, cv: KFold, shape: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    last = Forecaster(model="last", horizon=5, max_missing=1)
    with pytest.raises(ValueError, match=r"needs cv=RollingOrigin\(windows=3, horizon=5\)"):
        cross_val_score(last, shape(frame), cv=cv, error_score="raise")


def test_a_series_that_begins_in_the_test_part_is_no_wrong_split(frame: pd.DataFrame) -> None:
    fitted = Forecaster(model="last", horizon=5, id="shop").fit(_long(frame.head(50)))
    later = _long(frame.tail(10))
    new = later.assign(shop=later["shop"] + " 2")
    assert fitted.score(pd.concat([later, new])) == fitted.score(later)


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
        BadData, match=r"no row lies within 5 steps after the end of the fit, .* score later rows"
    ):
        fitted.score(frame.head(50))
