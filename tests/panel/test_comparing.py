"""A table beside the fit: ids new or gone, levels moved, values seen; the status of series; two schemas in words."""

from dataclasses import replace

import numpy as np
import pytest

from forecast.errors import BadData
from forecast.panel.comparing import (
    Comparison,
    actuals_after,
    check_levels,
    mean_level,
    observed_spans,
    set_status,
    warn_status,
)
from forecast.panel.schema import Schema
from tests._inputs import read_days
from tests.metrics.panels import NAN, panel_of

FITTED = (("a",), ("b",))


def test_new_series_get_a_status_and_lost_ones_are_named(caplog: pytest.LogCaptureFixture) -> None:
    panel = panel_of((0, [1.0]), (0, [1.0]), (0, [1.0]), horizon=1)
    comparison = Comparison((("a",), ("c",), ("z",)), "t.csv", end=0)
    assert comparison.add(panel).status == ("ok", "new", "ok")
    comparison.warn_of_missing_ids()
    assert "1 series were not seen at fit (b)" in caplog.text
    assert "1 series of the fit are not here (z)" in caplog.text


def test_series_that_begin_after_the_fit_are_new_without_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    panel = panel_of((0, [1.0, 2, 3]), (0, [1.0, 2, 3]), (2, [3.0]), horizon=1)
    comparison = Comparison((("a",),), "t.csv", end=1)
    assert comparison.add(panel).status == ("ok", "new", "new")
    assert "1 series were not seen at fit (b)" in caplog.text


def test_parts_are_compared_together() -> None:
    first, second = Comparison(FITTED, "t.csv", 0), Comparison(FITTED, "t.csv", 0)
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


@pytest.mark.parametrize(
    ("value", "moved"), [(9.0, False), (11.0, True), (0.05, True), (0.2, False), (0.0, False)]
)
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
    actual, unseen = actuals_after(fitted, later, 2)
    assert actual.tolist()[0][0] == 30
    assert np.isnan(actual[0, 1])
    assert actual.tolist()[1] == [40, 50]
    assert unseen == 0  # the past is that of the fit
    others = panel_of((0, [1.0, NAN, 30]), (1, [2.0, NAN, 40, 50]), (0, [9.0]), horizon=2)
    assert actuals_after(fitted, others, 2)[1] == 3  # one of a series that the fit lacks
    zero, _ = actuals_after(fitted, later, 2, zero=True)
    assert zero.tolist() == [[30, 0], [40, 50]]


LOOKBACK = 4
FULL = [1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10]


@pytest.fixture(scope="module")
def schema() -> Schema:
    return read_days(FULL).schema.model_copy(update={"max_missing": 0.5})


@pytest.mark.parametrize(
    ("values", "status"),
    [
        (FULL, "ok"),
        ([7.0] * 10, "constant"),
        ([7.0], "short"),  # a single value says nothing about a constant
        ([1.0, 2, 3], "short"),
        ([1.0, 2, 3, 4, 5, NAN, NAN, NAN, NAN, NAN], "ended"),
        ([7.0] * 5 + [NAN] * 5, "ended"),
        ([1.0, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, 10], "missing"),
        ([NAN] * 10, "missing"),
    ],
)
def test_the_gravest_word_is_that_of_the_series(
    schema: Schema, values: list[float], status: str
) -> None:
    assert set_status(panel_of((0, values), horizon=2), schema, LOOKBACK).status == (status,)


def test_without_a_lookback_no_series_is_short_or_ended(schema: Schema) -> None:
    panel = panel_of((0, [1.0, 2]), (0, [1.0, 2, 3, 4, 5, NAN, NAN, NAN, NAN, NAN]), horizon=2)
    assert set_status(panel, schema).status == ("ok", "ok")


def test_spans_end_with_the_last_value() -> None:
    spans, counts = observed_spans(panel_of((0, [1.0, NAN, 3, NAN]), (0, [NAN, NAN]), horizon=2))
    assert spans.tolist() == [3, 1]
    assert counts.tolist() == [2, 0]


def test_only_what_is_new_is_said(schema: Schema, caplog: pytest.LogCaptureFixture) -> None:
    panel = replace(
        panel_of((0, FULL), (0, FULL), (0, FULL), horizon=2), status=("ok", "constant", "ended")
    )
    warn_status(panel, schema, "t.csv")
    assert "1 series never change" in caplog.text
    assert "1 series ended" in caplog.text
    caplog.clear()
    warn_status(panel, schema, "t.csv", before=("ok", "constant", "ended"))
    assert not caplog.text


def test_a_panel_of_which_nothing_is_left_is_refused_unless_it_is_a_part(schema: Schema) -> None:
    panel = replace(panel_of((0, FULL), (0, FULL), horizon=2), status=("missing", "ended"))
    with pytest.raises(BadData, match="no series is left to forecast"):
        warn_status(panel, schema, "t.csv")
    warn_status(panel, schema, "t.csv", whole=False)
