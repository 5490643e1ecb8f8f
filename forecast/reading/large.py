"""Read a table that is too large to hold, by the data sets of pyarrow: whole series, some at a time."""

import csv
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
from forecast.panel.panel import Flags, Integers
from forecast.panel.schema import Names, Schema
from forecast.reading.building import MAX_NUMBERS
from forecast.reading.dated import dated_table, normalised
from forecast.reading.reading import infer_schema, reach_of
from forecast.reading.roles import AVAILABLE_AT
from forecast.settings import TableSettings, TextSettings
from forecast.tables.cells import flags_of, infer_decimal, lacks_value
from forecast.tables.contents import (
    CELL_PEAK,
    MEMORY_SHARE,
    SAMPLE,
    foreign_kind,
    free_memory,
    readable,
)
from forecast.tables.headers import column_names, listed
from forecast.tables.storage import (
    PARQUET,
    PROBLEM,
    Location,
    arrow_frame,
    parquet_dataset,
    parquet_files,
)
from forecast.tables.table import Table, changes
from forecast.tables.text import DELIMITER_LINE, best_delimiter, given_delimiter

Shares = Callable[[Table], Integers]

ROWS_AT_ONCE, BYTES_AT_ONCE = 1 << 18, 1 << 23  # of Parquet, and of a CSV
SHORTEST = 6  # bytes of a row of a CSV at least: an id, a time and a value, and what parts them
ROW, SHARE = "\0row", "\0share"  # columns beside those of a table
OPEN_AT_ONCE = 200  # files of shares


