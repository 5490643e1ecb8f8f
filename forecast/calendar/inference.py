"""Infer how times are written: a column by one pattern, several columns by the part of a time that each holds."""

import re
from typing import NamedTuple

import numpy as np

from forecast.calendar import patterns
from forecast.calendar.cells import (
    WHOLE,
    TimeCells,
    filled_cells,
    is_decimal_year,
    recognise,
    time_cells,
)
from forecast.calendar.patterns import ParsedTexts, codes_of
from forecast.calendar.spec import TimeFormat, TimeSettings
from forecast.calendar.zones import Flags
from forecast.errors import BadData, Setting, UsageError, Words
from forecast.tables.table import SAMPLE, Table, encoded

TIME_NAMES = ("date", "datetime", "time", "timestamp", "ds", "date_time", "day", "month", "week", "quarter", "year",
              "period", "hour", "ts", "step", "t", "index")  # fmt: skip

CLOCK_ONLY = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?( ?[AaPp][Mm])?")
DECIMAL, YEAR_MONTH = re.compile(r"\d+\.\d+"), re.compile(r"[12]\d{3}\.(0[1-9]|1[0-2])")
Names = tuple[str, ...]
CLOCKS = tuple(
    f"{form}{zone}" for form in (*patterns.CLOCKS[:-1], "%H%M") for zone in patterns.ZONES
)
DATE_CODES = set("YyGmbBdqVj")
SAME_PART = {"b": "m", "B": "m", "I": "H", "K": "H", "y": "Y", "G": "Y"}  # directives of one part


def looks_like_times(table: Table, column: str, named: bool = False) -> bool:
    """Whether a column parses as times all the way down; numbers only where that is certain, or they are `named`."""
    kind = table.kind(column)
    if not len(table) or kind in ("boolean", "other"):
        return False
    if kind in ("datetime", "date", "period"):
        return True
    first = table.first(column)
    if not WHOLE.fullmatch(first) and not is_decimal_year(first) and not patterns.guesses(first):
        return False  # most columns of a wide table end here
    return all(_are_times(time_cells(table, column, rows), named) for rows in (SAMPLE, None))


def _are_times(cells: TimeCells, named: bool) -> bool:
    texts = cells.texts
    if "" in texts:
        return False
    if time_format := recognise(cells, certain=not named):
        return not (named and time_format.kind == "integer")
    if WHOLE.fullmatch(texts[0]) or (
        all(map(DECIMAL.fullmatch, texts)) and not all(map(YEAR_MONTH.fullmatch, texts))
    ):
        return False  # 1707.4 is a number, and no April
    return any(patterns.matches(cells.array, guess).all() for guess in patterns.guesses(texts[0]))


def resembles_times(table: Table, column: str) -> bool:
    """Whether the first value has the shape of a time, or the name is one: parsing it then says what is wrong."""
    if not len(table):
        return False
    first = table.first(column)
    shaped = bool(
        CLOCK_ONLY.fullmatch(first) or (patterns.guesses(first) and not WHOLE.fullmatch(first))
    )
    return shaped or column.lower() in TIME_NAMES


def infer_pattern(cells: TimeCells, settings: TimeSettings) -> ParsedTexts:
    """Parse the texts of a column by the one pattern that fits all of them."""
    if settings.date_format is not None:
        setting = Setting("date_format", settings.date_format)
        codes = codes_of(settings.date_format)
        if not codes & set("YyG") or ("d" in codes and not codes & set("mbB")):
            raise UsageError("a year is missing, or the month of a day", setting=setting)
        parsed = patterns.parse(cells.array, settings.date_format, settings.pivot)
        if not parsed.matched.all():
            raise cells.fault(Words("does not fit ", setting), wrong=~parsed.matched)
        return parsed
    if settings.fitted is not None and settings.fitted.pattern and settings.fitted.kind == "text":
        parsed = patterns.parse(cells.array, settings.fitted.pattern, settings.pivot)
        if parsed.exists.all():
            return parsed
    matched = {
        guess: patterns.matches(cells.array, guess) for guess in patterns.guesses(cells.texts[0])
    }
    complete = [guess for guess in matched if matched[guess].all()]
    # a pattern with a fraction fits times without any too
    complete = [
        guess for guess in complete if "%f" not in guess or guess.replace(".%f", "") not in complete
    ]
    if not complete:
        raise _mismatch(cells, matched)
    fitting = [patterns.parse(cells.array, guess, settings.pivot) for guess in complete]
    if len(fitting) > 1 and re.match(r"\d{1,2}[-/.]\d{1,2}[-/.]", cells.texts[0]):
        return _day_or_month_first(cells, fitting)
    chosen = max(fitting, key=lambda parsed: int(parsed.exists.sum()))
    _refuse_uncertain_years(cells, chosen)
    return chosen


