"""What forecasts rest on: by how much they get worse without an input, on values that came."""

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
SPANS = (0, 1, 2, 4)  # seasons, between which lie the parts of the past that are hidden

OnPart = Callable[[int, int], None]
"""Receives how many inputs are done, and how many there are."""


@dataclass(frozen=True)
class Importance:
    """How much an input matters.

    Attributes
    ----------
    input : the name of a column or of an event, or steps of the past
    kind : known, past, static, event, or values for the past of the series themselves
    mean : by how much the mean absolute error grows without the input, in the target's unit
    std : its standard deviation over repeats
    """

    input: str
    kind: str
    mean: float
    std: float


@dataclass(frozen=True)
class _Input:
    """An input, and the errors of all windows without it in one repeat."""

    name: str
    kind: str
    errors: Callable[[np.random.Generator], Numbers]
    random: bool = True  # whether repeats differ


def importances(
    predictor: Predictor, panel: Panel, repeats: int, seed: int = 0, on_part: OnPart | None = None
) -> list[Importance]:
    """How much the forecasts of the newest horizons of a panel rest on each input, the most important first.

    Values of a column are shuffled within each series, those of a static column between series (Breiman 2001). An event
    loses its effect, and a part of the past is hidden, as values that are missing are. Each repeat shuffles anew, and
    draws the series and the origins that count with replacement (Owen 2007).

    Parameters
    ----------
    panel : with a horizon of future slots; forecasts start within it, so that their values have come
    repeats : of each input
    on_part : receives the progress

    Raises
    ------
    BadData
        If no series is long enough to hold out a horizon.
    """
    measured = _Measured.of(predictor, panel)
    inputs = list(measured.inputs())
    found = []
    for done, each in enumerate(inputs):
        if on_part is not None:
            on_part(done, len(inputs))
        found.append(measured.importance(each, repeats, seed))
    return sorted(found, key=lambda one: -one.mean)


