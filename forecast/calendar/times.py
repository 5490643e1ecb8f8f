"""Turn the time column of a table into instants, and instants back into the way in which it was written."""

import logging
import re
from dataclasses import dataclass, replace
from datetime import timedelta, tzinfo
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from forecast.calendar import patterns
from forecast.calendar.clock_change import told_by_grid, told_by_order
from forecast.calendar.decimal_years import DECIMAL_YEAR, YEAR_NAMES, decimal_years, read_years, regular
from forecast.calendar.epochs import (
    DAY_NUMBERS,
    EPOCH_DAY,
    UNITS,
    WHOLE,
    day_numbers,
    is_day_number,
    is_whole_number,
    nearly_format,
    number_format,
    whole_numbers,
)
from forecast.calendar.inference import CLOCK_ONLY, Texts, choose_pattern, no_such_time
from forecast.calendar.spec import TimeFormat, TimeSettings
from forecast.calendar.split_times import read_parts
from forecast.calendar.zones import Flags, Integers, instants_at, offset_name, offsets_at, wall_clock
from forecast.errors import BadData, Setting, Words
from forecast.tables.table import Table

NUMBER, YEAR_MONTH = re.compile(r"\d+\.\d+"), re.compile(r"[12]\d{3}\.(0[1-9]|1[0-2])")

logger = logging.getLogger("forecast")

TIME_NAMES = ("date", "datetime", "time", "timestamp", "ds", "date_time", "day", "month", "week", "quarter", "year",
              "period", "hour", "ts", "step", "t", "index")  # fmt: skip
SAMPLE = 50


@dataclass(frozen=True)
class ParsedTimes:
    """Times of the rows of a table.

    Attributes
    ----------
    instants : [rows], seconds since 1970-01-01: UTC where `format.zone` is set, else by the wall clock; or steps
    format : how the column is written
    open : [rows], readings that come twice where the clock changes, and are open until the series are known; None
        where there are none
    doubtful : whether some readings depend on the series of their rows: parse again once the series are known
    """

    instants: Integers
    format: TimeFormat
    open: Flags | None = None
    doubtful: bool = False


def parse_times(
    table: Table, columns: str | tuple[str, ...], settings: TimeSettings, series: Integers | None = None
) -> ParsedTimes:
    """Read the time column of a table, or the columns that make the time together.

    Parameters
    ----------
    table : the table
    columns : name of its time column, or of several
    settings : how to read it
    series : [rows], which series each row belongs to; None before that is known

    Raises
    ------
    BadData
        If a value is blank, is no time, does not exist, or could mean two times; with its place and the flag that
        settles it.
    """
    if not isinstance(columns, str) and len(columns) > 1:
        return _several(table, columns, settings, series)
    column = columns if isinstance(columns, str) else columns[0]
    values = _plain(table.frame[column])
    if values.empty:
        raise BadData(f"{table.name}: column '{column}' has no rows")
    _refuse_blank(table, column, values.isna())
    if not _is_text(values) and not pd.api.types.is_numeric_dtype(values.dtype):
        parsed = _typed(table, column, values, settings, series)
    else:
        codes, unique = pd.factorize(values)
        texts = _strings(unique)
        _refuse_blank(table, column, np.array([text == "" for text in texts])[codes])
        parsed = _texts(Texts(table, column, codes, texts, series), settings)
    if settings.fitted is not None:
        _check_same(table, column, parsed.format, settings.fitted)
    return parsed


def _several(table: Table, columns: tuple[str, ...], settings: TimeSettings, series: Integers | None) -> ParsedTimes:
    """Read the times that several columns hold together."""
    joined = read_parts(table, columns, settings, series)
    parsed = _of_fields(joined.texts, joined.fields, settings)
    own = {"pattern": joined.label, "parts": joined.parts, "kinds": joined.kinds, "unit": joined.unit}
    parsed = replace(parsed, format=parsed.format.model_copy(update=own))
    if settings.fitted is not None:
        _check_same(table, ", ".join(columns), parsed.format, settings.fitted)
    return parsed


