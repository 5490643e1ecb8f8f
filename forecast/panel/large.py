"""Read a table that is too large for memory, some whole series at a time, with pyarrow."""

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecast.errors import BadData, ForecastError
from forecast.logs import held_back, log, log_kinds
from forecast.panel.build import MAX_PANEL_NUMBERS
from forecast.panel.dated import dated_table
from forecast.panel.infer import columns_of_fit, find_end, infer_schema
from forecast.panel.panel import Flags, Integers
from forecast.panel.roles import AVAILABLE_AT
from forecast.panel.schema import Names, Schema
from forecast.settings import TableSettings, TextSettings
from forecast.tables.cells import convert_flags, infer_decimal, lacks_value
from forecast.tables.storage import (
    CELL_PEAK,
    MEMORY_SHARE,
    PROBLEM,
    SAMPLE_BYTES,
    Location,
    arrow_frame,
    foreign_kind,
    free_memory,
    parquet_dataset,
    parquet_files,
    readable,
)
from forecast.tables.table import Columns, Table, changes, column_names, require_columns
from forecast.tables.text import DELIMITER_LINE, best_delimiter, given_delimiter

Shares = Callable[[Table], Integers]

ROWS_AT_ONCE = 1 << 18  # rows of a block of Parquet
BYTES_AT_ONCE = 1 << 23  # bytes of a block of a CSV
# names of columns that are added to those of a table
ROW_COLUMN = "\0row"
SHARE = "\0share"


