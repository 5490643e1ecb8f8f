"""Infer how times are written: by one pattern, or in several columns that each hold a part."""

import re
from typing import NamedTuple

import numpy as np
import pandas as pd

from forecast.calendar import patterns
from forecast.calendar.patterns import ParsedTexts, find_codes
from forecast.calendar.spec import TimeFormat, TimeSettings
from forecast.calendar.time_cells import (
    WHOLE_TIME,
    TimeCells,
    filled_cells,
    recognise,
    time_cells,
)
from forecast.calendar.zones import DAY, count_months
from forecast.errors import BadData, Setting, UsageError
from forecast.tables.table import SAMPLE_CELLS, Flags, Names, Table, encode, repeats

TIME_NAMES = (
    "date", "datetime", "time", "timestamp", "ds", "date_time", "day", "month", "week", "quarter",
    "year", "period", "hour", "ts", "step", "t", "index",
)  # fmt: skip
CLOCK_ONLY = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?")
CLOCK_PATTERNS = tuple(
    clock + zone
    for clock in (*patterns.CLOCK_FORMATS[:-1], "%H%M", "%H.%M.%S")
    for zone in patterns.ZONES
)
CLOCK_CODES = set("HIKMS")


def looks_like_times(table: Table, column: str, named: bool = False) -> bool:
    """Whether all cells of a column are times.

    Numbers are taken for times only if that is certain, or if the column is `named` as the time.
    """
    kind = table.kind(column)
    if kind in ("boolean", "other"):
        return False
    if kind in ("datetime", "date", "period"):
        return True
    first = table.first(column)
    if not (WHOLE_TIME.fullmatch(first) or patterns.guesses(first)):
        return False  # most columns of a wide table end here
    return all(_are_times(time_cells(table, column, rows), named) for rows in (SAMPLE_CELLS, None))


def _are_times(cells: TimeCells, named: bool) -> bool:
    texts = cells.texts
    if "" in texts:
        return False
    time_format = recognise(cells, certain=not named)
    if time_format:
        return not (named and time_format.kind == "integer")
    if all(re.fullmatch(r"\d+\.\d+", text) for text in texts):  # 1707.4 is no April
        return all(re.fullmatch(r"[12]\d{3}\.(0[1-9]|1[0-2])", text) for text in texts)
    if WHOLE_TIME.fullmatch(texts[0]):
        return False
    guesses = patterns.guesses(texts[0])
    return any(patterns.matches(cells.array, guess).all() for guess in guesses)


def resembles_times(table: Table, column: str) -> bool:
    """Whether the first value looks like a time, or the column has the name of a time column.

    Parsing such a column raises an error that says what is wrong with it.
    """
    first = table.first(column)
    if CLOCK_ONLY.fullmatch(first) or column.lower() in TIME_NAMES:
        return True
    return bool(patterns.guesses(first)) and not WHOLE_TIME.fullmatch(first)


def infer_pattern(cells: TimeCells, settings: TimeSettings) -> ParsedTexts:
    """Parse the texts of a column by the one pattern that fits all of them."""
    if settings.date_format is not None:
        setting = Setting("date_format", settings.date_format)
        _require_parts(settings.date_format, setting)
        parsed = patterns.parse(cells.array, settings.date_format, settings.pivot)
        if not parsed.matched.all():
            raise cells.fault(f"does not fit {setting}", wrong=~parsed.matched)
        return parsed
    pattern = settings.pattern
    if settings.fitted is not None and settings.fitted.kind == "text":
        pattern = settings.fitted.pattern
    if pattern:
        parsed = patterns.parse(cells.array, pattern, settings.pivot)
        if parsed.exists.all():
            return parsed
    guesses = patterns.guesses(cells.texts[0])
    matched = {guess: patterns.matches(cells.array, guess) for guess in guesses}
    complete = [guess for guess, flags in matched.items() if flags.all()]
    if not complete:
        raise _mismatch(cells, matched)
    # a pattern with a fraction fits times without any too
    needed = [g for g in complete if "%f" not in g or g.replace(".%f", "") not in complete]
    fitting = [patterns.parse(cells.array, guess, settings.pivot) for guess in needed]
    numbers_first = re.match(r"\d{1,2}[-/.]\d{1,2}[-/.]", cells.texts[0])
    if numbers_first and len(fitting) > 1:
        return _day_or_month_first(cells, fitting)
    chosen = max(fitting, key=lambda parsed: parsed.exists.sum())
    _refuse_uncertain_years(cells, chosen)
    return chosen


