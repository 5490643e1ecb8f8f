"""What forecasts of given windows are worth: their loss against what came."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from forecast.ensemble.components import actual_of
from forecast.evaluation.metrics import error_units, window_losses
from forecast.panel.inputs import Inputs
from forecast.panel.transforms import undo_power
from forecast.panel.windows import WindowIndex
from forecast.settings import Metric

Numbers = NDArray[np.float64]

EXACT = 1e-3  # share of the unit of scaled errors below which nothing is left to be learned


@dataclass(frozen=True)
class Judge:
    """Measures forecasts of the same windows.

    Attributes
    ----------
    places : the windows
    actual, observed : [windows, horizon], what came, in the unit of the panel's values
    unit : [windows], unit of scaled errors of each window's series, squared for RMSSE
    power : exponent of the target's transform, undone before errors are measured
    metric : the measure
    """

    places: WindowIndex
    actual: Numbers
    observed: NDArray[np.bool_]
    unit: Numbers
    power: float
    metric: Metric

    @classmethod
    def of(cls, inputs: Inputs, places: WindowIndex, power: float, metric: Metric) -> Self:
        """A judge of windows of a panel."""
        panel = inputs.panel
        plain = undo_power(panel.values, power)
        season = inputs.lags[0] if inputs.lags else 1
        unit = error_units(plain, panel.observed, panel.offsets, season, 2 if metric == "rmsse" else 1)
        return cls(places, *actual_of(panel, places, inputs.horizon), unit[places[0]], power, metric)

    def losses(self, points: Numbers) -> Numbers:
        """The loss of each window, [windows], NaN where it cannot be told, from point forecasts [windows, horizon]."""
        forecast, actual = undo_power(points, self.power), undo_power(self.actual, self.power)
        return window_losses(self.metric, np.where(self.observed, actual, np.nan), forecast, self.unit)

    def exact(self, points: Numbers) -> bool:
        """Whether point forecasts [windows, horizon] miss by less than a thousandth of the unit of scaled errors."""
        unit = np.sqrt(self.unit) if self.metric == "rmsse" else self.unit
        actual = np.where(self.observed, undo_power(self.actual, self.power), np.nan)
        found = window_losses("mase", actual, undo_power(points, self.power), unit)
        return bool(np.isfinite(found).any() and np.nanmax(found) < EXACT)

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
    unit : [windows], unit of scaled errors, see `window_losses`
    metric : the measure
    """

    series: NDArray[np.int64]
    first: NDArray[np.int64]
    points: Numbers
    actual: Numbers
    observed: NDArray[np.bool_]
    unit: Numbers
    metric: Metric

    @classmethod
    def of(cls, judge: Judge, inputs: Inputs, points: Numbers) -> Self:
        """Forecasts `points` [windows, horizon] of a judge's windows, in the unit of the panel's values."""
        series, position = judge.places
        return cls(
            inputs.series_index[series] - 1,
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
        return window_losses(self.metric, np.where(self.observed, self.actual, np.nan), points, self.unit)
