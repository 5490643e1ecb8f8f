"""Compare earlier forecasts with actuals: scores by day, and factors by which intervals change."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from forecast.calendar.zones import DAY, wall_clock
from forecast.ensemble.calibration import adapted_share
from forecast.errors import BadData
from forecast.evaluation.quantiles import interval_levels
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import Forecasts
from forecast.jobs.ledger import MAX_SERIES, DayScore, StoredForecasts, series_text
from forecast.panel.panel import Integers, Numbers, Panel, series_index
from forecast.panel.schema import Schema, calendar_of
from forecast.settings import INTERVALS

NEWEST = 60  # runs whose forecasts are compared
MIN_VALUES, MIN_TIMES = 40, 6  # actuals, and times with actuals, from which on intervals change
MIN_FACTOR, MAX_FACTOR = 0.5, 3.0  # by which intervals change at most
FADED = 0.25  # weight of an error of an older version beside one of the version that forecasts
MAX_SCORE = 100.0  # half widths: the score of a value outside an interval without width

Past = tuple[str | None, tuple[float, float]]  # an earlier run: the version that forecast, its intervals' factors


@dataclass(frozen=True)
class Matched:
    """Earlier forecasts, and the actuals of some of them."""

    stored: StoredForecasts
    series: Integers  # [rows], number of the series in the panel; -1 if the panel lacks it
    rows: Integers  # [values], those with an actual
    actual: Numbers  # [values]
    day: NDArray[np.str_]  # [values], the step where times are steps


def match(stored: StoredForecasts, panel: Panel, schema: Schema) -> Matched:
    """The earlier forecasts, beside the actuals that the panel has."""
    rank = {series_text(ids): i for i, ids in enumerate(panel.ids)}
    names, codes = np.unique(stored.series, return_inverse=True)
    series = np.array([rank.get(str(name), -1) for name in names], np.int64)[codes.ravel()]
    position = calendar_of(schema).positions(stored.instant) if len(stored) else stored.instant
    step = position - panel.starts[series]
    inside = (series >= 0) & (step >= 0) & (step < panel.lengths[series])
    slot = np.where(inside, panel.offsets[series] + step, 0)
    rows = np.flatnonzero(inside & panel.observed[slot])
    timestamps = stored.instant[rows]
    if schema.time_format.kind == "integer" or schema.layout == "rows":
        day = np.array([f"{step:012d}" for step in timestamps.tolist()], np.str_)
    else:
        day = (wall_clock(timestamps, schema.time_format.zone) // DAY).astype("datetime64[D]").astype(np.str_)
    return Matched(stored, series, rows, panel.values[slot[rows]], day)


def by_day(matched: Matched) -> list[DayScore]:
    """Scores of each day, oldest first; errors in units of the seasonal naive error."""
    scores = []
    numbers, unit, actual = matched.stored.numbers[matched.rows], matched.stored.unit[matched.rows], matched.actual
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.where(unit > 0, (numbers[:, 0] - actual) / unit, np.nan)
    inside = [(actual >= numbers[:, low]) & (actual <= numbers[:, low + 1]) for low in (1, 3)]
    for day in np.unique(matched.day):
        of_day = matched.day == day
        scaled = error[of_day & np.isfinite(error)]
        mase, bias = (float(np.abs(scaled).mean()), float(scaled.mean())) if len(scaled) else (None, None)
        coverage = (float(within[of_day].mean()) for within in inside)
        scores.append(DayScore(str(day), int(of_day.sum()), mase, bias, *coverage))
    return scores


def interval_factors(
    matched: Matched, runs: Mapping[str, Past], version: str, series: Integers, intervals: Numbers
) -> tuple[float, float]:
    """Factors by which the 80 and 95 % intervals grow or shrink, from the errors of earlier forecasts; 1 of too few.

    Adaptive conformal inference (Gibbs and Candes 2021): the target share moves with what each time missed, and the
    factor is the score that this share of the newest values stayed below. A score is the distance of a value from the
    median, in units of the distance of the interval's end on that side, before any correction. The errors of older
    versions count less (Barber et al. 2023), and over the widths that the intervals of this one would have had.
    Intervals without width neither learn nor teach.

    `runs` are by their time; `series` [series] indexes the panel, and `intervals` [series, horizon, 5] are the raw ones
    that `version` forecasts for them tonight.
    """
    stored, rows = matched.stored, matched.rows
    if not len(rows):
        return 1.0, 1.0
    begins = np.r_[True, stored.as_of[1:] != stored.as_of[:-1]]  # rows are in the order of runs
    run, recorded = begins.cumsum() - 1, np.isfinite(stored.raw[:, 0])
    pasts = [runs.get(str(time), (None, (1.0, 1.0))) for time in stored.as_of[begins]]
    factors = np.array([past for _, past in pasts]).reshape(-1, 2).repeat(2, 1)[run]
    ends = stored.numbers[:, :1] + (stored.numbers[:, 1:] - stored.numbers[:, :1]) / factors
    raw = np.where(recorded[:, None], stored.raw, np.concatenate([stored.numbers[:, :1], ends], 1))
    # where intervals were not recorded they may be those of whole paths, and the widths change as with a version
    makers = [(maker, bool(is_raw)) for (maker, _), is_raw in zip(pasts, recorded[begins], strict=True)]
    live = np.array([maker == version for maker, _ in pasts], bool)[run[rows]]
    ahead = _widths_ahead(matched, raw, run, [*makers, (version, True)], series, intervals)
    found = []
    for i, level in enumerate(INTERVALS):
        low, high = raw[rows, 1 + 2 * i], raw[rows, 2 + 2 * i]
        usable = high > low
        score = (_scores(matched.actual, raw[rows, 0], low, high) / ahead[rows, i])[usable]
        # by the time of the value, the oldest first; NaN fills up [times, most of a time]
        times = stored.instant[rows][usable]
        counts = np.unique(times, return_counts=True)[1]
        table = np.full((len(counts), counts.max(initial=0)), np.nan)
        table[np.arange(table.shape[1]) < counts[:, None]] = score[np.argsort(times, kind="stable")]
        if len(score) < MIN_VALUES or len(table) < MIN_TIMES:
            found.append(1.0)
            continue
        weight = np.where(live[usable], 1.0, FADED if live[usable].any() else 1.0)
        share = adapted_share(table, np.isfinite(table), level / 100)
        found.append(float(np.clip(_score_at(score, weight, share), MIN_FACTOR, MAX_FACTOR)))
    return found[0], found[1]


Makers = list[tuple[str | None, bool]]  # what made the intervals of each run: the version, and whether they are raw


def _widths_ahead(
    matched: Matched, raw: Numbers, run: Integers, makers: Makers, series: Integers, intervals: Numbers
) -> Numbers:
    """The width that tonight's version would have given each stored interval, over the one that it has, [rows, 2].

    Where one run's intervals come from another version than those of the run before, the ratio of their mean widths
    says by how much versions differ: only a night lies between them, and the series have the same scale in both.
    `run` [rows] is the number of each row's run in the order of time; the last of the makers [runs + 1] is tonight's.
    """
    present, place = np.unique(np.concatenate([matched.series, series]), return_inverse=True)
    horizon = intervals.shape[1]
    place = np.concatenate([place[: len(raw)], place[len(raw) :].repeat(horizon)])
    at = np.concatenate([run, np.full(len(series) * horizon, len(makers) - 1)]) * len(present) + place
    ratios = np.ones((len(raw), 2))
    changed = np.array([earlier != later for earlier, later in pairwise(makers)], bool)
    for i in range(2) if changed.any() else ():
        both = np.concatenate([raw, intervals.reshape(-1, 5)])
        width = both[:, 2 + 2 * i] - both[:, 1 + 2 * i]
        total, count = (np.bincount(at, part, len(makers) * len(present)) for part in (width, width > 0))
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = np.log(total / count).reshape(len(makers), -1)
        steps = np.diff(mean, axis=0) * changed[:, None]
        seen = np.isfinite(steps)
        usual = [np.median(row[known]) if known.any() else 0.0 for row, known in zip(steps, seen, strict=True)]
        steps = np.where(seen, steps, np.array(usual)[:, None])
        ratios[:, i] = np.exp(steps[::-1].cumsum(0)[::-1][run, place[: len(raw)]])
    return ratios


def _scores(actual: Numbers, middle: Numbers, low: Numbers, high: Numbers) -> Numbers:
    reach = np.where(actual >= middle, high - middle, middle - low)
    off = np.abs(actual - middle)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(off == 0, 0.0, np.minimum(np.where(reach > 0, off / reach, MAX_SCORE), MAX_SCORE)))


def _score_at(scores: Numbers, weights: Numbers, share: float) -> float:
    """The score that `share` of new values stays below; one value more, of weight 1, counts as above."""
    order = np.argsort(scores)
    below = np.cumsum(weights[order])
    return float(scores[order[min(int(np.searchsorted(below, share * (below[-1] + 1))), len(scores) - 1)]])


def factors_by_level(factors: tuple[float, float], levels: tuple[float, ...]) -> NDArray[np.float64]:
    """The factor of each quantile level [levels]: that of 80 % up to its ends, that of 95 % beyond."""
    edge = interval_levels(INTERVALS[0])[0] - 1e-9
    return np.array([factors[0] if edge <= level <= 1 - edge else factors[1] for level in levels])


def to_keep(forecasts: Forecasts, fitted: Fitted, as_of: str) -> StoredForecasts:
    """The forecasts of a run for the ledger: those of at most some thousand series, evenly spread."""
    panel, count = forecasts.panel, len(forecasts.series)
    chosen = np.unique(np.linspace(0, count - 1, min(count, MAX_SERIES)).astype(np.int64))
    series, horizon = forecasts.series[chosen], forecasts.quantiles.shape[1]
    unit = np.r_[np.nan, fitted.seasonal_error][series_index(fitted.history.ids, panel.ids)[series]]
    steps = np.arange(1, horizon + 1)
    positions = (panel.origins[series][:, None] + steps).ravel()
    return StoredForecasts(
        np.full(len(positions), as_of),
        np.repeat(np.array([series_text(panel.ids[i]) for i in series], np.str_), horizon),
        np.tile(steps, len(series)),
        calendar_of(fitted.config.table).times(positions),
        forecasts.published[chosen].reshape(-1, 5),
        np.repeat(unit, horizon),
        forecasts.quantiles[chosen][..., interval_columns(fitted.config.levels)].reshape(-1, 5),
    )


def interval_columns(levels: tuple[float, ...]) -> list[int]:
    """The places of the median and of the ends of the 80 and 95 % intervals among quantile levels."""
    wanted = [0.5, *(share for level in INTERVALS for share in interval_levels(level))]
    columns = [int(np.argmin(np.abs(np.array(levels) - share))) for share in wanted]
    if max(abs(levels[column] - share) for column, share in zip(columns, wanted, strict=True)) > 1e-6:
        raise BadData("this version has no quantiles for 80 and 95 % intervals; fit again")
    return columns
