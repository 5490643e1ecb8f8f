"""Times in several columns: find which part each column holds, read the parts as one time, and write them back."""

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from forecast.calendar import patterns
from forecast.calendar.epochs import WHOLE
from forecast.calendar.formatting import clock, write
from forecast.calendar.inference import Texts, choose_pattern
from forecast.calendar.spec import TimeFormat, TimeSettings
from forecast.calendar.zones import Integers
from forecast.errors import BadData, Setting, UsageError, Words
from forecast.tables.table import Table

Names = tuple[str, ...]
Kind = Literal["text", "number", "datetime"]

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
"""The parts of a time, from coarse to fine, and what their columns are called."""

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
IN_ORDER = ("year", "month", "day", "hour", "minute", "second")
SPELLED = ("clock", "month", "quarter", "week")  # what cells alone can say, by their letters and colons


@dataclass(frozen=True)
class Part:
    """A column of the time as text: [rows] codes of its different cells, and how it is typed."""

    name: str
    codes: NDArray[np.intp]
    unique: list[str]
    kind: Kind


@dataclass(frozen=True)
class Joined:
    """Times of several columns, read together.

    Attributes
    ----------
    texts : the different times, parts joined by blanks
    fields : what they mean
    label : the pattern that writes a whole time in one text
    parts, kinds : pattern and type of each column
    unit : of a column of datetimes
    """

    texts: Texts
    fields: patterns.Fields
    label: str
    parts: Names
    kinds: tuple[Kind, ...]
    unit: str | None


def read_parts(table: Table, columns: Names, settings: TimeSettings, series: Integers | None) -> Joined:
    """Read the times that several columns hold together.

    Raises
    ------
    BadData
        If a cell is blank, or is no part of a time, or the parts make no date.
    UsageError
        If the columns together lack a part that a time needs, or the date format does not fit them.
    """
    found = [_part(table, column) for column in columns]
    fitted = settings.fitted.parts if settings.fitted is not None else ()
    if len(fitted) != len(found) or not all(
        _fits(part, form) for part, form in zip(found, map(_loose, fitted), strict=True)
    ):
        fitted = _forms(table, found, settings)
    forms = tuple(_loose(form) for form in fitted)
    _refuse_incomplete(columns, forms)
    cells = pd.Series(found[0].unique, dtype=object).take(found[0].codes).reset_index(drop=True)
    for part in found[1:]:
        cells = cells + " " + pd.Series(part.unique, dtype=object).take(part.codes).reset_index(drop=True)
    codes, unique = pd.factorize(cells)
    texts = Texts(table, " and ".join(columns), codes, [str(text) for text in unique], series, columns)
    fields = patterns.read(pa.array(texts.unique, pa.string()), " ".join(forms))
    written = tuple(_written(part, form) for part, form in zip(found, forms, strict=True))
    kinds = tuple(_kind(table, part, form) for part, form in zip(found, written, strict=True))
    dated = [part.name for part in found if part.kind == "datetime"]
    unit = pd.DatetimeIndex(table.frame[dated[0]].iloc[:1]).unit if dated else None
    return Joined(texts, fields, label_of(written), written, kinds, unit)


def write_parts(instants: Integers, time_format: TimeFormat) -> "list[pd.Index[Any]]":
    """Write instants into the columns that they were read from."""
    unique, codes = np.unique(instants, return_inverse=True)
    shown = clock(unique, time_format.pattern, time_format.zone)
    columns: list[pd.Index[Any]] = []
    for form, kind in zip(time_format.parts, time_format.kinds, strict=True):
        texts = [write(int(w), int(w - i), form) for w, i in zip(shown, unique, strict=True)]
        column: pd.Index[Any] = pd.Index(texts)
        if kind == "number":
            column = pd.Index([int(text) for text in texts])
        elif kind == "datetime":
            column = pd.DatetimeIndex(texts).as_unit(time_format.unit or "ns")
        columns.append(column.take(codes.reshape(-1)))
    return columns


def part_named(table: Table, column: str) -> str | None:
    """The part of a time that a column holds by its name and by what it holds; None where it is none."""
    values = table.frame[column]
    if pd.api.types.is_datetime64_any_dtype(values.dtype) or pd.api.types.is_bool_dtype(values.dtype):
        return None
    roles = [role for role, names in PART_NAMES.items() if column.strip().lower() in names]
    if not roles or values.isna().any():
        return None
    part = _cells(table, column)
    if column.strip().lower() == "period" and WHOLE.fullmatch(part.unique[0]):
        return None  # M01 is a month, 1 may be anything
    return next((role for role in roles if _form(part, role, certain=True)), None)


