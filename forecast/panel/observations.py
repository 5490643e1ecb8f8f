"""Read the observations of a table (their series, times and values), and its covariates."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from forecast.calendar.calendar import Calendar, named_holidays
from forecast.calendar.parsing import ParsedTimes, parse_times
from forecast.errors import BadData, Setting, UsageError
from forecast.logs import log
from forecast.panel.panel import (
    Flags,
    Ids,
    Integers,
    Numbers,
    Panel,
    first_alike,
    series_index,
    series_name,
    series_names,
)
from forecast.panel.schema import Names, Schema, build_calendar
from forecast.tables.cells import (
    WHOLE_NUMBER,
    is_blank,
    is_text,
    join_cells,
    match_cells,
    numeric_columns,
    parse_columns,
    parse_numbers,
    read_cells,
)
from forecast.tables.table import Table, list_names, rank, repeats, rows_text

MIN_CODE_ROWS = 2  # a column of codes has at least this many rows for each code, and cells of text
TRUTH = {"false": False, "0": False, "true": True, "1": True}


@dataclass(frozen=True)
class TimedValues:
    """Values by series and time, read from a table or aggregated."""

    series: Integers  # [values], index into the ids
    timestamps: Integers  # [values], times or grid positions
    values: Numbers  # [values], NaN where blank

    def select(self, rows: Flags | Integers) -> "TimedValues":
        return TimedValues(self.series[rows], self.timestamps[rows], self.values[rows])

    def followed_by(self, other: "TimedValues") -> "TimedValues":
        return TimedValues(
            np.concatenate([self.series, other.series]),
            np.concatenate([self.timestamps, other.timestamps]),
            np.concatenate([self.values, other.values]),
        )

    def placed_on(self, calendar: Calendar) -> "TimedValues":
        """Replace the times by grid positions."""
        return TimedValues(self.series, calendar.positions(self.timestamps), self.values)

    def combine(self, rule: str) -> "TimedValues":
        """Combine values of the same series and time, and sort by series and time.

        `rule` says how: first, last, mean or sum.
        """
        next_series = np.diff(self.series)
        later = np.diff(self.timestamps) > 0
        if np.where(next_series == 0, later, next_series > 0).all():
            return self
        ordered = self.select(np.lexsort((self.timestamps, self.series)))
        other_series = np.diff(ordered.series) != 0
        differs = other_series | (np.diff(ordered.timestamps) != 0)
        starts = np.flatnonzero(np.append(True, differs))
        counts = np.diff(starts, append=len(self.values))
        if rule == "last":
            return ordered.select(starts + counts - 1)
        combined = ordered.select(starts)
        if rule == "first":
            return combined
        sums = np.add.reduceat(ordered.values, starts)
        if rule == "mean":
            sums = sums / counts
        return replace(combined, values=sums)


@dataclass(frozen=True)
class Observations(TimedValues):
    """The target cells of a table, including blank ones."""

    table: Table
    ids: Ids  # ascending
    order: Integers  # [series], indices into `ids`, in the order in which the table has the series
    row_timestamps: Integers  # [rows of the table], their times; empty for a `rows` table


def observe(table: Table, schema: Schema, times: ParsedTimes | None = None) -> Observations:
    """Read the ids, times and targets of a table; `times` are its times if already parsed."""
    if schema.layout == "rows":
        observations = _rows(table)
    else:
        ids, codes = id_codes(table, schema.id_columns)
        times = times or parse_times(table, schema.time, schema.time_settings, codes)
        if schema.layout == "wide":
            return _wide(table, wide_columns(table, schema), schema, times.timestamps)
        if ids[0] and not any(ids[0]):  # ids ascend, so that a blank one is the first
            text = "%s: %d rows have no id in %s; they are read as a series of their own."
            log.warning(text, table.name, (codes == 0).sum(), ", ".join(schema.ids))
        values = parse_numbers(table, schema.target or "")
        _, first_rows = np.unique(codes, return_index=True)
        order = np.argsort(first_rows)
        timestamps = times.timestamps
        observations = Observations(codes, timestamps, values, table, ids, order, timestamps)
    alike = first_alike(observations.ids)
    if alike:
        first, second = map(series_name, alike)
        text = "%s: ids '%s' and '%s' differ only in blanks, case or how letters are encoded;"
        log.warning(f"{text} they are two series.", table.name, first, second)
    return observations


def id_codes(table: Table, columns: Names) -> tuple[Ids, Integers]:
    """Return the different ids of a table, ascending, and the index of each row's id, [rows]."""
    keys = np.zeros(len(table), np.int64)
    if not columns:
        return ((),), keys
    parts = []  # texts in order, and their codes [rows]
    for column in columns:
        codes, texts = table.distinct(column)
        ascending, ranks = np.unique(np.array(texts, object), return_inverse=True)
        codes = ranks[codes]
        parts.append((ascending, codes))
        keys = keys * len(texts) + codes
        if len(parts) > 1:
            keys, _ = rank(keys)  # renumber, so that the keys of many columns cannot overflow
    first = np.empty(keys.max() + 1, np.int64)
    rows = np.arange(len(table))
    first[keys[::-1]] = rows[::-1]
    names = [texts[codes[first]].tolist() for texts, codes in parts]
    ids = tuple(zip(*names, strict=True))
    return ids, keys


