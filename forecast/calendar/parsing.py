"""Parse the time column of a table, or one time that is given as an argument, into instants."""

import logging
from dataclasses import dataclass, replace

import numpy as np

from forecast.calendar import patterns
from forecast.calendar.cells import TimeCells, filled_cells, refuse_blank, typed_cells
from forecast.calendar.clock_change import resolve_by_grid, resolve_by_order
from forecast.calendar.inference import infer_pattern, no_such_time
from forecast.calendar.number_formats import (
    DAY_NUMBERS,
    DECIMAL_YEAR,
    EPOCH_DAY,
    UNITS,
    WHOLE,
    decimal_years,
    is_day_number,
    is_whole_number,
    number_format,
    parse_day_numbers,
    parse_decimal_years,
    usual_format,
    whole_numbers,
    without_point,
)
from forecast.calendar.patterns import ParsedTexts
from forecast.calendar.spec import TimeFormat, TimeSettings
from forecast.calendar.split_columns import read_split_times
from forecast.calendar.zones import DAY, Flags, Integers, instants_at, offset_name, offsets_at, wall_clock
from forecast.errors import BadData, Setting, UsageError, Words
from forecast.tables.distinct import encoded
from forecast.tables.table import Table
from forecast.tables.texts import pa

logger = logging.getLogger("forecast")


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
    """Parse the time column of a table, or the columns that make the time together.

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
    columns = (columns,) if isinstance(columns, str) else columns
    if len(columns) > 1:
        split = read_split_times(table, columns, settings, series)
        parsed = _from_pattern(split.cells, split.parsed, settings)
        parts = split.format.model_dump(include={"pattern", "parts", "kinds", "unit"})
        parsed = replace(parsed, format=parsed.format.model_copy(update=parts))
    elif len(table) and table.kind(columns[0]) not in ("text", "whole", "number", "boolean"):
        parsed = _from_typed(table, columns[0], settings, series)
    else:
        parsed = _from_cells(replace(filled_cells(table, columns[0]), series=series), settings)
    if settings.fitted is not None:
        _check_same(table, ", ".join(columns), parsed.format, settings.fitted)
    return parsed


def parse_instant(text: str, time_format: TimeFormat) -> int:
    """Parse a time that is given as the setting `origin`, on the clock of the table; a date is its midnight.

    Raises
    ------
    UsageError
        If it is no time, or could mean two.
    """
    kind = time_format.kind
    if time_format.years is not None and DECIMAL_YEAR.fullmatch(text):
        return int(parse_decimal_years([text], time_format.years)[0])
    if kind == "integer" or (kind == "epoch" and time_format.unit and WHOLE.fullmatch(text)):
        if not WHOLE.fullmatch(text):
            raise UsageError("not a whole number, as the times of the table are", setting=Setting("origin", text))
        return int(text.partition(".")[0]) // (1 if kind == "integer" else UNITS[time_format.unit or "s"])
    if kind == "days" and WHOLE.fullmatch(text):
        text = str(np.datetime64(int(text.partition(".")[0]) - EPOCH_DAY, "D"))
    of_table = (time_format.pattern,) if kind == "text" and time_format.pattern else ()
    array = pa.array([text], pa.string())
    instants: set[int] = set()
    for pattern in (*of_table, *patterns.guesses(text)):
        parsed = patterns.parse(array, pattern)
        if parsed.exists.all():
            if patterns.has_zone(pattern):
                offset = int(parsed.offsets[0]) if parsed.offsets is not None else 0
                instants.add(int(parsed.wall[0]) - offset)
            else:
                instants.add(int(instants_at(parsed.wall, time_format.zone, "earlier")[0][0]))
            if pattern in of_table:
                break
    if len(instants) != 1:
        reason = "can mean two times" if instants else "not a time"
        cure = "write it as 2024-01-31 or 2024-01-31T13:00:00"
        raise UsageError(reason, setting=Setting("origin", text), cure=cure)
    return instants.pop()


def _from_cells(cells: TimeCells, settings: TimeSettings) -> ParsedTimes:
    """Parse times that are written as text or numbers."""
    if settings.date_format == DAY_NUMBERS:
        wall, whole = parse_day_numbers(cells)
        zone = None if whole else settings.timezone
        return _from_wall(cells, wall, TimeFormat(kind="days", zone=zone), settings)
    if settings.date_format is not None:
        return _from_pattern(cells, infer_pattern(cells, settings), settings)
    if not settings.steps and (years := decimal_years(cells.texts, cells.kind == "number")):
        instants = parse_decimal_years(cells.texts, years)
        return ParsedTimes(instants[cells.codes], TimeFormat(kind="years", years=years))
    if settings.steps or WHOLE.fullmatch(cells.texts[0]):
        return _from_numbers(cells, settings)
    return _from_pattern(cells, infer_pattern(cells, settings), settings)


def _from_numbers(cells: TimeCells, settings: TimeSettings) -> ParsedTimes:
    """Parse times that are whole numbers: dates without separators, years, epoch numbers or steps."""
    numbers = whole_numbers(cells.texts)
    if numbers is None:
        place, text = cells.first(np.array([not is_whole_number(text) for text in cells.texts]))
        setting = Setting("date_format", DAY_NUMBERS if is_day_number(text) else None)
        cure = Words("correct it, or pass ", setting, ", if it is a spreadsheet's" if is_day_number(text) else "")
        raise BadData(f"'{text}' is not a whole number that can be a time", place=place, cure=cure)
    counted = TimeFormat(kind="integer") if settings.steps else None
    time_format = counted or number_format(numbers, cells.name, cells.texts, certain=False)
    if time_format is None:
        raise _uncertain(cells, numbers)
    if time_format.kind == "integer":
        return ParsedTimes(numbers[cells.codes], time_format)
    if time_format.unit is not None:
        size = UNITS[time_format.unit]
        _refuse_fractions(cells.table, cells.name, bool((numbers % size).any()), settings)
        return ParsedTimes((numbers // size)[cells.codes], time_format)
    if cells.kind == "number":
        time_format = time_format.model_copy(update={"kind": "epoch"})
    parsed = patterns.parse(without_point(cells.texts), time_format.pattern or "%Y")
    return ParsedTimes(parsed.wall[cells.codes], time_format)


def _from_typed(table: Table, column: str, settings: TimeSettings, series: Integers | None) -> ParsedTimes:
    """Take a column of datetimes, dates or periods."""
    refuse_blank(table, column, table.missing(column))
    try:
        times = table.times(column)
    except (ValueError, TypeError) as error:
        raise BadData(f"{table.name}: column '{column}' cannot be read as times: {error}") from None
    if times.period is not None:
        return ParsedTimes(times.instants, TimeFormat(kind="period", pattern=times.period))
    _refuse_fractions(table, column, times.fractions, settings)
    time_format = TimeFormat.model_validate({"kind": "datetime", "unit": times.unit})
    if times.offset is not None:
        zone = times.zone or offset_name(times.offset)
        return ParsedTimes(times.instants, time_format.model_copy(update={"pattern": "%z", "zone": zone}))
    cells = typed_cells(table, column, times, series)
    _, wall = encoded(times.wall)
    dated = not (wall % DAY).any()  # dates without a time of day have no zone
    zoned = time_format.model_copy(update={"zone": None if dated else settings.timezone})
    return _from_wall(cells, wall, zoned, settings)


def _from_pattern(cells: TimeCells, parsed: ParsedTexts, settings: TimeSettings) -> ParsedTimes:
    """Turn what a pattern reads into instants."""
    if not parsed.exists.all():
        raise no_such_time(*cells.first(~parsed.exists))
    _refuse_fractions(cells.table, cells.name, parsed.fractions, settings)
    pattern = parsed.pattern
    if parsed.offsets is None and not patterns.has_zone(pattern):
        # a date without a time of day has no clock, so no zone either
        zone = settings.timezone if patterns.has_clock(pattern) else None
        return _from_wall(cells, parsed.wall, TimeFormat(kind="text", pattern=pattern, zone=zone), settings)
    offsets = parsed.offsets if parsed.offsets is not None else np.zeros_like(parsed.wall)
    instants = parsed.wall - offsets
    zone, pattern = _written_zone(cells, instants, offsets, settings, pattern)
    return ParsedTimes(instants[cells.codes], TimeFormat(kind="text", pattern=pattern, zone=zone))


def _from_wall(cells: TimeCells, wall: Integers, time_format: TimeFormat, settings: TimeSettings) -> ParsedTimes:
    """Turn readings of a wall clock, [texts], into instants of the zone that `time_format` names, if any."""
    zone, codes = time_format.zone, cells.codes
    chosen, unclear = instants_at(wall, zone, "later" if settings.dst == "later" else "earlier")
    if not unclear.any():
        return ParsedTimes(chosen[codes], time_format)
    twice = unclear & (wall_clock(chosen, zone) == wall)
    early, late = (instants_at(wall, zone, dst)[0] for dst in ("earlier", "later"))
    both = np.flatnonzero(twice)
    alone, is_late = resolve_by_grid(chosen[~unclear], early[both], late[both])
    chosen[both] = np.where(alone, np.where(is_late, late[both], early[both]), chosen[both])
    twice[both[alone]] = unclear[both[alone]] = False
    instants, doubtful = chosen[codes], unclear[codes]
    by_series = cells.series is None and bool(doubtful.any())
    series = np.zeros(len(codes), np.int64) if cells.series is None else cells.series
    resolved, later = resolve_by_order(series, wall[codes], twice[codes])
    instants = np.where(resolved, np.where(later, late[codes], early[codes]), instants)
    doubtful &= ~resolved
    # the order of rows may resolve these times once the series of each row is known
    wait = doubtful & (twice & (np.bincount(codes) > 1))[codes] & (cells.series is None)
    doubtful &= ~wait
    if doubtful.any() and settings.dst == "error":
        raise _clock_changes(cells, int(np.argmax(doubtful)), twice, zone)
    if resolved.any() and cells.series is not None:
        name, count = cells.table.name, int(resolved.sum())
        logger.warning("%s: %d times that the clock shows twice are resolved by the order of their rows.", name, count)
    return ParsedTimes(instants, time_format, wait if wait.any() else None, by_series)


def _clock_changes(cells: TimeCells, row: int, twice: Flags, zone: str | None) -> BadData:
    """The error for a reading that a clock shows twice, or not at all."""
    value = int(cells.codes[row])
    again = bool(twice[value])
    return BadData(
        f"'{cells.texts[value]}' {'comes twice' if again else 'does not exist'} in {zone}, where the clock changes",
        place=cells.table.place(row, cells.columns),
        cure=Words(
            "pass ",
            Setting("dst", "earlier"),
            " or ",
            Setting("dst", "later"),
            *(() if again else (", or no ", Setting("timezone"), ", if the clock of the table never changes")),
        ),
    )


def _written_zone(
    cells: TimeCells, instants: Integers, offsets: Integers, settings: TimeSettings, pattern: str
) -> tuple[str, str]:
    """Name the zone of times that are written with offsets, and the pattern that writes them."""
    given = settings.timezone
    if given is not None and (offsets_at(instants, given) == offsets).all():
        return given, pattern
    if (offsets != offsets[0]).any():
        place, text = cells.first(offsets != offsets[0])
        follow = Words("they do not follow " if given else "pass their ", Setting("timezone", given))
        raise BadData(f"'{text}' has another offset from UTC than '{cells.texts[0]}'", place=place, cure=follow)
    if given is not None and offsets[0] == 0:
        return given, patterns.in_utc(pattern)  # days of the zone, written in UTC
    if given is not None:
        logger.warning(
            "%s: the times in column '%s' say their own zone (%s); %s is not used.",
            cells.table.name,
            cells.name,
            offset_name(int(offsets[0])),
            Setting("timezone", given),
        )
    return offset_name(int(offsets[0])), pattern


def _refuse_fractions(table: Table, name: str, fractions: bool, settings: TimeSettings) -> None:
    if fractions and not settings.fractions:
        raise BadData(
            f"times in column '{name}' are finer than a second, the finest step there is",
            place=table.name,
            cure=Words("pass ", Setting("freq", "1s"), " ", Setting("aggregate", "mean"), " (or sum, last)"),
        )


def _uncertain(cells: TimeCells, numbers: Integers) -> BadData:
    """Say which whole number is no time as the others are, or that it is open what all of them mean."""
    if usual := usual_format(numbers, cells.texts):
        wrong, meaning = usual
        place, text = cells.first(wrong)
        cure = Words("correct it, or pass ", Setting("date_format"))
        return BadData(
            f"'{text}' is not {meaning} as '{cells.texts[int(np.argmin(wrong))]}' is", place=place, cure=cure
        )
    count = Words(", or ", Setting("freq", "1"), " to count steps")
    text = cells.texts[0]
    if all(is_day_number(text) for text in cells.texts):
        date = np.datetime64(int(numbers[0]) - EPOCH_DAY, "D")
        return BadData(
            f"'{text}' can be a spreadsheet's day number ({date}) or a step",
            place=cells.place(),
            cure=Words("pass ", Setting("date_format", DAY_NUMBERS), count),
        )
    return BadData(
        f"'{text}' is not certain as a time (epoch number, yyyymmdd or step)",
        place=cells.place(),
        cure=Words("write dates, pass ", Setting("date_format"), count),
    )


def _check_same(table: Table, column: str, parsed: TimeFormat, fitted: TimeFormat) -> None:
    """Refuse times of another nature or zone than at fit."""
    if (parsed.kind == "integer") != (fitted.kind == "integer"):
        raise BadData(f"{table.name}: times in column '{column}' are not of the kind seen at fit (dates against steps)")
    if parsed.zone != fitted.zone:
        names = [f"of zone {zone}" if zone else "without a zone" for zone in (parsed.zone, fitted.zone)]
        raise BadData(f"{table.name}: times in column '{column}' are {names[0]}; at fit they were {names[1]}")
