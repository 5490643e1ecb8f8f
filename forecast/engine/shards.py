"""Forecast a large table in shards: one file for each in a folder, and a manifest of them."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory

import numpy as np
from pydantic import Field

from forecast.engine.forecast import Collected, LargeForecast, Messages, new_totals
from forecast.engine.requests import Forecast, ForecastRequest, TableFile
from forecast.errors import BadData, CannotCreate, Setting, UsageError
from forecast.inference.forecasting import checked_horizon
from forecast.inference.predictor import Predictor
from forecast.panel.comparing import Comparison
from forecast.panel.large import large_table, needed_columns, newest_time
from forecast.panel.observations import id_codes
from forecast.panel.panel import Id, Integers, shard_numbers
from forecast.panel.schema import position_texts
from forecast.parallel import Task, on_cluster, side_by_side
from forecast.settings import Stored
from forecast.tables.storage import FOLDER_LOCK, Location
from forecast.tables.table import Table
from forecast.tables.writing import (
    build_frame,
    guard_formulas,
    output_columns,
    parquet_bytes,
    refuse_clash,
)
from forecast.totals.sums import Totals

SHARDS_MANIFEST = "MANIFEST.json"
SHARDS_FORMAT = 1  # version of the format of the manifest
HASH_DIGITS = 12  # digits of the sha256 in the name of a file
SHARD_NAME = r"^part-\d{5}-of-\d{5}-[0-9a-f]{12}\.parquet$"
TABLE_SUFFIXES = (".csv", ".parquet", ".pq", ".gz")  # suffixes that no folder may have


class File(Stored):
    file: str = Field(pattern=SHARD_NAME, description="name in the folder")
    shard: str
    rows: int = Field(ge=0)
    series: int = Field(ge=0)
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class ShardsManifest(Stored):
    """What a folder of forecasts contains."""

    format: int = SHARDS_FORMAT
    shards: int = Field(ge=1)
    origin: str = Field(description="the last time at which the table has a value")
    rows: int = Field(ge=0)
    series: int = Field(ge=0)
    files: tuple[File, ...] = Field(description="those with rows, in the order of the shards")


@dataclass(frozen=True)
class ShardResult:
    """What a process returns for a shard; the rows are in the file."""

    comparison: Comparison
    file: File | None = None  # None if the shard has no rows
    totals: Totals | None = None
    skipped: dict[Id, str] = field(default_factory=dict)  # with the reason
    messages: Messages = field(default_factory=list)


@dataclass(frozen=True)
class ShardedForecast(LargeForecast):
    """The forecast of a large table in shards, each of which becomes a file of a folder."""

    folder: str  # path or URI
    # a folder with the rows of each shard; without it, each shard reads the whole table
    shares: str | None = None

    def run(self, shard: int, shards: int) -> ShardResult:
        """Forecast shard 1, 2 and so on of `shards`, and write its file; again, the same bytes."""
        comparison = self.comparison()
        rows = self._rows(shard, shards)
        if rows is None or not len(rows):
            return ShardResult(comparison)
        part, messages = self.of_part(rows, comparison)
        file = self._write(part, shard, shards) if part.whole.rows else None
        return ShardResult(comparison, file, part.totals, part.skipped, messages)

    def _write(self, part: Forecast, shard: int, shards: int) -> File:
        frame = build_frame(part.whole.columns)
        if self.request.output.excel_safe:
            frame = guard_formulas(frame, self.schema.ids)
        data = b"".join(parquet_bytes([frame]))
        digest = hashlib.sha256(data).hexdigest()
        name = f"part-{shard:05}-of-{shards:05}-{digest[:HASH_DIGITS]}.parquet"
        Location.parse(self.folder).write(name, data)
        return File(
            file=name,
            shard=f"{shard}/{shards}",
            rows=len(frame),
            series=len(part.whole.series),
            bytes=len(data),
            sha256=digest,
        )

    def _rows(self, shard: int, shards: int) -> Table | None:
        if self.shares is not None:
            return self.table.read_share(self.shares, shard)
        needed = needed_columns(self.schema, self.table)
        by = self.schema.ids or self.schema.time
        return self.table.filter_rows(
            needed, by, lambda rows: self.assign_shards(rows, shards) == shard
        )

    def assign_shards(self, rows: Table, count: int) -> Integers:
        """[rows], the number of the shard of each row."""
        names, codes = id_codes(rows, self.schema.ids)
        return shard_numbers(names, count)[codes]


def plan_shards(predictor: Predictor, request: ForecastRequest, folder: str) -> ShardedForecast:
    """Prepare a forecast in shards; refuse tables that cannot be forecast so."""
    request.check()
    new_totals(predictor, request)
    schema = predictor.fitted.schema
    source = request.source
    needs_whole = schema.aggregate or schema.successions or predictor.fitted.config.sums
    if schema.layout != "long" or needs_whole:
        problem = "only long tables without aggregation, hierarchy or successors are forecast so"
        raise UsageError(problem, setting=Setting("shards"), cure="leave it out")
    if not isinstance(source, TableFile):
        raise UsageError("shards are read from Parquet or CSV", setting=Setting("shards"))
    refuse_clash(schema.keys, output_columns(request.output))
    if folder.lower().endswith(TABLE_SUFFIXES):
        problem = "shards are written into a folder"
        raise CannotCreate(
            problem, setting=Setting("output", folder), cure="name a folder or a URI of one"
        )
    checked_horizon(request.horizon, predictor.fitted.config.horizon)
    if Path(folder, FOLDER_LOCK).exists():  # notice another process before the table is read
        with Location.parse(folder).lock():
            pass
    table = large_table(source.path, source.text)
    if table is None:
        raise BadData("shards are read from Parquet, or from plain CSV in UTF-8", place=source.path)
    _, times = table.survey(schema.ids, schema.time, str(schema.target))
    # functions cannot be sent to other processes
    sent = replace(request, on_newest=None, on_series=None)
    work = ShardedForecast(predictor, sent, table, newest_time(times, schema), folder)
    if request.on_newest is not None:
        request.on_newest(work.newest)
    return work


def forecast_shards(
    work: ShardedForecast, shards: int, jobs: int = 1
) -> tuple[ShardsManifest, Forecast]:
    """Forecast all shards of a table into files, `jobs` of them in parallel.

    The manifest of an earlier run stays until all new files are written; then the files of earlier
    runs, also of killed ones, are removed. Raises `Busy` if another process writes into the folder.
    """
    folder = Location.parse(work.folder)
    files = list[File]()
    collected = Collected.collect(work, [])
    with folder.lock():
        for shard in _results(work, shards, jobs):
            collected.comparison.join(shard.comparison)
            collected.add(shard.totals, shard.skipped, shard.messages)
            if shard.file is not None:
                files.append(shard.file)
        collected.finish(has_forecasts=bool(files))
        manifest = ShardsManifest(
            shards=shards,
            origin=position_texts(work.schema, np.array([work.newest]))[0],
            rows=sum(file.rows for file in files),
            series=sum(file.series for file in files),
            files=tuple(files),
        )
        text = json.dumps(manifest.model_dump(mode="json"), indent=1) + "\n"
        folder.write(SHARDS_MANIFEST, text.encode())
        names = {file.file for file in files}
        for info in folder.files():
            path = PurePath(info.path)
            is_older = re.fullmatch(SHARD_NAME, path.name) and path.name not in names
            if is_older and path.parent == PurePath(folder.path):
                folder.remove(path.name)
    return manifest, Forecast(
        work.predictor.fitted, work.table.name, (), collected.totals, skipped=collected.skipped
    )


def _results(work: ShardedForecast, shards: int, jobs: int) -> Iterator[ShardResult]:
    """The results of shards in turn.

    The rows of each shard are first sorted onto the local disk, unless a cluster does the work.
    """
    schema = work.schema
    with TemporaryDirectory(prefix="forecast-") as folder:
        if not on_cluster():
            needed = needed_columns(schema, work.table)
            by = schema.ids or schema.time
            work.table.write_shares(
                needed, by, lambda rows: work.assign_shards(rows, shards), folder
            )
            work = replace(work, shares=folder)
        tasks: Iterator[Task] = (
            (work.run, (number, shards), {}) for number in range(1, shards + 1)
        )
        yield from side_by_side(tasks, jobs)
