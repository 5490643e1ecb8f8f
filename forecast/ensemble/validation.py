"""Validation windows of a fit: their actuals, and the losses of forecasts."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from forecast.intervals.own_past import error_unit, step_sizes
from forecast.metrics.metrics import find_measure, naive_errors, window_losses
from forecast.panel.panel import Flags, Integers, Numbers
from forecast.windows.inputs import Inputs, undo_power
from forecast.windows.origins import values_at
from forecast.windows.windows import WindowIndex

EXACT_ERROR = 1e-3  # an error below this share of the naive error counts as none


@dataclass(frozen=True)
class ValidationSet:
    """Validation windows with their actual values, and what losses and calibration need of them."""

    windows: WindowIndex  # the series of each window, and the position after its past
    actual: Numbers  # [windows, horizon], in the unit of the panel's values
    observed: Flags
    # [windows], standard deviation of each window's past; 0 where the past is constant
    scale: Numbers
    sizes: Numbers  # [windows, horizon], relative size of changes, see `step_sizes`
    naive_error: Numbers  # [windows], that of the series, to the power that the metric needs
    lookback: int  # steps that the scale is computed from
    power: float  # exponent of the target's transform, undone before errors are measured
    metric: str
    levels: tuple[float, ...]  # of the quantiles that are compared

    @classmethod
    def measure(
        cls,
        inputs: Inputs,
        windows: WindowIndex,
        lookback: int,
        metric: str,
        context: int,
    ) -> Self:
        panel = inputs.panel
        series, position = windows
        target = replace(panel, values=undo_power(panel.values, inputs.power))
        naive = naive_errors(target, inputs.season, find_measure(metric).error_power)
        first = panel.starts[series] + position
        actual = values_at(panel, series, first, inputs.horizon)
        actual = inputs.as_known(actual, windows)
        return cls(
            windows=windows,
            actual=np.nan_to_num(actual),
            observed=np.isfinite(actual),
            scale=window_scale(inputs, windows, lookback),
            sizes=step_sizes(inputs, windows, context),
            naive_error=naive[series],
            lookback=lookback,
            power=inputs.power,
            metric=metric,
            levels=inputs.levels,
        )

    def __len__(self) -> int:
        return len(self.windows[0])

    def select(self, rows: Integers) -> Self:
        """The windows with these numbers."""
        series, position = self.windows
        names = "actual", "observed", "scale", "sizes", "naive_error"
        arrays = {name: getattr(self, name)[rows] for name in names}
        windows = series[rows], position[rows]
        return replace(self, windows=windows, **arrays)

    def unit(self, step_share: float) -> Numbers:
        """The unit of errors, [windows, horizon], see `error_unit`."""
        return error_unit(self.scale, self.sizes, step_share)

    def losses(self, quantiles: Numbers) -> Numbers:
        """The loss of each window, [windows], of quantiles [windows, horizon, levels].

        Point forecasts are [windows, horizon, 1]. The loss is NaN where nothing was observed.
        """
        return self._losses(self.metric, quantiles, self.naive_error)

    def mean_loss(self, quantiles: Numbers) -> float:
        """The mean loss of quantiles [windows, horizon, levels]; NaN if nothing was observed."""
        losses = self.losses(quantiles)
        losses = losses[~np.isnan(losses)]
        return float(losses.mean()) if len(losses) else float("nan")

    def is_exact(self, quantiles: Numbers) -> bool:
        """Whether medians of quantiles miss by less than EXACT times the naive error."""
        power = find_measure(self.metric).error_power
        naive_error = self.naive_error ** (1 / power)
        errors = self._losses("mase", quantiles, naive_error)
        return bool(np.isfinite(errors).any() and np.nanmax(errors) < EXACT_ERROR)

    def _losses(self, metric: str, quantiles: Numbers, naive_error: Numbers) -> Numbers:
        """Losses [windows] by a metric, measured after the target's transform has been undone."""
        actual = undo_power(self.actual, self.power)
        actual = np.where(self.observed, actual, np.nan)
        quantiles = undo_power(quantiles, self.power)
        return window_losses(metric, actual, quantiles, self.levels, naive_error)


@dataclass(frozen=True)
class ValidationForecasts:
    """The ensemble's forecasts of the validation windows, in the target's own unit."""

    series: Integers  # [windows], as indices into the ids of the fit
    first: Integers  # [windows], grid position of the first step
    quantiles: Numbers  # [windows, horizon, levels]
    actual: Numbers  # [windows, horizon]
    observed: Flags
    naive_error: Numbers  # [windows], see `window_losses`
    metric: str
    levels: tuple[float, ...]
    # quantiles of the best baseline, which the ensemble is compared with; NaN in windows that it
    # did not forecast; None if there is no baseline
    rival: Numbers | None = None

    @classmethod
    def measure(
        cls, validation: ValidationSet, inputs: Inputs, quantiles: Numbers, rival: Numbers | None
    ) -> Self | None:
        """From quantiles [windows, horizon, levels] of the ensemble and the best baseline (`rival`).

        Both are in the unit of the panel's values. Windows without a forecast are left out; None if
        all are.
        """
        rows = np.flatnonzero(~np.isnan(quantiles).any((1, 2)))
        if not len(rows):
            return None
        forecast = validation.select(rows)
        windows = forecast.windows
        series, position = windows
        return cls(
            series=inputs.series_index[series],
            first=inputs.panel.starts[series] + position,
            quantiles=inputs.restore(quantiles[rows], windows),
            actual=inputs.restore(forecast.actual, windows),
            observed=forecast.observed,
            naive_error=forecast.naive_error,
            metric=validation.metric,
            levels=validation.levels,
            rival=None if rival is None else inputs.restore(rival[rows], windows),
        )

    def select(self, windows: Flags, observed: Flags) -> Self:
        fields = vars(self) | {"observed": observed}
        arrays: dict[str, Any] = {
            name: values[windows]
            for name, values in fields.items()
            if isinstance(values, np.ndarray)
        }
        return replace(self, **arrays)

    def losses(self, quantiles: Numbers) -> Numbers:
        """The loss, [windows], of other quantiles [windows, horizon, levels] of these windows.

        It is NaN where nothing was observed.
        """
        actual = np.where(self.observed, self.actual, np.nan)
        return window_losses(self.metric, actual, quantiles, self.levels, self.naive_error)


def window_scale(inputs: Inputs, windows: WindowIndex, lookback: int) -> Numbers:
    """[windows], the standard deviation of each window's past; 0 where the past is constant."""
    cut = inputs.arrays.cut(lookback, "standard")
    _, scale, weight = cut.scales(*windows)
    return np.where(weight > 0, scale[:, 0], 0.0)