def _require_parts(pattern: str, setting: Setting, cure: str = "") -> None:
    """Refuse a pattern that lacks a part of a time beside the others."""
    codes = find_codes(pattern)
    lacks = {
        "year": not codes & set("YyG"),
        "day": codes & CLOCK_CODES and not codes & set("djV"),
        "month": "d" in codes and not codes & set("mbB"),
        "hour": codes & set("MS") and not patterns.has_clock(pattern),
    }
    for part in filter(lacks.get, lacks):
        raise UsageError(f"the {part} is missing", setting=setting, cure=cure)


def _mismatch(cells: TimeCells, matched: dict[str, Flags]) -> BadData:
    """Return the error that the first text does not look like a time, or that a text differs."""
    none = np.zeros(len(cells.texts), bool)
    wrong = ~max(matched.values(), key=np.sum, default=none)
    date_format = Setting("date_format")
    first = cells.texts[cells.codes[np.argmax(wrong[cells.codes])]]
    if CLOCK_ONLY.fullmatch(first):
        return cells.fault("is a time of day without a date", "add the date", wrong=wrong)
    if not matched:
        cure = (
            "write it as 2024-01-31 or 2024-01-31 13:00:00+01:00, or pass ",
            date_format,
            " or ",
            Setting("time"),
        )
        return cells.fault("is not a time that can be recognised", *cure, wrong=wrong)
    return cells.fault(
        f"is not written as '{cells.texts[0]}' is",
        "write all times the same way, all with a zone or none, or pass ",
        date_format,
        wrong=wrong,
    )


