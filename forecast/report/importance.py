"""What forecasts rest on: by how much they get worse without an input, on the newest values."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from forecast.errors import BadData
from forecast.evaluation.origins import cut
from forecast.events.effects import Effects
from forecast.events.marks import AROUND, has_events, mark
from forecast.inference.predictor import Predictor
from forecast.panel.panel import Integers, Numbers, Panel
from forecast.threads import OnPart

WINDOWS, ORIGINS = 256, 8  # windows that are forecast again and again, and those of one series
RANDOM = ("known", "past", "static")  # kinds of inputs that differ between repeats
SPANS = (0, 1, 2, 4)  # seasons, between which lie the parts of the past that are hidden

Change = Callable[[np.random.Generator], tuple[Predictor, Panel]]
"""What forecasts the windows without an input, and the windows, in one repeat."""


class Importance(NamedTuple):
    """How much an input matters."""

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
            problem = f"no series has more values than the horizon of {horizon}, so that no forecast can be judged"
            raise BadData(problem, cure="name a longer table")
        self.predictor = predictor = predictor.remembering()
        self.panel = panel.select(long[np.unique(np.linspace(0, len(long) - 1, WINDOWS).astype(int))])
        count = int(np.clip(WINDOWS // len(self.panel), 1, ORIGINS))
        # the oldest origin leaves half of the longest series
        count = int(np.clip(self.panel.lengths.max() // (2 * horizon), 1, count))
        self.origins = self.panel.origins - horizon * np.arange(1, count + 1)[:, None]  # [origins, series]
        self.pasts = cut(self.panel, self.origins)
        self.plain = self._errors(predictor, self.pasts.panel)  # with all inputs
        if not np.isfinite(self.plain).any():
            raise BadData("no value came in the newest horizons, so that no forecast can be judged")

    def _errors(self, predictor: Predictor, panel: Panel) -> Numbers:
        """[windows], mean absolute errors of the medians; NaN without an actual value."""
        middle = predictor.fitted.config.levels.index(0.5)
        error = np.abs(predictor.predict_quantiles(panel)[..., middle] - self.pasts.actual)
        count = np.isfinite(error).sum(1)
        return np.where(count > 0, np.nansum(error, 1) / np.maximum(count, 1), np.nan)

    def increases(self, change: Change, random: bool, repeats: int, seed: int) -> list[float]:
        """How much worse forecasts are without an input, in each repeat."""
        worse, means = np.zeros(0), []
        counted = np.flatnonzero(np.isfinite(self.plain))
        for repeat in range(repeats):
            draw = np.random.default_rng((seed, repeat))
            if random or repeat == 0:
                worse = self._errors(*change(draw)) - self.plain
            means.append(float(np.average(worse[counted], weights=self._weights(counted, draw))))
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
        edges = [max(1, schema.shortest_season) * span for span in SPANS]
        longest = int(self.pasts.panel.lengths.max())
        for first, last in zip(edges, [*edges[1:], longest], strict=True):
            if first < longest:
                steps = f"{first + 1} to {min(last, longest)} steps ago" if last > first + 1 else f"{last} steps ago"
                name = "the newest value" if last == 1 else f"values {steps}"
                yield name, "values", partial(self._hidden, first, last)

    def _shuffled(self, kind: str, column: int, draw: np.random.Generator) -> tuple[Predictor, Panel]:
        """The values of a column in another order within each series, blanks where they were; static ones exchanged."""
        columns = getattr(self.panel, kind).copy()
        if kind == "static":
            columns[:, column] = draw.permutation(columns[:, column])
        else:
            for values in np.split(columns[:, column], self.panel.offsets[1:-1]):  # views
                present = np.flatnonzero(np.isfinite(values))
                values[present] = draw.permutation(values[present])
        return self.predictor, cut(replace(self.panel, **{kind: columns}), self.origins).panel

    def _events_ahead(self) -> list[str]:
        """The events that touch a value that is forecast."""
        panel = self.pasts.panel
        marks = mark(panel, self.predictor.fitted.config.table)
        left = np.repeat(panel.offsets[1:], np.diff(panel.offsets))[marks.slot] - marks.slot  # slots to the end
        touched = {marks.labels[label] for label in np.unique(marks.label[left <= panel.ahead])}
        return [name for name in marks.names if touched & _labels(name)]

    def _without_event(self, effects: Effects, name: str, draw: np.random.Generator) -> tuple[Predictor, Panel]:
        """No effect of an event, of its eve and of the day after."""
        kept = np.array([label not in _labels(name) for label in effects.labels])
        fitted = replace(self.predictor.fitted, effects=replace(effects, effect=effects.effect * kept[:, None]))
        return self.predictor.serving(fitted), self.pasts.panel

    def _hidden(self, first: int, last: int, draw: np.random.Generator) -> tuple[Predictor, Panel]:
        """No values from `first` to `last` steps before each origin, where others are left."""
        panel = self.pasts.panel
        sizes = np.diff(panel.offsets)
        back = np.repeat(panel.offsets[1:] - panel.ahead, sizes) - np.arange(panel.offsets[-1])  # 1 for the newest
        shown = panel.observed & ~((back > first) & (back <= last))
        left = np.repeat(np.add.reduceat(shown, panel.offsets[:-1]) > 0, sizes)
        observed = np.where(left, shown, panel.observed)
        return self.predictor, replace(panel, observed=observed, values=np.where(observed, panel.values, 0.0))


def _labels(name: str) -> set[str]:
    return {text.format(name) for text in AROUND}
