"""Times in several columns: find which part of the time each column holds, and read the parts together."""

import re
from dataclasses import dataclass, replace

import numpy as np

from forecast.calendar import patterns
from forecast.calendar.cells import Kind, TimeCells, filled_cells, time_cells
from forecast.calendar.inference import infer_pattern
from forecast.calendar.number_formats import WHOLE, without_point
from forecast.calendar.patterns import ParsedTexts, codes_of
from forecast.calendar.spec import TimeFormat, TimeSettings
from forecast.calendar.zones import Integers
from forecast.errors import BadData, Setting, UsageError, Words
from forecast.tables.distinct import encoded
from forecast.tables.table import Table

Names = tuple[str, ...]

PART_NAMES: dict[str, Names] = {
    "year": ("year", "yr", "yyyy", "yy", "y"),
    "quarter": ("quarter", "qtr", "qu", "q", "period"),
    "month": ("month", "mnth", "mon", "mo", "mm", "m", "period"),
    "week": ("week", "wk", "isoweek", "iso_week", "week_of_year", "weekofyear", "w"),
    "yearday": ("yday", "doy", "day_of_year", "dayofyear"),
    "day": ("day", "dd", "mday", "dom", "day_of_month", "dayofmonth", "d"),
    "hour": ("hour", "hr", "hh", "h", "hour_of_day"),
    "minute": ("minute", "min"),
    "second": ("second", "sec"),
    "clock": ("time", "clock", "hhmm", "time_of_day", "timeofday", "hour", "hr"),
}
"""The parts of a time, from coarse to fine, and the names that their columns have."""

FORMS: dict[str, Names] = {
    "year": ("%Y", "%y"),
    "quarter": ("%q", "Q%q", "q%q", "Q0%q"),
    "month": ("%-m", "%b", "%B", "M%-m"),
    "week": ("%-V", "W%-V"),
    "yearday": ("%-j",),
    "day": ("%-d",),
    "hour": ("%-H", "%-K"),
    "minute": ("%-M",),
    "second": ("%-S",),
    "clock": tuple(f"{form}{zone}" for form in (*patterns.CLOCKS[:-1], "%H%M") for zone in ("", *patterns.ZONES[1:])),
}
"""The patterns in which each part may be written."""

HIGHEST = {"%-m": 12, "%-V": 53, "%-j": 366, "%-d": 31, "%-H": 23, "%-K": 24, "%-M": 59, "%-S": 59}
DATE_CODES = set("YyGmbBdqVj")
SAME_PART = {"b": "m", "B": "m", "I": "H", "K": "H", "y": "Y", "G": "Y"}  # directives of one part
IN_ORDER = ("year", "month", "day", "hour", "minute", "second")
SPELLED = ("clock", "month", "quarter", "week")  # parts that cells show without a name, by letters and colons


@dataclass(frozen=True)
class SplitTimes:
    """Times of several columns, read together.

    Attributes
    ----------
    cells : the different times, their parts joined by blanks
    parsed : the same as instants, by the pattern of all columns
    format : how each column is written, and the pattern that writes a whole time as one text
    """

    cells: TimeCells
    parsed: ParsedTexts
    format: TimeFormat


def read_split_times(
    table: Table, columns: Names, settings: TimeSettings, series: Integers | None = None
) -> SplitTimes:
    """Read the times that several columns hold together.

    Raises
    ------
    BadData
        If a cell is blank, or is no part of a time, or the parts make no date.
    UsageError
        If the columns together lack a part that a time needs, or the date format does not fit them.
    """
    parts = [_plain(filled_cells(table, column, "a part of the time")) for column in columns]
    forms = settings.fitted.parts if settings.fitted is not None else ()
    if len(forms) != len(parts) or not all(
        _fits(part, _unpadded(form)) for part, form in zip(parts, forms, strict=True)
    ):
        forms = _infer_forms(parts, settings)
    forms = tuple(_unpadded(form) for form in forms)
    _refuse_incomplete(columns, forms)
    cells = replace(_joined(parts), series=series)
    parsed = patterns.parse(cells.array(), " ".join(forms))
    written = tuple(_as_written(part, form) for part, form in zip(parts, forms, strict=True))
    kinds = tuple(_kind(table, part, form) for part, form in zip(parts, written, strict=True))
    dated = [column for column, part in zip(columns, parts, strict=True) if part.kind == "datetime"]
    unit = table.times(dated[0]).unit if dated else None
    time_format = TimeFormat.model_validate(
        {"pattern": whole_pattern(written), "parts": written, "kinds": kinds, "unit": unit}
    )
    return SplitTimes(cells, parsed, time_format)


