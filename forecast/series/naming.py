"""Name series in messages: the ids of one joined by /, and the first of many."""

from collections.abc import Sequence

NAMED = 5  # series that a message names


def series_name(ids: tuple[str, ...]) -> str:
    """One series: FLORAL/292, or an empty text where series have no ids."""
    return "/".join(ids) or "''" * bool(ids)


def series_names(series: Sequence[tuple[str, ...]], most: int = NAMED) -> str:
    """The first of several series: FLORAL/292, FLORAL/356, ..."""
    return ", ".join(map(series_name, series[:most])) + (", ..." if len(series) > most else "")