def is_parts(table: Table, columns: Names) -> bool:
    """Whether columns make a time together, by their names and by what they hold."""
    if sum(part_named(table, column) is None for column in columns) > 1:  # one may be a date
        return False
    try:
        joined = read_parts(table, columns, TimeSettings(), None)
    except (BadData, UsageError):
        return False
    return bool(joined.fields.real.all())


def label_of(forms: Names) -> str:
    """The pattern that writes a time of several columns in one text, as near to ISO 8601 as it can be."""
    whole = " ".join(forms)
    dates = [form for form in forms if len(_codes(form) & DATE_CODES) > 1]
    clocks = [form for form in forms if form not in dates and len(_codes(form)) > 1]
    if clocks or patterns.has_zone(whole):
        return whole
    codes = {code for _, code, _ in patterns.tokens(whole)}
    known = [("q", "%YQ%q"), ("V", "%G-W%V"), ("j", "%Y-%j"), ("d", "%Y-%m-%d"), ("m", "%Y-%m"), ("b", "%Y-%m"),
             ("B", "%Y-%m")]  # fmt: skip
    date = dates[0] if dates else next(form for code, form in known if code in codes)
    clock = "" if not codes & set("HK") else " %H:%M:%S" if "S" in codes else " %H:%M"
    return date + clock


def _part(table: Table, column: str) -> Part:
    """A column as text, blank cells refused."""
    values = table.frame[column]
    if values.empty:
        raise BadData(f"{table.name}: column '{column}' has no rows")
    part = _cells(table, column)
    blank = np.array([text == "" for text in part.unique], bool)[part.codes]
    if blank.any():
        row = int(np.argmax(blank))
        raise BadData(f"{table.place(row, column)}: a part of the time is blank; fill it in or remove the row")
    return part


def _cells(table: Table, column: str) -> Part:
    values = table.frame[column]
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    codes, unique = pd.factorize(values, use_na_sentinel=False)
    kind: Kind = "text"
    if pd.api.types.is_datetime64_any_dtype(values.dtype):
        stamps = pd.DatetimeIndex(unique)
        dated = bool((stamps == stamps.normalize()).all())
        texts = [str(text) for text in stamps.strftime("%Y-%m-%d" if dated else "%Y-%m-%d %H:%M:%S")]
        return Part(column, codes, ["" if text == "nan" else text for text in texts], "datetime")
    if pd.api.types.is_numeric_dtype(values.dtype):
        kind = "number"
    texts = ["" if pd.isna(value) else str(value).strip() for value in np.asarray(unique, object).tolist()]
    return Part(column, codes, [text.partition(".")[0] if WHOLE.fullmatch(text) else text for text in texts], kind)


def _forms(table: Table, found: list[Part], settings: TimeSettings) -> Names:
    """The pattern of each column."""
    if settings.date_format is not None:
        forms = tuple(settings.date_format.split())
        if len(forms) != len(found):
            names = ", ".join(part.name for part in found)
            raise UsageError(
                f"write a part for each of the columns {names}, with a blank between them",
                setting=Setting("date_format", settings.date_format),
            )
        return forms
    roles = [_role_by_name(part) for part in found]
    forms_found: list[str] = []
    taken = [role for role in roles if role]
    for part, named in zip(found, roles, strict=True):
        role = named or _role_by_cells(part, taken)
        if role == "date":
            forms_found.append(choose_pattern(Texts(table, part.name, part.codes, part.unique), settings).pattern)
            continue
        form = _form(part, role) if role else None
        if form is None or role is None:
            raise _no_part(table, part, role)
        if role not in taken:
            taken.append(role)
        forms_found.append(form)
    if any("V" in _codes(form) for form in forms_found):
        forms_found = [form.replace("%Y", "%G") for form in forms_found]
    return tuple(forms_found)


def _role_by_name(part: Part) -> str | None:
    if _is_date(part):
        return "date"
    names = [role for role, names in PART_NAMES.items() if part.name.strip().lower() in names]
    return next((role for role in names if _form(part, role)), names[0] if names else None)


def _role_by_cells(part: Part, taken: list[str]) -> str | None:
    """The part that cells are by their shape; of plain numbers the next one that is open, from the year down."""
    if WHOLE.fullmatch(part.unique[0]):
        open_roles = [role for role in IN_ORDER if role not in taken]
        if "date" in taken or "month" in taken or "quarter" in taken:
            open_roles = [role for role in open_roles if role not in ("month",)]
        return next((role for role in open_roles if _form(part, role)), None)
    return next((role for role in SPELLED if role not in taken and _form(part, role)), None)


