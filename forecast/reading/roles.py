"""Find which columns are the ids and the target, and which only repeat the calendar."""

import re
from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from forecast.calendar.inference import TIME_NAMES, part_named
from forecast.calendar.parsing import ParsedTimes, format_timestamp
from forecast.calendar.zones import DAY, Flags, Integers, wall_clock, zone_cure
from forecast.errors import BadData, Setting, UsageError, Words
from forecast.panel.schema import Names
from forecast.reading.observations import id_codes
from forecast.settings import TableSettings
from forecast.tables.cells import counted_values, is_blank, is_whole, parse_numbers
from forecast.tables.table import Table, repeats, rows_text

TARGET_NAMES = ("y", "target", "value", "sales", "units", "demand")
AVAILABLE_AT = "available_at"  # the column that says when values known in advance became available
MAX_REPEATED = (
    0.05  # with a smaller share of repeated rows, ids are right and the rows are duplicates
)
MIN_ROWS = 10  # from which on equality with the calendar is no chance
ROW_NUMBER = "row number"
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
    ROW_NUMBER: "index idx id no nr num number row rownum rowid obs observation record rec t trend step counter seq",
}


def id_columns(
    table: Table,
    settings: TableSettings,
    time: Names,
    times: ParsedTimes,
    others: list[str],
    numeric: list[str],
) -> Names:
    """The smallest set of the `others` that make (id, time) unique where times repeat; () where they do not."""
    if times.unresolved is not None:
        # an hour that comes twice is not twice the same time, and no sign of several series
        table, times = table.rows(~times.unresolved), times.rows(~times.unresolved)
    if settings.known and AVAILABLE_AT in table.names:  # equal rows are one
        once = ~table.frame.duplicated().to_numpy()
        table, times = table.rows(once), times.rows(once)
    issued = _availability(table, settings)
    if not repeats(times.timestamps, issued).any():
        return ()
    # year, month or hour beside a date are parts of the time, never names of series
    parts = [
        column for column in others if column.lower() in TIME_NAMES or part_named(table, column)
    ]
    others = [column for column in others if column not in {*parts, *settings.target}]
    texts = [c for c in others if c not in numeric and any(table.distinct(c)[1])]
    coded = re.compile(r"\s*0[0-9]+\s*")  # codes such as 007
    texts += [c for c in others if c in numeric and any(map(coded.fullmatch, table.distinct(c)[1]))]
    whole = [c for c in others if c not in texts and c.lower() not in TARGET_NAMES and c in numeric]
    whole = [column for column in whole if is_whole(table, column)]
    whole.sort(key=lambda column: len(table.distinct(column)[1]))
    last_target = (
        set(numeric) if not settings.target else {""}
    )  # the ids must leave one number column as target
    nearly: Names = ()
    for candidates in (texts, texts + whole):
        for ids in (ids for size in (1, 2, 3) for ids in combinations(candidates, size)):
            if (candidates is not texts and not set(ids) - set(texts)) or last_target <= set(ids):
                continue
            names, codes = id_codes(table, ids)
            if 2 * len(names) > len(codes):  # most series would have only one row
                continue
            share = float(repeats(codes, times.timestamps, issued).mean())
            if share == 0:
                return ids
            nearly = nearly or (ids if share < MAX_REPEATED else ())
        if nearly:
            break
    if (
        settings.on_duplicate != "error" or settings.aggregate is not None
    ):  # repeated rows are intended
        if nearly:
            return nearly
        if settings.layout != "long" and not any(groups_rows(table, column) for column in texts):
            return ()
    usable = [
        column for column in texts + whole if column not in nearly and groups_rows(table, column)
    ]
    raise _open_ids(table, settings, time, times, (nearly, usable[:3], parts))


def groups_rows(table: Table, column: str) -> bool:
    """Whether a column can name series: each of its values has two rows or more, on average."""
    return 2 * len(table.distinct(column)[1]) <= len(table)


def _availability(table: Table, settings: TableSettings) -> Integers:
    """[rows], which rows became available at the same time; all did in a table that does not say."""
    says = settings.known and AVAILABLE_AT in table.names
    return table.distinct(AVAILABLE_AT)[0] if says else np.zeros(len(table), np.int64)


def _open_ids(
    table: Table,
    settings: TableSettings,
    time: Names,
    times: ParsedTimes,
    guess: tuple[Names, list[str], list[str]],
) -> BadData:
    """The error for rows that repeat a time with no ids to tell them apart."""
    nearly, usable, parts = (
        guess  # ids that nearly fit, other columns that could be ids, and parts of times
    )
    twice = repeats(id_codes(table, nearly)[1], times.timestamps, _availability(table, settings))
    cure: list[object] = [*zone_cure(times.timestamps[twice], times.format.zone)]
    cure += [f"that {', '.join(nearly)} is the id was guessed: "] if nearly else []
    if parts:
        cure += [
            "pass ",
            Setting("time", (*time, *parts)),
            " if these columns hold the time together, ",
        ]
    proposed = f" ({', '.join((*nearly, *usable))})" if nearly or usable else ""
    cure += ["pass ", Setting("id"), f" with the columns that tell series apart{proposed}"]
    if proposed:
        cure += [", ", Setting("layout", "wide"), " if no column does"]
    if settings.on_duplicate == "error" and settings.aggregate is None:
        cure += [
            ", or ",
            Setting("on_duplicate", "first"),
            " (or last, mean, sum) to make one row of them",
        ]
    return repeated_row(table, nearly, time, times, twice, Words(*cure))