@dataclass(frozen=True)
class LargeTable:
    """A large table that is read block by block: a plain CSV, or a file or folder of Parquet."""

    location: Location
    data: Any  # a data set of pyarrow; all columns of a CSV are text
    rows: int  # the approximate number of rows
    settings: TextSettings
    pins: list[tuple[Any, ...]]  # the state of the files before reading, to notice changes
    delimiter: str | None = None  # the delimiter of a CSV; None for Parquet

    @property
    def name(self) -> str:
        return self.location.name

    @property
    def names(self) -> list[str]:
        return [str(name) for name in self.data.schema.names]

    def batches(self, columns: Columns) -> Iterator[Any]:
        """Yield the rows of each block, in order, with their line numbers in `ROW_COLUMN`."""
        require_columns(Table(self.name, arrow_frame(self._empty(self.names))), columns)
        row = 1 if self.delimiter is None else 2
        with readable(self.name, "cannot be read: {}"), self.location.refuse_changes(self.pins):
            for batch in self._blocks(list(columns)):
                if len(batch):
                    table = pa.Table.from_batches([batch]).replace_schema_metadata(None)
                    lines = pa.array(np.arange(row, row + len(batch)))
                    yield table.append_column(ROW_COLUMN, lines)
                    row += len(batch)

    def _blocks(self, columns: list[str]) -> Any:
        import pyarrow.csv
        import pyarrow.dataset

        if self.delimiter is None:
            scan = pyarrow.dataset.ParquetFragmentScanOptions(
                pre_buffer=False, use_buffered_stream=True, buffer_size=1 << 20
            )
            return self.data.to_batches(
                columns,
                batch_size=ROWS_AT_ONCE,
                fragment_scan_options=scan,
                batch_readahead=0,
                fragment_readahead=0,
                use_threads=False,
            )
        # not the scanner of the data set: it reads ahead if the consumer is slow
        file = self.location.system.open_input_file(self.data.files[0])
        reading = pyarrow.csv.ReadOptions(
            use_threads=False, block_size=BYTES_AT_ONCE, skip_rows=1, column_names=self.names
        )
        parsing = pyarrow.csv.ParseOptions(delimiter=self.delimiter)
        conversion = pyarrow.csv.ConvertOptions(
            column_types=self.data.schema, strings_can_be_null=False, include_columns=columns
        )
        return pyarrow.csv.open_csv(file, reading, parsing, conversion)

    def table(self, rows: Any) -> Table:
        frame = arrow_frame(rows.drop_columns([ROW_COLUMN]))
        return replace(self._blank, frame=frame, lines=rows[ROW_COLUMN].to_numpy())

    @cached_property
    def _blank(self) -> Table:
        """Return a table without rows that knows how numbers are written.

        For a CSV, this is inferred from its first block.
        """
        blank = Table(self.name, arrow_frame(self._empty(self.names)))
        if self.delimiter is None:
            return blank
        thousands = self.settings.thousands
        blank = replace(blank, text=True, thousands=thousands, reading=self.settings)
        decimal = self.settings.decimal
        if decimal is None:
            rows = next(self.batches(self.names))
            first = replace(blank, frame=arrow_frame(rows.drop_columns([ROW_COLUMN])))
            decimal = infer_decimal(first, self.delimiter)
        return replace(blank, decimal=decimal)

    def filter_rows(self, columns: Columns, by: Columns, keep: Callable[[Table], Flags]) -> Table:
        """Return the rows that `keep` selects, given the columns `by`.

        Only these rows and one block are in memory.
        """
        kept = [self._empty(columns)]
        for rows in self.batches(columns):
            flags = keep(self.table(rows.select([*by, ROW_COLUMN])))
            kept.append(rows.filter(pa.array(flags)))
        return self.table(pa.concat_tables(kept).combine_chunks())

    def parts(self, columns: Columns, cuts: Sequence[int]) -> Iterator[Table]:
        """Yield the rows from each of the `cuts`, which are row numbers, to the next one."""
        batches = self.batches(columns)
        rows = self._empty(columns)
        for first, end in pairwise(cuts):
            while len(rows) < end - first:
                rows = pa.concat_tables([rows, next(batches)])
            yield self.table(rows.slice(0, end - first))
            rows = rows.slice(end - first)
        next(batches, None)  # this checks whether the table has changed meanwhile

    def write_shares(self, columns: Columns, by: Columns, share: Shares, folder: str) -> None:
        """Write the rows into one folder for each share.

        `share` returns the number of the share of each row, given the columns `by`.
        """
        import pyarrow.dataset

        def share_pool() -> Iterator[Any]:
            for rows in self.batches(columns):
                shares = share(self.table(rows.select([*by, ROW_COLUMN])))
                yield from rows.append_column(SHARE, pa.array(shares)).to_batches()

        schema = self._empty(columns).schema
        schema = schema.append(pa.field(SHARE, pa.int64()))
        batches = pa.RecordBatchReader.from_batches(schema, share_pool())
        pyarrow.dataset.write_dataset(
            batches,
            folder,
            format="feather",
            partitioning=[SHARE],
            max_partitions=1 << 20,
            max_open_files=200,
        )

    def read_share(self, folder: str, share: int) -> Table | None:
        """Return the rows of a share that was written, in order; None if it has no rows."""
        import pyarrow.dataset

        path = Path(folder, str(share))
        if not path.exists():
            return None
        rows = pyarrow.dataset.dataset(path, format="feather").to_table()
        return self.table(rows.sort_by(ROW_COLUMN))

    def survey(self, ids: Columns, time: Columns, target: str) -> tuple[Integers | None, Table]:
        """Find where series begin, and which times there are.

        Returns the number of the first row of each series, followed by the number of rows, and a
        table with one row for each time that has a value. The former is None if an id is blank, or
        if the rows of a series do not stand together.
        """
        starts = []
        firsts = []
        times = self._empty(time)
        end = 0
        last_ids = None
        columns = dict.fromkeys([*ids, *time, target])
        for rows in self.batches(list(columns)):
            keys = rows.select(ids)
            begins = np.logical_or.reduce([changes(column) for column in keys.columns])
            begins[0] = keys.slice(0, 1).to_pylist() != last_ids
            last_ids = keys.slice(len(rows) - 1).to_pylist()
            starts.append(end + np.flatnonzero(begins))
            end += len(rows)
            first_rows = keys.filter(pa.array(begins)).columns
            firsts.append(pa.table(list(map(_decode, first_rows)), list(ids)))
            has_value = ~_find_blanks(rows[target])
            valued = rows.select([*time, ROW_COLUMN]).filter(pa.array(has_value))
            groups = pa.concat_tables([times, valued]).group_by(list(time), use_threads=False)
            times = groups.aggregate([(ROW_COLUMN, "min")]).rename_columns([*time, ROW_COLUMN])
        values = pa.array(np.ones(len(times)))
        if self.delimiter:
            values = values.cast(pa.string())
        table = self.table(times.append_column(target, values))
        if not firsts or not _stands_together(pa.concat_tables(firsts)):
            return None, table
        return np.concatenate([*starts, [end]]), table

    def _empty(self, columns: Columns) -> Any:
        """Return a table of pyarrow without rows, with the columns of a batch."""
        empty = self.data.schema.empty_table().select(list(columns)).replace_schema_metadata(None)
        return empty.append_column(ROW_COLUMN, pa.array([], pa.int64()))


def _find_blanks(column: Any) -> Flags:
    """Say which cells of a column lack a value, [rows]."""
    values = _decode(column)
    if _is_text(values):
        return lacks_value(pc.fill_null(values, ""))
    return convert_flags(values.is_null(nan_is_null=True))


def _stands_together(series: Any) -> bool:
    """Whether no id in a table of ids is blank or occurs twice."""
    for column in series.columns:
        if column.null_count:
            return False
        if _is_text(column) and pc.any(pc.equal(column, "")).as_py():
            return False
    different = series.group_by(series.column_names).aggregate([])
    return len(series) == len(different)


def _is_text(column: Any) -> bool:
    return str(column.type).endswith("string")


def _decode(column: Any) -> Any:
    if pa.types.is_dictionary(column.type):
        return column.cast(column.type.value_type)
    return column