def _mismatch(cells: TimeCells, matched: dict[str, Flags]) -> BadData:
    """Say that the first text has the shape of no time, or which text differs from it."""
    wrong = ~max(
        matched.values(), key=lambda fits: int(fits.sum()), default=np.zeros(len(cells.texts), bool)
    )
    text, first = cells.first(wrong), cells.texts[0]
    guesses, date_format = patterns.guesses(text), Setting("date_format")
    problem: str = f"is not written as '{first}' is"
    cure: tuple[object, ...] = ("write all times the same way, or pass ", date_format)
    if CLOCK_ONLY.fullmatch(text):
        problem, cure = "is a time of day without a date", ("add the date",)
    elif not matched:
        problem, example = "is not a time that can be recognised", "2024-01-31 13:00:00+01:00"
        cure = (
            f"write it as 2024-01-31 or {example}, or pass ",
            date_format,
            " or ",
            Setting("time"),
        )
    elif guesses and patterns.has_zone(guesses[0]) != patterns.has_zone(next(iter(matched))):
        problem, cure = (
            f"and '{first}' mix times with and without a zone",
            ("write all of them the same way",),
        )
    return cells.fault(problem, *cure, wrong=wrong)


def _refuse_uncertain_years(cells: TimeCells, chosen: ParsedTexts) -> None:
    """Refuse Jan-21 as a month of 2021 where it may as well be a day: where the months do not follow each other."""
    codes = patterns.codes_of(chosen.pattern)
    if "y" not in codes or "d" in codes or not chosen.exists.all():
        return
    months = chosen.wall.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
    steps, two_digit_years = np.abs(np.diff(months)), (months // 12 + 70) % 100
    no_day = ((two_digit_years == 0) | (two_digit_years > 31)).any()
    regular = len(steps) > 0 and np.bincount(steps).argmax() == np.gcd.reduce(steps)
    if not no_day and not (regular and (months % 12 != months[0] % 12).any()):
        cure = ("pass ", _as_setting(chosen.pattern), ", or write the year in full")
        raise cells.fault("can be a month and a year, or a day of a month", *cure)


def no_such_time(cells: TimeCells, wrong: Flags) -> BadData:
    """The error that a text such as 2024-02-30 gets."""
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
        if (neither := ~np.logical_or.reduce([parsed.exists for parsed in fitting])).any():
            raise no_such_time(cells, neither)
        problem = "has the month first, other rows have the day first"
        raise cells.fault(problem, "write all the same way", wrong=~fitting[0].exists)
    years_last = all(re.search("%[yY]$", parsed.pattern) for parsed in real)
    ways = "day-month or month-day" if years_last else "day, month and year in several orders"
    options = [part for parsed in real for part in (" or ", _as_setting(parsed.pattern))][1:]
    raise cells.fault(f"can be {ways}, and no row decides", "pass ", *options)


class Part(NamedTuple):
    """A part of a time: the names that its column may have, and the patterns in which it may be written."""

    names: Names
    forms: Names


PARTS = {  # from coarse to fine
    "year": Part(("year", "yr", "yyyy", "yy", "y"), ("%Y", "%y")),
    "quarter": Part(("quarter", "qtr", "qu", "q", "period"), ("%q", "Q%q", "q%q", "Q0%q")),
    "month": Part(("month", "mnth", "mon", "mo", "mm", "m", "period"), ("%-m", "%b", "%B", "M%-m")),
    "week": Part(
        ("week", "wk", "isoweek", "iso_week", "week_of_year", "weekofyear", "w"), ("%-V", "W%-V")
    ),
    "yearday": Part(("yday", "doy", "day_of_year", "dayofyear"), ("%-j",)),
    "day": Part(("day", "dd", "mday", "dom", "day_of_month", "dayofmonth", "d"), ("%-d",)),
    "hour": Part(("hour", "hr", "hh", "h", "hour_of_day"), ("%-H", "%-K")),
    "minute": Part(("minute", "min"), ("%-M",)),
    "second": Part(("second", "sec"), ("%-S",)),
    "clock": Part(("time", "clock", "hhmm", "time_of_day", "timeofday", "hour", "hr"), CLOCKS),
}


def read_split_times(
    table: Table, columns: Names, settings: TimeSettings
) -> tuple[TimeCells, ParsedTexts, TimeFormat]:
    """The times that several columns hold together: their parts joined by blanks, parsed, and how to write them."""
    parts = [filled_cells(table, column, "a part of the time").plain() for column in columns]
    forms = tuple(map(_unpadded, settings.fitted.parts)) if settings.fitted is not None else ()
    if len(forms) != len(parts) or not all(fits.all() for fits in map(_fitting, parts, forms)):
        forms = tuple(map(_unpadded, _infer_forms(parts, settings)))
    _refuse_incomplete(columns, forms)
    keys = np.zeros(len(table), np.int64)
    for part in parts:  # compressed after each column, so that the product of many cannot overflow
        keys, _ = encoded(keys * len(part.texts) + part.codes)
    first = np.flatnonzero(np.diff(np.maximum.accumulate(keys), prepend=-1))
    texts = [" ".join(part.texts[part.codes[row]] for part in parts) for row in first.tolist()]
    cells = TimeCells(table, columns, keys, texts)
    written = tuple(map(_as_written, parts, forms))
    # in a text table numbers are those without zeros before them
    numbers = [bool(table.text and re.fullmatch("%([YGq]|-.)", form)) for form in written]
    kinds = ["number" if number else part.kind for number, part in zip(numbers, parts, strict=True)]
    unit = next((table.times(part.name).unit for part in parts if part.kind == "datetime"), None)
    stored = {"pattern": _whole_pattern(written), "parts": written, "kinds": kinds, "unit": unit}
    parsed = patterns.parse(cells.array, " ".join(forms), settings.pivot)
    return cells, parsed, TimeFormat.model_validate(stored)


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


def _parts_by_name(column: str) -> list[str]:
    return [name for name, part in PARTS.items() if column.strip().lower() in part.names]


def _infer_forms(parts: list[TimeCells], settings: TimeSettings) -> Names:
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
    closest = max(
        (_fitting(part, form) for form in PARTS[names[0]].forms), key=lambda fits: int(fits.sum())
    )
    name = "time of day" if names[0] == "clock" else names[0]
    raise part.fault(f"is not a {name}", "correct it, or name other columns", wrong=~closest)


def _form(part: TimeCells, name: str) -> str | None:
    return next((form for form in PARTS[name].forms if _fitting(part, form).all()), None)


def _fitting(part: TimeCells, form: str) -> Flags:
    """[texts], which can be what a pattern says; by shape where it has several directives, as the whole is parsed."""
    shaped = patterns.matches(part.array, form)
    return (
        patterns.parse(part.array, form).exists
        if shaped.any() and len(codes_of(form)) == 1
        else shaped
    )


def _refuse_incomplete(columns: Names, forms: Names) -> None:
    """Refuse columns that make no time together, or hold one part twice."""
    setting, seen = Setting("time", columns), set[str]()
    for column, form in zip(columns, forms, strict=True):
        codes = {SAME_PART.get(code, code) for code in codes_of(form)}
        if codes & seen:
            problem = f"column '{column}' holds the same part of the time as one before it"
            raise UsageError(problem, setting=setting, cure="leave one out")
        seen |= codes
    needed = [
        (set("HMS"), set("djV"), "day"),
        (set("d"), set("m"), "month"),
        (set("MS"), set("H"), "hour"),
    ]
    missing = ["year"] * ("Y" not in seen)
    missing += [name for codes, needs, name in needed if codes & seen and not needs & seen]
    if missing:
        raise UsageError(
            f"the {missing[0]} is missing", setting=setting, cure="name its column too"
        )


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
    known = {
        "q": "%YQ%q",
        "V": "%G-W%V",
        "j": "%Y-%j",
        "d": "%Y-%m-%d",
        "m": "%Y-%m",
        "b": "%Y-%m",
        "B": "%Y-%m",
    }
    date = dates[0] if dates else next(form for code, form in known.items() if code in codes)
    return date + ("" if not codes & set("HK") else " %H:%M:%S" if "S" in codes else " %H:%M")
