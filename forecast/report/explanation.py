"""Explain forecasts: the parts that each consists of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from forecast.effects.event_effects import EFFECT_PRIORS, compute_event_factors
from forecast.errors import BadData
from forecast.inference.forecasting import columns_at, forecast_series
from forecast.inference.predictor import Predictor, find_closed_values
from forecast.panel.comparing import require_known
from forecast.panel.panel import Ids, Integers, Numbers, Panel, find_series, ids_at, series_index
from forecast.panel.schema import Schema
from forecast.tables.writing import Frame, build_frame

FORECAST_PARTS = ("median", "level", "season", "events", "known", "rest")
"""The columns of the parts; the others add up to the first, the median."""


@dataclass(frozen=True)
class ExplanationPriors:
    """How far season and slope are drawn to those of the past."""

    seasons: int = 8  # past seasons, at most, from which the priors of season and slope come
    weight: float = 0.1  # weight of these priors, against a weight of 1 of each forecast step


EXPLANATION_PRIORS = ExplanationPriors()


def compute_parts(predictor: Predictor, panel: Panel, series: Integers) -> dict[str, Numbers]:
    """The `FORECAST_PARTS` of the forecasts of some series, each [series, horizon], in the target's unit.

    The median is neither rounded nor bounded. The part `events` is the effect of events that is
    added back to the forecast. The part `known` is the difference from a forecast for which columns
    known in advance have their usual values. The remainder is split by least squares into a line
    (`level`) and a season. Both are shrunk towards those of the newest past, which tell them apart
    if the horizon is shorter than two seasons. Without a season the level is the whole remainder.
    """
    fitted = predictor.fitted
    schema = fitted.schema

    def medians(predictor: Predictor, panel: Panel) -> Numbers:
        return predictor.predict_quantiles(panel)[..., fitted.config.levels.index(0.5)]

    unique, rows = np.unique(series, return_inverse=True)
    part = panel.select(unique)
    index = series_index(fitted.history.ids, part.ids)
    events = fitted.effects.events
    without_effects = part
    if events is not None:
        factor, shift = compute_event_factors(part, schema, events, index)
        fixed = find_closed_values(fitted, part)
        if fixed is not None:
            # closed slots keep their values, by which they are found again
            is_closed = np.isfinite(fixed)
            factor[is_closed] = 1.0
            shift[is_closed] = 0.0
        observed = part.observed & (factor >= EFFECT_PRIORS.hidden)
        rest = (part.values - shift) / np.where(observed, factor, 1.0)
        values = np.where(observed, rest, 0.0)
        without_effects = replace(part, values=values, observed=observed)
    serving = predictor.replace_fitted(
        replace(fitted, effects=replace(fitted.effects, events=None))
    )
    without_events = medians(serving, without_effects)
    median = without_events if events is None else medians(predictor, part)
    usual = without_events
    if schema.known:
        usual = medians(serving, _set_usual_columns(without_effects, schema))
    level = usual
    season = np.zeros_like(usual)
    length = max(schema.season, default=1)
    if length > 1:
        pasts = [_past_season(without_effects, i, length) for i in range(len(part))]
        profiles, slopes = map(np.array, zip(*pasts, strict=True))
        level, season = _split(usual, profiles, slopes)
    columns = without_events - usual
    parts = (median, level, season, median - without_events, columns, usual - level - season)
    return {name: numbers[rows] for name, numbers in zip(FORECAST_PARTS, parts, strict=True)}


def _set_usual_columns(panel: Panel, schema: Schema) -> Panel:
    """A panel whose known columns have their usual values in the horizon.

    These are the median of the past, or its most frequent category.
    """
    known = panel.known.copy()
    for series, (column, name) in product(range(len(panel)), enumerate(schema.known)):
        past = panel.slots(series)
        values = np.sort(panel.known[past, column])
        values = values[np.isfinite(values)]
        if not len(values):
            continue
        usual = values[(len(values) - 1) // 2]
        if name in schema.categories:
            categories, counts = np.unique(values, return_counts=True)
            usual = categories[np.argmax(counts)]
        known[past.stop : panel.offsets[series + 1], column] = usual
    return replace(panel, known=known, vintages=None)


def _past_season(panel: Panel, series: int, length: int) -> tuple[Numbers, float]:
    """The mean season of the newest past of a series, [length], and its slope in each step.

    The season is what is left without level and slope.
    """
    slots = panel.slots(series)
    values = np.where(panel.observed[slots], panel.values[slots], np.nan)
    count = min(len(values) // length, EXPLANATION_PRIORS.seasons)
    if not count:
        return np.zeros(length), 0.0
    folded = values[len(values) - count * length :].reshape(count, length)
    means = _means(folded, 1)
    observed_seasons = np.flatnonzero(np.isfinite(folded).any(1))
    slope = 0.0
    if len(observed_seasons) > 1:
        growth, _ = np.polyfit(observed_seasons, means[observed_seasons], 1)
        slope = growth / length
    line = slope * (np.arange(length) - (length - 1) / 2)
    profile = _means(folded - means[:, None] - line, 0)
    return profile - profile.mean(), slope


def _means(values: Numbers, axis: int) -> Numbers:
    """Means of the values that are not NaN; 0 if there are none."""
    count = np.isfinite(values).sum(axis)
    return np.asarray(np.nansum(values, axis) / np.maximum(count, 1))


def _split(path: Numbers, seasons: Numbers, slopes: Numbers) -> tuple[Numbers, Numbers]:
    """Split forecasts [series, horizon] into a line and a season.

    `seasons` [series, season] and `slopes` [series] are those of the past, as priors.
    """
    horizon = path.shape[1]
    steps = np.arange(horizon)
    phase = steps % seasons.shape[1]
    phases = min(horizon, seasons.shape[1])
    dummies = np.eye(phases)[phase]
    line = np.stack([np.ones(horizon), steps / horizon], 1)
    design = np.concatenate([line, dummies], 1)
    weights = [EXPLANATION_PRIORS.weight] * (1 + phases)
    prior = np.diag([0.0, *weights])
    level = slopes[:, None] * steps
    season = seasons[:, phase]
    remainder = path - level - season
    normal = design.T @ design + prior
    coefficients = np.linalg.solve(normal, design.T @ remainder.T).T  # [series, 2 + phases]
    level = level + coefficients[:, :2] @ line.T
    season = season + coefficients[:, 2:] @ dummies.T
    return level, season


@dataclass(frozen=True)
class Explanation:
    """The parts that forecasts consist of.

    Attributes
    ----------
    parts : a row for each forecast: id columns, time column, ``median``, and ``level``, ``season``,
        ``events``, ``known`` and ``rest``, which add up to it
    ids : the ids of the series of the parts, in their order
    """

    parts: Frame
    ids: Ids


def explain_panel(
    predictor: Predictor, panel: Panel, name: str, names: Sequence[str] | None = None
) -> Explanation:
    """Explain the forecasts of a panel, read as at fit, with a horizon of future slots.

    The parts are those of the series with these `names`; of the first series if `names` is empty,
    and of all series by default.
    """
    fitted = predictor.fitted
    schema = fitted.schema
    horizon = fitted.config.horizon
    series = forecast_series(panel)
    if not len(series):
        raise BadData("no series has a forecast, so there is nothing to explain", place=name)
    if names is not None:
        ids = ids_at(panel, series)
        rows = [find_series(ids, series_name) for series_name in dict.fromkeys(names)]
        series = series[rows or [0]]
    require_known(panel, schema, horizon, name)
    numbers = compute_parts(predictor, panel, series)
    steps = np.arange(1, horizon + 1)
    parts = build_frame(columns_at(panel, schema, series, steps, numbers))
    return Explanation(parts, ids_at(panel, series))
