"""Baselines of a fit: with their seasons, their forecasts of the validation windows, and their past errors."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from forecast.baselines import baseline_method, baseline_names
from forecast.baselines.shared.windows import forecast_baseline
from forecast.ensemble.validation import ValidationSet
from forecast.evaluation.past_errors import error_quantiles
from forecast.panel.inputs import Inputs
from forecast.panel.panel import Panel
from forecast.panel.windows import WindowIndex
from forecast.training.split import ORIGINS, VALIDATION_WINDOWS

MIN_CONTEXT, CONTEXT_SEASONS = 200, 6  # steps and seasons that a baseline looks back at least
MAX_CELLS = 4_000_000  # past values that are laid out side by side at once

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Baseline:
    """A baseline with its season.

    Attributes
    ----------
    name : of the method
    season : steps, 1 for none
    label : the name, with the season where it is not the first one of the data
    """

    name: str
    season: int
    label: str


def baselines_of(names: tuple[str, ...], seasons: tuple[int, ...]) -> list[Baseline]:
    """The baselines called `names`; those that repeat a season come once for each season."""
    baselines = []
    for name in names:
        for place, season in enumerate(seasons or (1,)):
            if place == 0 or baseline_method(name).repeats_season:
                baselines.append(Baseline(name, season, name if place == 0 else f"{name}-{season}"))
    return baselines


def base_name(label: str) -> str:
    """The name of the baseline with this label: seasonal-naive for seasonal-naive-24."""
    return label if label in baseline_names() else label.rpartition("-")[0]


def baseline_labelled(label: str, seasons: tuple[int, ...]) -> Baseline:
    """The baseline that has this label where the data have these seasons.

    Raises
    ------
    ValueError
        If no baseline has this label.
    """
    name = base_name(label)
    for baseline in baselines_of((name,), seasons) if name in baseline_names() else ():
        if baseline.label == label:
            return baseline
    raise ValueError(f"no baseline '{label[:80]}' for these seasons")


def context_length(lookback: int, seasons: tuple[int, ...], longest: int) -> int:
    """Steps of the past that baselines see."""
    return max(1, min(longest, max(lookback, MIN_CONTEXT, CONTEXT_SEASONS * (seasons or (1,))[0], *seasons)))


def baseline_points(panel: Panel, windows: WindowIndex, baseline: Baseline, horizon: int, context: int) -> Numbers:
    """Point forecasts of a baseline, [windows, horizon], in the unit of the panel's values.

    Parameters
    ----------
    context : steps of the past that it sees
    """
    series, position = windows
    parts = [np.zeros((0, horizon))]
    rows = max(1, MAX_CELLS // context)
    for low in range(0, len(series), rows):
        some, end = series[low : low + rows], position[low : low + rows]
        step = end[:, None] + np.arange(-context, 0)  # [windows, context]
        slot = panel.offsets[some][:, None] + np.maximum(step, 0)
        observed = (step >= 0) & panel.observed[slot]
        past = np.where(observed, panel.values[slot], 0.0)
        parts.append(forecast_baseline(baseline.name, past, observed, horizon, baseline.season))
    return np.concatenate(parts)


@dataclass(frozen=True)
class BaselineForecasts:
    """Forecasts of baselines, for the validation windows and for windows over the whole past.

    Without a baseline there is nothing that networks are compared with: they forecast in any case.

    Attributes
    ----------
    baselines : with their seasons
    context : steps of the past that they see
    points : [baselines, windows, horizon], of the validation windows
    past : windows over the whole past
    past_points : [baselines, windows, horizon], of those
    errors : [baselines, horizon, levels], quantiles of their past errors, in units of a window's scale
    """

    baselines: list[Baseline]
    context: int
    points: Numbers
    past: ValidationSet
    past_points: Numbers
    errors: Numbers

    @classmethod
    def of(cls, inputs: Inputs, validation: ValidationSet, names: tuple[str, ...], context: int) -> Self:
        """Forecast by the baselines called `names`, which see `context` steps of the past."""
        panel, horizon, baselines = inputs.panel, inputs.horizon, baselines_of(names, inputs.lags)
        windows = _past_windows(panel, inputs.lags[0] if inputs.lags else 1)
        past = ValidationSet.of(inputs, windows, validation.lookback, validation.power, validation.metric)

        def forecast(windows: WindowIndex) -> Numbers:
            points = np.zeros((len(baselines), len(windows[0]), horizon))
            for place, baseline in enumerate(baselines):
                points[place] = baseline_points(panel, windows, baseline, horizon, context)
            return points

        past_points = forecast(windows)
        errors = np.zeros((len(baselines), horizon, len(inputs.levels)))
        for place, points in enumerate(past_points):
            errors[place] = error_quantiles(points, past.actual, past.observed, past.scale, inputs.levels, windows)
        return cls(baselines, context, forecast(validation.windows), past, past_points, errors)

    def suffice(self, validation: ValidationSet) -> bool:
        """Whether networks cannot help: a baseline is exact on the validation windows, or no window can be compared."""
        if not self.baselines:
            return False
        comparable = any(np.isfinite(validation.losses(points)).any() for points in self.points)
        return not comparable or any(validation.is_exact(points) for points in self.points)


def _past_windows(panel: Panel, season: int) -> WindowIndex:
    """Windows over the whole past of a panel, up to its last values."""
    usable = np.flatnonzero(panel.lengths >= 2)
    if len(usable) > VALIDATION_WINDOWS:
        usable = usable[np.linspace(0, len(usable) - 1, VALIDATION_WINDOWS).astype(np.int64)]
    origins = int(np.clip(VALIDATION_WINDOWS // max(len(usable), 1), 1, ORIGINS))
    newest = panel.lengths[usable] - 1
    oldest = np.maximum(1, np.minimum(max(2 * season, 8), newest // 2))
    steps = (np.arange(origins) + 0.5) / origins
    position = oldest[:, None] + np.round(steps * (newest - oldest)[:, None]).astype(np.int64)
    pairs = np.unique(np.stack([np.repeat(usable, origins), position.ravel()], 1), axis=0)
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])
