"""Compare sums of forecasts with the sums of the actual values, and measure them by level."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from forecast.effects.closed import fill_closed_slots, find_closures, fixed_values
from forecast.ensemble.baseline_forecasts import baseline_points
from forecast.errors import BadData, Setting
from forecast.logs import log
from forecast.metrics.metrics import REFERENCE, Outcome, mae, measures
from forecast.panel.comparing import set_status
from forecast.panel.hierarchy import Key, iterate_keys, rows_of_keys
from forecast.panel.infer import read_as
from forecast.panel.panel import Ids, Integers, Numbers, Panel, series_names
from forecast.panel.saved import (
    POINT,
    extract_predictions,
    observed_forecasts,
    quantile_columns,
    read_actual,
)
from forecast.panel.schema import Schema
from forecast.panel.season import lags_and_lookback
from forecast.settings import SumSettings, TableSettings
from forecast.tables.cells import parse_numbers
from forecast.tables.table import Table
from forecast.tables.writing import Frame, build_frame
from forecast.totals.periods import (
    build_refusal,
    checked_levels,
    find_periods,
    period_of_level,
    steps_of_periods,
)
from forecast.totals.sums import SUM_COLUMNS
from forecast.windows.origins import values_at


@dataclass(frozen=True)
class TotalScores:
    """How good sums were: measures by level of sums, and the fields of `Scores`."""

    totals: Frame
    season: int
    values: int
    missing: Ids  # level of sums and ids of the groups that have no series


def is_totals(table: Table) -> bool:
    first = table.names[:1]
    return first == ["level"] and {POINT, *SUM_COLUMNS} <= set(table.names)


def score_totals(sums: Table, actual: Table, settings: TableSettings) -> TotalScores:
    """Measure a table of sums against actual values, which are read by the settings.

    Raises `BadData` if the two do not fit together.
    """
    *groups, time = sums.names[1 : sums.names.index(POINT)]
    ids = [name for name in groups if name in actual.names and name not in settings.static]
    reading = read_actual(sums, [*ids, time], actual, settings)
    schema = reading.schema
    spans = find_spans(sums, schema, actual.name)
    _, first_ahead, end = spans.T
    horizon = int(end.max() - first_ahead.min())
    panel = read_as(reading, schema, horizon=horizon).panel
    lookback = lags_and_lookback(panel, schema.season, None)[1]
    values, missing = actual_sums(sums, spans, panel, schema, lookback)
    if missing:
        text = "%s: %d groups have no series in %s (%s)"
        log.warning(text, sums.name, len(missing), actual.name, series_names(missing))
    count = int(np.isfinite(values[:, 0]).sum())
    if not count:
        problem = f"not all values of any sum are in {actual.name}; are they there yet?"
        raise BadData(problem, place=sums.name)

    numbers, shown = extract_predictions(sums)
    names = (POINT, *shown, "actual", "naive")
    arrays = (*numbers.T, *values.T)
    columns: dict[str, Any] = dict(zip(names, arrays, strict=True))
    columns["level"] = sums.texts("level")
    calibrated = sums.texts("calibrated").astype(str)
    columns["calibrated"] = np.char.lower(calibrated) == "true"
    totals = measures_by_level(build_frame(columns).assign(model=POINT))
    return TotalScores(totals, schema.shortest_season, count, missing)


def measures_by_level(sums: Frame) -> Frame:
    """The measures of sums by level of sums and model.

    Skill, widths and msis are relative to seasonal naive, which is summed in the same way.
    """
    rows = list[dict[str, Any]]()
    shown = quantile_columns(list(sums.columns))
    for (level, model), part in sums.groupby(["level", "model"], sort=False):
        numbers = part[[POINT, *shown]].to_numpy(float)
        actual, naive = part[["actual", "naive"]].to_numpy(float).T
        unit = np.full(len(part), mae(actual, naive))
        results = measures(Outcome(actual, numbers, shown, unit, unit**2))
        mase = results.pop("mase")
        del results["rmsse"]  # it is rmse in another unit
        count = int(np.isfinite(actual).sum())
        row = {"level": level, "model": model, "skill": 1 - mase, **results}
        row |= {"sums": count, "unknown": len(part) - count}
        rows.append({**row, "calibrated": bool(part["calibrated"].all())})
    if unknown := sum(row["unknown"] for row in rows):
        text = "%d of %d sums do not count, as not all of their actual values are known"
        log.warning(text, unknown, len(sums))
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return build_frame(columns)


def check_sums(schema: Schema, settings: SumSettings, origins: Integers, horizon: int) -> None:
    """Refuse, before any work, sums that a backtest cannot compare; origins are grid positions."""
    levels = checked_levels(settings, schema, [*SUM_COLUMNS, "origin", "actual", "naive"])
    whole = [
        len(find_periods(schema, origin, horizon, level.every))
        for origin, level in product(origins.tolist(), levels)
    ]
    if any(whole):
        return
    every = levels[0].every
    problem = f"at no origin the horizon of {horizon} steps reaches the end of a {every}"
    cure = f"pass a larger {Setting('horizon')}, or another {Setting('step')}"
    raise build_refusal(every, problem, cure)


def find_spans(sums: Table, schema: Schema, actual: str) -> Integers:
    """Three grid positions of each sum, [rows, 3].

    They are its first step, the first step that was forecast, and the one after its last step.
    """
    keys = sums.names[1 : sums.names.index(POINT)]
    lacking = set(keys) - {*schema.keys, *schema.static}
    if lacking:
        problem = f"no id column and no static one '{min(lacking)}', as the sums have"
        cure = f"name the columns of groups with {Setting('id')} or {Setting('static')}"
        raise BadData(problem, place=actual, cure=cure)
    ids = ("level", *_group_columns(sums, schema))
    keyed = schema.model_copy(update={"ids": ids})
    times = observed_forecasts(sums, actual, keyed).timestamps
    steps = np.nan_to_num(parse_numbers(sums, "steps")).astype(np.int64)
    levels = sums.texts("level")
    first = np.zeros_like(steps)
    end = np.zeros_like(steps)
    for level in dict.fromkeys(levels):
        rows = levels == level
        every = period_of_level(level)
        starts, ends = steps_of_periods(schema, times[rows], steps[rows], every)
        first[rows] = starts
        end[rows] = ends

    first_ahead = end - steps
    begun_before = (first < first_ahead.min()) & (first <= first_ahead)
    wrong = np.flatnonzero((steps < 1) | ~(begun_before | (first == first_ahead)))
    if len(wrong):
        problem = f"no such sum of steps of {actual} starts at this time; is its grid another one?"
        place = sums.place(wrong[0], (*schema.time, "steps"))
        raise BadData(problem, place=place)
    return np.stack([first, first_ahead, end], 1)


def _group_columns(sums: Table, schema: Schema) -> list[str]:
    groups = (*schema.ids, *schema.static)
    return [name for name in sums.names if name in groups]


def actual_sums(
    sums: Table, spans: Integers, panel: Panel, schema: Schema, lookback: int
) -> tuple[Numbers, Ids]:
    """The sums of actual values and those of seasonal naive, [rows, 2], and groups without series.

    A sum of actual values is NaN if one of them is unknown. A series that begins later is in no
    sum; a series that has ended adds what was observed of it.
    """
    if not schema.dated and len(set(panel.origins.tolist())) > 1:
        raise BadData("series without dates that end at different steps have no sums in common")
    first = spans[:, 0].min()
    origin = int(spans[:, 1].min()) - 1
    series, values = _actual_and_naive(panel, schema, lookback, origin, origin + 1 - first)
    levels = sums.texts("level")
    columns = {name: sums.texts(name) for name in _group_columns(sums, schema)}
    result = np.full((len(sums), 2), np.nan)
    missing = dict[Key, None]()
    for level in dict.fromkeys(levels):
        rows = np.flatnonzero(levels == level)
        by = tuple(name for name, texts in columns.items() if any(texts[rows]))
        members = rows_of_keys(iterate_keys(panel, schema, by, series))
        for row in rows:
            key = tuple(columns[name][row] for name in by)
            steps = slice(spans[row, 0] - first, spans[row, 2] - first)
            if key in members:
                group = series[members[key]]
                result[row] = values[group, steps].sum((0, 1))
            else:
                missing[(level, *key)] = None
    return result, tuple(missing)


def _actual_and_naive(
    panel: Panel, schema: Schema, lookback: int, origin: int, back: int
) -> tuple[Integers, Numbers]:
    """The series that are in sums, with their actual values and seasonal naive, [series, steps, 2].

    Both begin `back` steps before the origin.
    """
    closed = fixed_values(find_closures(panel, schema, panel.lengths), panel, schema)
    series = np.arange(len(panel))
    steps = origin + 1 + np.arange(-back, panel.ahead)
    first = np.full(len(panel), steps[0])
    actual = values_at(fill_closed_slots(panel, closed), series, first, len(steps))
    starts = panel.starts[:, None]
    actual[(steps < starts) & (steps >= starts.min())] = 0
    values = np.stack([actual, actual], -1)
    values[:, back:, 1] = np.nan
    begun = np.flatnonzero(panel.starts <= origin)
    if not len(begun):  # the table has no values before the origin
        return series, values
    past = set_status(panel.until(origin), schema, lookback)
    status = np.array(past.status)
    values[begun, back:, 1] = baseline_points(REFERENCE, schema.shortest_season, past)
    ended = begun[status == "ended"]
    values[ended, :back] = np.nan_to_num(values[ended, :back])
    values[ended, back:] = 0
    return begun[status != "missing"], values
