"""Explain forecasts: how important each input is, and which parts a forecast consists of."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np

from forecast.errors import BadData
from forecast.events.effects import Effects, adjusted_panel
from forecast.events.kinds import EVENT_DAYS, has_events, mark, with_effects_only
from forecast.inference.forecasting import columns_at, forecast_series
from forecast.inference.predictor import Predictor, fixed_of
from forecast.logs import log
from forecast.panel.naming import find_series
from forecast.panel.panel import Ids, Integers, Numbers, Panel, ids_at, series_index
from forecast.panel.schema import Schema
from forecast.reading.comparing import require_known
from forecast.settings import ExplainSettings
from forecast.tables.writing import Frame, frame_of
from forecast.threads import OnPart
from forecast.windows.origins import cut

RANDOM = ("known", "past", "static")  # kinds of inputs that are shuffled
PARTS = ("median", "level", "season", "events", "known", "rest")
"""The columns of the parts; the others add up to the first, the median."""


@dataclass(frozen=True)
class ExplanationPriors:
    """Sizes that were chosen for few repeats on two cores, and priors of season and slope."""

    windows: int = 256  # windows that are forecast in each repeat
    origins: int = 8  # origins of each series
    seasons: int = 8  # past seasons, at most, from which the priors of season and slope come
    weight: float = 0.1  # weight of these priors, against a weight of 1 of each forecast step


PRIORS = ExplanationPriors()

Change = Callable[[np.random.Generator], tuple[Predictor, Panel]]
"""In one repeat: a predictor that lacks an input, and the panel whose windows it forecasts."""


class Importance(NamedTuple):
    input: str  # the name of a column or an event, or a range of past steps
    kind: str  # known, past, static, event, or values for the past of the series themselves
    mean: float  # growth of the mean absolute error without the input, in the target's unit
    std: float  # standard deviation of that growth over repeats


def importances(
    predictor: Predictor, panel: Panel, repeats: int, seed: int = 0, on_part: OnPart | None = None
) -> list[Importance]:
    """How important each input is for the forecasts of the newest horizons, most important first.

    Forecasts start within the panel, so that they have actual values. The values of a column are
    shuffled within each series, and those of a static column between series (Breiman 2001). An
    event loses its effect, and a part of the past is hidden like missing values. Each repeat
    shuffles anew, and draws series and origins with replacement (Owen 2007). Raises `BadData` if no
    series is long enough to hold out a horizon.
    """
    held_out = _HeldOut(predictor, panel)
    inputs = list(held_out.inputs())
    rows = []
    for done, (name, kind, change) in enumerate(inputs):
        if on_part is not None:
            on_part(done, len(inputs))
        increases = held_out.increases(change, kind in RANDOM, repeats, seed)
        mean = float(np.mean(increases))
        std = float(np.std(increases))
        rows.append(Importance(name, kind, mean, std))
    return sorted(rows, key=lambda row: -row.mean)


class _HeldOut:
    """The windows on which forecasts with and without an input are compared."""

    def __init__(self, predictor: Predictor, panel: Panel) -> None:
        horizon = predictor.fitted.config.horizon
        long = np.flatnonzero((panel.lengths > horizon) & ~panel.skipped)
        if not len(long):
            problem = f"no series has more values than the horizon of {horizon}: "
            problem += "no forecast has an actual value"
            raise BadData(problem, cure="name a longer table")
        evenly = np.linspace(0, len(long) - 1, PRIORS.windows)
        rows = np.unique(evenly.astype(int))
        self.panel = panel.select(long[rows])
        # at least half of the longest series lies before the oldest origin
        half = self.panel.longest // (2 * horizon)
        fitting = PRIORS.windows // len(self.panel)
        limit = np.clip(fitting, 1, PRIORS.origins)
        count = int(np.clip(half, 1, limit))
        back = horizon * np.arange(1, count + 1)
        self.origins = self.panel.origins - back[:, None]  # [origins, series]
        self.pasts = cut(self.panel, self.origins)
        self.predictor = predictor.remembering()
        self.errors = self._errors(self.predictor, self.pasts.panel)  # with all inputs
        if not np.isfinite(self.errors).any():
            problem = "no value was observed in the newest horizons, "
            raise BadData(f"{problem}so that no forecast has an actual value")

    def _errors(self, predictor: Predictor, panel: Panel) -> Numbers:
        """[windows], mean absolute errors of the medians; NaN if there is no actual value."""
        median = predictor.fitted.config.levels.index(0.5)
        medians = predictor.predict_quantiles(panel)[..., median]
        errors = np.abs(medians - self.pasts.actual)
        count = np.isfinite(errors).sum(1)
        return np.where(count > 0, _means(errors, 1), np.nan)

    def increases(self, change: Change, random: bool, repeats: int, seed: int) -> list[float]:
        """By how much the mean absolute error grows without an input, in each repeat."""
        windows = np.flatnonzero(np.isfinite(self.errors))
        means = []
        for repeat in range(repeats):
            draw = np.random.default_rng((seed, repeat))
            if random or repeat == 0:
                worse = self._errors(*change(draw)) - self.errors
            weights = self._weights(windows, draw)
            means.append(float(np.average(worse[windows], weights=weights)))
        return means

    def _weights(self, windows: Integers, draw: np.random.Generator) -> Integers:
        """[windows], how often each window was drawn; at least one window is."""
        weights = np.zeros(len(windows), np.int64)
        while not weights.any():
            weights = np.ones(len(windows), np.int64)
            for groups_of_all in (self.pasts.series, self.pasts.origin):
                groups = groups_of_all[windows]
                values = np.unique(groups)
                drawn = draw.choice(values, len(values))
                weights *= np.bincount(drawn, minlength=groups.max() + 1)[groups]
        return weights

    def inputs(self) -> Iterator[tuple[str, str, Change]]:
        """The names, kinds and changes of all inputs of the forecaster."""
        schema = self.predictor.fitted.schema
        for kind in RANDOM:
            for column, name in enumerate(getattr(schema, kind)):
                yield name, kind, partial(self._shuffled, kind, column)
        effects = self.predictor.fitted.effects
        if effects is not None and has_events(schema):
            for name in self._events_ahead():
                yield name, "event", partial(self._without_event, effects, name)
        season = schema.shortest_season
        longest = self.pasts.panel.longest
        edges = [edge for edge in (0, season, 2 * season, 4 * season) if edge < longest]
        for first, last in pairwise([*edges, longest]):
            name = f"values {first + 1} to {last} steps ago"
            if last == first + 1:
                name = "the newest value" if last == 1 else f"values {last} steps ago"
            yield name, "values", partial(self._hidden, first, last)

    def _shuffled(
        self, kind: str, column: int, draw: np.random.Generator
    ) -> tuple[Predictor, Panel]:
        """Shuffle a column: within each series, or a static column between series.

        Blank values stay where they are.
        """
        # with vintages each window has the values that were known at its origin
        issued = kind == "known" and self.panel.vintages is not None
        panel = self.pasts.panel if issued else self.panel
        columns = getattr(panel, kind).copy()
        if kind == "static":
            columns[:, column] = draw.permutation(columns[:, column])
        else:
            shuffled_column = columns[:, column]
            for values in np.split(shuffled_column, panel.offsets[1:-1]):  # views
                present = np.flatnonzero(np.isfinite(values))
                values[present] = draw.permutation(values[present])
        if issued:
            return self.predictor, replace(panel, known=columns, vintages=None)
        shuffled = replace(panel, **{kind: columns})
        return self.predictor, cut(shuffled, self.origins).panel

    def _events_ahead(self) -> list[str]:
        """The events whose eve, day or following day lies in a horizon."""
        panel = self.pasts.panel
        marks = mark(panel, self.predictor.fitted.schema)
        ends = panel.offsets[1:][panel.series_of_slots[marks.slot]]
        ahead = np.unique(marks.label[ends - marks.slot <= panel.ahead])
        labels = {marks.labels[label] for label in ahead}
        return [name for name in marks.names if labels & _labels(name)]

    def _without_event(
        self, effects: Effects, name: str, draw: np.random.Generator
    ) -> tuple[Predictor, Panel]:
        """Remove the effect of an event, on its eve, its day and the following day."""
        labels = _labels(name)
        others = np.array([label not in labels for label in effects.labels])
        without = replace(effects, effect=effects.effect * others[:, None])
        fitted = replace(self.predictor.fitted, effects=without)
        return self.predictor.serving(fitted), self.pasts.panel

    def _hidden(self, first: int, last: int, draw: np.random.Generator) -> tuple[Predictor, Panel]:
        """Hide the values from `first + 1` to `last` steps before each origin.

        A window without other values keeps them.
        """
        panel = self.pasts.panel
        sizes = panel.sizes
        back = np.repeat(panel.lengths, sizes) - panel.positions  # 1 for the newest
        shown = panel.observed & ~((back > first) & (back <= last))
        has_values = np.logical_or.reduceat(shown, panel.first_slots)
        left = np.repeat(has_values, sizes)
        observed = np.where(left, shown, panel.observed)
        values = np.where(observed, panel.values, 0.0)
        return self.predictor, replace(panel, observed=observed, values=values)


def _labels(event: str) -> set[str]:
    return {label.format(event) for label in EVENT_DAYS}


def parts_of(predictor: Predictor, panel: Panel, series: Integers) -> dict[str, Numbers]:
    """The `PARTS` of the forecasts of some series, each [series, horizon], in the target's unit.

    The median is neither rounded nor bounded. The part `events` is the effect of events that is
    added back to the forecast. The part `known` is the difference from a forecast for which columns
    known in advance have their usual values. The remainder is split by least squares into a line
    (`level`) and a season. Both are shrunk towards those of the newest past, which tell them apart
    if the horizon is shorter than two seasons. Without a season the level is the whole remainder.
    """
    predictor = predictor.remembering()
    fitted = predictor.fitted
    schema = fitted.schema

    def medians(predictor: Predictor, panel: Panel) -> Numbers:
        return predictor.predict_quantiles(panel)[..., fitted.config.levels.index(0.5)]

    unique, rows = np.unique(series, return_inverse=True)
    part = panel.select(unique)
    index = series_index(fitted.history.ids, part.ids)
    fixed = fixed_of(fitted, part)
    _, adjustment = adjusted_panel(part, with_effects_only(schema), fitted.effects, index, fixed)
    without_effects = part
    if adjustment is not None:
        # closed slots keep their values, by which they are found again;
        # events of other kinds act in each forecast
        without_effects = replace(adjustment, fixed=None).removed(part)
    serving = predictor.serving(replace(fitted, effects=None))
    without_events = medians(serving, without_effects)
    median = without_events if fitted.effects is None else medians(predictor, part)
    usual = without_events
    if schema.known:
        usual = medians(serving, _with_usual_columns(without_effects, schema))
    level = usual
    season = np.zeros_like(usual)
    length = max(schema.season, default=1)
    if length > 1:
        pasts = [_past_season(without_effects, i, length) for i in range(len(part))]
        profiles, slopes = map(np.array, zip(*pasts, strict=True))
        level, season = _split(usual, profiles, slopes)
    columns = without_events - usual
    parts = (median, level, season, median - without_events, columns, usual - level - season)
    return {name: numbers[rows] for name, numbers in zip(PARTS, parts, strict=True)}


def _with_usual_columns(panel: Panel, schema: Schema) -> Panel:
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
    count = min(len(values) // length, PRIORS.seasons)
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
    weights = [PRIORS.weight] * (1 + phases)
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
    """How important each input of forecasts is, and which parts a forecast consists of.

    Attributes
    ----------
    importance : a row for each input, the most important first: ``input``, its ``kind`` (known,
        past, static, event, or values for the past of the series themselves), and mean and standard
        deviation over repeats (``mean``, ``std``) of the growth of the mean absolute error of the
        newest horizons without the input, in the target's unit; no rows if no series is long
        enough to hold out a horizon
    parts : a row for each forecast: id columns, time column, ``median``, and ``level``, ``season``,
        ``events``, ``known`` and ``rest``, which add up to it; no rows if values known in
        advance are missing
    ids : the ids of the series of the parts, in their order
    """

    importance: Frame
    parts: Frame
    ids: Ids


def explain_panel(
    predictor: Predictor,
    panel: Panel,
    settings: ExplainSettings,
    name: str,
    on_part: OnPart | None = None,
    names: Sequence[str] | None = None,
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
    parts = Frame()
    try:
        require_known(panel, schema, horizon, name)
    except BadData as error:
        log.warning("without the parts of the forecasts: %s", error)
    else:
        numbers = parts_of(predictor, panel, series)
        steps = np.arange(1, horizon + 1)
        parts = frame_of(columns_at(panel, schema, series, steps, numbers))
    inputs: list[Importance] = []
    try:
        inputs = importances(predictor, panel, settings.repeats, fitted.settings().seed, on_part)
    except BadData as error:
        if parts.empty:
            raise
        log.warning("without importance: %s", error)
    if inputs and panel.newest <= fitted.history.newest:
        text = "importance is measured on values of the fit; "
        log.info(f"{text}a table with newer ones measures it on those")
    importance = Frame(inputs, columns=[*Importance._fields])
    return Explanation(importance, parts, ids_at(panel, series))