@dataclass(frozen=True)
class LargeTable:
    """Parquet, a file or a folder, or a plain CSV, that is read block by block."""

    location: Location
    data: Any  # a data set of pyarrow; all columns of a CSV are text
    rows: int  # about as many as it has
    settings: TextSettings
    pins: list[tuple[Any, ...]]  # the files as they were before anything was read
    delimiter: str | None = None  # of a CSV

    @property
    def name(self) -> str:
        return self.location.name

    @property
    def names(self) -> list[str]:
        return [str(name) for name in self.data.schema.names]

    def batches(self, columns: Sequence[str]) -> Iterator[Any]:
        """The rows of each block, in their order, with their lines in the column `ROW`."""
        if missing := [name for name in columns if name not in self.names]:
            raise BadData(
                f"{self.name} has no column {listed(missing)} (columns: {listed(self.names)})"
            )
        row = 1 if self.delimiter is None else 2
        with readable(self.name, "cannot be read: {}"), self.location.unchanged(self.pins):
            for batch in filter(len, self._blocks(list(columns))):
                numbers = pa.array(np.arange(row, row + len(batch)))
                yield (
                    pa.Table.from_batches([batch])
                    .replace_schema_metadata(None)
                    .append_column(ROW, numbers)
                )
                row += len(batch)

    def _blocks(self, columns: list[str]) -> Any:
        import pyarrow.csv
        import pyarrow.dataset

        if self.delimiter is None:
            lean = {"pre_buffer": False, "use_buffered_stream": True, "buffer_size": 1 << 20}
            scan = pyarrow.dataset.ParquetFragmentScanOptions(**lean)
            alone = {"batch_readahead": 0, "fragment_readahead": 0, "use_threads": False}
            return self.data.to_batches(
                columns, batch_size=ROWS_AT_ONCE, fragment_scan_options=scan, **alone
            )
        types = dict.fromkeys(columns, pa.string())
        return pyarrow.csv.open_csv(  # the scanner of a data set would read ahead of a slow reader
            self.location.system.open_input_file(self.data.files[0]),
            pyarrow.csv.ReadOptions(
                use_threads=False, block_size=BYTES_AT_ONCE, skip_rows=1, column_names=self.names
            ),
            pyarrow.csv.ParseOptions(delimiter=self.delimiter),
            pyarrow.csv.ConvertOptions(
                column_types=types, strings_can_be_null=False, include_columns=columns
            ),
        )

    def table(self, rows: Any) -> Table:
        return replace(
            self._blank, frame=arrow_frame(rows.drop_columns([ROW])), lines=rows[ROW].to_numpy()
        )

    @cached_property
    def _blank(self) -> Table:
        """A table that knows how numbers are written; for a CSV its first block says so."""
        empty, settings = arrow_frame(self._empty(self.names)), self.settings
        if self.delimiter is None:
            return Table(self.name, empty)
        blank = Table(
            self.name,
            empty,
            True,
            None,
            settings.decimal or ".",
            settings.thousands,
            reading=settings,
        )
        if settings.decimal is not None:
            return blank
        first = arrow_frame(next(self.batches(self.names)).drop_columns([ROW]))
        return replace(blank, decimal=infer_decimal(replace(blank, frame=first), self.delimiter))

    def filtered(
        self, columns: Sequence[str], by: Sequence[str], keep: Callable[[Table], Flags]
    ) -> Table:
        """The rows that `keep` flags by the columns `by`, of which no more than a block is in memory beside them."""
        flagged = (
            rows.filter(pa.array(keep(self.table(rows.select([*by, ROW])))))
            for rows in self.batches(columns)
        )
        return self.table(pa.concat_tables([self._empty(columns), *flagged]).combine_chunks())

    def parts(self, columns: Sequence[str], cuts: Sequence[int]) -> Iterator[Table]:
        batches, held = self.batches(columns), list[Any]()
        for first, end in pairwise(cuts):
            while sum(map(len, held)) < end - first:
                held.append(next(batches))
            rows = pa.concat_tables(held)
            held = [rows.slice(end - first)]
            yield self.table(rows.slice(0, end - first))
        next(batches, None)  # looks whether the table changed meanwhile

    def write_shares(
        self, columns: Sequence[str], by: Sequence[str], share: Shares, folder: str
    ) -> None:
        """Write rows into a folder for each share, which `share` finds by the columns `by`; `read_share` reads them."""
        import pyarrow.dataset

        def shared() -> Iterator[Any]:
            for rows in self.batches(columns):
                shares = pa.array(share(self.table(rows.select([*by, ROW]))))
                yield from rows.append_column(SHARE, shares).to_batches()

        schema = self._empty(columns).schema.append(pa.field(SHARE, pa.int64()))
        reader = pa.RecordBatchReader.from_batches(schema, shared())
        many = {"max_partitions": 1 << 20, "max_open_files": OPEN_AT_ONCE}
        pyarrow.dataset.write_dataset(
            reader, folder, format="feather", partitioning=[SHARE], **many
        )

    def read_share(self, folder: str, share: int) -> Table | None:
        """The rows of a share, in their order; None where it has none."""
        import pyarrow.dataset

        if not (path := Path(folder, str(share))).exists():
            return None
        return self.table(pyarrow.dataset.dataset(path, format="feather").to_table().sort_by(ROW))

    def survey(
        self, ids: Sequence[str], time: Sequence[str], target: str
    ) -> tuple[Integers | None, Table]:
        """The first row of each series and the end of the last, and a row of each time at which one has a value.

        The former is None where an id is blank, or the rows of a series stand in several places.
        """
        starts, firsts, end, last, times = list[Integers](), list[Any](), 0, None, self._empty(time)
        for rows in self.batches(list(dict.fromkeys([*ids, *time, target]))):
            keys = rows.select(ids)
            changed = np.logical_or.reduce([changes(column) for column in keys.columns])
            changed[0] = keys.slice(0, 1).to_pylist() != last
            starts.append(end + np.flatnonzero(changed))
            found = keys.filter(pa.array(changed))
            firsts.append(pa.table(list(map(_decoded, found.columns)), list(ids)))
            last, end = keys.slice(len(rows) - 1).to_pylist(), end + len(rows)
            values = _decoded(rows[target])
            text = str(values.type).endswith("string")
            missing = (
                lacks_value(pc.fill_null(values, ""))
                if text
                else flags_of(values.is_null(nan_is_null=True))
            )
            valued = rows.select([*time, ROW]).filter(pa.array(~missing))
            found = (
                pa.concat_tables([times, valued])
                .group_by(list(time), use_threads=False)
                .aggregate([(ROW, "min")])
            )
            times = found.select([*time, f"{ROW}_min"]).rename_columns([*time, ROW])
        series = pa.concat_tables(firsts or [self._empty(ids)])
        texts = [column for column in series.columns if str(column.type).endswith("string")]
        blank = any(pc.any(pc.equal(text, "")).as_py() for text in texts) or any(
            c.null_count for c in series.columns
        )
        together = not blank and len(series.group_by(list(ids)).aggregate([])) == len(series) > 0
        value = pa.array(["1"] * len(times)) if self.delimiter else pa.array(np.ones(len(times)))
        return np.concatenate([*starts, [end]]) if together else None, self.table(
            times.append_column(target, value)
        )

    def _empty(self, columns: Sequence[str]) -> Any:
        """No rows, as they come in batches."""
        empty = self.data.schema.empty_table().select(list(columns)).replace_schema_metadata(None)
        return empty.append_column(ROW, pa.array([], pa.int64()))


