"""Covariates by known answers: standardised by the past alone, blanks at the mean, unknown categories at 0."""

from dataclasses import replace

import numpy as np
import pytest

from forecast.panel.panel import Panel
from forecast.panel.schema import Schema, calendar_of
from forecast.windows.inputs import Statistics, category_sizes, fit_statistics, make_columns, numeric_count
from tests._inputs import read_days

NAN = float("nan")


@pytest.fixture
def table() -> tuple[Panel, Schema]:
    """Six days and two to come, with a number and a category known in advance."""
    reading = read_days([1.0, 2, 3, 2, 1, 2])
    known = np.array([[1.0, 1], [3, 2], [1, 1], [3, 2], [50, 1], [NAN, 2], [1, 0], [3, NAN]])
    schema = reading.schema.model_copy(update={"known": ("price", "kind"), "categories": {"kind": ("a", "b")}})
    return replace(reading.panel, known=known), schema


def test_statistics_are_of_the_slots_before_the_limit_and_codes_have_none(table: tuple[Panel, Schema]) -> None:
    panel, schema = table
    assert fit_statistics(panel, schema, np.array([4])).known == ((2.0, 1.0), (0.0, 1.0))
    changed = replace(panel, known=np.where(np.arange(8)[:, None] >= 4, 1e6, panel.known))
    assert fit_statistics(changed, schema, np.array([4])) == fit_statistics(panel, schema, np.array([4]))


@pytest.mark.parametrize(("column", "statistics"), [([5.0] * 8, (5.0, 1.0)), ([NAN] * 8, (0.0, 1.0))])
def test_a_constant_or_blank_column_is_divided_by_one(
    table: tuple[Panel, Schema], column: list[float], statistics: tuple[float, float]
) -> None:
    panel, schema = table
    known = np.stack([np.array(column), panel.known[:, 1]], -1)
    assert fit_statistics(replace(panel, known=known), schema, np.array([6])).known[0] == statistics


def test_blanks_are_the_mean_and_unknown_categories_zero(table: tuple[Panel, Schema]) -> None:
    panel, schema = table
    statistics = Statistics(known=((2.0, 1.0), (0.0, 1.0)))
    columns = make_columns(panel, schema, statistics, calendar_of(schema))
    assert columns.known[:, 0].tolist() == [-1, 1, -1, 1, 10, 0, -1, 1]  # a number far outside is cut
    assert columns.known_codes[:, 0].tolist() == [1, 2, 1, 2, 1, 2, 0, 0]
    assert columns.past.shape == (8, 0)
    assert columns.first == panel.starts[0]


def test_columns_are_counted_by_their_kind(table: tuple[Panel, Schema]) -> None:
    _, schema = table
    assert numeric_count(schema.known, schema) == 1
    assert category_sizes(schema.known, schema) == (3,)
    assert (numeric_count((), schema), category_sizes((), schema)) == (0, ())
