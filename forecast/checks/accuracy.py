"""Compare earlier forecasts with actuals: scores by day, factors by which intervals change, series that stand out."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import floor, log2
from typing import Any

import numpy as np
import pandas as pd

from forecast.calendar.zones import DAY, wall_clock
from forecast.errors import BadData
from forecast.events.kinds import touched
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import Forecasts
from forecast.intervals.calibration import adapted_share
from forecast.ledger.ledger import (
    COLUMNS,
    PUBLISHED,
    RAW,
    DayScore,
    sampled,
    series_number,
    series_text,
)
from forecast.metrics.quantiles import interval_levels
from forecast.panel.naming import series_name
from forecast.panel.panel import Flags, Ids, Integers, Numbers, Panel, series_index
from forecast.panel.schema import Schema, calendar_of, position_texts
from forecast.settings import INTERVALS

SHARES = (
    0.5,
    *(share for level in INTERVALS for share in interval_levels(level)),
)  # of published numbers
NUMBERS = [name for name in COLUMNS if name not in ("series", "streak")]
NEWEST = 60  # runs whose forecasts are compared
MAX_FORECASTS = 5_000_000  # forecasts of a run that the ledger gets, of all steps of series that are evenly spread
MIN_VALUES, MIN_TIMES = 40, 6  # actuals, and times with actuals, from which on intervals change
MIN_FACTOR, MAX_FACTOR = 0.5, 3.0  # by which intervals change at most
FADED = 0.25  # weight of an error of an older version beside one of the version that forecasts
MAX_SCORE = 100.0  # half widths: the score of a value outside an interval without width
MIN_RUNS = 20  # past runs that make a share usual
NAMED, SHOWN = 5, 3  # series that a record names, and a status
BY_CHANCE = 0.05  # expected number of series that are on one side so many runs in a row

# the series of an earlier run, and its numbers for the times of another one [series, horizon, 5], NaN where it has none
Earlier = tuple[list[tuple[str, ...]], Numbers]
Streaks = Mapping[
    str, float
]  # by the ids of series as JSON: runs in a row above the median, or below it if negative


def compare(
    runs: Iterable[pd.DataFrame], panel: Panel, schema: Schema
) -> tuple[pd.DataFrame, list[DayScore]]:
    """Compare the forecasts of earlier runs, as `Ledger.forecasts` has them, with the actuals of the panel.

    Returns a sample of them, in the order of runs, with the columns as_of, panel (number of the series, or -1) and
    actual; and the scores by day of all, the oldest first, with errors in units of the seasonal naive error.
    """
    names = [series_text(ids) for ids in panel.ids]
    samples, sums = list[pd.DataFrame](), list[pd.DataFrame]()
    for forecasts in runs:
        rows = forecasts[[*NUMBERS, "as_of"]].assign(panel=series_number(forecasts, names))
        rows["actual"] = actual_values(rows, panel, schema)
        sums.append(_sums_by_day(rows[rows["actual"].notna()], schema))
        run = forecasts["as_of"].cat.codes.to_numpy(np.int64)
        samples.append(rows[sampled(forecasts, run)].astype({"as_of": object}))
    if not samples:
        return pd.DataFrame({"as_of": [], "actual": []}), []
    total = pd.concat(sums).groupby(level=0).sum()
    errors = total["errors"].where(total["errors"] > 0)
    scaled = total[["size", "error"]].div(errors, axis=0)
    inside = total[["in_80", "in_95"]].div(total["count"], axis=0)
    scores = pd.concat([total["count"], scaled, inside], axis=1)
    days = list[DayScore]()
    for day, *numbers in scores.itertuples():
        known: list[Any] = [None if np.isnan(number) else number for number in numbers]
        days.append(DayScore(day, *known))
    return pd.concat(samples), days


@dataclass(frozen=True)
class NewActuals:
    """Values that have arrived since a run, beside what it published for them."""

    slot: Integers  # [rows], of the panel
    actual: Numbers  # [rows]
    published: Numbers  # [rows, 5], the median and the ends of the 80 and 95 % intervals

    @classmethod
    def of(cls, published: pd.DataFrame, panel: Panel, schema: Schema) -> "NewActuals":
        rows = published.assign(
            panel=series_number(published, [series_text(ids) for ids in panel.ids])
        )
        slot = slots_of(rows, panel, schema)
        arrived = panel.observed[slot] & (slot >= 0)
        return cls(
            slot[arrived],
            panel.values[slot[arrived]],
            rows[PUBLISHED].to_numpy(np.float64)[arrived],
        )

    def select(self, rows: Flags) -> "NewActuals":
        return NewActuals(self.slot[rows], self.actual[rows], self.published[rows])

    def scores(self) -> Numbers:
        """[rows], how far each value lies from its median, in distances of the 95 % end on its side."""
        off = self.actual - self.published[:, 0]
        end = np.where(off > 0, self.published[:, 4], self.published[:, 3])
        reach = np.abs(end - self.published[:, 0])
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            score = np.where(off == 0, 0.0, off / reach)
        return np.asarray(np.clip(score, -MAX_SCORE, MAX_SCORE))


def slots_of(forecasts: pd.DataFrame, panel: Panel, schema: Schema) -> Integers:
    """[rows], the past slot of each forecast; -1 where the panel has none."""
    series = forecasts["panel"].to_numpy()
    times, inverse = np.unique(forecasts["instant"], return_inverse=True)
    step = calendar_of(schema).positions(times)[inverse] - panel.starts[series]
    inside = (series >= 0) & (step >= 0) & (step < panel.lengths[series])
    return np.where(inside, panel.offsets[series] + step, -1)


def actual_values(forecasts: pd.DataFrame, panel: Panel, schema: Schema) -> Numbers:
    """The actual value of each forecast, [rows]; NaN where none was observed or the panel lacks the series (-1)."""
    slot = slots_of(forecasts, panel, schema)
    actual = np.where((slot >= 0) & panel.observed[slot], panel.values[slot], np.nan)
    if (
        bound := touched(panel, schema, "stock_out")
    ) is not None:  # these sales say only that demand was not less
        actual[bound[slot] & ~(forecasts["forecast"].to_numpy() < actual)] = np.nan
    return np.asarray(actual)


def _sums_by_day(compared: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    times, inverse = np.unique(compared["instant"], return_inverse=True)
    if schema.time_format.kind == "integer" or schema.layout == "rows":
        days = np.array([f"{step:012d}" for step in times.tolist()], np.str_)
    else:
        days = (
            (wall_clock(times, schema.time_format.zone) // DAY)
            .astype("datetime64[D]")
            .astype(np.str_)
        )
    error = ((compared["forecast"] - compared["actual"]) / compared["unit"]).where(
        compared["unit"] > 0
    )
    held = {
        f"in_{end}": compared["actual"].between(compared[f"lo_{end}"], compared[f"hi_{end}"])
        for end in (80, 95)
    }
    sums = pd.DataFrame(
        {"count": 1, "errors": error.notna(), "size": error.abs(), "error": error, **held}
    )
    return sums.groupby(days[inverse]).sum()


def interval_factors(
    sample: pd.DataFrame,
    versions: Mapping[str, str | None],
    version: str,
    panel: Panel,
    series: Integers,
    intervals: Numbers,
) -> tuple[float, float]:
    """Factors by which the 80 and 95 % intervals grow or shrink, from the errors of earlier forecasts; 1 of too few.

    Adaptive conformal inference (Gibbs and Candes 2021): the target share moves with what each time missed, and the
    factor is the score that this share of the newest values stayed below. A score is the distance of a value from the
    median, in units of the distance of the interval's end on that side, before any correction. The errors of older
    versions count less (Barber et al. 2023), and are measured in the widths that this version would have given.
    Intervals without width neither learn nor teach.

    `versions` are those of runs, by their time; `series` [series] indexes the panel, and `intervals` [series, horizon,
    5] are the raw ones that `version` forecasts for them in this run. Of large runs a sample is enough, as values of
    one time err together.
    """
    if not sample["actual"].notna().any():
        return 1.0, 1.0
    run, as_of = pd.factorize(sample["as_of"])  # rows are in the order of runs
    makers = [versions.get(at) for at in as_of]
    raw = sample[RAW].to_numpy(np.float64)
    current = _rows(panel, series, intervals)
    actual, times, stored = (sample[name].to_numpy() for name in ("actual", "instant", "panel"))
    width_ratios = _widths_ahead(stored, raw, run, [*makers, version], current[sampled(current)])
    live, found = np.array([maker == version for maker in makers], bool)[run], list[float]()
    for number, level in enumerate(INTERVALS):
        median, low, high = raw[:, [0, 1 + 2 * number, 2 + 2 * number]].T
        used = np.isfinite(actual) & (high > low)
        off, reach = (
            np.abs(actual - median),
            np.where(actual >= median, high - median, median - low),
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            score = np.where(
                off == 0, 0.0, np.minimum(np.where(reach > 0, off / reach, MAX_SCORE), MAX_SCORE)
            )
        found.append(
            _factor((score / width_ratios[:, number])[used], times[used], live[used], level / 100)
        )
    return found[0], found[1]


def _factor(score: Numbers, times: Integers, live: Flags, share: float) -> float:
    """The factor of an interval that is to hold a share, from scores [values]; `live` ones are of its version."""
    counts = np.unique(times, return_counts=True)[1]
    if len(score) < MIN_VALUES or len(counts) < MIN_TIMES:
        return 1.0
    # by the time of the value, the oldest first; NaN fills up [times, most of a time]
    table = np.full((len(counts), counts.max()), np.nan)
    table[np.arange(table.shape[1]) < counts[:, None]] = score[np.argsort(times, kind="stable")]
    share = adapted_share(table, np.isfinite(table), share)
    order, weight = np.argsort(score), np.where(live, 1.0, FADED if live.any() else 1.0)
    below = np.cumsum(weight[order])  # a new value, of weight 1, counts as above
    at = min(int(np.searchsorted(below, share * (below[-1] + 1))), len(score) - 1)
    return float(np.clip(score[order[at]], MIN_FACTOR, MAX_FACTOR))


def _widths_ahead(
    series: Integers, raw: Numbers, run: Integers, makers: list[str | None], current: pd.DataFrame
) -> Numbers:
    """The width that the current version would have given each stored interval, over the one that it has, [rows, 2].

    Where a run is of another version than the one before it, the ratio of their mean widths says by how much versions
    differ. `run` [rows] numbers runs in the order of time; the last of the versions `makers` [runs + 1] is the current.
    """
    current = current[current["panel"].isin(series)]
    present, index = np.unique(np.concatenate([series, current["panel"]]), return_inverse=True)
    at = np.concatenate([run, np.full(len(current), len(makers) - 1)]) * len(present) + index
    ratios = np.ones((len(raw), 2))
    changed = np.array([earlier != later for earlier, later in pairwise(makers)], bool)
    for i in range(2) if changed.any() else ():
        both = np.concatenate([raw, current[RAW]])
        width = both[:, 2 + 2 * i] - both[:, 1 + 2 * i]
        total, count = (
            np.bincount(at, part, len(makers) * len(present)) for part in (width, width > 0)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.log(total / count).reshape(len(makers), -1)
        steps = np.diff(mean, axis=0) * changed[:, None]
        seen = np.isfinite(steps)
        median = [
            np.median(row[known]) if known.any() else 0.0
            for row, known in zip(steps, seen, strict=True)
        ]
        steps = np.where(seen, steps, np.array(median)[:, None])
        ratios[:, i] = np.exp(steps[::-1].cumsum(0)[::-1][run, index[: len(raw)]])
    return ratios


def forecasts_to_keep(
    forecasts: Forecasts, fitted: Fitted, streaks: Mapping[str, float]
) -> pd.DataFrame:
    """The forecasts of a run for the ledger: those of all series, or of as many as it takes, evenly spread."""
    panel, (count, horizon) = forecasts.panel, forecasts.quantiles.shape[:2]
    chosen = np.unique(
        np.linspace(0, count - 1, min(count, max(MAX_FORECASTS // horizon, 1))).astype(np.int64)
    )
    raw = forecasts.quantiles[chosen][..., interval_columns(fitted.config.levels)]
    rows = _rows(panel, forecasts.series[chosen], raw)
    series = rows["panel"].to_numpy()
    naive_error = np.r_[np.nan, fitted.naive_error][
        series_index(fitted.history.ids, panel.ids)[series]
    ]
    times = calendar_of(fitted.config.table).times(panel.origins[series] + rows["step"].to_numpy())
    published = zip(PUBLISHED, forecasts.published[chosen].reshape(-1, 5).T, strict=True)
    streak = np.array([streaks.get(name, 0.0) for name in rows["series"].cat.categories])[
        rows["series"].cat.codes
    ]
    return rows.assign(instant=times, unit=naive_error, streak=streak, **dict(published))[COLUMNS]


def earlier_forecasts(earlier: pd.DataFrame, forecasts: Forecasts, schema: Schema) -> Earlier:
    panel, series = forecasts.panel, forecasts.series
    steps = panel.origins[series, None] + 1 + np.arange(forecasts.means.shape[1])
    code = series_number(earlier, [series_text(panel.ids[i]) for i in series])
    times = np.concatenate(
        [earlier["instant"].to_numpy(), calendar_of(schema).times(steps.ravel())]
    )
    instants, inverse = np.unique(times, return_inverse=True)
    table, known = np.full((len(series), len(instants), len(PUBLISHED)), np.nan), code >= 0
    table[code[known], inverse[: len(earlier)][known]] = earlier[PUBLISHED].to_numpy(np.float64)[
        known
    ]
    published = table[np.arange(len(series))[:, None], inverse[len(earlier) :].reshape(steps.shape)]
    return list(ids_of(earlier)), published


def ids_of(forecasts: pd.DataFrame) -> Ids:
    return tuple(tuple(json.loads(name)) for name in forecasts["series"].unique())


def _rows(panel: Panel, series: Integers, raw: Numbers) -> pd.DataFrame:
    """A row for each step of series that index the panel, with raw numbers [series, horizon, 5]."""
    count, horizon = raw.shape[:2]
    names, codes = (
        pd.Index([series_text(panel.ids[i]) for i in series]),
        np.arange(count).repeat(horizon),
    )
    columns = {"series": pd.Categorical.from_codes(codes, names), "panel": series.repeat(horizon)}
    columns["step"] = np.tile(np.arange(1, horizon + 1), count)
    return pd.DataFrame(columns | dict(zip(RAW, raw.reshape(-1, 5).T, strict=True)))


def interval_columns(levels: tuple[float, ...]) -> list[int]:
    """The indices of the median and of the ends of the 80 and 95 % intervals among quantile levels."""
    columns = [int(np.argmin(np.abs(np.array(levels) - share))) for share in SHARES]
    if np.abs(np.array(levels)[columns] - SHARES).max() > 1e-6:
        raise BadData("this version has no quantiles for 80 and 95 % intervals; fit again")
    return columns


def since_last_run(
    last: pd.DataFrame, panel: Panel, schema: Schema, past: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Any], Streaks]:
    """Compare the forecasts of the last run with actuals; `past` are the `actuals` of the records of runs before."""
    names, code = (
        last["series"].cat.categories,
        last["series"].cat.codes.to_numpy().astype(np.int64),
    )
    last = last.assign(
        panel=series_number(last, [series_text(ids) for ids in panel.ids]), code=code
    )
    actual = actual_values(last, panel, schema)
    before, known = np.zeros(len(names)), np.isfinite(actual)
    before[code] = last["streak"]
    rows = last[known].assign(actual=actual[known])
    # [series], for how many runs in a row values lay above (below: negative) the median; closed days do not count
    some = rows[(rows["hi_80"] > rows["lo_80"]) | (rows["actual"] != rows["forecast"])]
    side = np.sign(
        np.bincount(some["code"], np.sign(some["actual"] - some["forecast"]), len(before))
    )
    on = np.where(np.sign(before) == side, before + side, side)
    streaks = np.where(np.bincount(some["code"], minlength=len(before)) > 0, on, before)
    found: dict[str, Any] = {"values": len(rows)}
    for level in INTERVALS:
        key, inside = (
            f"outside_{level:g}",
            rows["actual"].between(rows[f"lo_{level:g}"], rows[f"hi_{level:g}"]),
        )
        shares = [run[key] for run in past if key in run]
        found[key] = round(float(1 - inside.mean()), 6)
        found[f"usual_{level:g}"] = [min(shares), max(shares)] if len(shares) >= MIN_RUNS else None
    found["streak_from"] = (
        floor(log2(max(len(names), 1) / BY_CHANCE)) + 2
    )  # the least that chance hardly reaches
    order = [
        i
        for i in np.argsort(-np.abs(streaks), kind="stable")
        if abs(streaks[i]) >= found["streak_from"]
    ]
    aside = [
        {"series": series_name(tuple(json.loads(names[i]))), "runs": int(streaks[i])} for i in order
    ]
    found |= {
        "farthest": _farthest(rows, panel, schema),
        "aside": len(aside),
        "one_side": aside[:NAMED],
    }
    return found if len(rows) else {}, dict(zip(names, streaks.tolist(), strict=True))


def _farthest(rows: pd.DataFrame, panel: Panel, schema: Schema) -> list[dict[str, Any]]:
    """The series whose values lie farthest outside their 80 % intervals, from the median and in widths of these."""
    width, calendar = rows["hi_80"] - rows["lo_80"], calendar_of(schema)
    rows = rows.assign(widths=(rows["actual"] - rows["forecast"]) / width.where(width > 0)).dropna(
        subset="widths"
    )
    rows = rows[~rows["actual"].between(rows["lo_80"], rows["hi_80"])]
    rows = rows.sort_values("widths", key=np.abs, ascending=False, kind="stable").drop_duplicates(
        "code"
    )[:NAMED]
    times = (
        position_texts(schema, calendar, calendar.positions(rows["instant"].to_numpy()))
        if len(rows)
        else []
    )
    numbers: Any = (
        rows[["actual", "forecast", "lo_80", "hi_80", "widths"]].round(6).to_dict("records")
    )
    names = [
        {"series": series_name(panel.ids[i]), "time": time}
        for i, time in zip(rows["panel"], times, strict=True)
    ]
    return [name | number for name, number in zip(names, numbers, strict=True)]


def actuals_lines(found: Mapping[str, Any]) -> list[str]:
    """What people read of it: the shares outside, the farthest values, the series on one side."""
    if not found:
        return []
    texts = [
        f"{found['values']:,} new values: {', '.join(_share(found, f'{level:g}') for level in INTERVALS)}"
    ]
    value = "{series} {time}: {actual:.6g}, forecast {forecast:.6g} ({lo_80:.6g} to {hi_80:.6g})"
    if far := "; ".join(value.format_map(each).strip() for each in found["farthest"][:SHOWN]):
        texts.append(f"farthest {far}")
    aside = [
        (row["series"], "above" if row["runs"] > 0 else "below", abs(row["runs"]))
        for row in found["one_side"]
    ]
    runs = ["{} {} for {} runs".format(*row) for row in aside[:SHOWN]]
    more = f", and {found['aside'] - len(runs)} more" if found["aside"] > len(runs) else ""
    return texts + ([f"on one side of the median: {', '.join(runs)}{more}"] if runs else [])


def _share(found: Mapping[str, Any], level: str) -> str:
    share, past_range = found[f"outside_{level}"], found[f"usual_{level}"]
    text = f"{100 * share:.3g} % outside {level} % intervals"
    if past_range is None:
        return text
    more = "more than ever, " if share > past_range[1] else ""
    return f"{text} ({more}{100 * past_range[0]:.3g} to {100 * past_range[1]:.3g} % in past runs)"
