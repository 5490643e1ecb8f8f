"""Times in several columns: find which part of the time each column holds, and read the parts together."""

import re
from typing import NamedTuple

import numpy as np

from forecast.calendar import patterns
from forecast.calendar.cells import WHOLE, TimeCells, filled_cells, time_cells
from forecast.calendar.inference import infer_pattern
from forecast.calendar.patterns import ParsedTexts, codes_of
from forecast.calendar.spec import TimeFormat, TimeSettings
from forecast.calendar.zones import Flags
from forecast.errors import BadData, Setting, UsageError
from forecast.tables.distinct import encoded
from forecast.tables.table import Table

Names = tuple[str, ...]


class Part(NamedTuple):
    """A part of a time: the names that its column may have, and the patterns in which it may be written."""

    names: Names
    forms: Names


CLOCKS = tuple(f"{form}{zone}" for form in (*patterns.CLOCKS[:-1], "%H%M") for zone in patterns.ZONES)
PARTS = {  # from coarse to fine
    "year": Part(("year", "yr", "yyyy", "yy", "y"), ("%Y", "%y")),
    "quarter": Part(("quarter", "qtr", "qu", "q", "period"), ("%q", "Q%q", "q%q", "Q0%q")),
    "month": Part(("month", "mnth", "mon", "mo", "mm", "m", "period"), ("%-m", "%b", "%B", "M%-m")),
    "week": Part(("week", "wk", "isoweek", "iso_week", "week_of_year", "weekofyear", "w"), ("%-V", "W%-V")),
    "yearday": Part(("yday", "doy", "day_of_year", "dayofyear"), ("%-j",)),
    "day": Part(("day", "dd", "mday", "dom", "day_of_month", "dayofmonth", "d"), ("%-d",)),
    "hour": Part(("hour", "hr", "hh", "h", "hour_of_day"), ("%-H", "%-K")),
    "minute": Part(("minute", "min"), ("%-M",)),
    "second": Part(("second", "sec"), ("%-S",)),
    "clock": Part(("time", "clock", "hhmm", "time_of_day", "timeofday", "hour", "hr"), CLOCKS),
}
DATE_CODES = set("YyGmbBdqVj")
SAME_PART = {"b": "m", "B": "m", "I": "H", "K": "H", "y": "Y", "G": "Y"}  # directives of one part


def read_split_times(table: Table, columns: Names, settings: TimeSettings) -> tuple[TimeCells, ParsedTexts, TimeFormat]:
    """The times that several columns hold together: their parts joined by blanks, parsed, and how to write them."""
    parts = [filled_cells(table, column, "a part of the time").plain() for column in columns]
    forms = tuple(map(_unpadded, settings.fitted.parts)) if settings.fitted is not None else ()
    if len(forms) != len(parts) or not all(fits.all() for fits in map(_fitting, parts, forms)):
        forms = tuple(map(_unpadded, _infer_forms(parts, settings)))
    _refuse_incomplete(columns, forms)
    cells = _joined(parts)
    written = tuple(map(_as_written, parts, forms))
    # in a text table numbers are those without zeros before them
    numbers = [bool(table.text and re.fullmatch("%([YGq]|-.)", form)) for form in written]
    kinds = ["number" if number else part.kind for number, part in zip(numbers, parts, strict=True)]
    unit = next((table.times(part.name).unit for part in parts if part.kind == "datetime"), None)
    stored = {"pattern": _whole_pattern(written), "parts": written, "kinds": kinds, "unit": unit}
    return cells, patterns.parse(cells.array, " ".join(forms)), TimeFormat.model_validate(stored)


def part_named(table: Table, column: str) -> str | None:
    """The part of a time that a column holds by its name and by its cells; None where it holds none."""
    names = _parts_by_name(column)
    if not names or table.kind(column) in ("datetime", "boolean") or table.missing(column).any():
        return None
    cells = time_cells(table, column).plain()
    if column.strip().lower() == "period" and WHOLE.fullmatch(cells.texts[0]):
        return None  # M01 is a month, 1 may be anything
    # a year of two digits may be anything, too
    return next((part for part in names if (form := _form(cells, part)) and form != "%y"), None)


def is_parts(table: Table, columns: Names) -> bool:
    """Whether columns make a time together, by their names and their cells."""
    if sum(part_named(table, column) is None for column in columns) > 1:  # one may be a date
        return False
    try:
        return bool(read_split_times(table, columns, TimeSettings())[1].exists.all())
    except (BadData, UsageError):
        return False


def _joined(parts: list[TimeCells]) -> TimeCells:
    """The cells of several columns as one text for each row, with blanks between them."""
    keys = np.zeros(len(parts[0].codes), np.int64)
    for part in parts:  # compressed after each column, so that the product of many cannot overflow
        keys, _ = encoded(keys * len(part.texts) + part.codes)
    first = np.flatnonzero(np.diff(np.maximum.accumulate(keys), prepend=-1))
    texts = [" ".join(part.texts[part.codes[row]] for part in parts) for row in first.tolist()]
    return TimeCells(parts[0].table, tuple(part.name for part in parts), keys, texts)


