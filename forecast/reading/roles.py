"""Find which columns are ids, which is the target, and which only repeat the calendar."""

import re
from itertools import chain, combinations

import numpy as np

from forecast.calendar.inference import TIME_NAMES, part_named
from forecast.calendar.parsing import ParsedTimes, format_timestamp
from forecast.calendar.zones import (
    DAY,
    HOUR,
    MINUTE,
    Flags,
    Integers,
    first_days,
    months_of,
    wall_clock,
    zone_cure,
)
from forecast.errors import BadData, Setting, UsageError, Words
from forecast.panel.schema import Names
from forecast.reading.observations import id_codes
from forecast.settings import TableSettings
from forecast.tables.cells import counted_values, is_blank, is_whole, parse_columns
from forecast.tables.table import Table, repeats, rows_text

TARGET_NAMES = ("y", "target", "value", "sales", "units", "demand")
AVAILABLE_AT = "available_at"  # the column that says when values known in advance became available
# if ids leave at most this share of rows repeated, they are right, and the rows are duplicates
MAX_REPEATED = 0.05
MIN_ROWS = 10  # a column that equals the calendar in this many rows does not do so by chance
ROW_NUMBER = "row number"
CODE = re.compile(r"\s*0[0-9]+\s*")  # such as 007
FULL_YEAR = re.compile(r"[12]\d{3}(\.0*)?")
# names of columns of each kind, whole or as a part of the name
CALENDAR_NAMES: dict[str, str] = {
    "year": "year yr yyyy yy jahr annee année ano año anno jaar",
    "quarter": "quarter qtr q quartal trimestre trimester kwartaal",
    "month": "month mnth mon mo mm m monat mois mes mese maand",
    "week": "week wk w isoweek weekofyear woche semaine semana settimana",
    "day": "day dd d dom mday tag jour dia día giorno dag dayofmonth",
    "day of the year": "doy yday dayofyear day yearday",
    "day of the week": "weekday wday dow wd day dayofweek wochentag",
    "weekend": "weekend isweekend wochenende",
    "hour": "hour hr hh h stunde heure hora ora uur",
    "minute": "minute min",
    ROW_NUMBER: "index idx id no nr num number row rownum rowid obs observation record rec t trend "
    "step counter seq",
}


def id_columns(
    table: Table,
    settings: TableSettings,
    time: Names,
    times: ParsedTimes,
    others: list[str],
    numeric: list[str],
) -> Names:
    """Find the smallest set of columns among `others` that tells rows of the same time apart.

    Returns () if times do not repeat.
    """
    if times.unresolved is not None:  # when clocks go back, an hour occurs twice
        clear = ~times.unresolved
        table = table.rows(clear)
        times = times.rows(clear)
    if settings.known and AVAILABLE_AT in table.names:  # equal rows are one
        first = ~table.frame.duplicated().to_numpy()
        table = table.rows(first)
        times = times.rows(first)
    issued = _availability(table, settings)
    if not repeats(times.timestamps, issued).any():
        return ()
    # year, month or hour beside a date are parts of the time, never names of series
    parts = [name for name in others if name.lower() in TIME_NAMES or part_named(table, name)]
    columns = [column for column in others if column not in (*parts, *settings.target)]
    texts = [column for column in columns if _names_things(table, column, column in numeric)]
    whole = [column for column in columns if column in numeric and column not in texts]
    whole = [column for column in whole if column.lower() not in TARGET_NAMES]
    whole = [column for column in whole if is_whole(table, column)]
    whole.sort(key=lambda column: len(table.distinct(column)[1]))

    nearly: Names = ()  # ids with which only a few rows repeat a time
    for columns in (texts, texts + whole):
        for ids in chain.from_iterable(combinations(columns, size) for size in range(1, 4)):
            if not settings.target and set(numeric) <= set(ids):
                continue  # else no column would be left as the target
            share = _repeated_share(table, ids, times, issued)
            if share == 0:
                return ids
            if share < MAX_REPEATED:
                nearly = nearly or ids
        if nearly:
            break
    if settings.on_duplicate != "error" or settings.aggregate is not None:
        # repeated rows are intended
        if nearly:
            return nearly
        if settings.layout != "long" and not any(groups_rows(table, column) for column in texts):
            return ()
    usable = [column for column in texts + whole if column not in nearly]
    usable = [column for column in usable if groups_rows(table, column)]
    raise _open_ids(table, settings, time, times, nearly, usable[:3], parts)