def _refuse_uncertain_years(cells: TimeCells, chosen: ParsedTexts) -> None:
    """Refuse Jan-21 as a month of 2021 where it may be a day: where months are out of order."""
    codes = find_codes(chosen.pattern)
    if "y" not in codes or "d" in codes:
        return
    months = count_months(chosen.wall // DAY)
    steps = np.abs(np.diff(months))
    several_months = (steps % 12).any()
    regular = several_months and np.bincount(steps).argmax() == np.gcd.reduce(steps)
    if not regular and chosen.exists.all():
        cure = ("pass ", _as_setting(chosen.pattern), ", or write the year in full")
        raise cells.fault("can be a month and a year, or a day of a month", *cure)


def no_such_time(cells: TimeCells, wrong: Flags) -> BadData:
    """Return the error for a text such as 2024-02-30, which is not a date."""
    cure = ("correct it, or pass ", Setting("date_format"))
    return cells.fault("does not exist as a date and time", *cure, wrong=wrong)


def _as_setting(pattern: str) -> Setting:
    return Setting("date_format", pattern.replace("%-", "%"))


def _day_or_month_first(cells: TimeCells, fitting: list[ParsedTexts]) -> ParsedTexts:
    """Let a value above 12 decide which number is the day."""
    real = [parsed for parsed in fitting if parsed.exists.all()]
    if len(real) == 1:
        return real[0]
    if not real:
        impossible = ~np.logical_or.reduce([parsed.exists for parsed in fitting])
        if impossible.any():
            raise no_such_time(cells, impossible)
        raise cells.fault(
            "has the month first, other rows have the day first",
            "write all the same way",
            wrong=~fitting[0].exists,
        )
    years_last = all(re.search("%[yY]$", parsed.pattern) for parsed in real)
    ways = "day-month or month-day" if years_last else "day, month and year in several orders"
    options = [word for parsed in real for word in (" or ", _as_setting(parsed.pattern))]
    raise cells.fault(f"can be {ways}, and no row decides", "pass ", *options[1:])


class TimePart(NamedTuple):
    """A part of a time: the names of its column, and the patterns in which it may be written."""

    names: str  # with blanks between them
    forms: Names


TIME_PARTS = {  # from coarse to fine
    "year": TimePart("year yr yyyy yy y", ("%Y", "%y")),
    "quarter": TimePart("quarter qtr qu q period", ("%q", "Q%q", "q%q", "Q0%q")),
    "month": TimePart("month mnth mon mo mm m period", ("%-m", "%b", "%B", "M%-m")),
    "week": TimePart("week wk isoweek iso_week week_of_year weekofyear w", ("%-V", "W%-V")),
    "yearday": TimePart("yday doy day_of_year dayofyear", ("%-j",)),
    "day": TimePart("day dd mday dom day_of_month dayofmonth d", ("%-d",)),
    "hour": TimePart("hour hr hh h hour_of_day", ("%-H", "%-K")),
    "minute": TimePart("minute min", ("%-M",)),
    "second": TimePart("second sec", ("%-S",)),
    "clock": TimePart("time clock hhmm time_of_day timeofday hour hr", CLOCK_PATTERNS),
}
ISO_DATES = {  # by the finest part of a date
    "q": "%YQ%q", "V": "%G-W%V", "j": "%Y-%j", "d": "%Y-%m-%d",
    "m": "%Y-%m", "b": "%Y-%m", "B": "%Y-%m",
}  # fmt: skip


def read_split_times(
    table: Table, columns: Names, settings: TimeSettings
) -> tuple[TimeCells, ParsedTexts, TimeFormat]:
    """Read times whose parts are in several columns; return them joined, and their format."""
    parts = [filled_cells(table, column, "a part of the time") for column in columns]
    forms = tuple(map(_drop_padding, settings.fitted.parts if settings.fitted else ()))
    fitting = [flags.all() for flags in map(_match_part, parts, forms)]
    if len(forms) != len(parts) or not all(fitting):
        forms = tuple(map(_drop_padding, _infer_forms(parts, settings)))
    joined = " ".join(forms)
    _require_parts(joined, Setting("time", columns), "name its column too")

    keys = np.zeros(len(table), np.int64)
    for part in parts:  # compressed after each column, so that the product of many cannot overflow
        keys, _ = encode(keys * len(part.texts) + part.codes)
    first_rows = np.flatnonzero(~repeats(keys))
    texts = []
    for row in first_rows.tolist():
        texts.append(" ".join(part.texts[part.codes[row]] for part in parts))
    cells = TimeCells(table, columns, keys, texts)
    parsed = patterns.parse(cells.array, joined, settings.pivot)

    written = tuple(map(_infer_padding, parts, forms))
    stored = {"pattern": _whole_pattern(written), "parts": written}
    stored["kinds"] = tuple(map(_find_kind, parts, written))
    for part in parts:
        if part.kind == "datetime":
            stored["unit"] = pd.DatetimeIndex(table.times(part.name)).unit
    return cells, parsed, TimeFormat(**stored)


def find_part(table: Table, column: str) -> str | None:
    """Return the part of a time that a column holds, by its name and its cells, or None."""
    names = _parts_by_name(column)
    is_other = table.kind(column) in ("datetime", "boolean")
    if not names or is_other or table.find_blanks(column).any():
        return None
    cells = time_cells(table, column)
    whole = WHOLE_TIME.fullmatch(cells.texts[0])
    if whole and column.strip().lower() == "period":
        return None  # M01 is a month, 1 may be anything
    for name in names:
        if _form(cells, name) not in (None, "%y"):  # a year of two digits may be anything, too
            return name
    return None


def is_parts(table: Table, columns: Names) -> bool:
    """Whether columns together hold a time, judging by their names and cells."""
    if sum(find_part(table, column) is None for column in columns) > 1:  # one may be a date
        return False
    try:
        _, parsed, _ = read_split_times(table, columns, TimeSettings())
    except (BadData, UsageError):
        return False
    return bool(parsed.exists.all())


def _is_date(pattern: str) -> bool:
    """Whether a pattern has several parts of a date."""
    return len(find_codes(pattern) & set("YyGmbBdqVj")) > 1


def _parts_by_name(column: str) -> list[str]:
    column = column.strip().lower()
    return [name for name, part in TIME_PARTS.items() if column in part.names.split()]


def _infer_forms(parts: list[TimeCells], settings: TimeSettings) -> Names:
    if settings.date_format is None:
        forms = tuple(_infer_form(part, settings) for part in parts)
        by_weeks = any("V" in find_codes(form) for form in forms)
        return tuple(form.replace("%Y", "%G") for form in forms) if by_weeks else forms
    forms = tuple(settings.date_format.split())
    if len(forms) != len(parts):
        names = ", ".join(part.name for part in parts)
        raise UsageError(
            f"write a part for each of the columns {names}, with a blank between them",
            setting=Setting("date_format", settings.date_format),
        )
    return forms


def _infer_form(part: TimeCells, settings: TimeSettings) -> str:
    """Infer the pattern of a column whose cells are dates, or whose name is a part of a time."""
    names = _parts_by_name(part.name)
    for name in names:
        form = _form(part, name)
        if form:
            return form
    guesses = patterns.guesses(part.texts[0])
    if part.kind == "datetime" or any(map(_is_date, guesses)):
        return infer_pattern(part, settings).pattern
    if not names:
        cure = ("pass ", Setting("date_format"), " with a part for each column, such as '%Y %m'")
        raise part.fault("is not a part of a time that can be recognised", *cure)
    flags = [_match_part(part, form) for form in TIME_PARTS[names[0]].forms]
    closest = max(flags, key=np.sum)
    name = "time of day" if names[0] == "clock" else names[0]
    raise part.fault(f"is not a {name}", "correct it, or name other columns", wrong=~closest)


def _form(part: TimeCells, name: str) -> str | None:
    for form in TIME_PARTS[name].forms:
        if _match_part(part, form).all():
            return form
    return None


def _match_part(part: TimeCells, form: str) -> Flags:
    """Say which texts match a pattern, [texts]; if it has several directives, only by shape."""
    shaped = patterns.matches(part.array, form)
    if len(find_codes(form)) > 1 or not shaped.any():
        return shaped
    return patterns.parse(part.array, form).exists


def _find_kind(part: TimeCells, form: str) -> str:
    """The type of a column; in a text table numbers are those without zeros before them."""
    return "number" if part.table.text and re.fullmatch("%([YGq]|-.)", form) else part.kind


def _infer_padding(part: TimeCells, form: str) -> str:
    """Return the pattern that writes a part just as its cells do: padded if they are padded."""
    if len(find_codes(form)) > 1 or form in ("%b", "%B"):
        return patterns.parse(part.array, form).pattern
    padded = any(re.search(r"(?<!\d)0\d", text) for text in part.texts)
    return form.replace("%-", "%") if padded and part.kind != "number" else form


def _drop_padding(form: str) -> str:
    """Return a pattern that reads both padded and unpadded parts."""
    return re.sub("^%([mdHKVjMS])$", r"%-\1", form)


def _whole_pattern(forms: Names) -> str:
    """Return the pattern that writes a time of several columns as one text, close to ISO 8601."""
    joined = " ".join(forms)
    codes = find_codes(joined)
    clocks = [form for form in forms if len(find_codes(form) & CLOCK_CODES) > 1]
    if clocks or patterns.has_zone(joined):
        return joined
    dates = list(filter(_is_date, forms))
    dates += [iso for code, iso in ISO_DATES.items() if code in codes]
    date = dates[0]
    clock = " %H:%M:%S" if "S" in codes else " %H:%M"
    return date + clock if patterns.has_clock(joined) else date
