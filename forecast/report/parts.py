"""The parts of a forecast: level, season, events, known columns and the rest, which add up to its median."""

from dataclasses import dataclass, fields, replace

import numpy as np

from forecast.inference.predictor import Predictor
from forecast.panel.effects import ordinary_panel
from forecast.panel.panel import Integers, Numbers, Panel, series_index
from forecast.panel.schema import Schema

SEASONS = 3  # of the past, from whose mean the season is known before
BELIEF = 0.1  # in that season, against each step of the forecast
LEAST = 1e-6  # belief in a level that stays where it is, where nothing else tells


@dataclass(frozen=True)
class Parts:
    """What forecasts are made of, in the target's unit; the last five add up to the median.

    Attributes
    ----------
    median : [series, horizon], neither rounded nor bounded
    level : [series, horizon], a straight line; without a season the forecast without events and known columns
    season, events, known, rest : [series, horizon]
    """

    median: Numbers
    level: Numbers
    season: Numbers
    events: Numbers
    known: Numbers
    rest: Numbers


def parts_of(predictor: Predictor, panel: Panel, series: Integers) -> Parts:
    """The parts of the forecasts of some series.

    The events are what is put back into the forecast. Known columns are what it changes by where they have their usual
    values in the horizon. What is left is a line and a season by least squares; the season is drawn towards that of the
    newest past, so that a horizon shorter than a season has one, too.

    Parameters
    ----------
    series : [series], indices into the panel
    """
    fitted = predictor.fitted
    schema, middle = fitted.config.table, fitted.config.levels.index(0.5)
    part = panel.select(np.unique(series))
    place = np.searchsorted(np.unique(series), series)
    index = series_index(fitted.history.ids, part.ids)
    ordinary, _ = ordinary_panel(part, schema, fitted.effects, index)
    serving = predictor.serving(replace(fitted, effects=None))
    without_events = serving.after(ordinary)[..., middle]
    median = without_events if fitted.effects is None else predictor.after(part)[..., middle]
    usual = with_usual_columns(ordinary, schema)
    plain = serving.after(usual)[..., middle] if schema.known else without_events
    known = max((length for length in schema.season if length > 1), default=1)
    seasons = np.stack([_season(ordinary, one, known) for one in range(len(part))])  # [series, season]
    if known == 1:
        level, season = plain, np.zeros_like(plain)
    else:
        level, season = _split(plain, seasons)
    parts = Parts(median, level, season, median - without_events, without_events - plain, plain - level - season)
    return Parts(*(getattr(parts, field.name)[place] for field in fields(Parts)))


def with_usual_columns(panel: Panel, schema: Schema) -> Panel:
    """A panel whose known columns have, in the future of each series, the values that are usual in its past.

    That of a number is the median, so that it is one that came; that of a category the most frequent one.
    """
    known = panel.known.copy()
    for one in range(len(panel)):
        past = panel.slots(one)
        for place, name in enumerate(schema.known):
            seen = panel.known[past, place]
            seen = np.sort(seen[np.isfinite(seen)])
            if not len(seen):
                continue
            values, counts = np.unique(seen, return_counts=True)
            most = values[np.argmax(counts)] if name in schema.categories else seen[(len(seen) - 1) // 2]
            known[past.stop : panel.offsets[one + 1], place] = most
    return replace(panel, known=known)


def _season(panel: Panel, one: int, length: int) -> Numbers:
    """[season], the mean of each phase around the mean of its season, the first for the first step ahead."""
    slots = panel.slots(one)
    values = np.where(panel.observed[slots], panel.values[slots], np.nan)[-SEASONS * length :]
    count = len(values) // length
    if not count:
        return np.zeros(length)
    folded = values[len(values) - count * length :].reshape(count, length)
    line = np.arange(length) - (length - 1) / 2
    with np.errstate(invalid="ignore"):
        seen = np.isfinite(folded)
        means = np.where(seen, folded, 0.0).sum(1) / np.maximum(seen.sum(1), 1)
    slope = float(np.polyfit(np.arange(count), means, 1)[0]) / length if count > 1 else 0.0
    rest = folded - means[:, None] - slope * line
    profile = np.where(seen, rest, 0.0).sum(0) / np.maximum(seen.sum(0), 1)
    return np.asarray(profile - profile.mean())


def _split(path: Numbers, seasons: Numbers) -> tuple[Numbers, Numbers]:
    """The line and the season of forecasts [series, horizon] whose season is known before [series, season]."""
    horizon, length = path.shape[1], seasons.shape[1]
    phase = np.arange(horizon) % length
    phases = min(horizon, length)
    dummies = np.eye(phases)[phase]
    line = np.stack([np.ones(horizon), np.arange(horizon) / horizon], 1)
    design = np.concatenate([line, dummies], 1)
    belief = np.diag([0.0, LEAST, *[BELIEF] * phases])
    moved = path - seasons[:, phase]
    found = np.linalg.solve(design.T @ design + belief, design.T @ moved.T).T  # [series, 2 + phases]
    return found[:, :2] @ line.T, found[:, 2:] @ dummies.T + seasons[:, phase]
