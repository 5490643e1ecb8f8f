"""Compare sums of forecasts with the sums of the actual values, and measure them by level."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from forecast.ensemble.baseline_forecasts import baseline_points
from forecast.errors import BadData, Setting, UsageError, Words
from forecast.events.closed import find_closed, fixed_values, with_fixed
from forecast.logs import log
from forecast.metrics.metrics import REFERENCE, Outcome, mae, measures
from forecast.panel.naming import series_names
from forecast.panel.panel import Ids, Integers, Numbers, Panel
from forecast.panel.schema import Schema
from forecast.panel.season import lags_and_lookback
from forecast.reading.comparing import with_status
from forecast.reading.reading import read_as
from forecast.reading.saved import POINT, numbers_of, observed_forecasts, read_actual
from forecast.settings import SumSettings, TableSettings
from forecast.tables.cells import parse_numbers
from forecast.tables.table import Table
from forecast.tables.writing import Frame, frame_of, interval_columns
from forecast.totals.periods import (
    PERIODS,
    Key,
    checked_levels,
    keys_of,
    periods_of,
    steps_of_periods,
)
from forecast.totals.sums import COLUMNS
from forecast.windows.origins import values_at


@dataclass(frozen=True)
class TotalScores:
    """How good sums were: measures by level; and what `forecast.checks.scoring.Scores` has, too."""

    totals: Frame
    season: int
    values: int
    missing: Ids  # level and ids of groups without a series


def is_totals(table: Table) -> bool:
    return table.names[:1] == ["level"] and {POINT, *COLUMNS} <= set(table.names)


def score_totals(sums: Table, actual: Table, settings: TableSettings) -> TotalScores:
    """Measure a table of sums against values that are read by the settings; `BadData` if they do not fit together."""
    heading = sums.names[1 : sums.names.index(POINT)]
    shared = [name for name in heading[:-1] if name in actual.names and name not in settings.static]
    reading = read_actual(sums, [*shared, heading[-1]], actual, settings)
    schema, spans = reading.schema, spans_of(sums, reading.schema, actual.name)
    panel = read_as(reading, schema, horizon=int(spans[:, 2].max() - spans[:, 1].min())).panel
    found, missing = actual_sums(
        sums, spans, panel, schema, lags_and_lookback(panel, schema.season, None)[1]
    )
    if missing:
        text = "%s: %d groups have no series in %s (%s)"
        log.warning(text, sums.name, len(missing), actual.name, series_names(missing))
    if not (known := int(np.isfinite(found[:, 0]).sum())):
        raise BadData(
            f"not all values of any sum are in {actual.name}; are they there yet?", place=sums.name
        )
    numbers, intervals = numbers_of(sums)
    columns = dict(zip([POINT, *interval_columns(intervals)], numbers.T, strict=True))
    columns |= {"actual": found[:, 0], "naive": found[:, 1], "level": sums.texts("level")}
    columns["calibrated"] = np.char.lower(sums.texts("calibrated").astype(str)) == "true"
    totals = measures_by_level(frame_of(columns).assign(model=POINT))
    return TotalScores(totals, schema.shortest_season, known, missing)


def measures_by_level(sums: Frame) -> Frame:
    """How good sums were, by level and model; skill, widths and msis in units of seasonal naive, summed likewise."""
    rows = list[dict[str, Any]]()
    for (level, model), part in sums.groupby(["level", "model"], sort=False):
        intervals = tuple(float(name[3:]) for name in part.columns if name.startswith("lo_"))
        numbers = part[[POINT, *interval_columns(intervals)]].to_numpy(float)
        actual, naive = (part[name].to_numpy(float) for name in ("actual", "naive"))
        naive_error, known = np.full(len(part), mae(actual, naive)), int(np.isfinite(actual).sum())
        found = measures(Outcome(actual, numbers, intervals, naive_error, naive_error**2))
        named, counts = (
            {"level": level, "model": model},
            {"sums": known, "unknown": len(part) - known},
        )
        skill, _ = (
            1 - found.pop("mase"),
            found.pop("rmsse"),
        )  # which say in another unit what mae and rmse say
        rows.append(
            {
                **named,
                "skill": skill,
                **found,
                **counts,
                "calibrated": bool(part["calibrated"].all()),
            }
        )
    if unknown := sum(row["unknown"] for row in rows):
        log.warning(
            "%d of %d sums do not count, as not all of their actual values are known",
            unknown,
            len(sums),
        )
    return frame_of({name: np.array([row[name] for row in rows]) for name in rows[0]})


def check_sums(schema: Schema, settings: SumSettings, origins: Integers, horizon: int) -> None:
    """Refuse sums that a backtest cannot compare, before any work; origins are grid positions."""
    levels = checked_levels(settings, schema, [*COLUMNS, "origin", "actual", "naive"])
    if not any(
        len(periods_of(schema, at, horizon, level.every))
        for at in origins.tolist()
        for level in levels
    ):
        problem = (
            f"at no origin the horizon of {horizon} steps reaches the end of a {levels[0].every}"
        )
        cure = Words("pass a larger ", Setting("horizon"), ", or another ", Setting("step"))
        raise UsageError(problem, setting=Setting("sum_every", levels[0].every), cure=cure)


def spans_of(sums: Table, schema: Schema, actual: str) -> Integers:
    """The first step of each sum, the first that was forecast, and the one after the last: grid positions [rows, 3]."""
    lost = {*sums.names[1 : sums.names.index(POINT)]} - {*schema.keys, *schema.static}
    if lost:
        cure = Words("name the columns of groups with ", Setting("id"), " or ", Setting("static"))
        raise BadData(
            f"no id column and no static one '{min(lost)}', as the sums have",
            place=actual,
            cure=cure,
        )
    names = [name for name in sums.names if name in (*schema.ids, *schema.static)]
    times = observed_forecasts(
        sums, actual, schema.model_copy(update={"ids": ("level", *names)})
    ).timestamps
    steps, levels = (
        np.nan_to_num(parse_numbers(sums, "steps")).astype(np.int64),
        sums.texts("level"),
    )
    spans = np.zeros((len(sums), 3), np.int64)
    for level in dict.fromkeys(levels):
        rows, every = (
            levels == level,
            next((period for period in PERIODS if level.endswith(f"/{period}")), None),
        )
        first, end = steps_of_periods(schema, times[rows], steps[rows], every)
        spans[rows] = np.stack([first, end - steps[rows], end], 1)
    begun = (spans[:, 0] < spans[:, 1].min()) & (spans[:, 0] <= spans[:, 1])  # before the forecasts
    wrong = np.flatnonzero((steps < 1) | ~(begun | (spans[:, 0] == spans[:, 1])))
    if len(wrong):
        problem = f"no such sum of steps of {actual} starts at this time; is its grid another one?"
        raise BadData(problem, place=sums.place(int(wrong[0]), (*schema.time, "steps")))
    return spans


def actual_sums(
    sums: Table, spans: Integers, panel: Panel, schema: Schema, lookback: int
) -> tuple[Numbers, Ids]:
    """The sums of actual values, NaN where one is unknown, and those of seasonal naive, [rows, 2].

    A series that begins later is in none, one that had ended with what was observed. Also returned: groups without one.
    """
    if not schema.dated and len(set(panel.origins.tolist())) > 1:
        raise BadData("series without dates that end at different steps have no sums in common")
    first, origin = spans[:, 0].min(), int(spans[:, 1].min()) - 1
    series, values = _actual_and_naive(panel, schema, lookback, origin, origin + 1 - first)
    levels, names = (
        sums.texts("level"),
        [name for name in sums.names if name in (*schema.ids, *schema.static)],
    )
    texts, found, missing = (
        [sums.texts(name) for name in names],
        np.full((len(sums), 2), np.nan),
        list[Key](),
    )
    for level in dict.fromkeys(levels):
        rows, codes = np.flatnonzero(levels == level), dict[Key, int]()
        by = [column for column, held in enumerate(texts) if held[rows].astype(bool).any()]
        of_row = [
            codes.setdefault(tuple(texts[column][row] for column in by), len(codes)) for row in rows
        ]
        keys = keys_of(panel, schema, series, tuple(names[column] for column in by))
        of_series = np.array([codes.get(key, -1) for key in keys], np.int64)
        inside, table = of_series >= 0, np.zeros((len(codes), *values.shape[1:]))
        np.add.at(table, of_series[inside], values[series[inside]])
        table[lost := np.setdiff1d(list(codes.values()), of_series)] = np.nan
        missing += [(level, *key) for key, code in codes.items() if code in lost]
        for row, code in zip(rows, of_row, strict=True):
            found[row] = table[code, spans[row, 0] - first : spans[row, 2] - first].sum(0)
    return found, tuple(missing)


def _actual_and_naive(
    panel: Panel, schema: Schema, lookback: int, origin: int, back: int
) -> tuple[Integers, Numbers]:
    """Series that are in sums, and actual values and seasonal naive from `back` steps before on: [series, steps, 2]."""
    known = with_fixed(
        panel, fixed_values(find_closed(panel, schema, panel.lengths), panel, schema)
    )
    series, steps = np.arange(len(panel)), origin + 1 + np.arange(-back, panel.ahead)
    values = np.repeat(
        values_at(known, series, np.full(len(panel), steps[0]), len(steps))[..., None], 2, 2
    )
    values[(steps < panel.starts[:, None]) & (steps >= panel.starts.min())] = (
        0  # before the first value of a series
    )
    values[:, back:, 1] = np.nan
    begun = np.flatnonzero(panel.starts <= origin)
    if not len(begun):  # the table has nothing of the past
        return series, values
    past = with_status(panel.until(origin), schema, lookback)
    values[begun, back:, 1] = baseline_points(REFERENCE, schema.shortest_season, past)
    ended = begun[np.array(past.status) == "ended"]
    values[ended] = np.where(np.arange(len(steps))[:, None] < back, np.nan_to_num(values[ended]), 0)
    return begun[np.array(past.status) != "missing"], values
