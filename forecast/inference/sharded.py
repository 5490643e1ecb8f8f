"""Forecast a table in shards: each reads its series, writes a file, and forgets both; a manifest comes last."""

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from forecast.errors import BadData, CannotCreate, Setting, UsageError
from forecast.inference.forecasting import Part, checked_horizon, forecast_table
from forecast.inference.predictor import Predictor
from forecast.logs import hand_on, messages_as_one, messages_of_part, without_messages
from forecast.panel.schema import Schema, calendar_of, position_texts
from forecast.panel.shards import Shard
from forecast.parallel import Task, side_by_side
from forecast.reading.comparing import Comparison, Id
from forecast.reading.observations import id_codes
from forecast.reading.reading import reach_of
from forecast.reading.tidying import tidied
from forecast.settings import OutputSettings, Stored
from forecast.tables.frames import frame_of
from forecast.tables.storage import Place
from forecast.tables.table import Table
from forecast.tables.texts import pa, pc
from forecast.tables.writing import guard_formulas, output_columns, parquet_bytes, refuse_clash

log = logging.getLogger("forecast")

MANIFEST = "MANIFEST.json"
FORMAT = 1  # of the manifest
DIGITS = 12  # of the sha256 in the name of a file
VALUED, ROW = "\0valued", "\0row"  # columns beside those of a table


class File(Stored):
    """A file of forecasts."""

    file: str = Field(pattern=r"^part-\d{5}-of-\d{5}-[0-9a-f]{12}\.parquet$", description="name in the folder")
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


@dataclass(frozen=True)
class Work:
    """What all shards of a forecast have in common.

    Attributes
    ----------
    predictor : the forecaster
    schema : how the table is read
    data, folder : where the table is, a path or URI of Parquet, and where the forecasts go
    reach : time of the newest value of the table
    horizon : fewer steps than at fit
    output : what the tables of forecasts contain
    future : more rows of columns known in advance
    """

    predictor: Predictor
    schema: Schema
    data: str
    folder: str
    reach: int
    horizon: int | None
    output: OutputSettings
    future: Table | None = None

    @property
    def newest(self) -> int:
        """Grid position of the newest value."""
        return int(calendar_of(self.schema).positions(np.array([self.reach]))[0])

    def run(self, shard: Shard) -> "Done":
        """Forecast one shard, and write its file; a repetition replaces it by the same bytes."""
        comparison, file, skipped = self.comparison(), None, dict[Id, str]()
        with messages_of_part(log, shard.number) as messages:
            table = self._rows(shard)
            if len(table):
                file, skipped = self._forecast(shard, table, comparison)
        return Done(file, skipped, messages, comparison.seen, comparison.new)

    def comparison(self) -> Comparison:
        """Of the ids of the table with those of the fit."""
        return Comparison(self.predictor.fitted.history.ids, Place.of(self.data).name)

    def _rows(self, shard: Shard) -> Table:
        """The rows of the series of a shard."""
        schema = self.schema
        columns = [*schema.keys, str(schema.target), *schema.known, *schema.past, *schema.static]

        def held(table: Table) -> NDArray[np.bool_]:
            names, codes = id_codes(table, schema.ids)
            return np.asarray(shard.holds(names)[codes])

        return Place.of(self.data).rows(list(dict.fromkeys(columns)), held, list(schema.ids or schema.time))

    def _forecast(self, shard: Shard, table: Table, comparison: Comparison) -> tuple[File | None, dict[Id, str]]:
        """Write the forecasts of a shard; returns its file, and series that got none, with the reason."""
        forecasts = forecast_table(
            self.predictor,
            Part(tidied(table), self.reach, comparison),
            schema=self.schema,
            future=self.future,
            horizon=self.horizon,
            output=self.output,
        )
        frame = frame_of(forecasts.columns)
        if self.output.excel_safe:
            frame = guard_formulas(frame, self.schema.ids)
        file = self._write(shard, b"".join(parquet_bytes([frame])), len(frame), len(forecasts.series))
        return file, forecasts.skipped

    def _write(self, shard: Shard, data: bytes, rows: int, series: int) -> File | None:
        if not rows:
            return None
        digest = hashlib.sha256(data).hexdigest()
        name = f"part-{shard.number:05}-of-{shard.count:05}-{digest[:DIGITS]}.parquet"
        Place.of(self.folder).write(name, data)
        return File(file=name, shard=str(shard), rows=rows, series=series, bytes=len(data), sha256=digest)


@dataclass(frozen=True)
class Done:
    """A shard that was forecast.

    Attributes
    ----------
    file : None where no series got a forecast
    skipped : series without a forecast, with the reason
    messages : that are to be logged
    seen, new : ids, as a `Comparison` has them
    """

    file: File | None
    skipped: dict[Id, str]
    messages: list[logging.LogRecord]
    seen: set[Id]
    new: list[Id]


