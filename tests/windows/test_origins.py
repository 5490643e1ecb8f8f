"""Rolling origins: where they lie, how many fit, what is before and after each; also as a scikit-learn splitter."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import RollingOrigin
from forecast.engine.rolling import choose_origins
from forecast.errors import BadData, UsageError
from forecast.windows.origins import cut, values_at
from tests.metrics.panels import NAN, panel_of

LONG = panel_of(
    (0, [float(value) for value in range(80)]),
    (50, [float(value) for value in range(30)]),
    horizon=5,
)


def test_origins_step_back_from_a_horizon_before_the_end() -> None:
    assert choose_origins(LONG, 3, None, "t").tolist() == [[64, 64], [69, 69], [74, 74]]
    assert choose_origins(LONG, 3, 2, "t")[:, 1].tolist() == [70, 72, 74]
    assert len(choose_origins(LONG, None, None, "t")) == 8


def test_each_series_steps_back_from_its_own_end() -> None:
    panel = panel_of((0, [1.0] * 40), (0, [1.0] * 30), horizon=5)
    assert choose_origins(panel, 2, None, "t").tolist() == [[29, 19], [34, 24]]


def test_fewer_origins_are_said_with_what_would_allow_all(caplog: pytest.LogCaptureFixture) -> None:
    assert (
        len(choose_origins(LONG, None, 10, "sales.csv")) == 4
    )  # 80 steps, of which 40 are left to the first fit
    assert (
        "sales.csv: 4 origins instead of 8, as the longest series has 80 steps; for all of them"
        in caplog.text
    )
    caplog.clear()
    assert len(choose_origins(LONG, 100, None, "sales.csv")) == 14
    assert "14 origins instead of 100" in caplog.text
    caplog.clear()
    choose_origins(panel_of((0, [1.0] * 30), horizon=5), None, None, "t")
    assert "; for all of them pass step=1" in caplog.text


def test_where_no_origin_fits_the_largest_horizon_is_named() -> None:
    with pytest.raises(
        BadData,
        match=r"11 steps, .* horizon of 5 needs at least 12: 7 to fit, 5 to compare; .*horizon=4",
    ):
        choose_origins(panel_of((0, [1.0] * 11), horizon=5), None, None, "sales.csv")
    with pytest.raises(BadData, match="add rows"):
        choose_origins(panel_of((0, [1.0, 2.0]), horizon=5), None, None, "sales.csv")


def test_a_cut_knows_later_values_and_skips_series_that_had_not_begun() -> None:
    panel = panel_of((0, [1.0, 2, 3, NAN, 5, 6]), (3, [7.0, 8, 9]), horizon=2)
    found = cut(panel, np.array([[1, 1], [3, 3]]))
    assert (found.series.tolist(), found.origin.tolist()) == ([0, 0, 1], [0, 1, 1])
    np.testing.assert_array_equal(found.actual, [[3, NAN], [5, 6], [8, 9]])
    assert found.panel.lengths.tolist() == [2, 4, 1]
    assert found.panel.values[found.panel.observed].tolist() == [1, 2, 1, 2, 3, 7]  # nothing later


def test_values_beyond_the_ends_of_a_series_are_missing() -> None:
    panel = panel_of((3, [7.0, NAN, 9]), horizon=2)
    found = values_at(panel, np.array([0, 0]), np.array([2, 5]), 3)
    np.testing.assert_array_equal(found, [[NAN, 7, NAN], [9, NAN, NAN]])


FRAME = pd.DataFrame(
    {
        "shop": list("ab") * 10,
        "day": np.repeat(pd.date_range("2024-01-01", periods=10), 2),
        "y": 1.0,
    }
)


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
    with pytest.raises(
        UsageError, match="4 origins with a horizon of 3 need more than 10 different times"
    ):
        next(RollingOrigin(windows=4, horizon=3).split(FRAME))


@pytest.mark.parametrize(
    ("settings", "message"), [({"step": 0}, "step=0"), ({"windows": 2.5}, "windows=2.5")]
)
def test_counts_are_whole_numbers(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"{message}: a whole number of 1 or more"):
        RollingOrigin(**settings)
