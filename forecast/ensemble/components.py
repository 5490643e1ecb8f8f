"""What a forecast may be mixed from: the networks as one, and each baseline, as quantiles in one unit."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forecast.baselines import baseline_method
from forecast.baselines.shared.windows import forecast_baseline
from forecast.panel.panel import Panel
from forecast.panel.windows import WindowIndex
from forecast.training.split import ORIGINS, VALIDATION_WINDOWS

MEMORY, SEASONS = 200, 6  # steps and seasons of the past that a baseline looks back

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


def baselines_of(names: tuple[str, ...], lags: tuple[int, ...]) -> list[Baseline]:
    """The baselines called `names`; those that repeat a season come once for each season."""
    found = []
    for name in names:
        for at, season in enumerate(lags or (1,)):
            if at == 0 or baseline_method(name).repeats_season:
                found.append(Baseline(name, season, name if at == 0 else f"{name}-{season}"))
    return found


def memory_of(lookback: int, lags: tuple[int, ...], longest: int) -> int:
    """Steps of the past that baselines see."""
    return max(1, min(longest, max(lookback, MEMORY, SEASONS * (lags[0] if lags else 1), *lags)))


def baseline_points(panel: Panel, places: WindowIndex, baseline: Baseline, horizon: int, memory: int) -> Numbers:
    """What a baseline forecasts for windows, [windows, horizon], in the unit of the panel's values."""
    series, position = places
    parts = [np.zeros((0, horizon))]
    chunk = max(1, 4_000_000 // memory)
    for start in range(0, len(series), chunk):
        one, end = series[start : start + chunk], position[start : start + chunk]
        place = end[:, None] + np.arange(-memory, 0)  # [windows, memory]
        slot = panel.offsets[one][:, None] + np.maximum(place, 0)
        observed = (place >= 0) & panel.observed[slot]
        past = np.where(observed, panel.values[slot], 0.0)
        parts.append(forecast_baseline(baseline.name, past, observed, horizon, baseline.season))
    return np.concatenate(parts)


def actual_of(panel: Panel, places: WindowIndex, horizon: int) -> tuple[Numbers, NDArray[np.bool_]]:
    """What came after windows, and where it was observed, [windows, horizon] twice."""
    series, position = places
    ahead = position[:, None] + np.arange(horizon)
    inside = ahead < panel.lengths[series][:, None]
    slot = panel.offsets[series][:, None] + np.where(inside, ahead, 0)
    return panel.values[slot], inside & panel.observed[slot]


def past_places(panel: Panel, season: int) -> WindowIndex:
    """Windows all over the past of a panel, up to its last values: where the errors of baselines are collected."""
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