def _parts_by_name(column: str) -> list[str]:
    return [name for name, part in PARTS.items() if column.strip().lower() in part.names]


def _infer_forms(parts: list[TimeCells], settings: TimeSettings) -> Names:
    """The pattern of each column."""
    if settings.date_format is None:
        forms = tuple(_infer_form(part, settings) for part in parts)
        by_weeks = any("V" in codes_of(form) for form in forms)
        return tuple(form.replace("%Y", "%G") for form in forms) if by_weeks else forms
    forms = tuple(settings.date_format.split())
    if len(forms) != len(parts):
        names = ", ".join(part.name for part in parts)
        problem = f"write a part for each of the columns {names}, with a blank between them"
        raise UsageError(problem, setting=Setting("date_format", settings.date_format))
    return forms


def _infer_form(part: TimeCells, settings: TimeSettings) -> str:
    """The pattern of a column that is a date by its cells, or a part of a time by its name."""
    guesses = patterns.guesses(part.texts[0])
    if part.kind == "datetime" or any(len(codes_of(guess) & DATE_CODES) > 1 for guess in guesses):
        return infer_pattern(part, settings).pattern
    names = _parts_by_name(part.name)
    if form := next((form for name in names if (form := _form(part, name))), None):
        return form
    if not names:
        cure = ("pass ", Setting("date_format"), " with a part for each column, such as '%Y %m'")
        raise part.fault("is not a part of a time that can be recognised", *cure)
    closest = max((_fitting(part, form) for form in PARTS[names[0]].forms), key=lambda fits: int(fits.sum()))
    name = "time of day" if names[0] == "clock" else names[0]
    raise part.fault(f"is not a {name}", "correct it, or name other columns", wrong=~closest)


def _form(part: TimeCells, name: str) -> str | None:
    """The pattern in which a column holds a part."""
    return next((form for form in PARTS[name].forms if _fitting(part, form).all()), None)


def _fitting(part: TimeCells, form: str) -> Flags:
    """[texts], which can be what a pattern says; by shape where it has several directives, as the whole is parsed."""
    shaped = patterns.matches(part.array, form)
    return patterns.parse(part.array, form).exists if shaped.any() and len(codes_of(form)) == 1 else shaped


def _refuse_incomplete(columns: Names, forms: Names) -> None:
    """Refuse columns that make no time together, or hold one part twice."""
    setting, seen = Setting("time", columns), set[str]()
    for column, form in zip(columns, forms, strict=True):
        codes = {SAME_PART.get(code, code) for code in codes_of(form)}
        if codes & seen:
            problem = f"column '{column}' holds the same part of the time as one before it"
            raise UsageError(problem, setting=setting, cure="leave one out")
        seen |= codes
    needed = [(set("HMS"), set("djV"), "day"), (set("d"), set("m"), "month"), (set("MS"), set("H"), "hour")]
    missing = ["year"] * ("Y" not in seen)
    missing += [name for codes, needs, name in needed if codes & seen and not needs & seen]
    if missing:
        raise UsageError(f"the {missing[0]} is missing", setting=setting, cure="name its column too")


def _as_written(part: TimeCells, form: str) -> str:
    """The pattern that writes a part just as the cells have it: padded where they are."""
    if len(codes_of(form)) > 1 or form in ("%b", "%B"):
        return patterns.parse(part.array, form).pattern
    padded = part.kind != "number" and any(re.search(r"(?<!\d)0\d", text) for text in part.texts)
    return form.replace("%-", "%") if padded else form


def _unpadded(form: str) -> str:
    """A pattern that reads parts padded or not."""
    return re.sub("^%([mdHKVjMS])$", r"%-\1", form)


def _whole_pattern(forms: Names) -> str:
    """The pattern that writes a time of several columns in one text, as near to ISO 8601 as it can be."""
    joined, codes = " ".join(forms), codes_of(" ".join(forms))
    several = [form for form in forms if len(codes_of(form)) > 1]
    dates = [form for form in several if len(codes_of(form) & DATE_CODES) > 1]
    if len(several) > len(dates) or patterns.has_zone(joined):
        return joined
    known = {"q": "%YQ%q", "V": "%G-W%V", "j": "%Y-%j", "d": "%Y-%m-%d", "m": "%Y-%m", "b": "%Y-%m", "B": "%Y-%m"}
    date = dates[0] if dates else next(form for code, form in known.items() if code in codes)
    return date + ("" if not codes & set("HK") else " %H:%M:%S" if "S" in codes else " %H:%M")