def large_table(
    source: str, settings: TextSettings, least: int = 1, coded: Names = ()
) -> LargeTable | None:
    """A table that is read block by block, `coded` as categories; None where it cannot, or is shorter than `least`."""
    path = Path(source)
    if path.is_file() and path.stat().st_size < SHORTEST * least:  # soon, as most tables are small
        with path.open("rb") as file:
            if file.read(len(PARQUET)) != PARQUET:
                return None
    location = Location.of(source)
    with readable(location.name, PROBLEM):
        files = parquet_files(location)
        if not files:
            return _plain_csv(location, settings, least)
        pins = location.pins(files)
        data = parquet_dataset(location, files, location.name, coded)
        rows = data.count_rows()
    return LargeTable(location, data, rows, settings, pins) if rows >= least else None


def _plain_csv(location: Location, settings: TextSettings, least: int) -> LargeTable | None:
    import pyarrow.dataset

    file, *others = location.files()
    if (
        others
        or settings.encoding
        or settings.header_row
        or settings.skip_rows
        or file.size < SHORTEST * least
    ):
        return None
    pins = location.pins([file.path])
    with location.system.open_input_file(file.path) as opened:
        sample, end = opened.read_at(SAMPLE, 0), opened.read_at(1, file.size - 1)
    first, _, rest = sample.partition(b"\n")
    begins = sample[:1].isalnum() or sample[:1] == b'"'
    if (
        not (begins and rest and end == b"\n")
        or sample.startswith(b"PK")
        or DELIMITER_LINE.match(sample)
    ):
        return None
    delimiter = given_delimiter(settings) or best_delimiter(sample)
    try:
        header = next(csv.reader([first.decode().strip("\r")], delimiter=delimiter, strict=True))
        names = column_names(header, location.name, location.name)
    except (ForecastError, UnicodeDecodeError, csv.Error):
        return None
    if foreign_kind(sample) or not all(names):
        return None
    columns = pa.schema([(name, pa.string()) for name in names])
    data = pyarrow.dataset.dataset(
        file.path, schema=columns, format="csv", filesystem=location.system
    )
    return LargeTable(
        location, data, file.size * sample.count(b"\n") // len(sample), settings, pins, delimiter
    )


def _decoded(column: Any) -> Any:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def needed_columns(schema: Schema, table: LargeTable) -> list[str]:
    issued = [AVAILABLE_AT] if schema.known and AVAILABLE_AT in table.names else []
    names = [*schema.keys, str(schema.target), *schema.known, *schema.past, *schema.static, *issued]
    return list(dict.fromkeys(names))


def newest_time(times: Table, schema: Schema) -> int:
    """The time of the newest value of a table, by a row of each of its times, which are checked as a whole."""
    if not len(times):
        raise BadData("no series has a value", place=times.name)
    of_all = {"dated_events": tuple(event for event in schema.dated_events if not event.ids)}
    with held_back():  # they are read again, with their series
        return reach_of(
            normalised(times),
            schema.model_copy(update={"ids": (), "on_duplicate": "first", **of_all}),
        )


def sampled(source: str, reading: TextSettings, settings: TableSettings, seed: int) -> Table | None:
    """Some series of a long table, drawn by hashes of ids; None where it fits into memory, or has no blocks."""
    try:
        with held_back() as messages:
            table = large_table(source, reading)
            if table is None:
                return None
            needed, free = table.rows * len(table.names) * CELL_PEAK, free_memory()
            one_in = int(-(-max(needed / free, 2 * table.rows / MAX_NUMBERS) // MEMORY_SHARE))
            if one_in < 2:
                return None
            if not (ids := settings.id):
                first = table.table(next(table.batches(table.names)))
                schema, _ = infer_schema(dated_table(first, settings), settings)
                ids = schema.ids if schema.layout == "long" else ()
            if not ids or not set(ids) <= set(table.names):
                return None
            sample = table.filtered(
                table.names, ids, lambda rows: rows.hashes(ids, seed) % one_in == 0
            )
    except ForecastError:
        return None
    log_kinds(messages)
    sizes = f"takes about {needed / 2**30:.1f} GiB to fit, and {free / 2**30:.1f} GiB are free"
    text = "%s: %s: the fit sees one series in %d, drawn by the hashes of their ids; it can forecast all of them"
    log.warning(f"{text}, as series that are new to it", table.name, sizes, one_in)
    return sample if len(sample) else None