def _names_things(table: Table, column: str, is_numeric: bool) -> bool:
    """Whether a column holds text or codes such as 007, which may be ids."""
    texts = table.distinct(column)[1]
    return any(map(CODE.fullmatch, texts)) if is_numeric else any(texts)


def _repeated_share(table: Table, ids: Names, times: ParsedTimes, issued: Integers) -> float:
    """Return the share of rows that repeat a time of their series.

    It is 1 if most series have only one row.
    """
    names, codes = id_codes(table, ids)
    if 2 * len(names) > len(codes):
        return 1.0
    return float(repeats(codes, times.timestamps, issued).mean())


def groups_rows(table: Table, column: str) -> bool:
    """Whether a column can be an id: on average, each of its values must have two rows or more."""
    return 2 * len(table.distinct(column)[1]) <= len(table)


def _availability(table: Table, settings: TableSettings) -> Integers:
    """Return a code for the time at which each row became available, [rows].

    The code is the same for all rows if the table does not say when.
    """
    if settings.known and AVAILABLE_AT in table.names:
        return table.distinct(AVAILABLE_AT)[0]
    return np.zeros(len(table), np.int64)


def _open_ids(
    table: Table,
    settings: TableSettings,
    time: Names,
    times: ParsedTimes,
    nearly: Names,
    usable: list[str],
    parts: list[str],
) -> BadData:
    """Return the error for rows that repeat a time, with no ids to tell them apart.

    `nearly` are ids with which only a few rows repeat a time, `usable` are other columns that could
    be ids, and `parts` are columns that could be parts of the time.
    """
    codes = id_codes(table, nearly)[1]
    repeated = repeats(codes, times.timestamps, _availability(table, settings))
    cure = list(zone_cure(times.timestamps[repeated], times.format.zone))
    if nearly:
        cure.append(f"that {', '.join(nearly)} is the id was guessed: ")
    if parts:
        together = Setting("time", (*time, *parts))
        cure += ["pass ", together, " if these columns hold the time together, "]
    proposed = ", ".join((*nearly, *usable))
    cure += ["pass ", Setting("id"), " with the columns that tell series apart"]
    if proposed:
        cure += [f" ({proposed}), ", Setting("layout", "wide"), " if no column does"]
    if settings.on_duplicate == "error" and settings.aggregate is None:
        first = Setting("on_duplicate", "first")
        cure += [", or ", first, " (or last, mean, sum) to make one row of them"]
    return repeated_row(table, nearly, time, times, repeated, Words(*cure))


def repeated_row(
    table: Table, ids: Names, time: Names, times: ParsedTimes, repeated: Flags, cure: Words
) -> BadData:
    """Return the error for the first of the `repeated` rows [rows]."""
    names, codes = id_codes(table, ids)
    row = int(np.argmax(repeated))
    timestamp = times.timestamps[row]
    same = (codes == codes[row]) & (times.timestamps == timestamp)
    earlier = table.line(int(np.argmax(same)))
    series = f" for {', '.join(ids)} '{', '.join(names[codes[row]])}'" if ids else ""
    text = format_timestamp(int(timestamp), times.format)
    count = rows_text(repeated.sum())
    problem = f"{text} comes twice{series}, first in {earlier} ({count} like that)"
    return BadData(problem, place=table.place(row, time), cure=cure)


def no_numbers(table: Table, others: list[str]) -> BadData:
    """Return the error for a table without a column of numbers.

    It says whether the columns are blank or hold something else.
    """
    problem = "no column of numbers to forecast; "
    blank = [column for column in others if is_blank(table, column, words=True)]
    if blank:
        if blank == others:
            problem = "no series has a value; "
        return BadData(f"{problem}blank in every row: {', '.join(blank[:20])}", place=table.name)
    reason: object = f"columns: {', '.join(others[:20]) or 'none'}"
    likely = [column for column in others if column.lower() in TARGET_NAMES]
    try:
        parse_columns(table, likely[:1] or others[-1:])
    except BadData as error:
        reason = error
    return BadData(Words(problem, reason), place=table.name)


