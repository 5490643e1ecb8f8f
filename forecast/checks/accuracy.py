"""Compare forecasts of earlier runs with actuals: scores by day, and conspicuous series."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from forecast.calendar.spec import STEPS
from forecast.calendar.zones import DAY, wall_clock
from forecast.changes.replay import times_text
from forecast.checks.limits import ids_at
from forecast.events.kinds import touched
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import Forecasts
from forecast.inference.overrides import Overrides
from forecast.intervals.corrections import PRIORS, SHARES, PastIntervals, RawIntervals
from forecast.ledger.ledger import (
    COLUMNS,
    PUBLISHED,
    RAW,
    DayScore,
    sampled,
    series_number,
    series_text,
)
from forecast.panel.naming import NAMED, series_name
from forecast.panel.panel import Flags, Ids, Integers, Numbers, Panel, series_index
from forecast.panel.schema import Schema, calendar_of, position_texts

NEWEST = 60  # so many of the newest runs are compared with actuals
MAX_FORECASTS = 5_000_000  # of a larger run, the ledger keeps an even sample of the series
MIN_RUNS = 20  # fewest past runs that show which share is usual
SHOWN = 3  # most series that a status names
SAMPLED = ["panel", "run", "instant", "actual", *RAW]  # columns for interval corrections
ADDED = ("overrides_by", "runs", "error", "value_added", "standard_error", "share")

# the ids of the series of an earlier run, and what it published for the series and times of another
# run, [series, horizon, 5], NaN where it has no forecast
Earlier = tuple[list[tuple[str, ...]], Numbers]


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
        rows = forecasts.assign(panel=_series_in(panel, forecasts))
        rows["actual"] = actual_values(rows, panel, schema)
        scored = rows[rows["actual"].notna()]
        key = _days(scored, schema) if key_of is None else key_of[scored["panel"]]
        by_key.append(_scaled_sums(key, scored))
        run = np.asarray(rows["as_of"].cat.codes, np.int64)
        rows["run"] = run + len(as_of)
        samples.append(rows.loc[sampled(rows, run), SAMPLED])
        as_of.extend(rows["as_of"].cat.categories)
    sample = pd.concat(samples) if samples else pd.DataFrame(columns=SAMPLED, dtype=np.float64)
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


def _days(rows: pd.DataFrame, schema: Schema) -> Any:
    """[rows], the day of each forecast as text, or its step where days are unknown."""
    times, inverse = np.unique(rows["instant"], return_inverse=True)
    if schema.time_format.kind == STEPS or not schema.dated:
        days = np.array([f"{step:012d}" for step in times.tolist()], np.str_)
    else:
        day = wall_clock(times, schema.time_format.zone) // DAY
        days = day.astype("datetime64[D]").astype(np.str_)
    return days[inverse]


def _scaled_sums(key: Any, rows: pd.DataFrame) -> pd.DataFrame:
    error = (rows["forecast"] - rows["actual"]) / rows["unit"]
    error = error.where(rows["unit"] > 0)
    return summed_by(key, rows, error, error.notna())


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


@dataclass(frozen=True)
class NewActuals:
    """Actual values that have arrived since a run, beside what that run published for them."""

    panel: Panel
    schema: Schema
    slot: Integers  # [rows], index of the slot in the panel
    published: Numbers  # [rows, 5], the median and the ends of the 80 and 95 % intervals

    @classmethod
    def of(cls, published: pd.DataFrame, panel: Panel, schema: Schema) -> "NewActuals":
        rows = published.assign(panel=_series_in(panel, published))
        slot = slots_of(rows, panel, schema)
        arrived = panel.observed[slot] & (slot >= 0)
        numbers = rows[PUBLISHED].to_numpy(np.float64)
        return cls(panel, schema, slot[arrived], numbers[arrived])

    @property
    def series(self) -> Integers:
        """[rows], the index of the series in the panel."""
        return self.panel.series_of_slots[self.slot]

    @property
    def actual(self) -> Numbers:
        return self.panel.values[self.slot]

    @property
    def median(self) -> Numbers:
        return self.published[:, 0]

    @property
    def low(self) -> Numbers:
        """[rows], the lower ends of 95 % intervals."""
        return self.published[:, 3]

    @property
    def high(self) -> Numbers:
        return self.published[:, 4]

    def select(self, rows: Flags) -> "NewActuals":
        return replace(self, slot=self.slot[rows], published=self.published[rows])

    @property
    def times_text(self) -> str:
        """The first and the last time, as text."""
        starts = self.panel.starts[self.series]
        return times_text(self.panel.positions[self.slot] + starts, self.schema)

    def scores(self) -> Numbers:
        """[rows], the distance of each value from the median; 1 is that of the 95 % end."""
        error = self.actual - self.median
        end = np.where(error > 0, self.high, self.low)
        half_width = np.abs(end - self.median)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            scores = np.where(error == 0, 0.0, error / half_width)
        largest = PRIORS.largest_score
        return np.clip(scores, -largest, largest)


def _series_in(panel: Panel, forecasts: pd.DataFrame) -> Integers:
    """[rows], the index of the series of each forecast in a panel; -1 if the panel lacks it."""
    return series_number(forecasts, [series_text(ids) for ids in panel.ids])


def slots_of(forecasts: pd.DataFrame, panel: Panel, schema: Schema) -> Integers:
    """[rows], the past slot of each forecast; -1 if the panel lacks it."""
    series = forecasts["panel"].to_numpy()
    position = calendar_of(schema).positions(forecasts["instant"].to_numpy())
    step = position - panel.starts[series]
    inside = (series >= 0) & (step >= 0) & (step < panel.lengths[series])
    return np.where(inside, panel.offsets[series] + step, -1)


def actual_values(forecasts: pd.DataFrame, panel: Panel, schema: Schema) -> Numbers:
    """[rows], the actual value of each forecast; NaN if none was observed."""
    slot = slots_of(forecasts, panel, schema)
    has_value = (slot >= 0) & panel.observed[slot]
    actual = np.where(has_value, panel.values[slot], np.nan)
    sold_out = touched(panel, schema, "stock_out")
    if sold_out is not None:  # sales are only a lower bound of demand
        missed = forecasts["forecast"].to_numpy() < actual
        actual[sold_out[slot] & ~missed] = np.nan
    return actual


def current_intervals(
    panel: Panel, series: Integers, quantiles: Numbers, levels: Sequence[float]
) -> RawIntervals:
    """A sample of the intervals that a version forecasts for series of a panel.

    `quantiles` are [series, horizon, levels].
    """
    rows = _rows(panel, series, quantiles, levels)
    sample = rows[sampled(rows)]
    return RawIntervals(sample["panel"].to_numpy(), sample[RAW].to_numpy())


def _rows(
    panel: Panel, series: Integers, quantiles: Numbers, levels: Sequence[float]
) -> pd.DataFrame:
    """A row for each step of series of a panel, from quantiles [series, horizon, levels]."""
    count, horizon = quantiles.shape[:2]
    names = pd.Index([series_text(ids) for ids in ids_at(panel, series)])
    code = np.arange(count).repeat(horizon)
    columns = [np.argmin(np.abs(np.array(levels) - share)) for share in SHARES]
    rows = pd.DataFrame(quantiles[..., columns].reshape(-1, len(RAW)), columns=RAW)
    rows["series"] = pd.Categorical.from_codes(code, names)
    rows["panel"] = series.repeat(horizon)
    rows["step"] = np.tile(np.arange(1, horizon + 1), count)
    return rows


def forecasts_to_keep(forecasts: Forecasts, fitted: Fitted) -> pd.DataFrame:
    """The forecasts of a run for the ledger: of all series, or of an evenly spaced sample."""
    panel = forecasts.panel
    count, horizon = forecasts.quantiles.shape[:2]
    kept = min(count, max(MAX_FORECASTS // horizon, 1))
    chosen = np.unique(np.linspace(0, count - 1, kept).astype(np.int64))
    series = forecasts.series[chosen]
    rows = _rows(panel, series, forecasts.quantiles[chosen], fitted.config.levels)

    series = rows["panel"].to_numpy()
    in_fit = series_index(fitted.history.ids, panel.ids)[series]
    position = panel.origins[series] + rows["step"].to_numpy()
    rows["instant"] = calendar_of(fitted.schema).times(position)
    rows["unit"] = np.r_[np.nan, fitted.naive_error][in_fit]
    rows[PUBLISHED] = forecasts.published[chosen].reshape(-1, len(PUBLISHED))
    if panel.shut is not None:  # later, the past before a start is that of another series
        rows = rows[~panel.shut[panel.offsets[series + 1] - panel.ahead + rows["step"] - 1]]
    return rows[COLUMNS]


def overrides_to_keep(forecasts: Forecasts, overrides: Overrides, schema: Schema) -> pd.DataFrame:
    """The overridden forecasts of a run for the ledger: what the model said, who changed it."""
    panel = forecasts.panel
    changes = np.asarray(forecasts.changes)
    number, step = np.nonzero(changes)
    series = forecasts.series[number]
    published = forecasts.numbers[number, step, 0]
    who, why = overrides.people[overrides.row[series, step]].T
    columns = {
        "series": pd.Categorical([series_text(ids) for ids in ids_at(panel, series)]),
        "step": step + 1,
        "instant": calendar_of(schema).times(panel.origins[series] + 1 + step),
        "forecast": published,
        "model": published - changes[number, step],
        "who": who,
        "why": why,
    }
    return pd.DataFrame(columns)


def earlier_forecasts(earlier: pd.DataFrame, forecasts: Forecasts, schema: Schema) -> Earlier:
    """The ids of an earlier run, and what it published for the series and times of `forecasts`."""
    panel = forecasts.panel
    count, horizon = forecasts.means.shape
    origins = panel.origins[forecasts.series, None]
    positions = (origins + 1 + np.arange(horizon)).ravel()
    ahead = calendar_of(schema).times(positions)
    wanted = pd.MultiIndex.from_arrays([np.arange(count).repeat(horizon), ahead])

    ids = ids_at(panel, forecasts.series)
    row = series_number(earlier, [series_text(names) for names in ids])
    shared = earlier[row >= 0]
    cells = pd.MultiIndex.from_arrays([row[row >= 0], shared["instant"]])
    published = shared[PUBLISHED].set_axis(cells).reindex(wanted).to_numpy(np.float64)
    return list(ids_of(earlier)), published.reshape(count, horizon, len(PUBLISHED))


def ids_of(forecasts: pd.DataFrame) -> Ids:
    return tuple(tuple(json.loads(name)) for name in forecasts["series"].unique())


def since_last_run(
    last: pd.DataFrame, panel: Panel, schema: Schema, past: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Compare the forecasts of the last run with actuals.

    `past` has the field `actuals` of the records of earlier runs, which shows what is usual.
    """
    rows = last.assign(panel=_series_in(panel, last))
    rows["actual"] = actual_values(rows, panel, schema)
    rows = rows[rows["actual"].notna()]
    if not len(rows):
        return {}

    summary: dict[str, Any] = {"values": len(rows)}
    for level in ("80", "95"):
        key = f"outside_{level}"
        shares = [run[key] for run in past if key in run]
        usual = [min(shares), max(shares)] if len(shares) >= MIN_RUNS else None
        share = 1 - _inside(rows, level).mean()
        summary[key] = round(float(share), 6)
        summary[f"usual_{level}"] = usual
    summary["farthest"] = _farthest(rows, panel, schema)
    return summary


