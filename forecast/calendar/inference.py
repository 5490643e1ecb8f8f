"""Find the one pattern that all texts of a time column fit, and say which text does not."""

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from forecast.calendar import patterns
from forecast.calendar.spec import TimeSettings
from forecast.calendar.zones import Flags, Integers
from forecast.errors import BadData, Setting, UsageError, Words
from forecast.tables.table import Table

CLOCK_ONLY = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?")

ROUNDED = re.compile(r"[+-]?\d(\.\d+)?[eE]\+?\d+")
LETTERED = re.compile(r"(.*\d) ?([A-Z]{2,5})")
WHOLE_NUMBER = re.compile(r"\d")


@dataclass(frozen=True)
class Texts:
    """The different values of a time column as text, which of them each row has, and its series where that is known."""

    table: Table
    column: str
    codes: NDArray[np.intp]
    unique: list[str]
    series: Integers | None = None
    columns: tuple[str, ...] = ()  # where times stand in several

    def place(self, value: int) -> str:
        """Say where the first row with this value stands."""
        return self.table.place(int(np.argmax(self.codes == value)), self.columns or self.column)

    def first_place(self, wrong: Flags) -> tuple[str, str]:
        """Return the place of the first row whose value is `wrong` [values], and that value."""
        row = int(np.argmax(wrong[self.codes]))
        return self.table.place(row, self.columns or self.column), self.unique[self.codes[row]]


def choose_pattern(texts: Texts, settings: TimeSettings) -> patterns.Fields:
    """Read the texts by the one pattern that fits all of them.

    Raises
    ------
    BadData
        If no pattern fits them all, or two do and mean different days.
    UsageError
        If `date_format` is no format of a date.
    """
    array = pa.array(texts.unique, pa.string())
    if settings.date_format is not None:
        if not patterns.has_date(settings.date_format):
            setting = Setting("date_format", settings.date_format)
            raise UsageError("a year is missing, or the month of a day", setting=setting)
        fields = patterns.read(array, settings.date_format)
        if not fields.matched.all():
            place, text = texts.first_place(~fields.matched)
            raise BadData(Words(f"'{text}' does not fit ", Setting("date_format", settings.date_format)), place=place)
        return fields
    if settings.fitted is not None and settings.fitted.pattern and settings.fitted.kind == "text":
        fields = patterns.read(array, settings.fitted.pattern)
        if fields.real.all():
            return fields
    first = texts.unique[0]
    if CLOCK_ONLY.fullmatch(first):
        raise BadData(f"{texts.place(0)}: '{first}' is a time of day without a date; add the date to the column")
    guesses = patterns.guesses(first)
    if not guesses:
        raise BadData(Words(f"'{first}' ", _unknown(first)), place=texts.place(0))
    matched = {guess: patterns.matches(array, guess) for guess in guesses}
    whole = {guess for guess, fits in matched.items() if fits.all()}
    # a pattern with a fraction fits times without any too
    fitting = [
        patterns.read(array, g) for g in matched if g in whole and not ("%f" in g and g.replace(".%f", "") in whole)
    ]
    if not fitting:
        closest = max(matched.values(), key=lambda fits: int(fits.sum()))
        place, text = texts.first_place(~closest)
        raise BadData(_mismatch(text, first), place=place)
    if len(fitting) > 1 and re.match(r"\d{1,2}[-/.]\d{1,2}[-/.]", first):
        return _day_or_month_first(texts, fitting)
    chosen = max(fitting, key=lambda fields: int(fields.real.sum()))
    _refuse_uncertain_years(texts, chosen)
    return chosen


def _unknown(text: str) -> str | Words:
    """Say what may be wrong with a text that has the shape of no time."""
    if ROUNDED.fullmatch(text):
        return "is a number that a spreadsheet has rounded; export the column in full"
    if (lettered := LETTERED.fullmatch(text)) and patterns.guesses(lettered[1]):
        mend = f"write an offset such as +01:00, or leave {lettered[2]} out and pass "
        return Words("names its zone by letters; ", mend, Setting("timezone"))
    return Words("is not a time that can be recognised; pass ", Setting("date_format"), ", or ", Setting("time"))


def _refuse_uncertain_years(texts: Texts, chosen: patterns.Fields) -> None:
    """Refuse Jan-21 as a month of 2021 where it may as well be a day: where the months do not follow each other."""
    codes = {code for _, code, _ in patterns.tokens(chosen.pattern)}
    if "y" not in codes or "d" in codes or not chosen.real.all():
        return
    months = chosen.wall.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
    steps = np.abs(np.diff(months))
    years = {int(month) // 12 % 100 + 70 for month in months}
    no_day = any(year % 100 == 0 or year % 100 > 31 for year in years)
    several = len({int(month) % 12 for month in months}) > 1
    regular = len(steps) > 0 and np.bincount(steps).argmax() == np.gcd.reduce(steps)
    if not (no_day or (several and regular)):
        raise BadData(
            f"'{texts.unique[0]}' can be a month and a year, or a day of a month",
            place=texts.place(0),
            cure=Words("pass ", _as_setting(chosen.pattern), ", or write the year in full"),
        )


def _mismatch(text: str, first: str) -> str | Words:
    """Say how a text differs from the first one of its column."""
    here, there = patterns.guesses(text), patterns.guesses(first)
    if here and patterns.has_zone(here[0]) != patterns.has_zone(there[0]):
        return f"'{text}' and '{first}' mix times with and without a zone; write all of them the same way"
    if CLOCK_ONLY.fullmatch(text):
        return f"'{text}' is a time of day without a date; add the date"
    if not here and not WHOLE_NUMBER.search(text):
        return f"'{text}' is not a time, as '{first}' is; correct it, or remove the line if it is a total or a note"
    mend = "write all times the same way, or pass "
    return Words(f"'{text}' is not written as '{first}' is; ", mend, Setting("date_format"))


def no_such_time(place: str, text: str) -> BadData:
    """The error that a text such as 2024-02-30 gets."""
    cure = Words("correct it, or pass ", Setting("date_format"))
    return BadData(f"'{text}' does not exist as a date and time", place=place, cure=cure)


def _as_setting(pattern: str) -> Setting:
    return Setting("date_format", pattern.replace("%-", "%"))


def _day_or_month_first(texts: Texts, fitting: list[patterns.Fields]) -> patterns.Fields:
    """Let a value above 12 decide which number is the day."""
    real = [fields for fields in fitting if fields.real.all()]
    if len(real) == 1:
        return real[0]
    if not real:
        neither = ~np.logical_or.reduce([fields.real for fields in fitting])
        if neither.any():
            place, text = texts.first_place(neither)
            raise no_such_time(place, text)
        place, text = texts.first_place(~fitting[0].real)
        raise BadData(f"{place}: '{text}' has the month first, other rows have the day first; write all the same way")
    years_last = all(re.search("%[yY]$", fields.pattern) for fields in real)
    ways = "day-month or month-day" if years_last else "day, month and year in several orders"
    options = [part for fields in real for part in (_as_setting(fields.pattern), " or ")][:-1]
    raise BadData(
        f"'{texts.unique[0]}' can be {ways}, and no row decides", place=texts.place(0), cure=Words("pass ", *options)
    )
