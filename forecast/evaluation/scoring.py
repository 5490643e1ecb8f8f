"""Score a table of forecasts against the values that came."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import BadData, Setting, Words
from forecast.evaluation.references import baseline_fit
from forecast.evaluation.tables import REFERENCE, Judged, in_sample_errors, measure_tables
from forecast.panel.building import build_panel, calendar_of, position_texts
from forecast.panel.detection import infer_schema
from forecast.panel.naming import series_names
from forecast.panel.observations import Ids, observe
from forecast.panel.panel import Integers, Panel
from forecast.panel.schema import Schema
from forecast.panel.tidying import tidied
from forecast.panel.time_column import heading_times
from forecast.settings import TableSettings
from forecast.tables.distinct import repeats
from forecast.tables.numbers import parse_numbers
from forecast.tables.reading import table_from_frame
from forecast.tables.table import Table
from forecast.tables.writing import interval_columns

log = logging.getLogger("forecast")

Values = NDArray[np.float64]
Data = Any  # a pandas DataFrame, or a Table

POINT = "forecast"


@dataclass(frozen=True)
class Scores:
    """How good forecasts were; the columns are those of a backtest.

    Attributes
    ----------
    overall, by_series, by_step : measures of the forecasts, ``skill`` against seasonal naive first
    season : steps back of seasonal naive, and of the unit of `mase`
    values : forecasts for which a value came
    missing : ids of forecasts for which there is none
    """

    overall: pd.DataFrame
    by_series: pd.DataFrame
    by_step: pd.DataFrame
    season: int
    values: int
    missing: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class _Given:
    """The forecasts of a table.

    Attributes
    ----------
    ids : [series]
    first : [series], grid position of the first forecast
    series, step : [rows], which series, and how many steps after its first forecast
    numbers : [rows, 1 + 2 * intervals]
    """

    ids: Ids
    first: Integers
    series: Integers
    step: Integers
    numbers: Values

    @property
    def horizon(self) -> int:
        return int(self.step.max()) + 1


def score(forecast: Data, actual: Data, settings: TableSettings | None = None) -> Scores:
    """Measure forecasts against the values that came.

    The unit of MASE is the in-sample error of seasonal naive over the values of `actual` before the first forecast of
    each series, so `actual` is best the whole history.

    Parameters
    ----------
    forecast : a table as `predict` gives it: id columns, time, ``forecast``, ``lo_80``, ``hi_80`` and so on
    actual : a table, long, wide or with one series a row; its id columns and its time are found by the names that they
        have in `forecast`
    settings : how to read `actual`

    Raises
    ------
    BadData
        If no id or no time of the forecasts is among the values, times are written in another format or zone, or the
        forecasts have several rows for one series and time.
    """
    made, came = _table(forecast, "forecasts"), _table(actual, "actual values")
    names = made.names
    if POINT not in names or names.index(POINT) == 0:
        raise BadData(f"{made.name}: no column '{POINT}' after id and time columns; give a table that predict wrote")
    time = _times_of(made, names[: names.index(POINT)], settings)
    ids = [name for name in names[: names.index(POINT)] if name not in time]
    intervals = tuple(float(name[3:]) for name in names if name.startswith("lo_") and f"hi_{name[3:]}" in names)
    schema = infer_schema(came, _settings(settings or TableSettings(), came, ids, time))
    given = _read(made, came.name, schema, [POINT, *interval_columns(intervals)])
    panel = build_panel(came, schema, ahead=given.horizon)
    missing = tuple(sorted(set(given.ids) - set(panel.ids)))
    if len(missing) == len(given.ids):
        raise BadData(
            f"none of the {len(missing)} series of {made.name} is among the {len(panel)} of {came.name} "
            f"({series_names(missing)} against {series_names(panel.ids)}); are the ids written alike?"
        )
    if missing:
        log.warning("%s: %d series are not in %s (%s)", made.name, len(missing), came.name, series_names(missing))
    season = schema.season[0] if schema.season else 1
    judged, values = _judged(panel, schema, given, intervals, season)
    if not values:
        _refuse_no_overlap(panel, schema, given, made.name, came.name)
    left = len(given.step) - values - int(np.isin(given.series, [given.ids.index(one) for one in missing]).sum())
    if left:
        log.warning("%s: %d of %d forecasts have no value in %s yet", made.name, left, len(given.step), came.name)
    if not np.isfinite(judged.scale).any():
        log.warning(
            "%s: before the first forecast there are no two values a season (%d) apart; skill, mase, rmsse, widths and "
            "msis stay empty",
            came.name,
            season,
        )
    overall, by_series, by_step = (
        frame[frame["model"] == POINT].reset_index(drop=True) for frame in measure_tables(judged)
    )
    return Scores(overall, by_series, by_step, season, values, missing)


def _times_of(made: Table, names: list[str], settings: TableSettings | None) -> tuple[str, ...]:
    """The time columns of forecasts: as named, else the last column before the numbers with those it goes with."""
    told = () if settings is None else settings.time
    return told if told and set(told) <= set(names) else heading_times(made, names)


def _settings(settings: TableSettings, came: Table, ids: list[str], time: tuple[str, ...]) -> TableSettings:
    """What the forecasts say of how the values are to be read, where the user says nothing."""
    there = set(came.names)
    known: dict[str, Any] = {}
    if settings.layout != "rows" and not settings.time and set(time) <= there:
        known["time"] = time
        if not settings.id and settings.layout != "wide" and ids and set(ids) <= there:
            known["id"] = tuple(ids)
    return TableSettings.check({**settings.model_dump(), **known})


def _read(made: Table, came: str, schema: Schema, columns: list[str]) -> _Given:
    """Read forecasts on the grid of the values."""
    missing = [name for name in schema.keys if name not in made.names]
    if missing:
        raise BadData(
            f"no column '{missing[0]}', by which {came} is read",
            place=made.name,
            cure=Words("name the columns that both have with ", Setting("id"), " and ", Setting("time")),
        )
    nothing: dict[str, Any] = {"known": (), "past": (), "static": (), "aggregate": None}
    rows = schema.model_copy(update={"layout": "long", "target": POINT, **nothing})
    try:
        found = observe(made, rows)
    except BadData as error:
        problem = str(error.problem).replace("at fit", f"in {came}")
        raise BadData(problem, setting=error.setting, place=error.place, cure=error.cure) from None
    twice = repeats(found.series, found.instants)
    if twice.any():
        raise BadData(
            f"{made.place(int(np.argmax(twice)), schema.time)}: a series and time come twice ({twice.sum()} such "
            "rows); score the forecasts of one model from one origin at a time"
        )
    calendar = calendar_of(schema)
    off = ~calendar.on_grid(found.instants)
    if off.any():
        row = int(np.argmax(off))
        raise BadData(
            f"{made.value(row, schema.time)} does not lie on the grid {schema.calendar.name} of {came}",
            place=made.place(row, schema.time),
            cure=Words("bring both to one frequency with ", Setting("freq"), " and ", Setting("aggregate")),
        )
    position = calendar.positions(found.instants)
    first = np.full(len(found.ids), np.iinfo(np.int64).max)
    np.minimum.at(first, found.series, position)
    numbers = np.stack([parse_numbers(made, column) for column in columns], -1)
    return _Given(found.ids, first, found.series, position - first[found.series], numbers)


def _judged(
    panel: Panel, schema: Schema, given: _Given, intervals: tuple[float, ...], season: int
) -> tuple[Judged, int]:
    """Forecasts beside values, seasonal naive among them, and how many values there are."""
    place = {one: i for i, one in enumerate(given.ids)}
    rank = np.array([place.get(one, -1) for one in panel.ids], np.int64)
    panel, rank = panel.select(np.flatnonzero(rank >= 0)), rank[rank >= 0]
    size = (len(panel), 1, given.horizon)
    laid = np.full((len(given.ids), *size[1:], given.numbers.shape[-1]), np.nan)
    laid[given.series, 0, given.step] = given.numbers
    laid = laid[rank]
    origin = given.first[rank] - 1
    place_of = origin[:, None] + 1 + np.arange(given.horizon) - panel.starts[:, None]  # [series, horizon]
    inside = (place_of >= 0) & (place_of < panel.lengths[:, None])
    slot = panel.offsets[:-1, None] + np.where(inside, place_of, 0)
    seen = inside & panel.observed[slot] & np.isfinite(laid[:, 0, :, 0])
    actual = np.where(seen, panel.values[slot], np.nan)[:, None]
    naive, begun = np.full(laid.shape, np.nan), origin >= panel.starts
    if begun.any():
        past = panel.until(origin)
        naive[begun, 0] = baseline_fit(REFERENCE, season, (0.5,))(past)(past)
    scale, squared = in_sample_errors(panel, origin, season)
    return Judged(panel, schema, actual, {REFERENCE: naive, POINT: laid}, intervals, scale, squared), int(seen.sum())


def _refuse_no_overlap(panel: Panel, schema: Schema, given: _Given, made: str, came: str) -> None:
    last = (given.first[given.series] + given.step).max()
    ends = np.array([given.first.min(), last, panel.starts.min(), panel.origins.max()])
    first, last, oldest, newest = position_texts(schema, calendar_of(schema), ends)
    raise BadData(
        f"{came} ({oldest} to {newest}) has no value for a time of {made} ({first} to {last}); are the values there "
        "yet?"
    )


def _table(data: Data, name: str) -> Table:
    return data if isinstance(data, Table) else tidied(table_from_frame(data, name))