def looks_like_times(table: Table, column: str, told: bool = False) -> bool:
    """Whether a column parses as times all the way down; numbers only where that is certain, or under `told` dates."""
    values = _plain(table.frame[column])
    if values.empty or pd.api.types.is_bool_dtype(values.dtype):
        return False
    if pd.api.types.is_datetime64_any_dtype(values.dtype) or isinstance(values.dtype, pd.PeriodDtype):
        return True
    if not _is_text(values) and not pd.api.types.is_numeric_dtype(values.dtype):
        return all(hasattr(value, "year") for value in values.iloc[:SAMPLE])
    first = str(values.iloc[0]).strip()
    if not WHOLE.fullmatch(first) and not DECIMAL_YEAR.fullmatch(first) and not patterns.guesses(first):
        return False  # most columns of a wide table end here
    for sample in (values.iloc[:SAMPLE], values):
        if sample.isna().any():
            return False
        unique = _strings(pd.factorize(sample)[1])
        if years := decimal_years(unique, number=False):
            if not (column.lower() in YEAR_NAMES or regular(unique, years)):
                return False
        elif WHOLE.fullmatch(unique[0]):
            numbers = whole_numbers(unique)
            found = None if numbers is None else number_format(numbers, column.lower(), unique, certain=not told)
            if found is None or (told and found.kind == "integer"):
                return False
        elif all(NUMBER.fullmatch(text) for text in unique) and not all(YEAR_MONTH.fullmatch(text) for text in unique):
            return False  # 1707.4 is a number, and no April
        else:
            array = pa.array(unique, pa.string())
            if not any(patterns.matches(array, p).all() for p in patterns.guesses(unique[0])):
                return False
    return True


def resembles_times(table: Table, column: str) -> bool:
    """Whether the first value has the shape of a time, or the name is one: parsing it then says what is wrong."""
    values = table.frame[column]
    if values.empty:
        return False
    first = str(values.iloc[0])
    shaped = bool(CLOCK_ONLY.fullmatch(first) or (patterns.guesses(first) and not WHOLE.fullmatch(first)))
    return shaped or column.lower() in TIME_NAMES


def _texts(texts: Texts, settings: TimeSettings) -> ParsedTimes:
    """Read times that are written as text or numbers."""
    if settings.date_format == DAY_NUMBERS:
        wall, whole = day_numbers(texts)
        zone = None if whole else settings.timezone
        return _localized(texts, wall, TimeFormat(kind="days", zone=zone), settings)
    number = pd.api.types.is_numeric_dtype(texts.table.frame[texts.column].dtype)
    if settings.date_format is None and not settings.steps and (years := decimal_years(texts.unique, number)):
        time_format = TimeFormat(kind="years", years=years)
        return ParsedTimes(read_years(texts.unique, years)[texts.codes], time_format)
    if settings.date_format is None and (settings.steps or WHOLE.fullmatch(texts.unique[0])):
        numbers = whole_numbers(texts.unique)
        if numbers is None:
            wrong = np.array([not is_whole_number(text) for text in texts.unique])
            place, text = texts.first_place(wrong)
            told = Setting("date_format", DAY_NUMBERS if is_day_number(text) else None)
            cure = Words("correct it, or pass ", told, ", if it is a spreadsheet's" if is_day_number(text) else "")
            raise BadData(f"'{text}' is not a whole number that can be a time", place=place, cure=cure)
        if settings.steps:
            return ParsedTimes(numbers[texts.codes], TimeFormat(kind="integer"))
        return _numbers(texts, numbers, settings)
    return _of_fields(texts, choose_pattern(texts, settings), settings)


def _of_fields(texts: Texts, fields: patterns.Fields, settings: TimeSettings) -> ParsedTimes:
    """Turn what a pattern found into instants."""
    if not fields.real.all():
        place, text = texts.first_place(~fields.real)
        raise no_such_time(place, text)
    _refuse_fractions(texts, fields.fraction, settings)
    pattern = fields.pattern
    if fields.offsets is None and not patterns.has_zone(pattern):
        # a date without a time of day has no clock, so no zone either
        zone = settings.timezone if patterns.has_clock(pattern) else None
        return _localized(texts, fields.wall, TimeFormat(kind="text", pattern=pattern, zone=zone), settings)
    offsets = fields.offsets if fields.offsets is not None else np.zeros_like(fields.wall)
    instants = fields.wall - offsets
    zone, pattern = _written_zone(texts, instants, offsets, settings, pattern)
    return ParsedTimes(instants[texts.codes], TimeFormat(kind="text", pattern=pattern, zone=zone))


