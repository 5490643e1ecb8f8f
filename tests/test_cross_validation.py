"""scikit-learn's cross-validation: in the order of time, or refused in a sentence."""

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    ShuffleSplit,
    TimeSeriesSplit,
    cross_val_score,
    cross_validate,
)

from forecast import Forecaster, RollingOrigin
from forecast.errors import BadData, WrongSplit

SENTENCE = (
    r"^\d+ of the rows to score do not come after those of the fit: "
    r".* pass cv=RollingOrigin\(windows=3, horizon=5\)"
)


@pytest.fixture
def frame() -> pd.DataFrame:
    """Sixty days."""
    noise = np.random.default_rng(0).normal(size=60)
    return pd.DataFrame(
        {"day": pd.date_range("2024-01-01", periods=60), "units": np.arange(60.0) % 7 + noise}
    )


def _long(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame.assign(shop=shop) for shop in ("a", "b", "c")], ignore_index=True)


@pytest.mark.parametrize(
    "cv", [3, KFold(3, shuffle=True, random_state=0), ShuffleSplit(2, random_state=0)], ids=str
)
def test_a_search_over_folds_of_rows_ends_with_one_sentence(frame: pd.DataFrame, cv: Any) -> None:
    search = GridSearchCV(Forecaster(model="last", horizon=5), {"season": [(), (7,)]}, cv=cv)
    for table in (frame, _long(frame)):
        with pytest.raises(WrongSplit, match=SENTENCE):
            search.fit(table)
    assert not hasattr(search, "best_score_")


def test_scores_over_folds_of_rows_end_with_the_same_sentence(frame: pd.DataFrame) -> None:
    for measure in (cross_val_score, cross_validate):
        with pytest.raises(WrongSplit, match=SENTENCE):
            measure(Forecaster(model="last", horizon=5), frame, cv=KFold(3))


@pytest.mark.slow
def test_processes_side_by_side_end_with_it_too(frame: pd.DataFrame) -> None:
    with pytest.raises(WrongSplit, match=SENTENCE):
        cross_val_score(Forecaster(model="last", horizon=5), frame, cv=3, n_jobs=2)


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
