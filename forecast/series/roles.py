"""Find which columns of a long table are the ids and the target."""

import re
from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd

from forecast.errors import BadData, Setting, UsageError, Words
from forecast.series.building import rows_of
from forecast.series.frequency import show
from forecast.series.numbers import has_leading_zeros, is_blank, is_whole, parse_numbers
from forecast.series.observations import as_text, id_codes, repeats
from forecast.series.table import Table
from forecast.series.times import TIME_NAMES, ParsedTimes
from forecast.series.zones import Integers
from forecast.settings import TableSettings

TARGET_NAMES = ("y", "target", "value", "sales", "units", "demand")
FEW = 0.05  # with a smaller share of repeated rows, ids are right and the rows are duplicates
MOST_IDS = 3


def id_columns(
    table: Table, settings: TableSettings, time: str, times: ParsedTimes, others: list[str], numeric: list[str]
) -> tuple[str, ...]:
    """The fewest columns that make (id, time) unique where times repeat; none where they do not."""
    instants = times.instants
    if times.open is not None:
        # an hour that comes twice is not twice the same time: it says nothing of series
        kept = table.with_frame(table.frame[~times.open].reset_index(drop=True), table.numbering)
        if table.lines is not None:
            kept = replace(kept, lines=table.lines[~times.open])
        rest = ParsedTimes(instants[~times.open], times.format)
        return id_columns(kept, settings, time, rest, others, numeric)
    twice = repeats(np.zeros(len(instants), np.int64), instants)
    if not twice.any():
        return ()
    # year, month or hour beside a date are parts of the time, which no table means as names of series
    parts = [column for column in others if column.lower() in TIME_NAMES]
    others = [column for column in others if column not in {*parts, *settings.target}]
    texts = [c for c in others if c not in numeric and (as_text(table, c) != "").any()]
    texts += [c for c in others if c in numeric and has_leading_zeros(table, c)]
    whole = [c for c in others if c in numeric and c not in texts and is_whole(table, c)]
    whole = [column for column in whole if column.lower() not in TARGET_NAMES]
    whole.sort(key=lambda column: len(pd.unique(as_text(table, column))))
    nearly: tuple[str, ...] = ()
    swallowed = set(numeric) if not settings.target else {""}  # the ids must leave a target
    for candidates in (texts, texts + whole):
        for size in range(1, MOST_IDS + 1):
            for ids in combinations(candidates, size):
                if (candidates is not texts and not set(ids) - set(texts)) or swallowed <= set(ids):
                    continue
                share = _repeated_share(table, ids, instants)
                if share == 0:
                    return ids
                if share < FEW and not nearly:
                    nearly = ids
        if nearly:
            break
    if nearly and settings.on_duplicate != "error":
        return nearly
    if not nearly and settings.on_duplicate != "error" and settings.layout != "long" and not texts:
        return ()
    names, codes = id_codes(table, nearly)
    twice = repeats(codes, instants)
    row = int(np.argmax(twice))
    first = int(np.argmax((codes == codes[row]) & (instants == instants[row])))
    shown = f" for {', '.join(nearly)} '{', '.join(names[codes[row]])}'" if nearly else ""
    joined = f"join '{time}' and {', '.join(parts)} to one column of times, " if parts else ""
    raise BadData(
        f"{show(int(instants[row]), times.format)} comes twice{shown}, first in {table.line(first)} "
        f"({rows_of(int(twice.sum()))} like that)",
        place=table.place(row, time),
        cure=Words(
            f"{joined}name the columns that tell series apart with ",
            Setting("id"),
            ", or pass ",
            Setting("on_duplicate", "first"),
            " (or last, mean, sum)",
        ),
    )


def _repeated_share(table: Table, ids: tuple[str, ...], instants: Integers) -> float:
    """Share of rows that repeat a series and time; 1 where most series would have a single row."""
    names, codes = id_codes(table, ids)
    return float(repeats(codes, instants).mean()) if 2 * len(names) <= len(codes) else 1.0


def no_numbers(table: Table, others: list[str]) -> BadData:
    """Say why no column can be forecast: some are blank, or what the likeliest holds instead of numbers."""
    blank = [column for column in others if is_blank(table, column)]
    held = [column for column in others if column not in blank]
    if others and not held:
        return BadData(f"{table.name}: no series has a value; blank in every row: {', '.join(others[:20])}")
    reason = f"columns: {', '.join(others[:20]) or 'none'}" if not blank else f"blank in every row: {', '.join(blank)}"
    likely = [column for column in held if column.lower() in TARGET_NAMES] or held[-1:]
    if likely and re.search(r"\d|^(true|false)$", str(table.frame[likely[0]].iloc[0]), re.I):
        try:
            parse_numbers(table, likely[0])
        except BadData as error:
            return BadData(Words("no column of numbers to forecast; ", error), place=table.name)
    return BadData(f"no column of numbers to forecast; {reason}", place=table.name)


def target_column(table: Table, settings: TableSettings, numeric: list[str]) -> str:
    """The target of a long table."""
    if len(settings.target) > 1:
        raise UsageError("a long table has one target", setting=Setting("target", settings.target))
    if settings.target:
        return settings.target[0]
    if len(numeric) == 1:
        return numeric[0]
    for name in TARGET_NAMES:
        found = [column for column in numeric if column.lower() == name]
        if len(found) == 1:
            return found[0]
    if not numeric:
        problem = "no column of numbers to forecast besides the ids"
        raise BadData(problem, place=table.name, cure=Words("name it with ", Setting("target")))
    problem = f"several columns can be the target: {', '.join(numeric)}"
    raise UsageError(problem, place=table.name, cure=Words("pass ", Setting("target")))