def _localized(texts: Texts, wall: Integers, time_format: TimeFormat, settings: TimeSettings) -> ParsedTimes:
    """Turn readings of a wall clock into instants of the zone that `time_format` names, if any."""
    zone, codes = time_format.zone, texts.codes
    chosen, unclear = instants_at(wall, zone, "later" if settings.dst == "later" else "earlier")
    if not unclear.any():
        return ParsedTimes(chosen[codes], time_format)
    twice = unclear & (wall_clock(chosen, zone) == wall)
    early, late = (instants_at(wall, zone, dst)[0] for dst in ("earlier", "later"))
    both = np.flatnonzero(twice)
    alone, is_late = told_by_grid(chosen[~unclear], early[both], late[both])
    chosen[both] = np.where(alone, np.where(is_late, late[both], early[both]), chosen[both])
    twice[both[alone]] = unclear[both[alone]] = False
    instants, doubtful = chosen[codes], unclear[codes]
    by_series = bool(doubtful.any())
    known = np.zeros(len(codes), np.int64) if texts.series is None else texts.series
    settled, later = told_by_order(known, wall[codes], twice[codes])
    instants = np.where(settled, np.where(later, late[codes], early[codes]), instants)
    doubtful &= ~settled
    # what comes in several rows may be told by their order once it is known which series they belong to
    wait = doubtful & (twice & (np.bincount(codes) > 1))[codes] & (texts.series is None)
    doubtful &= ~wait
    if doubtful.any() and settings.dst == "error":
        row = int(np.argmax(doubtful))
        again = bool(twice[codes[row]])
        raise BadData(
            f"'{texts.unique[codes[row]]}' {'comes twice' if again else 'does not exist'} in {zone}, where the clock "
            "changes",
            place=texts.table.place(row, texts.column),
            cure=Words(
                "pass ",
                Setting("dst", "earlier"),
                " or ",
                Setting("dst", "later"),
                *(() if again else (", or no ", Setting("timezone"), ", if the clock of the table never changes")),
            ),
        )
    if settled.any() and texts.series is not None:
        name, count = texts.table.name, int(settled.sum())
        logger.warning("%s: times that come twice where the clock changes are told by their order: %d.", name, count)
    return ParsedTimes(instants, time_format, wait if wait.any() else None, by_series)


def _written_zone(
    texts: Texts, instants: Integers, offsets: Integers, settings: TimeSettings, pattern: str
) -> tuple[str, str]:
    """Name the zone of times that are written with offsets, and the pattern that writes them."""
    told = settings.timezone
    if told is not None and (offsets_at(instants, told) == offsets).all():
        return told, pattern
    if (offsets != offsets[0]).any():
        place, text = texts.first_place(offsets != offsets[0])
        follow = Words("they do not follow " if told else "pass their ", Setting("timezone", told))
        raise BadData(f"'{text}' has another offset from UTC than '{texts.unique[0]}'", place=place, cure=follow)
    if told is not None and offsets[0] == 0:
        return told, patterns.in_utc(pattern)  # days of the zone, written in UTC
    if told is not None:
        logger.warning(
            "%s: the times in column '%s' say their own zone (%s); %s is not used.",
            texts.table.name,
            texts.column,
            offset_name(int(offsets[0])),
            Setting("timezone", told),
        )
    return offset_name(int(offsets[0])), pattern


def _refuse_fractions(texts: Texts, fraction: bool, settings: TimeSettings) -> None:
    if fraction and not settings.fractions:
        raise BadData(
            f"times in column '{texts.column}' are finer than a second, the finest step there is",
            place=texts.table.name,
            cure=Words("pass ", Setting("freq", "1s"), " ", Setting("aggregate", "mean"), " (or sum, last)"),
        )


