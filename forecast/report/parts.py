"""The parts of a forecast: level, season, events, known columns and the rest, which add up to its median."""

from dataclasses import replace

import numpy as np

from forecast.events.effects import ordinary_panel
from forecast.inference.predictor import Predictor, fixed_of
from forecast.panel.panel import Integers, Numbers, Panel, series_index
from forecast.panel.schema import Schema

SEASONS = 8  # of the past, at most, from which season and slope are known before
PRIOR_WEIGHT = 0.1  # of that season and that slope, against each step of the forecast
PARTS = ("median", "level", "season", "events", "known", "rest")
"""The columns of the parts; the others add up to the first, the median."""


def parts_of(predictor: Predictor, panel: Panel, series: Integers) -> dict[str, Numbers]:
    """`PARTS` of the forecasts of some series, indices into the panel: [series, horizon], in the target's unit.

    The median is neither rounded nor bounded. The events are what is put back into the forecast. Known columns are what
    it changes by where they have their usual values in the horizon. What is left is a line, the level, and a season by
    least squares; both are drawn towards those of the newest past, which tell them apart where the horizon is shorter
    than two seasons. Without a season the level is all that is left.
    """
    predictor = predictor.remembering()
    fitted = predictor.fitted
    schema, middle = fitted.config.table, fitted.config.levels.index(0.5)
    unique, inverse = np.unique(series, return_inverse=True)
    part = panel.select(unique)
    index = series_index(fitted.history.ids, part.ids)
    _, moved = ordinary_panel(part, schema, fitted.effects, index, fixed_of(fitted, part))
    # closed slots keep their values, by which they are found again
    ordinary = part if moved is None else replace(moved, fixed=None).removed(part)
    serving = predictor.serving(replace(fitted, effects=None))
    without_events = serving.predict_quantiles(ordinary)[..., middle]
    median = without_events if fitted.effects is None else predictor.predict_quantiles(part)[..., middle]
    usual = _with_usual_columns(ordinary, schema)
    plain = serving.predict_quantiles(usual)[..., middle] if schema.known else without_events
    length = max((length for length in schema.season if length > 1), default=1)
    level, season = plain, np.zeros_like(plain)
    if length > 1:
        profiles, slopes = zip(*(_past_season(ordinary, i, length) for i in range(len(part))), strict=True)
        level, season = _split(plain, np.stack(profiles), np.array(slopes))
    parts = (median, level, season, median - without_events, without_events - plain, plain - level - season)
    return {name: numbers[inverse] for name, numbers in zip(PARTS, parts, strict=True)}


def _with_usual_columns(panel: Panel, schema: Schema) -> Panel:
    """A panel whose known columns have, in the future of each series, the values that are usual in its past.

    That of a number is the median, so that it is a value of the past; that of a category the most frequent value.
    """
    known = panel.known.copy()
    for series in range(len(panel)):
        past = panel.slots(series)
        for column, name in enumerate(schema.known):
            seen = panel.known[past, column]
            seen = np.sort(seen[np.isfinite(seen)])
            if len(seen):
                values, counts = np.unique(seen, return_counts=True)
                usual = values[np.argmax(counts)] if name in schema.categories else seen[(len(seen) - 1) // 2]
                known[past.stop : panel.offsets[series + 1], column] = usual
    return replace(panel, known=known)


def _past_season(panel: Panel, series: int, length: int) -> tuple[Numbers, float]:
    """The season of the newest past of a series, [length], and what its level grows by in a step.

    The season is the mean of each phase around the mean of its season, the first for the first step ahead.
    """
    slots = panel.slots(series)
    values = np.where(panel.observed[slots], panel.values[slots], np.nan)[-SEASONS * length :]
    count = len(values) // length
    if not count:
        return np.zeros(length), 0.0
    folded = values[len(values) - count * length :].reshape(count, length)
    seen = np.isfinite(folded)
    means = np.where(seen, folded, 0.0).sum(1) / np.maximum(seen.sum(1), 1)
    whole = np.flatnonzero(seen.any(1))
    slope = float(np.polyfit(whole, means[whole], 1)[0]) / length if len(whole) > 1 else 0.0
    rest = folded - means[:, None] - slope * (np.arange(length) - (length - 1) / 2)
    profile = np.where(seen, rest, 0.0).sum(0) / np.maximum(seen.sum(0), 1)
    return np.asarray(profile - profile.mean()), slope


def _split(path: Numbers, seasons: Numbers, slopes: Numbers) -> tuple[Numbers, Numbers]:
    """The line and the season of forecasts [series, horizon], from prior seasons [series, season] and slopes."""
    horizon, length = path.shape[1], seasons.shape[1]
    phase, phases = np.arange(horizon) % length, min(horizon, length)
    dummies = np.eye(phases)[phase]
    line = np.stack([np.ones(horizon), np.arange(horizon) / horizon], 1)
    design = np.concatenate([line, dummies], 1)
    prior = np.diag([0.0, *[PRIOR_WEIGHT] * (1 + phases)])
    level, season = slopes[:, None] * np.arange(horizon), seasons[:, phase]
    moved = path - level - season
    found = np.linalg.solve(design.T @ design + prior, design.T @ moved.T).T  # [series, 2 + phases]
    return level + found[:, :2] @ line.T, season + found[:, 2:] @ dummies.T