@dataclass(frozen=True)
class _Measured:
    """The windows on which inputs are judged.

    Attributes
    ----------
    panel : the series that are judged
    origins : [origins, series], where forecasts start
    pasts : the windows
    plain : [windows], the mean absolute error of each; NaN where no value came
    """

    predictor: Predictor
    panel: Panel
    origins: Integers
    pasts: PastsAtOrigins
    plain: Numbers

    @classmethod
    def of(cls, predictor: Predictor, panel: Panel) -> "_Measured":
        horizon = predictor.fitted.config.horizon
        long = np.flatnonzero((panel.lengths > horizon) & ~panel.skipped)
        if not len(long):
            problem = f"no series has more values than the horizon of {horizon}, so that no forecast can be judged"
            raise BadData(problem, cure="name a longer table")
        part = panel.select(long[np.unique(np.linspace(0, len(long) - 1, WINDOWS).astype(int))])
        count = int(np.clip(WINDOWS // len(part), 1, ORIGINS))
        # the oldest one leaves half of the longest series
        count = int(np.clip(part.lengths.max() // (2 * horizon), 1, count))
        origins = part.origins - horizon * np.arange(1, count + 1)[:, None]
        pasts = cut(part, origins)
        measured = cls(predictor, part, origins, pasts, np.zeros(0))
        plain = measured.errors(predictor, pasts.panel)
        if not np.isfinite(plain).any():
            raise BadData("no value came in the newest horizons, so that no forecast can be judged")
        return replace(measured, plain=plain)

    def errors(self, predictor: Predictor, panel: Panel) -> Numbers:
        """[windows], mean absolute errors of the medians; NaN where no value came."""
        middle = predictor.fitted.config.levels.index(0.5)
        error = np.abs(predictor.predict_quantiles(panel)[..., middle] - self.pasts.actual)
        seen = np.isfinite(error)
        count = seen.sum(1)
        return np.where(count > 0, np.where(seen, error, 0.0).sum(1) / np.maximum(count, 1), np.nan)

    def importance(self, one: _Input, repeats: int, seed: int) -> Importance:
        """How much worse forecasts are without an input."""
        worse, drawn = np.zeros(0), []
        for repeat in range(repeats):
            draw = np.random.default_rng((seed, repeat))
            if one.random or repeat == 0:
                worse = one.errors(draw) - self.plain
            drawn.append(np.average(worse[self.judged], weights=self._weights(draw)))
        return Importance(one.name, one.kind, float(np.mean(drawn)), float(np.std(drawn)))

    @property
    def judged(self) -> Integers:
        """Windows of which a value came."""
        return np.flatnonzero(np.isfinite(self.plain))

    def _weights(self, draw: np.random.Generator) -> Integers:
        """[judged], how often each window was drawn with its series and its origin; not all of them never."""
        series, origin = self.pasts.series[self.judged], self.pasts.origin[self.judged]
        while True:
            times = [
                np.bincount(draw.choice(np.unique(by), len(np.unique(by))), minlength=by.max() + 1)[by]
                for by in (series, origin)
            ]
            if (weights := times[0] * times[1]).any():
                return weights

    def inputs(self) -> Iterator[_Input]:
        """All inputs of the forecaster."""
        schema = self.predictor.fitted.config.table
        for kind, names in (("known", schema.known), ("past", schema.past)):
            for place, name in enumerate(names):
                yield _Input(name, kind, partial(self._shuffled, kind, place))
        for place, name in enumerate(schema.static):
            yield _Input(name, "static", partial(self._exchanged, place))
        effects = self.predictor.fitted.effects
        if effects is not None and has_events(schema):
            for name in self._ahead():
                yield _Input(name, "event", partial(self._without_event, effects, name), random=False)
        edges = [max(1, schema.shortest_season) * span for span in SPANS]
        longest = int(self.pasts.panel.lengths.max())
        for first, last in zip(edges, [*edges[1:], longest], strict=True):
            if first < longest:
                steps = f"{first + 1} to {min(last, longest)} steps ago" if last > first + 1 else f"{last} steps ago"
                name = "the newest value" if last == 1 else f"values {steps}"
                yield _Input(name, "values", partial(self._hidden, first, last), random=False)

    def _shuffled(self, kind: str, place: int, draw: np.random.Generator) -> Numbers:
        """Errors with the values of a column in another order, blanks where they were."""
        columns = getattr(self.panel, kind).copy()
        for start, end in zip(self.panel.offsets[:-1], self.panel.offsets[1:], strict=True):
            values = columns[start:end, place]
            present = np.flatnonzero(np.isfinite(values))
            values[present] = draw.permutation(values[present])
        return self.errors(self.predictor, cut(replace(self.panel, **{kind: columns}), self.origins).panel)

    def _exchanged(self, place: int, draw: np.random.Generator) -> Numbers:
        """Errors with the values of a static column between other series."""
        static = self.panel.static.copy()
        static[:, place] = draw.permutation(static[:, place])
        return self.errors(self.predictor, cut(replace(self.panel, static=static), self.origins).panel)

    def _ahead(self) -> list[str]:
        """The events that touch a value that is forecast."""
        panel = self.pasts.panel
        marks = mark(panel, self.predictor.fitted.config.table)
        size = np.diff(panel.offsets)
        left = np.repeat(panel.offsets[1:], size)[marks.slot] - marks.slot  # slots to the end of the window
        touched = {marks.labels[label] for label in np.unique(marks.label[left <= panel.ahead])}
        return [name for name in marks.names if touched & _labels(name)]

    def _without_event(self, effects: Effects, name: str, draw: np.random.Generator) -> Numbers:
        """Errors without the effect of an event, of its eve and of the day after."""
        kept = np.array([label not in _labels(name) for label in effects.labels])
        fitted = replace(self.predictor.fitted, effects=replace(effects, effect=effects.effect * kept[:, None]))
        return self.errors(self.predictor.serving(fitted), self.pasts.panel)

    def _hidden(self, first: int, last: int, draw: np.random.Generator) -> Numbers:
        """Errors without the values from `first` to `last` steps before each origin, where others are left."""
        panel = self.pasts.panel
        sizes = np.diff(panel.offsets)
        back = np.repeat(panel.offsets[1:] - panel.ahead, sizes) - np.arange(panel.offsets[-1])  # 1 for the newest
        hidden: Flags = (back > first) & (back <= last)
        left = np.add.reduceat(panel.observed & ~hidden, panel.offsets[:-1]) > 0
        hidden &= np.repeat(left, sizes)
        observed = panel.observed & ~hidden
        return self.errors(
            self.predictor, replace(panel, observed=observed, values=np.where(observed, panel.values, 0.0))
        )


def _labels(name: str) -> set[str]:
    return {text.format(name) for text in AROUND}
