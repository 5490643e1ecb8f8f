"""The status of series: the gravest word that applies, and a panel of which nothing is left."""

from dataclasses import replace

import pytest

from forecast.errors import BadData
from forecast.panel.schema import Schema
from forecast.reading.comparing import observed_spans, warn_status, with_status
from tests._inputs import read_days
from tests.evaluation.panels import NAN, panel_of

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
def test_the_gravest_word_is_that_of_the_series(schema: Schema, values: list[float], status: str) -> None:
    assert with_status(panel_of((0, values), horizon=2), schema, LOOKBACK).status == (status,)


def test_without_a_lookback_no_series_is_short_or_ended(schema: Schema) -> None:
    panel = panel_of((0, [1.0, 2]), (0, [1.0, 2, 3, 4, 5, NAN, NAN, NAN, NAN, NAN]), horizon=2)
    assert with_status(panel, schema).status == ("ok", "ok")


def test_spans_end_with_the_last_value() -> None:
    spans, counts = observed_spans(panel_of((0, [1.0, NAN, 3, NAN]), (0, [NAN, NAN]), horizon=2))
    assert spans.tolist() == [3, 1]
    assert counts.tolist() == [2, 0]


def test_only_what_is_new_is_said(schema: Schema, caplog: pytest.LogCaptureFixture) -> None:
    panel = replace(panel_of((0, FULL), (0, FULL), (0, FULL), horizon=2), status=("ok", "constant", "ended"))
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