def wide_columns(table: Table, schema: Schema) -> list[str]:
    """Return the columns of a wide table that are series.

    They are those of the fit; if the fit took all numeric columns, new ones are series, too.
    """
    columns = table.names
    taken = set(schema.series)
    if schema.all_columns:
        named = {*schema.time, *schema.known, *schema.past}
        named.update((*schema.ignored, *taken))
        free = [name for name in columns if name not in named and name != table.numbering]
        taken.update(numeric_columns(table, free))
        taken.update(name for name in free if name not in taken and is_blank(table, name))
    return [column for column in columns if column in taken]


def _wide(table: Table, columns: list[str], schema: Schema, timestamps: Integers) -> Observations:
    if not columns:
        fitted = series_names([(name,) for name in schema.series])
        raise BadData(
            f"none of the columns that were forecast is there (at fit: {fitted})", place=table.name
        )
    values = parse_columns(table, columns).reshape(-1)
    names, order = np.unique(np.array(columns, object), return_inverse=True)
    ids = tuple((name,) for name in names)
    series = np.tile(order, len(timestamps))
    times = np.repeat(timestamps, len(columns))
    return Observations(series, times, values, table, ids, order, timestamps)


def _rows(table: Table) -> Observations:
    """Read a table with one series in each row.

    Each column after the first is a step; blank cells at the end of a row are not steps.
    """
    id_column, *columns = table.names
    ids, order = id_codes(table, (id_column,))
    if len(ids) < len(table):
        row = np.argmax(repeats(order))
        raise BadData(
            f"id '{ids[order[row]][0]}' comes twice",
            place=table.place(row, id_column),
            cure="give every row its own id",
        )
    values = parse_columns(table, columns).reshape(-1)
    series = np.repeat(order, len(columns))
    steps = np.arange(1, len(columns) + 1)
    times = np.tile(steps, len(ids))
    no_times = np.zeros(0, np.int64)
    return Observations(series, times, values, table, ids, order, no_times)


def find_categories(table: Table, columns: Names, named: Names) -> dict[str, Names]:
    """Return the categories of categorical columns: their different texts, ascending.

    Columns are categorical if they are in `named` or look like it.
    """
    categories = {}
    for column in columns:
        if column in named or _looks_categorical(table, column):
            texts = sorted({*table.distinct(column)[1]} - {""})
            if texts:
                categories[column] = tuple(texts)
    return categories


def _looks_categorical(table: Table, column: str) -> bool:
    """Whether a column holds text, categories of pandas, or a few codes such as 0, a, b, c."""
    cells = table.frame[column]
    if hasattr(cells, "cat") or not numeric_columns(table, [column]):
        return True
    if not is_text(cells):
        return False
    parsed = read_cells(join_cells([cells]), table)
    present = ~parsed.blank
    letters = parsed.bad & present
    typing_errors = parsed.bad & parsed.numberlike
    if typing_errors.any() or letters.sum() < MIN_CODE_ROWS:
        return False
    different = pc.unique(parsed.text.filter(present))
    # with more different values, text is taken for typing errors
    if len(different) > min(30, present.sum() / MIN_CODE_ROWS):
        return False
    is_number = present & ~parsed.bad & ~parsed.word
    return bool(match_cells(parsed.text.filter(is_number), WHOLE_NUMBER).all())


def locate_rows(
    table: Table, schema: Schema, ids: Ids, times: ParsedTimes | None
) -> tuple[Integers | None, Integers]:
    """Return the series of each row, as an index into `ids`, and its time, [rows] each.

    The series is -1 if the row belongs to none of the ids. If the rows apply to all series, the
    first result is None. A time off the grid is refused, unless rows are aggregated.
    """
    by_series = schema.id_columns and set(schema.ids) <= set(table.names)
    names, codes = id_codes(table, schema.ids if by_series else ())
    times = times or parse_times(table, schema.time, schema.time_settings, codes)
    off = ~build_calendar(schema).on_grid(times.timestamps)
    series = None
    if by_series:
        series = series_index(ids, names)[codes]
        off &= series >= 0
        unknown = len(set(names) - set(ids))
        if unknown:
            log.warning(
                "%s: %d series are not in the table to forecast; their rows are left out.",
                table.name,
                unknown,
            )
    if schema.aggregate is None and off.any():
        raise BadData(
            f"the time does not lie on the grid {schema.calendar.name}",
            place=table.place(np.argmax(off), schema.time),
            cure="correct it",
        )
    return series, times.timestamps


