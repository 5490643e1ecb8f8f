"""Read the observations of a table (which series, when, how much), and its covariates."""

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from forecast.calendar.parsing import ParsedTimes, parse_times
from forecast.calendar.zones import Flags
from forecast.errors import BadData, Setting, Words
from forecast.logs import log
from forecast.panel.naming import first_alike, series_name, series_names
from forecast.panel.panel import Ids, Integers, Numbers, Panel, series_index
from forecast.panel.schema import Names, Schema, calendar_of
from forecast.tables.cells import (
    cells_of,
    is_blank,
    is_text,
    numeric_columns,
    parse_columns,
    parse_numbers,
    read_cells,
)
from forecast.tables.headers import listed
from forecast.tables.table import Table, distinct, ranked, repeats, rows_text

MAX_CODES = 30  # a column of numbers with more different values has typing errors, not codes
MIN_ROWS = 2  # rows for each different code, on average, and cells that are no numbers
CODE = "^[+-]?[0-9]+$"
TRUTH = {"false": False, "0": False, "true": True, "1": True}


@dataclass(frozen=True)
class Observations:
    """The target cells of a table, blank ones included."""

    ids: Ids  # ascending
    order: Integers  # [series], those of the table in its order, as indices into `ids`
    series: Integers  # [cells], index into `ids`
    timestamps: Integers
    values: Numbers  # NaN where blank
    rows: Integers  # [cells], the row of the table
    row_timestamps: Integers  # [rows of the table]; () for a `rows` table


