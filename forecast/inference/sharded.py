"""Forecast a large table part by part, or in shards with a file each, in memory that does not grow with its series."""

import hashlib
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Protocol, Self

import numpy as np
from pydantic import Field

from forecast.errors import BadData, CannotCreate, ForecastError, Setting, UsageError
from forecast.inference.forecasting import Columns, Forecasts, Part, checked_horizon, forecast_table
from forecast.inference.predictor import WINDOWS_AT_ONCE, Predictor
from forecast.logs import held_back, log_kinds
from forecast.panel.naming import Shard, only_in_shard, shard_numbers
from forecast.panel.panel import Integers
from forecast.panel.schema import Schema, calendar_of, position_texts
from forecast.parallel import Task, on_cluster, side_by_side
from forecast.reading.comparing import Comparison, Id
from forecast.reading.dated import normalised
from forecast.reading.large import LargeTable, large_table, needed_columns, newest_time
from forecast.reading.observations import id_codes
from forecast.settings import OutputSettings, Stored, TextSettings
from forecast.tables.storage import LOCK, Location
from forecast.tables.table import Table
from forecast.tables.writing import (
    frame_of,
    guard_formulas,
    output_columns,
    parquet_bytes,
    refuse_clash,
)
from forecast.threads import in_order

LEAST_ROWS = 2_000_000  # of a table that is read in parts

Messages = list[logging.LogRecord]
MANIFEST = "MANIFEST.json"
FORMAT = 1  # of the manifest
DIGITS = 12  # of the sha256 in the name of a file
NAME = r"^part-\d{5}-of-\d{5}-[0-9a-f]{12}\.parquet$"


class Sums(Protocol):
    def blank_copy(self) -> Self: ...
    def add(self, forecasts: Forecasts) -> None: ...
    def merge(self, other: Self) -> None: ...


class File(Stored):
    file: str = Field(pattern=NAME, description="name in the folder")
    shard: str
    rows: int = Field(ge=0)
    series: int = Field(ge=0)
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Manifest(Stored):
    """What a folder of forecasts contains."""

    format: int = FORMAT
    shards: int = Field(ge=1)
    origin: str = Field(description="the last time at which the table has a value")
    rows: int = Field(ge=0)
    series: int = Field(ge=0)
    files: tuple[File, ...] = Field(description="those with rows, in the order of the shards")


# a file, skipped series with the reason, messages, ids, and sums
ShardResult = tuple[File | None, dict[Id, str], list[logging.LogRecord], Comparison, Sums | None]


