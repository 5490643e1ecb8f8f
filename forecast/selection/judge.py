"""What forecasts of given windows are worth: their loss against what came."""

from dataclasses import dataclass, replace
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from forecast.evaluation.metrics import seasonal_errors
from forecast.selection.components import actual_of
from forecast.series.transforms import undo_power
from forecast.training.inputs import Inputs
from forecast.training.members import Places

Numbers = NDArray[np.float64]
MetricName = Literal["mase", "rmsse", "mae", "rmse", "smape"]


@dataclass(frozen=True)
class Judge:
    """Measures forecasts of the same windows.

    Attributes
    ----------
    places : the windows
    actual, observed : [windows, horizon], what came, in the unit of the panel's values
    unit : [windows], in-sample error of the seasonal naive forecast of each window's series
    power : exponent of the target's transform, undone before errors are measured
    metric : the measure
    """

    places: Places
    actual: Numbers
    observed: NDArray[np.bool_]
    unit: Numbers
    power: float
    metric: MetricName

    @classmethod
    def of(cls, inputs: Inputs, places: Places, power: float, metric: MetricName) -> Self:
        """A judge of windows of a panel."""
        panel = inputs.panel
        plain = undo_power(panel.values, power)
        season = inputs.lags[0] if inputs.lags else 1
        unit = seasonal_errors(plain, panel.observed, panel.offsets, season)
        return cls(places, *actual_of(panel, places, inputs.horizon), unit[places[0]], power, metric)

    def losses(self, points: Numbers) -> Numbers:
        """The loss of each window, [windows], NaN where it cannot be told, from point forecasts [windows, horizon]."""
        forecast, actual = undo_power(points, self.power), undo_power(self.actual, self.power)
        return window_losses(forecast, actual, self.observed, self.unit, self.metric)

    def mean(self, points: Numbers) -> float:
        """The mean loss; NaN where it cannot be told."""
        found = self.losses(points)
        return float(np.nanmean(found)) if np.isfinite(found).any() else float("nan")


@dataclass(frozen=True)
class HeldOut:
    """What a fit made of the windows that it held out, in the target's own unit.

    Attributes
    ----------
    series : [windows], as indices into the ids of the fit
    first : [windows], grid position of the first step
    points, actual, observed : [windows, horizon]
    unit : [windows], see `window_losses`
    metric : the measure
    """

    series: NDArray[np.int64]
    first: NDArray[np.int64]
    points: Numbers
    actual: Numbers
    observed: NDArray[np.bool_]
    unit: Numbers
    metric: MetricName

    @classmethod
    def of(cls, judge: Judge, inputs: Inputs, points: Numbers) -> Self:
        """Forecasts `points` [windows, horizon] of a judge's windows, in the unit of the panel's values."""
        series, position = judge.places
        return cls(
            inputs.numbers[series] - 1,
            inputs.panel.starts[series] + position,
            undo_power(points, judge.power),
            undo_power(judge.actual, judge.power),
            judge.observed,
            judge.unit,
            judge.metric,
        )

    def select(self, windows: NDArray[np.bool_], observed: NDArray[np.bool_]) -> Self:
        """Some of the windows, and of their steps."""
        return replace(
            self,
            series=self.series[windows],
            first=self.first[windows],
            points=self.points[windows],
            actual=self.actual[windows],
            observed=observed[windows],
            unit=self.unit[windows],
        )

    def losses(self, points: Numbers) -> Numbers:
        """The loss of forecasts [windows, horizon] of these windows, [windows]; NaN where it cannot be told."""
        return window_losses(points, self.actual, self.observed, self.unit, self.metric)


def window_losses(
    forecast: Numbers, actual: Numbers, observed: NDArray[np.bool_], unit: Numbers, metric: MetricName
) -> Numbers:
    """The loss of each window, [windows]; NaN where it cannot be told.

    Parameters
    ----------
    forecast, actual, observed : [windows, horizon]
    unit : [windows], in-sample error of the seasonal naive forecast of each window's series
    """
    error = np.abs(actual - forecast)
    if metric in ("rmse", "rmsse"):
        error = error**2
    if metric == "smape":
        size = np.abs(actual) + np.abs(forecast)
        error = np.where(size > 0, 2 * error / np.where(size > 0, size, 1.0), 0.0)
    count = observed.sum(1)
    loss = np.where(observed, error, 0.0).sum(1) / np.maximum(count, 1)
    if metric in ("mase", "rmsse"):
        divisor = unit if metric == "mase" else unit**2
        loss = np.where(divisor > 0, loss / np.where(divisor > 0, divisor, 1.0), np.nan)
    return np.where(count > 0, loss, np.nan)
