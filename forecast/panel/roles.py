"""Find which columns are ids, which is the target, and which only repeat the calendar."""

import re
from itertools import chain, combinations

import numpy as np
import pandas as pd

from forecast.calendar.frequency import filled_frequency, parse_frequency
from forecast.calendar.inference import TIME_NAMES, find_part, looks_like_times
from forecast.calendar.parsing import ParsedTimes, format_timestamp
from forecast.calendar.zones import wall_clock, zone_cure
from forecast.errors import BadData, Setting, UsageError
from forecast.panel.observations import id_codes
from forecast.panel.schema import Names
from forecast.settings import TableSettings
from forecast.tables.cells import counted_values, is_blank, is_whole, parse_columns
from forecast.tables.table import Flags, Integers, Table, encode, rank, repeats, rows_text

TARGET_NAMES = ("y", "target", "value", "sales", "units", "demand")
AVAILABLE_AT = "available_at"  # the column that says when values known in advance became available
# if ids leave at most this share of rows repeated, they are right, and the rows are duplicates
MAX_REPEATED = 0.05
# if a larger share of rows is alone at its time, one series is likelier than several
MIN_ALONE = 0.8
ROW_NUMBER = "row number"
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
) -> tuple[Names, BadData | None]:
    """Find the smallest set of columns among `others` that tells rows of the same time apart.

    Returns () if times do not repeat, and the error for rows that repeat a time of their series.
    """
    if times.unresolved is not None:  # when clocks go back, an hour occurs twice
        clear = ~times.unresolved
        table = table.rows(clear)
        times = times.rows(clear)
    steps, _ = rank(times.timestamps)
    if settings.known and AVAILABLE_AT in table.names:
        first = ~table.frame.duplicated().to_numpy()  # equal rows are one
        table = table.rows(first)
        times = times.rows(first)
        issued = table.distinct(AVAILABLE_AT)[0]  # a time has a row for each issue
        steps, _ = rank(steps[first] * len(first) + issued)
    if not repeats(steps).any():
        return (), None
    texts, counts = _possible_ids(table, settings, others, numeric)
    freq = filled_frequency(times.timestamps, np.zeros_like(steps))
    periods, _ = rank(times.timestamps // parse_frequency(freq).every)
    ids = _smallest_ids(table, settings, texts, numeric, steps, periods)
    ids = ids or _smallest_ids(table, settings, texts + counts, numeric, steps, periods)
    repeated = repeats(id_codes(table, ids)[1], steps)
    if not repeated.any():
        return ids, None
    is_many = not ids and repeated.mean() > 1 - MIN_ALONE
    usable = [column for column in texts if groups_rows(table, column)]
    settled = settings.on_duplicate != "error" or settings.aggregate is not None
    if settled and not (is_many and (settings.layout == "long" or usable)):
        return ids, None  # repeated rows are intended
    cure = zone_cure(times.timestamps[repeated], times.format.zone)
    if ids:
        cure += f"that {', '.join(ids)} is the id was guessed: "
    cure += f"pass {Setting('id')} with the columns that tell series apart"
    proposed = ", ".join(dict.fromkeys((*ids, *usable[:3])))
    if proposed:
        cure += f" ({proposed}), {Setting('layout', 'wide')} if no column does"
    if not settled:
        if is_many:
            cure += (
                f"; if each row is an event, such as a sale, pass {Setting('freq', freq)} "
                f"{Setting('aggregate', 'sum')}, too"
            )
        first_row = Setting("on_duplicate", "first")
        cure += f", or {first_row} (or last, mean, sum) to make one row of them"
    return ids, repeated_row(table, ids, time, times, repeated, cure)


def _possible_ids(
    table: Table, settings: TableSettings, others: list[str], numeric: list[str]
) -> tuple[list[str], list[str]]:
    """Return the columns of text that may be ids, and those of whole numbers."""
    # year, month or hour beside a date are parts of the time, never names of series
    columns = [name for name in others if name.lower() not in TIME_NAMES]
    columns = [name for name in columns if name not in settings.target]
    columns = [name for name in columns if not find_part(table, name)]
    texts = [column for column in columns if _names_things(table, column, column in numeric)]
    whole = [column for column in columns if column in numeric and column not in texts]
    whole = [column for column in whole if column.lower() not in TARGET_NAMES]
    whole = [column for column in whole if is_whole(table, column)]
    whole.sort(key=lambda column: len(table.distinct(column)[1]))
    return [column for column in texts if not looks_like_times(table, column)], whole


def _smallest_ids(
    table: Table,
    settings: TableSettings,
    columns: list[str],
    numeric: list[str],
    steps: Integers,
    periods: Integers,
) -> Names:
    """Return the smallest set of columns with which no rows repeat a step, or else only a few.

    The result is () if there is no such set. `steps` [rows] are the ranks of the times of rows,
    `periods` [rows] those of the periods that hold these times.
    """
    nearly: Names = ()
    # of larger tables, about so many rows rule out most sets of columns
    chosen = steps % (len(table) // 20_000 + 1) == 0
    some_rows = table.rows(chosen)
    for ids in chain.from_iterable(combinations(columns, size) for size in range(1, 4)):
        if not settings.target and set(numeric) <= set(ids):
            continue  # else no column would be left as the target
        _, codes = id_codes(some_rows, ids)
        share = repeats(codes, steps[chosen]).mean()
        if (nearly and share) or share > 2 * MAX_REPEATED:
            continue  # all rows need not be compared
        has_numbers = not {*ids}.isdisjoint(numeric)
        share = _repeated_share(table, ids, steps, periods, has_numbers)
        if share == 0:
            return ids
        if share < MAX_REPEATED:
            nearly = nearly or ids
    return nearly


def _names_things(table: Table, column: str, is_numeric: bool) -> bool:
    """Whether a column holds text or codes such as 007, which may be ids."""
    texts = table.distinct(column)[1]
    if is_numeric:
        return any(re.fullmatch(r"\s*0[0-9]+\s*", text) for text in texts)
    return any(texts)


def _repeated_share(
    table: Table, ids: Names, steps: Integers, periods: Integers, counted: bool
) -> float:
    """Return the share of rows that repeat a step of their series.

    It is 1 if the columns are no ids: if most series have only one row, or if few rows share a
    period and few series have a row in it, as with words for the weather. Numbers (`counted`) are
    no ids either if about as many rows would repeat a step if the numbers were drawn by chance.
    """
    names, codes = id_codes(table, ids)
    if 2 * len(names) > len(codes):
        return 1.0
    rows_of_step = np.bincount(steps)
    rows_of_series = np.bincount(codes)
    cells, _ = encode(codes * len(rows_of_step) + steps)
    rows_of_cell = np.bincount(cells)
    chance = _pairs(rows_of_series) / _pairs(np.array([len(codes)]))
    by_chance = _pairs(rows_of_step) * chance
    is_drawn = counted and (by_chance < 1 or 2 * _pairs(rows_of_cell) > by_chance)
    is_alone = periods.max() >= MIN_ALONE * len(codes)
    is_sparse = 2 * len(codes) < len(names) * periods.max()
    if is_drawn or (is_alone and is_sparse):
        return 1.0
    return 1 - len(rows_of_cell) / len(codes)


def _pairs(counts: Integers) -> float:
    """Return the number of pairs among the members of groups of so many."""
    return float((counts * (counts - 1.0)).sum() / 2)


def groups_rows(table: Table, column: str) -> bool:
    """Whether a column can be an id: on average, each of its values must have two rows or more."""
    return 2 * len(table.distinct(column)[1]) <= len(table)


def repeated_row(
    table: Table, ids: Names, time: Names, times: ParsedTimes, repeated: Flags, cure: str
) -> BadData:
    """Return the error for the first of the `repeated` rows [rows]."""
    names, codes = id_codes(table, ids)
    row = np.argmax(repeated)
    timestamp = times.timestamps[row]
    same = (codes == codes[row]) & (times.timestamps == timestamp)
    earlier = table.line(np.argmax(same))
    series = f" for {', '.join(ids)} '{', '.join(names[codes[row]])}'" if ids else ""
    text = format_timestamp(int(timestamp), times.format)
    count = rows_text(repeated.sum())
    return BadData(
        f"{text} comes twice{series}, first in {earlier} ({count} like that)",
        place=table.place(row, time),
        cure=cure,
    )


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
    return BadData(f"{problem}{reason}", place=table.name)


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
    cure = f"pass {Setting('target')}"
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
    # fewer rows may equal the calendar by chance
    if len(table) < 10:
        return {}
    parts: dict[str, Integers] = {}  # [rows], from 0
    if times.format.kind != "integer":
        wall = wall_clock(times.timestamps, times.format.zone)
        shown = pd.DatetimeIndex(wall.astype("datetime64[s]"))
        parts = {
            "year": shown.year.to_numpy(),
            "quarter": shown.quarter.to_numpy() - 1,
            "month": shown.month.to_numpy() - 1,
            "week": (shown.day_of_year.to_numpy() - 1) // 7,
            "day": shown.day.to_numpy() - 1,
            "day of the year": shown.day_of_year.to_numpy() - 1,
            "day of the week": shown.day_of_week.to_numpy(),
            "weekend": shown.day_of_week.to_numpy() // 5,
            "hour": shown.hour.to_numpy(),
            "minute": shown.minute.to_numpy(),
        }
    kinds = {column: _calendar_kind(table, column, parts) for column in columns}
    repeating = {column: kind for column, kind in kinds.items() if kind}
    return repeating if len(repeating) < len(columns) else {}


def _calendar_kind(table: Table, column: str, parts: dict[str, Integers]) -> str | None:
    lower = column.lower()
    words = re.split(r"[\W_\d]+", lower)
    words.append(re.sub(r"[\W_]", "", lower))
    kinds = [kind for kind, names in CALENDAR_NAMES.items() if set(words) & set(names.split())]
    if column == table.frame.columns[0]:
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
