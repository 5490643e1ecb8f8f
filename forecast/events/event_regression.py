"""A robust, shrunk regression of how days deviate on the labels that they have.

Days far off the rest count for less (Huber 1964). An effect is shrunk towards zero by the square of its standard error
over the square of its size, so that one below two standard errors is none (adaptive ridge, Grandvalet 1998); where
effects vary more than chance explains, by that over their variance (empirical Bayes).
"""

from dataclasses import dataclass, replace

import numpy as np

from forecast.events.effects import WEEKDAYS
from forecast.events.event_days import Days
from forecast.events.marks import FAR, Marks
from forecast.panel.panel import Flags, Integers, Numbers

# tuned on births in the United States before 2013; none matters much
HUBER = 2.0  # standard errors from which on a day counts for less
EXPONENTS = (0, -1, 1, 2)  # the first one unless another is clearly better
EXPONENT_COST = 4.0  # of the sum of squared errors, in standard errors, by which it must be
LEAST = 1e-3  # share of the level below which there is no effect
ONCE = 2.25  # by which the variance of chance is multiplied where a label came once: it needs three standard errors
ROUNDS, REACTION_ROUNDS = 20, 3
NORMAL_MEDIAN = 0.6745  # of the absolute value of a standard normal number


@dataclass(frozen=True)
class LabelSets:
    """The different sets of labels that days have.

    Attributes
    ----------
    of_day : [days], the set of each
    matrix : [sets, labels * 8], 1 where a set has a label, and has it on a day of the week
    often : [labels * 8], whether a label came on more than one day; one day of the week is enough
    """

    of_day: Integers
    matrix: Numbers
    often: Flags

    @classmethod
    def of(cls, days: Days, marks: Marks) -> "LabelSets":
        count = len(marks.labels)
        start, end = np.searchsorted(marks.slot, days.slot), np.searchsorted(marks.slot, days.slot, "right")
        most = int((end - start).max(initial=1))
        index = start[:, None] + np.arange(most)
        label = np.where(index < end[:, None], marks.label[np.minimum(index, len(marks.label) - 1)], count)
        sets, of_day = np.unique(np.concatenate([label, days.weekday[:, None]], 1), axis=0, return_inverse=True)
        matrix = np.zeros((len(sets), count + 1, 1 + WEEKDAYS))
        for place in range(most):
            matrix[np.arange(len(sets)), sets[:, place], 0] = 1.0
            matrix[np.arange(len(sets)), sets[:, place], 1 + sets[:, -1]] = 1.0
        fixed = matrix[:, :, 1:].any(0).sum(1) < 2  # always the same day of the week: nothing to tell apart
        matrix[:, fixed, 1:] = 0.0
        dates = np.unique(np.repeat(days.key, most) * FAR + label.ravel()) % FAR
        often = np.ones((count + 1, 1 + WEEKDAYS), bool)
        often[:, 0] = np.bincount(dates, minlength=count + 1) > 1
        size = count * (1 + WEEKDAYS)
        return cls(of_day.reshape(-1), matrix[:, :count].reshape(len(sets), size), often[:count].reshape(size))

    def select(self, days: Flags) -> "LabelSets":
        """The sets of some of the days."""
        return replace(self, of_day=self.of_day[days])


@dataclass(frozen=True)
class Found:
    """What a regression found; `effect` is [labels * 8], `reaction` [series]."""

    effect: Numbers
    typical: Numbers
    exponent: int
    reaction: Numbers