def _farthest(rows: pd.DataFrame, panel: Panel, schema: Schema) -> list[dict[str, Any]]:
    """The series whose values lie farthest outside 80 % intervals, in interval widths."""
    width = rows["hi_80"] - rows["lo_80"]
    widths = (rows["actual"] - rows["forecast"]) / width.where(width > 0)
    outside = widths.notna() & ~_inside(rows, "80")
    rows = rows.assign(widths=widths)[outside]
    rows = rows.sort_values("widths", key=np.abs, ascending=False, kind="stable")
    rows = rows.drop_duplicates("panel")[:NAMED]
    if not len(rows):
        return []
    calendar = calendar_of(schema)
    times = position_texts(schema, calendar.positions(rows["instant"].to_numpy()))
    numbers: Any = rows[["actual", "forecast", "lo_80", "hi_80", "widths"]].round(6)
    records = numbers.to_dict("records")
    farthest = []
    for ids, time, row in zip(ids_at(panel, rows["panel"].to_numpy()), times, records, strict=True):
        farthest.append({"series": series_name(ids), "time": time, **row})
    return farthest


def actuals_lines(summary: Mapping[str, Any]) -> list[str]:
    """Lines of text on the values that have arrived since the last run."""
    if "values" not in summary:
        return []
    shares = ", ".join(_share_text(summary, level) for level in ("80", "95"))
    lines = [f"{summary['values']:,} new values: {shares}"]

    value = "{series} {time}: {actual:.6g}, forecast {forecast:.6g} ({lo_80:.6g} to {hi_80:.6g})"
    if summary["farthest"]:
        farthest = [value.format_map(row).strip() for row in summary["farthest"][:SHOWN]]
        lines.append(f"farthest {'; '.join(farthest)}")
    return lines


