"""Parse the times of a table into timestamps, and write timestamps as the table had them."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from forecast.calendar import patterns
from forecast.calendar.cells import (
    NUMBERS,
    UNITS,
    TimeCells,
    filled_cells,
    infer_numbers,
    is_number,
    read_numbers,
    refuse_blank,
    typed_cells,
    write_numbers,
)
from forecast.calendar.inference import Names, infer_pattern, no_such_time, read_split_times
from forecast.calendar.patterns import ParsedTexts
from forecast.calendar.spec import TimeFormat, TimeSettings
from forecast.calendar.zones import (
    DAY,
    offset_name,
    offsets_at,
    resolve_by_order,
    timestamps_at,
    wall_clock,
    zone_of,
)
from forecast.errors import BadData, Setting, UsageError, Words
from forecast.logs import log
from forecast.tables.table import Flags, Integers, Table, encoded
from forecast.tables.writing import Column

LAST_SECOND = 253_402_300_799  # the last second of the year 9999


@dataclass(frozen=True)
class ParsedTimes:
    timestamps: Integers  # [rows], seconds since 1970-01-01: UTC where `format` has a zone, else by the clock; or steps
    format: TimeFormat
    unresolved: Flags | None = (
        None  # [rows], readings that come twice where the clock changes, until series are known
    )
    needs_series: bool = (
        False  # readings depend on the series of their rows: parse again once the series are known
    )

    def rows(self, chosen: Flags) -> "ParsedTimes":
        part = None if self.unresolved is None else self.unresolved[chosen]
        return replace(self, timestamps=self.timestamps[chosen], unresolved=part)


def parse_times(
    table: Table, columns: Names, settings: TimeSettings, series: Integers | None = None
) -> ParsedTimes:
    """Parse the time column of a table, or the columns that make the time together.

    `series` [rows] is None before it is known which series each row belongs to.
    """
    if len(columns) > 1:
        cells, read, written = read_split_times(table, columns, settings)
        parsed = _from_pattern(replace(cells, series=series), read, settings)
        inferred = {"zone": parsed.format.zone, "pivot": parsed.format.pivot}
        parsed = replace(parsed, format=written.model_copy(update=inferred))
    elif len(table) and table.kind(columns[0]) not in ("text", "whole", "number", "boolean"):
        parsed = _from_typed(table, columns[0], settings, series)
    else:
        parsed = _from_cells(replace(filled_cells(table, columns[0]), series=series), settings)
    if (fitted := settings.fitted) is not None:
        now, before = map(_clock_of, (parsed.format, fitted))
        if now != before:
            raise BadData(
                f"{table.name}: times in column '{', '.join(columns)}' are {now}; at fit they were {before}"
            )
    return parsed


def _clock_of(time_format: TimeFormat) -> str:
    if time_format.kind == "integer":
        return "steps"
    return f"dates of zone {time_format.zone}" if time_format.zone else "dates without a zone"


def parse_timestamp(text: str, time_format: TimeFormat) -> int:
    """Parse a time that is given as the setting `origin`, on the clock of the table; a date is its midnight."""
    setting = Setting("origin", text)
    if is_number(time_format) and NUMBERS[time_format.kind](text):
        wall = read_numbers([text], time_format)
        return int(timestamps_at(wall, time_format.zone, "earlier")[0][0])
    if time_format.kind == "integer":
        raise UsageError("not a whole number, as the times of the table are", setting=setting)
    of_table = (time_format.pattern,) if time_format.kind == "text" and time_format.pattern else ()
    timestamps: set[int] = set()
    for pattern in (*of_table, *patterns.guesses(text)):
        parsed = patterns.parse(pa.array([text], pa.string()), pattern, time_format.pivot)
        if parsed.exists.all():
            zone = "UTC" if patterns.has_zone(pattern) else time_format.zone
            timestamps.add(
                int((timestamps_at(parsed.wall, zone, "earlier")[0] - parsed.offsets)[0])
            )
            if pattern in of_table:
                break
    if len(timestamps) != 1:
        reason = "can mean two times" if timestamps else "not a time"
        raise UsageError(
            reason, setting=setting, cure="write it as 2024-01-31 or 2024-01-31T13:00:00"
        )
    return timestamps.pop()


def _from_cells(cells: TimeCells, settings: TimeSettings) -> ParsedTimes:
    time_format = infer_numbers(cells, settings)
    if time_format is None:
        return _from_pattern(cells, infer_pattern(cells, settings), settings)
    if not is_number(time_format):  # a date without separators
        wall = patterns.parse(cells.plain().array, time_format.pattern or "%Y").wall
        return _from_wall(cells, wall, time_format, settings)
    if time_format.unit and cells.numbers is not None:
        fractions = bool((cells.numbers % UNITS[time_format.unit]).any())
        _refuse_fractions(cells.table, cells.name, fractions, settings)
    wall = read_numbers(cells.texts, time_format)
    if time_format.kind == "days" and (wall % DAY).any():
        time_format = time_format.model_copy(update={"zone": settings.timezone})
    return _from_wall(cells, wall, time_format, settings)


def _from_typed(
    table: Table, column: str, settings: TimeSettings, series: Integers | None
) -> ParsedTimes:
    refuse_blank(table, column, table.missing(column))
    try:
        times = table.times(column)
    except (ValueError, TypeError) as error:
        raise BadData(f"{table.name}: column '{column}' cannot be read as times: {error}") from None
    if times.period is not None:
        return ParsedTimes(times.timestamps, TimeFormat(kind="period", pattern=times.period))
    _refuse_fractions(table, column, times.fractions, settings)
    time_format = TimeFormat.model_validate({"kind": "datetime", "unit": times.unit})
    if times.offset is not None:
        aware = {"pattern": "%z", "zone": times.zone or offset_name(times.offset)}
        return ParsedTimes(times.timestamps, time_format.model_copy(update=aware))
    if (
        settings.timezone is None or not (times.wall % DAY).any()
    ):  # dates without a time of day have no zone
        return ParsedTimes(times.wall, time_format)
    cells, zone = typed_cells(table, column, times, series), {"zone": settings.timezone}
    return _from_wall(cells, encoded(times.wall)[1], time_format.model_copy(update=zone), settings)


def _from_pattern(cells: TimeCells, parsed: ParsedTexts, settings: TimeSettings) -> ParsedTimes:
    if not parsed.exists.all():
        raise no_such_time(cells, ~parsed.exists)
    _refuse_fractions(cells.table, cells.name, parsed.fractions, settings)
    if not patterns.has_zone(parsed.pattern):
        # a date without a time of day has no clock, so no zone either
        zone = settings.timezone if patterns.has_clock(parsed.pattern) else None
        written = TimeFormat(pattern=parsed.pattern, zone=zone, pivot=parsed.pivot)
        return _from_wall(cells, parsed.wall, written, settings)
    timestamps = parsed.wall - parsed.offsets
    zone, pattern = _written_zone(cells, timestamps, parsed, settings)
    return ParsedTimes(
        timestamps[cells.codes], TimeFormat(pattern=pattern, zone=zone, pivot=parsed.pivot)
    )


def _from_wall(
    cells: TimeCells, wall: Integers, time_format: TimeFormat, settings: TimeSettings
) -> ParsedTimes:
    """Turn readings of a wall clock, [texts], into timestamps of the zone that `time_format` names, if any."""
    zone, codes, known = time_format.zone, cells.codes, cells.series is not None
    (early, unclear), (late, _) = (timestamps_at(wall, zone, dst) for dst in ("earlier", "later"))
    chosen = late if settings.dst == "later" else early
    if not unclear.any():
        return ParsedTimes(chosen[codes], time_format)
    twice = unclear & (wall_clock(chosen, zone) == wall)
    series = cells.series if cells.series is not None else np.zeros(len(codes), np.int64)
    resolved, later = resolve_by_order(series, wall[codes], twice[codes])
    timestamps = np.where(resolved, np.where(later, late[codes], early[codes]), chosen[codes])
    ambiguous = unclear[codes] & ~resolved
    # the order of rows may resolve these times once the series of each row is known
    unresolved = ambiguous & (twice & (np.bincount(codes) > 1))[codes] & (not known)
    if (ambiguous & ~unresolved).any() and settings.dst == "error":
        row = int(np.argmax(ambiguous & ~unresolved))
        repeated = twice[codes[row]]
        ways = ("pass ", Setting("dst", "earlier"), " or ", Setting("dst", "later"))
        without = (
            ()
            if repeated
            else (", or no ", Setting("timezone"), ", if the clock of the table never changes")
        )
        fault = (
            f"{'comes twice' if repeated else 'does not exist'} in {zone}, where the clock changes"
        )
        problem = f"'{cells.texts[codes[row]]}' {fault}"
        raise BadData(
            problem, place=cells.table.place(row, cells.columns), cure=Words(*ways, *without)
        )
    if resolved.any() and known:
        name, count = cells.table.name, int(resolved.sum())
        log.warning(
            "%s: %d times that the clock shows twice are resolved by the order of their rows.",
            name,
            count,
        )
    return ParsedTimes(timestamps, time_format, unresolved if unresolved.any() else None, not known)


def _written_zone(
    cells: TimeCells, times: Integers, parsed: ParsedTexts, settings: TimeSettings
) -> tuple[str, str]:
    """Name the zone of times that are written with offsets, and the pattern that writes them."""
    offsets, pattern, given = parsed.offsets, parsed.pattern, settings.timezone
    several = offsets != offsets[0]
    if given is None and several.any():
        cure = ("pass the ", Setting("timezone"), " to which all of them are converted")
        raise cells.fault(
            f"has another offset from UTC than '{cells.texts[0]}'", *cure, wrong=several
        )
    zone = offset_name(int(offsets[0]))
    if given is None or given == zone:
        return zone, pattern
    fitted = settings.fitted  # of which several offsets were converted
    converted = fitted is not None and fitted.zone == given and zone != "UTC"
    if converted or several.any() or (offsets_at(times, given) == offsets).all():
        return given, pattern
    if zone == "UTC":
        for any_offset, utc in patterns.ZERO.items():  # days of the zone, written in UTC
            pattern = pattern.replace(any_offset, utc)
        return given, pattern
    warning = "%s: the times in column '%s' say their own zone (%s); %s is not used."
    log.warning(warning, cells.table.name, cells.name, zone, Setting("timezone", given))
    return zone, pattern


def _refuse_fractions(table: Table, name: str, fractions: bool, settings: TimeSettings) -> None:
    if fractions and not settings.fractions:
        cure = Words(
            "pass ", Setting("freq", "1s"), " ", Setting("aggregate", "mean"), " (or sum, last)"
        )
        problem = f"times in column '{name}' are finer than a second, the finest step there is"
        raise BadData(problem, place=table.name, cure=cure)


def format_times(timestamps: Integers, time_format: TimeFormat) -> Column:
    """Write timestamps [n] as text, numbers, datetimes or periods; those of several columns as one text."""
    kind, zone, pattern = time_format.kind, time_format.zone, time_format.pattern
    if kind == "period":
        return Column(timestamps.astype("datetime64[s]"), period=pattern)
    if kind == "datetime":
        aware = zone if pattern == "%z" else None
        shown = timestamps if aware else wall_clock(timestamps, zone)
        return Column(
            shown.astype("datetime64[s]"),
            time_format.unit or "ns",
            zone_of(aware) if aware else None,
        )
    if is_number(time_format):
        return Column(write_numbers(wall_clock(timestamps, zone), time_format))
    texts = _texts(timestamps, pattern or "%Y-%m-%d", zone)
    return Column(texts.astype(np.int64) if kind == "epoch" else texts)


def format_columns(timestamps: Integers, time_format: TimeFormat) -> list[Column]:
    """Write timestamps into the columns that they were read from together."""
    types = {"datetime": "datetime64[s]", "number": "int64", "text": "O"}
    columns: list[Column] = []
    for pattern, kind in zip(time_format.parts, time_format.kinds, strict=True):
        texts = _texts(timestamps, pattern, time_format.zone, time_format.pattern)
        columns.append(Column(texts.astype(types[kind]), time_format.unit or "ns"))
    return columns


def format_timestamp(timestamp: int, time_format: TimeFormat) -> str:
    timestamps = np.array([timestamp], np.int64)
    if time_format.kind in ("integer", "years"):
        return format_times(timestamps, time_format).texts()[0]
    pattern = (
        time_format.pattern
        if time_format.kind == "text" and time_format.pattern
        else "%Y-%m-%d %H:%M:%S"
    )
    return str(_texts(timestamps, pattern, time_format.zone)[0]).removesuffix(" 00:00:00")


def _texts(
    timestamps: Integers, pattern: str, zone: str | None, whole: str | None = None
) -> NDArray[np.object_]:
    """[n], timestamps written by a pattern, on the clock that the pattern `whole` of the whole time shows."""
    unique, codes = np.unique(timestamps, return_inverse=True)
    wall = unique if patterns.is_utc(whole or pattern) else wall_clock(unique, zone)
    if len(wall) and wall[-1] > LAST_SECOND:
        problem = "the times of the forecasts lie after the year 9999"
        raise BadData(problem, cure="correct the last times of the table, or forecast fewer steps")
    return np.array(patterns.write(wall, unique, pattern), object)[codes.reshape(-1)]
