"""Read a table once: parse its times, infer or check its schema, build its panel."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecast.calendar.calendar import default_horizon
from forecast.events.kinds import covered, has_kind, levelled, without
from forecast.events.table import read_events
from forecast.panel.lookback import lags_and_lookback
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema, calendar_of, time_columns_at
from forecast.panel.season import panel_seasons
from forecast.reading.building import build_panel, check_rows, warn_gaps, with_future
from forecast.reading.dated import DatedTable, dated_table
from forecast.reading.detection import check_schema, describe, infer_schema
from forecast.reading.grid import Grid, fill, warn_sparse
from forecast.reading.known import warn_blank
from forecast.reading.observations import Observations, observe, wide_columns
from forecast.reading.status import warn_status, with_status
from forecast.reading.vintages import describe_vintages, one_row_a_time, with_vintages
from forecast.settings import TableSettings
from forecast.tables.table import Table

# fields of a schema that decide the values of a table on the grid, and with it the covariates
GRID_FIELDS = ["layout", "time", "ids", "target", "time_format", "calendar", "on_duplicate", "aggregate", "missing"]
COVARIATE_FIELDS = ["known", "past", "static", "categories"]


@dataclass(frozen=True)
class Reading:
    schema: Schema
    panel: Panel  # its series, with the slots to forecast behind them
    dated: DatedTable
    observations: Observations
    grid: Grid
    lookback: int | None = None  # steps that a forecast looks back; None where the statuses do not depend on it

    @property
    def name(self) -> str:  # what messages call the table
        return self.dated.name


Source = Table | DatedTable | Reading


def read(
    source: Table | DatedTable,
    settings: TableSettings,
    *,
    horizon: int | None = None,
    lookback: int | None = None,
    reserved: Sequence[str] = ("forecast",),
    events: Table | str | None = None,
    future: Table | None = None,
) -> Reading:
    """Infer how a table becomes series, and build its panel; the settings of the user win over what it looks like.

    The horizon is by default what the frequency suggests, the lookback follows from it and the season. Events are a
    table or the path of its file; `reserved` are columns that the output will have, `future` more rows of columns known
    in advance.
    """
    dated = source if isinstance(source, DatedTable) else dated_table(source, settings)
    schema, dated = infer_schema(dated, settings, reserved)
    dated = one_row_a_time(dated, schema)
    observations = _observed(dated, schema)
    if (events := settings.events if events is None else events) is not None:
        schema = schema.model_copy(update={"dated_events": read_events(events, schema, observations.ids)})
    observations, grid = _on_grid(dated, schema, observations)
    ahead = horizon or default_horizon(schema.calendar, schema.season)
    panel = _panel(dated, schema, observations, grid, ahead)
    if not schema.season:
        schema = schema.model_copy(update={"season": panel_seasons(levelled(panel, schema), schema.calendar)})
        if horizon is None and (ahead := default_horizon(schema.calendar, schema.season)) != panel.ahead:
            panel = _panel(dated, schema, observations, grid, ahead)
    if future is not None:
        panel = with_future(panel, future, schema, instant=dated.instant)
    warn_gaps(panel, schema, dated.name)
    warn_sparse(dated.name, grid, schema)
    _, lookback = lags_and_lookback(panel, schema.season, lookback)
    return Reading(schema, with_status(panel, schema, lookback), dated, observations, grid, lookback)


def read_as(
    source: Source,
    schema: Schema,
    *,
    horizon: int,
    lookback: int | None = None,
    future: Table | None = None,
    origin: str | None = None,
    reach: int | None = None,
) -> Reading:
    """Read a table by the schema of an earlier fit; only parts that a reading does not hold already are read.

    By the lookback series get the statuses short and ended. `future` has more rows of columns known in advance, which
    hold for all series where it has no id columns. Values after the `origin` are not used. A part of a table has the
    `reach` of the whole, see `reach_of`.
    """
    dated = source.dated if isinstance(source, Reading) else source
    check_schema(schema, dated.table if isinstance(dated, DatedTable) else dated)
    dated = one_row_a_time(dated if isinstance(dated, DatedTable) else dated_table(dated, schema), schema)
    before = source if isinstance(source, Reading) and origin is None and _same_grid(source, schema) else None
    if before is not None:
        observations, grid = before.observations, before.grid
    else:
        observations, grid = _on_grid(dated, schema, _observed(dated, schema, reach), origin, reach)
    if before and horizon == before.panel.ahead and _alike(before.schema, schema, COVARIATE_FIELDS):
        panel = before.panel
    else:
        panel = _panel(dated, schema, observations, grid, horizon)
    if before is None:
        warn_gaps(panel, schema, dated.name)
    if future is not None:
        panel = with_future(panel, future, schema, instant=dated.instant)
    panel = with_status(panel, schema, lookback)
    if lookback is not None:
        warn_status(panel, schema, dated.name, () if before is None else before.panel.status, reach is None)
    return Reading(schema, panel, dated, observations, grid, lookback)


def reach_of(times: Table, schema: Schema) -> int:
    """The newest time of a value of a table that is read in parts, from a row of each time; these are checked."""
    dated = dated_table(times, schema)
    observations, _ = _on_grid(dated, schema, _observed(dated, schema))
    return int(observations.timestamps[np.isfinite(observations.values)].max())


def check_to_fit(reading: Reading) -> None:
    """Warn of what a fit cannot use, and refuse a table without a series to forecast, or whose times run out."""
    panel, schema = reading.panel, reading.schema
    warn_status(panel, schema, reading.name)
    time_columns_at(schema, calendar_of(schema), panel.origins.max(keepdims=True) + panel.ahead)
    warn_blank(panel, schema, reading.name)


def describe_reading(reading: Reading) -> list[str]:
    """What was read and inferred, as lines."""
    last = f"horizon  {reading.panel.ahead}, from the last {reading.lookback} steps"
    return [*describe(reading.schema, reading.panel), *describe_vintages(reading.panel, reading.schema), last]


def _panel(dated: DatedTable, schema: Schema, observations: Observations, grid: Grid, horizon: int) -> Panel:
    """The panel of a table, its known columns as they became known."""
    panel = without(build_panel(dated.table, schema, observations, grid, horizon), schema, "ignore")
    return panel if dated.vintages is None else with_vintages(panel, dated.vintages, schema, whole=True)


def _observed(dated: DatedTable, schema: Schema, reach: int | None = None) -> Observations:
    observations = observe(dated.table, schema, dated.times_by(schema))
    check_rows(dated.table, observations, schema, whole=reach is None)
    return observations


def _on_grid(
    dated: DatedTable, schema: Schema, observations: Observations, origin: str | None = None, reach: int | None = None
) -> tuple[Observations, Grid]:
    """The observations of a table, blank where events say so, and their values on the grid."""
    calendar = calendar_of(schema)
    if has_kind(schema, "ignore") and len(observations.values):
        positions, low, end = calendar.positions(observations.timestamps), *np.zeros((2, len(observations.ids)), int)
        low[observations.series], end[observations.series] = positions, positions
        np.minimum.at(low, observations.series, positions)
        np.maximum.at(end, observations.series, positions + 1)
        offsets = np.concatenate([[0], np.cumsum(end - low)])
        blank = covered(observations.ids, low, offsets, schema, "ignore")
        row = offsets[observations.series] + positions - low[observations.series]
        observations = replace(observations, values=np.where(blank[row], np.nan, observations.values))
    return observations, fill(dated.table, observations, schema, calendar, origin, reach)


def _same_grid(reading: Reading, schema: Schema) -> bool:
    """Whether another schema brings the same values to the same grid."""
    table = reading.dated.table
    same_series = schema.layout != "wide" or wide_columns(table, schema) == wide_columns(table, reading.schema)
    ignored, before = (
        [event for event in of.dated_events if event.kind == "ignore"] for of in (schema, reading.schema)
    )
    return same_series and ignored == before and _alike(reading.schema, schema, GRID_FIELDS)


def _alike(schema: Schema, other: Schema, fields: Sequence[str]) -> bool:
    return all(getattr(schema, field) == getattr(other, field) for field in fields)