@dataclass
class LargeForecast:
    """A forecast of a large table, made part by part, or in shards that are files in a folder."""

    predictor: Predictor
    table: LargeTable
    reach: int  # time of the newest value
    horizon: int | None
    output: OutputSettings
    future: Table | None = None  # more rows of columns known in advance
    totals: Sums | None = None  # to which the forecasts are added
    messages: Messages = field(default_factory=list)
    skipped: dict[Id, str] = field(default_factory=dict)  # with the reason, once all is forecast
    folder: str = ""  # path or URI to which shards go
    shares: str | None = (
        None  # a folder with the rows of each shard; without it each looks through the whole table
    )

    @property
    def schema(self) -> Schema:
        return self.predictor.fitted.config.table

    @property
    def newest(self) -> int:
        """Grid position of the newest value."""
        return int(calendar_of(self.schema).positions(np.array([self.reach]))[0])

    def comparison(self) -> Comparison:
        """Of the ids of the table with those of the fit, still without any."""
        return Comparison(self.predictor.fitted.ids, self.table.name)

    def of_part(
        self, part: Table, comparison: Comparison
    ) -> tuple[Forecasts, Sums | None, Messages]:
        """Forecasts of whole series, their sums, and messages to be logged once all is forecast."""
        sums = None if self.totals is None else self.totals.blank_copy()
        with held_back() as messages:
            source = Part(normalised(part), self.reach, comparison)
            forecasts = forecast_table(
                self.predictor, source, future=self.future, horizon=self.horizon, output=self.output
            )
            if sums is not None:
                sums.add(forecasts)
        return forecasts, sums, messages

    def columns(self, starts: Integers) -> Iterator[Columns]:
        """The columns of the forecasts of each part; `starts` [series + 1] are first rows of series, and all rows."""
        predictor, comparison, done, begun, left = (
            self.predictor,
            self.comparison(),
            0,
            False,
            False,
        )
        progress, predictor.on_windows = predictor.on_windows, None
        threads = predictor.backend is None or predictor.backend.threads
        cuts = [*starts[:-1:WINDOWS_AT_ONCE].tolist(), int(starts[-1])]
        parts = self.table.parts(needed_columns(self.schema, self.table), cuts)
        with self.table.location.unchanged(self.table.pins):
            done_parts = in_order(
                lambda part: self.of_part(part, comparison), parts, threads=threads
            )
            for forecasts, sums, messages in done_parts:
                self.messages += messages
                if self.totals is not None and sums is not None:
                    self.totals.merge(sums)
                self.skipped |= forecasts.skipped
                done += len(forecasts.panel)
                if progress is not None:
                    progress(done, len(starts) - 1)
                left = left or not forecasts.panel.skipped.all()
                if forecasts.rows or not begun:
                    begun = True
                    yield forecasts.columns  # at least once, as a shard may have no series
        if not left:
            raise BadData("no series is left to forecast", place=self.table.name)
        log_kinds(self.messages)
        comparison.warn_missing()
        self.skipped |= only_in_shard(dict.fromkeys(comparison.missing, "gone"), self.output.shard)

    def run(self, shard: Shard) -> ShardResult:
        """Forecast a shard, and write its file; a repetition replaces it by the same bytes."""
        comparison, file, table = self.comparison(), None, self._rows(shard)
        if table is None or not len(table):
            return None, {}, [], comparison, None
        forecasts, sums, messages = self.of_part(table, comparison)
        if forecasts.rows:
            frame = frame_of(forecasts.columns)
            frame = guard_formulas(frame, self.schema.ids) if self.output.excel_safe else frame
            data = b"".join(parquet_bytes([frame]))
            digest = hashlib.sha256(data).hexdigest()
            name = f"part-{shard.number:05}-of-{shard.count:05}-{digest[:DIGITS]}.parquet"
            Location.of(self.folder).write(name, data)
            sizes = {"rows": len(frame), "series": len(forecasts.series), "bytes": len(data)}
            file = File(file=name, shard=str(shard), sha256=digest, **sizes)
        return file, forecasts.skipped, messages, comparison, sums

    def _rows(self, shard: Shard) -> Table | None:
        table, schema = self.table, self.schema
        if self.shares is not None:
            return table.read_share(self.shares, shard.number)
        needed, by = needed_columns(schema, table), schema.ids or schema.time
        return table.filtered(
            needed, by, lambda rows: self.shards_of(rows, shard.count) == shard.number
        )

    def shards_of(self, rows: Table, count: int) -> Integers:
        """[rows], the number of the shard of each row."""
        names, codes = id_codes(rows, self.schema.ids)
        return np.asarray(shard_numbers(names, count)[codes])


def large_forecasts(
    predictor: Predictor,
    data: str,
    reading: TextSettings,
    horizon: int | None,
    output: OutputSettings,
    totals: Sums | None = None,
) -> tuple[LargeForecast, Iterator[Columns]] | None:
    """A forecast of a large table, and its columns; None where it is small, or has to be read as a whole."""
    schema = predictor.fitted.config.table
    if predictor.fitted.config.sums or not schema.ids or schema.aggregate or schema.target is None:
        return None
    try:
        with held_back() as messages:
            table = large_table(data, reading, LEAST_ROWS, schema.ids)
            if table is None:
                return None
            starts, times = table.survey(schema.ids, schema.time, schema.target)
            if starts is None:
                return None
            reach = newest_time(times, schema)
    except ForecastError:
        return None  # reading the whole says what is wrong, and where
    found = LargeForecast(
        predictor, table, reach, horizon, output, totals=totals, messages=messages
    )
    return found, found.columns(starts)


