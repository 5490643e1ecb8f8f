"""Compare earlier forecasts with the values that came: scores by day, and factors by which intervals change."""

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

NEWEST = 60  # runs whose forecasts are compared
MIN_VALUES, MIN_TIMES = 40, 6  # values, and times with values, from which on intervals change
MIN_FACTOR, MAX_FACTOR = 0.5, 3.0  # by which intervals change at most
MAX_SCORE = 100.0  # half widths: the score of a value outside an interval without width

DAY = 86_400


@dataclass(frozen=True)
class Matched:
    """Earlier forecasts whose values have come.

    Attributes
    ----------
    kept : the forecasts
    actual : [values], the values
    day : [values], the day, or the step where times are steps
    """

    kept: StoredForecasts
    actual: NDArray[np.float64]
    day: NDArray[np.str_]


def match(kept: StoredForecasts, panel: Panel, schema: Schema) -> Matched:
    """The earlier forecasts whose values have come, beside these values."""
    calendar = calendar_of(schema)
    rank = {series_text(one): i for i, one in enumerate(panel.ids)}
    names, codes = np.unique(kept.series, return_inverse=True)
    series = np.array([rank.get(str(name), -1) for name in names], np.int64)[codes.ravel()]
    position = calendar.positions(kept.instant) if len(kept) else kept.instant
    step = position - panel.starts[series]
    inside = (series >= 0) & (step >= 0) & (step < panel.lengths[series])
    slot = np.where(inside, panel.offsets[series] + step, 0)
    came = np.flatnonzero(inside & panel.observed[slot])
    matched = _rows(kept, came)
    if schema.time_format.kind == "integer" or schema.layout == "rows":
        day = np.array([f"{instant:012d}" for instant in matched.instant.tolist()], np.str_)
    else:
        day = (wall_clock(matched.instant, schema.time_format.zone) // DAY).astype("datetime64[D]").astype(np.str_)
    return Matched(matched, panel.values[slot[came]], day)


def by_day(matched: Matched) -> list[DayScore]:
    """Scores of each day, oldest first; errors in units of the seasonal naive error."""
    scores = []
    numbers, unit = matched.kept.numbers, matched.kept.unit
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.where(unit > 0, (numbers[:, 0] - matched.actual) / unit, np.nan)
    for day in np.unique(matched.day):
        of_day = matched.day == day
        inside = [
            float(((matched.actual >= numbers[:, low]) & (matched.actual <= numbers[:, low + 1]))[of_day].mean())
            for low in (1, 3)
        ]
        scaled = error[of_day & np.isfinite(error)]
        mase, bias = (float(np.abs(scaled).mean()), float(scaled.mean())) if len(scaled) else (None, None)
        scores.append(DayScore(str(day), int(of_day.sum()), mase, bias, *inside))
    return scores


def interval_factors(matched: Matched, used: dict[str, tuple[float, float]]) -> tuple[float, float]:
    """Factors by which the 80 and 95 % intervals grow or shrink, from the values inside and outside earlier ones.

    Adaptive conformal inference (Gibbs and Candes 2021): the target share moves with what each time missed, and the
    factor is the score that this share of the newest values stayed below. A score is the distance of a value from the
    median, in units of the distance of the interval's end on that side.

    Parameters
    ----------
    used : by run, the factors of its intervals

    Returns
    -------
    Two factors; 1 where too little has come.
    """
    instant = matched.kept.instant
    times, row, counts = np.unique(instant, return_inverse=True, return_counts=True)
    if len(instant) < MIN_VALUES or len(times) < MIN_TIMES:
        return 1.0, 1.0
    order = np.argsort(row.ravel(), kind="stable")
    column = np.arange(len(instant)) - np.repeat(np.cumsum(counts) - counts, counts)
    factors = []
    for i, level in enumerate(INTERVALS):
        low, high = matched.kept.numbers[:, 1 + 2 * i], matched.kept.numbers[:, 2 + 2 * i]
        score = _scores(matched.actual, matched.kept.numbers[:, 0], low, high)
        score *= np.array([used.get(str(run), (1.0, 1.0))[i] for run in matched.kept.as_of])
        table = np.full((len(times), int(counts.max())), np.nan)
        table[row.ravel()[order], column] = score[order]
        share = adapted_share(table, np.isfinite(table), level / 100)
        factors.append(float(np.clip(score_at(score, share), MIN_FACTOR, MAX_FACTOR)))
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
    """The forecasts of a run for the ledger: those of at most some thousand series, evenly spread.

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
    columns = [int(np.argmin(np.abs(np.array(levels) - share))) for share in wanted]
    if max(abs(levels[column] - share) for column, share in zip(columns, wanted, strict=True)) > 1e-6:
        raise BadData("this version has no quantiles for 80 and 95 % intervals; fit again")
    steps = np.arange(1, horizon + 1)
    positions = (panel.origins[series][:, None] + steps).ravel()
    return StoredForecasts(
        np.full(len(positions), as_of),
        np.repeat(np.array([series_text(panel.ids[i]) for i in series], np.str_), horizon),
        np.tile(steps, len(series)),
        calendar_of(schema).times(positions),
        quantiles[..., columns].reshape(-1, 5),
        np.repeat(unit, horizon),
    )


def _scores(
    actual: NDArray[np.float64], middle: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.float64]:
    reach = np.where(actual >= middle, high - middle, middle - low)
    off = np.abs(actual - middle)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(off == 0, 0.0, np.minimum(np.where(reach > 0, off / reach, MAX_SCORE), MAX_SCORE)))


def _rows(kept: StoredForecasts, rows: NDArray[np.int64]) -> StoredForecasts:
    names = ("as_of", "series", "step", "instant", "numbers", "unit")
    return StoredForecasts(*(getattr(kept, name)[rows] for name in names))
