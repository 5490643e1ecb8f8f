"""Turn the time column of a table into instants, and instants back into the way in which it was written."""

import logging
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from forecast.errors import BadData, UsageError
from forecast.series import patterns
from forecast.series.choosing import CLOCK_ONLY, Texts, choose_pattern
from forecast.series.epochs import SPREADSHEET, UNITS, WHOLE, is_whole_number, number_format, whole_numbers
from forecast.series.schema import Schema, TimeFormat
from forecast.series.table import Table
from forecast.series.zones import Flags, Integers, instants_at, offset_name, offsets_at, wall_clock, zone_of
from forecast.settings import TableSettings

logger = logging.getLogger("forecast")

TIME_NAMES = ("date", "datetime", "time", "timestamp", "ds", "date_time", "day", "month", "week", "quarter", "year",
              "period", "hour", "ts", "step", "t", "index")  # fmt: skip
SAMPLE = 50
LAST = 253_402_300_799  # the last second of the year 9999


@dataclass(frozen=True)
class ParsedTimes:
    """Times of the rows of a table.

    Attributes
    ----------
    instants : [rows], seconds since 1970-01-01: UTC where `format.zone` is set, else by the wall clock; or steps
    format : how the column is written
    """

    instants: Integers
    format: TimeFormat


def parse_times(table: Table, column: str, settings: TableSettings | Schema) -> ParsedTimes:
    """Read the time column of a table.

    Parameters
    ----------
    table : the table
    column : name of its time column
    settings : at fit the settings; later the schema, whose format of times is then tried first

    Raises
    ------
    BadData
        If a value is blank, is no time, does not exist, or could mean two times; with its place and the flag that
        settles it.
    """
    values = _plain(table.frame[column])
    if values.empty:
        raise BadData(f"{table.name}: column '{column}' has no rows")
    _refuse_blank(table, column, values.isna())
    if not _is_text(values) and not pd.api.types.is_numeric_dtype(values.dtype):
        parsed = _typed(table, column, values, settings)
    else:
        codes, unique = pd.factorize(values)
        texts = _strings(unique)
        _refuse_blank(table, column, np.array([text == "" for text in texts])[codes])
        parsed = _texts(Texts(table, column, codes, texts), settings)
    if isinstance(settings, Schema):
        _check_same(table, column, parsed.format, settings.time_format)
    return parsed


def looks_like_times(table: Table, column: str) -> bool:
    """Whether a column parses as times all the way down; numbers only where that is certain."""
    values = _plain(table.frame[column])
    if values.empty or pd.api.types.is_bool_dtype(values.dtype):
        return False
    if pd.api.types.is_datetime64_any_dtype(values.dtype) or isinstance(values.dtype, pd.PeriodDtype):
        return True
    if not _is_text(values) and not pd.api.types.is_numeric_dtype(values.dtype):
        return all(hasattr(value, "year") for value in values.iloc[:SAMPLE])
    first = str(values.iloc[0]).strip()
    if not WHOLE.fullmatch(first) and not patterns.guesses(first):
        return False  # most columns of a wide table end here
    for sample in (values.iloc[:SAMPLE], values):
        if sample.isna().any():
            return False
        unique = _strings(pd.factorize(sample)[1])
        if WHOLE.fullmatch(unique[0]):
            numbers = whole_numbers(unique)
            if numbers is None or number_format(numbers, column.lower(), unique, certain=True) is None:
                return False
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


def format_times(instants: Integers, time_format: TimeFormat) -> "pd.Index[Any]":
    """Write instants the way the time column was written.

    Parameters
    ----------
    instants : [n], as in `ParsedTimes`
    time_format : how the column was written

    Returns
    -------
    pandas.Index
        Text, whole numbers, datetimes (with a zone if the column had one) or periods, as the column had.
    """
    kind, zone, pattern = time_format.kind, time_format.zone, time_format.pattern
    if kind == "integer":
        return pd.Index(instants)
    if kind == "epoch" and pattern is None:
        return pd.Index(instants * UNITS[time_format.unit or "s"])
    if kind == "datetime":
        shown = instants if pattern == "%z" else wall_clock(instants, zone)
        datetimes = pd.DatetimeIndex(shown.astype("datetime64[s]")).as_unit(time_format.unit or "ns")
        return datetimes.tz_localize("UTC").tz_convert(zone_of(zone)) if pattern == "%z" and zone else datetimes
    if kind == "period":
        return pd.PeriodIndex(pd.DatetimeIndex(instants.astype("datetime64[s]")), freq=pattern)
    unique, codes = np.unique(instants, return_inverse=True)
    shown = wall_clock(unique, zone)
    if len(shown) and shown[-1] > LAST:
        raise BadData("the times to write lie after the year 9999; correct the last times of the table")
    texts = [patterns.write(int(w), int(w - i), pattern or "%Y-%m-%d") for w, i in zip(shown, unique, strict=True)]
    written = pd.Index([int(text) for text in texts] if kind == "epoch" else texts)
    return written.take(codes.reshape(-1))