def _share_text(summary: Mapping[str, Any], level: str) -> str:
    share = summary[f"outside_{level}"]
    usual = summary[f"usual_{level}"]
    text = f"{100 * share:.3g} % outside {level} % intervals"
    if usual is None:
        return text
    more = "more than ever, " if share > usual[1] else ""
    return f"{text} ({more}{100 * usual[0]:.3g} to {100 * usual[1]:.3g} % in past runs)"


def value_added(runs: Iterable[pd.DataFrame], panel: Panel, schema: Schema) -> list[dict[str, Any]]:
    """By person, how much smaller overrides make the mean absolute error of the model.

    Forecasts whose actual value the panel has count. Those of one run are one observation.
    """
    frames = list(runs)
    if not frames:
        return []
    rows = pd.concat(frames).astype({"series": "category"})
    rows["panel"] = _series_in(panel, rows)
    actual = actual_values(rows, panel, schema)
    rows["error"] = (rows["model"] - actual).abs()
    rows["gain"] = rows["error"] - (rows["forecast"] - actual).abs()
    rows = rows.groupby(["who", "as_of"], observed=True)[["error", "gain"]].mean().dropna()
    added = []
    for who, means in rows.groupby(level="who"):
        error, gain = means.mean()
        numbers = [len(means), error, gain, means["gain"].sem(), gain / (error or np.nan)]
        texts = [None if np.isnan(number) else number for number in numbers]
        added.append(dict(zip(ADDED, (who, *texts), strict=True)))
    return added
