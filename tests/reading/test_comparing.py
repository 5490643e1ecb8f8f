"""A table beside the fit: ids that are new or gone, levels that moved, values that the fit has seen."""

import numpy as np
import pytest

from forecast.errors import BadData
from forecast.reading.comparing import Comparison, actuals_after, check_levels, mean_level
from tests.evaluation.panels import NAN, panel_of

FITTED = (("a",), ("b",))


def test_new_series_get_a_status_and_lost_ones_are_named(caplog: pytest.LogCaptureFixture) -> None:
    panel = panel_of((0, [1.0]), (0, [1.0]), (0, [1.0]), horizon=1)
    comparison = Comparison((("a",), ("c",), ("z",)), "t.csv")
    assert comparison.add(panel).status == ("ok", "new", "ok")
    comparison.warn_missing()
    assert "1 series were not seen at fit (b)" in caplog.text
    assert "1 series of the fit are not here (z)" in caplog.text


def test_parts_are_compared_together() -> None:
    first, second = Comparison(FITTED, "t.csv"), Comparison(FITTED, "t.csv")
    first.add(panel_of((0, [1.0]), horizon=1))
    assert first.missing == [("b",)]
    second.add(panel_of((0, [1.0]), (0, [1.0]), (0, [1.0]), horizon=1))
    first.join(second)
    assert first.missing == []
    assert first.new == [("c",)]


def test_the_level_is_of_the_newest_values_that_were_observed() -> None:
    panel = panel_of((0, [100.0, -2, NAN, 4]), (0, [NAN, NAN]), horizon=1)
    assert mean_level(panel, 3).tolist() == [3.0, 0.0]
    assert mean_level(panel, 9)[0] == pytest.approx(106 / 3)


@pytest.mark.parametrize(("value", "moved"), [(9.0, False), (11.0, True), (0.05, True), (0.2, False), (0.0, False)])
def test_a_level_that_moves_more_than_tenfold_is_said_or_refused(
    value: float, moved: bool, caplog: pytest.LogCaptureFixture
) -> None:
    panel, level = panel_of((0, [value] * 3), horizon=1), np.array([1.0, 1.0])
    check_levels(panel, FITTED, level, 3, "t.csv", strict=False)
    assert ("moved more than tenfold" in caplog.text) == moved
    if moved:
        with pytest.raises(BadData, match="was the unit changed"):
            check_levels(panel, FITTED, level, 3, "t.csv", strict=True)


def test_actuals_lie_after_the_end_of_each_series_of_the_fit() -> None:
    fitted = panel_of((0, [1.0, 2]), (0, [1.0, 2, 3]), horizon=2)
    later = panel_of((0, [1.0, 2, 30, NAN]), (2, [3.0, 40, 50, 60]), (0, [9.0]), horizon=2)
    actual, unused = actuals_after(fitted, later, 2)
    assert actual.tolist()[0][0] == 30
    assert np.isnan(actual[0, 1])
    assert actual.tolist()[1] == [40, 50]
    assert unused == 4  # three of the fit's own past, one of a series that it lacks
    zero, _ = actuals_after(fitted, later, 2, zero=True)
    assert zero.tolist() == [[30, 0], [40, 50]]