def plan_shards(
    predictor: Predictor,
    schema: Schema,
    data: str,
    folder: str,
    output: OutputSettings,
    horizon: int | None = None,
    future: Table | None = None,
) -> Work:
    """Look at the times of a table of Parquet, and refuse what cannot be forecast in shards, before any work.

    Parameters
    ----------
    schema : how the table is read
    data, folder : paths or URIs
    horizon : fewer steps than at fit

    Raises
    ------
    UsageError, BadData, NoInput
        If it cannot.
    """
    if schema.layout != "long" or schema.aggregate is not None:
        problem = "only long tables without aggregation are forecast in shards"
        raise UsageError(problem, setting=Setting("shards"), cure="leave it out")
    refuse_clash(schema.keys, output_columns(output))
    if folder.lower().endswith((".csv", ".parquet", ".pq", ".gz")):
        problem = "shards are written into a folder"
        raise CannotCreate(problem, setting=Setting("output", folder), cure="name a folder or a URI of one")
    checked_horizon(horizon, predictor.fitted.config.horizon)
    with without_messages(log):  # each shard has its own
        reach = reach_of(_times(Place.of(data), schema), schema.model_copy(update={"ids": ()}))
    return Work(predictor, schema, data, folder, reach, horizon, output, future)


def forecast_shards(work: Work, shards: int, jobs: int = 1) -> tuple[Manifest, dict[Id, str]]:
    """Forecast all shards of a table; returns the manifest, and series without a forecast, with the reason.

    The manifest of an earlier run stays until all files of this one are written; then files that only that one names
    are removed.

    Parameters
    ----------
    jobs : shards side by side

    Raises
    ------
    BadData
        If no series gets a forecast.
    """
    tasks: Iterator[Task] = ((work.run, (Shard(number, shards),), {}) for number in range(1, shards + 1))
    files, skipped, comparison = list[File](), dict[Id, str](), work.comparison()
    with messages_as_one(log):
        for number, done in enumerate(side_by_side(tasks, jobs), 1):
            hand_on(done.messages, log, number)
            skipped |= done.skipped
            comparison.join(done.seen, done.new)
            if done.file is not None:
                files.append(done.file)
        if not files:
            raise BadData("no series is left to forecast", place=Place.of(work.data).name)
        comparison.say_missing()
    skipped |= dict.fromkeys(comparison.missing, "gone")
    origin = position_texts(work.schema, calendar_of(work.schema), np.array([work.newest]))[0]
    rows, series = sum(file.rows for file in files), sum(file.series for file in files)
    manifest = Manifest(shards=shards, origin=origin, rows=rows, series=series, files=tuple(files))
    folder = Place.of(work.folder)
    old = _manifest(folder)
    folder.write(MANIFEST, (json.dumps(manifest.model_dump(mode="json"), indent=1) + "\n").encode())
    for name in {file.file for file in (old.files if old else ())} - {file.file for file in files}:
        folder.remove(name)
    return manifest, skipped


def _manifest(folder: Place) -> Manifest | None:
    """The manifest of an earlier run, if there is one that can be read."""
    data = folder.read(MANIFEST)
    try:
        return None if data is None else Manifest.model_validate_json(data)
    except ValidationError:
        return None


def _times(place: Place, schema: Schema) -> Table:
    """A row of each time of a table, with a number where a series has a value then, and else without."""
    target, time, parts = str(schema.target), list(schema.time), []
    for first, batch in place.batches([*time, target]):
        values = batch[target]
        if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type) or pa.types.is_null(values.type)):
            raise BadData(
                f"{place.name}: column '{target}' has the type {values.type}; shards need a column of numbers"
            )
        there = pc.and_(pc.is_valid(values), pc.fill_null(pc.invert(pc.is_nan(values.cast(pa.float64()))), False))
        rows = pa.array(np.arange(first, first + len(batch)))
        parts.append(_each_time(batch.select(time).append_column(VALUED, there).append_column(ROW, rows), time))
    whole = _each_time(pa.concat_tables(parts), time)
    values = pc.if_else(whole[VALUED], 1.0, None)
    return place.as_table(whole.select(time).append_column(target, values), whole[ROW].to_numpy())


def _each_time(rows: Any, time: list[str]) -> Any:
    """The first of the rows of each time, and whether any of them has a value."""
    found = rows.group_by(time, use_threads=False).aggregate([(VALUED, "any"), (ROW, "min")])
    return found.rename_columns([*time, VALUED, ROW] if found.column_names[0] == time[0] else [VALUED, ROW, *time])
