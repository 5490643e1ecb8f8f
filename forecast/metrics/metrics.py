"""Measures of forecasts as plain functions, and the list of those that tables show.

All take arrays whose first axis is the series, such as [series, origins, horizon], and the axes to
average over. By default these are all axes; ``(1, 2)`` gives a number for each series, ``(0, 1)``
one for each step of the horizon. An actual value that is NaN does not count. A forecast that is NaN
where there is an actual value makes the measure NaN. The measure is also NaN where no value counts
or the divisor is zero. Scaled errors are divided by a naive error of each series, [series], as
`naive_errors` gives it (squared with ``power=2``); a series whose naive error is NaN or 0 does not
count.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import Setting, Unavailable
from forecast.metrics.quantiles import at_levels, divide
from forecast.panel.hierarchy import find_columns, iterate_keys, rows_of_keys
from forecast.panel.panel import Flags, Integers, Numbers, Panel
from forecast.panel.schema import Schema
from forecast.registry import METRICS, find_entry
from forecast.settings import OutputSettings, find_intervals
from forecast.tables.writing import Frame, build_frame, refuse_clash, stack_frames

Axes = int | tuple[int, ...] | None

# an in-sample error below this share of the series' mean deviation counts as a rounding error
METRIC_ROUNDING = 1e-9
BOTTOM = np.array(-np.inf)  # the lower end of an interval that is open below
# how measures of a quantile begin, such as below_p95: the share of values that are no larger
BELOW = "below_"
LEFT = "left_"
LOSS_LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)
"""The levels of `wql`, whichever quantiles are shown: the median, and the ends of usual intervals."""
REFERENCE = "seasonal-naive"
"""The model that skill is measured against."""
FIRST_ROW = np.zeros(1, np.int64)  # the only row of a table over all


def naive_errors(panel: Panel, season: int, power: int = 1) -> Numbers:
    """The divisor of scaled errors, [series]: the in-sample error of the seasonal naive forecast.

    Where that error is zero, or a series is shorter than a season, the in-sample error of repeating
    the last value takes its place, and for a constant series its mean absolute value. It is NaN
    where all values are 0 or missing. The parameters are those of `seasonal_naive_errors`.
    """
    values = panel.values
    series = panel.series_of_slots
    count = np.bincount(series, panel.observed, len(panel))
    count = np.maximum(count, 1.0)

    def mean(numbers: Numbers) -> Numbers:
        """Mean over the observed values of each series, [series]."""
        used = np.where(panel.observed, numbers, 0.0)
        return np.bincount(series, used, len(panel)) / count

    distances = np.abs(values - mean(values)[series])
    rounding = METRIC_ROUNDING**power * mean(distances**power)
    error = seasonal_naive_errors(panel, season, power)
    step_error = seasonal_naive_errors(panel, 1, power)
    error = np.where(error > rounding, error, step_error)
    size = mean(np.abs(values) ** power)
    error = np.where(error > rounding, error, size)
    return np.where(error > 0, error, np.nan)


def seasonal_naive_errors(panel: Panel, season: int, power: int = 1) -> Numbers:
    """In-sample mean absolute error of repeating the value `season` steps back, [series].

    A `power` of 2 gives the mean squared error, which RMSSE needs. A series without two values that
    are a season apart gets NaN.
    """
    slots = np.flatnonzero((panel.positions >= season) & panel.observed)
    slots = slots[panel.observed[slots - season]]
    naive = panel.values[slots - season]
    changes = np.abs(panel.values[slots] - naive) ** power
    series = panel.series_of_slots[slots]
    count = np.bincount(series, minlength=len(panel))
    total = np.bincount(series, changes, len(panel))
    return divide(total, count)


def mae(actual: Numbers, forecast: Numbers, axis: Axes = None) -> Numbers:
    """Mean absolute error, in the unit of the target."""
    errors = np.abs(actual - forecast)
    return _mean(errors, actual, axis)


def rmse(actual: Numbers, forecast: Numbers, axis: Axes = None) -> Numbers:
    """Root of the mean squared error, in the unit of the target."""
    squares = np.square(actual - forecast)
    return np.sqrt(_mean(squares, actual, axis))


def mase(actual: Numbers, forecast: Numbers, naive_error: Numbers, axis: Axes = None) -> Numbers:
    """Mean absolute scaled error (Hyndman and Koehler 2006).

    A MASE of 1 means that errors are as large as those of the seasonal naive forecast in-sample.
    """
    errors = np.abs(actual - forecast)
    return _scaled_mean(errors, naive_error, actual, axis)


def rmsse(
    actual: Numbers, forecast: Numbers, squared_naive_error: Numbers, axis: Axes = None
) -> Numbers:
    """Root mean squared scaled error (Hyndman and Koehler 2006).

    A root is taken for each series, and the roots are averaged, as in the M5 competition (2022).
    """
    axes = np.arange(actual.ndim)
    if axis is not None:
        axes = axes[np.atleast_1d(axis)]
    within = tuple(axes[axes > 0].tolist())
    errors = np.square(actual - forecast)
    roots = np.sqrt(_scaled_mean(errors, squared_naive_error, actual, within))  # [series, ...]
    if 0 not in axes:
        return roots
    # NaN only for a series without a value that counts; NaN forecasts must still make the mean NaN
    counted = _scaled_mean(np.zeros_like(actual), squared_naive_error, actual, within)
    return _mean(roots, counted, 0)


def smape(actual: Numbers, forecast: Numbers, axis: Axes = None) -> Numbers:
    """Symmetric mean absolute percentage error, 0 to 200, as in M4 (Makridakis et al. 2020).

    A forecast of 0 for an actual value of 0 has an error of 0.
    """
    size = np.abs(actual) + np.abs(forecast)
    errors = np.abs(actual - forecast)
    shares = errors / np.where(size == 0, 1.0, size)
    return 200 * _mean(shares, actual, axis)


def mean_error(actual: Numbers, forecast: Numbers, axis: Axes = None) -> Numbers:
    """Mean error, above 0 where forecasts are too high, in the unit of the target."""
    return _mean(forecast - actual, actual, axis)


def quantile_loss(
    actual: Numbers, quantiles: Numbers, levels: tuple[float, ...], axis: Axes = None
) -> Numbers:
    """Twice the mean quantile loss, averaged over the quantile levels, in the unit of the target.

    With many quantile levels it approximates the continuous ranked probability score (Gneiting and
    Raftery 2007), which is the absolute error where all quantiles are equal. `quantiles` have the
    shape of `actual`, and the quantile levels as an additional last axis.
    """
    errors = actual[..., None] - quantiles
    below = np.array(levels)
    losses = np.maximum(below * errors, (below - 1) * errors)
    return _mean(2 * losses.mean(-1), actual, axis)


def mean_size(actual: Numbers, axis: Axes = None) -> Numbers:
    """Mean absolute value, the divisor of errors that are shares of the actual values."""
    return _mean(np.abs(actual), actual, axis)


def coverage(actual: Numbers, lower: Numbers, upper: Numbers, axis: Axes = None) -> Numbers:
    """Share of the values that lie in their interval, its ends included (Christoffersen 1998)."""
    missing = np.isnan(lower + upper)
    inside = (actual >= lower) & (actual <= upper)
    return _mean(np.where(missing, np.nan, inside), actual, axis)


def left(actual: Numbers, quantile: Numbers, axis: Axes = None) -> Numbers:
    """Mean of what a quantile, such as an order-up-to level, leaves over, in the target's unit."""
    return _mean(np.maximum(quantile - actual, 0), actual, axis)


