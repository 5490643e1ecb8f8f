"""Instants as records write them."""

from datetime import UTC, datetime

import pytest

from forecast.artifacts.format import saved_at, version_id
from forecast.calendar.spec import as_text, parse_as_of


def test_texts_of_instants_sort_as_instants_do_from_the_year_1_on() -> None:
    given = ["0001-01-02T00:00:00+00:00", "0987-06-05T04:03:02+00:00", "2024-02-29T23:59:59+02:00"]
    texts = [as_text(parse_as_of(text)) for text in given]
    assert texts == ["0001-01-02T00:00:00Z", "0987-06-05T04:03:02Z", "2024-02-29T21:59:59Z"]
    assert sorted(texts) == texts
    assert [parse_as_of(text) for text in texts] == [parse_as_of(text) for text in given]


@pytest.mark.parametrize("year", [1, 987, 2024])
def test_a_version_of_any_year_has_an_id_that_is_read_back(year: int) -> None:
    created = datetime(year, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    assert saved_at(version_id(created, "0123abcd")) == created
