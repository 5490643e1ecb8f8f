"""Forecast a table in shards: each reads its series, writes a file, and forgets both; a manifest comes last."""

import hashlib
import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory

import numpy as np
from pydantic import Field

from forecast.errors import BadData, CannotCreate, Setting, UsageError
from forecast.inference.forecasting import checked_horizon
from forecast.inference.large import LargeForecast, Sums
from forecast.inference.predictor import Predictor
from forecast.logs import held_back, log_kinds
from forecast.panel.naming import Shard, shard_numbers
from forecast.panel.panel import Integers
from forecast.panel.schema import Schema, calendar_of, position_texts
from forecast.parallel import Task, on_cluster, side_by_side
from forecast.reading.comparing import Comparison, Id
from forecast.reading.large import large_table, needed_columns, newest_time
from forecast.reading.observations import id_codes
from forecast.settings import OutputSettings, Stored, TextSettings
from forecast.tables.storage import LOCK, Place
from forecast.tables.table import Table
from forecast.tables.writing import frame_of, guard_formulas, output_columns, parquet_bytes, refuse_clash

log = logging.getLogger("forecast")

MANIFEST = "MANIFEST.json"
FORMAT = 1  # of the manifest
DIGITS = 12  # of the sha256 in the name of a file
NAME = r"^part-\d{5}-of-\d{5}-[0-9a-f]{12}\.parquet$"


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
Done = tuple[File | None, dict[Id, str], list[logging.LogRecord], Comparison, Sums | None]


@dataclass(frozen=True)
class Work:
    """What all shards of a forecast have in common."""

    large: LargeForecast
    folder: str  # path or URI to which the forecasts go
    shares: str | None = None  # a folder with the rows of each shard; without it each looks through the whole table

    def run(self, shard: Shard) -> Done:
        """Forecast a shard, and write its file; a repetition replaces it by the same bytes."""
        large, comparison, file, table = self.large, self.large.comparison(), None, self._rows(shard)
        if table is None or not len(table):
            return None, {}, [], comparison, None
        forecasts, sums, messages = large.of_part(table, comparison)
        if forecasts.rows:
            frame = frame_of(forecasts.columns)
            frame = guard_formulas(frame, large.schema.ids) if large.output.excel_safe else frame
            data = b"".join(parquet_bytes([frame]))
            digest = hashlib.sha256(data).hexdigest()
            name = f"part-{shard.number:05}-of-{shard.count:05}-{digest[:DIGITS]}.parquet"
            Place.of(self.folder).write(name, data)
            sizes = {"rows": len(frame), "series": len(forecasts.series), "bytes": len(data)}
            file = File(file=name, shard=str(shard), sha256=digest, **sizes)
        return file, forecasts.skipped, messages, comparison, sums

    def _rows(self, shard: Shard) -> Table | None:
        table, schema = self.large.table, self.large.schema
        if self.shares is not None:
            return table.read_share(self.shares, shard.number)
        needed, by = needed_columns(schema, table), schema.ids or schema.time
        return table.filtered(needed, by, lambda rows: self.shards_of(rows, shard.count) == shard.number)

    def shards_of(self, rows: Table, count: int) -> Integers:
        """[rows], the number of the shard of each row."""
        names, codes = id_codes(rows, self.large.schema.ids)
        return np.asarray(shard_numbers(names, count)[codes])


def plan_shards(
    predictor: Predictor,
    schema: Schema,
    data: str,
    reading: TextSettings,
    folder: str,
    output: OutputSettings,
    horizon: int | None = None,
    future: Table | None = None,
) -> Work:
    """Look at the times of a table, and refuse what cannot be forecast in shards, before any work.

    `data` and `folder` are paths or URIs, `schema` and `reading` say how the table is read.
    """
    if schema.layout != "long" or schema.aggregate is not None or predictor.fitted.config.sums:
        problem = "only long tables without aggregation or a hierarchy are forecast in shards"
        raise UsageError(problem, setting=Setting("shards"), cure="leave it out")
    refuse_clash(schema.keys, output_columns(output))
    if folder.lower().endswith((".csv", ".parquet", ".pq", ".gz")):
        problem = "shards are written into a folder"
        raise CannotCreate(problem, setting=Setting("output", folder), cure="name a folder or a URI of one")
    checked_horizon(horizon, predictor.fitted.config.horizon)
    if Path(folder, LOCK).exists():  # so that another process is noticed before the table is read
        with Place.of(folder).locked():
            pass
    table = large_table(data, reading)
    if table is None:
        raise BadData("shards are read from Parquet, or from plain CSV in UTF-8", place=data)
    with held_back(log):  # each shard has its own
        _, times = table.survey(schema.ids, schema.time, str(schema.target))
        reach = newest_time(times, schema)
    return Work(LargeForecast(predictor, schema, table, reach, horizon, output, future), folder)


def forecast_shards(work: Work, shards: int, jobs: int = 1) -> tuple[Manifest, dict[Id, str]]:
    """Forecast all shards of a table; returns the manifest, and series without a forecast, with the reason.

    The manifest of an earlier run stays until all files of this one are written; then files of earlier runs, also of
    killed ones, are removed. `jobs` shards are forecast side by side. Busy if another process writes into the folder.
    """
    schema, folder, comparison = work.large.schema, Place.of(work.folder), work.large.comparison()
    files, skipped, messages = list[File](), dict[Id, str](), list[logging.LogRecord]()
    with folder.locked():
        for file, more_skipped, more_messages, part, sums in _done(work, shards, jobs):
            if work.large.totals is not None and sums is not None:
                work.large.totals.merge(sums)
            messages += more_messages
            skipped |= more_skipped
            comparison.join(part)
            files += [file] if file is not None else []
        if not files:
            raise BadData("no series is left to forecast", place=work.large.table.name)
        log_kinds(log, messages)
        comparison.warn_missing()
        skipped |= dict.fromkeys(comparison.missing, "gone")
        origin = position_texts(schema, calendar_of(schema), np.array([work.large.newest]))[0]
        rows, series = sum(file.rows for file in files), sum(file.series for file in files)
        manifest = Manifest(shards=shards, origin=origin, rows=rows, series=series, files=tuple(files))
        folder.write(MANIFEST, (json.dumps(manifest.model_dump(mode="json"), indent=1) + "\n").encode())
        for path in (PurePath(found.path) for found in folder.files()):
            old = re.fullmatch(NAME, path.name) and path.name not in {file.file for file in files}
            if old and path.parent == PurePath(folder.path):
                folder.remove(path.name)
    return manifest, skipped


def _done(work: Work, shards: int, jobs: int) -> Iterator[Done]:
    """The shards one after another; their rows wait on the disk of this machine, unless a cluster is at work."""
    schema = work.large.schema
    with TemporaryDirectory(prefix="forecast-") as folder:
        if not on_cluster():
            needed, by = needed_columns(schema, work.large.table), schema.ids or schema.time
            work.large.table.write_shares(needed, by, lambda rows: work.shards_of(rows, shards), folder)
            work = replace(work, shares=folder)
        tasks: Iterator[Task] = ((work.run, (Shard(number, shards),), {}) for number in range(1, shards + 1))
        yield from side_by_side(tasks, jobs)