def revision(points: Numbers, stride: int, naive_error: Numbers, axis: Axes = None) -> Numbers:
    """Mean absolute change of a forecast from one origin to the next, scaled as MASE is.

    `points` are [series, origins, horizon] from origins that are `stride` steps apart. What the
    origin before did not forecast does not count.
    """
    before = np.full_like(points, np.nan)
    shared = max(points.shape[2] - stride, 0)  # steps that both origins forecast
    before[:, 1:, :shared] = points[:, :-1, stride:]
    changes = np.abs(points - before)
    return _scaled_mean(changes, naive_error, changes, axis)


def width(
    actual: Numbers, lower: Numbers, upper: Numbers, naive_error: Numbers, axis: Axes = None
) -> Numbers:
    """Mean width of intervals, scaled as MASE is."""
    widths = upper - lower
    return _scaled_mean(widths, naive_error, actual, axis)


def msis(
    actual: Numbers,
    lower: Numbers,
    upper: Numbers,
    level: float,
    naive_error: Numbers,
    axis: Axes = None,
) -> Numbers:
    """Mean scaled interval score (Gneiting and Raftery 2007; scaled as in M4, 2020).

    The interval is to hold a share `level` of the values. Its score is its width, plus 2 / (1 -
    level) times the distance by which the value lies outside it. It is scaled as MASE is.
    """
    below = np.maximum(lower - actual, 0)
    above = np.maximum(actual - upper, 0)
    outside = below + above
    score = upper - lower + 2 / (1 - level) * outside
    return _scaled_mean(score, naive_error, actual, axis)