def repeated_row(
    table: Table, ids: Names, time: Names, times: ParsedTimes, twice: Flags, cure: Words
) -> BadData:
    """The error for the first row that comes `twice` [rows]."""
    names, codes = id_codes(table, ids)
    row = int(np.argmax(twice))
    timestamp = times.timestamps[row]
    first = table.line(int(np.argmax((codes == codes[row]) & (times.timestamps == timestamp))))
    series = f" for {', '.join(ids)} '{', '.join(names[codes[row]])}'" if ids else ""
    repeated = (
        f"{format_timestamp(int(timestamp), times.format)} comes twice{series}, first in {first}"
    )
    return BadData(
        f"{repeated} ({rows_text(twice.sum())} like that)", place=table.place(row, time), cure=cure
    )


def no_numbers(table: Table, others: list[str]) -> BadData:
    """The error for a table without a column of numbers: some are blank, or the likeliest holds something else."""
    blank = [column for column in others if is_blank(table, column, words=True)]
    filled = [column for column in others if column not in blank]
    if others and not filled:
        return BadData(
            f"{table.name}: no series has a value; blank in every row: {', '.join(others[:20])}"
        )
    likely = [column for column in filled if column.lower() in TARGET_NAMES] or filled[-1:]
    names = ", ".join(blank or others[:20]) or "none"
    reason: object = f"blank in every row: {names}" if blank else f"columns: {names}"
    if likely and re.search(r"\d|^(true|false)$", table.first(likely[0]), re.I):
        try:
            parse_numbers(table, likely[0])
        except BadData as error:
            reason = error
    return BadData(Words("no column of numbers to forecast; ", reason), place=table.name)


def target_column(table: Table, settings: TableSettings, numeric: list[str]) -> str:
    if len(settings.target) > 1:
        apart = "fit once for each of them, into a store of its own"
        raise UsageError(
            "a long table has one target", setting=Setting("target", settings.target), cure=apart
        )
    named = ([column for column in numeric if column.lower() == name] for name in TARGET_NAMES)
    options = (settings.target, numeric, *named)
    if chosen := next((columns for columns in options if len(columns) == 1), None):
        return chosen[0]
    cure = Words("pass ", Setting("target"))
    if not numeric:
        raise BadData(
            "no column of numbers to forecast besides the ids", place=table.name, cure=cure
        )
    raise UsageError(
        f"several columns can be the target: {', '.join(numeric)}", place=table.name, cure=cure
    )


def calendar_columns(table: Table, columns: list[str], times: ParsedTimes) -> dict[str, str]:
    """Columns of numbers that repeat the calendar of their row's time, or number the rows, and which they do.

    All cells equal the year (or the year less a constant), the month, and so on, in some numbering. So may a series, so
    that the name must fit too, but for years in full and for row numbers in the first column. Empty where no other
    column would be left.
    """
    if len(table) < MIN_ROWS:
        return {}
    wall = (
        None if times.format.kind == "integer" else wall_clock(times.timestamps, times.format.zone)
    )
    held: dict[str, str] = {}
    for column in columns:
        lower = column.strip().lower()
        words = {lower, re.sub(r"[\W_]+", "", lower), *re.split(r"[\W_\d]+", lower)}
        kinds = {kind for kind, names in CALENDAR_NAMES.items() if words & set(names.split())}
        kinds |= {ROW_NUMBER} if column == table.names[0] else set()
        in_full = (
            wall is not None and re.fullmatch(r"[12]\d{3}(\.0*)?", table.first(column)) is not None
        )
        values = counted_values(table, column, 9) if kinds or in_full else None
        if values is None:
            continue
        if ROW_NUMBER in kinds and values[0] in (0, 1) and (np.diff(values) == 1).all():
            held[column] = ROW_NUMBER
        elif wall is not None:
            shifts = (
                wall.astype("datetime64[s]").astype("datetime64[Y]").astype(np.int64)
                + 1970
                - values
            )
            same = (
                kind
                for kind, expected in _calendar_values(wall)
                if kind in kinds and (values == expected).all()
            )
            year = (in_full and not shifts.any()) or (
                "year" in kinds and shifts[0] >= 0 and not np.diff(shifts).any()
            )
            if kind := "year" if year else next(same, None):
                held[column] = kind
    return held if len(held) < len(columns) else {}


def _calendar_values(wall: Integers) -> Iterator[tuple[str, NDArray[np.int64]]]:
    days, months, years = (
        wall.astype("datetime64[s]").astype(f"datetime64[{unit}]") for unit in "DMY"
    )
    month = (months - years.astype("datetime64[M]")).astype(np.int64)
    day_of_year = (days - years.astype("datetime64[D]")).astype(np.int64)
    day, days = (days - months.astype("datetime64[D]")).astype(np.int64), wall // DAY
    weekday = (days + 3) % 7  # Monday 0
    thursday = days - weekday + 3
    of_year = (
        thursday.astype("datetime64[D]")
        .astype("datetime64[Y]")
        .astype("datetime64[D]")
        .astype(np.int64)
    )
    weeks = (thursday - of_year) // 7, day_of_year // 7  # of ISO 8601, and counted from 1 January
    for start in (1, 0):
        yield from (("month", month + start), ("quarter", month // 3 + start), ("day", day + start))
        yield from (("day of the year", day_of_year + start), ("hour", wall // 3600 % 24 + start))
        yield from (("minute", wall // 60 % 60 + start), ("weekend", (weekday >= 5) + start))
        yield from (("week", week + start) for week in weeks)
        for shift in range(7):
            yield "day of the week", (weekday + shift) % 7 + start
            yield (
                "week",
                (day_of_year + 6 - (weekday - shift) % 7) // 7 + start,
            )  # from the year's first such day
