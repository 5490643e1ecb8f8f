"""Weights of networks and baselines, from their losses on windows that they were not fitted to.

A mean absolute loss L over n independent windows has the likelihood L^-n (Laplace errors of unknown
scale). A candidate weighs its prior times that, tempered, as no candidate is true and which one is
best changes with time (Grünwald 2012): more windows say ever less. The prior gives one half to the
networks, evenly, and one half to the baselines, by their losses in the past, where the newest count
most. A series is weighed by the same rule as the panel; its log weights are shrunk towards those of
the panel.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from forecast.intervals.baseline_errors import CORRELATION, independent_by_block
from forecast.panel.panel import Flags, Integers, Numbers, steps_within


@dataclass(frozen=True)
class WeightPriors:
    """Tuned on 59 small problems of the development sets and on the twelve sets, checked on 118
    others.

    The small problems have 1 to 24 series. None matters much: a correlation of series from 0.05 to
    0.2, decays from 1 to 20 horizons and 8 to 64 parts are within 1 %.
    """

    # independent windows that say half of what they would if the best candidate stayed the best
    tempered: float = 16.0
    decay: float = 2.0  # horizons; a loss of a baseline that is so old counts 1/e
    parts: int = 8  # weights are multiples of 1/8: exact in binary, and small shares are left out


PRIORS = WeightPriors()
FOLDS = 5  # parts of the validation windows, each of which is forecast with weights from the others
TINY = 1e-9  # share of the largest loss below which losses are rounding, and equal


@dataclass(frozen=True)
class Losses:
    values: Numbers  # [candidates, windows], NaN where there is no loss
    series: Integers  # [windows]
    # [windows], whole horizons between a window and the newest of its series, 0 for the newest
    block: Integers

    def select(self, windows: Flags) -> "Losses":
        return Losses(self.values[:, windows], self.series[windows], self.block[windows])

    def completed(self) -> "Losses":
        """With estimates where a candidate was not asked.

        The losses of others there, times its ratio elsewhere.
        """
        finite = np.isfinite(self.values)
        asked = finite.any(0)
        whole = (finite == asked).all(1)
        if whole.all() or not whole.any():
            return self
        values = self.values.copy()
        others = values[whole].mean(0)
        for row in np.flatnonzero(~whole & finite.any(1)):
            own = finite[row]
            total = max(others[own].sum(), 1e-200)
            ratio = values[row, own].sum() / total
            values[row] = np.where(asked & ~own, ratio * others, values[row])
        return replace(self, values=values)

    @property
    def usable(self) -> Flags:
        """[windows], where all candidates have a loss, but for those that never have one."""
        finite = np.isfinite(self.values)
        some = finite.any(1)
        return np.asarray(finite[some].all(0) & some.any())


def newer_half(series: Integers) -> Flags:
    """[windows], whether each is in the newer half of its series.

    They are in the order of the series, then of time.
    """
    starts = np.flatnonzero(np.diff(series, prepend=-1))
    counts = np.diff(starts, append=len(series))
    return steps_within(counts) >= np.repeat(counts // 2, counts)


def choose_weights(validation: Losses, past: Losses, networks: int, count: int) -> Numbers:
    """The weight of each candidate in the forecast of each of `count` series.

    Candidates are `networks`, so many, and then baselines, of which `past` has losses all over the
    past. Weights are [count + 1, candidates]; row 0 is for a series that was not in the fit, row i
    + 1 for series i.
    """
    validation = validation.select(validation.usable)
    past = past.select(past.usable)
    panel = _log_weights(validation, past, networks)
    weights = np.tile(_in_parts(panel), (count + 1, 1))
    validated = np.unique(validation.series)
    if len(validated) < 2:
        return weights
    for series in validated:
        own = validation.select(validation.series == series)
        # a single window says nothing about chance, and the panel says as much as 1 / CORRELATION
        # windows
        windows = len(np.unique(own.block)) - 1
        if windows > 0:
            share = windows / (windows + 1 / CORRELATION)
            single = _log_weights(own, past.select(past.series == series), networks)
            weights[series + 1] = _in_parts(share * single + (1 - share) * panel)
    return weights


def cross_fitted_weights(
    validation: Losses, past: Losses, networks: int, count: int
) -> Iterator[tuple[Flags, Numbers]]:
    """Parts of the validation windows, by time if that is more than a horizon, with weights that
    the others give.
    """
    group, past_group, near = validation.block, past.block, 1
    if len(np.unique(group)) < 2:
        group, past_group, near = validation.series, past.series, 0
    groups = np.unique(group)
    for fold in np.array_split(groups, min(FOLDS, len(groups)) or 1):
        inside = np.isin(group, fold)
        others = inside if inside.all() else ~inside  # a single window has to do for both
        # windows of the past overlap with those of the next block
        around = np.concatenate([fold - near, fold, fold + near])
        outside = ~np.isin(past_group, around)
        far = past.select(outside) if outside.any() else past
        yield inside, choose_weights(validation.select(others), far, networks, count)


def _log_weights(validation: Losses, past: Losses, networks: int) -> Numbers:
    """[candidates], the logarithm of prior times likelihood."""
    candidates = len(validation.values)
    prior = np.zeros(candidates)
    if networks < candidates:
        likelihood = _log_likelihood(past, PRIORS.decay)
        likelihood = np.where(_is_copy(past), -np.inf, likelihood)
        prior[networks:] = likelihood - np.logaddexp.reduce(likelihood)
        prior[:networks] = -np.log(max(networks, 1))
        if not len(validation.block):  # nothing shows what networks are worth
            prior[:networks] = -np.inf
    return prior + _log_likelihood(validation, most=PRIORS.tempered)


def _log_likelihood(losses: Losses, decay: float = np.inf, most: float = np.inf) -> Numbers:
    """[candidates], 0 where there are no windows.

    -inf for a candidate that has no loss while others have.

    Losses of `decay` horizons ago count 1/e. All windows together count as at most so many as
    `most`.
    """
    if not len(losses.block):
        return np.zeros(len(losses.values))
    recent = np.exp(-losses.block / decay)
    mean = (_floored(losses.values) * recent).sum(1) / recent.sum()
    level = np.log(np.where(np.isfinite(mean), mean, np.inf))
    blocks, sizes = independent_by_block(losses.series, losses.block)
    count = float((np.exp(-blocks / decay) * sizes).sum())
    return np.asarray(-count / (1 + count / most) * level)


def _is_copy(losses: Losses) -> Flags:
    """[candidates], whether an earlier one has the same losses, as baselines do that differ in
    their season only.
    """
    values = _floored(losses.values)
    rows = np.rint(values / _largest(values) / TINY)
    _, first = np.unique(rows, axis=0, return_index=True)
    copies = np.ones(len(values), bool)
    copies[first] = False
    return copies & (len(losses.block) > 0)


def _floored(values: Numbers) -> Numbers:
    """Losses, those that are nothing but rounding made equal, and more than 0."""
    return np.maximum(values, TINY * _largest(values))


def _largest(values: Numbers) -> float:
    return float(np.max(values, initial=1e-200, where=np.isfinite(values)))


def _in_parts(log_weights: Numbers) -> Numbers:
    """Weights [candidates] from their logarithms, rounded to multiples of 1 / parts that add up to
    1.
    """
    weights = np.exp(log_weights - log_weights.max())
    exact = PRIORS.parts * weights / weights.sum()
    parts = np.floor(exact)
    missing = round(PRIORS.parts - parts.sum())
    largest_rests = np.argsort(parts - exact, kind="stable")[:missing]
    parts[largest_rests] += 1
    return np.asarray(parts / PRIORS.parts)
