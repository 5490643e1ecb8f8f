"""Compare forecasts of earlier runs with actuals: scores by day, and conspicuous series."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from forecast.calendar.spec import STEP_KIND
from forecast.calendar.zones import DAY, wall_clock
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import Forecasts
from forecast.inference.overrides import Overrides
from forecast.intervals.corrections import CORRECTED_SHARES, PastIntervals, RawIntervals
from forecast.jobs.ledger import (
    LEDGER_COLUMNS,
    PUBLISHED,
    RAW,
    DayScore,
    sample_rows,
    series_number,
    series_text,
)
from forecast.metrics.metrics import row_columns
from forecast.panel.events import find_touched_slots
from forecast.panel.hierarchy import iterate_keys
from forecast.panel.panel import (
    SERIES_NAMED,
    Ids,
    Integers,
    Numbers,
    Panel,
    ids_at,
    series_index,
    series_name,
)
from forecast.panel.schema import Schema, build_calendar, position_texts
from forecast.settings import Facts

NEWEST_RUNS = 60  # so many of the newest runs are compared with actuals
MAX_FORECASTS = 5_000_000  # of a larger run, the ledger keeps an even sample of the series
MIN_SHARE_RUNS = 20  # fewest past runs that show which share is usual
SAMPLED = ["panel", "run", "instant", "actual", *RAW]  # columns for interval corrections
VALUE_ADDED_COLUMNS = ("overrides_by", "runs", "error", "value_added", "standard_error", "share")

# the ids of the series of an earlier run, and what it published for the series and times of another
# run, [series, horizon, 5], NaN where it has no forecast
Earlier = tuple[Ids, Numbers]


def compare(
    runs: Iterable[pd.DataFrame], panel: Panel, schema: Schema, key_of: Any = None
) -> tuple[PastIntervals, list[DayScore]]:
    """Compare forecasts of earlier runs, as `Ledger.forecasts` has them, with the panel's actuals.

    Returns a sample of their intervals before correction, and the scores of all forecasts by day,
    the oldest day first; or by `key_of`, texts by series of the panel, in place of the day.
    """
    samples = []
    by_key = []
    as_of: list[str] = []
    for forecasts in runs:
        rows = join_actuals(forecasts, panel, schema)
        scored = rows[rows["actual"].notna()]
        key = _days(scored, schema) if key_of is None else key_of[scored["panel"]]
        error = (scored["forecast"] - scored["actual"]) / scored["unit"]
        error = error.where(scored["unit"] > 0)
        by_key.append(summed_by(key, scored, error, error.notna()))
        run = np.asarray(rows["as_of"].cat.codes, np.int64)
        rows["run"] = run + len(as_of)
        samples.append(rows.loc[sample_rows(rows, run), SAMPLED])
        as_of.extend(rows["as_of"].cat.categories)
    sample = pd.DataFrame(columns=SAMPLED, dtype=np.float64)
    if samples:
        sample = pd.concat(samples)
    past = PastIntervals(
        series=sample["panel"].to_numpy(),
        raw=sample[RAW].to_numpy(np.float64),
        run=sample["run"].to_numpy(),
        time=sample["instant"].to_numpy(),
        actual=sample["actual"].to_numpy(),
        as_of=tuple(as_of),
    )
    if not by_key:
        return past, []
    totals = pd.concat(by_key).groupby(level=0).sum()
    return past, [DayScore(day, *numbers) for day, numbers in measures(totals)]


def keys_by(by: str, panel: Panel, schema: Schema) -> tuple[tuple[str, ...], Any]:
    """The columns that `by` names, and their values in each series, [series], as JSON."""
    names = row_columns(by, schema)
    keys = iterate_keys(panel, schema, names)
    return names, np.array(list(map(series_text, keys)), object)


def _days(rows: pd.DataFrame, schema: Schema) -> Any:
    """[rows], the day of each forecast as text, or its step where days are unknown."""
    times, inverse = np.unique(rows["instant"], return_inverse=True)
    if schema.time_format.kind == STEP_KIND or not schema.dated:
        days = np.array([f"{step:012d}" for step in times.tolist()], np.str_)
    else:
        day = wall_clock(times, schema.time_format.zone) // DAY
        days = day.astype("datetime64[D]").astype(np.str_)
    return days[inverse]


def summed_by(key: Any, rows: pd.DataFrame, error: "pd.Series[float]", unit: Any) -> pd.DataFrame:
    """By key, sums of errors and of their units, and how many values lie inside intervals."""
    columns = {"count": 1, "unit": unit, "size": error.abs(), "error": error}
    sums = pd.DataFrame(columns, index=rows.index)
    for level in ("80", "95"):
        sums[f"in_{level}"] = _inside(rows, level)
    return sums.groupby(key).sum()


def measures(sums: pd.DataFrame) -> Iterator[tuple[str, list[Any]]]:
    """By key: count, mean size of errors, bias, and the coverage of 80 and 95 % intervals.

    Errors are relative to their units; they are None without units.
    """
    unit = sums["unit"].where(sums["unit"] > 0)
    errors = sums[["size", "error"]].div(unit, axis=0)
    inside = sums[["in_80", "in_95"]].div(sums["count"], axis=0)
    for key, *numbers in pd.concat([sums["count"], errors, inside], axis=1).itertuples():
        yield str(key), [None if np.isnan(number) else number for number in numbers]


def _inside(rows: pd.DataFrame, level: str) -> "pd.Series[bool]":
    return rows["actual"].between(rows[f"lo_{level}"], rows[f"hi_{level}"])


def in_panel(forecasts: pd.DataFrame, panel: Panel, schema: Schema) -> pd.DataFrame:
    """Forecasts with the columns `panel`, `slot` and `actual`.

    These are the index of the series in a panel and the past slot, -1 if the panel lacks it, and
    the value, NaN if none was observed.
    """
    series = series_number(forecasts, [series_text(ids) for ids in panel.ids])
    position = build_calendar(schema).positions(forecasts["instant"].to_numpy())
    step = position - panel.starts[series]
    inside = (series >= 0) & (step >= 0) & (step < panel.lengths[series])
    slot = np.where(inside, panel.offsets[series] + step, -1)
    has_value = inside & panel.observed[slot]
    actual = np.where(has_value, panel.values[slot], np.nan)
    return forecasts.assign(panel=series, slot=slot, actual=actual)


def join_actuals(forecasts: pd.DataFrame, panel: Panel, schema: Schema) -> pd.DataFrame:
    """Forecasts as `in_panel` has them, without values of stock-outs that are no measure."""
    rows = in_panel(forecasts, panel, schema)
    sold_out = find_touched_slots(
        panel, schema, "stock_out"
    )  # sales are only a lower bound of demand
    is_bound = sold_out[rows["slot"]] & ~(rows["forecast"] < rows["actual"])
    rows["actual"] = rows["actual"].mask(is_bound)
    return rows


def current_intervals(
    panel: Panel, series: Integers, quantiles: Numbers, levels: Sequence[float]
) -> RawIntervals:
    """A sample of the intervals that a version forecasts for series of a panel.

    `quantiles` are [series, horizon, levels].
    """
    rows = _rows(panel, series, quantiles, levels)
    sample = rows[sample_rows(rows)]
    return RawIntervals(sample["panel"].to_numpy(), sample[RAW].to_numpy())


def _rows(
    panel: Panel, series: Integers, quantiles: Numbers, levels: Sequence[float]
) -> pd.DataFrame:
    """A row for each step of series of a panel, from quantiles [series, horizon, levels]."""
    count, horizon = quantiles.shape[:2]
    names = pd.Index([series_text(ids) for ids in ids_at(panel, series)])
    code = np.arange(count).repeat(horizon)
    shares = np.array(levels)
    columns = [np.argmin(np.abs(shares - share)) for share in CORRECTED_SHARES]
    ends = quantiles[..., columns].reshape(-1, len(RAW))
    rows = pd.DataFrame(ends, columns=RAW)
    rows["series"] = pd.Categorical.from_codes(code, names)
    rows["panel"] = series.repeat(horizon)
    rows["step"] = np.tile(np.arange(1, horizon + 1), count)
    return rows


def forecasts_to_keep(forecasts: Forecasts, fitted: Fitted) -> pd.DataFrame:
    """The forecasts of a run for the ledger: of all series, or of an evenly spaced sample."""
    panel = forecasts.panel
    count, horizon = forecasts.quantiles.shape[:2]
    kept = min(count, max(MAX_FORECASTS // horizon, 1))
    evenly_spaced = np.linspace(0, count - 1, kept)
    chosen = np.unique(evenly_spaced.astype(np.int64))
    series = forecasts.series[chosen]
    rows = _rows(panel, series, forecasts.quantiles[chosen], fitted.config.levels)

    series = rows["panel"].to_numpy()
    in_fit = series_index(fitted.history.ids, panel.ids)[series]
    position = panel.origins[series] + rows["step"].to_numpy()
    rows["instant"] = build_calendar(fitted.schema).times(position)
    rows["unit"] = np.append(fitted.naive_error, np.nan)[in_fit]
    rows[PUBLISHED] = forecasts.published[chosen].reshape(-1, len(PUBLISHED))
    if panel.shut is not None:  # later, the past before a start is that of another series
        first_ahead = panel.offsets[series + 1] - panel.ahead
        slot = first_ahead + rows["step"] - 1
        rows = rows[~panel.shut[slot]]
    return rows[LEDGER_COLUMNS]


def overrides_to_keep(forecasts: Forecasts, overrides: Overrides, schema: Schema) -> pd.DataFrame:
    """The overridden forecasts of a run for the ledger: what the model said, who changed it."""
    panel = forecasts.panel
    changes = np.asarray(forecasts.changes)
    number, step = np.nonzero(changes)
    series = forecasts.series[number]
    published = forecasts.numbers[number, step, 0]
    row = overrides.row[series, step]
    who, why = overrides.people[row].T
    names = [series_text(ids) for ids in ids_at(panel, series)]
    position = panel.origins[series] + 1 + step
    columns = {
        "series": pd.Categorical(names),
        "step": step + 1,
        "instant": build_calendar(schema).times(position),
        "forecast": published,
        "model": published - changes[number, step],
        "who": who,
        "why": why,
        # forecasts that a row changed as a sum count as one
        "total": np.where(np.isin(row, [one.row for one in overrides.sums]), row, -1),
    }
    return pd.DataFrame(columns)


def earlier_forecasts(earlier: pd.DataFrame, forecasts: Forecasts, schema: Schema) -> Earlier:
    """The ids of an earlier run, and what it published for the series and times of `forecasts`."""
    panel = forecasts.panel
    count, horizon = forecasts.means.shape
    origins = panel.origins[forecasts.series, None]
    positions = (origins + 1 + np.arange(horizon)).ravel()
    ahead = build_calendar(schema).times(positions)
    number = np.arange(count).repeat(horizon)
    wanted = pd.MultiIndex.from_arrays([number, ahead])

    ids = ids_at(panel, forecasts.series)
    row = series_number(earlier, [series_text(names) for names in ids])
    shared = earlier[row >= 0]
    cells = pd.MultiIndex.from_arrays([row[row >= 0], shared["instant"]])
    published = shared[PUBLISHED].set_axis(cells).reindex(wanted).to_numpy(np.float64)
    return find_ids(earlier), published.reshape(count, horizon, len(PUBLISHED))


def find_ids(forecasts: pd.DataFrame) -> Ids:
    return tuple(tuple(json.loads(name)) for name in forecasts["series"].unique())


def since_last_run(
    last: pd.DataFrame, panel: Panel, schema: Schema, past: Sequence[Mapping[str, Any]]
) -> Facts:
    """Compare the forecasts of the last run with actuals.

    `past` has the field `actuals` of the records of earlier runs, which shows what is usual.
    """
    rows = join_actuals(last, panel, schema)
    rows = rows[rows["actual"].notna()]
    if not len(rows):
        return {}

    summary: Facts = {"values": len(rows)}
    for level in ("80", "95"):
        key = f"outside_{level}"
        shares = [run[key] for run in past if key in run]
        usual = [min(shares), max(shares)] if len(shares) >= MIN_SHARE_RUNS else None
        share = 1 - _inside(rows, level).mean()
        summary[key] = round(float(share), 6)
        summary[f"usual_{level}"] = usual
    summary["farthest"] = _farthest(rows, panel, schema)
    return summary


def _farthest(rows: pd.DataFrame, panel: Panel, schema: Schema) -> list[Facts]:
    """The series whose values lie farthest outside 80 % intervals, in interval widths."""
    width = rows["hi_80"] - rows["lo_80"]
    widths = (rows["actual"] - rows["forecast"]) / width.where(width > 0)
    outside = widths.notna() & ~_inside(rows, "80")
    rows = rows.assign(widths=widths)[outside]
    rows = rows.sort_values("widths", key=np.abs, ascending=False, kind="stable")
    rows = rows.drop_duplicates("panel")[:SERIES_NAMED]
    if not len(rows):
        return []
    calendar = build_calendar(schema)
    times = position_texts(schema, calendar.positions(rows["instant"].to_numpy()))
    numbers: Any = rows[["actual", "forecast", "lo_80", "hi_80", "widths"]].round(6)
    records = numbers.to_dict("records")
    ids_of_rows = ids_at(panel, rows["panel"].to_numpy())
    farthest = []
    for ids, time, row in zip(ids_of_rows, times, records, strict=True):
        farthest.append({"series": series_name(ids), "time": time, **row})
    return farthest


def measure_overrides(runs: Iterable[pd.DataFrame], panel: Panel, schema: Schema) -> list[Facts]:
    """By person, how much smaller overrides make the mean absolute error of the model.

    Forecasts whose actual value the panel has count, and sums all of whose values it has. Those of
    one run are one observation.
    """
    frames = list(runs)
    if not frames:
        return []
    overrides = pd.concat(frames).astype({"series": "category"})
    rows = join_actuals(overrides, panel, schema)
    total = rows.get("total", pd.Series(-1, rows.index)).fillna(-1)
    alone = np.arange(len(rows)) + 1 + total.max()
    rows["sum"] = np.where(total >= 0, total, alone)
    by_sum = rows.groupby(["who", "as_of", "sum"], observed=True)
    complete = by_sum["actual"].count() == by_sum.size()
    rows = by_sum[["model", "forecast", "actual"]].sum()[complete]
    rows["error"] = (rows["model"] - rows["actual"]).abs()
    error_published = rows["forecast"] - rows["actual"]
    rows["gain"] = rows["error"] - error_published.abs()
    by_run = rows.groupby(["who", "as_of"], observed=True)
    rows = by_run[["error", "gain"]].mean().dropna()
    added = []
    for who, means in rows.groupby(level="who"):
        error, gain = means.mean()
        standard_error = means["gain"].sem()
        share = gain / (error or np.nan)
        numbers = [len(means), error, gain, standard_error, share]
        texts = [None if np.isnan(number) else number for number in numbers]
        added.append(dict(zip(VALUE_ADDED_COLUMNS, (who, *texts), strict=True)))
    return added
