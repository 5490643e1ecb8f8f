"""Measures of forecasts as plain functions, and the list of those that tables show.

All take arrays whose first axis is the series, such as [series, origins, horizon], and the axes to average over: all by
default, ``(1, 2)`` gives a number for each series, ``(0, 1)`` one for each step of the horizon. An actual value that is
NaN does not count; a forecast that is NaN where there is an actual value makes the measure NaN. Where nothing counts,
or the divisor is zero, the measure is NaN. The unit of scaled errors, [series], is that of `naive_errors`, squared with
``power=2``; a series without one (NaN or 0) does not count.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.metrics.quantiles import interval_levels
from forecast.panel.panel import Flags, Integers, Numbers, Panel, steps_within
from forecast.panel.schema import Schema
from forecast.settings import Metric
from forecast.tables.writing import Frame, frame_of, interval_columns

Axes = int | tuple[int, ...] | None

ROUNDING = 1e-9  # an in-sample error below this share of the series' mean deviation is rounding
REFERENCE = "seasonal-naive"
"""The model that skill is measured against."""


def naive_errors(
    values: Numbers, observed: Flags, offsets: Integers, season: int, power: int = 1
) -> Numbers:
    """Unit of scaled errors, [series]: the in-sample error of seasonal naive; NaN where all values are 0 or missing.

    Where that is zero, or a series shorter than a season, it is the in-sample error of repeating the last value, and
    for a constant series its mean absolute value. The parameters are those of `seasonal_naive_errors`.
    """
    series = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    count = np.maximum(np.bincount(series, observed, minlength=len(offsets) - 1), 1.0)

    def mean(numbers: Numbers) -> Numbers:
        return (
            np.bincount(series, np.where(observed, numbers, 0.0), minlength=len(offsets) - 1)
            / count
        )

    deviation = mean(np.abs(values - mean(values)[series]) ** power)
    error = seasonal_naive_errors(values, observed, offsets, season, power)
    for substitute in (
        seasonal_naive_errors(values, observed, offsets, 1, power),
        mean(np.abs(values) ** power),
    ):
        error = np.where(error > ROUNDING**power * deviation, error, substitute)
    return np.where(error > 0, error, np.nan)


def seasonal_naive_errors(
    values: Numbers, observed: Flags, offsets: Integers, season: int, power: int = 1
) -> Numbers:
    """In-sample mean absolute error of repeating the value `season` steps back, [series]; NaN without two values.

    Values and whether they are observed are [slots], series stored end to end, with `offsets` [series + 1]; `power` 2
    gives the mean squared error, the unit of RMSSE.
    """
    now = np.flatnonzero((steps_within(np.diff(offsets)) >= season) & observed)
    now = now[observed[now - season]]
    series = np.searchsorted(offsets, now, side="right") - 1
    changes = np.abs(values[now] - values[now - season]) ** power
    count, total = (
        np.bincount(series, weights, minlength=len(offsets) - 1) for weights in (None, changes)
    )
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def mae(actual: Numbers, forecast: Numbers, axis: Axes = None) -> Numbers:
    """Mean absolute error, in the unit of the target."""
    return _mean(np.abs(actual - forecast), actual, axis)


def rmse(actual: Numbers, forecast: Numbers, axis: Axes = None) -> Numbers:
    """Root of the mean squared error, in the unit of the target."""
    return np.sqrt(_mean(np.square(actual - forecast), actual, axis))


def mase(actual: Numbers, forecast: Numbers, naive_error: Numbers, axis: Axes = None) -> Numbers:
    """Mean absolute scaled error (Hyndman and Koehler 2006): 1 is as far off as repeating a season was in-sample."""
    return _scaled_mean(np.abs(actual - forecast), naive_error, actual, axis)


def rmsse(
    actual: Numbers, forecast: Numbers, squared_naive_error: Numbers, axis: Axes = None
) -> Numbers:
    """Root mean squared scaled error (Hyndman and Koehler 2006): the mean of the roots by series, as in M5 (2022)."""
    axes = range(actual.ndim) if axis is None else np.atleast_1d(axis) % actual.ndim
    within = tuple(place for place in axes if place)
    roots = np.sqrt(
        _scaled_mean(np.square(actual - forecast), squared_naive_error, actual, within)
    )  # [series, ...]
    if 0 not in axes:
        return roots
    zeros_or_nan = _scaled_mean(
        np.zeros(actual.shape), squared_naive_error, actual, within
    )  # NaN where nothing counts
    return _mean(roots, zeros_or_nan, 0)


def smape(actual: Numbers, forecast: Numbers, axis: Axes = None) -> Numbers:
    """Symmetric mean absolute percentage error, 0 to 200, that of M4 (Makridakis et al. 2020): 0 for 0 is exact."""
    size = np.abs(actual) + np.abs(forecast)
    return 200 * _mean(np.abs(actual - forecast) / np.where(size == 0, 1.0, size), actual, axis)


def wape(actual: Numbers, forecast: Numbers, axis: Axes = None) -> Numbers:
    """Sum of absolute errors over sum of absolute values, a share (Kolassa, Schuetz 2007)."""
    return _divided(
        _sum(np.abs(actual - forecast), actual, axis), _sum(np.abs(actual), actual, axis)
    )


def wql(
    actual: Numbers, quantiles: Numbers, levels: tuple[float, ...], axis: Axes = None
) -> Numbers:
    """Mean over the levels of twice the quantile loss over the sum of absolute values (Park et al. 2022).

    With many levels it comes near to the continuous ranked probability score (Gneiting and Raftery 2007), in the same
    unit as `wape`. `quantiles` have the shape of `actual`, and the levels as a last axis.
    """
    errors = actual[..., None] - quantiles
    losses = 2 * np.maximum(np.array(levels) * errors, (np.array(levels) - 1) * errors).mean(-1)
    return _divided(_sum(losses, actual, axis), _sum(np.abs(actual), actual, axis))


def coverage(actual: Numbers, lower: Numbers, upper: Numbers, axis: Axes = None) -> Numbers:
    """Share of the values that lie in their interval, its ends included (Christoffersen 1998)."""
    inside = np.where(np.isnan(lower + upper), np.nan, (actual >= lower) & (actual <= upper))
    return _mean(inside, actual, axis)


def width(
    actual: Numbers, lower: Numbers, upper: Numbers, naive_error: Numbers, axis: Axes = None
) -> Numbers:
    """Mean width of intervals, in the unit of MASE."""
    return _scaled_mean(upper - lower, naive_error, actual, axis)


def msis(
    actual: Numbers,
    lower: Numbers,
    upper: Numbers,
    level: float,
    naive_error: Numbers,
    axis: Axes = None,
) -> Numbers:
    """Mean scaled interval score (Gneiting and Raftery 2007; scaled as in the M4 competition, 2020).

    The width of the interval, which is to hold a share `level` of the values, and 2 / (1 - level) times as much as a
    value lies beyond it, in the unit of MASE.
    """
    beyond = np.maximum(lower - actual, 0) + np.maximum(actual - upper, 0)
    return _scaled_mean(upper - lower + 2 / (1 - level) * beyond, naive_error, actual, axis)


@dataclass(frozen=True)
class Outcome:
    """Forecasts beside the actual values, as a measure reads them."""

    actual: Numbers  # [series, ..., horizon], NaN where missing
    numbers: Numbers  # [series, ..., horizon, 1 + 2 * intervals], the point, then both ends of each interval
    intervals: tuple[float, ...]  # in percent
    naive_error: Numbers  # [series]
    squared_naive_error: Numbers  # [series]

    @property
    def point(self) -> Numbers:
        return self.numbers[..., 0]

    @property
    def levels(self) -> tuple[float, ...]:
        return (0.5, *(level for interval in self.intervals for level in interval_levels(interval)))


@dataclass(frozen=True)
class Measure:
    function: Callable[[Outcome, Axes], Numbers]  # of the axes to average over
    error_power: int = 1  # of the errors in the unit that it needs from `naive_errors`
    in_terminal: bool = False  # whether a terminal of 80 columns shows it too


# measures that need no interval, as tables show them; one of points is a choice of `metric`, if `Metric` names it
MEASURES = {
    "mase": Measure(
        lambda out, axis: mase(out.actual, out.point, out.naive_error, axis), in_terminal=True
    ),
    "rmsse": Measure(
        lambda out, axis: rmsse(out.actual, out.point, out.squared_naive_error, axis), error_power=2
    ),
    "mae": Measure(lambda out, axis: mae(out.actual, out.point, axis)),
    "rmse": Measure(lambda out, axis: rmse(out.actual, out.point, axis)),
    "smape": Measure(lambda out, axis: smape(out.actual, out.point, axis), in_terminal=True),
    "wape": Measure(lambda out, axis: wape(out.actual, out.point, axis)),
    "wql": Measure(
        lambda out, axis: wql(out.actual, out.numbers, out.levels, axis), in_terminal=True
    ),
}


def window_losses(
    metric: Metric, actual: Numbers, forecast: Numbers, naive_error: Numbers
) -> Numbers:
    """The losses [windows] of forecasts [windows, horizon] by a measure, with the naive error of each window."""
    return MEASURES[metric].function(
        Outcome(actual, forecast[..., None], (), naive_error, naive_error), 1
    )


def measures(outcome: Outcome, axis: Axes = None) -> dict[str, Numbers]:
    """All measures by name, in the order in which tables show them; those of intervals come last.

    `msis` is that of the 95 % interval, or of the widest one where that is missing.
    """
    results = {name: measure.function(outcome, axis) for name, measure in MEASURES.items()}
    actual, naive_error = outcome.actual, outcome.naive_error
    ends = {
        level: np.moveaxis(outcome.numbers, -1, 0)[2 * i + 1 :][:2]
        for i, level in enumerate(outcome.intervals)
    }
    for level, (lower, upper) in ends.items():
        results[f"coverage_{level:g}"] = coverage(actual, lower, upper, axis)
        results[f"width_{level:g}"] = width(actual, lower, upper, naive_error, axis)
    if ends:
        widest = 95.0 if 95.0 in ends else max(ends)
        lower, upper = ends[widest]
        results["msis"] = msis(actual, lower, upper, widest / 100, naive_error, axis)
    return results


def measure_names(intervals: tuple[float, ...]) -> list[str]:
    of_intervals = [f"{word}_{level:g}" for level in intervals for word in ("coverage", "width")]
    return [*MEASURES, *of_intervals, *(["msis"] if intervals else [])]


def result_columns(intervals: tuple[float, ...]) -> list[str]:
    shown = ("model", "skill", "origin", "actual", "forecast")
    return [*shown, *interval_columns(intervals), *measure_names(intervals)]


def skill(error: Numbers, reference: Numbers) -> Numbers:
    """Error reduction against a reference: 1 is perfect, 0 as good, below 0 worse."""
    return 1 - _divided(error, reference)


def _scaled_mean(errors: Numbers, naive_error: Numbers, actual: Numbers, axis: Axes) -> Numbers:
    """Mean of the errors over the naive error of their series, the first axis, where it has one."""
    usable = np.isfinite(naive_error) & (naive_error > 0)
    unit = np.where(usable, naive_error, np.nan).reshape(-1, *[1] * (actual.ndim - 1))
    return _mean(errors / unit, actual / unit, axis)


def _mean(errors: Numbers, actual: Numbers, axis: Axes) -> Numbers:
    return _divided(
        _sum(errors, actual, axis), np.asarray(np.isfinite(actual).sum(axis), np.float64)
    )


def _sum(errors: Numbers, actual: Numbers, axis: Axes) -> Numbers:
    return np.asarray(np.where(np.isfinite(actual), errors, 0.0).sum(axis))


def _divided(above: Numbers, below: Numbers) -> Numbers:
    """A quotient, NaN where the divisor is zero."""
    return np.asarray(
        np.divide(above, below, out=np.full(np.shape(above), np.nan), where=np.asarray(below) != 0)
    )


@dataclass(frozen=True)
class Evaluation:
    panel: Panel
    schema: Schema
    actual: Numbers  # [series, origins, horizon], NaN where missing
    numbers: dict[
        str, Numbers
    ]  # by model, [series, origins, horizon, 1 + 2 * intervals], NaN without a forecast
    intervals: tuple[float, ...]  # in percent
    naive_error: Numbers  # [series], the unit of MASE
    squared_naive_error: Numbers  # [series], the unit of RMSSE
    bound: (
        Flags  # [series, origins, horizon], stock-outs, which count where forecasts lie below them
    )


@dataclass(frozen=True)
class Measures:
    """How good forecasts were.

    Attributes
    ----------
    overall : a row for each model: ``model``, then ``skill`` (1 - MASE / MASE of seasonal naive: above 0 is better than
        repeating the last season) and the other measures. `smape` is in percent, `wape`, `wql` and `coverage_80` are
        shares, `width_80` is in the unit of `mase`
    by_series : the same for each series, its id columns first, series in the order of the input
    by_step : the same for each ``step`` of the horizon
    season : steps back of the seasonal naive forecast, and of the unit of `mase`; 1 is the value before
    """

    overall: Frame
    by_series: Frame
    by_step: Frame
    season: int


def naive_errors_until(panel: Panel, origin: Integers, season: int) -> tuple[Numbers, Numbers]:
    """Units of MASE and RMSSE from the values up to an origin, a grid position of each series: [series] both."""
    end = panel.offsets[:-1] + origin - panel.starts + 1
    before = panel.observed & (
        np.arange(panel.offsets[-1]) < np.repeat(end, np.diff(panel.offsets))
    )
    absolute = naive_errors(panel.values, before, panel.offsets, season)
    return absolute, naive_errors(panel.values, before, panel.offsets, season, power=2)


def measure_frames(evaluation: Evaluation) -> tuple[Frame, Frame, Frame]:
    panel, models = evaluation.panel, len(evaluation.numbers)
    ids = [
        np.repeat(np.array(names, object)[panel.order], models)
        for names in zip(*panel.ids, strict=True)
    ]
    steps = np.arange(evaluation.actual.shape[2])
    return (
        frame_of(_measure(evaluation, None, np.zeros(1, np.int64))),
        frame_of(
            dict(zip(evaluation.schema.ids, ids, strict=True))
            | _measure(evaluation, (1, 2), panel.order)
        ),
        frame_of({"step": np.repeat(steps + 1, models), **_measure(evaluation, (0, 1), steps)}),
    )


def _measure(evaluation: Evaluation, axis: Axes, rows: Integers) -> dict[str, NDArray[Any]]:
    """The measures averaged over some axes: for each of `rows` of what they leave, a row of each model."""
    by_model, rest = (
        {},
        (evaluation.intervals, evaluation.naive_error, evaluation.squared_naive_error),
    )
    for model, numbers in evaluation.numbers.items():
        counts = ~evaluation.bound | (numbers[..., 0] < evaluation.actual)
        by_model[model] = measures(
            Outcome(np.where(counts, evaluation.actual, np.nan), numbers, *rest), axis
        )
    reference = by_model[REFERENCE]["mase"]
    parts = [
        {"skill": skill(results["mase"], reference), **results} for results in by_model.values()
    ]
    columns: dict[str, NDArray[Any]] = {
        "model": np.tile(np.array(list(by_model), object), len(rows))
    }
    for name in parts[0]:
        columns[name] = np.stack(
            [np.atleast_1d(part[name])[rows] for part in parts], 1
        ).ravel()  # [rows * models]
    return columns