@dataclass(frozen=True)
class Outcome:
    """Forecasts beside the actual values, as a measure reads them."""

    actual: Numbers  # [series, ..., horizon], NaN where missing
    numbers: Numbers  # [series, ..., horizon, 1 + columns], the point, then quantiles
    columns: Mapping[str, float]  # the levels of the quantiles by column, as `OutputSettings` has
    naive_error: Numbers  # [series]
    squared_naive_error: Numbers  # [series]

    @property
    def point(self) -> Numbers:
        return self.numbers[..., 0]

    @property
    def levels(self) -> tuple[float, ...]:
        return (0.5, *self.columns.values())


OfOutcome = Callable[[Outcome, Axes], Numbers]


@dataclass(frozen=True)
class Measure:
    function: OfOutcome  # takes an outcome and the axes to average over
    error_power: int = 1  # the `power` with which it needs `naive_errors`
    is_share: bool = False  # whether it is shown as a share of the mean absolute actual value
    in_terminal: bool = False  # whether tables in a terminal of 80 columns show it too

    def of(self, outcome: Outcome, axis: Axes) -> Numbers:
        """The measure as tables show it."""
        value = self.function(outcome, axis)
        return divide(value, mean_size(outcome.actual, axis)) if self.is_share else value


def _mase(outcome: Outcome, axis: Axes) -> Numbers:
    return mase(outcome.actual, outcome.point, outcome.naive_error, axis)


def _rmsse(outcome: Outcome, axis: Axes) -> Numbers:
    return rmsse(outcome.actual, outcome.point, outcome.squared_naive_error, axis)


def _wql(outcome: Outcome, axis: Axes) -> Numbers:
    """The loss at `LOSS_LEVELS`, NaN where the numbers lack one of them."""
    places = {round(level, 6): place for place, level in enumerate(outcome.levels)}
    chosen = [places.get(level, -1) for level in LOSS_LEVELS]
    missing = np.full_like(outcome.numbers[..., :1], np.nan)
    numbers = np.concatenate([outcome.numbers, missing], -1)
    return quantile_loss(outcome.actual, numbers[..., chosen], LOSS_LEVELS, axis)


def _wape_bias(outcome: Outcome, axis: Axes) -> Numbers:
    """The score of the VN1 competition (2024), before it is divided by the size of the values."""
    bias = mean_error(outcome.actual, outcome.point, axis)
    return mae(outcome.actual, outcome.point, axis) + np.abs(bias)


def _of_points(function: Callable[[Numbers, Numbers, Axes], Numbers]) -> OfOutcome:
    return lambda outcome, axis: function(outcome.actual, outcome.point, axis)


