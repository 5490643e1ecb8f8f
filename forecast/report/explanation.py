"""Explain forecasts: what they rest on, and what they are made of."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np

from forecast.errors import BadData
from forecast.events.effects import Effects, adjusted_panel
from forecast.events.kinds import EVENT_DAYS, has_events, mark, with_effects_only
from forecast.inference.forecasting import columns_at
from forecast.inference.predictor import Predictor, fixed_of
from forecast.logs import log
from forecast.panel.naming import find_series
from forecast.panel.panel import Ids, Integers, Numbers, Panel, series_index
from forecast.panel.schema import Schema
from forecast.reading.comparing import require_known
from forecast.settings import ExplainSettings
from forecast.tables.writing import Frame, frame_of
from forecast.threads import OnPart
from forecast.windows.origins import cut

WINDOWS, ORIGINS = 256, 8  # windows that are forecast again and again, and those of one series
RANDOM = ("known", "past", "static")  # kinds of inputs that differ between repeats

Change = Callable[[np.random.Generator], tuple[Predictor, Panel]]
"""In one repeat: a predictor that lacks an input, and the panel whose windows it forecasts."""
SEASONS = 8  # of the past, at most, from which season and slope are known before
PRIOR_WEIGHT = 0.1  # of that season and that slope, against each step of the forecast
PARTS = ("median", "level", "season", "events", "known", "rest")
"""The columns of the parts; the others add up to the first, the median."""


class Importance(NamedTuple):
    input: str  # the name of a column or of an event, or steps of the past
    kind: str  # known, past, static, event, or values for the past of the series themselves
    mean: float  # by how much the mean absolute error grows without the input, in the target's unit
    std: float  # over repeats


def importances(
    predictor: Predictor, panel: Panel, repeats: int, seed: int = 0, on_part: OnPart | None = None
) -> list[Importance]:
    """How much the forecasts of the newest horizons of a panel rest on each input, the most important first.

    Forecasts start within the panel, so that they have actual values. Values of a column are shuffled within each
    series, those of a static column between series (Breiman 2001). An event loses its effect, and a part of the past is
    hidden, as values that are missing are. Each repeat shuffles anew, and draws the series and the origins that count
    with replacement (Owen 2007). Raises `BadData` if no series is long enough to hold out a horizon.
    """
    held_out = _HeldOut(predictor, panel)
    inputs, found = list(held_out.inputs()), []
    for done, (name, kind, change) in enumerate(inputs):
        if on_part is not None:
            on_part(done, len(inputs))
        means = held_out.increases(change, kind in RANDOM, repeats, seed)
        found.append(Importance(name, kind, float(np.mean(means)), float(np.std(means))))
    return sorted(found, key=lambda row: -row.mean)


class _HeldOut:
    """The windows on which forecasts with and without an input are compared."""

    def __init__(self, predictor: Predictor, panel: Panel) -> None:
        horizon = predictor.fitted.config.horizon
        long = np.flatnonzero((panel.lengths > horizon) & ~panel.skipped)
        if not len(long):
            problem = f"no series has more values than the horizon of {horizon}: no forecast has an actual value"
            raise BadData(problem, cure="name a longer table")
        self.predictor = predictor = predictor.remembering()
        self.panel = panel.select(
            long[np.unique(np.linspace(0, len(long) - 1, WINDOWS).astype(int))]
        )
        most = np.clip(WINDOWS // len(self.panel), 1, ORIGINS)
        # the oldest origin leaves half of the longest series
        count = int(np.clip(self.panel.lengths.max() // (2 * horizon), 1, most))
        self.origins = (
            self.panel.origins - horizon * np.arange(1, count + 1)[:, None]
        )  # [origins, series]
        self.pasts = cut(self.panel, self.origins)
        self.errors = self._errors(predictor, self.pasts.panel)  # with all inputs
        if not np.isfinite(self.errors).any():
            raise BadData(
                "no value was observed in the newest horizons, so that no forecast has an actual value"
            )

    def _errors(self, predictor: Predictor, panel: Panel) -> Numbers:
        """[windows], mean absolute errors of the medians; NaN without an actual value."""
        middle = predictor.fitted.config.levels.index(0.5)
        error = np.abs(predictor.predict_quantiles(panel)[..., middle] - self.pasts.actual)
        count = np.isfinite(error).sum(1)
        return np.where(count > 0, np.nansum(error, 1) / np.maximum(count, 1), np.nan)

    def increases(self, change: Change, random: bool, repeats: int, seed: int) -> list[float]:
        """How much worse forecasts are without an input, in each repeat."""
        worse, means = np.zeros(0), []
        windows = np.flatnonzero(np.isfinite(self.errors))
        for repeat in range(repeats):
            draw = np.random.default_rng((seed, repeat))
            if random or repeat == 0:
                worse = self._errors(*change(draw)) - self.errors
            means.append(float(np.average(worse[windows], weights=self._weights(windows, draw))))
        return means

    def _weights(self, windows: Integers, draw: np.random.Generator) -> Integers:
        """[windows], how often each was drawn with its series and its origin; some at least once."""
        while True:
            weights = np.ones(len(windows), np.int64)
            for by in (self.pasts.series[windows], self.pasts.origin[windows]):
                values = np.unique(by)
                weights *= np.bincount(draw.choice(values, len(values)), minlength=by.max() + 1)[by]
            if weights.any():
                return weights

    def inputs(self) -> Iterator[tuple[str, str, Change]]:
        """The names, kinds and changes of all inputs of the forecaster."""
        schema, effects = self.predictor.fitted.config.table, self.predictor.fitted.effects
        for kind in RANDOM:
            for column, name in enumerate(getattr(schema, kind)):
                yield name, kind, partial(self._shuffled, kind, column)
        if effects is not None and has_events(schema):
            for name in self._events_ahead():
                yield name, "event", partial(self._without_event, effects, name)
        edges = [max(1, schema.shortest_season) * seasons for seasons in (0, 1, 2, 4)]
        longest = int(self.pasts.panel.lengths.max())
        for first, last in zip(edges, [*edges[1:], longest], strict=True):
            if first < longest:
                steps = (
                    f"{first + 1} to {min(last, longest)} steps ago"
                    if last > first + 1
                    else f"{last} steps ago"
                )
                name = "the newest value" if last == 1 else f"values {steps}"
                yield name, "values", partial(self._hidden, first, last)

    def _shuffled(
        self, kind: str, column: int, draw: np.random.Generator
    ) -> tuple[Predictor, Panel]:
        """The values of a column in another order within each series, blanks where they were; static ones exchanged."""
        issued = kind == "known" and self.panel.vintages is not None
        panel = (
            self.pasts.panel if issued else self.panel
        )  # each window has the values that were known then
        columns = getattr(panel, kind).copy()
        if kind == "static":
            columns[:, column] = draw.permutation(columns[:, column])
        else:
            for values in np.split(columns[:, column], panel.offsets[1:-1]):  # views
                present = np.flatnonzero(np.isfinite(values))
                values[present] = draw.permutation(values[present])
        shuffled = replace(panel, **{kind: columns}, vintages=None if issued else panel.vintages)
        return self.predictor, shuffled if issued else cut(shuffled, self.origins).panel

    def _events_ahead(self) -> list[str]:
        panel = self.pasts.panel
        marks = mark(panel, self.predictor.fitted.config.table)
        left = (
            np.repeat(panel.offsets[1:], np.diff(panel.offsets))[marks.slot] - marks.slot
        )  # slots to the end
        touched = {marks.labels[label] for label in np.unique(marks.label[left <= panel.ahead])}
        return [
            name for name in marks.names if touched & {text.format(name) for text in EVENT_DAYS}
        ]

    def _without_event(
        self, effects: Effects, name: str, draw: np.random.Generator
    ) -> tuple[Predictor, Panel]:
        """No effect of an event, of its eve and of the day after."""
        labels = {text.format(name) for text in EVENT_DAYS}
        others = np.array([label not in labels for label in effects.labels])
        fitted = replace(
            self.predictor.fitted, effects=replace(effects, effect=effects.effect * others[:, None])
        )
        return self.predictor.serving(fitted), self.pasts.panel

    def _hidden(self, first: int, last: int, draw: np.random.Generator) -> tuple[Predictor, Panel]:
        """No values from more than `first` up to `last` steps before each origin, where others are left."""
        panel = self.pasts.panel
        sizes = np.diff(panel.offsets)
        back = np.repeat(panel.offsets[1:] - panel.ahead, sizes) - np.arange(
            panel.offsets[-1]
        )  # 1 for the newest
        shown = panel.observed & ~((back > first) & (back <= last))
        left = np.repeat(np.add.reduceat(shown, panel.offsets[:-1]) > 0, sizes)
        observed = np.where(left, shown, panel.observed)
        return self.predictor, replace(
            panel, observed=observed, values=np.where(observed, panel.values, 0.0)
        )


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
    _, adjustment = adjusted_panel(
        part, with_effects_only(schema), fitted.effects, index, fixed_of(fitted, part)
    )
    # closed slots keep their values, by which they are found again; events of other kinds act in each forecast
    without_effects = part if adjustment is None else replace(adjustment, fixed=None).removed(part)
    serving = predictor.serving(replace(fitted, effects=None))
    without_events = serving.predict_quantiles(without_effects)[..., middle]
    median = (
        without_events if fitted.effects is None else predictor.predict_quantiles(part)[..., middle]
    )
    usual = without_events
    if schema.known:
        usual = serving.predict_quantiles(_with_usual_columns(without_effects, schema))[..., middle]
    length = max((length for length in schema.season if length > 1), default=1)
    level, season = usual, np.zeros_like(usual)
    if length > 1:
        profiles, slopes = zip(
            *(_past_season(without_effects, i, length) for i in range(len(part))), strict=True
        )
        level, season = _split(usual, np.stack(profiles), np.array(slopes))
    parts = (
        median,
        level,
        season,
        median - without_events,
        without_events - usual,
        usual - level - season,
    )
    return {name: numbers[inverse] for name, numbers in zip(PARTS, parts, strict=True)}


def _with_usual_columns(panel: Panel, schema: Schema) -> Panel:
    """A panel whose known columns have, ahead, the median of their past, or the most frequent category."""
    known = panel.known.copy()
    for series, (column, name) in product(range(len(panel)), enumerate(schema.known)):
        past = panel.slots(series)
        seen = np.sort(panel.known[past, column])
        if len(seen := seen[np.isfinite(seen)]):
            values, counts = np.unique(seen, return_counts=True)
            usual = (
                values[np.argmax(counts)]
                if name in schema.categories
                else seen[(len(seen) - 1) // 2]
            )
            known[past.stop : panel.offsets[series + 1], column] = usual
    return replace(panel, known=known, vintages=None)


def _past_season(panel: Panel, series: int, length: int) -> tuple[Numbers, float]:
    """The mean season of the newest past of a series, [length], around its level, and by what that grows in a step."""
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
    remainder = path - level - season
    found = np.linalg.solve(
        design.T @ design + prior, design.T @ remainder.T
    ).T  # [series, 2 + phases]
    return level + found[:, :2] @ line.T, season + found[:, 2:] @ dummies.T


@dataclass(frozen=True)
class Explanation:
    """What forecasts rest on, and what they are made of.

    Attributes
    ----------
    importance : a row for each input, the most important first: ``input``, its ``kind`` (known, past, static, event, or
        values for the past of the series themselves), and mean and standard deviation over repeats of what the mean
        absolute error of the newest horizons grows by without it, ``mean`` and ``std``, in the target's unit; no rows
        where no series is long enough to hold out a horizon
    parts : a row for each forecast: id columns, time column, ``median``, and ``level``, ``season``, ``events``,
        ``known`` and ``rest``, which add up to it; no rows where values known in advance are missing
    ids : of the series of the parts, in their order
    """

    importance: Frame
    parts: Frame
    ids: Ids


def explain_panel(
    predictor: Predictor,
    panel: Panel,
    settings: ExplainSettings,
    name: str,
    with_future: bool = False,
    on_part: OnPart | None = None,
    names: Sequence[str] | None = None,
) -> Explanation:
    """Explain the forecasts of a panel, read as at fit, with a horizon of future slots.

    The parts are those of the series with these `names`: of the first one if there are none, of all by default.
    """
    fitted = predictor.fitted
    schema, horizon = fitted.config.table, fitted.config.horizon
    series = panel.order[~panel.skipped[panel.order]]
    if not len(series):
        raise BadData("no series has a forecast, so there is nothing to explain", place=name)
    if names is not None:
        ids = [panel.ids[i] for i in series]
        series = series[
            [find_series(ids, series_name) for series_name in dict.fromkeys(names)] or [0]
        ]
    parts, found = frame_of({}), list[Importance]()
    try:
        require_known(panel, schema, horizon, name, with_future)
    except BadData as error:
        log.warning("without the parts of the forecasts: %s", error)
    else:
        numbers = parts_of(predictor, panel, series)
        parts = frame_of(columns_at(panel, schema, series, np.arange(1, horizon + 1), numbers))
    try:
        found = importances(predictor, panel, settings.repeats, fitted.settings().seed, on_part)
    except BadData as error:
        if parts.empty:
            raise
        log.warning("without importance: %s", error)
    if found and panel.newest <= fitted.history.newest:
        log.info(
            "importance is measured on values of the fit; a table with newer ones measures it on those"
        )
    columns = {name: np.array([getattr(row, name) for row in found]) for name in Importance._fields}
    return Explanation(frame_of(columns), parts, tuple(panel.ids[i] for i in series))
