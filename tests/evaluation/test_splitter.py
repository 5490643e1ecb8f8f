"""Rolling origins as a scikit-learn splitter."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import RollingOrigin
from forecast.errors import UsageError

FRAME = pd.DataFrame({"shop": list("ab") * 10, "day": np.repeat(pd.date_range("2024-01-01", periods=10), 2), "y": 1.0})


def test_all_rows_before_an_origin_train_and_the_horizon_after_it_tests() -> None:
    splitter = RollingOrigin(windows=2, horizon=3)
    folds = [(train.tolist(), test.tolist()) for train, test in splitter.split(FRAME)]
    assert folds == [(list(range(8)), list(range(8, 14))), (list(range(14)), list(range(14, 20)))]
    assert splitter.get_n_splits() == 2
    (train, test), _ = RollingOrigin(windows=2, horizon=3, step=1).split(FRAME)
    assert (len(train), test.tolist()) == (12, list(range(12, 18)))


def test_rows_may_come_in_any_order() -> None:
    shuffled = FRAME.sample(frac=1, random_state=0)
    for train, test in RollingOrigin(windows=3, horizon=2).split(shuffled):
        days = shuffled["day"]
        assert days.iloc[train].max() < days.iloc[test].min()
        assert days.iloc[test].nunique() == 2


def test_too_few_times_are_refused() -> None:
    with pytest.raises(UsageError, match="4 origins with a horizon of 3 need more than 10 different times"):
        next(RollingOrigin(windows=4, horizon=3).split(FRAME))


@pytest.mark.parametrize(("settings", "message"), [({"step": 0}, "step=0"), ({"windows": 2.5}, "windows=2.5")])
def test_counts_are_whole_numbers(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"{message}: a whole number of 1 or more"):
        RollingOrigin(**settings)