def target_column(table: Table, settings: TableSettings, numeric: list[str]) -> str:
    if len(settings.target) > 1:
        raise UsageError(
            "a long table has one target",
            setting=Setting("target", settings.target),
            cure="fit once for each of them, into a store of its own",
        )
    if settings.target or len(numeric) == 1:
        return (settings.target or numeric)[0]
    by_name = {column.lower(): column for column in numeric}
    for name in TARGET_NAMES:
        if name in by_name:
            return by_name[name]
    cure = Words("pass ", Setting("target"))
    if not numeric:
        problem = "no column of numbers to forecast besides the ids"
        raise BadData(problem, place=table.name, cure=cure)
    problem = f"several columns can be the target: {', '.join(numeric)}"
    raise UsageError(problem, place=table.name, cure=cure)


def calendar_columns(table: Table, columns: list[str], times: ParsedTimes) -> dict[str, str]:
    """Find columns that repeat the calendar of their rows or number the rows, and say which.

    All cells of such a column equal the year (perhaps less a constant), the month and so on,
    counted from 0 or 1. As a series may look like this, too, the name of the column must fit. The
    name does not matter for full years, and for row numbers in the first column. The result is
    empty if no other column would be left.
    """
    if len(table) < MIN_ROWS:
        return {}
    parts: dict[str, Integers] = {}
    if times.format.kind != "integer":
        parts = _calendar_parts(wall_clock(times.timestamps, times.format.zone))
    kinds = {column: _calendar_kind(table, column, parts) for column in columns}
    repeating = {column: kind for column, kind in kinds.items() if kind}
    return repeating if len(repeating) < len(columns) else {}


def _calendar_parts(wall: Integers) -> dict[str, Integers]:
    """Return the parts of wall-clock times, such as the month, by kind; [rows], from 0."""
    day = wall // DAY
    months = months_of(day)
    month = months % 12
    day_of_year = day - first_days(months - month)
    weekday = (day + 3) % 7  # 1970-01-01 was a Thursday
    return {
        "year": months // 12 + 1970,
        "quarter": month // 3,
        "month": month,
        "week": day_of_year // 7,
        "day": day - first_days(months),
        "day of the year": day_of_year,
        "day of the week": weekday,
        "weekend": weekday // 5,
        "hour": wall // HOUR % 24,
        "minute": wall // MINUTE % 60,
    }


def _calendar_kind(table: Table, column: str, parts: dict[str, Integers]) -> str | None:
    lower = column.lower()
    words = re.split(r"[\W_\d]+", lower)
    words.append(re.sub(r"[\W_]", "", lower))
    kinds = [kind for kind, names in CALENDAR_NAMES.items() if set(words) & set(names.split())]
    if column == table.names[0]:
        kinds.append(ROW_NUMBER)
    in_full = bool(FULL_YEAR.fullmatch(table.first(column)))
    values = counted_values(table, column, 9) if kinds or in_full else None
    if values is None:
        return None
    counts_up = values[0] in (0, 1) and (np.diff(values) == 1).all()
    if counts_up and ROW_NUMBER in kinds:
        return ROW_NUMBER
    if in_full and parts and (values == parts["year"]).all():
        return "year"
    for kind in kinds:
        if kind in parts and _repeats(values, parts[kind], kind):
            return kind
    return None


def _repeats(values: Integers, part: Integers, kind: str) -> bool:
    """Whether values [rows] repeat a part of the times of their rows, counted from 0 or 1."""
    shifts = values - part
    if kind == "week":  # may begin on any day, and belong to the year before or after
        near = (shifts + 1) % 52 <= 3
        return bool(near.all() and values.max() <= 54)
    if kind == "day of the week":  # days may be counted from any day of the week
        shifts %= 7
        starts = values.max() <= 7
    elif kind == "year":  # years may be counted from any year
        starts = shifts[0] <= 0
    else:
        starts = shifts[0] in (0, 1)
    return bool(starts and (shifts == shifts[0]).all())
