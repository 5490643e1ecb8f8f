"""What intervals of sums need: past errors at origins common to all series, and sums to date."""

import time
from dataclasses import dataclass, replace

import numpy as np

from forecast.errors import UsageError
from forecast.inference.fitted import BegunPeriods, Fitted
from forecast.inference.predictor import Predictor
from forecast.intervals.joint_errors import PAST_SHARE, JointErrors
from forecast.metrics.quantiles import divide, standard_deviation
from forecast.panel.events import remove_censored_values
from forecast.panel.hierarchy import Levels, find_members
from forecast.panel.panel import Integers, Numbers, Panel
from forecast.totals.past import to_date
from forecast.totals.periods import MAX_DAYS, find_periods
from forecast.training.plan import MAX_ORIGINS
from forecast.windows.origins import values_at
from forecast.windows.windows import NETWORK_BATCH


@dataclass(frozen=True)
class OriginLimits:
    """From how many past origins series are forecast to measure their errors."""

    windows: int = 2048  # windows of all series together, if series are few
    fewest: int = 8  # fewest origins, except of large panels
    fewest_of_large: int = 4
    large: int = 60_000  # from so many windows on, a panel is large
    compared: int = 12  # newest origins at which reconciled forecasts are compared with others


ORIGIN_LIMITS = OriginLimits()
GRACE = 1.0  # the first origin may begin up to so many seconds after the deadline
LEAST_GAIN = 1e-3  # reconciliation must lower the mean error by this share
MAX_ERROR_BYTES = 1 << 26  # size limit of stored errors, and of forecasts of missing values


def choose_reconciliation(fitted: Fitted, panel: Panel, levels: Levels, device: str) -> Fitted:
    """The forecaster, set to reconcile forecasts with those of sums if that lowers past errors."""
    plain = _add_sums(fitted, levels, reconciles=False)
    reconciled = _add_sums(fitted, levels, reconciles=True)
    before = _absolute_errors(plain, panel, device)
    after = _absolute_errors(reconciled, panel, device)
    compared = before > 0
    ratios = after[compared] / before[compared]
    gains = compared.any() and ratios.mean() < 1 - LEAST_GAIN
    return reconciled if gains else plain


def _add_sums(fitted: Fitted, levels: Levels, reconciles: bool) -> Fitted:
    update = {"sums": levels, "reconciles": reconciles}
    config = fitted.config.model_copy(update=update)
    return replace(fitted, config=config)


def _absolute_errors(fitted: Fitted, panel: Panel, device: str) -> Numbers:
    """[series], absolute errors of means at the newest origins.

    The mean of a summed series is the sum of the means of its members.
    """
    config = fitted.config
    calibration = fitted.ensemble.calibration
    predictor = Predictor(fitted, device)
    errors = np.zeros(len(panel))
    sums, members = find_members(panel)
    single = np.flatnonzero(~panel.skipped)
    newest_origins = _origins(fitted, panel)[: ORIGIN_LIMITS.compared]
    for steps_back in newest_origins.tolist():
        position = panel.lengths - steps_back
        is_long = position >= _least_past(fitted)
        series = single[is_long[single]]
        means = np.zeros((len(panel), config.horizon))
        quantiles = predictor.quantiles(panel, series, position[series])
        means[series] = calibration.quantile_means(quantiles, config.levels)
        means[sums] = members @ means
        rows = np.concatenate([series, sums[is_long[sums]]])
        first = panel.starts[rows] + position[rows]
        actual = values_at(panel, rows, first, config.horizon)
        error = np.abs(actual - means[rows])
        errors[rows] += np.nansum(error, 1)
    return errors