@dataclass(frozen=True)
class TimedValues:
    """Values by series and time, from the table or sums of it."""

    series: Integers  # [rows], index into the ids
    timestamps: Integers
    values: Numbers

    def select(self, rows: Flags | Integers) -> "TimedValues":
        return TimedValues(self.series[rows], self.timestamps[rows], self.values[rows])

    def combined(self, rule: str) -> "TimedValues":
        """One row for each series and time, ascending: the first, last, mean or sum of the rows in their order."""
        further = np.diff(self.series)
        if np.where(further == 0, np.diff(self.timestamps) > 0, further > 0).all():
            return self
        times = distinct(self.timestamps)
        keys = self.series * len(times) + np.searchsorted(times, self.timestamps)
        order = np.argsort(keys, kind="stable")
        keys, values = keys[order], self.values[order]
        starts = np.flatnonzero(np.diff(keys, prepend=-1))
        if len(starts) < len(keys):
            ends, keys = np.append(starts[1:], len(keys)), keys[starts]
            if rule in ("first", "last"):
                values = values[starts if rule == "first" else ends - 1]
            else:
                values = np.add.reduceat(values, starts) / (ends - starts if rule == "mean" else 1)
        return TimedValues(keys // len(times), times[keys % len(times)], values)


def observe(table: Table, schema: Schema, times: ParsedTimes | None = None) -> Observations:
    """Read the ids, times and targets of a table, whose times may have been parsed before; BadData with its place."""
    if schema.layout == "wide":
        return _wide(table, schema, times)
    found = _rows(table) if schema.layout == "rows" else _long(table, schema, times)
    if pair := first_alike(found.ids):
        text = "%s: ids '%s' and '%s' differ only in blanks, case or how letters are encoded; they are two series."
        log.warning(text, table.name, *map(series_name, pair))
    return found


def id_codes(table: Table, columns: tuple[str, ...]) -> tuple[Ids, Integers]:
    """The different ids of a table, ascending, and [rows] which of them each row has."""
    if not columns:
        return ((),), np.zeros(len(table), np.int64)
    keys = np.zeros(len(table), np.int64)
    parts: list[tuple[Integers, list[str]]] = []
    for column in columns:
        codes, texts = table.distinct(column)
        codes = _ranks(texts)[codes]
        parts.append((codes, sorted(texts)))
        # compressed after each column but the first, so that the product of many cannot overflow
        keys = ranked(keys * len(texts) + codes)[0] if len(parts) > 1 else codes
    first = np.empty(int(keys.max()) + 1, np.int64)
    first[keys[::-1]] = np.arange(len(table))[::-1]
    names = [[texts[code] for code in codes[first].tolist()] for codes, texts in parts]
    return tuple(zip(*names, strict=True)), keys


def wide_columns(table: Table, schema: Schema) -> list[str]:
    """The columns of a wide table that are series: those of the fit, and new ones if the fit took every numeric one."""
    columns, taken = table.names, set(schema.series)
    if schema.all_columns:
        named = {
            *schema.time,
            *schema.known,
            *schema.past,
            *schema.ignored,
            *taken,
            table.numbering,
        }
        unnamed = [column for column in columns if column not in named]
        numeric = set(numeric_columns(table, unnamed))
        taken |= {column for column in unnamed if column in numeric or is_blank(table, column)}
    return [column for column in columns if column in taken]


def _long(table: Table, schema: Schema, times: ParsedTimes | None) -> Observations:
    ids, series = id_codes(table, schema.ids)
    timestamps = (times or parse_times(table, schema.time, schema.time_settings, series)).timestamps
    if ids[0] and not any(ids[0]):  # a blank id comes first
        text = "%s: %d rows have no id in %s; they are read as a series of their own."
        log.warning(text, table.name, (series == 0).sum(), ", ".join(schema.ids))
    values = parse_numbers(table, schema.target or "")
    order = np.argsort(np.unique(series, return_index=True)[1])  # in which they come first
    return Observations(ids, order, series, timestamps, values, np.arange(len(series)), timestamps)


def _wide(table: Table, schema: Schema, times: ParsedTimes | None) -> Observations:
    series = np.zeros(len(table), np.int64)
    timestamps = (times or parse_times(table, schema.time, schema.time_settings, series)).timestamps
    columns = wide_columns(table, schema)
    if not columns:
        fitted = series_names([(name,) for name in schema.series])
        raise BadData(
            f"{table.name}: none of the columns that were forecast is there (at fit: {fitted})"
        )
    count, ids = len(columns), tuple((name,) for name in sorted(columns))
    order, rows = _ranks(columns), np.repeat(np.arange(len(timestamps)), count)
    values, series = parse_columns(table, columns).reshape(-1), np.tile(order, len(timestamps))
    return Observations(ids, order, series, np.repeat(timestamps, count), values, rows, timestamps)


def _rows(table: Table) -> Observations:
    """One series a row, one step a column after the first; blank cells at the end are no steps."""
    columns = table.names
    codes, names = table.distinct(columns[0])
    if len(names) < len(table):
        row = int(np.argmax(repeats(codes)))
        problem = f"id '{names[codes[row]]}' comes twice"
        raise BadData(problem, place=table.place(row, columns[0]), cure="give every row its own id")
    ids, order, count = tuple((name,) for name in sorted(names)), _ranks(names), len(columns) - 1
    series, steps = np.repeat(order, count), np.tile(np.arange(1, count + 1), len(names))
    values, rows = (
        parse_columns(table, columns[1:]).reshape(-1),
        np.repeat(np.arange(len(names)), count),
    )
    return Observations(ids, order, series, steps, values, rows, np.zeros(0, np.int64))


def _ranks(texts: list[str]) -> Integers:
    """[texts], the position of each in ascending order."""
    ranks = np.empty(len(texts), np.int64)
    ranks[sorted(range(len(texts)), key=texts.__getitem__)] = np.arange(len(texts))
    return ranks


def categories_of(
    table: Table, columns: tuple[str, ...], named: tuple[str, ...] = ()
) -> dict[str, tuple[str, ...]]:
    """The different texts, ascending, of the columns that are in `named`, or look like categories."""
    categorical = [
        column for column in columns if column in named or _looks_categorical(table, column)
    ]
    categories = {
        column: tuple(sorted({*table.distinct(column)[1]} - {""})) for column in categorical
    }
    return {column: texts for column, texts in categories.items() if texts}


def _looks_categorical(table: Table, column: str) -> bool:
    """Whether a column holds text or categories, or few whole numbers and letters, such as the codes 0, a, b, c."""
    if hasattr(table.frame[column], "cat") or not numeric_columns(table, [column]):
        return True
    if not is_text(table.frame[column]):
        return False
    cells = read_cells(cells_of([table.frame[column]]), table)
    present = ~cells.blank
    if (cells.bad & cells.numberlike).any() or int((cells.bad & present).sum()) < MIN_ROWS:
        return False
    different = pc.unique(cells.text.filter(present))
    numbers = pc.unique(cells.text.filter(present & ~cells.bad & ~cells.word))
    few = len(different) <= MAX_CODES and MIN_ROWS * len(different) <= int(present.sum())
    return few and bool(pc.all(pc.match_substring_regex(numbers, CODE), min_count=0).as_py())


def rows_of(
    table: Table, schema: Schema, ids: Ids, times: ParsedTimes | None
) -> tuple[Integers | None, Integers]:
    """The series of each row, as index into some ids, -1 for others, None where rows hold for all; and its time.

    A time off the grid is refused, unless rows are aggregated.
    """
    shared = schema.layout != "long" or not schema.ids or not set(schema.ids) <= set(table.names)
    names, codes = id_codes(table, () if shared else schema.ids)
    timestamps = (times or parse_times(table, schema.time, schema.time_settings, codes)).timestamps
    series = None if shared else (series_index(ids, names) - 1)[codes]
    if series is not None and (unknown := len(np.unique(codes[series < 0]))):
        warning = "%s: %d series are not in the table to forecast; their rows are left out."
        log.warning(warning, table.name, unknown)
    off = ~calendar_of(schema).on_grid(timestamps) & (
        np.array(True) if series is None else series >= 0
    )
    if schema.aggregate is None and off.any():
        place = table.place(int(np.argmax(off)), schema.time)
        raise BadData(
            f"{place}: the time does not lie on the grid {schema.calendar.name}; correct it"
        )
    return series, timestamps


def slots_of(
    panel: Panel, series: Integers | None, positions: Integers
) -> tuple[Integers, Integers]:
    """The slots of some grid positions, of one series each or of all, and which of the positions each of them is."""
    index = np.arange(len(positions))
    if series is None:
        series, index = np.repeat(np.arange(len(panel)), len(positions)), np.tile(index, len(panel))
    step = positions[index] - panel.starts[series]
    inside = (step >= 0) & (step < np.diff(panel.offsets)[series])
    return (panel.offsets[series] + step)[inside], index[inside]


def covariates(
    panel: Panel, table: Table, schema: Schema, columns: Names, observations: Observations
) -> Numbers:
    """Columns of the table of `observations` by slot [slots, columns], NaN where it has no value."""
    result = np.full((len(panel.values), len(columns)), np.nan)
    if columns:
        times = observations.row_timestamps
        rows = (
            np.argsort(times, kind="stable") if schema.aggregate else np.arange(len(times))
        )  # the last one holds
        series = observations.series[rows] if schema.layout == "long" and any(schema.ids) else None
        slot, row = slots_of(panel, series, calendar_of(schema).positions(times[rows]))
    for index, column in enumerate(columns):
        values = column_values(table, column, schema)[rows[row]]
        given = ~np.isnan(values)
        result[slot[given], index] = values[given]
    return result


def static_values(table: Table, schema: Schema, observations: Observations) -> Numbers:
    """Columns that are fixed for each series: [series, columns]."""
    result = np.full((len(observations.ids), len(schema.static)), np.nan)
    for index, column in enumerate(schema.static):
        values = column_values(table, column, schema)
        rows = np.flatnonzero(~np.isnan(values))
        result[observations.series[rows[::-1]], index] = values[
            rows[::-1]
        ]  # the first value of a series stays
        wrong = rows[values[rows] != result[observations.series[rows], index]]
        if len(wrong):
            name = series_name(observations.ids[int(observations.series[wrong[0]])])
            problem = f"series '{name}' has several values in a static column"
            cure = Words(
                "pass ", Setting("known", column), " or ", Setting("past", column), " instead"
            )
            raise BadData(problem, place=table.place(int(wrong[0]), column), cure=cure)
    return result


def column_values(table: Table, column: str, schema: Schema) -> Numbers:
    """[rows], numbers, or codes where the schema has categories: 1 + position, 0 for new ones, NaN where blank.

    True is the same as 1, and False as 0.
    """
    if column not in schema.categories:
        if table.kind(column) == "boolean":
            return np.asarray(
                table.frame[column].astype("boolean").to_numpy(float, na_value=np.nan)
            )
        other_cure = Words(
            "; if the column holds categories, fit with ", Setting("categorical", column)
        )
        return parse_numbers(table, column, other_cure)
    codes, texts = table.distinct(column)
    code_of = {"": np.nan, **{text: code for code, text in enumerate(schema.categories[column], 1)}}
    if all(text.lower() in TRUTH for text in schema.categories[column]):
        truths = {TRUTH[text.lower()]: code for text, code in code_of.items() if text}
        code_of |= {
            text: truths[truth] for text in texts if (truth := TRUTH.get(text.lower())) in truths
        }
    values = np.array([code_of.get(text, 0.0) for text in texts])
    if rows := int((values == 0)[codes].sum()):
        unseen = listed([text for text in texts if text not in code_of])
        form = "%s: column '%s' has categories that fit did not see (%s), in %s; read as unknown."
        log.warning(form, table.name, column, unseen, rows_text(rows))
    return values[codes]
