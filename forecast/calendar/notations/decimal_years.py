"""Decimal years such as 1960.25 and 1960.083: halves, quarters or twelfths of a year."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.calendar.cells import TimeCells
from forecast.calendar.notations import Candidate, Notation
from forecast.calendar.spec import DecimalYears, TimeFormat
from forecast.calendar.zones import Integers

SHAPE = re.compile(r"[12]\d{3}(\.\d{1,17})?")
NAMES = ("year", "yr", "date", "time", "ds", "period", "index", "t", "decimal_year", "decimal_date", "decimal")
MIN_VALUES = 8  # different values from which on numbers in steps of a calendar are times, whatever their name


def is_decimal_year(text: str) -> bool:
    """Whether a text has the shape of a year with a fraction, or of a bare one."""
    return SHAPE.fullmatch(text) is not None


def _candidates(cells: TimeCells, certain: bool) -> Iterator[Candidate]:
    if (time_format := _form(cells.texts, cells.kind == "number")) is None:
        return
    months = np.sort(_read(cells.texts, time_format).astype("datetime64[s]").astype("datetime64[M]").astype(np.int64))
    without_gap = time_format.years is not None and (np.diff(months) * time_format.years.per_year == 12).all()
    if not certain or cells.name.lower() in NAMES or (without_gap and len(cells.texts) >= MIN_VALUES):
        yield Candidate(time_format, np.ones(len(cells.texts), bool))


def _form(texts: list[str], number: bool) -> TimeFormat | None:
    """How texts write decimal years, as far as their digits tell; None where they are none."""
    if not all(map(is_decimal_year, texts)):
        return None
    fractions = [text.partition(".")[2] for text in texts]
    digits = max(map(len, fractions))
    if digits < 1 or len({fraction.rstrip("0") for fraction in fractions}) < 2:
        return None
    padded = len({*map(len, fractions)}) == 1 and not number
    whole = "padded" if padded else "bare" if "" in fractions else "point"
    values = np.array([float(text) for text in texts])
    for per_year in (2, 4, 12):
        slack = per_year * 10.0**-digits + 1e-6
        for middle in (False, True) if slack < 0.25 or per_year == 2 else ():
            steps = values * per_year - 0.5 * middle
            if (np.abs(steps - np.rint(steps)) <= slack).all():
                years = {"per_year": per_year, "middle": middle, "digits": digits, "whole": whole, "number": number}
                return TimeFormat(kind="years", years=DecimalYears.model_validate(years))
    return None


def _read(texts: list[str], time_format: TimeFormat) -> Integers:
    """The first day of each period."""
    years = time_format.years
    assert years is not None
    periods = np.rint(np.array([float(text) for text in texts]) * years.per_year - 0.5 * years.middle).astype(np.int64)
    months = periods * (12 // years.per_year) - 12 * 1970
    return months.astype("datetime64[M]").astype("datetime64[s]").astype(np.int64)


def _write(wall: Integers, time_format: TimeFormat) -> NDArray[Any]:
    years = time_format.years
    assert years is not None
    year, month = np.divmod(wall.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64), 12)
    values = 1970 + year + (month // (12 // years.per_year) + 0.5 * years.middle) / years.per_year
    texts = [f"{value:.{years.digits}f}" for value in values.tolist()]
    if years.number:
        return np.array([float(text) for text in texts])
    if years.whole != "padded":
        short = [text.rstrip("0").removesuffix(".") for text in texts]
        texts = [f"{text}.0" if "." not in text and years.whole == "point" else text for text in short]
    return np.array(texts, object)


NOTATION = Notation(("years",), _candidates, _read, _write, is_decimal_year)
