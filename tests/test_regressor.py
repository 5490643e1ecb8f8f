"""The window-level estimator against scikit-learn's own checks."""

import pickle
from functools import partial

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from forecast import RecurrentRegressor
from tests._inputs import toy_windows

IGNORED = (
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore::sklearn.exceptions.SkipTestWarning",
)


@pytest.mark.filterwarnings(*IGNORED)
@parametrize_with_checks([RecurrentRegressor(steps=5, params={"hidden_size": 8})])
def test_scikit_learn_accepts_it(estimator: RecurrentRegressor, check: partial[None]) -> None:
    # this check asks for an accuracy, for which the small one has too few steps
    learns = check.func.__name__ == "check_regressors_train"
    check(RecurrentRegressor(steps=100, learning_rate=0.01) if learns else estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings(*IGNORED)
def test_scikit_learn_accepts_the_default() -> None:
    check_estimator(RecurrentRegressor())


def test_several_targets_and_features_keep_their_shape() -> None:
    X, y = toy_windows(40)
    both = np.stack([y, -2 * y + 1], 1)
    model = RecurrentRegressor(model="gru", steps=150).fit(X, both)
    assert model.predict(X).shape == (40, 2)
    assert np.corrcoef(model.predict(X)[:, 1], both[:, 1])[0, 1] > 0.9
    with pytest.raises(ValueError, match="5"):
        model.predict(X[..., :3])


def test_clone_pickle_and_grid() -> None:
    X, y = toy_windows(40)
    search = GridSearchCV(
        RecurrentRegressor(steps=5), {"params__hidden_size": [4, 8]}, cv=2, error_score="raise"
    ).fit(X, y)
    model = search.best_estimator_
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))
    np.testing.assert_array_equal(clone(model).fit(X, y).predict(X), model.predict(X))


def test_units_of_targets_and_inputs_do_not_matter() -> None:
    X, y = toy_windows(60)
    plain = RecurrentRegressor(steps=40).fit(X, y).predict(X)
    moved = RecurrentRegressor(steps=40).fit(1000 * X + 7, 1e6 * y - 3).predict(1000 * X + 7)
    np.testing.assert_allclose((moved + 3) / 1e6, plain, atol=1e-3)
