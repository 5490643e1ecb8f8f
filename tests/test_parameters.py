"""The parameters of the estimators, as scikit-learn and its tools take them."""

import pickle
from collections.abc import Sequence
from inspect import signature
from typing import Any, get_type_hints

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from forecast import Forecaster, RollingOrigin
from forecast.parameters import ForecasterParams, Names, Params, SideTable
from forecast.settings import SIDE_TABLES, TableSettings, TrainSettings
from tests._settings import ROLES, SMALL


def test_the_constructor_is_the_settings() -> None:
    declared = {**TrainSettings().model_dump(), **TableSettings().model_dump()}
    assert Forecaster().get_params(deep=False) == declared
    assert list(signature(Forecaster).parameters) == list(declared)
    kinds = get_type_hints(TrainSettings) | get_type_hints(TableSettings)
    of_arguments = get_type_hints(ForecasterParams)
    wider = {
        tuple[str, ...]: Names,
        tuple[int, ...]: int | Sequence[int],
        dict[str, Any] | None: Params | None,
    }
    for name in declared:
        kind = SideTable | None if name in SIDE_TABLES else wider.get(kinds[name], kinds[name])
        assert of_arguments[name] == kind, name


def test_predict_before_fit_is_refused() -> None:
    with pytest.raises(NotFittedError, match="call fit"):
        Forecaster().predict()


def test_clone_pickle_and_nested_params(panel_frame: pd.DataFrame) -> None:
    model = Forecaster(**SMALL, **ROLES)
    assert clone(model).get_params() == model.get_params()
    assert clone(model).set_params(params__layers=2).params == {"hidden_size": 8, "layers": 2}
    assert model.params == {"hidden_size": 8}
    fitted = model.set_params(known=()).fit(panel_frame)
    pd.testing.assert_frame_equal(pickle.loads(pickle.dumps(fitted)).predict(), fitted.predict())


def test_grid_search_over_rolling_origins_and_a_pipeline() -> None:
    frame = pd.DataFrame(
        {
            "day": pd.date_range("2024-01-01", periods=60),
            "units": np.arange(60.0) % 7 + np.sin(np.arange(60.0)),
        }
    )
    search = GridSearchCV(
        Forecaster(steps=4, horizon=5, baselines=("last",)),
        {"params__hidden_size": [4, 8], "scaling": ["standard", "last"]},
        cv=RollingOrigin(windows=2, horizon=5),
        error_score="raise",
    ).fit(frame)
    assert np.isfinite(search.best_score_)
    assert search.best_score_ < 0
    assert len(search.predict(frame)) == 5
    assert (
        len(
            Pipeline([("forecast", Forecaster(steps=2, horizon=3, guard=False))])
            .fit(frame)
            .predict(frame)
        )
        == 3
    )
