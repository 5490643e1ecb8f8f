"""Names of series in messages."""

from forecast.panel.naming import series_name, series_names


def test_parts_of_an_id_are_joined_and_a_long_one_is_cut() -> None:
    assert series_name(("FLORAL", "292")) == "FLORAL/292"
    assert series_name(("x" * 3_000_000,)) == "x" * 200 + "..."
    assert series_names([("a",), ("b",), ("c",)], 2) == "a, b, ..."
