"""Forecast from common origins of the past, for the intervals of sums.

What sums of the periods to date need.
"""

import time
from dataclasses import replace

import numpy as np

from forecast.errors import UsageError
from forecast.events.kinds import without_censored
from forecast.inference.fitted import Fitted
from forecast.inference.predictor import Predictor
from forecast.intervals.joint_errors import PAST_SHARE, JointErrors
from forecast.metrics.quantiles import standard_deviation
from forecast.panel.hierarchy import Levels, members_of
from forecast.panel.panel import Integers, Numbers, Panel
from forecast.totals.past import to_date
from forecast.totals.periods import PERIODS, periods_of
from forecast.training.plan import MAX_ORIGINS
from forecast.windows.windows import NETWORK_BATCH

WINDOWS = 2048  # of all series, that are forecast where series are few
FEWEST, LEAST = 8, 4  # origins: the least of them for all but large panels, and for these
LARGE = 60_000  # windows of a panel that is large
GRACE = 1.0  # seconds after a deadline in which a first origin may still begin
COMPARED = 12  # newest origins at which forecasts with and without reconciliation are compared
LEAST_GAIN = 1e-3  # of their mean error, that makes reconciliation worth its time
MAX_BYTES = 1 << 26  # of stored errors, and of forecasts of missing values


def reconciling(fitted: Fitted, panel: Panel, levels: Levels, device: str) -> Fitted:
    """The forecaster, which reconciles forecasts with those of sums if that lowers past errors."""
    config = fitted.config.model_copy(update={"sums": levels})
    ways = [
        replace(fitted, config=config.model_copy(update={"reconciles": way}))
        for way in (False, True)
    ]
    losses = np.zeros((2, len(panel)))
    sums, members = members_of(panel)
    alone = np.flatnonzero(~panel.skipped)
    for back in _origins(fitted, panel)[:COMPARED].tolist():
        position = panel.lengths - back
        series = alone[position[alone] >= _least(fitted)]
        slots = (panel.offsets[:-1] + position)[:, None] + np.arange(fitted.config.horizon)
        for losses_of, way in zip(losses, ways, strict=True):
            means = np.zeros((len(panel), fitted.config.horizon))
            quantiles = Predictor(way, device).quantiles(panel, series, position[series])
            means[series] = fitted.ensemble.calibration.quantile_means(quantiles, config.levels)
            means[sums] = members @ means
            rows = np.concatenate([series, sums[position[sums] >= _least(fitted)]])
            error = np.where(
                panel.observed[slots[rows]], np.abs(panel.values[slots[rows]] - means[rows]), 0.0
            )
            losses_of[rows] += error.sum(1)
    before, after = losses[:, losses[0] > 0]
    return ways[int(len(before) > 0 and (after / before).mean() < 1 - LEAST_GAIN)]


def with_joint_errors(
    fitted: Fitted, panel: Panel, device: str, deadline: float | None = None
) -> Fitted:
    """A fitted forecaster that knows what intervals of sums rest on.

    Its plan says if a deadline left origins out.
    """
    predictor = Predictor(fitted, device)
    origins = _origins(fitted, panel)
    parts = list[Numbers]()
    for some in _together(origins[: fitted.config.plan.origins], panel):
        if deadline is not None and time.monotonic() > deadline + (0.0 if parts else GRACE):
            plan = fitted.config.plan.model_copy(update={"origins": len(parts)})
            fitted = replace(fitted, config=fitted.config.model_copy(update={"plan": plan}))
            break
        parts += list(_errors(predictor, panel, some))
    stride = int(origins[1] - origins[0]) if len(origins) > 1 else 1
    errors = np.stack(parts[::-1]) if parts else np.zeros((0, len(panel), fitted.config.horizon))
    return _with_past(replace(fitted, joint=JointErrors.of(errors, stride)), predictor, panel)


def rehearsed(fitted: Fitted, panel: Panel, device: str) -> tuple[Fitted, float]:
    """A fitted forecaster with blank joint errors, and the seconds that real ones would take."""
    origins = _origins(fitted, panel)
    begun = time.monotonic()
    parts = _together(origins, panel)
    if parts:
        _errors(Predictor(fitted, device), panel, parts[0])
    unknown = np.full((len(origins), len(panel), fitted.config.horizon), np.nan)
    seconds = (time.monotonic() - begun) * max(len(parts) - 1, 0)
    return replace(fitted, joint=JointErrors.of(unknown, 1)), seconds


def _with_past(fitted: Fitted, predictor: Predictor, panel: Panel) -> Fitted:
    """A fitted forecaster that knows what has come of the periods whose ends it can forecast."""
    origin = int(panel.origins.max())
    found = dict[int, Numbers]()
    for every in PERIODS:
        try:
            periods = periods_of(fitted.config.table, origin, fitted.config.horizon, every)
        except UsageError:  # of a table that has no such periods
            continue
        if len(periods) and periods.first <= origin:
            found[origin + 1 - periods.first] = np.zeros(0)
    filled = None
    for count in sorted(found):
        found[count], filled = to_date(predictor, panel, count)
    if filled is not None and filled.quantiles.nbytes > MAX_BYTES:
        return fitted
    return replace(fitted, to_date=found, filled=filled)


def _origins(fitted: Fitted, panel: Panel) -> Integers:
    """Steps from the end of the series back to each origin, the newest first."""
    horizon = fitted.config.horizon
    count = max(1, int((~panel.skipped).sum()))
    most = min(WINDOWS // count, MAX_ORIGINS)
    most = max(most, min(FEWEST, max(LEAST, LARGE // count)))
    most = min(most, max(1, MAX_BYTES // max(1, len(panel) * horizon)))
    reach = int(PAST_SHARE * panel.lengths.max()) - horizon
    if reach < 0:
        return np.zeros(0, np.int64)
    stride = int(np.clip(reach // most, max(1, horizon // 4), horizon))
    return horizon + stride * np.arange(min(most, reach // stride + 1))


def _together(origins: Integers, panel: Panel) -> list[Integers]:
    size = max(1, NETWORK_BATCH // len(panel))
    return [origins[start : start + size] for start in range(0, len(origins), size)]


def _least(fitted: Fitted) -> int:
    """Steps that a series has before an origin that counts."""
    return max(fitted.config.lookback // 2, min(8, fitted.config.lookback))


def _errors(predictor: Predictor, panel: Panel, origins: Integers) -> Numbers:
    """Errors in standard deviations of the forecasts from origins, [origins, series, horizon].

    NaN where unknown.
    """
    config = predictor.fitted.config
    found = np.full((len(origins), len(panel), config.horizon), np.nan)
    positions = panel.lengths - origins[:, None]  # [origins, series]
    row, series = np.nonzero(~panel.skipped & (positions >= _least(predictor.fitted)))
    position = positions[row, series]
    quantiles = predictor.quantiles(panel, series, position)
    slots = (panel.offsets[series] + position)[:, None] + np.arange(config.horizon)
    means = predictor.fitted.ensemble.calibration.quantile_means(quantiles, config.levels)
    deviation = standard_deviation(quantiles, config.levels)
    known = without_censored(panel, config.table).observed[slots] & (deviation > 0)
    error = (panel.values[slots] - means) / np.where(deviation > 0, deviation, 1.0)
    found[row, series] = np.where(known, error, np.nan)
    return found