def _numbers(texts: Texts, numbers: Integers, settings: TimeSettings) -> ParsedTimes:
    """Read times that are whole numbers: dates without separators, years, epoch numbers or steps."""
    time_format = number_format(numbers, texts.column.lower(), texts.unique, certain=False)
    if time_format is None:
        raise _uncertain(texts, numbers)
    if time_format.kind == "integer":
        return ParsedTimes(numbers[texts.codes], time_format)
    if time_format.unit is not None:
        size = UNITS[time_format.unit]
        _refuse_fractions(texts, bool((numbers % size).any()), settings)
        return ParsedTimes((numbers // size)[texts.codes], time_format)
    if pd.api.types.is_numeric_dtype(texts.table.frame[texts.column].dtype):
        time_format = time_format.model_copy(update={"kind": "epoch"})
    plain = pa.array([text.partition(".")[0] for text in texts.unique], pa.string())
    fields = patterns.read(plain, time_format.pattern or "%Y")
    return ParsedTimes(fields.wall[texts.codes], time_format)


def _uncertain(texts: Texts, numbers: Integers) -> BadData:
    """Say which whole number is no time as the others are, or that it is open what all of them mean."""
    if found := nearly_format(numbers, texts.unique):
        wrong, meaning = found
        place, text = texts.first_place(wrong)
        usual = texts.unique[int(np.argmin(wrong))]
        cure = Words("correct it, or pass ", Setting("date_format"))
        return BadData(f"'{text}' is not {meaning} as '{usual}' is", place=place, cure=cure)
    count = Words(", or ", Setting("freq", "1"), " to count steps")
    place, text = texts.place(0), texts.unique[0]
    if all(is_day_number(one) for one in texts.unique):
        date = np.datetime64(int(numbers[0]) - EPOCH_DAY, "D")
        return BadData(
            f"'{text}' can be a spreadsheet's day number ({date}) or a step",
            place=place,
            cure=Words("pass ", Setting("date_format", DAY_NUMBERS), count),
        )
    return BadData(
        f"'{text}' is not certain as a time (epoch number, yyyymmdd or step)",
        place=place,
        cure=Words("write dates, pass ", Setting("date_format"), count),
    )


def _typed(
    table: Table, column: str, values: "pd.Series[Any]", settings: TimeSettings, series: Integers | None
) -> ParsedTimes:
    """Read a column of datetimes, dates or periods."""
    if isinstance(values.dtype, pd.PeriodDtype):
        name = str(values.dtype).removeprefix("period[").removesuffix("]")
        starts = pd.PeriodIndex(values).to_timestamp(how="start").as_unit("s").asi8
        return ParsedTimes(np.asarray(starts, np.int64), TimeFormat(kind="period", pattern=name))
    try:
        index = pd.DatetimeIndex(values)
    except (ValueError, TypeError) as error:
        raise BadData(f"{table.name}: column '{column}' cannot be read as times: {error}") from None
    seconds = np.asarray(index.as_unit("s").asi8, np.int64)
    unit = index.unit
    texts = Texts(table, column, np.arange(len(index)), [])
    _refuse_fractions(texts, bool((index.as_unit("s").as_unit(unit) != index).any()), settings)
    if index.tz is not None:
        zone = _zone_name(index.tz, index[0].utcoffset())
        return ParsedTimes(seconds, TimeFormat(kind="datetime", pattern="%z", unit=unit, zone=zone))
    codes, unique = pd.factorize(seconds)
    shown = [str(np.datetime64(int(value), "s")).replace("T", " ") for value in unique]
    dated = not (unique % patterns.DAY).any()  # dates without a time of day have no zone
    time_format = TimeFormat(kind="datetime", unit=unit, zone=None if dated else settings.timezone)
    return _localized(Texts(table, column, codes, shown, series), np.asarray(unique), time_format, settings)


def _zone_name(zone: tzinfo, offset: timedelta | None) -> str:
    """The IANA name of a zone object, or its fixed offset."""
    name = getattr(zone, "key", None) or getattr(zone, "zone", None)
    return str(name) if name else offset_name(int(offset.total_seconds()) if offset else 0)


def _check_same(table: Table, column: str, found: TimeFormat, fitted: TimeFormat) -> None:
    """Refuse times of another nature or zone than at fit."""
    if (found.kind == "integer") != (fitted.kind == "integer"):
        raise BadData(f"{table.name}: times in column '{column}' are not of the kind seen at fit (dates against steps)")
    if found.zone != fitted.zone:
        names = [f"of zone {zone}" if zone else "without a zone" for zone in (found.zone, fitted.zone)]
        raise BadData(f"{table.name}: times in column '{column}' are {names[0]}; at fit they were {names[1]}")


def _refuse_blank(table: Table, column: str, blank: "Flags | pd.Series[bool]") -> None:
    if blank.any():
        raise BadData(f"{table.place(_first(blank), column)}: the time is blank; fill it in or remove the row")


def _plain(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """The column itself, or what a categorical one stands for."""
    return values.astype(values.cat.categories.dtype) if isinstance(values.dtype, pd.CategoricalDtype) else values


def _strings(values: "pd.Index[Any]") -> list[str]:
    """Values as text, without the blanks around it."""
    return [str(value).strip() for value in np.asarray(values, object).tolist()]


def _is_text(values: "pd.Series[Any]") -> bool:
    return pd.api.types.is_string_dtype(values.dtype) and (values.empty or isinstance(values.iloc[0], str))


def _first(flags: "Flags | pd.Series[bool]") -> int:
    return int(np.argmax(np.asarray(flags)))
