"""Decimal years of quarterly and monthly data, such as 1960.25 and 1960.083: recognise, read and write them."""

import re

import numpy as np
from numpy.typing import NDArray

from forecast.calendar.spec import DecimalYears
from forecast.calendar.zones import Integers

DECIMAL_YEAR = re.compile(r"[12]\d{3}(\.\d{1,17})?")
YEAR_NAMES = ("year", "yr", "date", "time", "ds", "period", "index", "t", "decimal_year", "decimal_date", "decimal")
LEAST = 8  # different values from which on numbers that rise by the step of a calendar are times, whatever their name


def decimal_years(unique: list[str], number: bool) -> DecimalYears | None:
    """How texts are written as decimal years; None where they are none.

    Their fractions are those of halves, quarters or twelfths of a year, as far as their digits tell; periods are named
    by their start or by their middle.
    """
    if not all(DECIMAL_YEAR.fullmatch(text) for text in unique):
        return None
    lengths = {len(text.partition(".")[2]) for text in unique}
    digits = max(lengths)
    if digits < 1 or len({text.partition(".")[2].rstrip("0") for text in unique}) < 2:
        return None
    values = np.array([float(text) for text in unique])
    for per_year in (2, 4, 12):
        slack = per_year * 10.0**-digits + 1e-6
        if slack >= 0.25 and per_year > 2:
            continue
        for middle in (False, True):
            steps = values * per_year - 0.5 * middle
            if (np.abs(steps - np.rint(steps)) <= slack).all():
                bare = [text for text in unique if "." not in text]
                whole = "padded" if len(lengths) == 1 and not number else "bare" if bare else "point"
                return DecimalYears.model_validate(
                    {"per_year": per_year, "middle": middle, "digits": digits, "whole": whole, "number": number}
                )
    return None


def regular(unique: list[str], found: DecimalYears) -> bool:
    """Whether texts that can be decimal years are surely some: one after the other, without a gap."""
    return len(unique) >= LEAST and bool((np.diff(np.sort(_periods(unique, found))) == 1).all())


def read_years(texts: list[str], found: DecimalYears) -> Integers:
    """Seconds since 1970-01-01 of the first day of each period."""
    months = _periods(texts, found) * (12 // found.per_year) - 12 * 1970
    return months.astype("datetime64[M]").astype("datetime64[s]").astype(np.int64)


def write_years(instants: Integers, found: DecimalYears) -> "list[str] | NDArray[np.float64]":
    """Instants as decimal years: text as it was written, or numbers where the column held numbers."""
    months = instants.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
    years, month = np.divmod(months, 12)
    values = 1970 + years + (month // (12 // found.per_year) + 0.5 * found.middle) / found.per_year
    texts = [f"{value:.{found.digits}f}" for value in values.tolist()]
    if found.number:
        return np.array([float(text) for text in texts])
    if found.whole == "padded":
        return texts
    short = [text.rstrip("0").removesuffix(".") for text in texts]
    return [f"{text}.0" if "." not in text and found.whole == "point" else text for text in short]


def _periods(texts: list[str], found: DecimalYears) -> Integers:
    """Quarters, or such, since the year 0."""
    values = np.array([float(text) for text in texts])
    return np.rint(values * found.per_year - 0.5 * found.middle).astype(np.int64)