def plan_shards(
    predictor: Predictor,
    data: str,
    reading: TextSettings,
    folder: str,
    output: OutputSettings,
    horizon: int | None = None,
    future: Table | None = None,
) -> LargeForecast:
    """Look at the times of a table, a path or URI, and refuse what cannot be forecast in shards, before any work."""
    schema = predictor.fitted.config.table
    if schema.layout != "long" or schema.aggregate is not None or predictor.fitted.config.sums:
        problem = "only long tables without aggregation or a hierarchy are forecast in shards"
        raise UsageError(problem, setting=Setting("shards"), cure="leave it out")
    refuse_clash(schema.keys, output_columns(output))
    if folder.lower().endswith((".csv", ".parquet", ".pq", ".gz")):
        problem = "shards are written into a folder"
        raise CannotCreate(
            problem, setting=Setting("output", folder), cure="name a folder or a URI of one"
        )
    checked_horizon(horizon, predictor.fitted.config.horizon)
    if Path(folder, LOCK).exists():  # so that another process is noticed before the table is read
        with Location.of(folder).locked():
            pass
    table = large_table(data, reading)
    if table is None:
        raise BadData("shards are read from Parquet, or from plain CSV in UTF-8", place=data)
    _, times = table.survey(schema.ids, schema.time, str(schema.target))
    return LargeForecast(
        predictor, table, newest_time(times, schema), horizon, output, future, folder=folder
    )


def forecast_shards(
    work: LargeForecast, shards: int, jobs: int = 1
) -> tuple[Manifest, dict[Id, str]]:
    """Forecast all shards of a table; returns the manifest, and series without a forecast, with the reason.

    The manifest of an earlier run stays until all files of this one are written; then files of earlier runs, also of
    killed ones, are removed. `jobs` shards are forecast side by side. Busy if another process writes into the folder.
    """
    schema, folder, comparison = work.schema, Location.of(work.folder), work.comparison()
    files, skipped, messages = list[File](), dict[Id, str](), list[logging.LogRecord]()
    with folder.locked():
        for file, more_skipped, more_messages, part, sums in _results(work, shards, jobs):
            if work.totals is not None and sums is not None:
                work.totals.merge(sums)
            messages += more_messages
            skipped |= more_skipped
            comparison.join(part)
            files += [file] if file is not None else []
        if not files:
            raise BadData("no series is left to forecast", place=work.table.name)
        log_kinds(messages)
        comparison.warn_missing()
        skipped |= dict.fromkeys(comparison.missing, "gone")
        origin = position_texts(schema, calendar_of(schema), np.array([work.newest]))[0]
        rows, series = sum(file.rows for file in files), sum(file.series for file in files)
        manifest = Manifest(
            shards=shards, origin=origin, rows=rows, series=series, files=tuple(files)
        )
        folder.write(
            MANIFEST, (json.dumps(manifest.model_dump(mode="json"), indent=1) + "\n").encode()
        )
        for path in (PurePath(found.path) for found in folder.files()):
            old = re.fullmatch(NAME, path.name) and path.name not in {file.file for file in files}
            if old and path.parent == PurePath(folder.path):
                folder.remove(path.name)
    return manifest, skipped


def _results(work: LargeForecast, shards: int, jobs: int) -> Iterator[ShardResult]:
    """The shards one after another; their rows wait on the disk of this machine, unless a cluster is at work."""
    schema = work.schema
    with TemporaryDirectory(prefix="forecast-") as folder:
        if not on_cluster():
            needed, by = needed_columns(schema, work.table), schema.ids or schema.time
            work.table.write_shares(needed, by, lambda rows: work.shards_of(rows, shards), folder)
            work = replace(work, shares=folder)
        tasks: Iterator[Task] = (
            (work.run, (Shard(number, shards),), {}) for number in range(1, shards + 1)
        )
        yield from side_by_side(tasks, jobs)