def find_slots(
    panel: Panel, series: Integers | None, positions: Integers
) -> tuple[Integers, Integers]:
    """Return the slots that lie at grid positions, and the index of the position of each, [slots].

    `series` is the series of each position; if it is None, each position applies to all series.
    """
    index = np.arange(len(positions))
    if series is None:
        series = np.repeat(np.arange(len(panel)), len(positions))
        index = np.tile(index, len(panel))
    step = positions[index] - panel.starts[series]
    inside = (step >= 0) & (step < panel.sizes[series])
    slots = panel.offsets[series] + step
    return slots[inside], index[inside]


def covariates(panel: Panel, observations: Observations, schema: Schema, columns: Names) -> Numbers:
    """Return columns of the table of `observations` by slot, [slots, columns], NaN where blank."""
    shape = len(panel.values), len(columns)
    result = np.full(shape, np.nan)
    if not columns:
        return result
    times = observations.row_timestamps
    rows = np.arange(len(times))
    if schema.aggregate:  # the last row of a period counts
        rows = np.argsort(times, kind="stable")
    series = observations.series[rows] if schema.id_columns else None
    positions = build_calendar(schema).positions(times[rows])
    slot, index = find_slots(panel, series, positions)
    for number, column in enumerate(columns):
        values = column_values(observations.table, column, schema)[rows[index]]
        present = ~np.isnan(values)
        result[slot[present], number] = values[present]
    return result


def static_values(observations: Observations, schema: Schema) -> Numbers:
    """Return the static covariates, which do not change within a series, [series, columns]."""
    shape = len(observations.ids), len(schema.static)
    result = np.full(shape, np.nan)
    for number, column in enumerate(schema.static):
        values = column_values(observations.table, column, schema)
        _set_by_series(result[:, number], values, ~np.isnan(values), observations, column)
    return result


def find_regions(observations: Observations, schema: Schema) -> Names:
    """Return the code of the region whose holidays each series has, [series], '' for none.

    Returns () if no column has the codes.
    """
    country, _, column = (schema.holidays or "").partition(":")
    if not column:
        return ()
    table = observations.table
    codes = np.array([text.strip() for text in table.texts(column)], object)
    if country not in ("column", "country"):
        is_bare = np.array([bool(code) and "-" not in code for code in codes], bool)
        codes[is_bare] = f"{country}-" + codes[is_bare]
    regions = np.full(len(observations.ids), "", object)
    _set_by_series(regions, codes, codes != "", observations, column)
    for region in sorted({*regions} - {""}):
        try:
            named_holidays(0, 0, region)
        except UsageError as error:
            row = np.argmax(codes == region)
            name = series_name(observations.ids[observations.series[row]])
            raise BadData(
                f"series '{name}': {error.render(format)}",
                place=table.place(row, column),
                cure="correct it, or leave it blank for no holidays",
            ) from None
    return tuple(regions)


def _set_by_series(
    result: NDArray[Any],
    values: NDArray[Any],
    present: Flags,
    observations: Observations,
    column: str,
) -> None:
    """Set the `result` [series] to the `values` [rows] that are present; refuse several."""
    rows = np.flatnonzero(present)
    series = observations.series[rows]
    result[series[::-1]] = values[rows[::-1]]  # the first value of each series wins
    wrong = rows[values[rows] != result[series]]
    if len(wrong):
        name = series_name(observations.ids[observations.series[wrong[0]]])
        raise BadData(
            f"series '{name}' has several values in a static column",
            place=observations.table.place(wrong[0], column),
            cure=f"keep one, or pass {Setting('known', column)} or {Setting('past')}",
        )


def column_values(table: Table, column: str, schema: Schema) -> Numbers:
    """Read a column as numbers, or as codes if the schema has categories for it, [rows].

    A code is 1 + the index of the category, or 0 for a new category; a blank cell is NaN. As a
    number, True is 1 and False is 0.
    """
    if column not in schema.categories:
        if table.kind(column) == "boolean":
            flags = table.frame[column].astype("boolean")
            return np.asarray(flags.to_numpy(float, na_value=np.nan))
        cure = f"; if the column holds categories, fit with {Setting('categorical', column)}"
        return parse_numbers(table, column, cure)
    codes, texts = table.distinct(column)
    code_of = {text: float(code) for code, text in enumerate(schema.categories[column], 1)}
    truths = {TRUTH.get(text.lower()): code for text, code in code_of.items()}
    if None not in truths:  # all cells are booleans, in whatever spelling
        code_of |= {word: truths[truth] for word, truth in TRUTH.items() if truth in truths}
        texts = [text.lower() for text in texts]
    code_of[""] = np.nan
    values = np.array([code_of.get(text, 0.0) for text in texts])
    if rows := int((values == 0)[codes].sum()):
        unseen = list_names([text for text in texts if text not in code_of])
        log.warning(
            "%s: column '%s' has categories that fit did not see (%s), in %s; read as unknown.",
            table.name,
            column,
            unseen,
            rows_text(rows),
        )
    return values[codes]
