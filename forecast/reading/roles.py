"""Find which columns of a long table are the ids and the target."""

import re
from itertools import combinations

import numpy as np

from forecast.calendar.clock_change import zone_cure
from forecast.calendar.formatting import format_timestamp
from forecast.calendar.inference import TIME_NAMES
from forecast.calendar.parsing import ParsedTimes
from forecast.calendar.split_columns import part_named
from forecast.calendar.zones import Integers
from forecast.errors import BadData, Setting, UsageError, Words
from forecast.reading.observations import id_codes
from forecast.settings import TableSettings
from forecast.tables.distinct import repeats
from forecast.tables.numbers import has_leading_zeros, is_blank, is_whole, parse_numbers
from forecast.tables.table import Table, rows_text

TARGET_NAMES = ("y", "target", "value", "sales", "units", "demand")
AVAILABLE_AT = "available_at"  # the column that says when values known in advance became available
MAX_REPEATED = 0.05  # with a smaller share of repeated rows, ids are right and the rows are duplicates
MAX_IDS = 3
PROPOSED = 3  # columns that a message proposes

Names = tuple[str, ...]


def id_columns(
    table: Table, settings: TableSettings, time: Names, times: ParsedTimes, others: list[str], numeric: list[str]
) -> Names:
    """The smallest set of the `others` that make (id, time) unique where times repeat; () where they do not."""
    if times.unresolved is not None:
        # an hour that comes twice is not twice the same time, and no sign of several series
        table, times = table.rows(~times.unresolved), times.rows(~times.unresolved)
    if settings.known and AVAILABLE_AT in table.names:  # equal rows are one
        once = ~table.frame.duplicated().to_numpy()
        table, times = table.rows(once), times.rows(once)
    issued = _issued(table, settings)
    if not repeats(times.timestamps, issued).any():
        return ()
    # year, month or hour beside a date are parts of the time, never names of series
    parts = [column for column in others if column.lower() in TIME_NAMES or part_named(table, column)]
    others = [column for column in others if column not in {*parts, *settings.target}]
    texts = [c for c in others if c not in numeric and any(table.distinct(c)[1])]
    texts += [c for c in others if c in numeric and has_leading_zeros(table, c)]
    counted = [c for c in others if c not in texts and c.lower() not in TARGET_NAMES and c in numeric]
    counted = [column for column in counted if is_whole(table, column)]
    counted.sort(key=lambda column: len(table.distinct(column)[1]))
    last_target = set(numeric) if not settings.target else {""}  # the ids must leave one number column as target
    nearly: Names = ()
    for candidates in (texts, texts + counted):
        for ids in (ids for size in range(1, MAX_IDS + 1) for ids in combinations(candidates, size)):
            if (candidates is not texts and not set(ids) - set(texts)) or last_target <= set(ids):
                continue
            share = _repeated_share(table, ids, times.timestamps, issued)
            if share == 0:
                return ids
            nearly = nearly or (ids if share < MAX_REPEATED else ())
        if nearly:
            break
    if settings.on_duplicate != "error" or settings.aggregate is not None:  # repeated rows are intended
        if nearly:
            return nearly
        if settings.layout != "long" and not any(groups_rows(table, column) for column in texts):
            return ()
    usable = [column for column in texts + counted if column not in nearly and groups_rows(table, column)]
    raise _open_ids(table, settings, time, times, (nearly, usable[:PROPOSED], parts))


def groups_rows(table: Table, column: str) -> bool:
    """Whether a column can name series: each of its values has two rows or more, on average."""
    return 2 * len(table.distinct(column)[1]) <= len(table)


def _issued(table: Table, settings: TableSettings) -> Integers:
    """[rows], which rows became available at the same time; all did in a table that does not say."""
    says = settings.known and AVAILABLE_AT in table.names
    return table.distinct(AVAILABLE_AT)[0] if says else np.zeros(len(table), np.int64)


def _repeated_share(table: Table, ids: Names, timestamps: Integers, issued: Integers) -> float:
    """Share of rows that repeat a series and time; 1 where most series would have only one row."""
    names, codes = id_codes(table, ids)
    return float(repeats(codes, timestamps, issued).mean()) if 2 * len(names) <= len(codes) else 1.0


def _open_ids(
    table: Table, settings: TableSettings, time: Names, times: ParsedTimes, guess: tuple[Names, list[str], list[str]]
) -> BadData:
    """The error for rows that repeat a time with no ids to tell them apart."""
    nearly, usable, parts = guess  # ids that nearly fit, other columns that could be ids, and parts of times
    names, codes = id_codes(table, nearly)
    twice = repeats(codes, times.timestamps, _issued(table, settings))
    row = int(np.argmax(twice))
    first = int(np.argmax((codes == codes[row]) & (times.timestamps == times.timestamps[row])))
    shown = f" for {', '.join(nearly)} '{', '.join(names[codes[row]])}'" if nearly else ""
    cure: list[object] = [*zone_cure(times.timestamps[twice], times.format.zone)]
    cure += [f"that {', '.join(nearly)} is the id was guessed: "] if nearly else []
    if parts:
        cure += ["pass ", Setting("time", (*time, *parts)), " if these columns hold the time together, "]
    proposed = f" ({', '.join((*nearly, *usable))})" if nearly or usable else ""
    cure += ["pass ", Setting("id"), f" with the columns that tell series apart{proposed}"]
    if proposed:
        cure += [", ", Setting("layout", "wide"), " if no column does"]
    if settings.on_duplicate == "error" and settings.aggregate is None:
        cure += [", or ", Setting("on_duplicate", "first"), " (or last, mean, sum) to make one row of them"]
    repeated = f"{format_timestamp(int(times.timestamps[row]), times.format)} comes twice{shown}"
    problem = f"{repeated}, first in {table.line(first)} ({rows_text(twice.sum())} like that)"
    return BadData(problem, place=table.place(row, time), cure=Words(*cure))


def no_numbers(table: Table, others: list[str]) -> BadData:
    """The error for a table without a column of numbers: some are blank, or the likeliest holds something else."""
    blank = [column for column in others if is_blank(table, column, words=True)]
    filled = [column for column in others if column not in blank]
    if others and not filled:
        return BadData(f"{table.name}: no series has a value; blank in every row: {', '.join(others[:20])}")
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
    """The target of a long table."""
    if len(settings.target) > 1:
        apart = "fit once for each of them, into a store of its own"
        raise UsageError("a long table has one target", setting=Setting("target", settings.target), cure=apart)
    named = ([column for column in numeric if column.lower() == name] for name in TARGET_NAMES)
    options = (settings.target, numeric, *named)
    if chosen := next((columns for columns in options if len(columns) == 1), None):
        return chosen[0]
    cure = Words("pass ", Setting("target"))
    if not numeric:
        raise BadData("no column of numbers to forecast besides the ids", place=table.name, cure=cure)
    raise UsageError(f"several columns can be the target: {', '.join(numeric)}", place=table.name, cure=cure)
