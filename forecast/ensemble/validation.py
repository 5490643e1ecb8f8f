"""Validation windows of a fit: their actuals, and the losses of forecasts."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from forecast.intervals.own_past import step_sizes
from forecast.metrics.metrics import MEASURES, naive_errors, window_losses
from forecast.panel.panel import Flags, Integers, Numbers
from forecast.settings import Metric
from forecast.windows.inputs import Inputs, undo_power
from forecast.windows.origins import values_at
from forecast.windows.windows import WindowIndex

EXACT = 1e-3  # share of the naive error below which an error counts as none


@dataclass(frozen=True)
class ValidationSet:
    windows: WindowIndex  # each a series and the position after its past
    actual: Numbers  # [windows, horizon], in the unit of the panel's values
    observed: Flags
    scale: Numbers  # [windows], deviation of each window's past; 0 where the past is constant
    sizes: Numbers  # [windows, horizon], see `step_sizes`
    naive_error: Numbers  # [windows], of each series, to the power that the metric needs
    lookback: int  # steps that the scale is computed from
    power: float  # exponent of the target's transform, undone before errors are measured
    metric: Metric

    @classmethod
    def of(
        cls,
        inputs: Inputs,
        windows: WindowIndex,
        lookback: int,
        power: float,
        metric: Metric,
        context: int,
    ) -> Self:
        panel = inputs.panel
        season, values = inputs.lags[0] if inputs.lags else 1, undo_power(panel.values, power)
        naive = naive_errors(
            values, panel.observed, panel.offsets, season, MEASURES[metric].error_power
        )[windows[0]]
        series, position = windows
        actual = values_at(panel, series, panel.starts[series] + position, inputs.horizon)
        scale = window_scale(inputs, windows, lookback)
        sizes = step_sizes(inputs, windows, context)
        return cls(
            windows,
            np.nan_to_num(actual),
            np.isfinite(actual),
            scale,
            sizes,
            naive,
            lookback,
            power,
            metric,
        )

    def __len__(self) -> int:
        return len(self.windows[0])

    def losses(self, points: Numbers) -> Numbers:
        """The loss of each window, [windows], of point forecasts [windows, horizon]; NaN if nothing was observed."""
        return window_losses(
            self.metric, self._actual(), undo_power(points, self.power), self.naive_error
        )

    def mean_loss(self, points: Numbers) -> float:
        """The mean loss of point forecasts [windows, horizon]; NaN if nothing was observed."""
        losses = self.losses(points)
        return float(np.nanmean(losses)) if np.isfinite(losses).any() else float("nan")

    def is_exact(self, points: Numbers) -> bool:
        """Whether point forecasts [windows, horizon] miss by less than a thousandth of the naive error."""
        naive_error = (
            np.sqrt(self.naive_error)
            if MEASURES[self.metric].error_power == 2
            else self.naive_error
        )
        errors = window_losses("mase", self._actual(), undo_power(points, self.power), naive_error)
        return bool(np.isfinite(errors).any() and np.nanmax(errors) < EXACT)

    def _actual(self) -> Numbers:
        """[windows, horizon], in the target's own unit, NaN where missing."""
        return np.where(self.observed, undo_power(self.actual, self.power), np.nan)


@dataclass(frozen=True)
class ValidationForecasts:
    """The ensemble's forecasts of the validation windows, in the target's own unit."""

    series: Integers  # [windows], as indices into the ids of the fit
    first: Integers  # [windows], grid position of the first step
    points: Numbers  # [windows, horizon]
    actual: Numbers
    observed: Flags
    naive_error: Numbers  # [windows], see `window_losses`
    metric: Metric
    rival: Numbers | None = (
        None  # points of the best baseline, NaN where it has none; None without baselines
    )

    @classmethod
    def of(
        cls, validation: ValidationSet, inputs: Inputs, points: Numbers, rival: Numbers | None
    ) -> Self | None:
        """From points [windows, horizon], and those of the best baseline, in the unit of the panel's values."""
        rows = np.asarray(~np.isnan(points).any(1))
        if not rows.any():
            return None
        series, position = validation.windows[0][rows], validation.windows[1][rows]

        def restored(values: Numbers) -> Numbers:
            return inputs.restored(values[rows], (series, position))

        return cls(
            series=inputs.series_index[series] - 1,
            first=inputs.panel.starts[series] + position,
            points=restored(points),
            actual=restored(validation.actual),
            observed=validation.observed[rows],
            naive_error=validation.naive_error[rows],
            metric=validation.metric,
            rival=None if rival is None else restored(rival),
        )

    def select(self, windows: Flags, observed: Flags) -> Self:
        names = (
            "series",
            "first",
            "points",
            "actual",
            "naive_error",
            *(() if self.rival is None else ("rival",)),
        )
        parts = {name: getattr(self, name)[windows] for name in names}
        return replace(self, **parts, observed=observed[windows])

    def losses(self, points: Numbers) -> Numbers:
        """The loss, [windows], of other forecasts [windows, horizon] of these windows; NaN if nothing was observed."""
        return window_losses(
            self.metric, np.where(self.observed, self.actual, np.nan), points, self.naive_error
        )


def window_scale(inputs: Inputs, windows: WindowIndex, lookback: int) -> Numbers:
    """[windows], the deviation of each window's past; 0 where the past is constant."""
    _, scale, weight = inputs.windows(lookback).scales(*windows)
    return np.where(weight > 0, scale[:, 0], 0.0)