def _joined(parts: list[TimeCells]) -> TimeCells:
    """The cells of several columns as one text for each row, with blanks between them."""
    keys = np.zeros(len(parts[0].codes), np.int64)
    for part in parts:  # compressed after each column, so that the product of many cannot overflow
        keys, _ = encoded(keys * len(part.texts) + part.codes)
    first = np.full(int(keys.max()) + 1, len(keys))
    np.minimum.at(first, keys, np.arange(len(keys)))
    texts = [" ".join(part.texts[part.codes[row]] for part in parts) for row in first.tolist()]
    return TimeCells(parts[0].table, tuple(part.name for part in parts), keys, texts)


def part_named(table: Table, column: str) -> str | None:
    """The part of a time that a column holds by its name and by its cells; None where it holds none."""
    names = _named_parts(column)
    if not names or table.kind(column) in ("datetime", "boolean") or table.missing(column).any():
        return None
    cells = _plain(time_cells(table, column))
    if column.strip().lower() == "period" and WHOLE.fullmatch(cells.texts[0]):
        return None  # M01 is a month, 1 may be anything
    return next((part for part in names if _form(cells, part, certain=True)), None)


def _named_parts(column: str) -> list[str]:
    """The parts of a time that the name of a column can mean."""
    return [part for part, names in PART_NAMES.items() if column.strip().lower() in names]


def is_parts(table: Table, columns: Names) -> bool:
    """Whether columns make a time together, by their names and their cells."""
    if sum(part_named(table, column) is None for column in columns) > 1:  # one may be a date
        return False
    try:
        times = read_split_times(table, columns, TimeSettings())
    except (BadData, UsageError):
        return False
    return bool(times.parsed.exists.all())


def whole_pattern(forms: Names) -> str:
    """The pattern that writes a time of several columns in one text, as near to ISO 8601 as it can be."""
    joined = " ".join(forms)
    dates = [form for form in forms if len(codes_of(form) & DATE_CODES) > 1]
    clocks = [form for form in forms if form not in dates and len(codes_of(form)) > 1]
    if clocks or patterns.has_zone(joined):
        return joined
    codes = codes_of(joined)
    known = [("q", "%YQ%q"), ("V", "%G-W%V"), ("j", "%Y-%j"), ("d", "%Y-%m-%d"), ("m", "%Y-%m"), ("b", "%Y-%m"),
             ("B", "%Y-%m")]  # fmt: skip
    date = dates[0] if dates else next(form for code, form in known if code in codes)
    clock = "" if not codes & set("HK") else " %H:%M:%S" if "S" in codes else " %H:%M"
    return date + clock


def _plain(cells: TimeCells) -> TimeCells:
    """The cells with whole numbers without a decimal point: 3 for 3.0."""
    plain = without_point(cells.texts).to_pylist()
    texts = [short if WHOLE.fullmatch(text) else text for text, short in zip(cells.texts, plain, strict=True)]
    return replace(cells, texts=texts)


def _infer_forms(parts: list[TimeCells], settings: TimeSettings) -> Names:
    """The pattern of each column."""
    if settings.date_format is not None:
        forms = tuple(settings.date_format.split())
        if len(forms) != len(parts):
            names = ", ".join(part.name for part in parts)
            raise UsageError(
                f"write a part for each of the columns {names}, with a blank between them",
                setting=Setting("date_format", settings.date_format),
            )
        return forms
    by_name = [_role_by_name(part) for part in parts]
    taken = [role for role in by_name if role]
    inferred: list[str] = []
    for part, named in zip(parts, by_name, strict=True):
        role = named or _role_by_cells(part, taken)
        if role == "date":
            inferred.append(infer_pattern(part, settings).pattern)
            continue
        form = _form(part, role) if role else None
        if form is None or role is None:
            raise _no_part(part, role)
        if role not in taken:
            taken.append(role)
        inferred.append(form)
    if any("V" in codes_of(form) for form in inferred):
        inferred = [form.replace("%Y", "%G") for form in inferred]
    return tuple(inferred)


def _role_by_name(part: TimeCells) -> str | None:
    if _is_date(part):
        return "date"
    names = _named_parts(part.name)
    return next((role for role in names if _form(part, role)), names[0] if names else None)