def _is_date(part: Part) -> bool:
    """Whether the first cell is a date by itself: a year, and something finer."""
    first = part.unique[0]
    return part.kind == "datetime" or any(len(_codes(guess) & DATE_CODES) > 1 for guess in patterns.guesses(first))


def _form(part: Part, role: str, certain: bool = False) -> str | None:
    """The pattern in which a column holds a part; with `certain` no year of two digits."""
    forms = FORMS[role][:1] if certain and role == "year" else FORMS[role]
    return next((form for form in forms if _fits(part, form)), None)


def _fits(part: Part, form: str) -> bool:
    """Whether all cells of a column can be what a pattern says."""
    if not patterns.matches(pa.array(part.unique, pa.string()), form).all():
        return False
    if form not in HIGHEST:
        fields = patterns.read(pa.array(part.unique, pa.string()), form) if "%b" in form or "%B" in form else None
        return fields is None or bool(fields.real.all())
    numbers = [int("".join(letter for letter in text if letter.isdigit())) for text in part.unique]
    lowest = 0 if form in ("%-H", "%-M", "%-S") else 1
    return lowest <= min(numbers) and max(numbers) <= HIGHEST[form]


def _refuse_incomplete(columns: Names, forms: Names) -> None:
    """Refuse columns that make no time together, or name one part twice."""
    told, seen = Setting("time", columns), set[str]()
    for column, form in zip(columns, forms, strict=True):
        codes = {
            "m" if code in "bB" else "H" if code in "IK" else "Y" if code in "yG" else code for code in _codes(form)
        }
        if twice := codes & seen:
            part = {"Y": "year", "m": "month", "d": "day", "H": "hour"}.get(min(twice), "part of the time")
            problem = f"column '{column}' holds the {part}, as one before it does"
            raise UsageError(problem, setting=told, cure="leave one out")
        seen |= codes
    fine = [(set("HMS"), set("djV"), "day"), (set("d"), set("m"), "month"), (set("MS"), set("H"), "hour")]
    missing = [name for own, needs, name in fine if own & seen and not needs & seen]
    if "Y" not in seen:
        missing.insert(0, "year")
    if missing or not patterns.has_date(" ".join(forms)):
        problem = f"the {missing[0] if missing else 'year'} is missing"
        raise UsageError(problem, setting=told, cure="name its column too")


def _no_part(table: Table, part: Part, role: str | None) -> BadData:
    """Say which cell is no part of a time."""
    texts = Texts(table, part.name, part.codes, part.unique)
    if role is None:
        return BadData(
            f"'{part.unique[0]}' is not a part of a time that can be recognised",
            place=texts.place(0),
            cure=Words("pass ", Setting("date_format"), " with a part for each column, such as '%Y %m'"),
        )
    forms = FORMS[role][:2] if role == "hour" else FORMS[role]
    best = max(forms, key=lambda form: sum(_fits(_single(part, text), form) for text in part.unique))
    wrong = np.array([not _fits(_single(part, text), best) for text in part.unique], bool)
    place, text = texts.first_place(wrong if wrong.any() else np.ones(len(wrong), bool))
    return BadData(
        f"{place}: '{text}' is not a {role.replace('clock', 'time of day')}; correct it, or name other columns"
    )


def _single(part: Part, text: str) -> Part:
    return Part(part.name, np.zeros(1, np.intp), [text], part.kind)


def _written(part: Part, form: str) -> str:
    """The pattern that writes a part just as the cells have it: padded where they are."""
    if any(name in form for name in ("%b", "%B", "%Y-", "%d")):
        return patterns.read(pa.array(part.unique, pa.string()), form).pattern
    padded = part.kind != "number" and any(re.search(r"(?<!\d)0\d", text) for text in part.unique)
    return form.replace("%-", "%") if padded and len(_codes(form)) == 1 else form


def _kind(table: Table, part: Part, form: str) -> Kind:
    """The type that a column is written in; in a text table numbers are those without zeros before them."""
    bare = table.text and form in ("%Y", "%G", "%q", *HIGHEST)
    return "number" if bare else part.kind


def _codes(form: str) -> set[str]:
    return {code for _, code, _ in patterns.tokens(form) if code}


def _loose(form: str) -> str:
    """A pattern that reads parts padded or not."""
    for code in "mdHKVjMS":
        if form == f"%{code}":
            return f"%-{code}"
    return form