# measures that need no interval, in the order in which tables show them. WAPE is the sum of absolute
# errors over that of absolute values (Kolassa and Schuetz 2007), `wql` the weighted quantile loss
# (Park et al. 2022). `METRICS` of the settings names those that can be chosen as `metric`
MEASURES = {
    "mase": Measure(_mase, in_terminal=True),
    "rmsse": Measure(_rmsse, error_power=2),
    "mae": Measure(_of_points(mae)),
    "rmse": Measure(_of_points(rmse)),
    "smape": Measure(_of_points(smape)),
    "wape": Measure(_of_points(mae), is_share=True),
    "bias": Measure(_of_points(mean_error), is_share=True, in_terminal=True),
    "wape_bias": Measure(_wape_bias, is_share=True),
    "wql": Measure(_wql, is_share=True, in_terminal=True),
}


def find_measure(metric: str) -> Measure:
    """The measure of this name, which may be a function of another package.

    The module of an entry point of the group ``forecast.metrics`` defines ``METRIC``, a function of
    actual values and point forecasts, both [windows, horizon], that returns the loss of each window,
    [windows]. Actual values are NaN where missing. An unknown name raises `UsageError`.
    """
    if metric in METRICS:
        return MEASURES[metric]
    entry = find_entry("metrics", metric)
    function = entry.load()

    def measure(outcome: Outcome, axis: Axes) -> Numbers:
        losses = np.asarray(function(outcome.actual, outcome.point), float)
        if losses.shape != outcome.actual.shape[:1]:
            problem = f"its METRIC returned {losses.shape}, where one loss a window was expected"
            raise Unavailable(problem, place=f"{entry.module} of the package {entry.package}")
        return losses

    return Measure(measure)


def window_losses(
    metric: str,
    actual: Numbers,
    quantiles: Numbers,
    levels: tuple[float, ...],
    naive_error: Numbers,
) -> Numbers:
    """The loss of each window, [windows], by a metric, from quantiles [windows, horizon, levels].

    Point forecasts are [windows, horizon, 1], whatever the levels. `naive_error` [windows] has the power that
    the metric needs (`Measure.error_power`). Measures that are shares are divided by the mean
    absolute value of all windows, so that windows of zeros count.
    """
    measure = find_measure(metric)
    levels = levels if quantiles.shape[-1] > 1 else (0.5,)
    of_losses = at_levels(quantiles, levels, LOSS_LEVELS)
    median = quantiles[..., [levels.index(0.5)]]
    columns = {f"p{100 * level:g}": level for level in LOSS_LEVELS}
    numbers = np.concatenate([median, of_losses], -1)
    losses = measure.function(Outcome(actual, numbers, columns, naive_error, naive_error), 1)
    return divide(losses, mean_size(actual)) if measure.is_share else losses


def measures(outcome: Outcome, axis: Axes = None) -> dict[str, Numbers]:
    """All measures by name, in the order in which tables show them; those of intervals come last.

    `msis` is that of the 95 % interval. Without a 95 % interval it is that of the widest one.
    Quantiles that have names of their own, such as p95, also get the share of the actual values
    that are no larger, and the mean of what they leave where an actual value is smaller.
    """
    actual = outcome.actual
    naive_error = outcome.naive_error
    intervals = find_intervals(outcome.columns)
    results = {name: measure.of(outcome, axis) for name, measure in MEASURES.items()}
    quantiles = np.moveaxis(outcome.numbers[..., 1:], -1, 0)
    for level, (low, high) in intervals.items():
        ends = quantiles[low], quantiles[high]
        results[f"coverage_{level:g}"] = coverage(actual, *ends, axis)
        results[f"width_{level:g}"] = width(actual, *ends, naive_error, axis)
    if intervals:
        widest = 95.0 if 95.0 in intervals else max(intervals)
        low, high = intervals[widest]
        ends = quantiles[low], quantiles[high]
        results["msis"] = msis(actual, *ends, widest / 100, naive_error, axis)
    for name, quantile in zip(outcome.columns, quantiles, strict=True):
        if name.startswith("p"):
            results[f"{BELOW}{name}"] = coverage(actual, BOTTOM, quantile, axis)
            results[f"{LEFT}{name}"] = left(actual, quantile, axis)
    return results


