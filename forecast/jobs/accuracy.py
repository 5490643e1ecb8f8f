"""Hold earlier forecasts against what has come since: scores by day, and by how much intervals should change."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.calendar.zones import wall_clock
from forecast.ensemble.calibration import adapted_share, score_at
from forecast.errors import BadData
from forecast.evaluation.quantiles import interval_levels
from forecast.jobs.ledger import MAX_SERIES, DayScore, StoredForecasts, series_text
from forecast.panel.building import calendar_of
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema
from forecast.settings import INTERVALS

NEWEST = 60  # runs whose forecasts are looked at
LEAST, LEAST_TIMES = 40, 6  # values, and times with values, from which on intervals are moved
SMALLEST, LARGEST = 0.5, 3.0  # factors by which they are moved at most
FAR = 100.0  # half widths that a value counts as away at most: those of an interval without width

DAY = 86_400


@dataclass(frozen=True)
class Matched:
    """Earlier forecasts whose values have come.

    Attributes
    ----------
    kept : the forecasts
    actual : [values], what came
    day : [values], the day, or the step where times are steps
    """

    kept: StoredForecasts
    actual: NDArray[np.float64]
    day: NDArray[np.str_]


def match(kept: StoredForecasts, panel: Panel, schema: Schema) -> Matched:
    """Find the values that have come for earlier forecasts; those that have not come are left out."""
    calendar = calendar_of(schema)
    rank = {series_text(one): place for place, one in enumerate(panel.ids)}
    names, codes = np.unique(kept.series, return_inverse=True)
    series = np.array([rank.get(str(name), -1) for name in names], np.int64)[codes.ravel()]
    position = calendar.positions(kept.instant) if len(kept) else kept.instant
    step = position - panel.starts[series]
    inside = (series >= 0) & (step >= 0) & (step < panel.lengths[series])
    slot = np.where(inside, panel.offsets[series] + step, 0)
    came = np.flatnonzero(inside & panel.observed[slot])
    found = _take(kept, came)
    if schema.time_format.kind == "integer" or schema.layout == "rows":
        day = np.array([f"{instant:012d}" for instant in found.instant.tolist()], np.str_)
    else:
        day = (wall_clock(found.instant, schema.time_format.zone) // DAY).astype("datetime64[D]").astype(np.str_)
    return Matched(found, panel.values[slot[came]], day)


def by_day(matched: Matched) -> list[DayScore]:
    """Scores of each day, oldest first; errors in units of the seasonal naive error."""
    found = []
    numbers, unit = matched.kept.numbers, matched.kept.unit
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.where(unit > 0, (numbers[:, 0] - matched.actual) / unit, np.nan)
    for day in np.unique(matched.day):
        own = matched.day == day
        inside = [
            float(((matched.actual >= numbers[:, low]) & (matched.actual <= numbers[:, low + 1]))[own].mean())
            for low in (1, 3)
        ]
        told = own & np.isfinite(error)
        mase, bias = (float(np.abs(error[told]).mean()), float(error[told].mean())) if told.any() else (None, None)
        found.append(DayScore(str(day), int(own.sum()), mase, bias, *inside))
    return found


def interval_factors(matched: Matched, used: dict[str, tuple[float, float]]) -> tuple[float, float]:
    """By how much the 80 and 95 % intervals are to grow or shrink, from how earlier ones held.

    Adaptive conformal inference (Gibbs and Candes 2021): the share that is aimed at moves with what each time missed,
    and the factor is the score that this share of the newest values stayed below. A score is the distance of a value
    from the median, in units of the distance of the interval's end on that side.

    Parameters
    ----------
    used : by run, the factors that its intervals were written with

    Returns
    -------
    Two factors; 1 where too little has come.
    """
    instant = matched.kept.instant
    times, row, counts = np.unique(instant, return_inverse=True, return_counts=True)
    if len(instant) < LEAST or len(times) < LEAST_TIMES:
        return 1.0, 1.0
    order = np.argsort(row.ravel(), kind="stable")
    column = np.arange(len(instant)) - np.repeat(np.cumsum(counts) - counts, counts)
    factors = []
    for at, level in enumerate(INTERVALS):
        low, high = matched.kept.numbers[:, 1 + 2 * at], matched.kept.numbers[:, 2 + 2 * at]
        score = _scores(matched.actual, matched.kept.numbers[:, 0], low, high)
        score *= np.array([used.get(str(run), (1.0, 1.0))[at] for run in matched.kept.as_of])
        table = np.full((len(times), int(counts.max())), np.nan)
        table[row.ravel()[order], column] = score[order]
        share = adapted_share(table, np.isfinite(table), level / 100)
        factors.append(float(np.clip(score_at(score, share), SMALLEST, LARGEST)))
    return factors[0], factors[1]


def factors_by_level(factors: tuple[float, float], levels: tuple[float, ...]) -> NDArray[np.float64]:
    """The factor of each quantile level [levels]: that of 80 % up to its ends, that of 95 % beyond."""
    edge = interval_levels(INTERVALS[0])[0] - 1e-9
    return np.array([factors[0] if edge <= level <= 1 - edge else factors[1] for level in levels])


def to_keep(
    panel: Panel,
    schema: Schema,
    series: NDArray[np.int64],
    quantiles: NDArray[np.float64],
    levels: tuple[float, ...],
    unit: NDArray[np.float64],
    as_of: str,
) -> StoredForecasts:
    """What the ledger keeps of a run: the forecasts of at most some thousand series, evenly spread.

    Parameters
    ----------
    series : [series], indices into the panel
    quantiles : [series, horizon, levels], as written
    unit : [series], see `StoredForecasts`
    """
    chosen = np.unique(np.linspace(0, len(series) - 1, min(len(series), MAX_SERIES)).astype(np.int64))
    series, quantiles, unit = series[chosen], quantiles[chosen], unit[chosen]
    horizon = quantiles.shape[1]
    wanted = [0.5, *(share for level in INTERVALS for share in interval_levels(level))]
    place = [int(np.argmin(np.abs(np.array(levels) - share))) for share in wanted]
    if max(abs(levels[at] - share) for at, share in zip(place, wanted, strict=True)) > 1e-6:
        raise BadData("this version has no quantiles for 80 and 95 % intervals; fit again")
    steps = np.arange(1, horizon + 1)
    positions = (panel.origins[series][:, None] + steps).ravel()
    return StoredForecasts(
        np.full(len(positions), as_of),
        np.repeat(np.array([series_text(panel.ids[i]) for i in series], np.str_), horizon),
        np.tile(steps, len(series)),
        calendar_of(schema).times(positions),
        quantiles[..., place].reshape(-1, 5),
        np.repeat(unit, horizon),
    )


def _scores(
    actual: NDArray[np.float64], middle: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.float64]:
    reach = np.where(actual >= middle, high - middle, middle - low)
    off = np.abs(actual - middle)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(off == 0, 0.0, np.minimum(np.where(reach > 0, off / reach, FAR), FAR)))


def _take(kept: StoredForecasts, rows: NDArray[np.int64]) -> StoredForecasts:
    return StoredForecasts(
        *(getattr(kept, name)[rows] for name in ("as_of", "series", "step", "instant", "numbers", "unit"))
    )