def large_table(
    source: str, settings: TextSettings, least: int = 1, coded: Names = ()
) -> LargeTable | None:
    """Open a table that is read block by block; the columns `coded` are read as categories.

    Returns None if it cannot be read this way, or has fewer than `least` rows.
    """
    location = Location.parse(source)
    with readable(location.name, PROBLEM):
        files = parquet_files(location)
        if not files:
            return _plain_csv(location, settings, least)
        pins = location.pins(files)
        data = parquet_dataset(location, files, location.name, coded)
        rows = data.count_rows()
    if rows < least:
        return None
    return LargeTable(location, data, rows, settings, pins)


def _plain_csv(location: Location, settings: TextSettings, least: int) -> LargeTable | None:
    """Open a CSV in UTF-8 in which each line is a row, under a plain header; None for others."""
    file, *others = location.files()
    as_given = settings.encoding or settings.header_row or settings.skip_rows
    # a row has an id, a time, a value, two delimiters and a line end
    if others or as_given or file.size < 6 * least:
        return None
    pins = location.pins([file.path])
    with location.system.open_input_file(file.path) as opened:
        sample = opened.read_at(SAMPLE_BYTES, 0)
        end = opened.read_at(1, file.size - 1)
    header, _, rest = sample.partition(b"\n")
    begins = sample[:1].isalnum() or sample[:1] == b'"'
    if not begins or not rest or end != b"\n":
        return None
    if sample.startswith(b"PK") or DELIMITER_LINE.match(sample) or foreign_kind(sample):
        return None
    delimiter = given_delimiter(settings) or best_delimiter(sample)
    try:
        line = header.decode().strip("\r")
        cells = next(csv.reader([line], delimiter=delimiter, strict=True))
        names = column_names(cells, location.name, location.name, str)
    except (ForecastError, UnicodeDecodeError, csv.Error):
        return None
    if not all(names):
        return None
    import pyarrow.dataset

    columns = pa.schema([(name, pa.string()) for name in names])
    data = pyarrow.dataset.dataset(
        file.path, schema=columns, format="csv", filesystem=location.system
    )
    rows = file.size * sample.count(b"\n") // len(sample)
    return LargeTable(location, data, rows, settings, pins, delimiter)


def needed_columns(schema: Schema, table: LargeTable) -> list[str]:
    names = list(columns_of_fit(schema))
    if schema.known and AVAILABLE_AT in table.names:
        names.append(AVAILABLE_AT)
    return list(dict.fromkeys(names))


def newest_time(times: Table, schema: Schema) -> int:
    """Return the time of the newest value of a table, and check all its times.

    `times` has one row for each time.
    """
    if not len(times):
        raise BadData("no series has a value", place=times.name)
    events = tuple(event for event in schema.dated_events if not event.ids)
    of_all = {"ids": (), "on_duplicate": "first", "dated_events": events}
    with held_back():  # warnings come later, when the times are read again with their series
        return find_end(times, schema.model_copy(update=of_all))


def sample_series(
    source: str, reading: TextSettings, settings: TableSettings, seed: int
) -> Table | None:
    """Read some series of a long table that does not fit in memory, drawn by hashes of their ids.

    Returns None if the table fits in memory, or cannot be read block by block.
    """
    free = free_memory()
    path = Path(source)
    if path.suffix == ".csv" and path.is_file():  # a cell takes two bytes or more, a row six
        fitting = min(MEMORY_SHARE * free / CELL_PEAK, 2 * MAX_PANEL_NUMBERS)
        if path.stat().st_size < fitting:
            return None
    try:
        with held_back() as messages:
            table = large_table(source, reading)
            if table is None:
                return None
            needed = table.rows * len(table.names) * CELL_PEAK
            times_too_large = max(needed / free, 2 * table.rows / MAX_PANEL_NUMBERS) / MEMORY_SHARE
            one_in = math.ceil(times_too_large)
            if one_in < 2:
                return None
            ids = settings.id
            if not ids:
                first = table.table(next(table.batches(table.names)))
                schema, _ = infer_schema(dated_table(first, settings), settings)
                ids = schema.id_columns
            if not ids or not set(ids) <= set(table.names):
                return None

            sample = table.filter_rows(
                table.names, ids, lambda rows: rows.hashes(ids, seed) % one_in == 0
            )
    except ForecastError:
        return None  # reading the whole table will raise an error that says what is wrong
    log_kinds(messages)
    if not len(sample):
        return None
    sizes = f"takes about {needed / 2**30:.1f} GiB to fit, and {free / 2**30:.1f} GiB are free"
    text = "%s: %s: the fit sees one series in %d, drawn by the hashes of their ids;"
    text += " it can forecast all of them, as series that are new to it"
    log.warning(text, table.name, sizes, one_in)
    return sample