@dataclass(frozen=True)
class Regression:
    """Days and what weighs them.

    Attributes
    ----------
    noise : [days], standard deviation of ordinary days of the same series
    recency : [days], 1 for the newest
    correlation : of two series on one day
    """

    days: Days
    labels: LabelSets
    noise: Numbers
    recency: Numbers
    correlation: float

    def select(self, days: Flags) -> "Regression":
        """The fit of some of the days."""
        return Regression(
            self.days.select(days), self.labels.select(days), self.noise[days], self.recency[days], self.correlation
        )

    def solved(self, profile: Numbers, exponents: tuple[int, ...]) -> Found:
        """The effects on one scale; without exponents the additive one."""
        days, matrix, of_day = self.days, self.labels.matrix, self.labels.of_day
        general = np.arange(matrix.shape[1]) % (1 + WEEKDAYS) == 0
        busy = profile[days.series + 1, days.weekday]
        designs = {power: days.expected * busy**power for power in exponents} or {0: np.ones(len(busy))}
        tried = {power: self._regressed(design, days.deviation, general) for power, design in designs.items()}
        exponent = min(tried, key=lambda power: tried[power][2] + EXPONENT_COST * (power != EXPONENTS[0]))
        effect, weight, _ = tried[exponent]
        design = designs[exponent]
        reaction = np.ones(int(days.series.max()) + 1)
        for _ in range(REACTION_ROUNDS if len(np.unique(days.series)) > 1 else 0):
            reaction = self._reactions(design * (matrix @ effect)[of_day], weight)
            effect, weight, _ = self._regressed(design * reaction[days.series], days.deviation, general)
        design = design * reaction[days.series]
        rest = days.deviation - design * (matrix @ effect)[of_day]
        effect = effect + self._regressed(design, rest, ~general)[0]  # what days of the week add
        share = np.bincount(of_day, reaction[days.series] * busy**exponent, len(matrix))
        own = (matrix * effect).reshape(len(matrix), -1, 1 + WEEKDAYS).sum(2)  # [sets, labels]
        counts = matrix[:, general].T @ np.bincount(of_day, minlength=len(matrix))
        typical = own.T @ share / np.maximum(counts, 1)
        return Found(effect, typical, exponent, reaction)

    def _regressed(self, design: Numbers, deviation: Numbers, columns: Flags) -> tuple[Numbers, Numbers, float]:
        """Effects of some columns of the labels, weights of the days, and the sum of their errors, squared if small."""
        of_day, matrix = self.labels.of_day, self.labels.matrix
        _, day, together = np.unique(self.days.key, return_inverse=True, return_counts=True)
        share = self.recency / (1 + (together[day] - 1) * self.correlation)
        used = every = np.flatnonzero(matrix.any(0) & columns)
        chance: float | None = None
        effect, precision = np.zeros(matrix.shape[1]), np.full(matrix.shape[1], LEAST)
        robust, inflation, rest = np.ones(len(design)), 1.0, np.zeros(len(design))

        def by_set(values: Numbers) -> Numbers:
            return np.asarray(np.bincount(of_day, values, len(matrix)))

        for _ in range(ROUNDS):
            weight = robust * share / (inflation * self.noise**2)
            part = matrix[:, used]
            normal = part.T @ (by_set(weight * design**2)[:, None] * part) + np.diag(precision[used])
            effect[:] = 0.0
            effect[used] = np.linalg.solve(normal, part.T @ by_set(weight * design * deviation))
            if chance is None:
                chance = float(np.median(np.diag(np.linalg.inv(normal)))) if len(used) else 0.0
            # the variance of effects beyond that of chance, all labels counted
            common = max(0.0, float(np.median(effect[every] ** 2)) / NORMAL_MEDIAN**2 - chance) if len(every) else 0.0
            used = used[np.abs(effect[used]) > LEAST]
            caution = np.where(self.labels.often[used], 1.0, ONCE)
            precision[used] = caution / np.maximum(effect[used] ** 2, common)
            rest = np.abs(deviation - design * (matrix @ effect)[of_day]) / self.noise
            inflation = max(1.0, (float(np.median(rest)) / NORMAL_MEDIAN) ** 2)
            robust = np.minimum(1.0, HUBER * np.sqrt(inflation) / np.maximum(rest, LEAST))
        loss = np.where(rest < HUBER, rest**2, 2 * HUBER * rest - HUBER**2)
        return effect, robust / (inflation * self.noise**2), float((share * loss).sum())

    def _reactions(self, predicted: Numbers, weight: Numbers) -> Numbers:
        """[series], how strongly each reacts, drawn towards 1 by what is left to chance (empirical Bayes)."""
        series = self.days.series
        precision = np.bincount(series, weight * predicted**2)
        own = np.bincount(series, weight * predicted * self.days.deviation) / np.where(precision > 0, precision, 1.0)
        shown = precision > 0
        excess = (precision * (own - 1) ** 2)[shown].sum() - shown.sum()
        variance = max(0.0, float(excess / max(precision.sum(), LEAST)))
        return np.where(shown, 1 + (own - 1) * variance * precision / (1 + variance * precision), 1.0)
