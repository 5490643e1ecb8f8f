"""Parse the times of a table into timestamps, and write timestamps as the table had them."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from forecast.calendar import patterns
from forecast.calendar.inference import infer_pattern, no_such_time, read_split_times
from forecast.calendar.patterns import ParsedTexts
from forecast.calendar.spec import TimeFormat, TimeSettings
from forecast.calendar.time_cells import (
    TimeCells,
    filled_cells,
    infer_numbers,
    is_number,
    is_whole_number,
    read_numbers,
    refuse_blank,
    typed_cells,
    write_numbers,
)
from forecast.calendar.zones import (
    DAY,
    find_zone,
    offset_name,
    offsets_at,
    resolve_by_order,
    timestamps_at,
    wall_clock,
)
from forecast.errors import BadData, Setting, UsageError
from forecast.logs import log
from forecast.tables.table import PER_SECOND, Flags, Integers, Names, Table, encode, in_seconds
from forecast.tables.writing import Column


@dataclass(frozen=True)
class ParsedTimes:
    # [rows], seconds since 1970-01-01, in UTC if `format` has a zone, else on the wall clock; or
    # numbers of steps
    timestamps: Integers
    format: TimeFormat
    # [rows], which times occur twice because the clock changes, and stay unresolved until the
    # series of the rows are known
    unresolved: Flags | None = None
    # whether times depend on the series of their rows: parse again once the series are known
    needs_series: bool = False

    def rows(self, chosen: Flags) -> "ParsedTimes":
        unresolved = None if self.unresolved is None else self.unresolved[chosen]
        return replace(self, timestamps=self.timestamps[chosen], unresolved=unresolved)


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
    elif table.kind(columns[0]) in ("datetime", "date", "period", "other"):
        parsed = _parse_typed_column(table, columns[0], settings, series)
    else:
        cells = filled_cells(table, columns[0])
        parsed = _from_cells(replace(cells, series=series), settings)

    clock = _find_clock(parsed.format)
    clock_at_fit = clock if settings.fitted is None else _find_clock(settings.fitted)
    if clock != clock_at_fit:
        raise BadData(
            f"{table.name}: times in column '{', '.join(columns)}' are {clock}; at fit they were "
            f"{clock_at_fit}"
        )
    return parsed


def _find_clock(time_format: TimeFormat) -> str:
    if time_format.kind == "integer":
        return "steps"
    return f"dates of zone {time_format.zone}" if time_format.zone else "dates without a zone"


def parse_timestamp(text: str, time_format: TimeFormat, name: str = "origin") -> int:
    """Parse the setting `name`, on the clock of the table; a date means its midnight."""
    setting = Setting(name, text)
    if is_number(time_format) and is_whole_number(text):
        return _earlier(read_numbers([text], time_format), time_format.zone)
    if time_format.kind == "integer":
        raise UsageError("not a whole number, as the times of the table are", setting=setting)
    of_table = [time_format.pattern] if time_format.kind == "text" and time_format.pattern else []
    readings = set()
    for choices in (of_table, patterns.guesses(text)):
        for pattern in choices:
            parsed = patterns.parse(pa.array([text]), pattern, time_format.pivot)
            if parsed.exists.all():
                zone = "UTC" if patterns.has_zone(pattern) else time_format.zone
                readings.add(_earlier(parsed.wall - parsed.offsets, zone))
        if len(readings) == 1:
            return readings.pop()
    problem = "can mean two times" if readings else "not a time"
    raise UsageError(problem, setting=setting, cure="write it as 2024-01-31 or 2024-01-31T13:00:00")


def _earlier(wall: Integers, zone: str | None) -> int:
    return int(timestamps_at(wall, zone, "earlier")[0][0])


def _from_cells(cells: TimeCells, settings: TimeSettings) -> ParsedTimes:
    time_format = infer_numbers(cells, settings)
    if time_format is None:
        return _from_pattern(cells, infer_pattern(cells, settings), settings)
    if time_format.pattern:  # a date without separators
        wall = patterns.parse(cells.array, time_format.pattern).wall
        return _from_wall(cells, wall, time_format, settings)
    if time_format.unit and cells.numbers is not None:
        fractions = bool((cells.numbers % PER_SECOND[time_format.unit]).any())
        _refuse_fractions(cells.table, cells.name, fractions, settings)
    return _from_wall(cells, read_numbers(cells.texts, time_format), time_format, settings)


def _parse_typed_column(
    table: Table, column: str, settings: TimeSettings, series: Integers | None
) -> ParsedTimes:
    refuse_blank(table, column, table.find_blanks(column))
    try:
        times = table.times(column)
        if isinstance(times, pd.PeriodIndex):
            starts = in_seconds(times.to_timestamp(how="start"))
            period = str(times.dtype)[len("period[") : -1]
            return ParsedTimes(starts, TimeFormat(kind="period", pattern=period))
    except (ValueError, TypeError) as error:
        raise BadData(f"{table.name}: column '{column}' cannot be read as times: {error}") from None
    fractions = bool((times.asi8 % PER_SECOND[times.unit]).any())
    _refuse_fractions(table, column, fractions, settings)
    timestamps = in_seconds(times)
    if times.tz is not None:
        zone = getattr(times.tz, "key", None) or getattr(times.tz, "zone", None)
        offset = in_seconds(times[:1].tz_localize(None)) - timestamps[:1]
        zone = zone or offset_name(int(offset[0]))
        aware = TimeFormat(kind="datetime", unit=times.unit, pattern="%z", zone=zone)
        return ParsedTimes(timestamps, aware)
    zone = settings.timezone if (timestamps % DAY).any() else None  # dates have no zone
    time_format = TimeFormat(kind="datetime", unit=times.unit, zone=zone)
    if zone is None:
        return ParsedTimes(timestamps, time_format)
    _, wall = encode(timestamps)
    return _from_wall(typed_cells(table, column, times, series), wall, time_format, settings)


def _from_pattern(cells: TimeCells, parsed: ParsedTexts, settings: TimeSettings) -> ParsedTimes:
    if not parsed.exists.all():
        raise no_such_time(cells, ~parsed.exists)
    _refuse_fractions(cells.table, cells.name, parsed.fractions, settings)
    if patterns.has_zone(parsed.pattern):
        timestamps = parsed.wall - parsed.offsets
        zone, pattern = _written_zone(cells, timestamps, parsed, settings)
        written = TimeFormat(pattern=pattern, zone=zone, pivot=parsed.pivot)
        return ParsedTimes(timestamps[cells.codes], written)
    # a date without a time of day has no clock, so no zone either
    clock_zone = settings.timezone if patterns.has_clock(parsed.pattern) else None
    written = TimeFormat(pattern=parsed.pattern, zone=clock_zone, pivot=parsed.pivot)
    return _from_wall(cells, parsed.wall, written, settings)


def _from_wall(
    cells: TimeCells, wall: Integers, time_format: TimeFormat, settings: TimeSettings
) -> ParsedTimes:
    """Turn readings of a wall clock, [texts], into timestamps of the zone of `time_format`."""
    zone = time_format.zone
    codes = cells.codes
    early, unclear = timestamps_at(wall, zone, "earlier")
    if not unclear.any():
        return ParsedTimes(early[codes], time_format)
    late, _ = timestamps_at(wall, zone, "later")
    chosen = late if settings.dst == "later" else early
    twice = unclear & (wall_clock(chosen, zone) == wall)

    series = cells.series
    known = series is not None
    if series is None:
        series = np.zeros(len(codes), np.int64)
    resolved, later = resolve_by_order(series, wall[codes], twice[codes])
    by_order = np.where(later, late[codes], early[codes])
    timestamps = np.where(resolved, by_order, chosen[codes])
    ambiguous = unclear[codes] & ~resolved
    # the order of rows may resolve these times once the series of each row is known
    several = (np.bincount(codes) > 1)[codes]
    unresolved = ambiguous & twice[codes] & several & (not known)
    refused = ambiguous & ~unresolved
    if refused.any() and settings.dst == "error":
        raise _build_clock_error(cells, int(np.argmax(refused)), twice, str(zone))
    if resolved.any() and known:
        log.warning(
            "%s: %d times that the clock shows twice are resolved by the order of their rows.",
            cells.table.name,
            resolved.sum(),
        )
    return ParsedTimes(timestamps, time_format, unresolved if unresolved.any() else None, not known)


def _build_clock_error(cells: TimeCells, row: int, twice: Flags, zone: str) -> BadData:
    """Return the error for a time that occurs `twice` [texts] on the clock of a zone, or never."""
    code = cells.codes[row]
    fault = "comes twice" if twice[code] else "does not exist"
    cure = f"pass {Setting('dst', 'earlier')} or {Setting('dst', 'later')}"
    if not twice[code]:
        no_zone = Setting("timezone")
        cure = f"{cure}, or no {no_zone}, if the clock of the table never changes"
    return BadData(
        f"'{cells.texts[code]}' {fault} in {zone}, where the clock changes",
        place=cells.table.place(row, cells.columns),
        cure=cure,
    )


def _written_zone(
    cells: TimeCells, times: Integers, parsed: ParsedTexts, settings: TimeSettings
) -> tuple[str, str]:
    """Return the zone of times that are written with offsets, and the pattern that writes them."""
    offsets = parsed.offsets
    pattern = parsed.pattern
    wanted = settings.timezone
    zone = offset_name(int(offsets[0]))
    several = offsets != offsets[0]
    if wanted is None and several.any():
        cure = ("pass the ", Setting("timezone"), " to which all of them are converted")
        raise cells.fault(
            f"has another offset from UTC than '{cells.texts[0]}'", *cure, wrong=several
        )
    if wanted is None or wanted == zone:
        return zone, pattern
    fitted = settings.fitted  # of which several offsets were converted
    converted = fitted is not None and fitted.zone == wanted and zone != "UTC"
    if converted or several.any() or (offsets_at(times, wanted) == offsets).all():
        return wanted, pattern
    if zone == "UTC":
        for any_offset, utc in patterns.ZERO.items():  # days of the zone, written in UTC
            pattern = pattern.replace(any_offset, utc)
        return wanted, pattern
    log.warning(
        "%s: the times in column '%s' say their own zone (%s); %s is not used.",
        cells.table.name,
        cells.name,
        zone,
        Setting("timezone", wanted),
    )
    return zone, pattern


def _refuse_fractions(table: Table, name: str, fractions: bool, settings: TimeSettings) -> None:
    if fractions and not settings.fractions:
        freq = Setting("freq", "1s")
        raise BadData(
            f"times in column '{name}' are finer than a second, the finest step there is",
            place=table.name,
            cure=f"pass {freq} {Setting('aggregate', 'mean')} (or sum, last)",
        )


def format_times(timestamps: Integers, time_format: TimeFormat) -> Column:
    """Write timestamps [n] as text, numbers, datetimes or periods; several columns as one text."""
    pattern = time_format.pattern
    if time_format.kind == "period":
        return Column(timestamps.astype("datetime64[s]"), period=pattern)
    wall = wall_clock(timestamps, time_format.zone)
    if time_format.kind == "datetime":
        unit = time_format.unit or "ns"
        if pattern == "%z":
            zone = find_zone(time_format.zone or "UTC")
            return Column(timestamps.astype("datetime64[s]"), unit, zone)
        return Column(wall.astype("datetime64[s]"), unit)
    if is_number(time_format):
        return Column(write_numbers(wall, time_format))
    texts = _texts(timestamps, pattern or "%Y-%m-%d", time_format.zone)
    return Column(texts.astype(np.int64) if time_format.kind == "epoch" else texts)


def format_columns(timestamps: Integers, time_format: TimeFormat) -> list[Column]:
    """Write timestamps into the columns that they were read from together."""
    types = {"datetime": "datetime64[s]", "number": "int64", "text": "O"}
    columns = []
    for pattern, kind in zip(time_format.parts, time_format.kinds, strict=True):
        texts = _texts(timestamps, pattern, time_format.zone, time_format.pattern)
        columns.append(Column(texts.astype(types[kind]), time_format.unit or "ns"))
    return columns


def format_timestamp(timestamp: int, time_format: TimeFormat) -> str:
    timestamps = np.array([timestamp], np.int64)
    if time_format.kind == "integer":
        return format_times(timestamps, time_format).texts()[0]
    written = time_format.pattern if time_format.kind == "text" else None
    texts = _texts(timestamps, written or "%Y-%m-%d %H:%M:%S", time_format.zone)
    return str(texts[0]).removesuffix(" 00:00:00")


def _texts(
    timestamps: Integers, pattern: str, zone: str | None, whole: str | None = None
) -> NDArray[np.object_]:
    """[n], timestamps written by a pattern, on the clock of the pattern `whole` of all columns."""
    unique, codes = np.unique(timestamps, return_inverse=True)
    wall = unique if patterns.is_utc(whole or pattern) else wall_clock(unique, zone)
    if len(wall) and wall[-1] > 253_402_300_799:  # the last second of 9999
        raise BadData(
            "the times of the forecasts lie after the year 9999",
            cure="correct the last times of the table, or forecast fewer steps",
        )
    texts = np.array(patterns.write(wall, unique, pattern), object)
    return texts[codes.reshape(-1)]
