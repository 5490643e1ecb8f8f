"""Find which columns of a long table are the ids and the target."""

import re
from itertools import combinations

import numpy as np

from forecast.calendar.formatting import format_instant
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
MAX_REPEATED = 0.05  # with a smaller share of repeated rows, ids are right and the rows are duplicates
MAX_IDS = 3
PROPOSED = 3  # columns that a message proposes


def id_columns(
    table: Table,
    settings: TableSettings,
    time: tuple[str, ...],
    times: ParsedTimes,
    others: list[str],
    numeric: list[str],
) -> tuple[str, ...]:
    """The smallest set of columns that make (id, time) unique where times repeat; () where they do not.

    Parameters
    ----------
    others : columns that may be ids
    numeric : those of them that hold numbers
    """
    instants = times.instants
    if times.open is not None:
        # an hour that comes twice is not twice the same time, and no sign of several series
        clear = ParsedTimes(instants[~times.open], times.format)
        return id_columns(table.rows(~times.open), settings, time, clear, others, numeric)
    twice = repeats(np.zeros(len(instants), np.int64), instants)
    if not twice.any():
        return ()
    # year, month or hour beside a date are parts of the time, never names of series
    parts = [column for column in others if column.lower() in TIME_NAMES or part_named(table, column)]
    others = [column for column in others if column not in {*parts, *settings.target}]
    texts = [c for c in others if c not in numeric and any(table.distinct(c)[1])]
    texts += [c for c in others if c in numeric and has_leading_zeros(table, c)]
    counted = [c for c in others if c in numeric and c not in texts and is_whole(table, c)]
    counted = [column for column in counted if column.lower() not in TARGET_NAMES]
    counted.sort(key=lambda column: len(table.distinct(column)[1]))
    nearly: tuple[str, ...] = ()
    last_target = set(numeric) if not settings.target else {""}  # the ids must leave one number column as target
    for candidates in (texts, texts + counted):
        for size in range(1, MAX_IDS + 1):
            for ids in combinations(candidates, size):
                if (candidates is not texts and not set(ids) - set(texts)) or last_target <= set(ids):
                    continue
                share = _repeated_share(table, ids, instants)
                if share == 0:
                    return ids
                if share < MAX_REPEATED and not nearly:
                    nearly = ids
        if nearly:
            break
    if settings.on_duplicate != "error" or settings.aggregate is not None:  # repeated rows are intended
        if nearly:
            return nearly
        if settings.layout != "long" and not any(groups_rows(table, column) for column in texts):
            return ()
    raise _open_ids(
        table, settings, time, times, (nearly, [column for column in texts + counted if column not in nearly], parts)
    )


def groups_rows(table: Table, column: str) -> bool:
    """Whether a column can name series: each of its values has two rows or more, on average."""
    return 2 * len(table.distinct(column)[1]) <= len(table)


def _open_ids(
    table: Table,
    settings: TableSettings,
    time: tuple[str, ...],
    times: ParsedTimes,
    guess: tuple[tuple[str, ...], list[str], list[str]],
) -> BadData:
    """The error for rows that repeat a time with no ids to tell them apart."""
    nearly, others, parts = guess  # ids that nearly fit, other columns that could be ids, and parts of times
    instants = times.instants
    names, codes = id_codes(table, nearly)
    twice = repeats(codes, instants)
    row = int(np.argmax(twice))
    first = int(np.argmax((codes == codes[row]) & (instants == instants[row])))
    shown = f" for {', '.join(nearly)} '{', '.join(names[codes[row]])}'" if nearly else ""
    joined = ("pass ", Setting("time", (*time, *parts)), " if these columns hold the time together, ") if parts else ()
    guessed = f"that {', '.join(nearly)} is the id was guessed: " if nearly else ""
    usable = [column for column in others if groups_rows(table, column)][:PROPOSED]
    also = f" ({', '.join((*nearly, *usable))})" if usable else ""
    none = (", ", Setting("layout", "wide"), " if no column does") if nearly or usable else ()
    settled = settings.on_duplicate != "error" or settings.aggregate is not None
    first_of = Setting("on_duplicate", "first")
    reduce = () if settled else (", or ", first_of, " (or last, mean, sum) to make one row of them")
    return BadData(
        f"{format_instant(int(instants[row]), times.format)} comes twice{shown}, first in {table.line(first)} "
        f"({rows_text(twice.sum())} like that)",
        place=table.place(row, time),
        cure=Words(
            guessed, *joined, "pass ", Setting("id"), f" with the columns that tell series apart{also}", *none, *reduce
        ),
    )


def _repeated_share(table: Table, ids: tuple[str, ...], instants: Integers) -> float:
    """Share of rows that repeat a series and time; 1 where most series would have only one row."""
    names, codes = id_codes(table, ids)
    return float(repeats(codes, instants).mean()) if 2 * len(names) <= len(codes) else 1.0


def no_numbers(table: Table, others: list[str]) -> BadData:
    """The error for a table without a column of numbers: some are blank, or the likeliest holds something else."""
    blank = [column for column in others if is_blank(table, column, words=True)]
    filled = [column for column in others if column not in blank]
    if others and not filled:
        return BadData(f"{table.name}: no series has a value; blank in every row: {', '.join(others[:20])}")
    reason = f"columns: {', '.join(others[:20]) or 'none'}" if not blank else f"blank in every row: {', '.join(blank)}"
    likely = [column for column in filled if column.lower() in TARGET_NAMES] or filled[-1:]
    if likely and re.search(r"\d|^(true|false)$", table.first(likely[0]), re.I):
        try:
            parse_numbers(table, likely[0])
        except BadData as error:
            return BadData(Words("no column of numbers to forecast; ", error), place=table.name)
    return BadData(f"no column of numbers to forecast; {reason}", place=table.name)


def target_column(table: Table, settings: TableSettings, numeric: list[str]) -> str:
    """The target of a long table."""
    if len(settings.target) > 1:
        raise UsageError(
            "a long table has one target",
            setting=Setting("target", settings.target),
            cure="fit once for each of them, into a store of its own",
        )
    if settings.target:
        return settings.target[0]
    if len(numeric) == 1:
        return numeric[0]
    for name in TARGET_NAMES:
        named = [column for column in numeric if column.lower() == name]
        if len(named) == 1:
            return named[0]
    if not numeric:
        problem = "no column of numbers to forecast besides the ids"
        raise BadData(problem, place=table.name, cure=Words("name it with ", Setting("target")))
    problem = f"several columns can be the target: {', '.join(numeric)}"
    raise UsageError(problem, place=table.name, cure=Words("pass ", Setting("target")))
