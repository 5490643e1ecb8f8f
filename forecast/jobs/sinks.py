"""Where forecasts and their sums go: a file, rows in a table of a database, or both."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from forecast.durable import check_folder, make_directory
from forecast.errors import CannotCreate, UsageError
from forecast.jobs.record import sha256_of_file
from forecast.panel.observations import id_codes, wide_columns
from forecast.panel.panel import Ids, Integers
from forecast.panel.schema import Names, Schema, build_calendar, time_columns_at
from forecast.settings import (
    Facts,
    FilePath,
    OutputSettings,
    PeriodNames,
    Series,
    SettingsGroup,
    SumSettings,
)
from forecast.tables.table import Table
from forecast.tables.writing import build_frame, guard_formulas, output_columns, write_frames
from forecast.totals.orders import LASTING, ORDER_COLUMNS
from forecast.totals.sums import sum_columns

SINK_USE = "give it path, or url and table, or several of these"
ADDED_COLUMNS = (
    "origin",
    "version",
    "model",
    "status",
)  # columns of a table of a database; sums have two


class _Places(SettingsGroup):
    path: FilePath | None = Field(
        None, description="a .csv, .parquet or .xlsx file, replaced all at once"
    )
    table: str | None = Field(
        None,
        description="table of that database: rows are added or replaced by ids, time and origin; "
        "may name a schema",
    )

    def sink(self, series: "SinkSettings") -> "SinkSettings":
        """Where such a table goes, beside the series."""
        url = None if self.table is None else series.url
        return SinkSettings(path=self.path, table=self.table, url=url)


class SinkSettings(_Places):
    """Where the forecasts go."""

    url: str | None = Field(None, repr=False, description="a database, as SQLAlchemy writes it")

    @property
    def places(self) -> dict[str, str]:
        """The file and the database table that are written, by key."""
        return self.model_dump(include={"path", "table"}, exclude_none=True)

    @property
    def columns(self) -> Names:
        """The columns beside ids, time and numbers."""
        return () if self.table is None else ADDED_COLUMNS

    def check_keys(self) -> None:
        """Refuse what does not name a sink."""
        if (self.url is None) != (self.table is None):
            raise UsageError("url and table go together")
        if not self.places:
            raise UsageError(SINK_USE)


class TotalsSettings(_Places):
    """Sums of the forecasts, and where they go; tables are in the database of the sink."""

    by: Series = Field(
        (),
        description="id or static columns that name groups: region,product; or all; "
        "or a list of such",
    )
    every: PeriodNames = Field(
        (),
        description="day, week, month, quarter, year, horizon or such as next 9; or a list",
    )

    @property
    def sums(self) -> SumSettings:
        """What is summed."""
        return SumSettings(sum_by=self.by, sum_every=self.every)


class OrdersSettings(_Places):
    """What to order of items, and where that goes; a table is in the database of the sink."""

    items: FilePath | None = Field(
        None, description="a table of items: ids, lead_time, review, service_level and so on"
    )


@dataclass(frozen=True)
class Results:
    """The forecasts of a run, or sums of them.

    Attributes
    ----------
    explained : the table, with the columns model and status if it is of forecasts
    times : [rows], timestamps; those of sums are the starts of their periods
    origins : [rows], timestamps of the newest values before the forecast
    schema : the schema of the version that forecast; for sums, with the ids of sums
    """

    explained: pd.DataFrame
    times: Integers
    origins: Integers
    schema: Schema
    version: str
    output: OutputSettings


def check_file(path: str) -> str:
    """Refuse a file that cannot be written or replaced; returns a line on it."""
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise CannotCreate("is a folder; name a file in it", place=path)
    if target.exists() and not os.access(target, os.W_OK):
        raise CannotCreate("may not be written", place=path)
    check_folder(target.parent, path)
    return f"{path} can be written"


def check_table(sink: SinkSettings, rows: pd.DataFrame, keys: Sequence[str]) -> str:
    """Refuse column names and types that the database cannot take; returns a line on it."""
    from forecast.tables.databases import rehearse

    exists = rehearse(str(sink.url), str(sink.table), rows, [*keys, "origin"])
    return f"table {sink.table} {'takes the forecasts' if exists else 'will be created'}"


def write(tables: Sequence[tuple[SinkSettings, Results]]) -> Facts:
    """Write forecasts and their sums: rows of a database in one transaction, then file after file.

    Returns what the record says of the forecasts: the number of rows, and the sha256 of the file.
    """
    facts: Facts = {}
    first_sink = tables[0][0]
    rows = [
        (str(sink.table), _rows(results), [*results.schema.keys, "origin"])
        for sink, results in tables
        if sink.table is not None
    ]
    if rows:
        from forecast.tables.databases import upsert

        url = next(sink.url for sink, _ in tables if sink.url is not None)
        count = upsert(url, *rows[0], *rows[1:])
        if first_sink.table is not None:
            facts["rows"] = count
    for sink, results in tables:
        if sink.path is None:
            continue
        frame = results.explained
        if not results.output.explain:
            added = [name for name in ("model", "status") if name not in results.schema.ids]
            frame = frame.drop(columns=added, errors="ignore")
        if results.output.excel_safe:
            frame = guard_formulas(frame, results.schema.ids)
        make_directory(Path(sink.path).parent)
        write_frames([frame], sink.path)
    if first_sink.path is not None:
        facts["sha256"] = sha256_of_file(first_sink.path)
    return facts


def _rows(results: Results) -> pd.DataFrame:
    schema = results.schema
    frame = results.explained
    if len(schema.time) == 1:
        frame = frame.assign(**{schema.time[0]: _times(results.times, schema)})
    frame = frame.assign(origin=_times(results.origins, schema), version=results.version)
    last = [name for name in ADDED_COLUMNS if name in frame]
    return frame[[*frame.columns.drop(last), *last]]


def ids_in(schema: Schema, table: Table) -> Ids:
    """The ids of the series of a table."""
    if schema.layout == "long":
        return id_codes(table, schema.ids)[0]
    if schema.layout == "wide":
        return tuple((name,) for name in wide_columns(table, schema))
    return tuple((name,) for name in table.texts(schema.ids[0]).tolist())


def sample_rows(schema: Schema, table: Table, output: OutputSettings) -> pd.DataFrame:
    """Sample rows of the output: ids of the table, times on its grid, and arbitrary numbers."""
    # more steps than the hours of a day, so that a column of dates cannot hold them
    count = 100
    calendar = build_calendar(schema)
    steps = calendar.positions(np.zeros(1, np.int64)) + np.arange(count)
    times = _times(calendar.times(steps), schema)
    columns: Facts = {}
    first_ids = ids_in(schema, table)[0]
    for name, value in zip(schema.ids, first_ids, strict=True):
        columns[name] = [value] * count
    if len(schema.time) > 1:
        columns |= dict(build_frame(time_columns_at(schema, steps)))
    else:
        columns[schema.time[0]] = times
    numbers = [name for name in output_columns(output) if name not in ADDED_COLUMNS]
    columns |= dict.fromkeys(numbers, 0 if output.integer else 0.5)
    columns["origin"] = times
    columns["version"] = "v-20240101T000000.000000Z-00000000"
    return pd.DataFrame(columns).assign(model="", status="")


def sample_sums(
    rows: pd.DataFrame, ids: Names, schema: Schema, output: OutputSettings
) -> pd.DataFrame:
    """Sample rows of sums, with the ids of sums."""
    numbers: Facts = dict.fromkeys(sum_columns(output), 0.5)
    numbers |= {"filled": 0, "steps": 1, "calibrated": True}
    blanks = {name: "" for name in ids if name not in rows}
    rows = rows.assign(**blanks, **numbers)
    rows.loc[0, [*ids]] = ""  # an id is blank if sums run over all its values
    return rows[[*ids, *schema.time, *numbers, *ADDED_COLUMNS[:2]]]


def sample_orders(rows: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Sample rows of orders."""
    numbers: Facts = dict.fromkeys(ORDER_COLUMNS, 0.5) | {"protection": 1}
    numbers |= dict.fromkeys(LASTING, "")
    rows = rows.assign(**numbers)
    return rows[[*schema.ids, *schema.time, *numbers, *ADDED_COLUMNS[:2]]]


def _times(seconds: Integers, schema: Schema) -> "pd.Index[Any]":
    """Times as timestamps in the zone of the input, or as numbers of steps."""
    if schema.time_format.kind == "integer" or schema.layout == "rows":
        return pd.Index(seconds)
    timestamps = pd.DatetimeIndex(seconds.astype("datetime64[s]"))
    if schema.time_format.zone is None:
        return timestamps
    return timestamps.tz_localize("UTC")