def measure_names(columns: Mapping[str, float]) -> list[str]:
    """The names of `measures`, in their order."""
    nothing = np.full(1, np.nan)
    numbers = np.full((1, 1 + len(columns)), np.nan)
    return list(measures(Outcome(nothing, numbers, columns, nothing, nothing)))


def result_columns(columns: Mapping[str, float]) -> list[str]:
    names = measure_names(columns)
    return ["model", "skill", "origin", "actual", "forecast", *columns, *names, "revision"]


def skill(error: Numbers, reference: Numbers) -> Numbers:
    """Error reduction against a reference: 1 is perfect, 0 is as good, below 0 is worse."""
    return 1 - divide(error, reference)


def _scaled_mean(errors: Numbers, naive_error: Numbers, actual: Numbers, axis: Axes) -> Numbers:
    """Mean of errors that are divided by the naive error of their series, the first axis.

    Series without a naive error do not count.
    """
    usable = np.isfinite(naive_error) & (naive_error > 0)
    unit = np.where(usable, naive_error, np.nan)
    rest = [1] * (actual.ndim - 1)
    unit = unit.reshape(-1, *rest)
    return _mean(errors / unit, actual / unit, axis)


def _mean(errors: Numbers, actual: Numbers, axis: Axes) -> Numbers:
    count = np.isfinite(actual).sum(axis)
    return divide(_sum(errors, actual, axis), count)


def _sum(errors: Numbers, actual: Numbers, axis: Axes) -> Numbers:
    counted = np.where(np.isfinite(actual), errors, 0.0)
    return np.asarray(counted.sum(axis))


@dataclass(frozen=True)
class Evaluation:
    panel: Panel
    schema: Schema
    actual: Numbers  # [series, origins, horizon], NaN where missing
    # by model, [series, origins, horizon, 1 + columns], NaN without a forecast
    numbers: dict[str, Numbers]
    columns: Mapping[str, float]  # as in `Outcome`
    naive_error: Numbers  # [series], the unit of MASE
    squared_naive_error: Numbers  # [series], the unit of RMSSE
    # [series, origins, horizon], whether an actual value is a lower bound of demand (a stock-out),
    # which counts only where the forecast lies below it
    bound: Flags
    stride: int | None = None  # steps between two origins; None if there is one origin
    # as `numbers`, with the columns of `OutputSettings.usual`, if those of the output are others
    usual: dict[str, Numbers] = field(default_factory=dict)


@dataclass(frozen=True)
class Measures:
    """How good forecasts were.

    Attributes
    ----------
    overall : a row for each model: ``model``, then ``skill`` (1 - MASE / MASE of seasonal naive:
        above 0 is better than repeating the last season) and the other measures. `smape` is in
        percent, `wape`, `wql` and `coverage_80` are shares, `width_80` is in the unit of `mase`
    by_series : the same for each series, its id columns first, series in the order of the input
    by_step : the same for each ``step`` of the horizon
    season : steps back of the seasonal naive forecast, and of the unit of `mase`; 1 is the value
        before
    evaluation : the numbers that were measured
    """

    overall: Frame
    by_series: Frame
    by_step: Frame
    season: int
    evaluation: Evaluation

    def rows_by(self, columns: str | Sequence[str]) -> Frame:
        """The measures by the values of id or static columns, the worst skill first.

        `columns` are a list, or separated by commas; `UsageError` if there is no such column.
        """
        schema = self.evaluation.schema
        text = columns if isinstance(columns, str) else ",".join(columns)
        names = row_columns(text, schema)
        keys = iterate_keys(self.evaluation.panel, schema, names)
        frames = list[Frame]()
        for key, series in rows_of_keys(keys).items():
            frame = self.measure(series)
            for column, value in enumerate(key):
                frame.insert(column, names[column], value)
            frames.append(frame)
        # that of the first model after the reference, if there is one
        frames.sort(key=lambda frame: np.nan_to_num(frame["skill"][:2].iloc[-1], nan=np.inf))
        return stack_frames(frames)

    def measure(self, series: list[int]) -> Frame:
        """The measures of some series, a row for each model."""
        return build_frame(_measure(self.evaluation, None, FIRST_ROW, series))