def add_joint_errors(
    fitted: Fitted, panel: Panel, device: str, deadline: float | None = None
) -> Fitted:
    """The fitted forecaster with the past errors that intervals of sums are estimated from.

    Its plan says if a deadline left origins out.
    """
    predictor = Predictor(fitted, device)
    origins = _origins(fitted, panel)
    errors = list[Numbers]()  # for each origin, the newest first
    for chunk in _chunks(origins, panel):
        grace = 0.0 if errors else GRACE
        if deadline is not None and time.monotonic() > deadline + grace:
            plan = fitted.config.plan.model_copy(update={"origins": len(errors)})
            config = fitted.config.model_copy(update={"plan": plan})
            fitted = replace(fitted, config=config)
            break
        errors += list(_scaled_errors(predictor, panel, chunk))
    stride = int(origins[1] - origins[0]) if len(origins) > 1 else 1
    nothing = np.zeros((0, len(panel), fitted.config.horizon))
    joint = JointErrors.estimate(np.stack(errors[::-1]) if errors else nothing, stride)
    return _add_past_sums(replace(fitted, joint=joint), predictor, panel)


def _add_past_sums(fitted: Fitted, predictor: Predictor, panel: Panel) -> Fitted:
    """The forecaster with the sums to date of the periods whose ends it can forecast."""
    origin = panel.origin
    counts = set[int]()  # number of steps up to the origin of each such period
    for every in MAX_DAYS:
        try:
            periods = find_periods(fitted.schema, origin, fitted.config.horizon, every)
        except UsageError:  # of a table that has no such periods
            continue
        if len(periods) and periods.first <= origin:
            counts.add(origin + 1 - periods.first)
    sums = list[Numbers]()
    missing = None
    for count in sorted(counts):
        observed, missing = to_date(predictor, panel, count)
        sums.append(observed)
    if missing is None or missing.quantiles.nbytes > MAX_ERROR_BYTES:
        return fitted
    begun = BegunPeriods(np.array(sorted(counts)), np.stack(sums), missing)
    return replace(fitted, begun=begun)


def _origins(fitted: Fitted, panel: Panel) -> Integers:
    """Steps from the end of the series back to each origin, the newest first."""
    horizon = fitted.config.horizon
    series = max(1, int((~panel.skipped).sum()))
    fewest = min(
        ORIGIN_LIMITS.fewest, max(ORIGIN_LIMITS.fewest_of_large, ORIGIN_LIMITS.large // series)
    )
    most = max(fewest, min(ORIGIN_LIMITS.windows // series, MAX_ORIGINS))
    most = min(most, max(1, MAX_ERROR_BYTES // max(1, len(panel) * horizon)))
    span = int(PAST_SHARE * panel.longest) - horizon
    if span < 0:
        return np.zeros(0, np.int64)
    stride = int(np.clip(span // most, max(1, horizon // 4), horizon))
    return horizon + stride * np.arange(min(most, span // stride + 1))


def _chunks(origins: Integers, panel: Panel) -> list[Integers]:
    """The origins in chunks, each of which is forecast at once."""
    size = max(1, NETWORK_BATCH // len(panel))
    return [origins[start : start + size] for start in range(0, len(origins), size)]


def _least_past(fitted: Fitted) -> int:
    """Fewest steps of a series before an origin that counts."""
    lookback = fitted.ensemble.lookback
    return max(lookback // 2, min(8, lookback))


def _scaled_errors(predictor: Predictor, panel: Panel, origins: Integers) -> Numbers:
    """Errors, in standard deviations of the forecasts, [origins, series, horizon].

    An unknown error is NaN.
    """
    fitted = predictor.fitted
    config = fitted.config
    errors = np.full((len(origins), len(panel), config.horizon), np.nan)
    positions = panel.lengths - origins[:, None]  # [origins, series]
    is_long = positions >= _least_past(fitted)
    row, series = np.nonzero(~panel.skipped & is_long)
    position = positions[row, series]
    quantiles = predictor.quantiles(panel, series, position)
    means = fitted.ensemble.calibration.quantile_means(quantiles, config.levels)
    deviation = standard_deviation(quantiles, config.levels)
    uncensored = remove_censored_values(panel, config.table)
    first = panel.starts[series] + position
    actual = values_at(uncensored, series, first, config.horizon)
    errors[row, series] = divide(actual - means, deviation)
    return errors
