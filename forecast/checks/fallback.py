"""Put the last run's rows, and seasonal naive where they end, in the place of forecasts that a check refuses."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.baselines.shared.gaps import fill_gaps
from forecast.evaluation.quantiles import at_levels, interval_levels, normal_deviates
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import Forecasts, numbered, tabulated
from forecast.panel.panel import Flags, Integers, Numbers, runs, series_index, stacked
from forecast.settings import INTERVALS, OutputSettings

SOURCE = "source"  # column that says where the numbers of a row are from
TONIGHT, LAST_RUN, NAIVE = "forecast", "last run", "seasonal naive"
MOST = 0.1  # of the series; where more are refused, the whole run is
SEASONS = 10  # of the past, that seasonal naive looks back
DEVIATION = np.sqrt(np.pi / 2)  # standard deviation of a normal distribution whose mean absolute deviation is 1
PLACES = (0.5, *(share for level in INTERVALS for share in interval_levels(level)))  # of published numbers


def with_gone(forecasts: Forecasts, fitted: Fitted, gone: Sequence[tuple[str, ...]]) -> Forecasts | None:
    """Forecasts with room for series of the fit that the table lacks; None where the fit does not know one of them."""
    panel, index = forecasts.panel, series_index(fitted.history.ids, tuple(gone)) - 1
    if not len(index) or index.min() < 0 or set(gone) & set(panel.ids):
        return None if len(index) else forecasts
    ended = fitted.history.select(np.sort(index))
    lengths, reach = ended.lengths, np.maximum(panel.origins.max() - ended.origins, 0) + panel.ahead
    offsets, _ = runs(ended.offsets[:-1], lengths + reach)  # with gaps up to the newest time
    have, place = runs(ended.offsets[:-1], lengths)[1], runs(offsets[:-1], lengths)[1]
    arrays: dict[str, Any] = {}
    for name, nothing in (("values", 0.0), ("observed", False), ("known", np.nan), ("past", np.nan)):
        array = getattr(ended, name)
        arrays[name] = np.full((offsets[-1], *array.shape[1:]), nothing, array.dtype)
        arrays[name][place] = array[have]
    arrays |= {"offsets": offsets, "lowest": ended.lowest_seen(), "counted": ended.counts()}
    longer = replace(ended, ahead=panel.ahead, spread=None, status=("gone",) * len(ended), **arrays)
    room: dict[str, Any] = {
        name: np.pad(part, [(0, len(index)), *[(0, 0)] * (part.ndim - 1)]) for name, part in _arrays(forecasts)
    }
    series = np.append(forecasts.series, len(panel) + np.arange(len(index)))
    skipped = {ids: why for ids, why in forecasts.skipped.items() if ids not in gone}
    joined = stacked([replace(panel, spread=None), longer])
    return replace(forecasts, panel=joined, series=series, skipped=skipped, **room)


def _arrays(forecasts: Forecasts) -> list[tuple[str, Numbers]]:
    return [(name, getattr(forecasts, name)) for name in ("quantiles", "shown", "means")]


def replaced(
    forecasts: Forecasts, fitted: Fitted, output: OutputSettings, series: Flags, earlier: Numbers
) -> tuple[Forecasts, NDArray[np.object_]]:
    """Forecasts in which some `series` [series] have the numbers of the last run, and where each row is from [rows].

    `earlier` [series, horizon, 5] is what the last run published for the same times, NaN where it has nothing.
    """
    chosen, published = np.flatnonzero(series), earlier[series]
    known = np.isfinite(published[..., 0])
    naive = _naive(forecasts, fitted, forecasts.series[chosen], published[..., 0])
    numbers = np.where(known[..., None], published, naive)
    quantiles = at_levels(numbers[..., np.argsort(PLACES)], tuple(sorted(PLACES)), fitted.config.levels)
    parts: dict[str, Any] = {name: part.copy() for name, part in _arrays(forecasts)}
    parts["quantiles"][chosen] = parts["shown"][chosen] = quantiles
    parts["means"][chosen] = numbers[..., 0]
    source = np.full(forecasts.means.shape, TONIGHT, object)
    source[chosen] = np.where(known, LAST_RUN, NAIVE)
    return tabulated(numbered(replace(forecasts, **parts), fitted, output), fitted, output), source.ravel()


def _naive(forecasts: Forecasts, fitted: Fitted, series: Integers, medians: Numbers) -> Numbers:
    """Seasonal naive where `medians` [series, horizon] are NaN, with its error at the fit, [series, horizon, 5]."""
    panel, season, horizon = forecasts.panel, fitted.config.table.shortest_season, medians.shape[1]
    back = np.arange(-SEASONS * season, 0)
    slots = (panel.offsets[series] + panel.lengths[series])[:, None] + back
    inside = slots >= panel.offsets[series][:, None]
    slots = np.where(inside, slots, 0)
    values = np.concatenate([np.where(inside, panel.values[slots], 0.0), np.nan_to_num(medians)], 1)
    observed = np.concatenate([inside & panel.observed[slots], np.isfinite(medians)], 1)
    filled = fill_gaps(values, observed, season)[:, -horizon:, None]
    index = series_index(fitted.history.ids, panel.ids)[series]
    deviation = DEVIATION * np.nan_to_num(np.r_[np.nan, fitted.seasonal_error][index])
    return np.asarray(filled + deviation[:, None, None] * normal_deviates(PLACES))
