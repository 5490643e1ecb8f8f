"""Forecast a large table in parts: each reads its series, writes a file, and forgets both; a manifest comes last."""

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from forecast.calendar.parsing import parse_times
from forecast.errors import BadData, CannotCreate, Message, Setting, UsageError, collected_messages
from forecast.inference.forecasting import Part, checked_horizon, forecast_table
from forecast.inference.predictor import Predictor
from forecast.panel.building import calendar_of, position_texts
from forecast.panel.comparing import Comparison
from forecast.panel.observations import id_codes
from forecast.panel.schema import Schema
from forecast.panel.shards import Shard
from forecast.panel.tidying import tidied
from forecast.parallel import Task, side_by_side
from forecast.settings import OutputSettings, Stored
from forecast.tables.amounts import PART, in_parts, messages_as_one
from forecast.tables.frames import frame_of
from forecast.tables.storage import Place
from forecast.tables.table import Table
from forecast.tables.texts import pa, pc
from forecast.tables.writing import guard_formulas, output_columns, parquet_bytes, refuse_clash

log = logging.getLogger("forecast")

MANIFEST = "MANIFEST.json"
FORMAT = 1  # of the manifest
DIGITS = 12  # of the sha256 in the name of a file


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
    """What all parts of a forecast share.

    Attributes
    ----------
    predictor : the forecaster
    schema : how the table is read
    data, folder : where the table is, a path or URI of Parquet, and where the forecasts go
    reach : time of the newest value of the whole table, at which all series end
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
    def end(self) -> int:
        """The grid position at which all series end."""
        return int(calendar_of(self.schema).positions(np.array([self.reach]))[0])

    def run(self, shard: Shard) -> "Done":
        """Forecast one shard, and write its file; a repetition replaces it by the same bytes."""
        fitted, place, ids = self.predictor.fitted, Place.of(self.data), self.schema.ids
        known = fitted.history.ids
        mine = tuple(known[i] for i in np.flatnonzero(shard.holds(known)))

        def held(table: Table) -> NDArray[np.bool_]:
            names, codes = id_codes(table, ids)
            return np.asarray(shard.holds(names)[codes])

        with collected_messages(log) as messages, in_parts():
            table = place.rows(columns_read(self.schema), held, list(ids or self.schema.time))
            comparison = Comparison(mine, place.name)
            if not len(table) or table.missing(str(self.schema.target)).all():
                there = id_codes(table, ids)[0] if len(table) else ()
                gone = sorted(set(mine) - set(there))
                return Done(shard, None, dict.fromkeys(there, "missing") | dict.fromkeys(gone, "gone"), messages)
            forecasts = forecast_table(
                self.predictor,
                Part(tidied(table), self.reach, comparison),
                schema=self.schema,
                future=self.future,
                horizon=self.horizon,
                output=self.output,
            )
            frame = frame_of(forecasts.columns)
            frame = guard_formulas(frame, ids) if self.output.excel_safe else frame
            file = self._write(shard, b"".join(parquet_bytes([frame])), len(frame), len(forecasts.series))
            return Done(shard, file, forecasts.skipped | dict.fromkeys(comparison.missing, "gone"), messages)

    def _write(self, shard: Shard, data: bytes, rows: int, series: int) -> File | None:
        if not rows:
            return None
        digest = hashlib.sha256(data).hexdigest()
        name = f"part-{shard.number:05}-of-{shard.count:05}-{digest[:DIGITS]}.parquet"
        Place.of(self.folder).write(name, data)
        return File(file=name, shard=str(shard), rows=rows, series=series, bytes=len(data), sha256=digest)


@dataclass(frozen=True)
class Done:
    """A part that was forecast.

    Attributes
    ----------
    shard : which one
    file : None where no series got a forecast
    skipped : series without a forecast, with the reason
    messages : log messages, with their levels
    """

    shard: Shard
    file: File | None
    skipped: dict[tuple[str, ...], str]
    messages: list[tuple[int, Message]]


def plan_parts(
    predictor: Predictor,
    schema: Schema,
    data: str,
    folder: str,
    output: OutputSettings,
    horizon: int | None = None,
    future: Table | None = None,
) -> Work:
    """Look at the times of a table of Parquet, and refuse what cannot be forecast in parts, before any work.

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
    config = predictor.fitted.config
    if schema.layout != "long" or schema.aggregate is not None:
        problem = "only long tables whose rows are not summed are forecast in parts"
        raise UsageError(problem, setting=Setting("shards"), cure="leave it out")
    refuse_clash(schema.keys, output_columns(output))
    if folder.lower().endswith((".csv", ".parquet", ".pq", ".gz")):
        problem = "parts are written into a folder"
        raise CannotCreate(problem, setting=Setting("output", folder), cure="name a folder or a URI of one")
    checked_horizon(horizon, config.horizon)
    return Work(predictor, schema, data, folder, _newest(Place.of(data), schema), horizon, output, future)


def forecast_parts(work: Work, shards: int, jobs: int = 1) -> tuple[Manifest, dict[tuple[str, ...], str]]:
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
    files, skipped = list[File](), dict[tuple[str, ...], str]()
    with messages_as_one(log):
        for done in side_by_side(tasks, jobs):
            skipped |= done.skipped
            if done.file is not None:
                files.append(done.file)
            PART.set(done.shard.number)
            for level, message in done.messages:
                log.log(level, message.text, *message.args)
    name = Place.of(work.data).name
    whole = Comparison(work.predictor.fitted.history.ids, name)
    whole.seen = whole.fitted - {ids for ids, word in skipped.items() if word == "gone"}
    whole.say_missing()
    if not files:
        raise BadData(
            f"{Place.of(work.data).name}: no series is left to forecast; each has ended, or misses its values"
        )
    origin = position_texts(work.schema, calendar_of(work.schema), np.array([work.end]))[0]
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


def columns_read(schema: Schema) -> list[str]:
    """The columns of a long table that a forecast reads."""
    return list(dict.fromkeys([*schema.keys, str(schema.target), *schema.known, *schema.past, *schema.static]))


def _newest(place: Place, schema: Schema) -> int:
    """The time of the newest value of a table."""
    newest: list[int] = []
    for table in _times_with_values(place, schema):
        if len(table):
            times = parse_times(table, schema.time, schema.time_settings, np.zeros(len(table), np.int64))
            newest.append(int(times.instants.max()))
    if not newest:
        raise BadData("no series has a value; the target is blank in every row", place=place.name)
    return max(newest)


def _times_with_values(place: Place, schema: Schema) -> Iterator[Table]:
    """The different times of each batch of a table that have a value."""
    target = str(schema.target)
    for batch in place.batches([*schema.time, target]):
        values = batch[target]
        if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type) or pa.types.is_null(values.type)):
            raise BadData(f"{place.name}: column '{target}' has the type {values.type}; parts need numbers")
        there = pc.and_(pc.is_valid(values), pc.fill_null(pc.invert(pc.is_nan(values.cast(pa.float64()))), False))
        times = batch.select(list(schema.time)).filter(there)
        yield place.as_table(times.group_by(list(schema.time), use_threads=False).aggregate([]))