def _role_by_cells(part: TimeCells, taken: list[str]) -> str | None:
    """The part of a time that cells hold, by their shape; of plain numbers the next unused one, from the year down."""
    if WHOLE.fullmatch(part.texts[0]):
        open_roles = [role for role in IN_ORDER if role not in taken]
        if "date" in taken or "month" in taken or "quarter" in taken:
            open_roles = [role for role in open_roles if role not in ("month",)]
        return next((role for role in open_roles if _form(part, role)), None)
    return next((role for role in SPELLED if role not in taken and _form(part, role)), None)


def _is_date(part: TimeCells) -> bool:
    """Whether the first cell is a date by itself: a year, and something finer."""
    first = part.texts[0]
    return part.kind == "datetime" or any(len(codes_of(guess) & DATE_CODES) > 1 for guess in patterns.guesses(first))


def _form(part: TimeCells, role: str, certain: bool = False) -> str | None:
    """The pattern in which a column holds a part; with `certain` no year of two digits."""
    forms = FORMS[role][:1] if certain and role == "year" else FORMS[role]
    return next((form for form in forms if _fits(part, form)), None)


def _fits(part: TimeCells, form: str) -> bool:
    """Whether all cells of a column can be what a pattern says."""
    if not patterns.matches(part.array(), form).all():
        return False
    if form not in HIGHEST:
        spelled = "%b" in form or "%B" in form
        return not spelled or bool(patterns.parse(part.array(), form).exists.all())
    numbers = [int("".join(letter for letter in text if letter.isdigit())) for text in part.texts]
    lowest = 0 if form in ("%-H", "%-M", "%-S") else 1
    return lowest <= min(numbers) and max(numbers) <= HIGHEST[form]


def _refuse_incomplete(columns: Names, forms: Names) -> None:
    """Refuse columns that make no time together, or hold one part twice."""
    setting, seen = Setting("time", columns), set[str]()
    for column, form in zip(columns, forms, strict=True):
        codes = {SAME_PART.get(code, code) for code in codes_of(form)}
        if twice := codes & seen:
            part = {"Y": "year", "m": "month", "d": "day", "H": "hour"}.get(min(twice), "part of the time")
            problem = f"column '{column}' holds the {part}, as one before it does"
            raise UsageError(problem, setting=setting, cure="leave one out")
        seen |= codes
    needed = [(set("HMS"), set("djV"), "day"), (set("d"), set("m"), "month"), (set("MS"), set("H"), "hour")]
    missing = [name for codes, needs, name in needed if codes & seen and not needs & seen]
    if "Y" not in seen:
        missing.insert(0, "year")
    if missing or not patterns.has_date(" ".join(forms)):
        problem = f"the {missing[0] if missing else 'year'} is missing"
        raise UsageError(problem, setting=setting, cure="name its column too")


def _no_part(part: TimeCells, role: str | None) -> BadData:
    """Say which cell is no part of a time."""
    if role is None:
        return BadData(
            f"'{part.texts[0]}' is not a part of a time that can be recognised",
            place=part.place(),
            cure=Words("pass ", Setting("date_format"), " with a part for each column, such as '%Y %m'"),
        )
    forms = FORMS[role][:2] if role == "hour" else FORMS[role]
    fits = {form: np.array([_fits(replace(part, texts=[text]), form) for text in part.texts], bool) for form in forms}
    wrong = ~max(fits.values(), key=lambda fit: int(fit.sum()))
    place, text = part.first(wrong if wrong.any() else ~wrong)
    return BadData(
        f"{place}: '{text}' is not a {role.replace('clock', 'time of day')}; correct it, or name other columns"
    )


def _as_written(part: TimeCells, form: str) -> str:
    """The pattern that writes a part just as the cells have it: padded where they are."""
    if any(name in form for name in ("%b", "%B", "%Y-", "%d")):
        return patterns.parse(part.array(), form).pattern
    padded = part.kind != "number" and any(re.search(r"(?<!\d)0\d", text) for text in part.texts)
    return form.replace("%-", "%") if padded and len(codes_of(form)) == 1 else form


def _kind(table: Table, part: TimeCells, form: str) -> Kind:
    """The type that a column is written in; in a text table numbers are those without zeros before them."""
    bare = table.text and form in ("%Y", "%G", "%q", *HIGHEST)
    return "number" if bare else part.kind


def _unpadded(form: str) -> str:
    """A pattern that reads parts padded or not."""
    for code in "mdHKVjMS":
        if form == f"%{code}":
            return f"%-{code}"
    return form