def parse_instant(text: str, time_format: TimeFormat, flag: str = "--origin") -> int:
    """Read one time that is given as an argument, on the clock of the table; a date is its midnight.

    Raises
    ------
    UsageError
        If it is no time, or could mean two.
    """
    if time_format.kind == "integer" or (time_format.unit and time_format.kind == "epoch" and WHOLE.fullmatch(text)):
        if not WHOLE.fullmatch(text):
            raise UsageError(f"{flag} {text}: not a whole number, as the times of the table are")
        return int(text.partition(".")[0]) // (1 if time_format.kind == "integer" else UNITS[time_format.unit or "s"])
    own = (time_format.pattern,) if time_format.kind == "text" and time_format.pattern else ()
    array = pa.array([text], pa.string())
    found: set[int] = set()
    for pattern in (*own, *patterns.guesses(text)):
        fields = patterns.read(array, pattern)
        if fields.real.all():
            if patterns.has_zone(pattern):
                offset = int(fields.offsets[0]) if fields.offsets is not None else 0
                found.add(int(fields.wall[0]) - offset)
            else:
                found.add(int(instants_at(fields.wall, time_format.zone, "earlier")[0][0]))
            if pattern in own:
                break
    if len(found) != 1:
        reason = "can mean two times" if found else "not a time"
        raise UsageError(f"{flag} {text}: {reason}; write it as 2024-01-31 or 2024-01-31T13:00:00")
    return found.pop()


def _texts(texts: Texts, settings: TableSettings | Schema) -> ParsedTimes:
    """Read times that are written as text or numbers."""
    counted = isinstance(settings, Schema) and settings.time_format.kind == "integer"
    counted |= isinstance(settings, TableSettings) and bool(settings.freq and settings.freq.isdigit())
    if settings.date_format is None and (counted or WHOLE.fullmatch(texts.unique[0])):
        numbers = whole_numbers(texts.unique)
        if numbers is None:
            wrong = np.array([not is_whole_number(text) for text in texts.unique])
            place, text = texts.first_place(wrong)
            raise BadData(
                f"{place}: '{text}' is not a whole number that can be a time; correct it, or pass --date-format"
            )
        if counted:
            return ParsedTimes(numbers[texts.codes], TimeFormat(kind="integer"))
        return _numbers(texts, numbers, settings)
    fields = choose_pattern(texts, settings)
    if not fields.real.all():
        place, text = texts.first_place(~fields.real)
        raise BadData(f"{place}: '{text}' does not exist as a date and time; correct it, or pass --date-format")
    _refuse_fractions(texts, fields.fraction, settings)
    pattern = fields.pattern
    if fields.offsets is None and not patterns.has_zone(pattern):
        # a date without a time of day has no clock, so no zone either
        zone = settings.timezone if patterns.has_clock(pattern) else None
        return _localized(texts, fields.wall, TimeFormat(kind="text", pattern=pattern, zone=zone), settings)
    offsets = fields.offsets if fields.offsets is not None else np.zeros_like(fields.wall)
    instants = fields.wall - offsets
    zone = _written_zone(texts, instants, offsets, settings)
    return ParsedTimes(instants[texts.codes], TimeFormat(kind="text", pattern=pattern, zone=zone))


def _localized(texts: Texts, wall: Integers, time_format: TimeFormat, settings: TableSettings | Schema) -> ParsedTimes:
    """Turn readings of a wall clock into instants of the zone that `time_format` names, if any."""
    instants, unclear = instants_at(wall, time_format.zone, "later" if settings.dst == "later" else "earlier")
    if unclear.any() and settings.dst == "error":
        place, text = texts.first_place(unclear)
        raise BadData(
            f"{place}: '{text}' comes twice or not at all in {time_format.zone}, where the clock changes; "
            "pass --dst earlier or --dst later"
        )
    return ParsedTimes(instants[texts.codes], time_format)


def _written_zone(texts: Texts, instants: Integers, offsets: Integers, settings: TableSettings | Schema) -> str:
    """Name the zone of times that are written with offsets."""
    if settings.timezone is not None and (offsets_at(instants, settings.timezone) == offsets).all():
        return settings.timezone
    if (offsets != offsets[0]).any():
        place, text = texts.first_place(offsets != offsets[0])
        follow = f"they do not follow --timezone {settings.timezone}" if settings.timezone else "pass their --timezone"
        raise BadData(f"{place}: '{text}' has another offset from UTC than '{texts.unique[0]}'; {follow}")
    if settings.timezone is not None:
        logger.warning(
            "%s: the times in column '%s' say their own zone (%s); --timezone %s is not used.",
            texts.table.name,
            texts.column,
            offset_name(int(offsets[0])),
            settings.timezone,
        )
    return offset_name(int(offsets[0]))


def _refuse_fractions(texts: Texts, fraction: bool, settings: TableSettings | Schema) -> None:
    if fraction and settings.aggregate is None:
        raise BadData(
            f"{texts.table.name}: times in column '{texts.column}' are finer than a second, the finest step there is; "
            "pass --freq 1s --aggregate mean (or sum, last)"
        )


def _numbers(texts: Texts, numbers: Integers, settings: TableSettings | Schema) -> ParsedTimes:
    """Read times that are whole numbers: dates without separators, years, epoch numbers or steps."""
    time_format = number_format(numbers, texts.column.lower(), texts.unique, certain=False)
    if time_format is None:
        low, high = int(numbers.min()), int(numbers.max())
        if SPREADSHEET[0] <= low and high <= SPREADSHEET[1]:
            meaning = "can be a spreadsheet's day number or a step; write dates, or pass --freq 1 to count steps"
        else:
            meaning = "is not certain as a time (epoch number, yyyymmdd or step); write dates, pass --date-format, "
            meaning += "or --freq 1 to count steps"
        raise BadData(f"{texts.place(0)}: '{texts.unique[0]}' {meaning}")
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


def _typed(table: Table, column: str, values: "pd.Series[Any]", settings: TableSettings | Schema) -> ParsedTimes:
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
    return _localized(Texts(table, column, codes, shown), np.asarray(unique), time_format, settings)


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