def row_columns(text: str, schema: Schema) -> tuple[str, ...]:
    """The columns whose values get a row each in a table of measures.

    ``column:step`` is a column called step, where step alone has another meaning.
    """
    columns = text.rpartition("column:")[-1]
    names = find_columns(columns, schema, Setting("by", text))
    refuse_clash(names, ["model", "skill", *MEASURES], "result")
    return names


def naive_errors_until(panel: Panel, origin: Integers, season: int) -> tuple[Numbers, Numbers]:
    """The divisors of MASE and of RMSSE, both [series], from values up to an origin.

    `origin` [series] is a position on the time grid.
    """
    observed = panel.observed & panel.before(origin - panel.starts + 1)
    past = replace(panel, observed=observed)
    return naive_errors(past, season), naive_errors(past, season, power=2)


def measure_frames(evaluation: Evaluation) -> tuple[Frame, Frame, Frame]:
    """The tables of `Measures`: overall, by series, by step."""
    order = evaluation.panel.order
    models = len(evaluation.numbers)
    overall = _measure(evaluation, None, FIRST_ROW)
    ids = np.array(evaluation.panel.ids, object)[order].T  # [ids, series]
    names = zip(evaluation.schema.ids, ids, strict=True)
    by_series = {name: np.repeat(column, models) for name, column in names}
    by_series |= _measure(evaluation, (1, 2), order)
    steps = np.arange(evaluation.actual.shape[2])
    by_step = {"step": np.repeat(steps + 1, models)}
    by_step |= _measure(evaluation, (0, 1), steps)
    return build_frame(overall), build_frame(by_series), build_frame(by_step)


def _measure(
    evaluation: Evaluation, axis: Axes, rows: Integers, series: list[int] | slice = slice(None)
) -> dict[str, NDArray[Any]]:
    """The columns of a table of measures of some series, averaged over the axes `axis`.

    `rows` are the indices along the remaining axis that the table shows, in order. Each of them
    gives one table row for each model.
    """
    actual = evaluation.actual[series]
    bound = evaluation.bound[series]
    naive_error = evaluation.naive_error[series]
    by_model = {}
    for model, of_all in evaluation.numbers.items():
        numbers = of_all[series]
        points = numbers[..., 0]
        counts = ~bound | (points < actual)
        outcome = Outcome(
            np.where(counts, actual, np.nan),
            numbers,
            evaluation.columns,
            naive_error,
            evaluation.squared_naive_error[series],
        )
        results = measures(outcome, axis)
        if evaluation.usual:
            usual = evaluation.usual[model][series]
            outcome = replace(outcome, numbers=usual, columns=OutputSettings().columns)
            results["wql"] = MEASURES["wql"].of(outcome, axis)
        if evaluation.stride is not None:
            results["revision"] = revision(points, evaluation.stride, naive_error, axis)
        by_model[model] = results

    reference = by_model[REFERENCE]["mase"]
    for model, results in by_model.items():
        by_model[model] = {"skill": skill(results["mase"], reference), **results}

    models = np.array(list(by_model), object)
    columns: dict[str, NDArray[Any]] = {}
    columns["model"] = np.tile(models, len(rows))
    for name in by_model[REFERENCE]:
        values = [results[name] for results in by_model.values()]
        by_row = np.stack(values, -1).reshape(-1, len(by_model))
        columns[name] = by_row[rows].ravel()  # [rows * models]
    return columns
