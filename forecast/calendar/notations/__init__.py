"""The registry: every file in this folder is a way to write times as numbers, found by listing it."""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

from numpy.typing import NDArray

from forecast.calendar.cells import TimeCells, is_whole_number
from forecast.calendar.spec import TimeFormat
from forecast.calendar.zones import Flags, Integers
from forecast.registry import modules_in


class Candidate(NamedTuple):
    """A format that the cells of a column may have."""

    format: TimeFormat
    fits: Flags  # [texts]


class Notation(NamedTuple):
    """How to recognise a notation, to read it and to write it back: seconds since 1970-01-01 by its clock, or steps."""

    kinds: tuple[str, ...]  # of `TimeFormat`
    candidates: Callable[[TimeCells, bool], Iterable[Candidate]]  # as below
    read: Callable[[list[str], TimeFormat], Integers]
    write: Callable[[Integers, TimeFormat], NDArray[Any]]
    accepts: Callable[[str], bool] = is_whole_number  # texts that `read` knows


def notation_of(time_format: TimeFormat) -> Notation | None:
    """The notation of a format; None where a pattern or a type says how to write it."""
    return next((n for n in _notations() if time_format.kind in n.kinds and not time_format.pattern), None)


def candidates(cells: TimeCells, certain: bool) -> Iterator[Candidate]:
    """The formats that a column may have; with `certain` those of which its name or its values leave no doubt."""
    return (candidate for notation in _notations() for candidate in notation.candidates(cells, certain))


def recognise(cells: TimeCells, certain: bool) -> TimeFormat | None:
    """How a column writes times as numbers, None if it writes none."""
    return next((found.format for found in candidates(cells, certain) if found.fits.all()), None)


@cache
def _notations() -> list[Notation]:
    return [module.NOTATION for module in modules_in(__name__, __path__[0])]
