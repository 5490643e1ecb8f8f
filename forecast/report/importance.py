"""What forecasts rest on: by how much they get worse without an input, on the newest values."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from forecast.errors import BadData
from forecast.evaluation.origins import PastsAtOrigins, cut
from forecast.events.effects import Effects
from forecast.events.marks import AROUND, has_events, mark
from forecast.inference.predictor import Predictor
from forecast.panel.panel import Flags, Integers, Numbers, Panel

WINDOWS, ORIGINS = 256, 8  # windows that are forecast again and again, and those of one series
RANDOM = ("known", "past", "static")  # kinds of inputs that differ between repeats
SPANS = (0, 1, 2, 4)  # seasons, between which lie the parts of the past that are hidden

OnPart = Callable[[int, int], None]
"""Receives how many inputs are done, and how many there are."""


@dataclass(frozen=True)
class Importance:
    """How much an input matters."""

    input: str  # the name of a column or of an event, or steps of the past
    kind: str  # known, past, static, event, or values for the past of the series themselves
    mean: float  # by how much the mean absolute error grows without the input, in the target's unit
    std: float  # over repeats


Change = Callable[[np.random.Generator], tuple[Predictor, Panel]]
"""What forecasts the windows without an input, and the windows, in one repeat."""


def importances(
    predictor: Predictor, panel: Panel, repeats: int, seed: int = 0, on_part: OnPart | None = None
) -> list[Importance]:
    """How much the forecasts of the newest horizons of a panel rest on each input, the most important first.

    Values of a column are shuffled within each series, those of a static column between series (Breiman 2001). An event
    loses its effect, and a part of the past is hidden, as values that are missing are. Each repeat shuffles anew, and
    draws the series and the origins that count with replacement (Owen 2007).

    Parameters
    ----------
    panel : with a horizon of future slots; forecasts start within it, so that they have actual values

    Raises
    ------
    BadData
        If no series is long enough to hold out a horizon.
    """
    held_out = _HeldOut.of(predictor, panel)
    inputs = list(held_out.inputs())
    found = []
    for done, (name, kind, change) in enumerate(inputs):
        if on_part is not None:
            on_part(done, len(inputs))
        means = held_out.increases(change, kind in RANDOM, repeats, seed)
        found.append(Importance(name, kind, float(np.mean(means)), float(np.std(means))))
    return sorted(found, key=lambda one: -one.mean)


@dataclass(frozen=True)
class _HeldOut:
    """The windows on which forecasts with and without an input are compared."""

    predictor: Predictor
    panel: Panel
    origins: Integers  # [origins, series], where forecasts start
    pasts: PastsAtOrigins
    plain: Numbers  # [windows], the mean absolute error with all inputs; NaN without an actual value

    @classmethod
    def of(cls, predictor: Predictor, panel: Panel) -> "_HeldOut":
        horizon = predictor.fitted.config.horizon
        long = np.flatnonzero((panel.lengths > horizon) & ~panel.skipped)
        if not len(long):
            problem = f"no series has more values than the horizon of {horizon}, so that no forecast can be judged"
            raise BadData(problem, cure="name a longer table")
        part = panel.select(long[np.unique(np.linspace(0, len(long) - 1, WINDOWS).astype(int))])
        count = int(np.clip(WINDOWS // len(part), 1, ORIGINS))
        # the oldest origin leaves half of the longest series
        count = int(np.clip(part.lengths.max() // (2 * horizon), 1, count))
        origins = part.origins - horizon * np.arange(1, count + 1)[:, None]
        pasts = cut(part, origins)
        held_out = cls(predictor, part, origins, pasts, np.zeros(0))
        plain = held_out.errors(predictor, pasts.panel)
        if not np.isfinite(plain).any():
            raise BadData("no value came in the newest horizons, so that no forecast can be judged")
        return replace(held_out, plain=plain)

    def errors(self, predictor: Predictor, panel: Panel) -> Numbers:
        """[windows], mean absolute errors of the medians; NaN without an actual value."""
        middle = predictor.fitted.config.levels.index(0.5)
        error = np.abs(predictor.predict_quantiles(panel)[..., middle] - self.pasts.actual)
        seen = np.isfinite(error)
        count = seen.sum(1)
        return np.where(count > 0, np.where(seen, error, 0.0).sum(1) / np.maximum(count, 1), np.nan)

    def increases(self, change: Change, random: bool, repeats: int, seed: int) -> list[float]:
        """How much worse forecasts are without an input, in each repeat."""
        worse, means = np.zeros(0), []
        counted = np.flatnonzero(np.isfinite(self.plain))
        for repeat in range(repeats):
            draw = np.random.default_rng((seed, repeat))
            if random or repeat == 0:
                worse = self.errors(*change(draw)) - self.plain
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
        for kind, names in (("known", schema.known), ("past", schema.past)):
            for place, name in enumerate(names):
                yield name, kind, partial(self._shuffled, kind, place)
        for place, name in enumerate(schema.static):
            yield name, "static", partial(self._exchanged, place)
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

    def _shuffled(self, kind: str, place: int, draw: np.random.Generator) -> tuple[Predictor, Panel]:
        """The values of a column in another order within each series, blanks where they were."""
        columns = getattr(self.panel, kind).copy()
        for start, end in zip(self.panel.offsets[:-1], self.panel.offsets[1:], strict=True):
            values = columns[start:end, place]
            present = np.flatnonzero(np.isfinite(values))
            values[present] = draw.permutation(values[present])
        return self.predictor, cut(replace(self.panel, **{kind: columns}), self.origins).panel

    def _exchanged(self, place: int, draw: np.random.Generator) -> tuple[Predictor, Panel]:
        """The values of a static column exchanged between series."""
        static = self.panel.static.copy()
        static[:, place] = draw.permutation(static[:, place])
        return self.predictor, cut(replace(self.panel, static=static), self.origins).panel

    def _events_ahead(self) -> list[str]:
        """The events that touch a value that is forecast."""
        panel = self.pasts.panel
        marks = mark(panel, self.predictor.fitted.config.table)
        size = np.diff(panel.offsets)
        left = np.repeat(panel.offsets[1:], size)[marks.slot] - marks.slot  # slots to the end of the window
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
        hidden: Flags = (back > first) & (back <= last)
        left = np.add.reduceat(panel.observed & ~hidden, panel.offsets[:-1]) > 0
        observed = panel.observed & ~(hidden & np.repeat(left, sizes))
        return self.predictor, replace(panel, observed=observed, values=np.where(observed, panel.values, 0.0))


def _labels(name: str) -> set[str]:
    return {text.format(name) for text in AROUND}
